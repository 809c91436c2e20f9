using System.Globalization;
using System.Text;
using OrleansRedis.Tests.Harness;
using Xunit;
using Xunit.Abstractions;

namespace OrleansRedis.Tests.Gateway;

/// <summary>
/// The memory that the process has, next to what its data take. What is no longer needed goes back to the system by
/// itself; tests wait until it has. "At rest" is what the process takes once it has done everything once: compiled code
/// is not due to the data.
/// </summary>
public sealed class ResidentMemoryTests(ITestOutputHelper output) : IAsyncLifetime
{
    private const long Mebibyte = 1 << 20, MostOverRest = 60 * Mebibyte;

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
    public async Task What_was_flushed_goes_back_to_the_system_however_small_it_was()
    {
        await FillAsync(10_000);
        await _redis.CallAsync("FLUSHALL");
        await FallsToAsync("allocator_resident", 8 * Mebibyte);
        long rest = await InfoAsync("used_memory_rss");
        await FillAsync(600_000);
        Assert.InRange(await InfoAsync("used_memory_rss"), rest + MostOverRest, long.MaxValue);
        await _redis.CallAsync("FLUSHALL");
        await FallsToAsync("allocator_resident", 8 * Mebibyte);
        await FallsToAsync("used_memory_rss", rest + MostOverRest);
    }

    [Fact]
    public async Task A_hundred_megabytes_leave_nothing_behind()
    {
        await UseLargeValuesAsync(1 * Mebibyte);
        await _redis.CallAsync("FLUSHALL");
        await FallsToAsync("allocator_resident", 8 * Mebibyte);
        long rest = await InfoAsync("used_memory_rss");
        for (int round = 0; round < 2; round++)
        {
            await UseLargeValuesAsync(100 * Mebibyte);
            await _redis.CallAsync("FLUSHALL");
            await FallsToAsync("used_memory_rss", rest + MostOverRest);
        }
    }

    /// <summary>
    /// All types, all sizes, expiry, eviction, clients that come and go. CHURN_SECONDS in the environment makes it last
    /// longer than its 20 seconds.
    /// </summary>
    [Fact]
    public async Task Churn_leaves_no_more_than_is_used()
    {
        int seconds = int.Parse(Environment.GetEnvironmentVariable("CHURN_SECONDS") ?? "20", CultureInfo.InvariantCulture);
        await _redis.CallAsync("CONFIG", "SET", "maxmemory", "96mb", "maxmemory-policy", "allkeys-lru");
        await ChurnAsync(round: 0, TimeSpan.FromSeconds(2));
        await _redis.CallAsync("FLUSHALL");
        await FallsToAsync("allocator_resident", 8 * Mebibyte);
        long rest = await InfoAsync("used_memory_rss");
        int rounds = Math.Max(4, seconds / 15);
        for (int round = 1; round <= rounds; round++)
        {
            await ChurnAsync(round, TimeSpan.FromSeconds((double)seconds / rounds));
            long used = 0, heap = 0, resident = 0;
            // The heap's own bound is exact, however little there was time for. What the process has beside it does not
            // depend on the data, and is bounded by a number.
            await Eventually.TrueAsync(
                async () =>
                {
                    used = await InfoAsync("used_memory");
                    heap = await InfoAsync("allocator_resident");
                    resident = await InfoAsync("used_memory_rss");
                    return heap <= used * 1.3 && resident <= (used * 1.3) + rest + MostOverRest;
                },
                () => $"round {round}: {used:N0} used, {heap:N0} in the heap, {resident:N0} resident, {rest:N0} at rest");
            output.WriteLine(string.Create(
                CultureInfo.InvariantCulture, $"{used:N0} used, {heap:N0} in the heap, {resident:N0} resident, {rest:N0} at rest"));
        }
        await _redis.CallAsync("FLUSHALL");
        await FallsToAsync("used_memory_rss", rest + MostOverRest);
    }

    private Task ChurnAsync(int round, TimeSpan time)
    {
        long end = Environment.TickCount64 + (long)time.TotalMilliseconds;
        return Task.WhenAll(Enumerable.Range(0, 4).Select(client => ChurnAsync(TestSeed.Random((round * 4) + client), end)));
    }

