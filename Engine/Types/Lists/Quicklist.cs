namespace OrleansRedis.Engine;

/// <summary>
/// A long list: a doubly linked list of listpacks of limited size (quicklist.c of Redis). Pushes and pops at the ends
/// move nothing and rarely allocate. With a compression depth, all nodes except that many at either end are kept
/// compressed. Node boundaries are the same as in Redis 7.4, because DUMP reveals them.
/// </summary>
internal sealed partial class Quicklist(int fill, int compressDepth)
{
    private const int ObjectBytes = 64;

    /// <summary>Redis's estimate of what an element takes besides its own bytes.</summary>
    private const int ElementOverhead = 8;

    /// <summary>list-max-listpack-size when the list was created.</summary>
    public int Fill { get; } = fill;

    /// <summary>list-compress-depth when the list was created.</summary>
    public int CompressDepth { get; } = compressDepth;

    public QuicklistNode? Head { get; private set; }

    public QuicklistNode? Tail { get; private set; }

    public int NodeCount { get; private set; }

    /// <summary>How many elements there are.</summary>
    public long Count { get; private set; }

    /// <summary>Bytes allocated for the whole list.</summary>
    public long Bytes { get; private set; } = ObjectBytes;

    /// <summary>Adds an element after the last one.</summary>
    public void PushTail(ReadOnlySpan<byte> value)
    {
        Count++;
        if (ListLimits.IsLarge(Fill, value.Length))
        {
            Link(CreatePlain(value), Tail, null);
            return;
        }
        QuicklistNode? tail = Tail;
        int size = Listpack.SizeOf(value);
        if (!Allows(tail, value.Length)) Link(tail = CreatePacked(size, tail), Tail, null);
        MakeRoomBehind(tail!, size);
        tail!.Append(value, size);
    }

    /// <summary>Adds an element before the first one.</summary>
    public void PushHead(ReadOnlySpan<byte> value)
    {
        Count++;
        if (ListLimits.IsLarge(Fill, value.Length))
        {
            Link(CreatePlain(value), null, Head);
            return;
        }
        QuicklistNode? head = Head;
        int size = Listpack.SizeOf(value);
        if (!Allows(head, value.Length)) Link(head = CreatePacked(size, head, atEnd: true), null, Head);
        MakeRoomBefore(head!, size);
        head!.Prepend(value, size);
    }

    /// <summary>Removes the first element, which must exist.</summary>
    public void RemoveFirst()
    {
        QuicklistNode head = Head!;
        Count--;
        if (head.Count == 1) Unlink(head);
        else head.RemoveFirst();
    }

    /// <summary>Removes the last element, which must exist.</summary>
    public void RemoveLast()
    {
        QuicklistNode tail = Tail!;
        Count--;
        if (tail.Count == 1) Unlink(tail);
        else tail.RemoveLast();
    }

    /// <summary>
    /// The node that holds the element at an index (not negative, less than <see cref="Count"/>), and its index in the
    /// node. Starts from the nearer end.
    /// </summary>
    public QuicklistNode Seek(long index, out int offset)
    {
        if (index < Count / 2)
        {
            QuicklistNode node = Head!;
            while (index >= node.Count)
            {
                index -= node.Count;
                node = node.Next!;
            }
            offset = (int)index;
            return node;
        }
        else
        {
            long fromEnd = Count - 1 - index;
            QuicklistNode node = Tail!;
            while (fromEnd >= node.Count)
            {
                fromEnd -= node.Count;
                node = node.Previous!;
            }
            offset = (int)(node.Count - 1 - fromEnd);
            return node;
        }
    }

    /// <summary>
    /// Adds a node at the end that holds this listpack of <paramref name="count"/> elements; the array is not copied.
    /// </summary>
    public void AppendListpack(byte[] array, int start, int length, int count)
    {
        if (count == 0) return;
        var node = new QuicklistNode { Array = array, Start = start, Length = length, Count = count };
        Bytes += QuicklistNode.ObjectBytes + Blob.AllocatedBytes(array.Length);
        Count += count;
        Link(node, Tail, null);
    }

    /// <summary>Adds a node at the end that holds one large element; the array is not copied.</summary>
    public void AppendPlain(byte[] element)
    {
        Bytes += QuicklistNode.ObjectBytes + Blob.AllocatedBytes(element.Length);
        Count++;
        Link(new() { Array = element, Length = element.Length, Count = 1, IsPlain = true }, Tail, null);
    }

    /// <summary>A deep copy.</summary>
    public Quicklist Clone()
    {
        var clone = new Quicklist(Fill, CompressDepth);
        for (QuicklistNode? node = Head; node is not null; node = node.Next)
        {
            if (node.IsPlain) clone.AppendPlain(node.Content.ToArray());
            else clone.AppendListpack(node.Content.ToArray(), 0, node.Length, node.Count);
        }
        return clone;
    }

    private bool Allows(QuicklistNode? node, int length) =>
        node is not null && !node.IsPlain && !ListLimits.IsLarge(Fill, length)
        && !ListLimits.Exceeds(Fill, (long)node.Length + length + ElementOverhead, node.Count + 1);

