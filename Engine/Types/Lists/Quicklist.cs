namespace OrleansRedis.Engine;

/// <summary>
/// A long list: a doubly linked list of listpacks of limited size (quicklist.c of Redis). Pushes and pops at the ends
/// move nothing and rarely allocate. With a compression depth, all nodes except that many at either end are kept
/// compressed. Node boundaries are the same as in Redis 7.4, because DUMP reveals them.
/// </summary>
/// <remarks>
/// The nodes and what they hold are in native memory, which <see cref="Free"/> gives back. A node that is removed, and a
/// block that is replaced, is retired.
/// </remarks>
internal sealed unsafe partial class Quicklist(int fill, int compressDepth)
{
    /// <summary>What the runtime allocates for this object.</summary>
    internal const int ObjectBytes = 72;

    /// <summary>Redis's estimate of what an element takes besides its own bytes.</summary>
    private const int ElementOverhead = 8;

    private QuicklistNode* _bookmark; // where defragmentation is to continue

    /// <summary>list-max-listpack-size when the list was created.</summary>
    public int Fill { get; } = fill;

    /// <summary>list-compress-depth when the list was created.</summary>
    public int CompressDepth { get; } = compressDepth;

    /// <summary>The first node; null if there is none.</summary>
    public QuicklistNode* Head { get; private set; }

    /// <summary>The last node; null if there is none.</summary>
    public QuicklistNode* Tail { get; private set; }

    public int NodeCount { get; private set; }

    /// <summary>How many elements there are.</summary>
    public long Count { get; private set; }

    /// <summary>Bytes allocated for the whole list.</summary>
    public long Bytes { get; private set; } = ObjectBytes;

    /// <summary>The only node, if there is one and it is a listpack; otherwise null.</summary>
    public QuicklistNode* OnlyListpack => NodeCount == 1 && !Head->IsPlain ? Head : null;

    /// <summary>Adds an element after the last one.</summary>
    public void PushTail(ReadOnlySpan<byte> value)
    {
        Count++;
        if (ListLimits.IsLarge(Fill, value.Length))
        {
            Link(CreatePlain(value), Tail, null);
            return;
        }
        QuicklistNode* tail = Tail;
        int size = Listpack.SizeOf(value);
        if (!Allows(tail, value.Length)) Link(tail = CreatePacked(size, tail), Tail, null);
        MakeRoomBehind(tail, size);
        tail->Append(value, size);
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
        QuicklistNode* head = Head;
        int size = Listpack.SizeOf(value);
        if (!Allows(head, value.Length)) Link(head = CreatePacked(size, head, atEnd: true), null, Head);
        MakeRoomBefore(head, size);
        head->Prepend(value, size);
    }

    /// <summary>Removes the first element, which must exist.</summary>
    public void RemoveFirst()
    {
        Count--;
        if (Head->Count == 1) Unlink(Head);
        else Head->RemoveFirst();
    }

    /// <summary>Removes the last element, which must exist.</summary>
    public void RemoveLast()
    {
        Count--;
        if (Tail->Count == 1) Unlink(Tail);
        else Tail->RemoveLast();
    }

    /// <summary>
    /// The node that holds the element at an index (not negative, less than <see cref="Count"/>), and its index in the
    /// node. Starts from the nearer end.
    /// </summary>
    public QuicklistNode* Seek(long index, out int offset)
    {
        QuicklistNode* node;
        if (index < Count / 2)
        {
            for (node = Head; index >= node->Count; node = node->Next) index -= node->Count;
            offset = (int)index;
        }
        else
        {
            long fromEnd = Count - 1 - index;
            for (node = Tail; fromEnd >= node->Count; node = node->Previous) fromEnd -= node->Count;
            offset = (int)(node->Count - 1 - fromEnd);
        }
        return node;
    }

    /// <summary>Adds a node at the end that holds a copy of this listpack of <paramref name="count"/> elements.</summary>
    public void AppendListpack(ReadOnlySpan<byte> bytes, int count)
    {
        if (count == 0) return;
        Link(Create(CopyOf(bytes), 0, bytes.Length, count), Tail, null);
        Count += count;
    }

    /// <summary>Adds a node at the end that holds this listpack, in a block of its own, which now belongs to the list.</summary>
    public void AppendListpack(in Listpack listpack)
    {
        int count = listpack.Count;
        if (count == 0)
        {
            Heap.Free(listpack.Block);
            return;
        }
        Link(Create(listpack.Block, listpack.Start, listpack.Length, count), Tail, null);
        Count += count;
    }

