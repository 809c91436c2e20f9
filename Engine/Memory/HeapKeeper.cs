namespace OrleansRedis.Engine;

/// <summary>
/// Decides what of the heap's free memory goes back to the system. What has been free for a second goes, except as much
/// as was lately needed within a second: a server that works would take it again at once, page by page. An idle one
/// needs nothing, so that everything is back a few seconds after a FLUSHALL; then there is nothing more to do.
/// </summary>
public sealed class HeapKeeper
{
    /// <summary>How long something has to be free, and how often this looks at what is.</summary>
    internal const long PeriodMs = 1000;

    /// <summary>
    /// However much is needed, and however short a time it has been free: no more than this is kept, and a part of what is
    /// used.
    /// </summary>
    internal const long MostKeptBytes = 16 << 20, UsedPerKept = 8;

    private long _lookedAtMs;
    private long _takenBytes;
    private long _needBytes;

    /// <summary>Does what is to be done now. To be called several times a second while the server is in use.</summary>
    public void Run(long nowMs)
    {
        HeapUpkeep upkeep = Decide(nowMs, Heap.Activity());
        if (upkeep.EmptiesCaches) Heap.EmptyCaches();
        if (upkeep.Discards) Granules.Discard(upkeep.FreeForMs, upkeep.KeptBytes);
    }

    /// <summary>Gives everything that is free back to the system at once. Returns how many bytes that were.</summary>
    public static long Purge() => Heap.Trim(0);

    /// <summary>What is to be done now.</summary>
    internal HeapUpkeep Decide(long nowMs, in HeapActivity heap)
    {
        long most = MostKeptBytes + (heap.UsedBytes / UsedPerKept);
        if (nowMs - _lookedAtMs < PeriodMs) return heap.DirtyBytes > most ? new(false, true, 0, most) : default;
        _lookedAtMs = nowMs;
        // The lull between two bursts may just have been looked at: the second before counts as well.
        long needBytes = heap.TakenBytes - _takenBytes, keptBytes = Math.Min(most, Math.Max(needBytes, _needBytes));
        _takenBytes = heap.TakenBytes;
        _needBytes = needBytes;
        return new(heap.CachesWereUsed, heap.CachesWereUsed || heap.DirtyBytes > keptBytes, heap.DirtyBytes > most ? 0 : PeriodMs, keptBytes);
    }
}

/// <summary>What happens in the heap.</summary>
/// <param name="CachesWereUsed">Whether a thread has allocated or freed small blocks since the caches were emptied.</param>
/// <param name="UsedBytes">Bytes of the spans in use.</param>
/// <param name="DirtyBytes">Bytes that are free, and not given back to the system yet.</param>
/// <param name="TakenBytes">Bytes of all spans that were ever taken.</param>
internal readonly record struct HeapActivity(bool CachesWereUsed, long UsedBytes, long DirtyBytes, long TakenBytes);

/// <summary>What is to be done about the heap.</summary>
/// <param name="EmptiesCaches">Whether to take back what the threads hold.</param>
/// <param name="Discards">Whether to give memory back to the system.</param>
/// <param name="FreeForMs">That which has been free for this long.</param>
/// <param name="KeptBytes">How much of all that is free not to.</param>
internal readonly record struct HeapUpkeep(bool EmptiesCaches, bool Discards, long FreeForMs, long KeptBytes);