    private QuicklistNode CreatePlain(ReadOnlySpan<byte> value)
    {
        Bytes += QuicklistNode.ObjectBytes + Blob.AllocatedBytes(value.Length);
        return new() { Array = value.ToArray(), Length = value.Length, Count = 1, IsPlain = true };
    }

    /// <summary>
    /// Creates an empty node, with its room after or before it. The first node gets room for one element, later ones as
    /// much as their neighbour came to need.
    /// </summary>
    private QuicklistNode CreatePacked(int size, QuicklistNode? neighbour, bool atEnd = false)
    {
        int least = Listpack.EmptyLength + size;
        int capacity = neighbour is null || neighbour.IsPlain ? least : Math.Max(least, Math.Min(neighbour.Length, ListLimits.Bytes(Fill)));
        var node = new QuicklistNode { Array = GC.AllocateUninitializedArray<byte>(capacity), Start = atEnd ? capacity - Listpack.EmptyLength : 0 };
        node.CutFrom(node.Start + Listpack.HeaderLength, 0);
        Bytes += QuicklistNode.ObjectBytes + Blob.AllocatedBytes(capacity);
        return node;
    }

    private void MakeRoomBehind(QuicklistNode node, int size)
    {
        if (node.Array.Length - node.Start - node.Length >= size) return;
        // The room is on the other side, or there is none. Room before the listpack comes from pushes or pops there, so
        // keep some.
        int capacity = CapacityFor(node, size);
        int spare = capacity - node.Length - size;
        Move(node, capacity, node.Start == 0 ? 0 : Math.Min(node.Start, spare / 2));
    }

    private void MakeRoomBefore(QuicklistNode node, int size)
    {
        if (node.Start >= size) return;
        int capacity = CapacityFor(node, size);
        int spare = capacity - node.Length - size, behind = node.Array.Length - node.Start - node.Length;
        Move(node, capacity, capacity - node.Length - Math.Min(behind, spare / 2));
    }

    /// <summary>
    /// The present capacity if a quarter of it is free; otherwise twice as much, up to the most a node may ever need.
    /// </summary>
    private int CapacityFor(QuicklistNode node, int size)
    {
        int needed = node.Length + size, capacity = node.Array.Length, most = Math.Max(needed, ListLimits.Bytes(Fill));
        if (needed <= capacity && (capacity - needed >= capacity / 4 || capacity >= most)) return capacity;
        // Rounded up to what the runtime allocates anyway.
        return Math.Min(most, (Math.Max(needed, Math.Min(capacity * 2, needed * 2)) + 7) & ~7);
    }

    /// <summary>Moves a node's listpack to another position, in an array of this capacity.</summary>
    private void Move(QuicklistNode node, int capacity, int start)
    {
        ReadOnlySpan<byte> content = node.Array.AsSpan(node.Start, node.Length);
        if (capacity == node.Array.Length)
        {
            content.CopyTo(node.Array.AsSpan(start));
        }
        else
        {
            byte[] moved = GC.AllocateUninitializedArray<byte>(capacity);
            content.CopyTo(moved.AsSpan(start));
            SetArray(node, moved);
        }
        node.Start = start;
    }

    private void SetArray(QuicklistNode node, byte[] array)
    {
        Bytes += Blob.AllocatedBytes(array.Length) - Blob.AllocatedBytes(node.Array.Length);
        node.Array = array;
    }

    /// <summary>Adopts a listpack after a change in the middle of a node.</summary>
    private void SetListpack(QuicklistNode node, in Listpack listpack, int countDifference)
    {
        if (!ReferenceEquals(listpack.Array, node.Array)) SetArray(node, listpack.Array);
        node.Length = listpack.Length;
        node.Count += countDifference;
        Count += countDifference;
    }

    /// <summary>Inserts a node between two neighbours, or at an end.</summary>
    private void Link(QuicklistNode node, QuicklistNode? previous, QuicklistNode? next)
    {
        node.Previous = previous;
        node.Next = next;
        if (previous is null) Head = node;
        else previous.Next = node;
        if (next is null) Tail = node;
        else next.Previous = node;
        NodeCount++;
        // A node at an end keeps room for pushes; a node that is no longer at an end does not need it.
        if (next is null && previous?.Previous is not null) Trim(previous);
        else if (previous is null && next?.Next is not null) Trim(next);
        if (CompressDepth > 0) Recompress(node);
    }

    /// <summary>Removes a node. Adjusting <see cref="Count"/> is up to the caller.</summary>
    private void Unlink(QuicklistNode node)
    {
        if (node.Previous is null) Head = node.Next;
        else node.Previous.Next = node.Next;
        if (node.Next is null) Tail = node.Previous;
        else node.Next.Previous = node.Previous;
        NodeCount--;
        Bytes -= QuicklistNode.ObjectBytes + Blob.AllocatedBytes(node.Array.Length);
        if (CompressDepth > 0) Recompress(null);
    }

    private void Trim(QuicklistNode node)
    {
        if (node.IsPlain || node.IsCompressed || node.Array.Length - node.Length <= (node.Length / 16) + 16) return;
        Move(node, node.Length, 0);
    }
}
