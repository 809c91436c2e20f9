using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace OrleansRedis.Engine;

/// <summary>A position in the order of a sorted set: every entry for which IsAfter is true comes before it.</summary>
internal interface IScoreBound
{
    /// <summary>
    /// Whether the bound lies after this entry. Monotone: once false in the set's order, it is false for the rest.
    /// </summary>
    bool IsAfter(double score, ScoredMember entry);

    /// <summary>The same for a member that is not in a <see cref="ScoredMember"/>.</summary>
    bool IsAfter(double score, scoped ReadOnlySpan<byte> member);
}

/// <summary>
/// The order of a large sorted set: by score, then by member. It does the work of Redis's skiplist with spans, but as a
/// counted B+ tree. The scores that a search compares lie side by side in memory, so a search misses the cache about
/// once per level: three levels for a million members, where a skiplist visits twenty nodes. An entry costs 16 bytes of
/// a leaf instead of a node with its pointers. Every inner node knows how many entries are below each child, so a
/// single descent finds the entry of a rank, or the rank of an entry.
/// <para>
/// Entries are shared with the dictionary, which owns them. A separator is a lower bound for everything on its right
/// and an upper bound for everything on its left. It is a copy of the entry that it was taken from, which may have left
/// the set since, and belongs to its node. A leaf (or inner node) that falls below <see cref="Sparse"/> entries is
/// merged with a neighbour of the same parent, if the two together have no more than <see cref="MergeLimit"/>.
/// </para>
/// </summary>
internal sealed unsafe class ScoreTree
{
    /// <summary>With so many, a leaf fills a block of 1024 bytes, and an inner node one of 1792.</summary>
    private const int Capacity = 62;
    private const int MergeLimit = 48;
    private const int Sparse = 16;
    private const int MaxDepth = 12;                       // 16^12 leaves: never reached

    private Node* _root;

    public ScoreTree()
    {
        _root = (Node*)NewLeaf();
    }

    /// <summary>How many entries there are.</summary>
    public int Count { get; private set; }

    /// <summary>Bytes of the nodes and separators, excluding the entries.</summary>
    public long Bytes { get; private set; }

    /// <summary>How many entries lie before the bound: the rank of the first entry after it.</summary>
    public int CountBefore<TBound>(scoped in TBound bound) where TBound : struct, IScoreBound, allows ref struct
    {
        int before = 0;
        Node* node = _root;
        while (node->IsInner)
        {
            var inner = (Inner*)node;
            int child = inner->ChildOf(bound);
            for (int i = 0; i < child; i++) before += inner->Sizes[i];
            node = inner->Child(child);
        }
        return before + ((Leaf*)node)->IndexOf(bound);
    }

    /// <summary>The entry with this rank, to walk from; invalid if there is none.</summary>
    public Position At(int rank)
    {
        if ((uint)rank >= (uint)Count) return default;
        Node* node = _root;
        while (node->IsInner)
        {
            var inner = (Inner*)node;
            int child = 0;
            while (rank >= inner->Sizes[child]) rank -= inner->Sizes[child++];
            node = inner->Child(child);
        }
        return new((Leaf*)node, rank);
    }

    /// <summary>The first entry after a bound, to walk from; invalid if there is none.</summary>
    public Position FirstAt<TBound>(scoped in TBound bound) where TBound : struct, IScoreBound, allows ref struct
    {
        Node* node = _root;
        while (node->IsInner) node = ((Inner*)node)->Child(((Inner*)node)->ChildOf(bound));
        var leaf = (Leaf*)node;
        int index = leaf->IndexOf(bound);
        if (index < leaf->Count) return new(leaf, index);
        leaf = leaf->Next;
        return leaf == null ? default : new(leaf, 0);
    }

    /// <summary>Adds an entry that is not there yet.</summary>
    public void Insert(double score, ScoredMember entry)
    {
        var bound = new EntryBound(score, entry.Key);
        Path path = default;
        int depth = 0;
        Node* node = _root;
        while (node->IsInner)
        {
            var inner = (Inner*)node;
            int child = inner->ChildOf(bound);
            inner->Sizes[child]++;
            path[depth++] = new() { Node = inner, Child = child };
            node = inner->Child(child);
        }
        Count++;
        var leaf = (Leaf*)node;
        int index = leaf->IndexOf(bound);
        if (leaf->Count < Capacity) leaf->Insert(index, score, entry);
        else Split(leaf, index, score, entry, ref path, depth);
    }

