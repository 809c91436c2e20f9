using Microsoft.Extensions.Logging;

namespace OrleansRedis.Grains.ClusterStores;

/// <summary>
/// At which level it is logged that a stranger is refused: one now and then as a warning, the others for who looks for
/// them, so that nobody outside fills the log.
/// </summary>
public sealed class Complaints
{
    private const long PauseMs = 10_000;

    private long _nextMs;

    public LogLevel NextLevel()
    {
        long now = Environment.TickCount64, next = Volatile.Read(ref _nextMs);
        return now >= next && Interlocked.CompareExchange(ref _nextMs, now + PauseMs, next) == next ? LogLevel.Warning : LogLevel.Debug;
    }
}
