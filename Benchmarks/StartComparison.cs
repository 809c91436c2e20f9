namespace OrleansRedis.Benchmarks;

/// <summary>
/// What a server costs before it has done anything: how long from its execution until it answers PING, how much
/// processor time it has used by then, and what it takes while no client asks it for anything. Each is started once
/// before it counts, so that its files are in memory.
/// </summary>
internal sealed class StartComparison(ComparisonOptions options, IReadOnlyList<Peer> servers)
{
    private readonly TimeSpan settling = TimeSpan.FromSeconds(options.Quick ? 1 : 5),
        idling = TimeSpan.FromSeconds(options.Quick ? 2 : 10);

    public async Task RunAsync(FigureTable table)
    {
        foreach (Peer peer in servers)
            await using (await PeerProcess.StartAsync(peer)) { }
        Sample[][] samples = await Alternation.RunAsync(servers.Count, options.Rounds ?? 5, who => MeasureAsync(servers[who]));
        table.Header("start, without data");
        table.Row("from exec to the first PONG, ms", Of(samples, sample => sample.FirstPongMs), Better.Lower, "F0");
        table.Row("CPU time used by then, ms", Of(samples, sample => sample.CpuMs), Better.Lower, "F0");
        table.Row($"CPU when idle, over {idling.TotalSeconds:F0} s, % of a core", Of(samples, sample => sample.IdlePercent), Better.Lower);
        table.Row("resident memory at rest (VmRSS), MB", Of(samples, sample => sample.ResidentMb), Better.Lower, "F1");
    }

    private async Task<Sample> MeasureAsync(Peer peer)
    {
        await using PeerProcess server = await PeerProcess.StartAsync(peer);
        await Task.Delay(settling); // work that a start leaves for after the first PONG is not idling
        double before = server.CpuSeconds;
        await Task.Delay(idling);
        double idle = (server.CpuSeconds - before) / idling.TotalSeconds;
        return new(server.FirstPong.TotalMilliseconds, server.FirstPongCpuSeconds * 1000, idle * 100, server.ResidentBytes / 1e6);
    }

    private static double[][] Of(Sample[][] samples, Func<Sample, double> figure) =>
        [.. samples.Select(rounds => rounds.Select(figure).ToArray())];

    private readonly record struct Sample(double FirstPongMs, double CpuMs, double IdlePercent, double ResidentMb);
}
