using System.Globalization;
using OrleansRedis.Tests.Harness;
using Xunit;
using Xunit.Abstractions;

namespace OrleansRedis.Tests.Gateway;

/// <summary>activedefrag in a real server, as in unit/memefficiency of Redis's suite.</summary>
public sealed class ActiveDefragmentationOverSocketsTests(ITestOutputHelper output) : IAsyncLifetime
{
    private const long Mebibyte = 1 << 20;
    private const int Keys = 400_000, Elements = 100_000, AtOnce = 5000;

    /// <summary>With more than half of it free, housekeeping would not wait for activedefrag.</summary>
    private const double Deleted = 0.45;

    private RedisProcess _server = null!;
    private RespConnection _redis = null!;

    public async Task InitializeAsync()
    {
        _server = await RedisProcess.StartAsync(ServerKind.OrleansRedis);
        _redis = await _server.ConnectAsync();
    }

    public async Task DisposeAsync()
    {
        await _redis.DisposeAsync();
        await _server.DisposeAsync();
    }

    [Fact]
    public async Task What_deletions_leave_behind_becomes_free_while_clients_are_served()
    {
        await FillAsync();
        await DeleteAtRandomAsync();
        string digest = (await _redis.CallAsync("DEBUG", "DIGEST")).Text;
        await Eventually.TrueAsync(async () => await _redis.InfoAsync("allocator_resident") - await _redis.InfoAsync("allocator_active") < 16 * Mebibyte);
        // What else is resident depends on when garbage was last collected: here, before each look.
        await CallOkAsync("MEMORY", "PURGE");
        long residentBefore = await _redis.InfoAsync("used_memory_rss"), freeBefore = await _redis.InfoAsync("allocator_frag_bytes");
        long usedBefore = await _redis.InfoAsync("used_memory");
        Assert.InRange(freeBefore, 24 * Mebibyte, long.MaxValue);
        Assert.Equal(0, await _redis.InfoAsync("active_defrag_running"));
        Assert.Equal(0, await _redis.InfoAsync("active_defrag_hits"));

        await CallOkAsync("CONFIG", "SET", "active-defrag-ignore-bytes", "2mb", "active-defrag-cycle-min", 40, "active-defrag-cycle-max", 60);
        await CallOkAsync("CONFIG", "SET", "activedefrag", "yes");
        long free = freeBefore;
        await Eventually.TrueAsync(
            async () =>
            {
                // Also what is under way meets nothing but finished keys.
                Assert.Equal("PONG", (await _redis.CallAsync("PING")).Text);
                await CallOkAsync("SET", "meanwhile", "v");
                return (free = await _redis.InfoAsync("allocator_frag_bytes")) < freeBefore / 4 && await _redis.InfoAsync("active_defrag_running") == 0;
            },
            () => $"{freeBefore:N0} bytes were free between others, and {free:N0} still are");
        await _redis.CallAsync("DEL", "meanwhile");
        Assert.Equal(digest, (await _redis.CallAsync("DEBUG", "DIGEST")).Text);
        Assert.InRange(await _redis.InfoAsync("used_memory"), usedBefore * 0.99, usedBefore * 1.01);
        foreach (string field in (string[])["active_defrag_hits", "active_defrag_misses", "active_defrag_key_hits", "total_active_defrag_time"])
            Assert.NotEqual(0, await _redis.InfoAsync(field));
        await FallsToAsync("used_memory_rss", residentBefore - (freeBefore / 2));
        await CallOkAsync("CONFIG", "RESETSTAT");
        Assert.Equal(0, await _redis.InfoAsync("active_defrag_key_misses"));
    }

    private async Task FillAsync()
    {
        for (int begin = 0; begin < Keys; begin += AtOnce)
            await _redis.PipelineAsync([.. Enumerable.Range(begin, AtOnce).Select(i => (RespArgument[])["SET", $"key:{i}", new string('v', 50 + (i % 150))])]);
        for (int begin = 0; begin < Elements; begin += AtOnce)
        {
            await _redis.PipelineAsync(
            [
                .. Enumerable.Range(begin, AtOnce).SelectMany(i => (RespArgument[][])
                [
                    ["HSET", "hash", $"f{i}", $"value {i}"], ["SADD", "set", $"m{i}"], ["ZADD", "zset", i % 1000, $"m{i}"], ["RPUSH", "list", $"element {i}"],
                    ["XADD", "stream", "*", "field", $"value {i}"],
                ]),
            ]);
        }
    }

    private async Task DeleteAtRandomAsync()
    {
        Random random = TestSeed.Random(0);
        for (int begin = 0; begin < Keys; begin += AtOnce)
        {
            await _redis.PipelineAsync(
                [.. Enumerable.Range(begin, AtOnce).Where(_ => random.NextDouble() < Deleted).Select(i => (RespArgument[])["DEL", $"key:{i}"])]);
        }
        for (int begin = 0; begin < Elements; begin += AtOnce)
        {
            await _redis.PipelineAsync(
            [
                .. Enumerable.Range(begin, AtOnce).Where(_ => random.NextDouble() < Deleted).SelectMany(i => (RespArgument[][])
                    [["HDEL", "hash", $"f{i}"], ["SREM", "set", $"m{i}"], ["ZREM", "zset", $"m{i}"], ["LPOP", "list"]]),
            ]);
        }
    }

    private async Task CallOkAsync(params RespArgument[] command) => Assert.Equal("+OK", (await _redis.CallAsync(command)).ToString());

    private async Task FallsToAsync(string field, long bytes)
    {
        long now = 0;
        await Eventually.TrueAsync(
            async () =>
            {
                await CallOkAsync("MEMORY", "PURGE");
                return (now = await _redis.InfoAsync(field)) <= bytes;
            },
            () => $"{field} is {now:N0}, and was to be {bytes:N0} at most");
        output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{field}: {now:N0}, at most {bytes:N0}"));
    }
}