    /// <summary>Removes <paramref name="count"/> entries from this rank on.</summary>
    public void RemoveRange(int rank, int count)
    {
        Count -= count;
        while (count > 0)
        {
            Path path = default;
            int depth = 0, index = rank;
            Node* node = _root;
            while (node->IsInner)
            {
                var inner = (Inner*)node;
                int child = 0;
                while (index >= inner->Sizes[child]) index -= inner->Sizes[child++];
                path[depth++] = new() { Node = inner, Child = child };
                node = inner->Child(child);
            }
            var leaf = (Leaf*)node;
            int removed = Math.Min(count, leaf->Count - index);
            leaf->RemoveRange(index, removed);
            for (int i = 0; i < depth; i++) path[i].Node->Sizes[path[i].Child] -= removed;
            if (leaf->Count < Sparse) Tidy(ref path, depth);
            count -= removed;
        }
    }

    /// <summary>Moves an entry to another place in the order.</summary>
    public void Move(double oldScore, double newScore, ScoredMember entry)
    {
        ReadOnlySpan<byte> member = entry.Key;
        Position at = FirstAt(new EntryBound(oldScore, member));
        // Most changes are small: if the entry stays between its neighbours in the leaf, only the score is written. At
        // a leaf's edge the separators would matter as well, so that case takes the long way.
        Leaf* leaf = at.Leaf;
        if (leaf != null && at.Index > 0 && at.Index < leaf->Count - 1 &&
            !new EntryBound(leaf->Scores[at.Index - 1], leaf->Entry(at.Index - 1).Key).IsAfter(newScore, entry) &&
            new EntryBound(leaf->Scores[at.Index + 1], leaf->Entry(at.Index + 1).Key).IsAfter(newScore, entry))
        {
            leaf->Scores[at.Index] = newScore;
            return;
        }
        RemoveRange(CountBefore(new EntryBound(oldScore, member)), 1);
        Insert(newScore, entry);
    }

    /// <summary>
    /// Moves nodes, separators and entries that lie where memory is to become free, leaf by leaf in order, until the mover
    /// has enough. Returns where to continue, or null at the end.
    /// </summary>
    /// <param name="members">The dictionary, which has the same entries.</param>
    /// <param name="mover">Moves them.</param>
    /// <param name="from">What the last call has returned; null at first.</param>
    public object? Defragment(ByteTable<ScoredMember> members, BlockMover mover, object? from)
    {
        Cursor? cursor = from as Cursor;
        Leaf* leaf = cursor is null ? DefragmentLeaf(default, members, mover) : DefragmentLeaf(new(cursor.Score, cursor.Member), members, mover);
        // What was restored without a check may be out of order: nothing then says that the next leaf has not been met.
        for (int left = cursor?.Left ?? Count; leaf->Next != null && left > 0; left--)
        {
            Leaf* next = leaf->Next;
            if (mover.IsOver) return new Cursor(next->Scores[0], next->Entry(0).Key.ToArray(), left);
            leaf = DefragmentLeaf(new(next->Scores[0], next->Entry(0).Key), members, mover);
        }
        return null;
    }

    /// <summary>
    /// Moves what leads to the leaf that the bound falls into, the leaf, and its entries. Returns where the leaf is now. The
    /// bound's member may be that of an entry there.
    /// </summary>
    private Leaf* DefragmentLeaf(scoped in PassedBound bound, ByteTable<ScoredMember> members, BlockMover mover)
    {
        Node* node = _root = (Node*)mover.Move((byte*)_root);
        while (node->IsInner)
        {
            var inner = (Inner*)node;
            int child = inner->ChildOf(bound);
            inner->LowEntries[child] = (ulong)mover.Move((byte*)inner->LowEntries[child]);
            node = (Node*)mover.Move((byte*)inner->Child(child));
            inner->Children[child] = (ulong)node;
        }
        var leaf = (Leaf*)node;
        if (leaf->Previous != null) leaf->Previous->Next = leaf;
        if (leaf->Next != null) leaf->Next->Previous = leaf;
        for (int i = 0; i < leaf->Count; i++)
        {
            ScoredMember entry = leaf->Entry(i);
            if (!mover.Wants(entry.Block)) continue;
            ref ScoredMember cell = ref members.CellOf(entry, KeyHash.Of(entry.Key));
            cell = ScoredMember.At(mover.MoveWanted(entry.Block));
            leaf->Entries[i] = (ulong)cell.Block;
        }
        return leaf;
    }

