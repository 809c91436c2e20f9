using OrleansRedis.Tests.Harness;
using StackExchange.Redis;
using Xunit;
using Xunit.Abstractions;

namespace OrleansRedis.Tests.Clients;

/// <summary>StackExchange.Redis with the options that it has by default, as a .NET application would use it.</summary>
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
    public async Task Thousands_of_concurrent_calls_share_one_connection()
    {
        using ConnectionMultiplexer redis = await ConnectAsync(Server);
        IDatabase db = redis.GetDatabase();
        await Task.WhenAll(Enumerable.Range(0, 10_000).Select(i => db.StringSetAsync($"key:{i}", i)));
        RedisValue[] values = await Task.WhenAll(Enumerable.Range(0, 10_000).Select(i => db.StringGetAsync($"key:{i}")));
        Assert.Equal(Enumerable.Range(0, 10_000), values.Select(value => (int)value));
        byte[] big = new byte[10 << 20];
        Random.Shared.NextBytes(big);
        await db.StringSetAsync("big", big);
        Assert.Equal(big, (byte[]?)await db.StringGetAsync("big"));
    }

    [Fact]
    public async Task The_server_interface_lists_keys_clients_and_configuration()
    {
        using ConnectionMultiplexer redis = await ConnectAsync(Server);
        IServer at = redis.GetServer("127.0.0.1", Server.Port);
        Assert.True(at.IsConnected);
        Assert.False(at.IsSlave);
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
        _ = bad.StringSetAsync("guard", "never");
        Assert.False(await bad.ExecuteAsync());
        Assert.Equal("2", (string?)await db.StringGetAsync("guard"));
    }

    [SkippableFact]
    public async Task Messages_reach_subscribers()
    {
        await Requires.CommandsAsync(Server, "SUBSCRIBE", "PUBLISH");
        using ConnectionMultiplexer redis = await ConnectAsync(Server);
        TaskCompletionSource<string?> got = new();
        await redis.GetSubscriber().SubscribeAsync("news", (_, message) => got.TrySetResult(message));
        await redis.GetDatabase().PublishAsync("news", "hello");
        Assert.Equal("hello", await got.Task.WaitAsync(TimeSpan.FromSeconds(10)));
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
            second.Describe,
            TimeSpan.FromSeconds(30));
    }

    private static Task<ConnectionMultiplexer> ConnectAsync(RedisProcess server)
    {
        ConfigurationOptions options = ConfigurationOptions.Parse($"127.0.0.1:{server.Port}");
        options.ClientName = "orleansredis-tests";
        options.AllowAdmin = true;
        return ConnectionMultiplexer.ConnectAsync(options);
    }
}
