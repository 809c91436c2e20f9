namespace OrleansRedis.Engine;

/// <summary>
/// Lets the active expiry sleep until something is due. It sets the alarm to the earliest time of expiry that it knows of and looks once
/// more; a time that is noted later, and is earlier, wakes it.
/// <para>
/// No time is missed: the sleeper sets the alarm and then reads the times, a writer writes its time and then reads the alarm, each with a
/// full fence in between, so at least one of them sees what the other has written.
/// </para>
/// </summary>
internal sealed class ExpiryAlarm
{
    private const long Off = long.MinValue;
    private long _atMs = Off;
    private TaskCompletionSource _rung = new();

    /// <summary>Completes once a time before <paramref name="atMs"/> (Unix ms) is noted. One sleeper at a time.</summary>
    public Task Set(long atMs)
    {
        _rung = new(TaskCreationOptions.RunContinuationsAsynchronously);
        Interlocked.Exchange(ref _atMs, atMs);
        return _rung.Task;
    }

    /// <summary>The sleeper is awake, and will look at the times before it sleeps again.</summary>
    public void Clear() => Interlocked.Exchange(ref _atMs, Off);

    /// <summary>A time of expiry (Unix ms) has been written that is earlier than any other of its slot.</summary>
    public void Noted(long expiresAtMs)
    {
        Interlocked.MemoryBarrier();
        if (expiresAtMs < Volatile.Read(ref _atMs) && Interlocked.Exchange(ref _atMs, Off) != Off) _rung.TrySetResult();
    }
}
