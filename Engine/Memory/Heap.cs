using System.Runtime.CompilerServices;

namespace OrleansRedis.Engine;

/// <summary>
/// The memory that data live in, outside the collector's heap. A block is asked for, and given back, by whoever holds
/// the gate of the slot that it belongs to; any thread may do so. See docs/architecture/memory.md.
/// </summary>
internal static unsafe class Heap
{
    /// <summary>The largest block.</summary>
    public const int LargestBlock = 0x7fff0000;

    private const int PageBytes = 4096;

    private static readonly ClassSpans[] s_spans = [.. Enumerable.Range(0, SizeClasses.Count + 1).Select(i => new ClassSpans(Math.Max(i, 1)))];
    private static readonly List<ThreadCache> s_caches = [];
    private static long s_largeBytes;

    [ThreadStatic]
    private static ThreadCache? t_cache;

    /// <summary>A block of at least this many bytes, whose content is undefined.</summary>
    /// <exception cref="OutOfMemoryException">The system has no more memory, or the process may not have it.</exception>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static byte* Allocate(int length)
    {
        if (HeapChecks.AreOn) return HeapChecks.Allocate(length);
        return AllocateUnchecked(length);
    }

    /// <summary>The same, filled with zeros.</summary>
    public static byte* AllocateZeroed(int length)
    {
        byte* block = Allocate(length);
        new Span<byte>(block, length).Clear();
        return block;
    }

    /// <summary>
    /// Gives a block back at once. Nothing may look at it any more, not even the command that runs; where that is not
    /// certain, see <see cref="Retirement"/>.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Free(byte* block)
    {
        if (HeapChecks.AreOn) HeapChecks.Free(block);
        else FreeUnchecked(block);
    }

    /// <summary>How many bytes a block has: as many as were asked for, or some more.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int SizeOf(byte* block) => AllocatedBytes(block) - HeapChecks.Overhead;

    /// <summary>How many bytes a block takes.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int AllocatedBytes(byte* block)
    {
        byte sizeClass = Granules.ClassAt(block);
        return sizeClass != Span.Large ? SizeClasses.SizeOf(sizeClass) : LargeBytes(block);
    }

    /// <summary>How many bytes a block of this length would have.</summary>
    public static int SizeFor(int length)
    {
        length += HeapChecks.Overhead;
        int bytes = length <= SizeClasses.LargestSmall ? SizeClasses.SizeOf(SizeClasses.Of(length)) : RoundToPages(length);
        return bytes - HeapChecks.Overhead;
    }

    internal static byte* AllocateUnchecked(int length)
    {
        if (length > SizeClasses.LargestSmall) return AllocateLarge(length);
        return (t_cache ?? Attach()).Take(SizeClasses.Of(length));
    }

    internal static void FreeUnchecked(byte* block)
    {
        byte sizeClass = Granules.ClassAt(block);
        if (sizeClass == Span.Large) FreeLarge(block);
        else (t_cache ?? Attach()).Return(block, sizeClass);
    }

    internal static ClassSpans SpansOf(int sizeClass) => s_spans[sizeClass];

    /// <summary>
    /// Gives memory that has been free for this long back to the system, also what threads hold in their caches. Returns
    /// how many bytes that were.
    /// </summary>
    public static long Trim(long freeForMs)
    {
        lock (s_caches)
        {
            ThreadCache.Flush(s_caches);
            for (int i = s_caches.Count - 1; i >= 0; i--)
            {
                if (!s_caches[i].IsOrphan) continue;
                s_caches[i].Release();
                s_caches.RemoveAt(i);
            }
        }
        for (int i = 1; i <= SizeClasses.Count; i++) s_spans[i].Trim();
        return Granules.Discard(freeForMs);
    }

    /// <summary>What the heap holds at this moment, more or less: threads go on allocating.</summary>
    public static HeapStatistics Statistics()
    {
        long live = Volatile.Read(ref s_largeBytes);
        for (int i = 1; i <= SizeClasses.Count; i++) live += s_spans[i].Live * s_spans[i].Size;
        return new(live, Granules.UsedBytes, Granules.UsedBytes + Granules.DirtyBytes);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static ThreadCache Attach()
    {
        var cache = new ThreadCache();
        lock (s_caches) s_caches.Add(cache);
        return t_cache = cache;
    }

    private static byte* AllocateLarge(int length)
    {
        uint span = Granules.Take((uint)(((long)length + Granules.Size - 1) / Granules.Size), Span.Large);
        byte* block = Granules.AddressOf(span);
        int bytes = RoundToPages(length);
        Granules.At(span).Fresh = block + bytes;
        Interlocked.Add(ref s_largeBytes, bytes);
        return block;
    }

    private static void FreeLarge(byte* block)
    {
        Interlocked.Add(ref s_largeBytes, -LargeBytes(block));
        Granules.Return(Granules.SpanOf(block));
    }

    private static int LargeBytes(byte* block) => (int)(Granules.At(Granules.SpanOf(block)).Fresh - block);

    private static int RoundToPages(int length) => (int)Math.Min(int.MaxValue & ~(PageBytes - 1), ((long)length + PageBytes - 1) & ~(PageBytes - 1));
}

/// <summary>What the heap holds.</summary>
/// <param name="LiveBytes">Bytes of blocks: in use, or in a thread's cache.</param>
/// <param name="SpanBytes">Bytes of the spans that these blocks lie in.</param>
/// <param name="ResidentBytes">The same, and what is free but not given back to the system yet.</param>
internal readonly record struct HeapStatistics(long LiveBytes, long SpanBytes, long ResidentBytes);
