namespace OrleansRedis.Engine;

/// <summary>
/// The spans of one size class: where the threads' caches get their blocks from, and bring back what they have too much
/// of. Blocks come from the fullest spans first, so that the emptier ones can empty.
/// </summary>
internal sealed unsafe class ClassSpans(int sizeClass)
{
    /// <summary>Spans by how full they are, in quarters. Full ones, and those that are being emptied, are in no list.</summary>
    private const int Lists = 4;

    private const byte NoList = Lists;

    /// <summary>A span holds at least so many blocks, unless it would be larger than <see cref="MostGranules"/>.</summary>
    private const int LeastBlocks = 32;

    private const int MostGranules = 4;

    private readonly Lock _lock = new();
    private readonly int _size = SizeClasses.SizeOf(sizeClass);
    private readonly uint _granules = (uint)Math.Clamp(SizeClasses.SizeOf(sizeClass) * LeastBlocks / Granules.Size, 1, MostGranules);
    private readonly uint[] _spans = new uint[Lists];
    private long _live;
    private long _capacity;

    // One empty span is kept, lest a single block that comes and goes take and return a span each time.
    private uint _spare;

    /// <summary>The bytes of each block.</summary>
    public int Size => _size;

    /// <summary>How many blocks are out: in use, or in a thread's cache.</summary>
    public long Live => Volatile.Read(ref _live);

    /// <summary>How many blocks fit into the spans.</summary>
    public long Capacity => Volatile.Read(ref _capacity);

    /// <summary>Takes this many blocks.</summary>
    public void Take(nint* blocks, int count)
    {
        lock (_lock)
        {
            for (int taken = 0; taken < count;)
            {
                uint at = Fullest();
                if (at == 0) at = Add();
                ref Span span = ref Granules.At(at);
                int before = taken;
                while (taken < count && span.Free != null)
                {
                    blocks[taken++] = (nint)span.Free;
                    span.Free = *(byte**)span.Free;
                }
                for (; taken < count && span.Live + taken - before < span.Capacity; span.Fresh += _size) blocks[taken++] = (nint)span.Fresh;
                span.Live += taken - before;
                _live += taken - before;
                Relist(at);
            }
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
                span.Live--;
                _live--;
                if (span.Live == 0) Emptied(at);
                else Relist(at);
            }
        }
    }

    /// <summary>Gives up the empty span that is kept.</summary>
    public void Trim()
    {
        lock (_lock)
        {
            if (_spare == 0) return;
            if (Granules.At(_spare).Live == 0) Drop(_spare);
            _spare = 0;
        }
    }

    /// <summary>
    /// Marks the emptiest spans for defragmentation, as many as have room elsewhere in this class for what
    /// is in them. Returns how many bytes their emptying will free.
    /// </summary>
    public long MarkSparse()
    {
        lock (_lock)
        {
            long room = _capacity - _live, bytes = 0;
            for (int list = 0; list < Lists - 1; list++)
            {
                for (uint at = _spans[list]; at != 0;)
                {
                    ref Span span = ref Granules.At(at);
                    uint next = span.Next;
                    room -= span.Capacity - span.Live;
                    if (room < span.Live) return bytes;
                    room -= span.Live;
                    bytes += (long)span.Length * Granules.Size;
                    span.IsLeaving = true;
                    Relist(at);
                    at = next;
                }
            }
            return bytes;
        }
    }

    /// <summary>Makes a span that was to be emptied, and was not, an ordinary one again.</summary>
    public void Unmark(uint at)
    {
        lock (_lock)
        {
            ref Span span = ref Granules.At(at);
            if (!span.IsLeaving || span.Class != sizeClass) return;
            span.IsLeaving = false;
            Relist(at);
        }
    }

    private uint Fullest()
    {
        for (int list = Lists - 1; list >= 0; list--)
        {
            if (_spans[list] != 0) return _spans[list];
        }
        return 0;
    }

    private uint Add()
    {
        uint at = Granules.Take(_granules, (byte)sizeClass);
        ref Span span = ref Granules.At(at);
        span.Capacity = (int)(_granules * Granules.Size / _size);
        span.Fresh = Granules.AddressOf(at);
        span.List = NoList;
        _capacity += span.Capacity;
        Relist(at);
        return at;
    }

    private void Emptied(uint at)
    {
        ref Span span = ref Granules.At(at);
        if (!span.IsLeaving && (_spare == 0 || Granules.At(_spare).Live != 0))
        {
            _spare = at;
            Relist(at);
        }
        else if (at != _spare)
        {
            Drop(at);
        }
    }

    private void Drop(uint at)
    {
        ref Span span = ref Granules.At(at);
        Unlink(at);
        _capacity -= span.Capacity;
        Granules.Return(at);
    }

    /// <summary>Puts a span into the list that it belongs in.</summary>
    private void Relist(uint at)
    {
        ref Span span = ref Granules.At(at);
        byte list = span.IsLeaving || span.Live == span.Capacity ? NoList : (byte)(span.Live * Lists / span.Capacity);
        if (list == span.List) return;
        Unlink(at);
        span.List = list;
        if (list == NoList) return;
        span.Previous = 0;
        span.Next = _spans[list];
        if (span.Next != 0) Granules.At(span.Next).Previous = at;
        _spans[list] = at;
    }

    private void Unlink(uint at)
    {
        ref Span span = ref Granules.At(at);
        if (span.List == NoList) return;
        if (span.Previous == 0) _spans[span.List] = span.Next;
        else Granules.At(span.Previous).Next = span.Next;
        if (span.Next != 0) Granules.At(span.Next).Previous = span.Previous;
        span.List = NoList;
    }
}
