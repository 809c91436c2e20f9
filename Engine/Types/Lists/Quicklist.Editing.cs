using System.Runtime.InteropServices;

namespace OrleansRedis.Engine;

/// <summary>Changes in the middle of a quicklist.</summary>
internal sealed unsafe partial class Quicklist
{
    [ThreadStatic]
    private static List<int>? t_positions;

    /// <summary>Inserts an element before or after the one at an index within a node.</summary>
    public void Insert(QuicklistNode* node, int offset, ReadOnlySpan<byte> value, bool after)
    {
        int at = after ? offset + 1 : offset; // how many elements of the node come before the new one
        bool atHead = at == 0, atTail = at == node->Count;
        if (ListLimits.IsLarge(Fill, value.Length))
        {
            QuicklistNode* plain = CreatePlain(value);
            Count++;
            if (!atHead && !atTail) Split(node, at);
            if (atHead) Link(plain, node->Previous, node);
            else Link(plain, node, node->Next);
            return;
        }
        if (Allows(node, value.Length))
        {
            InsertInto(node, at, value);
        }
        else if (atTail && after && Allows(node->Next, value.Length))
        {
            InsertInto(node->Next, 0, value);
        }
        else if (atHead && !after && Allows(node->Previous, value.Length))
        {
            InsertInto(node->Previous, node->Previous->Count, value);
        }
        else if ((atTail && after) || (atHead && !after) || node->IsPlain)
        {
            Count++;
            QuicklistNode* only = CreateOf(value);
            if (after) Link(only, node, node->Next);
            else Link(only, node->Previous, node);
        }
        else
        {
            QuicklistNode* right = Split(node, at);
            if (after) InsertInto(right, 0, value);
            else InsertInto(node, node->Count, value);
            MergeAround(after ? node : right);
        }
    }

    /// <summary>Replaces the element at an index within a node with another value.</summary>
    public void Replace(QuicklistNode* node, int offset, ReadOnlySpan<byte> value)
    {
        bool isLarge = ListLimits.IsLarge(Fill, value.Length);
        if (!node->IsPlain && !isLarge)
        {
            Decompress(node);
            Listpack listpack = node->Listpack;
            listpack.Replace(listpack.Seek(offset), value);
            SetListpack(node, listpack, 0);
            if (CompressDepth > 0) Recompress(node);
            return;
        }
        if (node->IsPlain && isLarge)
        {
            Retirement.Retire(SetBlock(node, CopyOf(value)));
            node->SetDecompressed();
            node->Length = value.Length;
            if (CompressDepth > 0) Recompress(node);
            return;
        }
        if (node->IsPlain)
        {
            Insert(node, 0, value, after: true);
            Count--;
            Unlink(node);
            return;
        }
        // A large element replaces a small one. It needs a node of its own, between the elements before and after the
        // replaced one.
        if (offset != node->Count - 1) Split(node, offset + 1);
        Count++;
        Link(CreatePlain(value), node, node->Next);
        Count--;
        if (node->Count == 1)
        {
            Unlink(node);
            return;
        }
        Decompress(node);
        node->RemoveLast();
        if (CompressDepth > 0) Recompress(node);
    }

    /// <summary>Removes up to <paramref name="count"/> elements from an index on.</summary>
    public void RemoveRange(long index, long count)
    {
        if (index >= Count || count <= 0) return;
        QuicklistNode* node = Seek(index, out int offset);
        while (count > 0 && node != null)
        {
            QuicklistNode* next = node->Next;
            int here = (int)Math.Min(count, node->Count - offset);
            if (here == node->Count)
            {
                Count -= here;
                Unlink(node);
            }
            else
            {
                Decompress(node);
                if (offset + here == node->Count)
                {
                    node->CutFrom(node->Listpack.Seek(offset), offset);
                    Count -= here;
                    TrimIfSparse(node);
                }
                else
                {
                    Listpack listpack = node->Listpack;
                    listpack.Delete(listpack.Seek(offset), here);
                    SetListpack(node, listpack, -here);
                }
                if (CompressDepth > 0) Recompress(node);
            }
            count -= here;
            offset = 0;
            node = next;
        }
    }

