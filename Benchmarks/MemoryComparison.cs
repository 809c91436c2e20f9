using System.Globalization;
using OrleansRedis.Tests.Harness;

namespace OrleansRedis.Benchmarks;

/// <summary>
/// How much memory the same data takes in Redis and here: what it adds to the process, once both have given back what loading it took,
/// and what it adds to used_memory. It needs no quiet machine.
/// </summary>
internal static class MemoryComparison
{
    private static readonly string value = new('x', 32);

    /// <summary>A data set.</summary>
    /// <param name="Name">What <c>--only</c> calls it.</param>
    /// <param name="What">What the table calls it.</param>
    /// <param name="Elements">What the bytes are divided by.</param>
    /// <param name="Commands">How many commands load it.</param>
    /// <param name="Command">Each of them.</param>
    private sealed record DataSet(string Name, string What, int Elements, int Commands, Func<int, RespArgument[]> Command);

    private static readonly DataSet[] all =
    [
        new("STRINGS", "strings of 32 bytes", 1_000_000, 1_000_000, i => ["SET", $"key:{i:D12}", value]),
        new("HASHES", "hashes of 5 small fields", 1_000_000, 1_000_000, i => ["HSET", $"user:{i}", "name", $"user {i}", "age", i % 90, "city", "Bergen", "visits", i % 1000, "score", i]),
        new("LIST", "elements of one list", 10_000_000, 10_000, i => ["RPUSH", "list", .. Enumerable.Range(i * 1000, 1000).Select(n => (RespArgument)$"element:{n}")]),
        new("ZSET", "members of one sorted set", 1_000_000, 10_000, i => ["ZADD", "zset", .. Enumerable.Range(i * 100, 100).SelectMany(n => new RespArgument[] { n, $"member:{n}" })]),
        new("INTSETS", "sets of 10 integers", 100_000, 100_000, i => ["SADD", $"set:{i}", .. Enumerable.Range(0, 10).Select(n => (RespArgument)(i + (n * 7L)))]),
        new("STREAM", "entries of one stream", 1_000_000, 1_000_000, i => ["XADD", "stream", "*", "sensor", i % 1000, "temperature", 19.5]),
    ];

    public static async Task RunAsync(string[] only)
    {
        Console.WriteLine();
        Console.WriteLine($"{"bytes each",-30} | {"resident",22} | {"used_memory",22}");
        foreach (DataSet data in all)
        {
            if (only.Length > 0 && !only.Contains(data.Name))
                continue;
            (double resident, double used) redis = await MeasureAsync(ServerKind.Redis, data), ours = await MeasureAsync(ServerKind.OrleansRedis, data);
            Console.WriteLine(string.Create(
                CultureInfo.InvariantCulture,
                $"{data.What,-30} | {redis.resident,7:F1} {ours.resident,7:F1} {ours.resident / redis.resident,6:F2} | {redis.used,7:F1} {ours.used,7:F1} {ours.used / redis.used,6:F2}"));
        }
    }

    private static async Task<(double Resident, double Used)> MeasureAsync(ServerKind kind, DataSet data)
    {
        await using RedisProcess server = await RedisProcess.StartAsync(kind);
        await using RespConnection redis = await server.ConnectAsync();
        redis.Timeout = TimeSpan.FromMinutes(2);
        // What a process takes when it first does something, for code that is compiled then above all, is not the data's.
        await LoadAsync(redis, data, data.Commands / 10);
        await Task.Delay(1000);
        await LoadAsync(redis, data, data.Commands / 10);
        await redis.CallAsync("FLUSHALL");
        (long residentBefore, long usedBefore) = await SettleAsync(server, redis);
        await LoadAsync(redis, data, data.Commands);
        (long resident, long used) = await SettleAsync(server, redis);
        return ((resident - residentBefore) / (double)data.Elements, (used - usedBefore) / (double)data.Elements);
    }

    private static async Task LoadAsync(RespConnection redis, DataSet data, int commands)
    {
        int batchCommands = Math.Max(1, 10_000 / data.Command(0).Length);
        for (int begin = 0; begin < commands; begin += batchCommands)
        {
            RespValue[] replies = await redis.PipelineAsync([.. Enumerable.Range(begin, Math.Min(batchCommands, commands - begin)).Select(data.Command)]);
            if (replies.FirstOrDefault(reply => reply.IsError) is { } error)
                throw new InvalidOperationException($"loading was answered {error}");
        }
    }

    /// <summary>Allocators and collectors give back after the work what the work no longer needs; the least within five seconds counts.</summary>
    private static async Task<(long Resident, long Used)> SettleAsync(RedisProcess server, RespConnection redis)
    {
        await redis.CallAsync("MEMORY", "PURGE");
        long least = ResidentBytes(server);
        for (int i = 0; i < 10; i++)
        {
            await Task.Delay(500);
            least = Math.Min(least, ResidentBytes(server));
        }

        string line = (await redis.CallAsync("INFO", "memory")).Text.Split("\r\n").Single(line => line.StartsWith("used_memory:", StringComparison.Ordinal));
        return (least, long.Parse(line["used_memory:".Length..], CultureInfo.InvariantCulture));
    }

    private static long ResidentBytes(RedisProcess server) =>
        long.Parse(File.ReadAllText($"/proc/{server.ProcessId}/statm").Split(' ')[1], CultureInfo.InvariantCulture) * Environment.SystemPageSize;
}