    private async Task ChurnAsync(Random random, long end)
    {
        while (Environment.TickCount64 < end)
        {
            await using RespConnection redis = await _server.ConnectAsync();
            for (int batch = random.Next(1, 20); batch > 0 && Environment.TickCount64 < end; batch--)
            {
                RespValue[] replies = await redis.PipelineAsync([.. Enumerable.Range(0, 50).Select(_ => Command(random))]);
                Assert.DoesNotContain(replies, reply => reply.IsError);
            }
        }
    }

    private static RespArgument[] Command(Random random)
    {
        int number = random.Next(2000), type = random.Next(6);
        string key = $"{"slhzxb"[type]}:{number}";
        switch (random.Next(8))
        {
            case 0: return ["PEXPIRE", key, random.Next(1, 3000)];
            case 1: return [random.Next(2) == 0 ? "DEL" : "UNLINK", key];
            case 2: return type == 0 ? ["GET", key] : ["OBJECT", "ENCODING", key];
        }
        // Most are small, a few large: each size as likely as twice that size.
        byte[] value = new byte[(int)Math.Pow(2, random.NextDouble() * (random.Next(100) == 0 ? 20 : 12))];
        RespArgument[] elements = [.. Enumerable.Range(0, random.Next(1, 20)).Select(_ => (RespArgument)random.Next(5000))];
        return type switch
        {
            0 => random.Next(2) == 0 ? ["SET", key, value] : ["SETRANGE", key, random.Next(1000), value],
            1 => ["RPUSH", key, value, .. elements],
            2 => ["HSET", key, "value", value, .. elements.SelectMany(element => new[] { element, element })],
            3 => ["ZADD", key, .. elements.SelectMany(element => new[] { element, element })],
            4 => ["XADD", key, "MAXLEN", "~", 500, "*", "value", value],
            _ => ["SADD", key, .. elements],
        };
    }

    private async Task UseLargeValuesAsync(long bytes)
    {
        byte[] value = new byte[bytes];
        Array.Fill(value, (byte)'v');
        await _redis.CallAsync("SET", "string", value);
        Assert.Equal(bytes, (await _redis.CallAsync("GET", "string")).Bytes.Length);
        await _redis.CallAsync("APPEND", "string", value);
        await _redis.CallAsync("SET", "string", value);
        byte[] dump = (await _redis.CallAsync("DUMP", "string")).Bytes;
        Assert.Equal("+OK", (await _redis.CallAsync("RESTORE", "string", 0, dump, "REPLACE")).ToString());
        await _redis.CallAsync("DEL", "string");
        byte[] element = new byte[bytes / 100];
        await _redis.PipelineAsync([.. Enumerable.Range(0, 100).Select(_ => (RespArgument[])["RPUSH", "list", element])]);
        Assert.Equal(100, (await _redis.CallAsync("LRANGE", "list", 0, -1)).Items.Count);
    }

    private async Task FillAsync(int keys)
    {
        const int BatchCommands = 5000;
        string value = new('v', 100);
        for (int begin = 0; begin < keys; begin += BatchCommands)
            await _redis.PipelineAsync([.. Enumerable.Range(begin, BatchCommands).Select(i => (RespArgument[])["SET", $"key:{i}", value])]);
    }

    private async Task FallsToAsync(string field, long bytes)
    {
        long now = 0;
        await Eventually.TrueAsync(
            async () => (now = await InfoAsync(field)) <= bytes,
            () => $"{field} is {now:N0}, and was to be {bytes:N0} at most");
        output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{field}: {now:N0}, at most {bytes:N0}"));
    }

    private async Task<long> InfoAsync(string field)
    {
        string info = Encoding.UTF8.GetString((await _redis.CallAsync("INFO", "memory")).Bytes);
        string line = info.Split("\r\n").Single(line => line.StartsWith(field + ":", StringComparison.Ordinal));
        return long.Parse(line[(field.Length + 1)..], CultureInfo.InvariantCulture);
    }
}
