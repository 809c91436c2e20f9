using System.Diagnostics;
using System.Globalization;
using OrleansRedis.Tests.Harness;

namespace OrleansRedis.Benchmarks;

/// <summary>
/// Snapshots and logs of a million keys beside redis-server: how long BGSAVE takes, how long loading what it wrote takes and loading as many logged commands,
/// and what a running BGSAVE does to the slowest of the clients that write at full load.
/// </summary>
internal sealed class PersistenceComparison(int rounds, int keys)
{
    public async Task RunAsync()
    {
        Console.WriteLine($"{Environment.ProcessorCount} cores; {keys:N0} keys of 16 bytes with values of {RedisBenchmark.ValueBytes}; medians of {rounds} rounds: redis-server, ours, ratio ours/redis");
        var saving = new double[2][];
        var loading = new double[2][];
        var replaying = new double[2][];
        var calm = new double[2][];
        var busy = new double[2][];
        var everysec = new double[2][];
        var always = new double[2][];
        foreach (double[][] results in (double[][][])[saving, loading, replaying, calm, busy, everysec, always]) (results[0], results[1]) = (new double[rounds], new double[rounds]);
        for (int round = 0; round < rounds; round++)
        {
            for (int turn = 0; turn < 2; turn++)
            {
                int who = (round + turn) % 2;
                ServerKind kind = who == 0 ? ServerKind.Redis : ServerKind.OrleansRedis;
                (saving[who][round], loading[who][round], calm[who][round], busy[who][round]) = await MeasureSnapshotAsync(kind);
                (replaying[who][round], everysec[who][round], always[who][round]) = await MeasureLogAsync(kind);
            }
        }
        Show("BGSAVE, ms", saving);
        Show("loading dump.rdb, ms", loading);
        Show("loading an append-only log of as many SET, ms", replaying);
        Show("SET with appendfsync everysec, pipeline 16, thousands/s", everysec);
        Show($"SET with appendfsync always, {RedisBenchmark.Clients} clients, thousands/s", always);
        Show($"SET at full load ({RedisBenchmark.Clients} clients), p99.9, ms", calm);
        Show("the same while BGSAVE runs all the time", busy);
        Console.WriteLine($"p99.9 with BGSAVE in terms of p99.9 without: {RedisBenchmark.Median(busy[0]) / RedisBenchmark.Median(calm[0]):F2}, {RedisBenchmark.Median(busy[1]) / RedisBenchmark.Median(calm[1]):F2}");
    }

    private async Task<(double SavingMs, double LoadingMs, double CalmMs, double BusyMs)> MeasureSnapshotAsync(ServerKind kind)
    {
        string directory = Directory.CreateTempSubdirectory("orleansredis-bench-").FullName;
        try
        {
            var saving = new List<double>();
            double calm, busy;
            await using (RedisProcess server = await RedisProcess.StartAsync(kind, directory, 0))
            {
                await using RespConnection redis = await server.ConnectAsync();
                redis.Timeout = TimeSpan.FromMinutes(2);
                await Workload.LoadStringsAsync(redis, i => $"key:{i:D12}", keys);
                await SaveAsync(redis); // the first one warms up
                for (int i = 0; i < 3; i++) saving.Add(await SaveAsync(redis));
                await SlowestAsync(server, seconds: 2);
                calm = await SlowestAsync(server, seconds: 5);
                using var stop = new CancellationTokenSource();
                Task disturbing = SaveAllTheTimeAsync(server, stop.Token);
                await SlowestAsync(server, seconds: 2); // as without
                busy = await SlowestAsync(server, seconds: 5);
                await stop.CancelAsync();
                await disturbing;
                await SaveAsync(redis);
            }
            await using RedisProcess second = await RedisProcess.StartAsync(kind, directory, 0);
            return (RedisBenchmark.Median([.. saving]), LoadedMs(second, "DB loaded from disk: "), calm, busy);
        }
        finally
        {
            Directory.Delete(directory, recursive: true);
        }
    }

