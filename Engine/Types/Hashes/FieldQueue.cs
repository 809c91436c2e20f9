namespace OrleansRedis.Engine;

/// <summary>
/// When the fields of a <see cref="HashValue"/> expire, soonest first: a binary heap of times and of the fields' hashes.
/// An item may be stale, if its field is gone or has another time by now; that is up to the hash to find out.
/// </summary>
internal unsafe struct FieldQueue
{
    private const int FirstCapacity = 8;

    private Item* _items;

    /// <summary>How many items there are, stale ones included.</summary>
    public int Count { get; private set; }

    public readonly long AllocatedBytes => _items == null ? 0 : Heap.AllocatedBytes((byte*)_items);

    /// <summary>The first item. There must be one.</summary>
    public readonly (long ExpiresAtMs, uint Hash) First => (_items->ExpiresAtMs, _items->Hash);

    public void Add(long expiresAtMs, uint hash)
    {
        if (_items == null || (Count + 1) * sizeof(Item) > Heap.SizeOf((byte*)_items)) Grow();
        int at = Count++;
        while (at > 0 && _items[(at - 1) / 2].ExpiresAtMs > expiresAtMs)
        {
            _items[at] = _items[(at - 1) / 2];
            at = (at - 1) / 2;
        }
        _items[at] = new() { ExpiresAtMs = expiresAtMs, Hash = hash };
    }

    public void RemoveFirst()
    {
        Item last = _items[--Count];
        int at = 0;
        while (true)
        {
            int child = (at * 2) + 1;
            if (child >= Count) break;
            if (child + 1 < Count && _items[child + 1].ExpiresAtMs < _items[child].ExpiresAtMs) child++;
            if (_items[child].ExpiresAtMs >= last.ExpiresAtMs) break;
            _items[at] = _items[child];
            at = child;
        }
        _items[at] = last;
    }

    /// <summary>Removes all items, and gives the memory back.</summary>
    public void Clear()
    {
        if (_items != null) Heap.Free((byte*)_items);
        _items = null;
        Count = 0;
    }

    /// <summary>Moves the items, if they lie where memory is to become free.</summary>
    public void Defragment(BlockMover mover) => _items = (Item*)mover.Move((byte*)_items);

    private void Grow()
    {
        var larger = (Item*)Heap.Allocate(checked(Math.Max(FirstCapacity, Count * 2) * sizeof(Item)));
        if (_items != null)
        {
            new ReadOnlySpan<Item>(_items, Count).CopyTo(new(larger, Count));
            Heap.Free((byte*)_items);
        }
        _items = larger;
    }

    private struct Item
    {
        public long ExpiresAtMs;
        public uint Hash;
    }
}
