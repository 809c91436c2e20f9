using OrleansRedis.Tests.Harness;
using Xunit;

namespace OrleansRedis.Tests.Gateway;

/// <summary>Commands that every silo has a part in.</summary>
public sealed class RoutedEverywhereTests : IAsyncLifetime
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
    public async Task Mget_mset_and_those_that_count_keys_reach_all_silos()
    {
        string[] keys = [.. Enumerable.Range(0, 20).Select(i => $"key{i}")];
        RespArgument[] pairs = [.. keys.Take(10).SelectMany(key => (RespArgument[])[key, "of " + key])];
        Assert.Equal("+OK", (await _redis.CallAsync(["MSET", .. pairs, "key0", "again"])).ToString());
        string expected = string.Join(", ", keys.Select((key, i) => i == 0 ? "\"again\"" : i < 10 ? $"\"of {key}\"" : "nil"));
        Assert.Equal($"[{expected}]", (await _redis.CallAsync(["MGET", .. keys.Select(key => (RespArgument)key)])).ToString());
        Assert.Equal(":11", (await _redis.CallAsync(["EXISTS", .. keys.Select(key => (RespArgument)key), "key0"])).ToString());
        Assert.Equal(":10", (await _redis.CallAsync(["TOUCH", .. keys.Select(key => (RespArgument)key)])).ToString());
        Assert.Equal(":5", (await _redis.CallAsync(["DEL", .. keys.Take(5).Select(key => (RespArgument)key), "key0"])).ToString());
        Assert.Equal(":5", (await _redis.CallAsync(["UNLINK", .. keys.Select(key => (RespArgument)key)])).ToString());
        Assert.Equal(":0", (await _redis.LineAsync("DBSIZE")).ToString());
        Assert.StartsWith("-ERR wrong number of arguments for 'mset'", (await _redis.LineAsync("MSET a 1 b 2 c")).ToString());
        await _redis.HelloAsync();
        Assert.Equal("[nil, nil, nil]", (await _redis.LineAsync("MGET a b c")).ToString());
    }

    [Fact]
    public async Task The_whole_keyspace_is_that_of_all_silos()
    {
        string[] keys = [.. Enumerable.Range(0, 300).Select(i => $"key{i}")];
        await _redis.PipelineAsync([.. keys.Select(key => (RespArgument[])["SET", key, "v"])]);
        for (int silo = 0; silo < 3; silo++)
        {
            await using RespConnection client = await _cluster[silo].ConnectAsync();
            Assert.Equal(":300", (await client.LineAsync("DBSIZE")).ToString());
            Assert.Equal(keys.Order(), (await client.LineAsync("KEYS *")).Items.Select(key => key.Text).Order());
            Assert.Equal(["key17"], (await client.LineAsync("KEYS *17")).Items.Select(key => key.Text).Where(key => key == "key17"));
            Assert.Contains((await client.LineAsync("RANDOMKEY")).Text, keys);
        }
        Assert.Equal("+OK", (await _redis.LineAsync("SWAPDB 0 1")).ToString());
        Assert.Equal(":0", (await _redis.LineAsync("DBSIZE")).ToString());
        Assert.True((await _redis.LineAsync("RANDOMKEY")).IsNull);
        await _redis.LineAsync("SELECT 1");
        Assert.Equal(":300", (await _redis.LineAsync("DBSIZE")).ToString());
        Assert.Equal("+OK", (await _redis.LineAsync("FLUSHDB")).ToString());
        Assert.Equal(":0", (await _redis.LineAsync("DBSIZE")).ToString());
        await _redis.LineAsync("MSET a 1 b 2 c 3 d 4");
        await _redis.LineAsync("SELECT 0");
        Assert.Equal("+OK", (await _redis.LineAsync("FLUSHALL")).ToString());
        Assert.Equal(0, Enumerable.Range(0, 3).Sum(silo => _cluster[silo].Server.Store.Slots.KeyCount(1)));
    }

    [Fact]
    public async Task Random_keys_come_from_all_silos()
    {
        for (int silo = 0; silo < 3; silo++) await _redis.CallAsync("SET", _cluster.KeyOf(silo), "v");
        var drawn = new HashSet<string>();
        while (drawn.Count < 3) drawn.Add((await _redis.LineAsync("RANDOMKEY")).Text);
    }

    [Fact]
    public async Task Scan_returns_every_key_though_slots_move_meanwhile()
    {
        Random random = TestSeed.Random();
        string[] keys = [.. Enumerable.Range(0, 200).Select(i => $"key{i}")];
        await _redis.PipelineAsync([.. keys.Select(key => (RespArgument[])["SET", key, "v"])]);
        var found = new HashSet<string>();
        string cursor = "0";
        do
        {
            int slot = RoutedCluster.SlotOf(keys[random.Next(keys.Length)]), to = random.Next(3);
            if (_cluster.Map[slot].Owner != _cluster[to].Self) await _cluster.MoveAsync(slot, to, whoLearns: [to, random.Next(3)]);
            Task<RespValue> scanning = _redis.CallAsync("SCAN", cursor, "COUNT", "10");
            for (int silo = 0; silo < 3; silo++) _cluster[silo].Adopt(_cluster.Map);
            RespValue page = await scanning;
            cursor = page[0].Text;
            found.UnionWith(page[1].Items.Select(key => key.Text));
        }
        while (cursor != "0");
        Assert.Equal(keys.Order(), found.Order());
        Assert.Equal("-ERR invalid cursor", (await _redis.LineAsync("SCAN nonsense")).ToString());
        Assert.Equal("-ERR syntax error", (await _redis.LineAsync("SCAN 0 NONSENSE 1")).ToString());
    }

    [Fact]
    public async Task Keys_counts_every_slot_once_though_slots_move_meanwhile()
    {
        using var stop = new CancellationTokenSource();
        string[] keys = [.. Enumerable.Range(0, 20).Select(i => $"key{i}")];
        await _redis.PipelineAsync([.. keys.Select(key => (RespArgument[])["SET", key, "v"])]);
        Task mover = Task.Run(async () =>
        {
            Random random = TestSeed.Random(1, nameof(Keys_counts_every_slot_once_though_slots_move_meanwhile));
            while (!stop.IsCancellationRequested)
            {
                int slot = RoutedCluster.SlotOf(keys[random.Next(keys.Length)]), to = random.Next(3);
                if (_cluster.Map[slot].Owner != _cluster[to].Self) await _cluster.MoveAsync(slot, to);
                await Task.Yield();
            }
        });
        for (int i = 0; i < 50; i++)
        {
            Assert.Equal(keys.Order(), (await _redis.LineAsync("KEYS *")).Items.Select(key => key.Text).Order());
            Assert.Equal(":20", (await _redis.LineAsync("DBSIZE")).ToString());
        }
        await stop.CancelAsync();
        await mover;
    }

    [Fact]
    public async Task Messages_reach_the_subscribers_of_all_silos()
    {
        var subscribers = new List<RespConnection>();
        for (int silo = 0; silo < 3; silo++)
        {
            RespConnection subscriber = await _cluster[silo].ConnectAsync();
            subscribers.Add(subscriber);
            await subscriber.LineAsync("SUBSCRIBE news");
            await subscriber.LineAsync("PSUBSCRIBE n?ws");
            await subscriber.LineAsync("SSUBSCRIBE shard");
        }
        for (int i = 0; i < 100; i++) await _redis.CallAsync(i % 2 == 0 ? "PUBLISH" : "SPUBLISH", i % 2 == 0 ? "news" : "shard", i);
        foreach (RespConnection subscriber in subscribers)
        {
            for (int i = 0; i < 100; i++)
            {
                if (i % 2 != 0)
                {
                    Assert.Equal($"""["smessage", "shard", "{i}"]""", (await subscriber.ReadAsync()).ToString());
                    continue;
                }
                Assert.Equal($"""["message", "news", "{i}"]""", (await subscriber.ReadAsync()).ToString());
                Assert.Equal($"""["pmessage", "n?ws", "news", "{i}"]""", (await subscriber.ReadAsync()).ToString());
            }
        }
        Assert.Equal("""["news"]""", (await _redis.LineAsync("PUBSUB CHANNELS")).ToString());
        Assert.Equal("""["news", 3, "none", 0]""".Replace(" 3", " :3").Replace(" 0", " :0"), (await _redis.LineAsync("PUBSUB NUMSUB news none")).ToString());
        Assert.Equal("""["shard"]""", (await _redis.LineAsync("PUBSUB SHARDCHANNELS")).ToString());
        foreach (RespConnection subscriber in subscribers) await subscriber.DisposeAsync();
    }

    [Fact]
    public async Task Keyspace_events_reach_subscribers_elsewhere()
    {
        await using RespConnection owner = await _cluster[1].ConnectAsync(), subscriber = await _cluster[2].ConnectAsync();
        await owner.LineAsync("CONFIG SET notify-keyspace-events KEA");
        await subscriber.LineAsync("PSUBSCRIBE __key*");
        string key = _cluster.KeyOf(1);
        await _redis.CallAsync("SET", key, "v");
        Assert.Equal($"""["pmessage", "__key*", "__keyspace@0__:{key}", "set"]""", (await subscriber.ReadAsync()).ToString());
        Assert.Equal($"""["pmessage", "__key*", "__keyevent@0__:set", "{key}"]""", (await subscriber.ReadAsync()).ToString());
    }

    [Fact]
    public async Task What_needs_the_whole_keyspace_is_refused_where_it_cannot_be_had()
    {
        RespValue[] replies = await _redis.PipelineAsync(["MULTI"], ["DBSIZE"], ["EXEC"]);
        Assert.StartsWith("-CROSSSLOT", replies[2].ToString());
        Assert.StartsWith("-CROSSSLOT", (await _redis.CallAsync("EVAL", "return redis.call('DBSIZE')", "0")).ToString());
        Assert.StartsWith("-CROSSSLOT", (await _redis.CallAsync("EVAL", "return redis.call('KEYS', '*')", "1", _cluster.KeyOf(1))).ToString());
    }

    [Fact]
    public async Task With_an_unreachable_share_the_whole_is_refused()
    {
        _cluster[0].Remote.PatienceMs = 50;
        string key = _cluster.KeyOf(1);
        await _cluster[1].TakeAwayAsync(RoutedCluster.SlotOf(key));
        Assert.Equal("-CLUSTERDOWN Hash slot not served", (await _redis.LineAsync("KEYS *")).ToString());
        Assert.Equal("-CLUSTERDOWN Hash slot not served", (await _redis.CallAsync("MGET", _cluster.KeyOf(0), key)).ToString());
        // Part of it has happened, which no error may deny.
        await _redis.SendAsync("MSET", _cluster.KeyOf(0), "1", key, "1");
        Assert.True(await _redis.IsClosedByServerAsync());
    }
}
