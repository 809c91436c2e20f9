using System.Globalization;
using OrleansRedis.Gateway;
using OrleansRedis.Tests.Harness;
using Xunit;

namespace OrleansRedis.Tests.Gateway;

/// <summary>Commands on the keys of one slot, given to a silo that does not have it.</summary>
public sealed class RoutedCommandsTests : IAsyncLifetime
{
    private RoutedCluster _cluster = null!;
    private RespConnection _redis = null!;

    public async Task InitializeAsync()
    {
        _cluster = await RoutedCluster.StartAsync();
        _redis = await _cluster[0].ConnectAsync();
    }

    public async Task DisposeAsync()
    {
        await _redis.DisposeAsync();
        await _cluster.DisposeAsync();
    }

    [Fact]
    public async Task Any_silo_answers_for_the_keys_of_any_silo()
    {
        for (int owner = 0; owner < 3; owner++)
        {
            string key = _cluster.KeyOf(owner);
            Assert.Equal("+OK", (await _redis.CallAsync("SET", key, $"of {owner}")).ToString());
            for (int silo = 0; silo < 3; silo++)
            {
                await using RespConnection client = await _cluster[silo].ConnectAsync();
                Assert.Equal($"\"of {owner}\"", (await client.CallAsync("GET", key)).ToString());
            }
            Assert.Equal(1, _cluster[owner].Server.Store.Slots.KeyCount(0));
        }
    }

