namespace OrleansRedis.Engine;

/// <summary>What INFO reports about the data on this silo. Counted from any thread.</summary>
public sealed class StoreStatistics
{
    private long _expiredKeys;
    private long _expiredFields;
    private long _evictedKeys;
    private long _lazyFreed;
    private long _defragHits;
    private long _defragMisses;
    private long _defragKeyHits;
    private long _defragKeyMisses;

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

    /// <summary>active_defrag_hits: blocks that were moved.</summary>
    public long DefragHits => Volatile.Read(ref _defragHits);

    /// <summary>active_defrag_misses: blocks that were looked at, and did not need to be moved.</summary>
    public long DefragMisses => Volatile.Read(ref _defragMisses);

    /// <summary>active_defrag_key_hits: keys of which something was moved.</summary>
    public long DefragKeyHits => Volatile.Read(ref _defragKeyHits);

    /// <summary>active_defrag_key_misses: keys of which nothing had to be moved.</summary>
    public long DefragKeyMisses => Volatile.Read(ref _defragKeyMisses);

    /// <summary>total_active_defrag_time, without the pass that is under way.</summary>
    public TimeSpan DefragTime { get; private set; }

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

    internal void CountDefragmented(long hits, long misses)
    {
        Interlocked.Add(ref _defragHits, hits);
        Interlocked.Add(ref _defragMisses, misses);
    }

    internal void CountKeysDefragmented(long hits, long misses)
    {
        Interlocked.Add(ref _defragKeyHits, hits);
        Interlocked.Add(ref _defragKeyMisses, misses);
    }

    internal void CountDefragmentationTime(TimeSpan took) => DefragTime += took;

    /// <summary>CONFIG RESETSTAT</summary>
    public void Reset()
    {
        _expiredKeys = _expiredFields = _evictedKeys = _lazyFreed = 0;
        _defragHits = _defragMisses = _defragKeyHits = _defragKeyMisses = 0;
        DefragTime = TimeSpan.Zero;
        StalePercent = ExpireTimeCapReached = 0;
    }
}
