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

    /// <summary>From so many bytes on, what a large block leaves of its last granule goes back to the system.</summary>
    private const int LeastDiscarded = 4 * PageBytes;

    private static readonly ClassSpans[] s_spans = [.. Enumerable.Range(0, SizeClasses.Count + 1).Select(i => new ClassSpans(Math.Max(i, 1)))];
    private static readonly List<ThreadCache> s_caches = [];
    private static long s_largeBytes;
    private static long s_unusedBytes;

    [ThreadStatic]
    private static ThreadCache? t_cache;

    /// <summary>A block of at least this many bytes, whose content is undefined.</summary>
    /// <exception cref="InsufficientMemoryException">The system has no more memory, or the process may not have it.</exception>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static byte* Allocate(int length)
    {
        if (HeapChecks.AreOn) return HeapChecks.Allocate(length);
        return AllocateUnchecked(length);
    }

    /// <summary>The same, filled with zeros.</summary>
    public static byte* AllocateZeroed(int length)
    {
        bool isZero = false;
        byte* block = length > SizeClasses.LargestSmall && !HeapChecks.AreOn ? AllocateLarge(length, out isZero) : Allocate(length);
        // What comes from the system is zero already, and none of its pages are there before they are used.
        if (!isZero) new Span<byte>(block, length).Clear();
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
        if ((uint)length > SizeClasses.LargestSmall) return AllocateLarge(length, out _);
        return (t_cache ?? Attach()).Take(SizeClasses.Of(length));
    }

    internal static void FreeUnchecked(byte* block)
    {
        byte sizeClass = Granules.ClassAt(block);
        if (sizeClass == Span.Large) FreeLarge(block);
        else (t_cache ?? Attach()).Return(block, sizeClass);
    }

    /// <summary>Frees a block past the thread's cache: it is not to be handed out again at once.</summary>
    internal static void FreeToSpan(byte* block)
    {
        byte sizeClass = Granules.ClassAt(block);
        if (HeapChecks.AreOn || sizeClass == Span.Large) Free(block);
        else SpansOf(sizeClass).Return((nint*)&block, 1);
    }

    /// <summary>Whether a block in use could begin at this address, which may be any number.</summary>
    internal static bool IsBlock(byte* address)
    {
        if (!Granules.IsMapped(address)) return false;
        byte sizeClass = Granules.ClassAt(address);
        if (sizeClass == 0) return false;
        long offset = address - Granules.AddressOf(Granules.SpanOf(address));
        return sizeClass == Span.Large ? offset == 0 : offset % SizeClasses.SizeOf(sizeClass) == 0;
    }

    /// <summary>How many bytes the blocks take that have runs of granules to themselves.</summary>
    internal static long LargeBytesInAll => Volatile.Read(ref s_largeBytes);

    internal static ClassSpans SpansOf(int sizeClass) => s_spans[sizeClass];

    /// <summary>
    /// Gives memory that has been free for this long back to the system, also what threads hold in their caches. Returns
    /// how many bytes that were.
    /// </summary>
    public static long Trim(long freeForMs)
    {
        EmptyCaches();
        return Granules.Discard(freeForMs, keptBytes: 0);
    }

    /// <summary>Takes back what threads hold in their caches, and the spans that become free thereby.</summary>
    internal static void EmptyCaches()
    {
        lock (s_caches)
        {
            for (int i = s_caches.Count - 1; i >= 0; i--)
            {
                ThreadCache cache = s_caches[i];
                // Asked before: it may still be used until its thread has ended.
                bool isOrphan = cache.IsOrphan;
                if (!cache.Flush() || !isOrphan) continue;
                cache.Release();
                s_caches.RemoveAt(i);
            }
        }
        for (int i = 1; i <= SizeClasses.Count; i++) s_spans[i].Trim();
    }

    /// <summary>What has happened since the caches were emptied, and what could be given back.</summary>
    internal static HeapActivity Activity()
    {
        bool wasUsed = false;
        lock (s_caches)
        {
            foreach (ThreadCache cache in s_caches) wasUsed |= cache.WasUsed;
        }
        return new(wasUsed, Granules.UsedBytes, Granules.DirtyBytes, Granules.TakenBytes);
    }

    /// <summary>What the heap holds at this moment, more or less: threads go on allocating.</summary>
    public static HeapStatistics Statistics()
    {
        long small = 0, free = 0;
        for (int i = 1; i <= SizeClasses.Count; i++)
        {
            long live = s_spans[i].Live;
            small += live * s_spans[i].Size;
            free += Math.Max(0, s_spans[i].Capacity - live) * s_spans[i].Size;
        }
        long spans = Granules.UsedBytes - Volatile.Read(ref s_unusedBytes);
        return new(small + Volatile.Read(ref s_largeBytes), spans, spans + Granules.DirtyBytes, free);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static ThreadCache Attach()
    {
        var cache = new ThreadCache();
        lock (s_caches) s_caches.Add(cache);
        return t_cache = cache;
    }

    private static byte* AllocateLarge(int length, out bool isZero)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan((uint)length, (uint)(LargestBlock + HeapChecks.Overhead), nameof(length));
        uint span = Granules.Take((uint)(((long)length + Granules.Size - 1) / Granules.Size), Span.Large, out isZero);
        byte* block = Granules.AddressOf(span);
        ref Span taken = ref Granules.At(span);
        int bytes = RoundToPages(length), rest = UnusedBytes(ref taken, bytes);
        taken.Fresh = block + bytes;
        Interlocked.Add(ref s_largeBytes, bytes);
        Interlocked.Add(ref s_unusedBytes, rest);
        int dirty = isZero ? 0 : rest - taken.CleanBytes;
        if (dirty >= LeastDiscarded) SystemMemory.Discard(block + bytes, (nuint)dirty);
        taken.CleanBytes = isZero || dirty >= LeastDiscarded ? rest : Math.Min(rest, taken.CleanBytes);
        return block;
    }

    private static void FreeLarge(byte* block)
    {
        uint span = Granules.SpanOf(block);
        int bytes = LargeBytes(block);
        Interlocked.Add(ref s_largeBytes, -bytes);
        Interlocked.Add(ref s_unusedBytes, -UnusedBytes(ref Granules.At(span), bytes));
        Granules.Return(span);
    }

    private static int UnusedBytes(ref Span span, int bytes) => (int)(((long)span.Length * Granules.Size) - bytes);

    private static int LargeBytes(byte* block) => (int)(Granules.At(Granules.SpanOf(block)).Fresh - block);

    private static int RoundToPages(int length) => (int)Math.Min(int.MaxValue & ~(PageBytes - 1), ((long)length + PageBytes - 1) & ~(PageBytes - 1));
}