    [Fact]
    public async Task A_pipeline_over_all_silos_replies_in_order_and_each_key_sees_its_commands_in_order()
    {
        Random random = TestSeed.Random();
        var model = new Dictionary<string, List<string>>();
        for (int round = 0; round < 20; round++)
        {
            var commands = new List<RespArgument[]>();
            var expected = new List<string>();
            for (int i = random.Next(1, 400); i > 0; i--)
            {
                string key = $"list{random.Next(60)}";
                List<string> list = model.TryGetValue(key, out List<string>? known) ? known : model[key] = [];
                switch (random.Next(5))
                {
                    case 0:
                        string value = random.Next(1_000_000).ToString(CultureInfo.InvariantCulture);
                        list.Add(value);
                        commands.Add(["RPUSH", key, value]);
                        expected.Add($":{list.Count}");
                        break;
                    case 1:
                        commands.Add(["LRANGE", key, "0", "-1"]);
                        expected.Add($"[{string.Join(", ", list.Select(item => $"\"{item}\""))}]");
                        break;
                    case 2:
                        commands.Add(["DEL", key]);
                        expected.Add(list.Count == 0 ? ":0" : ":1");
                        list.Clear();
                        break;
                    case 3:
                        commands.Add(["INCR", key]);
                        expected.Add(list.Count == 0 ? ":1" : "-WRONGTYPE Operation against a key holding the wrong kind of value");
                        if (list.Count != 0) break;
                        commands.Add(["DEL", key]);
                        expected.Add(":1");
                        break;
                    default:
                        commands.Add(random.Next(2) == 0 ? ["PING"] : ["ECHO", key]);
                        expected.Add(commands[^1].Length == 1 ? "+PONG" : $"\"{key}\"");
                        break;
                }
            }
            RespValue[] replies = await _redis.PipelineAsync(commands);
            Assert.Equal(expected, replies.Select(reply => reply.ToString()));
        }
    }

    [Fact]
    public async Task Commands_of_one_pipeline_travel_together()
    {
        string[] keys = [.. Enumerable.Range(0, 48).Select(i => $"key{i}")];
        RespValue[] replies = await _redis.PipelineAsync([.. keys.Select(key => (RespArgument[])["SET", key, key])]);
        Assert.All(replies, reply => Assert.Equal("+OK", reply.ToString()));
        // One message for each of the two other silos, if all of it has come in at once, as it does but for rare cases.
        Assert.InRange(_cluster[0].Sent[RouteKinds.Requests], 2, 40);
    }

    [Fact]
    public async Task The_session_goes_along()
    {
        string key = _cluster.KeyOf(1);
        await _redis.LineAsync("SELECT 3");
        Assert.Equal("+OK", (await _redis.CallAsync("SET", key, "in 3")).ToString());
        RespValue[] replies = await _redis.PipelineAsync(["GET", key], ["SELECT", "0"], ["GET", key], ["SELECT", "3"], ["GET", key]);
        Assert.Equal(["\"in 3\"", "+OK", "nil", "+OK", "\"in 3\""], replies.Select(reply => reply.ToString()));
        await _redis.HelloAsync();
        await _redis.CallAsync("HSET", key + "{" + key + "}", "f", "v");
        Assert.Equal(RespKind.Map, (await _redis.CallAsync("HGETALL", key + "{" + key + "}")).Kind);
        await _redis.HelloAsync(2);
        Assert.Equal(RespKind.Array, (await _redis.CallAsync("HGETALL", key + "{" + key + "}")).Kind);
    }

    [Fact]
    public async Task The_owner_knows_whose_command_it_runs()
    {
        string key = _cluster.KeyOf(1);
        await using RespConnection owner = await _cluster[1].ConnectAsync(), monitor = await _cluster[1].ConnectAsync();
        await owner.LineAsync("CONFIG SET slowlog-log-slower-than 0");
        await _redis.LineAsync("CLIENT SETNAME faraway");
        await monitor.LineAsync("MONITOR");
        await _redis.CallAsync("SET", key, "v");
        await owner.LineAsync("CONFIG SET slowlog-log-slower-than -1");
        RespValue entry = (await owner.LineAsync("SLOWLOG GET -1")).Items.Single(entry => entry[3].Items is [{ Text: "SET" }, ..]);
        string info = (await _redis.LineAsync("CLIENT INFO")).Text;
        string address = info.Split(' ').Single(word => word.StartsWith("addr=", StringComparison.Ordinal))["addr=".Length..];
        Assert.Equal([address, "faraway"], entry.Items.Skip(4).Select(item => item.Text));
        string shown = (await monitor.ReadAsync()).Text;
        Assert.Contains($"[0 unix:{address.Split(':')[0]}", shown);
        Assert.EndsWith($"\"SET\" \"{key}\" \"v\"", shown);
    }

    [Fact]
    public async Task Inline_commands_and_errors_come_back_as_they_are()
    {
        string key = _cluster.KeyOf(2);
        await _redis.SendRawAsync($"SET {key} \"a b\"\r\nGET {key}\r\nLPUSH {key} x\r\nGET {key} x\r\nnonsense\r\n");
        Assert.Equal("+OK", (await _redis.ReadAsync()).ToString());
        Assert.Equal("\"a b\"", (await _redis.ReadAsync()).ToString());
        Assert.StartsWith("-WRONGTYPE", (await _redis.ReadAsync()).ToString());
        Assert.StartsWith("-ERR wrong number", (await _redis.ReadAsync()).ToString());
        Assert.StartsWith("-ERR unknown command", (await _redis.ReadAsync()).ToString());
    }

    [Fact]
    public async Task A_malformed_request_is_answered_after_what_came_before_it()
    {
        string key = _cluster.KeyOf(2);
        await _redis.SendRawAsync($"*3\r\n$3\r\nSET\r\n${key.Length}\r\n{key}\r\n$1\r\nv\r\n*1\r\nnonsense\r\n");
        Assert.Equal("+OK\r\n-ERR Protocol error: expected '$', got 'n'\r\n", System.Text.Encoding.Latin1.GetString(await _redis.ReadToEndAsync()));
    }

    [Fact]
    public async Task Client_reply_holds_for_commands_elsewhere()
    {
        string far = _cluster.KeyOf(1), near = _cluster.KeyOf(0);
        RespArgument[][] commands =
        [
            ["CLIENT", "REPLY", "SKIP"], ["SET", far, "1"], ["SET", near, "1"],
            ["CLIENT", "REPLY", "OFF"], ["INCR", far], ["INCR", near], ["INCR", far], ["CLIENT", "REPLY", "ON"], ["GET", far], ["GET", near],
        ];
        foreach (RespArgument[] command in commands) await _redis.SendAsync(command);
        Assert.Equal("+OK", (await _redis.ReadAsync()).ToString()); // SET near
        Assert.Equal("+OK", (await _redis.ReadAsync()).ToString()); // CLIENT REPLY ON
        Assert.Equal("\"3\"", (await _redis.ReadAsync()).ToString());
        Assert.Equal("\"2\"", (await _redis.ReadAsync()).ToString());
    }

    [Fact]
    public async Task Large_values_go_through_in_pieces()
    {
        string key = _cluster.KeyOf(1);
        byte[] value = TestSeed.Bytes(5_000_000);
        RespValue[] replies = await _redis.PipelineAsync(["SET", key, value], ["GET", key], ["STRLEN", key], ["GET", key]);
        Assert.Equal("+OK", replies[0].ToString());
        Assert.Equal(value, replies[1].Bytes);
        Assert.Equal(":5000000", replies[2].ToString());
        Assert.Equal(value, replies[3].Bytes);
    }

    [Fact]
    public async Task What_the_user_may_do_is_up_to_the_clients_own_silo()
    {
        string far = _cluster.KeyOf(1);
        await _redis.LineAsync("ACL SETUSER reader on nopass ~* +get +select +auth");
        Assert.Equal("+OK", (await _redis.LineAsync("AUTH reader x")).ToString());
        Assert.Equal("nil", (await _redis.CallAsync("GET", far)).ToString());
        Assert.StartsWith("-NOPERM", (await _redis.CallAsync("SET", far, "v")).ToString());
        RespValue[] replies = await _redis.PipelineAsync(["GET", far], ["SET", far, "v"], ["GET", far]);
        Assert.StartsWith("-NOPERM", replies[1].ToString());
        Assert.Equal("nil", replies[2].ToString());
    }

    [Fact]
    public async Task The_owners_memory_limit_holds()
    {
        string far = _cluster.KeyOf(1);
        await using RespConnection owner = await _cluster[1].ConnectAsync();
        await owner.LineAsync("CONFIG SET maxmemory 1");
        Assert.StartsWith("-OOM", (await _redis.CallAsync("SET", far, "v")).ToString());
        Assert.Equal("nil", (await _redis.CallAsync("GET", far)).ToString());
    }

    [Fact]
    public async Task A_busy_slot_keeps_only_those_waiting_who_need_it()
    {
        string held = _cluster.KeyOf(1), free = _cluster.KeyOf(1, "free");
        await using RespConnection other = await _cluster[0].ConnectAsync();
        using (new HeldGate(_cluster[1].Server.Store.Slots[RoutedCluster.SlotOf(held)]!))
        {
            await _redis.SendAsync("SET", held, "v");
            Assert.Equal("+OK", (await other.CallAsync("SET", free, "v")).ToString());
        }
        Assert.Equal("+OK", (await _redis.ReadAsync()).ToString());
    }

    [Fact]
    public async Task A_pipeline_far_beyond_what_may_be_under_way_goes_through()
    {
        string value = new('x', 1000);
        RespArgument[][] commands = [.. Enumerable.Range(0, 10_000).Select(i => (RespArgument[])["SET", $"key{i}", value])];
        RespValue[] replies = await _redis.PipelineAsync(commands);
        Assert.All(replies, reply => Assert.Equal("+OK", reply.ToString()));
        Assert.Equal(10_000, Enumerable.Range(0, 3).Sum(silo => _cluster[silo].Server.Store.Slots.KeyCount(0)));
    }

    [Fact]
    public async Task Whoever_leaves_is_forgotten_by_the_others()
    {
        await _redis.CallAsync("SET", _cluster.KeyOf(1), "v");
        await _redis.DisposeAsync();
        await Eventually.TrueAsync(() => _cluster[0].Sent[RouteKinds.Forget] == 1);
    }
}
