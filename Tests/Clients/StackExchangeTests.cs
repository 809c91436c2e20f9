using OrleansRedis.Tests.Harness;
using StackExchange.Redis;
using Xunit;
using Xunit.Abstractions;

namespace OrleansRedis.Tests.Clients;

/// <summary>StackExchange.Redis with its default options, as a .NET application would use it.</summary>
public sealed class StackExchangeTests(SharedServer server, ITestOutputHelper output) : SharedServerTest(server, output)
{
    [Fact]
    public async Task A_session_of_strings_keys_and_expiry()
    {
        using ConnectionMultiplexer redis = await ConnectAsync(Server);
        IDatabase db = redis.GetDatabase(6);
        Assert.True(await db.StringSetAsync("k", "v", TimeSpan.FromSeconds(100)));
        Assert.False(await db.StringSetAsync("k", "w", when: When.NotExists));
        Assert.Equal("v", (string?)await db.StringGetAsync("k"));
        Assert.InRange((await db.KeyTimeToLiveAsync("k"))!.Value.TotalSeconds, 90, 100);
        Assert.True(await db.KeyPersistAsync("k"));
        Assert.Equal(42, await db.StringIncrementAsync("n", 42));
        Assert.Equal(43.5, await db.StringIncrementAsync("n", 1.5));
        Assert.True(await db.StringSetAsync([new("a", "1"), new("b", "2")]));
        Assert.Equal(["1", null, "2"], (await db.StringGetAsync(["a", "none", "b"])).Select(value => (string?)value));
        Assert.Equal(RedisType.String, await db.KeyTypeAsync("a"));
        byte[] binary = [0, 13, 10, 255];
        Assert.True(await db.StringSetAsync(binary, binary));
        Assert.Equal(binary, (byte[]?)await db.StringGetAsync(binary));
        Assert.True(await db.KeyRenameAsync("a", "c"));
        Assert.True(await db.KeyDeleteAsync("c"));
        RedisServerException wrong = await Assert.ThrowsAsync<RedisServerException>(() => db.StringIncrementAsync("k"));
        Assert.Equal("ERR value is not an integer or out of range", wrong.Message);
        Assert.Equal("orleansredis-tests", redis.ClientName);
    }

    [Fact]
    public async Task Scripts_are_run_by_their_digest()
    {
        using ConnectionMultiplexer redis = await ConnectAsync(Server);
        IDatabase db = redis.GetDatabase();
        const string Script = "return redis.call('incrby', KEYS[1], ARGV[1])";
        for (int i = 1; i <= 5; i++) Assert.Equal(i * 5, (int)await db.ScriptEvaluateAsync(Script, ["n"], [5]));
        Assert.Equal(["1", "two"], (string[])(await db.ScriptEvaluateAsync("return {1, 'two'}"))!);
        LuaScript prepared = LuaScript.Prepare("return redis.call('get', @key)");
        Assert.Equal("25", (string?)await db.ScriptEvaluateAsync(prepared, new { key = (RedisKey)"n" }));
    }

    [Fact]
    public async Task Thousands_of_concurrent_calls_share_one_connection()
    {
        using ConnectionMultiplexer redis = await ConnectAsync(Server);
        IDatabase db = redis.GetDatabase();
        await Task.WhenAll(Enumerable.Range(0, 10_000).Select(i => db.StringSetAsync($"key:{i}", i)));
        RedisValue[] values = await Task.WhenAll(Enumerable.Range(0, 10_000).Select(i => db.StringGetAsync($"key:{i}")));
        Assert.Equal(Enumerable.Range(0, 10_000), values.Select(value => (int)value));
        byte[] big = new byte[10 << 20];
        TestSeed.Random().NextBytes(big);
        await db.StringSetAsync("big", big);
        Assert.Equal(big, (byte[]?)await db.StringGetAsync("big"));
    }

    [Fact]
    public async Task The_server_interface_lists_keys_clients_and_configuration()
    {
        using ConnectionMultiplexer redis = await ConnectAsync(Server);
        IServer at = redis.GetServer("127.0.0.1", Server.Port);
        Assert.True(at.IsConnected);
        Assert.False(at.IsReplica);
        Assert.True(at.Version >= new Version(6, 0), $"{at.Version}");
        IDatabase db = redis.GetDatabase();
        await Task.WhenAll(Enumerable.Range(0, 1000).Select(i => db.StringSetAsync($"key:{i}", i)));
        Assert.Equal(1000, at.Keys(pattern: "key:*", pageSize: 50).Distinct().Count());
        Assert.Equal(1000, await at.DatabaseSizeAsync());
        Assert.Contains(await at.ClientListAsync(), client => client.Name == "orleansredis-tests");
        Assert.Equal("0", (await at.ConfigGetAsync("timeout")).Single().Value);
        Assert.Contains(await at.InfoAsync("server"), group => group.Any(field => field.Key == "redis_version"));
    }

