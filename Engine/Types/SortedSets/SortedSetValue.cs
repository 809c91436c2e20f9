namespace OrleansRedis.Engine;

/// <summary>
/// A large sorted set: a dictionary from member to score, and the members in order. Clients know this encoding as
/// "skiplist".
/// </summary>
internal sealed unsafe class SortedSetValue(byte[] key, int expectedCount = 0) : Value(key)
{
    private const int ObjectBytes = 152; // this object, the table and the tree

    private readonly ByteTable<ScoredMember> _members = new(expectedCount);
    private readonly ScoreTree _order = new();
    private long _entryBytes;

    public override ValueType Type => ValueType.SortedSet;

    public override string Encoding => "skiplist";

    public override long Bytes => KeyBytes + ObjectBytes + _members.CellBytes + _order.Bytes + _entryBytes;

    public override long ElementCount => Count;

    public override long FreeEffort => Count;

    public int Count => _members.Count;

    /// <summary>The members in order, for finding ranks and walking.</summary>
    public ScoreTree Order => _order;

    /// <summary>The members in hash order, for scanning and random draws.</summary>
    public ByteTable<ScoredMember> Members => _members;

    public bool TryScore(ReadOnlySpan<byte> member, out double score)
    {
        ScoredMember entry = Find(member);
        score = entry.IsNone ? 0 : entry.Score;
        return !entry.IsNone;
    }

    /// <summary>The entry of a member; none if it is not there.</summary>
    public ScoredMember Find(ReadOnlySpan<byte> member) => _members.Get(member);

    /// <summary>The rank of a member that has this score.</summary>
    public int RankOf(double score, ReadOnlySpan<byte> member) => _order.CountBefore(new ScoreTree.EntryBound(score, member));

    /// <summary>Adds a member that is not there yet.</summary>
    public void Add(double score, ReadOnlySpan<byte> member) => Add(ScoredMember.Create(score, member));

    /// <summary>Adds a member that is not there yet, as an entry that belongs to this set from now on.</summary>
    public void Add(ScoredMember entry)
    {
        _members.Add(entry);
        _order.Insert(entry.Score, entry);
        _entryBytes += entry.AllocatedBytes;
    }

    /// <summary>Gives an entry of this set another score.</summary>
    public void SetScore(ScoredMember entry, double score)
    {
        double old = entry.Score;
        entry.SetScore(score);
        _order.Move(old, score, entry);
    }

    /// <summary>Removes a member; false if it is not there.</summary>
    public bool Remove(ReadOnlySpan<byte> member)
    {
        ScoredMember entry = _members.Remove(member);
        if (entry.IsNone) return false;
        _order.RemoveRange(RankOf(entry.Score, member), 1);
        _entryBytes -= entry.AllocatedBytes;
        entry.Retire();
        return true;
    }

    /// <summary>Removes the members with these ranks.</summary>
    public void RemoveRange(int rank, int count)
    {
        ScoreTree.Position at = _order.At(rank);
        for (int i = 0; i < count; i++, at.Next())
        {
            ScoredMember entry = _members.Remove(at.Member);
            _entryBytes -= entry.AllocatedBytes;
            entry.Retire();
        }
        _order.RemoveRange(rank, count);
    }

    public override uint ForeseeHome(uint hash) => _members.ForeseeHome(hash);

    public override byte* ForeseeElement(uint hash) => _members.Foresee(hash).Block;

    public override Value Clone(byte[] key)
    {
        var clone = new SortedSetValue(key, Count) { ExpiresAtMs = ExpiresAtMs, AccessClock = AccessClock };
        for (ScoreTree.Position at = _order.At(0); at.IsValid; at.Next()) clone.Add(at.Score, at.Member);
        return clone;
    }

    public override object? Defragment(BlockMover mover, object? from)
    {
        if (from is null) _members.DefragmentCells(mover);
        return _order.Defragment(_members, mover, from);
    }

    protected override void FreeElements()
    {
        _order.Free();
        _members.Free();
    }
}
