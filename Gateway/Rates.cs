namespace OrleansRedis.Gateway;

/// <summary>How fast a counter grows: the mean of the last 16 samples, as in Redis's "instantaneous" fields.</summary>
internal sealed class Rate
{
    private const int Samples = 16;
    private readonly double[] _perSecond = new double[Samples];
    private int _next;
    private long _lastCount;
    private long _lastMs;

    /// <summary>The mean rate per second.</summary>
    public double PerSecond
    {
        get
        {
            double sum = 0;
            foreach (double sample in _perSecond) sum += sample;
            return sum / Samples;
        }
    }

    /// <summary>Records where the counter stands. Called at regular intervals, by one thread.</summary>
    public void Sample(long count, long nowMs)
    {
        if (_lastMs != 0 && nowMs > _lastMs)
            // A counter that was reset stands lower than before.
            _perSecond[_next++ % Samples] = Math.Max(0, count - _lastCount) * 1000.0 / (nowMs - _lastMs);
        (_lastCount, _lastMs) = (count, nowMs);
    }
}