    /// <summary>Gives back the memory of the nodes. The tree must not be used any more.</summary>
    public void Free() => Free(_root);

    /// <summary>Checks every invariant of the class; for tests.</summary>
    internal void Verify()
    {
        Leaf* expected = null;
        long bytes = 0;
        int seen = Verify(_root, ref expected, ref bytes);
        if (seen != Count) throw new InvalidOperationException($"{seen} entries, {Count} counted.");
        if (expected->Next != null) throw new InvalidOperationException("A leaf behind the last.");
        if (bytes != Bytes) throw new InvalidOperationException($"{bytes} bytes, {Bytes} counted.");
    }

    private static int Verify(Node* node, ref Leaf* previous, ref long bytes)
    {
        bytes += Heap.AllocatedBytes((byte*)node);
        if (!node->IsInner)
        {
            var leaf = (Leaf*)node;
            if (leaf->Previous != previous || (previous != null && previous->Next != leaf))
                throw new InvalidOperationException("Leaves are linked wrongly.");
            for (int i = 0; i < leaf->Count; i++)
            {
                if (leaf->Scores[i] != leaf->Entry(i).Score) throw new InvalidOperationException("A leaf has another score than the entry.");
                bool first = i == 0;
                if (first && previous == null) continue;
                Leaf* other = first ? previous : leaf;
                int at = first ? previous->Count - 1 : i - 1;
                if (!new EntryBound(leaf->Scores[i], leaf->Entry(i).Key).IsAfter(other->Scores[at], other->Entry(at)))
                    throw new InvalidOperationException("Entries are out of order.");
            }
            previous = leaf;
            return leaf->Count;
        }
        var inner = (Inner*)node;
        int total = 0;
        for (int i = 0; i < inner->Count; i++)
        {
            if (inner->LowEntries[i] != 0) bytes += inner->LowEntry(i).AllocatedBytes;
            int below = Verify(inner->Child(i), ref previous, ref bytes);
            if (below == 0) throw new InvalidOperationException("An empty node.");
            if (below != inner->Sizes[i]) throw new InvalidOperationException($"{below} entries below a child that counts {inner->Sizes[i]}.");
            total += below;
        }
        return total;
    }

    private void Split(Leaf* leaf, int index, double score, ScoredMember entry, ref Path path, int depth)
    {
        // Entries added in ascending order leave full leaves behind.
        bool appending = index == Capacity && leaf->Next == null;
        int keep = appending ? Capacity : Capacity / 2;
        Leaf* right = NewLeaf();
        leaf->SplitAt(keep, right);
        if (appending || index > keep) right->Insert(index - keep, score, entry);
        else leaf->Insert(index, score, entry);

        var added = (Node*)right;
        int leftSize = leaf->Count, rightSize = right->Count;
        double low = right->Scores[0];
        ScoredMember lowEntry = NewSeparator(low, right->Entry(0));
        while (depth > 0)
        {
            PathStep step = path[--depth];
            Inner* inner = step.Node;
            inner->Sizes[step.Child] = leftSize;
            int at = step.Child + 1;
            if (inner->Count < Capacity)
            {
                inner->Insert(at, added, rightSize, low, lowEntry);
                return;
            }
            appending &= at == Capacity;
            keep = appending ? Capacity : Capacity / 2;
            Inner* rightInner = NewInner();
            // The separator of what becomes the first child on the right goes up; a first child has none.
            double innerLow = low;
            ScoredMember innerLowEntry = lowEntry;
            if (!appending)
            {
                innerLow = inner->Lows[keep];
                innerLowEntry = inner->LowEntry(keep);
                inner->LowEntries[keep] = 0;
            }
            inner->SplitAt(keep, rightInner);
            if (appending) rightInner->Insert(0, added, rightSize, 0, default);
            else if (at > keep) rightInner->Insert(at - keep, added, rightSize, low, lowEntry);
            else inner->Insert(at, added, rightSize, low, lowEntry);
            added = (Node*)rightInner;
            (leftSize, rightSize, low, lowEntry) = (inner->Total, rightInner->Total, innerLow, innerLowEntry);
        }
        Inner* root = NewInner();
        root->Insert(0, _root, leftSize, 0, default);
        root->Insert(1, added, rightSize, low, lowEntry);
        _root = (Node*)root;
    }

