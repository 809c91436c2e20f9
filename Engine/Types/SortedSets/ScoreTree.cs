using System.Runtime.CompilerServices;

namespace OrleansRedis.Engine;

/// <summary>A position in the order of a sorted set: every entry for which IsAfter is true comes before it.</summary>
internal interface IScoreBound
{
    /// <summary>
    /// Whether the bound lies after this entry. Monotone: once false in the set's order, it is false for the rest.
    /// </summary>
    bool IsAfter(double score, byte[] entry);

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
/// Entries are the arrays of <see cref="ScoredMember"/>, shared with the dictionary. A separator is a lower bound for
/// everything on its right and an upper bound for everything on its left; the entry it was taken from may have left the
/// set since. A leaf (or inner node) that falls below <see cref="Sparse"/> entries is merged with a neighbour of the
/// same parent, if the two together have no more than <see cref="MergeLimit"/>.
/// </para>
/// </summary>
internal sealed class ScoreTree
{
    private const int Capacity = 64;
    private const int MergeLimit = 48;
    private const int Sparse = 16;
    private const int MaxDepth = 12;                       // 16^12 leaves: never reached
    private const long LeafBytes = 48 + (2 * (24 + (8L * Capacity)));
    private const long InnerBytes = 56 + (4 * 24) + ((8L + 4 + 8 + 8) * Capacity);

    private Node _root = new Leaf();

    /// <summary>How many entries there are.</summary>
    public int Count { get; private set; }

    /// <summary>Bytes of the nodes, excluding the entries.</summary>
    public long Bytes { get; private set; } = LeafBytes;

    /// <summary>How many entries lie before the bound: the rank of the first entry after it.</summary>
    public int CountBefore<TBound>(scoped in TBound bound) where TBound : struct, IScoreBound, allows ref struct
    {
        int before = 0;
        Node node = _root;
        while (node is Inner inner)
        {
            int child = inner.ChildOf(bound);
            for (int i = 0; i < child; i++) before += inner.Sizes[i];
            node = inner.Children[child];
        }
        return before + Unsafe.As<Leaf>(node).IndexOf(bound);
    }

    /// <summary>The entry with this rank, to walk from; invalid if there is none.</summary>
    public Position At(int rank)
    {
        if ((uint)rank >= (uint)Count) return default;
        Node node = _root;
        while (node is Inner inner)
        {
            int child = 0;
            while (rank >= inner.Sizes[child]) rank -= inner.Sizes[child++];
            node = inner.Children[child];
        }
        return new(Unsafe.As<Leaf>(node), rank);
    }

    /// <summary>The first entry after a bound, to walk from; invalid if there is none.</summary>
    public Position FirstAt<TBound>(scoped in TBound bound) where TBound : struct, IScoreBound, allows ref struct
    {
        Node node = _root;
        while (node is Inner inner) node = inner.Children[inner.ChildOf(bound)];
        Leaf? leaf = Unsafe.As<Leaf>(node);
        int index = leaf.IndexOf(bound);
        if (index < leaf.Count) return new(leaf, index);
        leaf = leaf.Next;
        return leaf is null ? default : new(leaf, 0);
    }

    /// <summary>Adds an entry that is not there yet.</summary>
    public void Insert(double score, byte[] entry)
    {
        var bound = new EntryBound(score, ScoredMember.MemberOf(entry));
        Path path = default;
        int depth = 0;
        Node node = _root;
        while (node is Inner inner)
        {
            int child = inner.ChildOf(bound);
            inner.Sizes[child]++;
            path[depth++] = new() { Node = inner, Child = child };
            node = inner.Children[child];
        }
        Count++;
        Leaf leaf = Unsafe.As<Leaf>(node);
        int index = leaf.IndexOf(bound);
        if (leaf.Count < Capacity) leaf.Insert(index, score, entry);
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
            Node node = _root;
            while (node is Inner inner)
            {
                int child = 0;
                while (index >= inner.Sizes[child]) index -= inner.Sizes[child++];
                path[depth++] = new() { Node = inner, Child = child };
                node = inner.Children[child];
            }
            Leaf leaf = Unsafe.As<Leaf>(node);
            int removed = Math.Min(count, leaf.Count - index);
            leaf.RemoveRange(index, removed);
            for (int i = 0; i < depth; i++) path[i].Node.Sizes[path[i].Child] -= removed;
            if (leaf.Count < Sparse) Tidy(ref path, depth);
            count -= removed;
        }
    }

