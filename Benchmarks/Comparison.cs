using System.Diagnostics;
using System.Globalization;
using OrleansRedis.Tests.Harness;

namespace OrleansRedis.Benchmarks;

internal sealed class ComparisonOptions
{
    public int Rounds { get; set; } = 5;
    public string[] Only { get; set; } = [];
    public int[] Pipelines { get; set; } = [];
    public int RequestDivisor { get; set; } = 1;
    public bool Memory { get; set; } = true;
    public bool Startup { get; set; } = true;
}

/// <summary>
/// Runs the same lines of redis-benchmark against Redis and against this server, turn and turn about so that both see the same weather,
/// and prints medians. CPU is a process's own user and system time, from /proc/PID/stat.
/// </summary>
internal sealed class Comparison(ComparisonOptions options)
{
    private const int RandomKeys = 1_000_000;

    public async Task RunAsync()
    {
        Console.WriteLine($"{Environment.ProcessorCount} cores; redis-benchmark -c {RedisBenchmark.Clients} -d {RedisBenchmark.ValueBytes} -r {RandomKeys} (--threads 2 for LRANGE with a pipeline); medians of {options.Rounds} rounds; each cell: redis-server, ours, ratio ours/redis");
        if (options.Startup)
            await CompareStartupAsync();
        await CompareSpeedAsync();
        if (options.Memory)
            await MemoryComparison.RunAsync([]);
    }

    private async Task CompareStartupAsync()
    {
        double[][] ms = await AlternateAsync(async kind =>
        {
            long begin = Stopwatch.GetTimestamp();
            await using RedisProcess server = await RedisProcess.StartAsync(kind);
            return Stopwatch.GetElapsedTime(begin).TotalMilliseconds;
        });
        Console.WriteLine($"start to \"Ready to accept connections\": {RedisBenchmark.Median(ms[0]):F0} ms, {RedisBenchmark.Median(ms[1]):F0} ms");
    }

    private async Task CompareSpeedAsync()
    {
        await using RedisProcess redis = await RedisProcess.StartAsync(ServerKind.Redis);
        await using RedisProcess ours = await RedisProcess.StartAsync(ServerKind.OrleansRedis);
        Console.WriteLine();
        Console.WriteLine($"{"",-14} {"P",4} | {"requests/s",26} | {"server CPU µs/request",24} | {"p50 ms",20} | {"p99 ms",20} | client busy");
        foreach (Workload workload in Workload.All)
        {
            if (options.Only.Length > 0 && !options.Only.Contains(workload.Name))
                continue;
            if (await MissingAsync(ours, workload.Commands) is { } missing)
            {
                Console.WriteLine($"{workload.Name,-14} {missing} is not there yet");
                continue;
            }

            foreach (RedisProcess server in (RedisProcess[])[redis, ours])
            {
                await using RespConnection connection = await server.ConnectAsync();
                connection.Timeout = TimeSpan.FromMinutes(2);
                await connection.CallAsync("FLUSHALL");
                await workload.PrepareAsync(connection);
            }

            foreach (int depth in options.Pipelines.Length > 0 ? options.Pipelines : workload.Pipelines)
            {
                // Long enough, at every depth, for the clock ticks of /proc to measure it well.
                int requests = Math.Max(RedisBenchmark.Clients * depth, workload.Requests * (depth == 1 ? 1 : Math.Min(depth / 2, 16)) / options.RequestDivisor);
                await MeasureAsync(redis, workload, depth, Math.Max(1, requests / 2)); // warms up: ours is compiled while it runs
                await MeasureAsync(ours, workload, depth, Math.Max(1, requests / 2));
                Sample[][] samples = await AlternateAsync(kind => MeasureAsync(kind == ServerKind.Redis ? redis : ours, workload, depth, requests));
                Console.WriteLine($"{workload.Name,-14} {depth,4} | {Cell(samples, s => s.Seen.RequestsPerSecond / 1000, "F1", "k")} | {Cell(samples, s => s.CpuUs, "F2")} | {Cell(samples, s => s.Seen.P50Ms, "F2")} | {Cell(samples, s => s.Seen.P99Ms, "F2")} | {Percent(samples[0])} {Percent(samples[1])}");
            }
        }
    }

