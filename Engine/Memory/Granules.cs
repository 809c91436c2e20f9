using System.Runtime.CompilerServices;

namespace OrleansRedis.Engine;

/// <summary>
/// The heap's address space: one region, reserved at the start, in granules of 64 kB. A granule that was ever used stays
/// mapped for the life of the process. When it becomes free, its pages go back to the system after a while, but reading
/// it remains harmless: that is what lets <see cref="Foresight"/> look at memory without a gate.
/// </summary>
/// <remarks>
/// Everything here is under one lock, which is taken once for many blocks. The exceptions are <see cref="ClassAt"/> and
/// <see cref="SpanOf"/>: what they read about a block's granules does not change while the block is in use.
/// </remarks>
internal static unsafe class Granules
{
    public const int Size = 1 << Shift;
    private const int Shift = 16;

    private const ulong MostReserved = 1UL << 40, LeastReserved = 1UL << 30;

    /// <summary>How many granules become usable at a time, 256 MB: then each table grows by whole pages.</summary>
    private const uint Step = 4096;

    /// <summary>Free runs are listed by their length; the last list has all that are longer.</summary>
    private const int Lists = 64;

    /// <summary>At most so many granules are given back to the system at once, so that nobody waits for it long.</summary>
    private const uint MostDiscarded = 64;

    private static readonly Lock s_lock = new();
    private static readonly byte* s_base = Reserve(out s_reserved);
    private static readonly uint s_reserved;
    private static readonly byte* s_classes = ReserveTable(sizeof(byte));
    private static readonly uint* s_heads = (uint*)ReserveTable(sizeof(uint));
    private static readonly Span* s_spans = (Span*)ReserveTable(sizeof(Span));

    // The heads of the lists of free runs: first the clean, then the dirty ones.
    private static readonly uint[] s_free = new uint[2 * Lists];

    // The dirty ones, from the one that became free first to the last.
    private static uint s_oldest, s_newest;

    private static uint s_usable;      // granules that are committed
    private static uint s_top = 1;     // granules handed out at any time; granule 0 never is, since 0 means none
    private static long s_usedGranules;
    private static long s_dirtyGranules;
    private static long s_takenGranules;

    /// <summary>Bytes of all spans in use.</summary>
    public static long UsedBytes => Volatile.Read(ref s_usedGranules) << Shift;

    /// <summary>Bytes of free runs that have not been given back to the system yet.</summary>
    public static long DirtyBytes => Volatile.Read(ref s_dirtyGranules) << Shift;

    /// <summary>Bytes of all spans that were ever taken.</summary>
    public static long TakenBytes => Volatile.Read(ref s_takenGranules) << Shift;

    /// <summary>The first address of a span.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static byte* AddressOf(uint span) => s_base + ((nuint)span << Shift);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ref Span At(uint span) => ref s_spans[span];

    /// <summary>The size class of the block at this address, or <see cref="Span.Large"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static byte ClassAt(byte* block) => s_classes[(nuint)(block - s_base) >> Shift];

    /// <summary>The span that the block at this address lies in.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static uint SpanOf(byte* block) => s_heads[(nuint)(block - s_base) >> Shift];

    /// <summary>
    /// Whether this can be read, and as much as a granule from there on: whether it lies within what was ever made usable.
    /// The address may be any number.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool IsMapped(void* address) => (nuint)((byte*)address - s_base) < (nuint)Volatile.Read(ref s_usable) << Shift;

    /// <summary>Takes a run of granules.</summary>
    /// <param name="length">How many.</param>
    /// <param name="sizeClass">What <see cref="ClassAt"/> is to say of them.</param>
    /// <param name="isZero">Whether they contain zeros; otherwise that is undefined.</param>
    /// <exception cref="InsufficientMemoryException">The system has no more memory, or the process may not have it.</exception>
    public static uint Take(uint length, byte sizeClass, out bool isZero)
    {
        lock (s_lock)
        {
            uint span = Find(length);
            if (span == 0) span = Grow(length);
            ref Span taken = ref s_spans[span];
            if (taken.Length > length) LinkRest(span, length);
            if (taken.IsDirty) s_dirtyGranules -= length;
            isZero = !taken.IsDirty && SystemMemory.DiscardedIsZero;
            taken = new() { Length = length, Class = sizeClass, CleanBytes = sizeClass == Span.Large && taken.Length == length ? taken.CleanBytes : 0 };
            new Span<byte>(s_classes + span, (int)length).Fill(sizeClass);
            new Span<uint>(s_heads + span, (int)length).Fill(span);
            s_usedGranules += length;
            s_takenGranules += length;
            return span;
        }
    }