    /// <summary>Adds a node at the end that holds a copy of one large element.</summary>
    public void AppendPlain(ReadOnlySpan<byte> element)
    {
        Link(CreatePlain(element), Tail, null);
        Count++;
    }

    /// <summary>A deep copy.</summary>
    public Quicklist Clone()
    {
        var clone = new Quicklist(Fill, CompressDepth);
        for (QuicklistNode* node = Head; node != null; node = node->Next)
        {
            // What is compressed stays so, since the nodes will lie at the same depths.
            ReadOnlySpan<byte> stored = node->Stored;
            QuicklistNode* copy = clone.Create(CopyOf(stored), 0, node->Length, node->Count, node->IsPlain);
            if (node->IsCompressed) copy->SetCompressed(stored.Length);
            clone.Join(copy, clone.Tail, null);
        }
        clone.Count = Count;
        return clone;
    }

    /// <summary>Gives back the memory of all nodes. The list is then empty.</summary>
    public void Free()
    {
        for (QuicklistNode* node = Head; node != null;)
        {
            QuicklistNode* next = node->Next;
            Heap.Free(node->Block);
            Heap.Free((byte*)node);
            node = next;
        }
        Head = Tail = _bookmark = null;
        NodeCount = 0;
        Count = 0;
        Bytes = ObjectBytes;
    }

    /// <summary>
    /// Moves nodes, and what they hold, that lie where memory is to become free, until the mover has enough. True at the
    /// end; otherwise the list remembers where to continue.
    /// </summary>
    public bool Defragment(BlockMover mover, bool fromHead)
    {
        QuicklistNode* node = fromHead ? Head : _bookmark;
        while (node != null && !mover.IsOver)
        {
            node = (QuicklistNode*)mover.Move((byte*)node);
            if (node->Previous == null) Head = node;
            else node->Previous->Next = node;
            if (node->Next == null) Tail = node;
            else node->Next->Previous = node;
            node->Block = mover.Move(node->Block);
            node = node->Next;
        }
        _bookmark = node;
        return node == null;
    }

    private bool Allows(QuicklistNode* node, int length) =>
        node != null && !node->IsPlain && !ListLimits.IsLarge(Fill, length)
        && !ListLimits.Exceeds(Fill, (long)node->Length + length + ElementOverhead, node->Count + 1);

    /// <summary>Makes a node around a block, which now belongs to it. The node has no neighbours yet.</summary>
    private QuicklistNode* Create(byte* block, int start, int length, int count, bool isPlain = false)
    {
        var node = (QuicklistNode*)Heap.Allocate(sizeof(QuicklistNode));
        *node = new() { Block = block, Start = start, Length = length, Count = count, IsPlain = isPlain };
        Bytes += BytesOf(node);
        return node;
    }

    private QuicklistNode* CreatePlain(ReadOnlySpan<byte> value) => Create(CopyOf(value), 0, value.Length, 1, isPlain: true);

    /// <summary>
    /// Creates an empty node, with its room after or before it. The first node gets room for one element, later ones as
    /// much as their neighbour came to need.
    /// </summary>
    private QuicklistNode* CreatePacked(int size, QuicklistNode* neighbour, bool atEnd = false)
    {
        int least = Listpack.EmptyLength + size;
        int wanted = neighbour == null || neighbour->IsPlain ? least : Math.Max(least, Math.Min(neighbour->Length, ListLimits.Bytes(Fill)));
        byte* block = Heap.Allocate(wanted);
        int start = atEnd ? Heap.SizeOf(block) - Listpack.EmptyLength : 0;
        QuicklistNode* node = Create(block, start, 0, 0);
        node->CutFrom(start + Listpack.HeaderLength, 0);
        return node;
    }

    private void MakeRoomBehind(QuicklistNode* node, int size)
    {
        if (Heap.SizeOf(node->Block) - node->Start - node->Length >= size) return;
        // The room is on the other side, or there is none. Room before the listpack comes from pushes or pops there, so
        // keep some.
        int capacity = CapacityFor(node, size);
        int spare = capacity - node->Length - size;
        Move(node, capacity, node->Start == 0 ? 0 : Math.Min(node->Start, spare / 2));
    }