    [SkippableFact]
    public async Task A_transaction_with_a_condition_is_all_or_nothing()
    {
        await Requires.CommandsAsync(Server, "MULTI", "WATCH");
        using ConnectionMultiplexer redis = await ConnectAsync(Server);
        IDatabase db = redis.GetDatabase();
        await db.StringSetAsync("guard", "1");
        ITransaction good = db.CreateTransaction();
        good.AddCondition(Condition.StringEqual("guard", "1"));
        Task<long> incremented = good.StringIncrementAsync("guard");
        Assert.True(await good.ExecuteAsync());
        Assert.Equal(2, await incremented);
        ITransaction bad = db.CreateTransaction();
        bad.AddCondition(Condition.StringEqual("guard", "1"));
        Task<long> never = bad.StringAppendAsync("guard", "never");
        Assert.False(await bad.ExecuteAsync());
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => never);
        Assert.Equal("2", (string?)await db.StringGetAsync("guard"));
    }

    [Fact]
    public async Task Conditions_of_every_type_of_key_decide_over_a_transaction()
    {
        using ConnectionMultiplexer redis = await ConnectAsync(Server);
        IDatabase db = redis.GetDatabase();
        await db.HashSetAsync("hash", "field", "1");
        await db.ListRightPushAsync("list", ["a", "b"]);
        await db.SetAddAsync("set", ["x", "y", "z"]);
        await db.SortedSetAddAsync("zset", "member", 1.5);
        await db.StreamAddAsync("stream", "f", "v");
        Condition[] all =
        [
            Condition.KeyNotExists("none"), Condition.HashEqual("hash", "field", "1"), Condition.HashNotExists("hash", "other"),
            Condition.ListIndexEqual("list", 1, "b"),
            Condition.ListLengthEqual("list", 2), Condition.SetContains("set", "y"), Condition.SetLengthGreaterThan("set", 2),
            Condition.SortedSetEqual("zset", "member", 1.5),
            Condition.StreamLengthEqual("stream", 1),
        ];
        ITransaction held = db.CreateTransaction();
        ConditionResult[] results = [.. all.Select(held.AddCondition)];
        Task<long> length = held.ListLeftPushAsync("list", "first");
        Task<bool> added = held.SetAddAsync("set", "w");
        Assert.True(await held.ExecuteAsync());
        Assert.All(results, result => Assert.True(result.WasSatisfied));
        Assert.Equal((3, true), (await length, await added));

        ITransaction broken = db.CreateTransaction();
        ConditionResult fits = broken.AddCondition(Condition.SetLengthEqual("set", 4)), fails = broken.AddCondition(Condition.ListLengthEqual("list", 2));
        Task<bool> deleted = broken.KeyDeleteAsync("list");
        Assert.False(await broken.ExecuteAsync());
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => deleted);
        Assert.True(fits.WasSatisfied);
        Assert.False(fails.WasSatisfied);
        Assert.Equal(3, await db.ListLengthAsync("list"));
    }

    [Fact]
    public async Task A_batch_is_sent_as_one_and_answered_in_order()
    {
        using ConnectionMultiplexer redis = await ConnectAsync(Server);
        IDatabase db = redis.GetDatabase();
        IBatch batch = db.CreateBatch();
        Task<bool> set = batch.StringSetAsync("n", 1);
        Task<long>[] increments = [.. Enumerable.Range(0, 1000).Select(_ => batch.StringIncrementAsync("n"))];
        Task<long> wrong = batch.ListLengthAsync("n");
        Task<RedisValue> last = batch.StringGetDeleteAsync("n");
        Assert.All(increments, task => Assert.False(task.IsCompleted));
        batch.Execute();
        Assert.True(await set);
        Assert.Equal(Enumerable.Range(2, 1000).Select(n => (long)n), await Task.WhenAll(increments));
        Assert.StartsWith("WRONGTYPE", (await Assert.ThrowsAsync<RedisServerException>(() => wrong)).Message, StringComparison.Ordinal);
        Assert.Equal(1001, (int)await last);
    }

    [Fact]
    public async Task What_is_fired_and_forgotten_is_done_before_what_follows()
    {
        using ConnectionMultiplexer redis = await ConnectAsync(Server);
        IDatabase db = redis.GetDatabase();
        for (int i = 0; i < 1000; i++) await db.ListRightPushAsync("list", i, flags: CommandFlags.FireAndForget);
        Assert.Equal(1000, await db.ListLengthAsync("list"));
        Assert.Equal([998, 999], (await db.ListRangeAsync("list", -2)).Select(value => (int)value));
    }

    [Fact]
    public async Task Streams_are_written_read_and_shared_by_a_group()
    {
        using ConnectionMultiplexer redis = await ConnectAsync(Server);
        IDatabase db = redis.GetDatabase();
        RedisValue first = await db.StreamAddAsync("orders", [new("item", "tea"), new("count", 2)]);
        await db.StreamAddAsync("orders", "item", "milk", messageId: "9999999999999-1");
        StreamEntry[] entries = await db.StreamRangeAsync("orders");
        Assert.Equal([first, "9999999999999-1"], entries.Select(entry => entry.Id));
        Assert.Equal(("tea", 2), ((string?)entries[0]["item"], (int)entries[0]["count"]));
        Assert.Equal("milk", (string?)Assert.Single(await db.StreamReadAsync("orders", first)).Values[0].Value);

        Assert.True(await db.StreamCreateConsumerGroupAsync("orders", "packers", StreamPosition.Beginning));
        StreamEntry[] mine = await db.StreamReadGroupAsync("orders", "packers", "ann", count: 1),
            theirs = await db.StreamReadGroupAsync("orders", "packers", "bob");
        Assert.Equal(first, Assert.Single(mine).Id);
        Assert.Single(theirs);
        Assert.Equal(1, await db.StreamAcknowledgeAsync("orders", "packers", mine[0].Id));
        StreamPendingInfo pending = await db.StreamPendingAsync("orders", "packers");
        Assert.Equal(1, pending.PendingMessageCount);
        Assert.Equal("bob", (string?)Assert.Single(pending.Consumers).Name);
        StreamAutoClaimResult claimed = await db.StreamAutoClaimAsync("orders", "packers", "ann", 0, "0-0");
        Assert.Equal("9999999999999-1", Assert.Single(claimed.ClaimedEntries).Id);
        StreamGroupInfo group = Assert.Single(await db.StreamGroupInfoAsync("orders"));
        Assert.Equal(("packers", 2, 1, 0L), (group.Name, group.ConsumerCount, group.PendingMessageCount, group.Lag));
        Assert.Equal(1, await db.StreamTrimAsync("orders", 1));
        StreamInfo stream = await db.StreamInfoAsync("orders");
        Assert.Equal(1, stream.Length);
        Assert.Equal("9999999999999-1", stream.LastGeneratedId);
    }

    [Fact]
    public async Task Sets_are_combined_drawn_from_and_scanned()
    {
        using ConnectionMultiplexer redis = await ConnectAsync(Server);
        IDatabase db = redis.GetDatabase();
        Assert.Equal(1000, await db.SetAddAsync("small", [.. Enumerable.Range(0, 1000).Select(i => (RedisValue)i)]));
        Assert.Equal(1000, await db.SetAddAsync("even", [.. Enumerable.Range(0, 1000).Select(i => (RedisValue)(2 * i))]));
        Assert.Equal(Enumerable.Range(0, 500).Select(i => 2 * i),
            (await db.SetCombineAsync(SetOperation.Intersect, "small", "even")).Select(value => (int)value).Order());
        Assert.Equal(500, await db.SetIntersectionLengthAsync(["small", "even"]));
        Assert.Equal(1500, await db.SetCombineAndStoreAsync(SetOperation.Union, "all", "small", "even"));
        bool[] contained = await db.SetContainsAsync("small", [7, 1000]);
        Assert.Equal([true, false], contained);
        HashSet<int> scanned = [];
        await foreach (RedisValue member in db.SetScanAsync("all", pageSize: 100)) scanned.Add((int)member);
        Assert.Equal(1500, scanned.Count);
        RedisValue[] popped = await db.SetPopAsync("all", 100);
        Assert.Equal((100, 1400), (popped.Distinct().Count(), (int)await db.SetLengthAsync("all")));
        Assert.True(await db.SetMoveAsync("small", "even", 1));
    }

    [Fact]
    public async Task Sorted_sets_hashes_and_places_have_their_calls()
    {
        using ConnectionMultiplexer redis = await ConnectAsync(Server);
        IDatabase db = redis.GetDatabase();
        await db.SortedSetAddAsync("board", [new("ann", 10), new("bob", 20), new("cat", double.PositiveInfinity)]);
        Assert.False(await db.SortedSetUpdateAsync("board", "ann", 5, SortedSetWhen.GreaterThan));
        Assert.Equal([("cat", double.PositiveInfinity), ("bob", 20)],
            (await db.SortedSetRangeByRankWithScoresAsync("board", 0, 1, Order.Descending)).Select(entry => ((string?)entry.Element, entry.Score)));
        Assert.Equal(new SortedSetEntry("ann", 10), await db.SortedSetPopAsync("board"));
        Assert.Equal(0, await db.SortedSetRankAsync("board", "bob"));

        await db.HashSetAsync("user", [new("name", "ann"), new("age", 41), new("token", "t")]);
        Assert.Equal(42, await db.HashIncrementAsync("user", "age"));
        Assert.Equal([ExpireResult.Success], await db.HashFieldExpireAsync("user", ["token"], TimeSpan.FromMinutes(1)));
        Assert.InRange((await db.HashFieldGetTimeToLiveAsync("user", ["token"]))[0], 50_000, 60_000);
        Assert.Equal(["age", "name", "token"], (await db.HashKeysAsync("user")).Select(name => (string?)name).Order());

        await db.GeoAddAsync("places", [new(13.361389, 38.115556, "Palermo"), new(15.087269, 37.502669, "Catania")]);
        Assert.InRange((await db.GeoDistanceAsync("places", "Palermo", "Catania", GeoUnit.Kilometers))!.Value, 166.2, 166.3);
        Assert.Equal("Catania", (await db.GeoSearchAsync("places", 15, 37, new GeoSearchCircle(100, GeoUnit.Kilometers))).Single().Member);
    }

    [Fact]
    public async Task It_speaks_RESP3_if_told_to()
    {
        using ConnectionMultiplexer redis = await ConnectAsync(Server, RedisProtocol.Resp3);
        Assert.Equal(RedisProtocol.Resp3, redis.GetServer("127.0.0.1", Server.Port).Protocol);
        IDatabase db = redis.GetDatabase();
        await db.HashSetAsync("user", [new("name", "ann"), new("age", 41)]);
        Assert.Equal(new() { ["name"] = "ann", ["age"] = 41 }, (await db.HashGetAllAsync("user")).ToDictionary(entry => entry.Name, entry => entry.Value));
        await db.SortedSetAddAsync("board", "ann", 1.5);
        Assert.Equal(1.5, (await db.SortedSetRangeByScoreWithScoresAsync("board")).Single().Score);
        Assert.True((await db.StringGetAsync("none")).IsNull);
        Assert.Equal(ResultType.Map, (await db.ExecuteAsync("HGETALL", "user")).Resp3Type);
    }

    [SkippableFact]
    public async Task Messages_reach_subscribers()
    {
        await Requires.CommandsAsync(Server, "SUBSCRIBE", "PUBLISH");
        using ConnectionMultiplexer redis = await ConnectAsync(Server);
        TaskCompletionSource<string?> got = new();
        await redis.GetSubscriber().SubscribeAsync(RedisChannel.Literal("news"), (_, message) => got.TrySetResult(message));
        await redis.GetDatabase().PublishAsync(RedisChannel.Literal("news"), "hello");
        Assert.Equal("hello", await got.Task.WaitAsync(Eventually.Deadline));
    }

    [Fact]
    public async Task It_reconnects_to_a_restarted_server()
    {
        RedisProcess first = await RedisProcess.StartAsync();
        using ConnectionMultiplexer redis = await ConnectAsync(first);
        IDatabase db = redis.GetDatabase();
        await db.StringSetAsync("k", "v");
        await first.TerminateAsync();
        await first.DisposeAsync();
        await using RedisProcess second = await RedisProcess.StartAsync(ServerKind.UnderTest, null, first.Port);
        await Eventually.TrueAsync(
            async () =>
            {
                try
                {
                    return await db.StringSetAsync("k", "v");
                }
                catch (Exception e) when (e is RedisConnectionException or TimeoutException)
                {
                    return false;
                }
            },
            second.Describe);
    }

    private static Task<ConnectionMultiplexer> ConnectAsync(RedisProcess server, RedisProtocol? protocol = null)
    {
        ConfigurationOptions options = ConfigurationOptions.Parse($"127.0.0.1:{server.Port}");
        options.ClientName = "orleansredis-tests";
        options.AllowAdmin = true;
        options.Protocol = protocol;
        // The default of 5 s suits a user's patience; on a loaded machine the tests need more. An attempt to reconnect
        // must not take that long, though, so the connect timeout keeps its default.
        options.AsyncTimeout = options.SyncTimeout = (int)Eventually.Deadline.TotalMilliseconds;
        options.ConnectRetry = 20;
        return ConnectionMultiplexer.ConnectAsync(options);
    }
}