    /// <summary>
    /// Removes up to <paramref name="most"/> elements equal to a value, starting from the first or, if
    /// <paramref name="reverse"/>, from the last; returns how many were removed.
    /// </summary>
    public long RemoveEqual(ReadOnlySpan<byte> value, long most, bool reverse)
    {
        List<int> positions = t_positions ??= [];
        long removed = 0;
        var reader = new QuicklistReader();
        QuicklistNode* node = reverse ? Tail : Head;
        while (node != null && removed < most)
        {
            QuicklistNode* next = reverse ? node->Previous : node->Next;
            if (node->IsPlain)
            {
                if (reader.Content(node).SequenceEqual(value))
                {
                    removed++;
                    Count--;
                    Unlink(node);
                }
                node = next;
                continue;
            }
            positions.Clear();
            ListSearch.FindEqual(reader.Listpack(node), value, most - removed, reverse, positions);
            removed += positions.Count;
            if (positions.Count == node->Count)
            {
                Count -= node->Count;
                Unlink(node);
            }
            else if (positions.Count != 0)
            {
                Decompress(node); // positions in a decompressed copy and in the node are the same: both begin at 0
                Listpack listpack = node->Listpack;
                listpack.Delete(CollectionsMarshal.AsSpan(positions));
                SetListpack(node, listpack, -positions.Count);
                if (CompressDepth > 0) Recompress(node);
            }
            node = next;
        }
        return removed;
    }

    private QuicklistNode* CreateOf(ReadOnlySpan<byte> value)
    {
        int size = Listpack.SizeOf(value);
        QuicklistNode* node = CreatePacked(size, null);
        node->Append(value, size);
        return node;
    }

    private void InsertInto(QuicklistNode* node, int at, ReadOnlySpan<byte> value)
    {
        Decompress(node);
        int size = Listpack.SizeOf(value);
        if (at == node->Count)
        {
            MakeRoomBehind(node, size);
            node->Append(value, size);
            Count++;
        }
        else if (at == 0)
        {
            MakeRoomBefore(node, size);
            node->Prepend(value, size);
            Count++;
        }
        else
        {
            MakeRoomBehind(node, size);
            Listpack listpack = node->Listpack;
            listpack.Insert(listpack.Seek(at), value);
            SetListpack(node, listpack, +1);
        }
        if (CompressDepth > 0) Recompress(node);
    }

    /// <summary>
    /// Splits a node in two: it keeps this many elements, and the rest go to a new node after it, which is returned.
    /// </summary>
    private QuicklistNode* Split(QuicklistNode* node, int keep)
    {
        Decompress(node);
        Listpack listpack = node->Listpack;
        int position = listpack.Seek(keep);
        Listpack rest = listpack.Copy(position, listpack.EndPosition);
        QuicklistNode* right = Create(rest.Block, rest.Start, rest.Length, node->Count - keep);
        node->CutFrom(position, keep);
        TrimIfSparse(node);
        Link(right, node, node->Next);
        if (CompressDepth > 0) Recompress(node);
        return right;
    }

    private void TrimIfSparse(QuicklistNode* node)
    {
        int capacity = Heap.SizeOf(node->Block);
        if (capacity > 64 && capacity / 2 > node->Length) Move(node, Heap.SizeFor(node->Length), 0);
    }

    /// <summary>
    /// After a split, where they fit into one node: merges the neighbours of a node pairwise, then the node with its
    /// own neighbours.
    /// </summary>
    private void MergeAround(QuicklistNode* center)
    {
        QuicklistNode* previous = center->Previous, next = center->Next;
        if (previous != null && previous->Previous != null) TryMerge(previous->Previous, previous);
        if (next != null && next->Next != null) TryMerge(next, next->Next);
        QuicklistNode* left = center->Previous, target = left != null && TryMerge(left, center) ? left : center;
        if (target->Next != null) TryMerge(target, target->Next);
    }

    /// <summary>Moves a node's elements to the end of the one before it, if they fit.</summary>
    private bool TryMerge(QuicklistNode* into, QuicklistNode* from)
    {
        if (into->IsPlain || from->IsPlain
            || ListLimits.Exceeds(Fill, (long)into->Length + from->Length - Listpack.EmptyLength, into->Count + from->Count)) return false;
        Decompress(into);
        Decompress(from);
        int bytes = from->Length - Listpack.EmptyLength;
        if (Heap.SizeOf(into->Block) - into->Start - into->Length < bytes) Move(into, Heap.SizeFor(into->Length + bytes), 0);
        ReadOnlySpan<byte> elementsAndEnd = from->Content[Listpack.HeaderLength..];
        elementsAndEnd.CopyTo(new(into->Block + into->Start + into->Length - 1, elementsAndEnd.Length));
        into->Length += bytes;
        into->Count += from->Count;
        into->WriteHeader();
        Unlink(from);
        if (CompressDepth > 0) Recompress(into);
        return true;
    }
}
