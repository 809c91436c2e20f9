using System.Globalization;
using OrleansRedis.Tests.Harness;
using Xunit;
using Xunit.Abstractions;

namespace OrleansRedis.Tests.Gateway;

/// <summary>
/// All types, all sizes, expiry, eviction, clients that come and go: the memory that the process has follows the data, and
/// does not drift away from them. CHURN_SECONDS in the environment makes it last longer than half a minute; an hour is
/// 3600.
/// </summary>
public sealed class ChurnTests(ITestOutputHelper output)
{
    private const long Mebibyte = 1 << 20;

    /// <summary>
    /// What compiled code and clients that come and go may add to what the process has beside its data, however much these
    /// are; and what a span of each size takes, with however little in it.
    /// </summary>
    private const long MostOverRest = 32 * Mebibyte, MostInSpans = 8 * Mebibyte;

    private const int Clients = 4, LeastRounds = 3, SecondsPerRound = 20;

    // The server becomes idle in between, and then does what it does only when nobody uses it.
    private static readonly TimeSpan s_quiet = TimeSpan.FromSeconds(4);

    private static readonly int s_seconds = int.Parse(Environment.GetEnvironmentVariable("CHURN_SECONDS") ?? "30", CultureInfo.InvariantCulture);

    [Fact]
    public async Task Resident_memory_stays_within_a_third_more_than_is_used()
    {
        await using RedisProcess server = await RedisProcess.StartAsync(ServerKind.OrleansRedis);
        await using RespConnection redis = await server.ConnectAsync();
        await redis.CallAsync("CONFIG", "SET", "maxmemory", "128mb", "maxmemory-policy", "allkeys-lru");
        // What is compiled when something is done for the first time is not due to the data.
        await ChurnAsync(server, round: 0, TimeSpan.FromSeconds(5));
        await redis.CallAsync("FLUSHALL");
        long rest = 0;
        await ComesTrueAsync(async () =>
        {
            rest = await redis.InfoAsync("used_memory_rss");
            return await redis.InfoAsync("allocator_resident") < 4 * Mebibyte;
        });
        int rounds = Math.Max(LeastRounds, s_seconds / SecondsPerRound);
        for (int round = 1; round <= rounds; round++)
        {
            await ChurnAsync(server, round, TimeSpan.FromSeconds((double)s_seconds / rounds));
            long used = 0, heap = 0, resident = 0, atOnce = await redis.InfoAsync("used_memory_rss");
            await ComesTrueAsync(
                async () =>
                {
                    used = await redis.InfoAsync("used_memory");
                    heap = await redis.InfoAsync("allocator_resident");
                    resident = await redis.InfoAsync("used_memory_rss");
                    return heap <= (used * 1.3) + MostInSpans && resident <= (used * 1.3) + rest + MostOverRest;
                },
                () => $"round {round}: {used:N0} used, {heap:N0} in the heap, {resident:N0} resident, {rest:N0} at rest");
            output.WriteLine($"{used:N0} used, {heap:N0} in the heap, {resident:N0} resident, {atOnce:N0} while it was busy, {rest:N0} at rest");
        }
        await redis.CallAsync("FLUSHALL");
        await ComesTrueAsync(async () => await redis.InfoAsync("used_memory_rss") < rest + MostOverRest);
    }

    private static Task ComesTrueAsync(Func<Task<bool>> condition, Func<string>? otherwise = null) => Eventually.TrueAsync(
        async () =>
        {
            await Task.Delay(s_quiet);
            return await condition();
        },
        otherwise);

    private static Task ChurnAsync(RedisProcess server, int round, TimeSpan time)
    {
        long end = Environment.TickCount64 + (long)time.TotalMilliseconds;
        return Task.WhenAll(Enumerable.Range(0, Clients).Select(client => ChurnAsync(server, TestSeed.Random((round * Clients) + client), end)));
    }

    private static async Task ChurnAsync(RedisProcess server, Random random, long end)
    {
        const int Together = 50, MostBatches = 20;
        while (Environment.TickCount64 < end)
        {
            await using RespConnection redis = await server.ConnectAsync();
            for (int batch = random.Next(1, MostBatches); batch > 0 && Environment.TickCount64 < end; batch--)
            {
                RespValue[] replies = await redis.PipelineAsync([.. Enumerable.Range(0, Together).Select(_ => Command(random))]);
                Assert.DoesNotContain(replies, reply => reply.IsError);
            }
        }
    }

    private static RespArgument[] Command(Random random)
    {
        int number = random.Next(10_000), type = random.Next(6);
        string key = $"{"slhzxb"[type]}:{number}";
        switch (random.Next(16))
        {
            case 0: return ["PEXPIRE", key, random.Next(1, 30_000)];
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
}