    /// <summary>
    /// After removals: drops the last node of the path if it is empty, or merges it with a neighbour, and so on
    /// upwards.
    /// </summary>
    private void Tidy(ref Path path, int depth)
    {
        while (depth > 0)
        {
            PathStep step = path[--depth];
            Inner* parent = step.Node;
            int child = step.Child;
            Node* node = parent->Child(child);
            if (node->Count >= Sparse) return;
            if (node->Count == 0)
            {
                Drop(parent, child);
                continue;
            }
            if (child > 0 && parent->Child(child - 1)->Count + node->Count <= MergeLimit) child--;
            else if (child + 1 == parent->Count || parent->Child(child + 1)->Count + node->Count > MergeLimit) return;
            // The content of the right node goes to the left one.
            Node* left = parent->Child(child), right = parent->Child(child + 1);
            if (!left->IsInner)
            {
                ((Leaf*)left)->Append((Leaf*)right);
            }
            else
            {
                ((Inner*)left)->Append((Inner*)right, parent->Lows[child + 1], parent->LowEntry(child + 1));
                parent->LowEntries[child + 1] = 0;
            }
            parent->Sizes[child] += parent->Sizes[child + 1];
            Drop(parent, child + 1);
        }
        while (_root->IsInner && _root->Count == 1)
        {
            var root = (Inner*)_root;
            _root = root->Child(0);
            FreeNode((Node*)root);
        }
        if (!_root->IsInner || _root->Count != 0) return;
        FreeNode(_root);
        _root = (Node*)NewLeaf();
    }

    /// <summary>Removes a child whose content is gone from its parent, with its separator.</summary>
    private void Drop(Inner* parent, int child)
    {
        Node* node = parent->Child(child);
        if (!node->IsInner)
        {
            var leaf = (Leaf*)node;
            if (leaf->Previous != null) leaf->Previous->Next = leaf->Next;
            if (leaf->Next != null) leaf->Next->Previous = leaf->Previous;
        }
        FreeSeparator(parent, child);
        // What becomes the first child needs no separator any more.
        if (child == 0 && parent->Count > 1) FreeSeparator(parent, 1);
        parent->Remove(child);
        FreeNode(node);
    }

    private Leaf* NewLeaf()
    {
        var leaf = (Leaf*)Heap.Allocate(sizeof(Leaf));
        leaf->Count = 0;
        leaf->IsInner = false;
        leaf->Previous = leaf->Next = null;
        Bytes += Heap.AllocatedBytes((byte*)leaf);
        return leaf;
    }

    private Inner* NewInner()
    {
        var inner = (Inner*)Heap.Allocate(sizeof(Inner));
        inner->Count = 0;
        inner->IsInner = true;
        Bytes += Heap.AllocatedBytes((byte*)inner);
        return inner;
    }

    private ScoredMember NewSeparator(double score, ScoredMember of)
    {
        var separator = ScoredMember.Create(score, of.Key);
        Bytes += separator.AllocatedBytes;
        return separator;
    }

    private void FreeSeparator(Inner* node, int child)
    {
        if (node->LowEntries[child] == 0) return;
        Bytes -= node->LowEntry(child).AllocatedBytes;
        node->LowEntry(child).Free();
        node->LowEntries[child] = 0;
    }

    private void FreeNode(Node* node)
    {
        Bytes -= Heap.AllocatedBytes((byte*)node);
        // A position may still lead here until the command ends.
        Retirement.Retire((byte*)node);
    }