    private async Task<(double LoadingMs, double Everysec, double Always)> MeasureLogAsync(ServerKind kind)
    {
        string directory = Directory.CreateTempSubdirectory("orleansredis-bench-").FullName;
        string[] directives = ["--appendonly", "yes", "--auto-aof-rewrite-percentage", "0"];
        try
        {
            await using (RedisProcess server = await RedisProcess.StartAsync(kind, directory, 0, directives))
            {
                await using RespConnection redis = await server.ConnectAsync();
                redis.Timeout = TimeSpan.FromMinutes(2);
                await Workload.LoadStringsAsync(redis, i => $"key:{i:D12}", keys);
                await server.TerminateAsync();
                await server.WaitForExitAsync(TimeSpan.FromMinutes(1));
            }
            await using RedisProcess second = await RedisProcess.StartAsync(kind, directory, 0, directives);
            double loading = LoadedMs(second, "DB loaded from append only file: ");
            await ThroughputAsync(second, pipeline: 16, keys);
            double everysec = await ThroughputAsync(second, pipeline: 16, keys * 3);
            await using RespConnection administrator = await second.ConnectAsync();
            await administrator.LineAsync("CONFIG SET appendfsync always");
            await ThroughputAsync(second, pipeline: 1, keys / 10);
            return (loading, everysec, await ThroughputAsync(second, pipeline: 1, keys / 5));
        }
        finally
        {
            Directory.Delete(directory, recursive: true);
        }
    }

    private static double LoadedMs(RedisProcess server, string line)
    {
        string found = server.Log.First(text => text.Contains(line, StringComparison.Ordinal));
        string seconds = found[(found.IndexOf(line, StringComparison.Ordinal) + line.Length)..].Split(' ')[0];
        return 1000 * double.Parse(seconds, CultureInfo.InvariantCulture);
    }

    /// <summary>BGSAVE, and how long INFO says that it is in progress.</summary>
    private static async Task<double> SaveAsync(RespConnection redis, int askEveryMs = 2)
    {
        long begin = Stopwatch.GetTimestamp();
        await redis.LineAsync("BGSAVE");
        while (!(await redis.LineAsync("INFO persistence")).Text.Contains("rdb_bgsave_in_progress:0", StringComparison.Ordinal)) await Task.Delay(askEveryMs);
        double took = Stopwatch.GetElapsedTime(begin).TotalMilliseconds;
        if (!(await redis.LineAsync("INFO persistence")).Text.Contains("rdb_last_bgsave_status:ok", StringComparison.Ordinal)) throw new InvalidOperationException("BGSAVE failed.");
        return took;
    }

    private static async Task SaveAllTheTimeAsync(RedisProcess server, CancellationToken stop)
    {
        await using RespConnection redis = await server.ConnectAsync();
        while (!stop.IsCancellationRequested) await SaveAsync(redis, askEveryMs: 10);
    }

    /// <summary>The p99.9 of SET, in ms, while as many clients as there are send one after the other.</summary>
    private async Task<double> SlowestAsync(RedisProcess server, int seconds)
    {
        string[] report = await RedisBenchmark.RunAsync(server, keys, pipeline: 1, 100_000 * seconds, "-t", "set");
        // "99.902% <= 1.055 milliseconds (cumulative count 199805)", in rising order
        foreach (string line in report)
        {
            string[] words = line.Split(' ', StringSplitOptions.RemoveEmptyEntries);
            if (words is [var percent, "<=", var ms, "milliseconds", ..] && percent.EndsWith('%') && double.Parse(percent[..^1], CultureInfo.InvariantCulture) >= 99.9)
                return double.Parse(ms, CultureInfo.InvariantCulture);
        }
        throw new InvalidOperationException($"redis-benchmark did not say how slow the slowest were: {string.Join('\n', report)}");
    }

    /// <summary>How many thousand SETs a second the clients get done.</summary>
    private async Task<double> ThroughputAsync(RedisProcess server, int pipeline, int requests) =>
        RedisBenchmark.ReadCsv(await RedisBenchmark.RunAsync(server, keys, pipeline, requests, "-t", "set", "--csv")).RequestsPerSecond / 1000;

    private static void Show(string what, double[][] results) =>
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{what,-55} {RedisBenchmark.Median(results[0]),9:F2} {RedisBenchmark.Median(results[1]),9:F2} {RedisBenchmark.Median(results[1]) / RedisBenchmark.Median(results[0]),6:F2}"));
}
