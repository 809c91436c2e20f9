using OrleansRedis.Tests.Harness;

namespace OrleansRedis.Benchmarks;

/// <summary>Runs the same lines of redis-benchmark against all servers in alternation.</summary>
internal sealed class SpeedComparison(ComparisonOptions options, IReadOnlyList<Peer> servers)
{
    private const int RandomKeys = 1_000_000;
    private static readonly TimeSpan warmUpLimit = TimeSpan.FromSeconds(20);
    private readonly int rounds = options.Rounds ?? 5;

    public async Task RunAsync(FigureTable table)
    {
        table.Header($"redis-benchmark -c {RedisBenchmark.Clients} -d {RedisBenchmark.ValueBytes} -r {RandomKeys}");
        var processes = new PeerProcess[servers.Count];
        try
        {
            for (int i = 0; i < processes.Length; i++)
                processes[i] = await PeerProcess.StartAsync(servers[i]);
            foreach (Workload workload in Workload.All.Where(
                workload => options.Only.Length == 0 || options.Only.Contains(workload.Name)))
                await CompareAsync(table, workload, processes);
        }
        finally
        {
            foreach (PeerProcess? server in processes)
                if (server is not null)
                    await server.DisposeAsync();
        }
    }

    private async Task CompareAsync(FigureTable table, Workload workload, PeerProcess[] all)
    {
        var taking = new List<PeerProcess>();
        foreach (PeerProcess server in all)
        {
            if (await PrepareAsync(server, workload) is { } reason)
                Console.WriteLine($"{workload.Name}: without {server.Peer.Name}: {reason}");
            else
                taking.Add(server);
        }

        if (!taking.Contains(all[^1]))
            return; // without ours there is nothing to compare with
        foreach (int depth in options.Pipelines.Length > 0 ? options.Pipelines : workload.Pipelines)
        {
            // Long enough, at every depth, to be measured well by the clock ticks of /proc.
            int requests = Math.Max(
                RedisBenchmark.Clients * depth,
                workload.Requests * (depth == 1 ? 1 : Math.Min(depth / 2, 16)) / (options.Quick ? 10 : 1));
            foreach (PeerProcess server in taking.ToArray())
            {
                if (await WarmUpAsync(server, workload, depth, Math.Max(1, requests / 2)) is not { } reason)
                    continue;
                Console.WriteLine($"{workload.Name} P={depth}: without {server.Peer.Name}: {reason}");
                taking.Remove(server);
            }

            Sample[][] samples = await Alternation.RunAsync(
                taking.Count, rounds, who => MeasureAsync(taking[who], workload, depth, requests));
            double[][] Of(Func<Sample, double> figure) =>
                [.. all.Select(server => taking.IndexOf(server) is >= 0 and int who ? samples[who].Select(figure).ToArray() : [])];
            string line = $"{workload.Name} P={depth}";
            table.Row($"{line,-20} requests/s, thousands", Of(sample => sample.Seen.RequestsPerSecond / 1000), Better.Higher, "F1");
            table.Row($"{line,-20} server CPU per request, µs", Of(sample => sample.CpuUs), Better.Lower);
            table.Row($"{line,-20} p50, ms", Of(sample => sample.Seen.P50Ms), Better.Lower);
            table.Row($"{line,-20} p99, ms", Of(sample => sample.Seen.P99Ms), Better.Lower);
            table.Row($"{line,-20} client's threads busy, %", Of(sample => sample.ClientBusy * 100), Better.Neither, "F0");
        }
    }

