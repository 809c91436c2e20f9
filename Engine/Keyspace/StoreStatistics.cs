namespace OrleansRedis.Engine;

/// <summary>What INFO tells of the data on this silo. Counted from any thread.</summary>
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

    internal void CountExpired() => Interlocked.Increment(ref _expiredKeys);

    internal void CountExpiredFields(int fields) => Interlocked.Add(ref _expiredFields, fields);

    internal void CountEvicted() => Interlocked.Increment(ref _evictedKeys);

    internal void CountLazyFreed(int objects = 1) => Interlocked.Add(ref _lazyFreed, objects);

    /// <summary>CONFIG RESETSTAT</summary>
    public void Reset() => _expiredKeys = _expiredFields = _evictedKeys = _lazyFreed = 0;
}
