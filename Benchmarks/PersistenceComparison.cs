using System.Diagnostics;
using System.Globalization;
using OrleansRedis.Tests.Harness;

namespace OrleansRedis.Benchmarks;

/// <summary>
/// Snapshots and logs of a million keys: how long BGSAVE takes, how long it takes to load the result and to load the
/// same number of logged commands, and how a running BGSAVE affects the slowest requests of clients that write at full
/// load.
/// </summary>
internal sealed class PersistenceComparison(ComparisonOptions options, IReadOnlyList<Peer> servers)
{
    private readonly int keys = options.Quick ? 100_000 : 1_000_000;

    public async Task RunAsync(FigureTable table)
    {
        Sample[][] samples = await Alternation.RunAsync(servers.Count, options.Rounds ?? 3, async who =>
            new Sample(await MeasureSnapshotAsync(servers[who]), await MeasureLogAsync(servers[who])));
        double[][] Of(Func<Sample, double> figure) => [.. samples.Select(rounds => rounds.Select(figure).ToArray())];
        table.Header($"persistence, {keys:N0} keys");
        table.Row("BGSAVE, ms", Of(sample => sample.Snapshot.SavingMs), Better.Lower, "F0");
        table.Row("loading dump.rdb, ms", Of(sample => sample.Snapshot.LoadingMs), Better.Lower, "F0");
        table.Row("loading a log of as many SETs, ms", Of(sample => sample.Log.LoadingMs), Better.Lower, "F0");
        table.Row("SET, appendfsync everysec, P=16, thousands/s", Of(sample => sample.Log.Everysec), Better.Higher, "F1");
        table.Row(
            $"SET, appendfsync always, {RedisBenchmark.Clients} clients, thousands/s", Of(sample => sample.Log.Always), Better.Higher, "F1");
        table.Row("SET at full load, p99.9, ms", Of(sample => sample.Snapshot.CalmMs), Better.Lower);
        table.Row("the same while BGSAVE runs all the time", Of(sample => sample.Snapshot.BusyMs), Better.Lower);
        table.Row("that in terms of the p99.9 without", Of(sample => sample.Snapshot.BusyMs / sample.Snapshot.CalmMs), Better.Neither);
    }

    private async Task<SnapshotSample> MeasureSnapshotAsync(Peer peer)
    {
        string directory = Directory.CreateTempSubdirectory("orleansredis-bench-").FullName;
        try
        {
            var saving = new List<double>();
            double calm, busy;
            await using (PeerProcess server = await PeerProcess.StartAsync(peer, directory))
            {
                await using RespConnection redis = await server.ConnectAsync();
                await Workload.LoadStringsAsync(redis, i => $"key:{i:D12}", keys);
                await SaveAsync(redis); // the first one only warms up
                for (int i = 0; i < 3; i++) saving.Add(await SaveAsync(redis));
                await SlowestAsync(server, seconds: 2);
                calm = await SlowestAsync(server, seconds: 5);
                using var stop = new CancellationTokenSource();
                Task disturbing = SaveAllTheTimeAsync(server, stop.Token);
                await SlowestAsync(server, seconds: 2); // warms up, as without BGSAVE
                busy = await SlowestAsync(server, seconds: 5);
                await stop.CancelAsync();
                await disturbing;
                await SaveAsync(redis);
            }
            await using PeerProcess second = await PeerProcess.StartAsync(peer, directory);
            return new(RedisBenchmark.Median([.. saving]), await LoadedMsAsync(second, "DB loaded from disk: "), calm, busy);
        }
        finally
        {
            Directory.Delete(directory, recursive: true);
        }
    }