    /// <summary>Gives a run back.</summary>
    public static void Return(uint span)
    {
        lock (s_lock)
        {
            uint length = s_spans[span].Length;
            int cleanBytes = s_spans[span].CleanBytes;
            new Span<byte>(s_classes + span, (int)length).Clear();
            s_usedGranules -= length;
            s_dirtyGranules += length;
            Free(span, length, isDirty: true, cleanBytes, Environment.TickCount64);
        }
    }

    /// <summary>
    /// Gives the pages of runs that have been free for this long back to the system, those that have been free longest
    /// first, until so many bytes are left that it could give back. Returns how many bytes that were.
    /// </summary>
    public static long Discard(long freeForMs, long keptBytes)
    {
        long before = Environment.TickCount64 - freeForMs, bytes = 0;
        while (TryDiscardOne(before, keptBytes >> Shift, out uint length)) bytes += (long)length << Shift;
        return bytes;
    }

    private static bool TryDiscardOne(long before, long kept, out uint length)
    {
        uint span;
        lock (s_lock)
        {
            span = s_oldest;
            length = 0;
            if (span == 0 || s_spans[span].FreedAtMs > before || s_dirtyGranules <= kept) return false;
            Unlink(span);
            ref Span run = ref s_spans[span];
            length = (uint)Math.Min(Math.Min(run.Length, MostDiscarded), s_dirtyGranules - kept);
            if (run.Length > length) LinkRest(span, length);
            // Nobody's while the system works on it: a neighbour that becomes free must not be joined to it.
            run = new() { Length = length, Class = Span.Large };
            s_classes[span] = s_classes[span + length - 1] = Span.Large;
        }
        SystemMemory.Discard(AddressOf(span), (nuint)length << Shift);
        lock (s_lock)
        {
            s_classes[span] = s_classes[span + length - 1] = 0;
            s_dirtyGranules -= length;
            Free(span, length, isDirty: false, 0, 0);
        }
        return true;
    }

    /// <summary>
    /// The best free run of at least this length, unlinked; 0 if there is none. Pages that are there already are better.
    /// </summary>
    private static uint Find(uint length)
    {
        for (int dirty = 1; dirty >= 0; dirty--)
        {
            for (int list = ListFor(length); list < Lists; list++)
            {
                uint best = 0;
                for (uint at = s_free[(dirty * Lists) + list]; at != 0; at = s_spans[at].Next)
                {
                    uint found = s_spans[at].Length;
                    if (found >= length && (best == 0 || found < s_spans[best].Length)) best = at;
                    if (list < Lists - 1 && best != 0) break;
                }
                if (best == 0) continue;
                Unlink(best);
                return best;
            }
        }
        return 0;
    }

    private static uint Grow(uint length)
    {
        if (length > s_reserved - s_top) throw new InsufficientMemoryException($"The heap's {(ulong)s_reserved << Shift} bytes of address space are used up.");
        uint span = s_top;
        while (s_top + length > s_usable) Commit();
        s_top += length;
        s_spans[span] = new() { Length = length };
        return span;
    }

    private static void Commit()
    {
        uint from = s_usable;
        // Of the region, one granule more: whoever reads at the end of what is usable may read beyond it (IsMapped).
        if (!SystemMemory.TryCommit(s_classes + from, Step * sizeof(byte))
            || !SystemMemory.TryCommit((byte*)(s_heads + from), Step * sizeof(uint))
            || !SystemMemory.TryCommit((byte*)(s_spans + from), (nuint)(Step * sizeof(Span)))
            || !SystemMemory.TryCommit(AddressOf(from), (nuint)(Step + 1) << Shift)) throw new InsufficientMemoryException("The system has no more memory.");
        Volatile.Write(ref s_usable, from + Step);
    }

