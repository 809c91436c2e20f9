using System.Globalization;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Session;
using Microsoft.Extensions.Caching.Distributed;
using Microsoft.Extensions.Caching.StackExchangeRedis;
using Microsoft.Extensions.Logging.Abstractions;
using NRedisStack;
using NRedisStack.Core;
using NRedisStack.Core.DataTypes;
using OrleansRedis.Tests.Harness;
using StackExchange.Redis;
using Xunit;
using Xunit.Abstractions;

namespace OrleansRedis.Tests.Clients;

/// <summary>What .NET applications put on top of StackExchange.Redis.</summary>
public sealed class DistributedCacheTests(SharedServer server, ITestOutputHelper output) : SharedServerTest(server, output)
{
    [Fact]
    public async Task Aspnet_sessions_live_in_the_distributed_cache()
    {
        using RedisCache cache = new(new RedisCacheOptions { ConfigurationOptions = Options(), InstanceName = "app:" });
        DistributedSessionStore store = new(cache, NullLoggerFactory.Instance);
        ISession Visit(bool isNew) => store.Create("visitor", TimeSpan.FromMinutes(20), TimeSpan.FromMinutes(2), () => true, isNew);

        ISession first = Visit(isNew: true);
        await first.LoadAsync();
        first.SetString("name", "Zoë");
        first.SetInt32("basket", 3);
        byte[] large = TestSeed.Bytes(60_000); // a session's values have at most 64 kB
        first.Set("large", large);
        await first.CommitAsync();
        Assert.Equal("hash", (await Redis.LineAsync("TYPE app:visitor")).Text);
        Assert.InRange((await Redis.LineAsync("TTL app:visitor")).Integer, 1000, 1200);

        ISession second = Visit(isNew: false);
        await second.LoadAsync();
        Assert.Equal("Zoë", second.GetString("name"));
        Assert.Equal(3, second.GetInt32("basket"));
        Assert.True(second.TryGetValue("large", out byte[]? again) && again.AsSpan().SequenceEqual(large));

        // A visit that changes nothing still puts the end off.
        await Redis.LineAsync("EXPIRE app:visitor 100");
        ISession third = Visit(isNew: false);
        await third.LoadAsync();
        await third.CommitAsync();
        Assert.InRange((await Redis.LineAsync("TTL app:visitor")).Integer, 1000, 1200);

        ISession fourth = Visit(isNew: false);
        await fourth.LoadAsync();
        fourth.Remove("name");
        await fourth.CommitAsync();
        ISession last = Visit(isNew: false);
        await last.LoadAsync();
        Assert.Equal(["basket", "large"], last.Keys.Order());
    }

    [Fact]
    public async Task Entries_of_the_distributed_cache_expire_as_they_were_told_to()
    {
        using RedisCache cache = new(new RedisCacheOptions { ConfigurationOptions = Options() });
        await cache.SetAsync("absolute", [1], new() { AbsoluteExpirationRelativeToNow = TimeSpan.FromMilliseconds(200) });
        await cache.SetAsync("both", [2], new() { SlidingExpiration = TimeSpan.FromHours(1), AbsoluteExpirationRelativeToNow = TimeSpan.FromMinutes(1) });
        await cache.SetAsync("for ever", [3], new());
        Assert.InRange((await Redis.LineAsync("TTL both")).Integer, 1, 60);
        await cache.RefreshAsync("both");
        Assert.InRange((await Redis.LineAsync("TTL both")).Integer, 1, 60);
        Assert.Equal(-1, (await Redis.CallAsync("TTL", "for ever")).Integer);
        await Eventually.TrueAsync(async () => await cache.GetAsync("absolute") is null);
        Assert.Equal([3], await cache.GetAsync("for ever"));
        await cache.RemoveAsync("for ever");
        Assert.Null(await cache.GetAsync("for ever"));
    }

    [Fact]
    public async Task NRedisStack_s_own_commands_of_the_core()
    {
        using ConnectionMultiplexer redis = await ConnectionMultiplexer.ConnectAsync(Options());
        IDatabase db = redis.GetDatabase();
        Assert.True(await db.ClientSetInfoAsync(SetInfoAttr.LibraryName, "ours"));
        await db.ListRightPushAsync("list", ["a", "b", "c"]);
        Assert.Equal("a", (string?)(await db.BLPopAsync("list", 1))!.Item2);
        Assert.Equal("c", (string?)(await db.BRPopAsync("list", 1))!.Item2);
        Assert.Equal("b", (string?)await db.BLMoveAsync("list", "other", ListSide.Left, ListSide.Right, 1));
        await db.SortedSetAddAsync("zset", [new("one", 1), new("two", 2)]);
        Assert.Equal("one", (string?)(await db.BZPopMinAsync("zset", 1))!.Item2.Value);
        Assert.Equal("two", (string?)(await db.BZMPopAsync(1, ["none", "zset"], MinMaxModifier.Max))!.Item2[0].Value);
        RedisValue id = await db.StreamAddAsync("stream", "field", "value");
        RedisStreamEntries read = (await db.XReadAsync(["stream"], ["0"], timeoutMilliseconds: 100))![0];
        Assert.Equal(id, read.Entries[0].Id);
        Assert.Null(await db.XReadAsync(["stream"], ["$"], timeoutMilliseconds: 10));
    }

    private ConfigurationOptions Options()
    {
        ConfigurationOptions options = ConfigurationOptions.Parse(string.Create(CultureInfo.InvariantCulture, $"127.0.0.1:{Server.Port}"));
        options.AsyncTimeout = options.SyncTimeout = (int)Eventually.Deadline.TotalMilliseconds;
        options.ConnectRetry = 20;
        return options;
    }
}