    private static void Free(Node* node)
    {
        if (node->IsInner)
        {
            var inner = (Inner*)node;
            for (int i = 0; i < inner->Count; i++)
            {
                Free(inner->Child(i));
                if (inner->LowEntries[i] != 0) inner->LowEntry(i).Free();
            }
        }
        Heap.Free((byte*)node);
    }

    /// <summary>An entry, and the way to its neighbours. Valid until the tree changes.</summary>
    public struct Position(Leaf* leaf, int index)
    {
        internal Leaf* Leaf = leaf;
        internal int Index = index;

        public readonly bool IsValid => Leaf != null;

        public readonly ScoredMember Entry => Leaf->Entry(Index);

        public readonly ReadOnlySpan<byte> Member => Entry.Key;

        public readonly double Score => Leaf->Scores[Index];

        /// <summary>Steps to the next entry; becomes invalid after the last.</summary>
        public void Next()
        {
            if (++Index < Leaf->Count) return;
            Leaf = Leaf->Next;
            Index = 0;
        }

        /// <summary>Steps to the previous entry; becomes invalid before the first.</summary>
        public void Previous()
        {
            if (--Index >= 0) return;
            Leaf = Leaf->Previous;
            Index = Leaf == null ? 0 : Leaf->Count - 1;
        }
    }

    /// <summary>The position of one member with one score.</summary>
    internal readonly ref struct EntryBound(double score, ReadOnlySpan<byte> member) : IScoreBound
    {
        private readonly double _score = score;
        private readonly ReadOnlySpan<byte> _member = member;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public bool IsAfter(double score, ScoredMember entry) =>
            score < _score || (score == _score && entry.Key.SequenceCompareTo(_member) < 0);

        public bool IsAfter(double score, scoped ReadOnlySpan<byte> member) =>
            score < _score || (score == _score && member.SequenceCompareTo(_member) < 0);
    }

    /// <summary>
    /// Where defragmentation is to continue: with the leaf that this entry is in, or would be; and how many leaves there
    /// may still be.
    /// </summary>
    private sealed record Cursor(double Score, byte[] Member, int Left);

    /// <summary>The position behind one member with one score; before everything if it is the default.</summary>
    private readonly ref struct PassedBound(double score, ReadOnlySpan<byte> member) : IScoreBound
    {
        private readonly bool _isSomewhere = true;
        private readonly double _score = score;
        private readonly ReadOnlySpan<byte> _member = member;

        public bool IsAfter(double score, ScoredMember entry) => IsAfter(score, entry.Key);

        public bool IsAfter(double score, scoped ReadOnlySpan<byte> member) =>
            _isSomewhere && (score < _score || (score == _score && member.SequenceCompareTo(_member) <= 0));
    }

    private struct PathStep
    {
        public Inner* Node;
        public int Child;
    }

    [InlineArray(MaxDepth)]
    private struct Path
    {
        private PathStep _first;
    }

    /// <summary>What both kinds of nodes begin with.</summary>
    internal struct Node
    {
        /// <summary>Entries of a leaf, or children of an inner node.</summary>
        public int Count;

        public bool IsInner;
    }

    internal struct Leaf
    {
        public int Count;
        public bool IsInner;
        public Leaf* Previous;
        public Leaf* Next;
        public fixed double Scores[Capacity];
        public fixed ulong Entries[Capacity];

        [UnscopedRef]
        private Span<double> ScoreSpan => MemoryMarshal.CreateSpan(ref Scores[0], Capacity);

        [UnscopedRef]
        private Span<ulong> EntrySpan => MemoryMarshal.CreateSpan(ref Entries[0], Capacity);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public readonly ScoredMember Entry(int index) => ScoredMember.At((byte*)Entries[index]);

        /// <summary>How many entries of this leaf lie before the bound.</summary>
        public readonly int IndexOf<TBound>(scoped in TBound bound) where TBound : struct, IScoreBound, allows ref struct
        {
            int from = 0, to = Count;
            while (from < to)
            {
                int middle = (from + to) >> 1;
                if (bound.IsAfter(Scores[middle], Entry(middle))) from = middle + 1;
                else to = middle;
            }
            return from;
        }