    /// <summary>Moves an entry to another place in the order.</summary>
    public void Move(double oldScore, double newScore, byte[] entry)
    {
        ReadOnlySpan<byte> member = ScoredMember.MemberOf(entry);
        Position at = FirstAt(new EntryBound(oldScore, member));
        // Most changes are small: if the entry stays between its neighbours in the leaf, only the score is written. At
        // a leaf's edge the separators would matter as well, so that case takes the long way.
        if (at.Leaf is { } leaf && at.Index > 0 && at.Index < leaf.Count - 1 &&
            !new EntryBound(leaf.Scores[at.Index - 1], ScoredMember.MemberOf(leaf.Entries[at.Index - 1])).IsAfter(newScore, entry) &&
            new EntryBound(leaf.Scores[at.Index + 1], ScoredMember.MemberOf(leaf.Entries[at.Index + 1])).IsAfter(newScore, entry))
        {
            leaf.Scores[at.Index] = newScore;
            return;
        }
        RemoveRange(CountBefore(new EntryBound(oldScore, member)), 1);
        Insert(newScore, entry);
    }

    /// <summary>Checks every invariant of the class; for tests.</summary>
    internal void Verify()
    {
        Leaf? expected = null;
        int seen = Verify(_root, ref expected);
        if (seen != Count) throw new InvalidOperationException($"{seen} entries, {Count} counted.");
        if (expected?.Next is not null) throw new InvalidOperationException("A leaf behind the last.");
    }

    private static int Verify(Node node, ref Leaf? previous)
    {
        if (node is Leaf leaf)
        {
            if (leaf.Previous != previous || (previous is not null && previous.Next != leaf))
                throw new InvalidOperationException("Leaves are linked wrongly.");
            for (int i = 0; i < leaf.Count; i++)
            {
                if (leaf.Scores[i] != ScoredMember.ScoreOf(leaf.Entries[i]))
                    throw new InvalidOperationException("A leaf has another score than the entry.");
                bool first = i == 0;
                if (first && previous is null) continue;
                Leaf other = first ? previous! : leaf;
                int at = first ? previous!.Count - 1 : i - 1;
                if (!new EntryBound(leaf.Scores[i], ScoredMember.MemberOf(leaf.Entries[i])).IsAfter(other.Scores[at], other.Entries[at]))
                    throw new InvalidOperationException("Entries are out of order.");
            }
            for (int i = leaf.Count; i < Capacity; i++)
            {
                if (leaf.Entries[i] is not null) throw new InvalidOperationException("A removed entry is still held.");
            }
            previous = leaf;
            return leaf.Count;
        }
        var inner = (Inner)node;
        int total = 0;
        for (int i = 0; i < inner.Count; i++)
        {
            int below = Verify(inner.Children[i], ref previous);
            if (below == 0) throw new InvalidOperationException("An empty node.");
            if (below != inner.Sizes[i]) throw new InvalidOperationException($"{below} entries below a child that counts {inner.Sizes[i]}.");
            total += below;
        }
        return total;
    }

