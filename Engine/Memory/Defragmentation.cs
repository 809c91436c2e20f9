using System.Runtime.CompilerServices;

namespace OrleansRedis.Engine;

/// <summary>
/// Empties spans that few blocks live in. A pass begins by marking the spans that are worth it; then whoever knows what
/// leads to each block asks of it <see cref="ShouldMove"/>, under the gate that it belongs to, and puts what
/// <see cref="Move"/> returns in its place. A span whose last block has left is free.
/// </summary>
internal static unsafe class Defragmentation
{
    private static readonly Lock s_lock = new();
    private static bool s_isUnderWay;
    private static long s_movedBlocks;
    private static long s_movedBytes;

    /// <summary>Whether a pass has begun, and has not ended.</summary>
    public static bool IsUnderWay => Volatile.Read(ref s_isUnderWay);

    /// <summary>How many blocks have been moved, and how many bytes they have.</summary>
    public static long MovedBlocks => Volatile.Read(ref s_movedBlocks);

    /// <inheritdoc cref="MovedBlocks"/>
    public static long MovedBytes => Volatile.Read(ref s_movedBytes);

    /// <summary>
    /// Begins a pass. Returns how many bytes it will free if every block is moved that should be; 0 if there is nothing to
    /// win, and then there is no pass.
    /// </summary>
    /// <param name="everything">For tests: whether to empty all spans that are not full, though that frees nothing.</param>
    public static long Begin(bool everything = false)
    {
        lock (s_lock)
        {
            if (s_isUnderWay) UnmarkAll();
            // What the threads hold would come from the spans that are to be emptied.
            Heap.EmptyCaches();
            long bytes = 0;
            for (int i = 1; i <= SizeClasses.Count; i++) bytes += Heap.SpansOf(i).MarkSparse(everything);
            Volatile.Write(ref s_isUnderWay, bytes > 0);
            return bytes;
        }
    }

    /// <summary>Ends the pass: spans that are not empty yet serve again.</summary>
    public static void End()
    {
        lock (s_lock)
        {
            if (!s_isUnderWay) return;
            Heap.EmptyCaches();
            UnmarkAll();
            Volatile.Write(ref s_isUnderWay, false);
        }
    }

    /// <summary>Whether a block lies in a span that is to be emptied.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool ShouldMove(byte* block) => s_isUnderWay && Granules.At(Granules.SpanOf(block)).IsLeaving;

    /// <summary>
    /// Copies a block to another place, and frees it. Returns where it is now. Nobody may be looking at the block, unless by
    /// <see cref="Foresight"/>.
    /// </summary>
    public static byte* Move(byte* block)
    {
        int size = Heap.SizeOf(block);
        byte* moved = Heap.Allocate(size);
        while (ShouldMove(moved))
        {
            // It was freed meanwhile, and this thread had it in its cache.
            Heap.FreeToSpan(moved);
            moved = Heap.Allocate(size);
        }
        Buffer.MemoryCopy(block, moved, size, size);
        Heap.FreeToSpan(block);
        Interlocked.Increment(ref s_movedBlocks);
        Interlocked.Add(ref s_movedBytes, size);
        return moved;
    }

    private static void UnmarkAll()
    {
        for (int i = 1; i <= SizeClasses.Count; i++) Heap.SpansOf(i).UnmarkAll();
    }
}

/// <summary>How much of its time the server gives to defragmentation, by the directives of the same names.</summary>
/// <param name="IgnoreBytes">active-defrag-ignore-bytes</param>
/// <param name="ThresholdLower">active-defrag-threshold-lower</param>
/// <param name="ThresholdUpper">active-defrag-threshold-upper</param>
/// <param name="CycleMin">active-defrag-cycle-min</param>
/// <param name="CycleMax">active-defrag-cycle-max</param>
internal readonly record struct DefragmentationEffort(long IgnoreBytes, int ThresholdLower, int ThresholdUpper, int CycleMin, int CycleMax)
{
    /// <summary>What is done whatever the directives say: more than half of the memory that blocks lie in is free.</summary>
    public static DefragmentationEffort Housekeeping { get; } =
        new(IgnoreBytes: 16 << 20, ThresholdLower: 100, ThresholdUpper: 100, CycleMin: 10, CycleMax: 10);

    /// <summary>
    /// Percent of a processor's time; 0 if it is not worth it. As in Redis: a pass that is under way is not abandoned when
    /// what it has won makes it less urgent, and goes on at no less than it had.
    /// </summary>
    /// <param name="heap">What the heap holds.</param>
    /// <param name="percentNow">What the last call returned; 0 if no pass is under way.</param>
    public int PercentOfTime(in HeapStatistics heap, int percentNow)
    {
        double fragmentation = heap.FragmentationPercent;
        if (percentNow == 0 && (fragmentation < ThresholdLower || heap.FreeBytes < IgnoreBytes)) return 0;
        double reached = ThresholdUpper <= ThresholdLower ? 1 : (fragmentation - ThresholdLower) / (ThresholdUpper - ThresholdLower);
        int percent = (int)(CycleMin + (Math.Clamp(reached, 0, 1) * (CycleMax - CycleMin)));
        return Math.Max(percentNow, percent);
    }
}