    /// <summary>Enters a free run into its list, joined with free neighbours that are in the same state.</summary>
    private static void Free(uint span, uint length, bool isDirty, int cleanBytes, long freedAtMs)
    {
        uint behind = span + length;
        if (behind < s_top && s_classes[behind] == 0 && s_spans[behind].IsDirty == isDirty)
        {
            Unlink(behind);
            length += s_spans[behind].Length;
            cleanBytes = s_spans[behind].CleanBytes;
        }
        if (span > 1 && s_classes[span - 1] == 0)
        {
            uint before = s_heads[span - 1];
            if (s_spans[before].IsDirty == isDirty)
            {
                Unlink(before);
                length += s_spans[before].Length;
                span = before;
            }
        }
        s_spans[span] = new() { Length = length, IsDirty = isDirty, CleanBytes = cleanBytes, FreedAtMs = freedAtMs };
        Link(span, newer: 0);
    }

    /// <summary>
    /// Of a free run that was unlinked, all but so many granules stay free, with their pages and in the order of age as
    /// they are.
    /// </summary>
    private static void LinkRest(uint span, uint length)
    {
        ref Span run = ref s_spans[span];
        s_spans[span + length] = new()
        {
            Length = run.Length - length,
            IsDirty = run.IsDirty,
            CleanBytes = run.CleanBytes,
            FreedAtMs = run.FreedAtMs
        };
        Link(span + length, run.Newer);
    }

    private static int ListFor(uint length) => (int)Math.Min(length, Lists) - 1;

    /// <summary>Enters a free run into its list and, if it is dirty, into the order of age: before a newer one.</summary>
    private static void Link(uint span, uint newer)
    {
        ref Span run = ref s_spans[span];
        int list = ListFor(run.Length) + (run.IsDirty ? Lists : 0);
        run.List = (byte)list;
        run.Previous = 0;
        run.Next = s_free[list];
        if (run.Next != 0) s_spans[run.Next].Previous = span;
        s_free[list] = span;
        // A neighbour finds a free run by its last granule.
        s_heads[span] = s_heads[span + run.Length - 1] = span;
        if (!run.IsDirty) return;
        run.Newer = newer;
        run.Older = newer == 0 ? s_newest : s_spans[newer].Older;
        (newer == 0 ? ref s_newest : ref s_spans[newer].Older) = span;
        (run.Older == 0 ? ref s_oldest : ref s_spans[run.Older].Newer) = span;
    }

    private static void Unlink(uint span)
    {
        ref Span run = ref s_spans[span];
        if (run.Previous == 0) s_free[run.List] = run.Next;
        else s_spans[run.Previous].Next = run.Next;
        if (run.Next != 0) s_spans[run.Next].Previous = run.Previous;
        if (!run.IsDirty) return;
        (run.Newer == 0 ? ref s_newest : ref s_spans[run.Newer].Older) = run.Older;
        (run.Older == 0 ? ref s_oldest : ref s_spans[run.Older].Newer) = run.Newer;
    }

    private static byte* Reserve(out uint granules)
    {
        for (ulong bytes = MostReserved; bytes >= LeastReserved; bytes /= 2)
        {
            // One granule more, so that the first one can begin at a multiple of its size, and one for the end.
            byte* address = SystemMemory.TryReserve((nuint)bytes + (2 * Size));
            if (address == null) continue;
            SystemMemory.WantSmallPages(address, (nuint)bytes + (2 * Size));
            granules = (uint)(bytes >> Shift);
            return (byte*)(((nuint)address + Size - 1) & ~(nuint)(Size - 1));
        }
        throw new InsufficientMemoryException("The process may not reserve the address space that its keys need (see ulimit -v).");
    }

    private static byte* ReserveTable(int itemBytes)
    {
        byte* table = SystemMemory.TryReserve((nuint)s_reserved * (nuint)itemBytes);
        if (table == null) throw new InsufficientMemoryException("The process may not reserve the address space that its keys need (see ulimit -v).");
        return table;
    }
}