        public void Insert(int index, double score, ScoredMember entry)
        {
            ScoreSpan[index..Count].CopyTo(ScoreSpan[(index + 1)..]);
            EntrySpan[index..Count].CopyTo(EntrySpan[(index + 1)..]);
            Scores[index] = score;
            Entries[index] = (ulong)entry.Block;
            Count++;
        }

        public void RemoveRange(int index, int count)
        {
            ScoreSpan[(index + count)..Count].CopyTo(ScoreSpan[index..]);
            EntrySpan[(index + count)..Count].CopyTo(EntrySpan[index..]);
            Count -= count;
        }

        public void SplitAt(int keep, Leaf* right)
        {
            var self = (Leaf*)Unsafe.AsPointer(ref this); // native memory: it stays where it is
            right->Previous = self;
            right->Next = Next;
            if (Next != null) Next->Previous = right;
            Next = right;
            right->Count = Count - keep;
            ScoreSpan[keep..Count].CopyTo(right->ScoreSpan);
            EntrySpan[keep..Count].CopyTo(right->EntrySpan);
            Count = keep;
        }

        /// <summary>Appends the entries of its right neighbour.</summary>
        public void Append(Leaf* right)
        {
            right->ScoreSpan[..right->Count].CopyTo(ScoreSpan[Count..]);
            right->EntrySpan[..right->Count].CopyTo(EntrySpan[Count..]);
            Count += right->Count;
        }
    }

    private struct Inner
    {
        public int Count;
        public bool IsInner;
        public fixed ulong Children[Capacity];
        public fixed double Lows[Capacity];        // [0] has no meaning
        public fixed ulong LowEntries[Capacity];   // [0] is 0
        public fixed int Sizes[Capacity];

        public readonly int Total
        {
            get
            {
                int total = 0;
                for (int i = 0; i < Count; i++) total += Sizes[i];
                return total;
            }
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public readonly Node* Child(int index) => (Node*)Children[index];

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public readonly ScoredMember LowEntry(int index) => ScoredMember.At((byte*)LowEntries[index]);

        /// <summary>The child that the bound falls into.</summary>
        public readonly int ChildOf<TBound>(scoped in TBound bound) where TBound : struct, IScoreBound, allows ref struct
        {
            int from = 1, to = Count;
            while (from < to)
            {
                int middle = (from + to) >> 1;
                if (bound.IsAfter(Lows[middle], LowEntry(middle))) from = middle + 1;
                else to = middle;
            }
            return from - 1;
        }

        public void Insert(int index, Node* child, int size, double low, ScoredMember lowEntry)
        {
            Copy(ref this, index, ref this, index + 1, Count - index);
            Children[index] = (ulong)child;
            Sizes[index] = size;
            Lows[index] = low;
            LowEntries[index] = (ulong)lowEntry.Block;
            Count++;
        }

        public void Remove(int index)
        {
            Copy(ref this, index + 1, ref this, index, Count - index - 1);
            Count--;
        }

        public void SplitAt(int keep, Inner* right)
        {
            right->Count = Count - keep;
            Copy(ref this, keep, ref *right, 0, right->Count);
            Count = keep;
        }

        /// <summary>Appends the children of its right neighbour, whose separator is given.</summary>
        public void Append(Inner* right, double low, ScoredMember lowEntry)
        {
            Copy(ref *right, 0, ref this, Count, right->Count);
            // Its first child is no longer a first child, so that child's separator now has a meaning.
            Lows[Count] = low;
            LowEntries[Count] = (ulong)lowEntry.Block;
            Count += right->Count;
        }

        private static void Copy(ref Inner from, int index, ref Inner to, int at, int count)
        {
            Span(ref from.Children[0])[index..(index + count)].CopyTo(Span(ref to.Children[0])[at..]);
            Span(ref from.Lows[0])[index..(index + count)].CopyTo(Span(ref to.Lows[0])[at..]);
            Span(ref from.LowEntries[0])[index..(index + count)].CopyTo(Span(ref to.LowEntries[0])[at..]);
            Span(ref from.Sizes[0])[index..(index + count)].CopyTo(Span(ref to.Sizes[0])[at..]);

            static Span<T> Span<T>(ref T first) => MemoryMarshal.CreateSpan(ref first, Capacity);
        }
    }
}