    /// <summary>Measures both, in turn and in changing order; [0] are Redis's results, [1] ours.</summary>
    private async Task<T[][]> AlternateAsync<T>(Func<ServerKind, Task<T>> measureAsync)
    {
        T[][] results = [new T[options.Rounds], new T[options.Rounds]];
        for (int round = 0; round < results[0].Length; round++)
        {
            for (int turn = 0; turn < 2; turn++)
            {
                int who = (round + turn) % 2;
                results[who][round] = await measureAsync(who == 0 ? ServerKind.Redis : ServerKind.OrleansRedis);
            }
        }

        return results;
    }

    private static async Task<Sample> MeasureAsync(RedisProcess server, Workload workload, int depth, int requests)
    {
        int threads = 1;
        if (workload.BurdensClient && depth > 1) (threads, requests) = (2, requests * 4); // with threads it takes quarters of a second for its clock
        if (workload.StockAsync is { } stockAsync)
        {
            await using RespConnection connection = await server.ConnectAsync();
            connection.Timeout = TimeSpan.FromMinutes(2);
            await stockAsync(connection, requests);
            await Task.Delay(1000); // what goes on behind that is none of the requests'
        }
        double serverBefore = ServerSeconds(server), clientBefore = ClientSeconds();
        string[] report = await RedisBenchmark.RunAsync(server, RandomKeys, depth, requests, [.. threads > 1 ? ["--threads", $"{threads}"] : Array.Empty<string>(), "--csv", .. workload.Arguments]);
        RedisBenchmark.Figures seen = RedisBenchmark.ReadCsv(report);
        return new(seen, (ServerSeconds(server) - serverBefore) * 1e6 / requests, (ClientSeconds() - clientBefore) * seen.RequestsPerSecond / requests / threads);
    }

    private static async Task<string?> MissingAsync(RedisProcess server, string[] commands)
    {
        await using RespConnection connection = await server.ConnectAsync();
        RespValue known = await connection.CallAsync([(RespArgument)"COMMAND", (RespArgument)"INFO", .. commands.Select(name => (RespArgument)name)]);
        return commands.Where((_, i) => known.IsError || known[i].IsNull).FirstOrDefault();
    }

    private static string Cell(Sample[][] samples, Func<Sample, double> value, string format, string unit = "")
    {
        double redis = RedisBenchmark.Median([.. samples[0].Select(value)]), ours = RedisBenchmark.Median([.. samples[1].Select(value)]);
        return string.Format(CultureInfo.InvariantCulture, "{0,7}{3} {1,7}{3} {2,5:F2}", redis.ToString(format, CultureInfo.InvariantCulture), ours.ToString(format, CultureInfo.InvariantCulture), ours / redis, unit);
    }

    private static string Percent(Sample[] samples) => $"{RedisBenchmark.Median([.. samples.Select(sample => sample.ClientBusy)]) * 100,4:F0}%";

    private static double ServerSeconds(RedisProcess server) => CpuSeconds(server.ProcessId, 11);

    /// <summary>Of those that have run so far.</summary>
    private static double ClientSeconds() => CpuSeconds(Environment.ProcessId, 13); // its children's that have ended

    /// <summary>User and system time: a field after the parenthesised name of proc(5)'s stat and the next one, in ticks of 10 ms.</summary>
    private static double CpuSeconds(int process, int field)
    {
        string stat = File.ReadAllText($"/proc/{process}/stat");
        string[] fields = stat[(stat.LastIndexOf(')') + 2)..].Split(' ');
        return (long.Parse(fields[field], CultureInfo.InvariantCulture) + long.Parse(fields[field + 1], CultureInfo.InvariantCulture)) / 100.0;
    }

    /// <param name="Seen">What redis-benchmark says.</param>
    /// <param name="CpuUs">The server's CPU time per request.</param>
    /// <param name="ClientBusy">The part of the time that redis-benchmark's threads were running, each: near 1 it is the limit, and the server is not.</param>
    private readonly record struct Sample(RedisBenchmark.Figures Seen, double CpuUs, double ClientBusy);
}
