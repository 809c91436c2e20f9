using OrleansRedis.Tests.Harness;
using Xunit;

namespace OrleansRedis.Tests.Gateway;

/// <summary>notify-keyspace-events: which events are published where. Tests/Differential compares them with Redis's.</summary>
public sealed class KeyspaceEventsTests : GatewayTest
{
    [Theory]
    [InlineData("KA", "AK")]
    [InlineData("EA", "AE")]
    [InlineData("gKE", "gKE")]
    [InlineData("$lshzxeKE", "$lshzxeKE")]
    [InlineData("KEg$lshzxetd", "AKE")]
    [InlineData("AKEmn", "AnKEm")]
    [InlineData("nm", "nm")]
    [InlineData("", "")]
    public async Task The_classes_are_shown_in_order(string given, string shown)
    {
        Assert.Equal("+OK", await Call("CONFIG", "SET", "notify-keyspace-events", given));
        Assert.Equal($"""["notify-keyspace-events", "{shown}"]""", await Line("CONFIG GET notify-keyspace-events"));
    }

    [Fact]
    public async Task Other_letters_are_refused() =>
        Assert.Equal(
            "-ERR CONFIG SET failed (possibly related to argument 'notify-keyspace-events') - "
                + "Invalid event class character. Use 'Ag$lshzxeKEtmdn'.",
            await Line("CONFIG SET notify-keyspace-events KEq"));

    [Theory]
    [InlineData("KA", "SET k v", "__keyspace@0__:k set")]
    [InlineData("EA", "SET k v", "__keyevent@0__:set k")]
    [InlineData("KE$", "SET k v", "__keyspace@0__:k set", "__keyevent@0__:set k")]
    [InlineData("KEl", "SET k v")]
    [InlineData("$", "SET k v")]
    [InlineData("KEA", "LPUSH k 1", "__keyspace@0__:k lpush", "__keyevent@0__:lpush k")]
    [InlineData("En", "LPUSH k 1", "__keyevent@0__:new k")]
    [InlineData("Em", "GET nothing", "__keyevent@0__:keymiss nothing")]
    [InlineData("EA", "GET nothing")]
    [InlineData("Kt", "XADD k * f v", "__keyspace@0__:k xadd")]
    public async Task Only_what_was_asked_for_is_published(string classes, string command, params string[] expected)
    {
        await using RespConnection listener = await ListenAsync(classes);
        await Line(command);
        Assert.Equal(expected, await HeardAsync(listener));
    }

    [Fact]
    public async Task The_channel_names_the_database_and_any_key()
    {
        await using RespConnection listener = await ListenAsync("KEA");
        await Line("SELECT 9");
        string key = new('k', 1000);
        await Call("SET", key, "v");
        Assert.Equal([$"__keyspace@9__:{key} set", $"__keyevent@9__:set {key}"], await HeardAsync(listener));
    }

    [Fact]
    public async Task Events_in_transactions_and_scripts_come_in_the_order_of_the_commands()
    {
        await using RespConnection listener = await ListenAsync("EA");
        await Redis.PipelineAsync([["MULTI"], ["SET", "a", "1", "EX", "100"], ["RENAME", "a", "b"], ["DEL", "b"], ["EXEC"]]);
        await Call("EVAL", "redis.call('sadd', KEYS[1], 'x'); redis.call('srem', KEYS[1], 'x')", 1, "s");
        string[] expected =
        [
            "__keyevent@0__:set a", "__keyevent@0__:expire a", "__keyevent@0__:rename_from a", "__keyevent@0__:rename_to b", "__keyevent@0__:del b",
            "__keyevent@0__:sadd s", "__keyevent@0__:srem s", "__keyevent@0__:del s",
        ];
        Assert.Equal(expected, await HeardAsync(listener));
    }

    [Fact]
    public async Task Keys_and_fields_that_expire_are_published_though_nobody_asks_for_them()
    {
        Server.Store.ActiveExpiry.Start();
        await using RespConnection listener = await ListenAsync("EA");
        await Line("PSETEX k 1 v");
        await Line("HSET h f v");
        await Line("HPEXPIRE h 1 FIELDS 1 f");
        HashSet<string> heard = [];
        while (heard.Count < 7) heard.Add(ShowMessage(await listener.ReadAsync()));
        string[] expected =
        [
            "__keyevent@0__:set k", "__keyevent@0__:expire k", "__keyevent@0__:expired k", "__keyevent@0__:hset h", "__keyevent@0__:hexpire h",
            "__keyevent@0__:hexpired h", "__keyevent@0__:del h",
        ];
        Assert.Equal(expected.Order(), heard.Order());
    }

    [Fact]
    public async Task An_evicted_key_is_published()
    {
        await using RespConnection listener = await ListenAsync("Ee");
        await Line("SET k v");
        await Line("CONFIG SET maxmemory-policy allkeys-random");
        await Line("CONFIG SET maxmemory 1");
        await Line("PING");
        Assert.Equal("__keyevent@0__:evicted k", ShowMessage(await listener.ReadAsync()));
    }

    /// <summary>Redis 7.4: t_hash.c.</summary>
    [Theory]
    [InlineData("HEXPIRE h 100 FIELDS 1 a", "hexpire h")]
    [InlineData("HPEXPIREAT h 1 FIELDS 1 a", "hdel h")]
    [InlineData("HPEXPIREAT h 1 FIELDS 2 a b", "hdel h", "del h")]
    [InlineData("HEXPIRE h 100 XX FIELDS 1 a")]
    [InlineData("HEXPIRE h 100 FIELDS 1 nothing")]
    [InlineData("HPERSIST h FIELDS 1 a")]
    public async Task Fields_that_get_a_time_to_live_are_published(string command, params string[] expected)
    {
        await Line("HSET h a 1 b 2");
        await using RespConnection listener = await ListenAsync("EA");
        await Line(command);
        Assert.Equal(expected.Select(name => "__keyevent@0__:" + name), await HeardAsync(listener));
    }

    [Fact]
    public async Task A_field_that_persists_is_published()
    {
        await Line("HSET h a 1");
        await Line("HEXPIRE h 100 FIELDS 1 a");
        await using RespConnection listener = await ListenAsync("EA");
        await Line("HPERSIST h FIELDS 1 a");
        Assert.Equal(["__keyevent@0__:hpersist h"], await HeardAsync(listener));
    }

    private async Task<RespConnection> ListenAsync(string classes)
    {
        Assert.Equal("+OK", await Call("CONFIG", "SET", "notify-keyspace-events", classes));
        RespConnection listener = await Server.ConnectAsync();
        await listener.PipelineAsync([["PSUBSCRIBE", "__key*"], ["SUBSCRIBE", "end"]]);
        return listener;
    }

    /// <summary>What has been published so far.</summary>
    private async Task<List<string>> HeardAsync(RespConnection listener)
    {
        await Line("PUBLISH end .");
        List<string> heard = [];
        while (await listener.ReadAsync() is var message && message[0].Text == "pmessage") heard.Add(ShowMessage(message));
        return heard;
    }

    private static string ShowMessage(RespValue message) => $"{message[2].Text} {message[3].Text}";
}
