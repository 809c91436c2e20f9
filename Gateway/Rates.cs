namespace OrleansRedis.Gateway;

/// <summary>How fast a counter grows: the mean over the last 16 samples, as Redis's "instantaneous" fields show it.</summary>
internal sealed class Rate
{
    private const int Samples = 16;
    private readonly double[] _perSecond = new double[Samples];
    private int _next;
    private long _lastCount;
    private long _lastMs;

    /// <summary>Per second.</summary>
    public double PerSecond
    {
        get
        {
            double sum = 0;
            foreach (double sample in _perSecond) sum += sample;
            return sum / Samples;
        }
    }

    /// <summary>The counter stands here now. Called at regular times by one thread.</summary>
    public void Sample(long count, long nowMs)
    {
        if (_lastMs != 0 && nowMs > _lastMs)
            _perSecond[_next++ % Samples] = Math.Max(0, count - _lastCount) * 1000.0 / (nowMs - _lastMs); // a reset counter stands lower
        (_lastCount, _lastMs) = (count, nowMs);
    }
}
