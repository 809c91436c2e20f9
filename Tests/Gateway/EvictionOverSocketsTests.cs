using System.Globalization;
using OrleansRedis.Tests.Harness;
using Xunit;
using Xunit.Abstractions;

namespace OrleansRedis.Tests.Gateway;

/// <summary>maxmemory as clients see it, and whether the server knows how much memory it uses.</summary>
public sealed class EvictionOverSocketsTests(ITestOutputHelper output) : IAsyncLifetime
{
    private const int Mebibyte = 1 << 20;

    private RedisProcess server = null!;
    private RespConnection redis = null!;

    public async Task InitializeAsync()
    {
        server = await RedisProcess.StartAsync(ServerKind.OrleansRedis);
        redis = await server.ConnectAsync();
    }

    public async Task DisposeAsync()
    {
        await redis.DisposeAsync();
        await server.DisposeAsync();
    }

    [Theory]
    [InlineData("allkeys-lru", "")]
    [InlineData("allkeys-lfu", "")]
    [InlineData("allkeys-random", "")]
    [InlineData("volatile-ttl", "EX 10000")]
    public async Task A_pipeline_that_never_ends_fills_the_memory_and_no_more(string policy, string expiry)
    {
        long limit = await redis.InfoAsync("used_memory") + (4 * Mebibyte);
        await redis.CallAsync("CONFIG", "SET", "maxmemory", limit, "maxmemory-policy", policy);
        string[] options = expiry.Split(' ', StringSplitOptions.RemoveEmptyEntries);
        for (int batch = 0; batch < 40; batch++)
        {
            RespValue[] replies = await redis.PipelineAsync([.. Enumerable.Range(batch * 1000, 1000)
                .Select(i => (RespArgument[])["SET", $"key:{i}", new string('v', 200), .. options.Select(option => (RespArgument)option)])]);
            Assert.All(replies, reply => Assert.Equal("+OK", reply.ToString()));
            // The last command may have exceeded it.
            Assert.InRange(await redis.InfoAsync("used_memory"), 0, limit + 1024);
        }

        long evicted = await redis.InfoAsync("evicted_keys"), keys = (await redis.CallAsync("DBSIZE")).Integer;
        Assert.Equal(40_000, evicted + keys);
        Assert.InRange(keys, 5_000, 30_000);
    }

    [Fact]
    public async Task Without_eviction_what_needs_memory_is_refused_and_counted_and_everything_else_goes_on()
    {
        await redis.CallAsync("SET", "k", "v");
        await redis.CallAsync("CONFIG", "SET", "maxmemory", 1);
        Assert.Equal("-OOM command not allowed when used memory > 'maxmemory'.", (await redis.CallAsync("APPEND", "k", "w")).ToString());
        Assert.Equal("\"v\"", (await redis.CallAsync("GET", "k")).ToString());
        RespValue[] replies = await redis.PipelineAsync([["MULTI"], ["SET", "k", "w"], ["EXEC"]]);
        Assert.Equal("+OK", replies[0].ToString());
        Assert.StartsWith("-OOM", replies[1].ToString(), StringComparison.Ordinal);
        Assert.StartsWith("-EXECABORT", replies[2].ToString(), StringComparison.Ordinal);
        Assert.Contains("errorstat_OOM:count=2", (await redis.CallAsync("INFO", "errorstats")).Text, StringComparison.Ordinal);
        Assert.Contains("cmdstat_append:calls=0,usec=0,usec_per_call=0.00,rejected_calls=1", (await redis.CallAsync("INFO", "commandstats")).Text,
            StringComparison.Ordinal);
        Assert.Equal(":1", (await redis.CallAsync("DEL", "k")).ToString());
    }

    [Fact]
    public async Task What_a_client_does_not_read_counts_against_maxmemory_until_it_does()
    {
        const int Requests = 300;
        for (int i = 0; i < 50; i++) await redis.CallAsync("SET", $"key:{i}", new string('v', 100_000));
        long used = await redis.InfoAsync("used_memory"), limit = used + (2 * Mebibyte);
        await redis.CallAsync("CONFIG", "SET", "maxmemory", limit, "maxmemory-policy", "allkeys-lru");
        await using RespConnection slow = await server.ConnectAsync();
        await slow.SendRawAsync(string.Concat(Enumerable.Repeat("GET key:0\r\n", Requests)));
        await Eventually.TrueAsync(async () => await redis.InfoAsync("evicted_keys") != 0);
        Assert.InRange((await redis.CallAsync("DBSIZE")).Integer, 0, 49);
        for (int i = 0; i < Requests; i++) await slow.ReadAsync();
        await Eventually.TrueAsync(async () => await redis.InfoAsync("used_memory") < used);
        long evicted = await redis.InfoAsync("evicted_keys");
        Assert.Equal("+OK", (await redis.CallAsync("SET", "key:0", new string('v', 100_000))).ToString());
        Assert.Equal(evicted, await redis.InfoAsync("evicted_keys"));
    }

