namespace OrleansRedis.Engine;

/// <summary>What INFO reports about the data on this silo. Counted from any thread.</summary>
public sealed class StoreStatistics
{
    private long _expiredKeys;
    private long _expiredFields;
    private long _evictedKeys;
    private long _lazyFreed;

    /// <summary>expired_keys</summary>
    public long ExpiredKeys => Volatile.Read(ref _expiredKeys);

    /// <summary>expired_subkeys: fields of hashes</summary>
    public long ExpiredFields => Volatile.Read(ref _expiredFields);

    /// <summary>evicted_keys</summary>
    public long EvictedKeys => Volatile.Read(ref _evictedKeys);

    /// <summary>lazyfreed_objects</summary>
    public long LazyFreed => Volatile.Read(ref _lazyFreed);

    /// <summary>
    /// expired_stale_perc: the percentage of keys seen by the active expiry that had expired, as a slow moving average.
    /// </summary>
    public double StalePercent { get; private set; }

    /// <summary>
    /// expired_time_cap_reached_count: cycles of the active expiry that left expired keys for the next cycle.
    /// </summary>
    public long ExpireTimeCapReached { get; private set; }

    /// <summary>expire_cycle_cpu_milliseconds</summary>
    public TimeSpan ExpireCycleTime { get; private set; }

    internal void CountExpired() => Interlocked.Increment(ref _expiredKeys);

    internal void CountExpiredFields(int fields) => Interlocked.Add(ref _expiredFields, fields);

    internal void CountEvicted() => Interlocked.Increment(ref _evictedKeys);

    internal void CountLazyFreed(int objects = 1) => Interlocked.Add(ref _lazyFreed, objects);

    /// <summary>Called by the active expiry, which runs on one thread at a time.</summary>
    internal void CountExpireCycle(double stale, bool timeCapReached, TimeSpan took)
    {
        StalePercent = (0.95 * StalePercent) + (0.05 * 100 * stale);
        if (timeCapReached) ExpireTimeCapReached++;
        ExpireCycleTime += took;
    }

    /// <summary>CONFIG RESETSTAT</summary>
    public void Reset()
    {
        _expiredKeys = _expiredFields = _evictedKeys = _lazyFreed = 0;
        StalePercent = ExpireTimeCapReached = 0;
    }
}
