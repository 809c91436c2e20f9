using System.Runtime.CompilerServices;

namespace OrleansRedis.Engine;

/// <summary>
/// The spans of one size class: where the threads' caches get their blocks from, and bring back what they have too much
/// of. Blocks come from the fullest spans first, so that the emptier ones can empty.
/// </summary>
internal sealed unsafe class ClassSpans
{
    /// <summary>Spans by how full they are, in quarters; then those that are being emptied. Full ones are in no list.</summary>
    private const int Quarters = 4, Leaving = Quarters, Lists = Quarters + 1;

    private const byte NoList = Lists;

    /// <summary>Spans have so many granules at most, and as few as leave no more than a sixteenth of them over at the end.</summary>
    private const int MostGranules = 4, SizePerWaste = 16;

    /// <summary>Defragmentation leaves a free block for each so many that live: commands go on allocating.</summary>
    private const int LivePerSpared = 16;

    private readonly Lock _lock = new();
    private readonly byte _class;
    private readonly uint _granules;
    private readonly int _capacityOfSpan;
    private readonly uint[] _spans = new uint[Lists];
    private long _live;
    private long _capacity;

    // One empty span is kept, lest a single block that comes and goes take and return a span each time. It may have been
    // taken from since.
    private uint _spare;

    public ClassSpans(int sizeClass)
    {
        _class = (byte)sizeClass;
        Size = SizeClasses.SizeOf(sizeClass);
        do _granules++;
        while (_granules < MostGranules && _granules * Granules.Size % Size * SizePerWaste > _granules * Granules.Size);
        _capacityOfSpan = (int)_granules * Granules.Size / Size;
    }

    /// <summary>The bytes of each block.</summary>
    public int Size { get; }

    /// <summary>How many blocks are out: in use, or in a thread's cache.</summary>
    public long Live => Volatile.Read(ref _live);

    /// <summary>How many blocks fit into the spans.</summary>
    public long Capacity => Volatile.Read(ref _capacity);

    /// <summary>Takes at least one block, and as many more as can be had without adding a span. Returns how many.</summary>
    /// <exception cref="InsufficientMemoryException">The system has no more memory, or the process may not have it.</exception>
    public int Take(nint* blocks, int count)
    {
        lock (_lock)
        {
            int taken = 0;
            while (taken < count)
            {
                uint at = Fullest();
                if (at == 0)
                {
                    if (taken > 0) break;
                    at = Add();
                }
                ref Span span = ref Granules.At(at);
                int before = taken;
                while (taken < count && span.Free != null)
                {
                    blocks[taken++] = (nint)span.Free;
                    span.Free = *(byte**)span.Free;
                }
                for (; taken < count && span.Live + taken - before < span.Capacity; span.Fresh += Size) blocks[taken++] = (nint)span.Fresh;
                span.Live += taken - before;
                Relist(at, ref span);
            }
            _live += taken;
            return taken;
        }
    }

    /// <summary>Brings blocks back.</summary>
    public void Return(nint* blocks, int count)
    {
        lock (_lock)
        {
            for (int i = 0; i < count; i++)
            {
                byte* block = (byte*)blocks[i];
                uint at = Granules.SpanOf(block);
                ref Span span = ref Granules.At(at);
                *(byte**)block = span.Free;
                span.Free = block;
                if (--span.Live < span.LeastLive) Sparser(at, ref span);
            }
            _live -= count;
        }
    }

    /// <summary>Gives up the empty span that is kept.</summary>
    public void Trim()
    {
        lock (_lock)
        {
            if (_spare != 0 && Granules.At(_spare).Live == 0) Drop(_spare);
            else _spare = 0;
        }
    }

    /// <summary>
    /// Marks the emptiest spans, as many as the others have room for what is in them, and some to spare. No more blocks
    /// come from them, so that they empty as their blocks are freed and moved. Returns how many bytes that will free.
    /// </summary>
    /// <param name="everything">Whether to mark all that are not full, even without room elsewhere.</param>
    public long MarkSparse(bool everything = false)
    {
        lock (_lock)
        {
            long bytes = 0, room = _capacity - _live - (_live / LivePerSpared);
            for (int list = 0; list < (everything ? Quarters : Quarters - 1); list++)
            {
                for (uint at = _spans[list]; at != 0;)
                {
                    ref Span span = ref Granules.At(at);
                    uint next = span.Next;
                    // Its own room goes, and what lives in it fills up room elsewhere.
                    room -= span.Capacity;
                    if (room < 0 && !everything) return bytes;
                    if (span.Live == 0)
                    {
                        Drop(at);
                    }
                    else
                    {
                        span.IsLeaving = true;
                        Relist(at, ref span);
                    }
                    bytes += (long)_granules * Granules.Size;
                    at = next;
                }
            }
            return bytes;
        }
    }

    /// <summary>Makes the spans that were to be emptied, and are not empty yet, ordinary ones again.</summary>
    public void UnmarkAll()
    {
        lock (_lock)
        {
            while (_spans[Leaving] != 0)
            {
                uint at = _spans[Leaving];
                ref Span span = ref Granules.At(at);
                span.IsLeaving = false;
                Relist(at, ref span);
            }
        }
    }

    private uint Fullest()
    {
        for (int list = Quarters - 1; list >= 0; list--)
        {
            if (_spans[list] != 0) return _spans[list];
        }
        return 0;
    }

    private uint Add()
    {
        uint at = Granules.Take(_granules, _class, out _);
        ref Span span = ref Granules.At(at);
        span.Capacity = _capacityOfSpan;
        span.Fresh = Granules.AddressOf(at);
        span.List = NoList;
        _capacity += span.Capacity;
        Relist(at, ref span);
        return at;
    }

    /// <summary>A span has become too empty for the list that it is in.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private void Sparser(uint at, ref Span span)
    {
        bool isEmpty = span.Live == 0, hasSpare = _spare != 0 && _spare != at && Granules.At(_spare).Live == 0;
        if (isEmpty && (span.IsLeaving || hasSpare))
        {
            Drop(at);
            return;
        }
        if (isEmpty) _spare = at;
        Relist(at, ref span);
    }

    private void Drop(uint at)
    {
        ref Span span = ref Granules.At(at);
        if (_spare == at) _spare = 0;
        Unlink(ref span);
        _capacity -= span.Capacity;
        Granules.Return(at);
    }

    /// <summary>Puts a span into the list that it belongs in.</summary>
    private void Relist(uint at, ref Span span)
    {
        int quarter = span.Live * Quarters / span.Capacity;
        byte list = span.IsLeaving ? (byte)Leaving : quarter == Quarters ? NoList : (byte)quarter;
        // A quarter begins with the first number that the division above takes there; an empty span is a case of its own.
        span.LeastLive = list == Leaving ? 1 : Math.Max(1, ((quarter * span.Capacity) + Quarters - 1) / Quarters);
        if (list == span.List) return;
        Unlink(ref span);
        span.List = list;
        if (list == NoList) return;
        span.Previous = 0;
        span.Next = _spans[list];
        if (span.Next != 0) Granules.At(span.Next).Previous = at;
        _spans[list] = at;
    }

    private void Unlink(ref Span span)
    {
        if (span.List == NoList) return;
        if (span.Previous == 0) _spans[span.List] = span.Next;
        else Granules.At(span.Previous).Next = span.Next;
        if (span.Next != 0) Granules.At(span.Next).Previous = span.Previous;
        span.List = NoList;
    }
}