    private void Split(Leaf leaf, int index, double score, byte[] entry, ref Path path, int depth)
    {
        // Entries added in ascending order leave full leaves behind.
        bool appending = index == Capacity && leaf.Next is null;
        int keep = appending ? Capacity : Capacity / 2;
        Leaf right = leaf.SplitAt(keep);
        Bytes += LeafBytes;
        if (appending || index > keep) right.Insert(index - keep, score, entry);
        else leaf.Insert(index, score, entry);

        Node added = right;
        int leftSize = leaf.Count, rightSize = right.Count;
        double low = right.Scores[0];
        byte[] lowEntry = right.Entries[0];
        while (depth > 0)
        {
            PathStep step = path[--depth];
            Inner inner = step.Node;
            inner.Sizes[step.Child] = leftSize;
            int at = step.Child + 1;
            if (inner.Count < Capacity)
            {
                inner.Insert(at, added, rightSize, low, lowEntry);
                return;
            }
            appending &= at == Capacity;
            keep = appending ? Capacity : Capacity / 2;
            double innerLow = appending ? low : inner.Lows[keep];
            byte[] innerLowEntry = appending ? lowEntry : inner.LowEntries[keep];
            Inner rightInner = inner.SplitAt(keep);
            Bytes += InnerBytes;
            if (appending || at > keep) rightInner.Insert(at - keep, added, rightSize, low, lowEntry);
            else inner.Insert(at, added, rightSize, low, lowEntry);
            (added, leftSize, rightSize, low, lowEntry) = (rightInner, inner.Total, rightInner.Total, innerLow, innerLowEntry);
        }
        var root = new Inner();
        Bytes += InnerBytes;
        root.Insert(0, _root, leftSize, 0, []);
        root.Insert(1, added, rightSize, low, lowEntry);
        _root = root;
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
            Inner parent = step.Node;
            int child = step.Child;
            Node node = parent.Children[child];
            if (node.Count >= Sparse) return;
            if (node.Count == 0)
            {
                Drop(parent, child);
                continue;
            }
            if (child > 0 && parent.Children[child - 1].Count + node.Count <= MergeLimit) child--;
            else if (child + 1 == parent.Count || parent.Children[child + 1].Count + node.Count > MergeLimit) return;
            // The content of the right node goes to the left one.
            parent.Children[child].Append(parent.Children[child + 1], parent.Lows[child + 1], parent.LowEntries[child + 1]);
            parent.Sizes[child] += parent.Sizes[child + 1];
            Drop(parent, child + 1);
        }
        while (_root is Inner { Count: 1 } root)
        {
            _root = root.Children[0];
            Bytes -= InnerBytes;
        }
        if (_root is not Inner { Count: 0 }) return;
        _root = new Leaf();
        Bytes = LeafBytes;
    }

    private void Drop(Inner parent, int child)
    {
        if (parent.Children[child] is Leaf leaf)
        {
            if (leaf.Previous is not null) leaf.Previous.Next = leaf.Next;
            if (leaf.Next is not null) leaf.Next.Previous = leaf.Previous;
            Bytes -= LeafBytes;
        }
        else
        {
            Bytes -= InnerBytes;
        }
        parent.Remove(child);
    }

    /// <summary>An entry, and the way to its neighbours. Valid until the tree changes.</summary>
    public struct Position(Leaf leaf, int index)
    {
        internal Leaf? Leaf = leaf;
        internal int Index = index;

        public readonly bool IsValid => Leaf is not null;

        public readonly byte[] Entry => Leaf!.Entries[Index];

        public readonly ReadOnlySpan<byte> Member => ScoredMember.MemberOf(Entry);

        public readonly double Score => Leaf!.Scores[Index];

        /// <summary>Steps to the next entry; becomes invalid after the last.</summary>
        public void Next()
        {
            if (++Index < Leaf!.Count) return;
            Leaf = Leaf.Next;
            Index = 0;
        }

        /// <summary>Steps to the previous entry; becomes invalid before the first.</summary>
        public void Previous()
        {
            if (--Index >= 0) return;
            Leaf = Leaf!.Previous;
            Index = Leaf is null ? 0 : Leaf.Count - 1;
        }
    }

    /// <summary>The position of one member with one score.</summary>
    internal readonly ref struct EntryBound(double score, ReadOnlySpan<byte> member) : IScoreBound
    {
        private readonly double _score = score;
        private readonly ReadOnlySpan<byte> _member = member;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public bool IsAfter(double score, byte[] entry) =>
            score < _score || (score == _score && ScoredMember.MemberOf(entry).SequenceCompareTo(_member) < 0);

        public bool IsAfter(double score, scoped ReadOnlySpan<byte> member) =>
            score < _score || (score == _score && member.SequenceCompareTo(_member) < 0);
    }

    private struct PathStep
    {
        public Inner Node;
        public int Child;
    }

    [InlineArray(MaxDepth)]
    private struct Path
    {
        private PathStep _first;
    }

    internal abstract class Node
    {
        /// <summary>Entries of a leaf, or children of an inner node.</summary>
        public int Count;

        /// <summary>Appends the content of its right neighbour, whose separator is given.</summary>
        public abstract void Append(Node right, double low, byte[] lowEntry);
    }

    internal sealed class Leaf : Node
    {
        public readonly double[] Scores = new double[Capacity];
        public readonly byte[][] Entries = new byte[Capacity][];
        public Leaf? Previous;
        public Leaf? Next;

        /// <summary>How many entries of this leaf lie before the bound.</summary>
        public int IndexOf<TBound>(scoped in TBound bound) where TBound : struct, IScoreBound, allows ref struct
        {
            int from = 0, to = Count;
            while (from < to)
            {
                int middle = (from + to) >> 1;
                if (bound.IsAfter(Scores[middle], Entries[middle])) from = middle + 1;
                else to = middle;
            }
            return from;
        }

        public void Insert(int index, double score, byte[] entry)
        {
            Array.Copy(Scores, index, Scores, index + 1, Count - index);
            Array.Copy(Entries, index, Entries, index + 1, Count - index);
            Scores[index] = score;
            Entries[index] = entry;
            Count++;
        }

        public void RemoveRange(int index, int count)
        {
            int behind = Count - index - count;
            Array.Copy(Scores, index + count, Scores, index, behind);
            Array.Copy(Entries, index + count, Entries, index, behind);
            Array.Clear(Entries, index + behind, count);
            Count -= count;
        }

        public Leaf SplitAt(int keep)
        {
            var right = new Leaf { Previous = this, Next = Next, Count = Count - keep };
            if (Next is not null) Next.Previous = right;
            Next = right;
            Array.Copy(Scores, keep, right.Scores, 0, right.Count);
            Array.Copy(Entries, keep, right.Entries, 0, right.Count);
            Array.Clear(Entries, keep, right.Count);
            Count = keep;
            return right;
        }

        public override void Append(Node right, double low, byte[] lowEntry)
        {
            Leaf other = Unsafe.As<Leaf>(right);
            Array.Copy(other.Scores, 0, Scores, Count, other.Count);
            Array.Copy(other.Entries, 0, Entries, Count, other.Count);
            Count += other.Count;
        }
    }

    private sealed class Inner : Node
    {
        public readonly Node[] Children = new Node[Capacity];
        public readonly int[] Sizes = new int[Capacity];
        public readonly double[] Lows = new double[Capacity];        // [0] has no meaning
        public readonly byte[][] LowEntries = new byte[Capacity][];

        public int Total
        {
            get
            {
                int total = 0;
                for (int i = 0; i < Count; i++) total += Sizes[i];
                return total;
            }
        }

        /// <summary>The child that the bound falls into.</summary>
        public int ChildOf<TBound>(scoped in TBound bound) where TBound : struct, IScoreBound, allows ref struct
        {
            int from = 1, to = Count;
            while (from < to)
            {
                int middle = (from + to) >> 1;
                if (bound.IsAfter(Lows[middle], LowEntries[middle])) from = middle + 1;
                else to = middle;
            }
            return from - 1;
        }

        public void Insert(int index, Node child, int size, double low, byte[] lowEntry)
        {
            int behind = Count - index;
            Array.Copy(Children, index, Children, index + 1, behind);
            Array.Copy(Sizes, index, Sizes, index + 1, behind);
            Array.Copy(Lows, index, Lows, index + 1, behind);
            Array.Copy(LowEntries, index, LowEntries, index + 1, behind);
            Children[index] = child;
            Sizes[index] = size;
            Lows[index] = low;
            LowEntries[index] = lowEntry;
            Count++;
        }

        public void Remove(int index)
        {
            int behind = --Count - index;
            Array.Copy(Children, index + 1, Children, index, behind);
            Array.Copy(Sizes, index + 1, Sizes, index, behind);
            Array.Copy(Lows, index + 1, Lows, index, behind);
            Array.Copy(LowEntries, index + 1, LowEntries, index, behind);
            Children[Count] = null!;
            LowEntries[Count] = null!;
        }

        public Inner SplitAt(int keep)
        {
            var right = new Inner { Count = Count - keep };
            Array.Copy(Children, keep, right.Children, 0, right.Count);
            Array.Copy(Sizes, keep, right.Sizes, 0, right.Count);
            Array.Copy(Lows, keep, right.Lows, 0, right.Count);
            Array.Copy(LowEntries, keep, right.LowEntries, 0, right.Count);
            Array.Clear(Children, keep, right.Count);
            Array.Clear(LowEntries, keep, right.Count);
            Count = keep;
            return right;
        }

        public override void Append(Node right, double low, byte[] lowEntry)
        {
            Inner other = Unsafe.As<Inner>(right);
            Array.Copy(other.Children, 0, Children, Count, other.Count);
            Array.Copy(other.Sizes, 0, Sizes, Count, other.Count);
            Array.Copy(other.Lows, 0, Lows, Count, other.Count);
            Array.Copy(other.LowEntries, 0, LowEntries, Count, other.Count);
            // Its first child is no longer a first child, so that child's separator now has a meaning.
            Lows[Count] = low;
            LowEntries[Count] = lowEntry;
            Count += other.Count;
        }
    }
}