    private void MakeRoomBefore(QuicklistNode* node, int size)
    {
        if (node->Start >= size) return;
        int capacity = CapacityFor(node, size);
        int spare = capacity - node->Length - size, behind = Heap.SizeOf(node->Block) - node->Start - node->Length;
        Move(node, capacity, capacity - node->Length - Math.Min(behind, spare / 2));
    }

    /// <summary>
    /// The present capacity if a quarter of it is free; otherwise twice as much, up to the most a node may ever need.
    /// Always the whole size of a block.
    /// </summary>
    private int CapacityFor(QuicklistNode* node, int size)
    {
        int needed = node->Length + size, capacity = Heap.SizeOf(node->Block), most = Heap.SizeFor(Math.Max(needed, ListLimits.Bytes(Fill)));
        if (needed <= capacity && (capacity - needed >= capacity / 4 || capacity >= most)) return capacity;
        return Math.Min(most, Heap.SizeFor(Math.Max(needed, Math.Min(capacity * 2, needed * 2))));
    }

    /// <summary>
    /// Moves a node's listpack to another position, in a block of this capacity: another block unless this one has it.
    /// </summary>
    private void Move(QuicklistNode* node, int capacity, int start)
    {
        ReadOnlySpan<byte> content = node->Content;
        if (capacity == Heap.SizeOf(node->Block))
        {
            content.CopyTo(new(node->Block + start, content.Length));
        }
        else
        {
            byte* moved = Heap.Allocate(capacity);
            content.CopyTo(new(moved + start, content.Length));
            Retirement.Retire(SetBlock(node, moved));
        }
        node->Start = start;
    }

    /// <summary>Gives a node another block, and returns the previous one, which the caller retires.</summary>
    private byte* SetBlock(QuicklistNode* node, byte* block)
    {
        byte* previous = node->Block;
        Bytes += Heap.AllocatedBytes(block) - Heap.AllocatedBytes(previous);
        node->Block = block;
        return previous;
    }

    /// <summary>
    /// Adopts a listpack after a change in the middle of a node. If that moved it, its previous block is retired already.
    /// </summary>
    private void SetListpack(QuicklistNode* node, in Listpack listpack, int countDifference)
    {
        if (listpack.Block != node->Block) SetBlock(node, listpack.Block);
        node->Length = listpack.Length;
        node->Count += countDifference;
        Count += countDifference;
    }

    /// <summary>Inserts a node between two neighbours, or at an end.</summary>
    private void Link(QuicklistNode* node, QuicklistNode* previous, QuicklistNode* next)
    {
        Join(node, previous, next);
        // A node at an end keeps room for pushes; a node that is no longer at an end does not need it.
        if (next == null && previous != null && previous->Previous != null) Trim(previous);
        else if (previous == null && next != null && next->Next != null) Trim(next);
        if (CompressDepth > 0) Recompress(node);
    }

    private void Join(QuicklistNode* node, QuicklistNode* previous, QuicklistNode* next)
    {
        node->Previous = previous;
        node->Next = next;
        if (previous == null) Head = node;
        else previous->Next = node;
        if (next == null) Tail = node;
        else next->Previous = node;
        NodeCount++;
    }

    /// <summary>Removes a node. Adjusting <see cref="Count"/> is up to the caller.</summary>
    private void Unlink(QuicklistNode* node)
    {
        if (node->Previous == null) Head = node->Next;
        else node->Previous->Next = node->Next;
        if (node->Next == null) Tail = node->Previous;
        else node->Next->Previous = node->Previous;
        if (_bookmark == node) _bookmark = node->Next;
        NodeCount--;
        Bytes -= BytesOf(node);
        Retirement.Retire(node->Block);
        Retirement.Retire((byte*)node);
        if (CompressDepth > 0) Recompress(null);
    }

    private void Trim(QuicklistNode* node)
    {
        if (node->IsPlain || node->IsCompressed) return;
        int capacity = Heap.SizeFor(node->Length);
        if (Heap.SizeOf(node->Block) - capacity > (node->Length / 16) + 16) Move(node, capacity, 0);
    }

    private static byte* CopyOf(ReadOnlySpan<byte> bytes)
    {
        byte* block = Heap.Allocate(bytes.Length);
        bytes.CopyTo(new(block, bytes.Length));
        return block;
    }

    private static long BytesOf(QuicklistNode* node) => (long)Heap.AllocatedBytes((byte*)node) + Heap.AllocatedBytes(node->Block);
}