    /// <summary>Empties a server and loads what the workload needs.</summary>
    /// <returns>Why it cannot take part, or null. If our own server refuses a command that it knows, that is not a
    /// reason but a failure, so it throws.</returns>
    private static async Task<string?> PrepareAsync(PeerProcess server, Workload workload)
    {
        await using RespConnection connection = await server.ConnectAsync();
        RespValue known = await connection.CallAsync(
            [(RespArgument)"COMMAND", (RespArgument)"INFO", .. workload.Commands.Select(name => (RespArgument)name)]);
        if (workload.Commands.Where((_, i) => known.IsError || i >= known.Items.Count || known[i].IsNull).FirstOrDefault() is { } missing)
            return $"it has no {missing}";
        await connection.CallAsync("FLUSHALL");
        try
        {
            if (workload.IsTls)
                await server.OpenTlsAsync(connection);
            await workload.PrepareAsync(connection);
            if (workload.StockAsync is { } stockAsync)
                await stockAsync(connection, 1);
            return null;
        }
        catch (InvalidOperationException e) when (server.Peer.Dialect != Dialect.OrleansRedis)
        {
            return e.Message;
        }
    }

    /// <summary>Has a server do what will be measured, so that managed code is compiled before.</summary>
    /// <returns>Why it cannot take part, or null. Some commands are so slow on some peers that the rounds would take
    /// hours.</returns>
    private static async Task<string?> WarmUpAsync(PeerProcess server, Workload workload, int depth, int requests)
    {
        bool isPeer = server.Peer.Dialect != Dialect.OrleansRedis;
        try
        {
            await MeasureAsync(server, workload, depth, requests, isPeer ? warmUpLimit : Timeout.InfiniteTimeSpan);
            return null;
        }
        catch (Exception e) when (isPeer && (e is InvalidOperationException or TimeoutException))
        {
            return e.Message;
        }
    }

    private static Task<Sample> MeasureAsync(PeerProcess server, Workload workload, int depth, int requests) =>
        MeasureAsync(server, workload, depth, requests, Timeout.InfiniteTimeSpan);

    private static async Task<Sample> MeasureAsync(PeerProcess server, Workload workload, int depth, int requests, TimeSpan limit)
    {
        int threads = 1;
        if (workload.BurdensClient && depth > 1)
            // With threads, redis-benchmark's clock only has a resolution of a quarter of a second.
            (threads, requests) = (2, requests * 4);
        if (workload.StockAsync is { } stockAsync)
        {
            await using RespConnection connection = await server.ConnectAsync();
            await stockAsync(connection, requests);
            await Task.Delay(1000); // stocking may leave background work, which must not count as the requests'
        }

        double serverBefore = server.CpuSeconds, clientBefore = ClientSeconds();
        if (workload.Transaction != 0)
        {
            RedisBenchmark.Figures rate = TransactionLoad.Run(server, RandomKeys, depth, requests, workload.Transaction);
            return new(rate, (server.CpuSeconds - serverBefore) * 1e6 / requests, double.NaN);
        }
        string[] extra = [.. threads > 1 ? ["--threads", $"{threads}"] : Array.Empty<string>(), .. workload.IsTls ? server.TlsArguments : []];
        string[] report = await RedisBenchmark.RunAsync(
            server, limit, RandomKeys, depth, requests, [.. extra, "--csv", .. workload.Arguments]);
        RedisBenchmark.Figures seen = RedisBenchmark.ReadCsv(report);
        return new(
            seen,
            (server.CpuSeconds - serverBefore) * 1e6 / requests,
            (ClientSeconds() - clientBefore) * seen.RequestsPerSecond / requests / threads);
    }

    /// <summary>CPU seconds of all clients that have run so far.</summary>
    private static double ClientSeconds() => ProcessTimes.CpuSeconds(Environment.ProcessId, ProcessTimes.Children);

    /// <param name="Seen">What redis-benchmark reports.</param>
    /// <param name="CpuUs">The server's CPU time per request, in µs.</param>
    /// <param name="ClientBusy">The fraction of the time for which each of redis-benchmark's threads was running. Near
    /// 1, the client is the limit and not the server.</param>
    private readonly record struct Sample(RedisBenchmark.Figures Seen, double CpuUs, double ClientBusy);
}