    private async Task<LogSample> MeasureLogAsync(Peer peer)
    {
        string directory = Directory.CreateTempSubdirectory("orleansredis-bench-").FullName;
        string[] directives = ["--appendonly", "yes", "--auto-aof-rewrite-percentage", "0"];
        try
        {
            await using (PeerProcess server = await PeerProcess.StartAsync(peer, directory, directives))
            {
                await using RespConnection redis = await server.ConnectAsync();
                await Workload.LoadStringsAsync(redis, i => $"key:{i:D12}", keys);
                await server.ShutDownAsync();
            }
            await using PeerProcess second = await PeerProcess.StartAsync(peer, directory, directives);
            double loading = await LoadedMsAsync(second, "DB loaded from append only file: ");
            await ThroughputAsync(second, pipeline: 16, keys);
            double everysec = await ThroughputAsync(second, pipeline: 16, keys * 3);
            await using RespConnection administrator = await second.ConnectAsync();
            await administrator.LineAsync("CONFIG SET appendfsync always");
            await ThroughputAsync(second, pipeline: 1, keys / 10);
            return new(loading, everysec, await ThroughputAsync(second, pipeline: 1, keys / 5));
        }
        finally
        {
            Directory.Delete(directory, recursive: true);
        }
    }

    private static async Task<double> LoadedMsAsync(PeerProcess server, string line)
    {
        string found = await server.LogLineAsync(line);
        string seconds = found[(found.IndexOf(line, StringComparison.Ordinal) + line.Length)..].Split(' ')[0];
        return 1000 * double.Parse(seconds, CultureInfo.InvariantCulture);
    }

    /// <summary>Runs BGSAVE, and returns for how many ms INFO reports it in progress.</summary>
    private static async Task<double> SaveAsync(RespConnection redis, int askEveryMs = 2)
    {
        long begin = Stopwatch.GetTimestamp();
        await redis.LineAsync("BGSAVE");
        while (!(await redis.LineAsync("INFO persistence")).Text.Contains("rdb_bgsave_in_progress:0", StringComparison.Ordinal))
            await Task.Delay(askEveryMs);
        double took = Stopwatch.GetElapsedTime(begin).TotalMilliseconds;
        if (!(await redis.LineAsync("INFO persistence")).Text.Contains("rdb_last_bgsave_status:ok", StringComparison.Ordinal))
            throw new InvalidOperationException("BGSAVE failed.");
        return took;
    }

    private static async Task SaveAllTheTimeAsync(PeerProcess server, CancellationToken stop)
    {
        await using RespConnection redis = await server.ConnectAsync();
        while (!stop.IsCancellationRequested) await SaveAsync(redis, askEveryMs: 10);
    }

    /// <summary>The p99.9 of SET, in ms, while every client sends one request after another.</summary>
    private async Task<double> SlowestAsync(PeerProcess server, int seconds)
    {
        string[] report = await RedisBenchmark.RunAsync(server, keys, pipeline: 1, keys / 10 * seconds, "-t", "set");
        // "99.902% <= 1.055 milliseconds (cumulative count 199805)", in ascending order.
        foreach (string line in report)
        {
            string[] words = line.Split(' ', StringSplitOptions.RemoveEmptyEntries);
            if (words is [var percent, "<=", var ms, "milliseconds", ..] && percent.EndsWith('%')
                && double.Parse(percent[..^1], CultureInfo.InvariantCulture) >= 99.9)
                return double.Parse(ms, CultureInfo.InvariantCulture);
        }
        throw new InvalidOperationException($"redis-benchmark did not say how slow the slowest were: {string.Join('\n', report)}");
    }

    /// <summary>How many thousand SETs per second the clients achieve.</summary>
    private async Task<double> ThroughputAsync(PeerProcess server, int pipeline, int requests) =>
        RedisBenchmark.ReadCsv(await RedisBenchmark.RunAsync(server, keys, pipeline, requests, "-t", "set", "--csv"))
            .RequestsPerSecond / 1000;

    private readonly record struct SnapshotSample(double SavingMs, double LoadingMs, double CalmMs, double BusyMs);

    private readonly record struct LogSample(double LoadingMs, double Everysec, double Always);

    private readonly record struct Sample(SnapshotSample Snapshot, LogSample Log);
}
