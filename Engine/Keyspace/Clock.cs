namespace OrleansRedis.Engine;

/// <summary>Unix time in ms and µs from a <see cref="TimeProvider"/>, so that tests can set the clock.</summary>
public sealed class Clock(TimeProvider time)
{
    /// <summary>Where the time comes from.</summary>
    public TimeProvider Time { get; } = time;

    /// <summary>Unix time in ms.</summary>
    public long NowMs => (Time.GetUtcNow().UtcTicks - DateTime.UnixEpoch.Ticks) / TimeSpan.TicksPerMillisecond;

    /// <summary>Unix time in µs.</summary>
    public long NowMicroseconds => (Time.GetUtcNow().UtcTicks - DateTime.UnixEpoch.Ticks) / TimeSpan.TicksPerMicrosecond;
}
