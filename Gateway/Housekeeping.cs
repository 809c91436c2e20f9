namespace OrleansRedis.Gateway;

/// <summary>What must happen to connections though nothing happens on them: idle ones are closed (timeout), and rates are sampled for INFO.</summary>
public sealed class Housekeeping : IDisposable
{
    private const int PeriodMs = 100;
    private readonly RedisServer _server;
    private readonly ITimer _timer;
    private long _idleLookedAtMs;

    internal Housekeeping(RedisServer server)
    {
        _server = server;
        _timer = server.Store.Clock.Time.CreateTimer(_ => Run(), null, TimeSpan.FromMilliseconds(PeriodMs), TimeSpan.FromMilliseconds(PeriodMs));
    }

    internal Rate Commands { get; } = new();

    internal Rate InputBytes { get; } = new();

    internal Rate OutputBytes { get; } = new();

    public void Dispose() => _timer.Dispose();

    private void Run()
    {
        long nowMs = _server.Store.Clock.NowMs;
        Commands.Sample(_server.CommandStatistics.Calls, nowMs);
        InputBytes.Sample(_server.CommandStatistics.InputBytes, nowMs);
        OutputBytes.Sample(_server.CommandStatistics.OutputBytes, nowMs);
        if (nowMs - _idleLookedAtMs < 1000) return;
        _idleLookedAtMs = nowMs;
        CloseIdle(nowMs);
    }

    private void CloseIdle(long nowMs)
    {
        long timeoutMs = _server.Options.Timeout * 1000L;
        if (timeoutMs == 0) return;
        foreach (ClientConnection client in _server.Clients.All)
        {
            // A client inside a blocking command waits for us, not we for it.
            if (client.IsBlocked || nowMs - client.LastUsedMs <= timeoutMs) continue;
            Log.ClosingIdle(_server.Logger, client.Id);
            client.Kill();
        }
    }
}