    [Fact]
    public async Task The_part_of_a_request_that_came_counts_against_maxmemory_until_its_client_is_gone()
    {
        await redis.CallAsync("SET", "key", "v");
        long limit = await redis.InfoAsync("used_memory") + Mebibyte;
        await redis.CallAsync("CONFIG", "SET", "maxmemory", limit);
        RespConnection other = await server.ConnectAsync();
        await using (other)
        {
            await other.SendRawAsync($"*2\r\n$4\r\nECHO\r\n${3 * Mebibyte}\r\n" + new string('x', 2 * Mebibyte));
            await Eventually.TrueAsync(async () => (await redis.CallAsync("APPEND", "key", "")).IsError);
            Assert.StartsWith("-OOM", (await redis.CallAsync("SET", "key", "w")).ToString(), StringComparison.Ordinal);
            Assert.InRange(await redis.InfoAsync("used_memory"), limit, limit + (2 * Mebibyte));
        }
        await Eventually.TrueAsync(async () => (await redis.CallAsync("SET", "key", "w")).ToString() == "+OK");
    }

    public static TheoryData<string> Kinds => ["strings", "hashes", "hash", "intsets", "list", "set", "zset", "zsets", "stream"];

    [Theory]
    [MemberData(nameof(Kinds))]
    public async Task Used_memory_is_within_ten_per_cent_of_what_the_heap_holds(string kind)
    {
        const int BatchCommands = 1000;
        int batches = kind is "list" or "stream" ? 600 : 150;
        for (int batch = 0; batch < batches; batch++)
        {
            RespValue[] replies = await redis.PipelineAsync([.. Enumerable.Range(batch * BatchCommands, BatchCommands).Select(i => Command(kind, i))]);
            Assert.DoesNotContain(replies, reply => reply.IsError);
        }

        // What the data takes is what becomes free when it is deleted. A measurement before the data came would not do
        // to compare with: then the heap still holds what the server made to start and no longer needs, and the busier
        // the machine, the longer it stays.
        (long used, long heap) = await MeasureAsync();
        await redis.CallAsync("FLUSHALL");
        (long used, long heap) after = await MeasureAsync();
        double ratio = (double)(used - after.used) / (heap - after.heap);
        output.WriteLine(string.Create(CultureInfo.InvariantCulture,
            $"{kind}: {used - after.used:N0} counted, {heap - after.heap:N0} in the heap: {ratio:F3}"));
        Assert.InRange(ratio, 0.9, 1.1);
    }

    private static RespArgument[] Command(string kind, int i) => kind switch
    {
        "strings" => ["SET", $"key:{i}", new string('v', i % 100)],
        "hashes" => ["HSET", $"user:{i}", "name", "someone", "age", i % 90, "city", "somewhere", "score", i, "flag", 1],
        "hash" => ["HSET", "hash", $"field:{i}", $"the value of {i}"],
        "intsets" => ["SADD", $"set:{i}", i, i + 1, i + 2, i + 3],
        "list" => ["RPUSH", "list", $"element:{i}", i],
        "set" => ["SADD", "set", $"member:{i}"],
        "zset" => ["ZADD", "zset", i, $"member:{i}"],
        "zsets" => ["ZADD", $"zset:{i}", 1, "a", 2.5, "b"],
        _ => ["XADD", "stream", "*", "sensor", i % 100, "temperature", 19.8],
    };

    /// <summary>What the server says it uses, and what its heap has allocated, once that no longer changes.</summary>
    private async Task<(long Used, long Heap)> MeasureAsync()
    {
        long heap = 0;
        int settled = 0;
        await Eventually.TrueAsync(async () =>
        {
            long last = heap;
            await redis.CallAsync("MEMORY", "PURGE");
            heap = await redis.InfoAsync("allocator_allocated");
            settled = Math.Abs(heap - last) < 100_000 ? settled + 1 : 0;
            return settled == 3;
        }, () => $"the heap does not settle; it is at {heap}");
        return (await redis.InfoAsync("used_memory"), heap);
    }
}
