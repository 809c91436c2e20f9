namespace OrleansRedis.Engine;

/// <summary>A read-only view of a sorted set in either encoding. Valid until the set changes.</summary>
internal readonly struct SortedSetView
{
    private readonly SortedSetValue? _value;
    private readonly Listpack _listpack;

    /// <param name="set">A blob of kind ZSetListpack or a <see cref="SortedSetValue"/>.</param>
    public SortedSetView(KeyEntry set)
    {
        if (set.TryBlob(out Blob blob)) _listpack = Listpack.In(blob);
        else _value = set.As<SortedSetValue>();
    }

    public int Count => _value is not null ? _value.Count : SortedSetListpack.CountOf(_listpack);

    /// <summary>The value in the large encoding; null if the set has the small one.</summary>
    public SortedSetValue? Value => _value;

    /// <summary>The small encoding, if <see cref="Value"/> is null.</summary>
    public Listpack Listpack => _listpack;

    public bool TryScore(ReadOnlySpan<byte> member, out double score)
    {
        if (_value is not null) return _value.TryScore(member, out score);
        int at = SortedSetListpack.Find(_listpack, member);
        score = at < 0 ? 0 : SortedSetListpack.ScoreOf(_listpack, at);
        return at >= 0;
    }

    /// <summary>The member's rank, counted from the lowest score, from 0; -1 if it is not there.</summary>
    public int RankOf(ReadOnlySpan<byte> member, out double score)
    {
        if (!TryScore(member, out score)) return -1;
        return CountBefore(new ScoreTree.EntryBound(score, member));
    }

    public RankRange Within(in ScoreRange range)
    {
        int from = CountBefore(range.Lower);
        return new(from, Math.Max(from, CountBefore(range.Upper)));
    }

    /// <summary>
    /// Members by their bytes; they should all have the same score. See <see cref="SortedSetListpack.Within"/>.
    /// </summary>
    public RankRange Within(in LexRange range, bool reversed = false)
    {
        if (_value is null) return SortedSetListpack.Within(_listpack, range, reversed);
        ScoreTree order = _value.Order;
        if (range.IsEmpty || range.Lower.IsAfter(0, order.At(Count - 1).Member) || !range.Upper.IsAfter(0, order.At(0).Member)) return default;
        int from = CountBefore(range.Lower);
        return new(from, Math.Max(from, CountBefore(range.Upper)));
    }

    /// <summary>
    /// Walks these ranks upwards or downwards. A member stored as an integer is written into <paramref name="scratch"/>
    /// (<see cref="ListpackElement.ScratchLength"/> bytes).
    /// </summary>
    public Walker Walk(RankRange ranks, bool reversed, Span<byte> scratch) => new(this, ranks, reversed, scratch);

    /// <summary>Walks the whole set upwards.</summary>
    public Walker Walk(Span<byte> scratch) => new(this, new(0, Count), reversed: false, scratch);

    private int CountBefore<TBound>(scoped in TBound bound) where TBound : struct, IScoreBound, allows ref struct =>
        _value is not null ? _value.Order.CountBefore(bound) : SortedSetListpack.CountBefore(_listpack, bound);

    /// <summary>
    /// Steps from member to member; see <see cref="SortedSetView.Walk(RankRange, bool, Span{byte})"/>.
    /// </summary>
    public ref struct Walker
    {
        private readonly Listpack _listpack;
        private readonly bool _isTree;
        private readonly bool _reversed;
        private readonly Span<byte> _scratch;
        private ScoreTree.Position _position;
        private int _at;
        private int _left;
        private bool _started;

        internal Walker(scoped in SortedSetView set, RankRange ranks, bool reversed, Span<byte> scratch)
        {
            _left = ranks.Count;
            _reversed = reversed;
            _scratch = scratch;
            if (_left <= 0) return;
            int first = reversed ? ranks.To - 1 : ranks.From;
            if (set._value is not null)
            {
                _isTree = true;
                _position = set._value.Order.At(first);
            }
            else
            {
                _listpack = set._listpack;
                _at = _listpack.Seek(first * 2);
            }
        }

        /// <summary>Steps to the next member; false after the last.</summary>
        public bool MoveNext()
        {
            if (--_left < 0) return false;
            if (!_started)
            {
                _started = true;
                return true;
            }
            if (_isTree)
            {
                if (_reversed) _position.Previous();
                else _position.Next();
            }
            else
            {
                _at = _reversed ? _listpack.Previous(_listpack.Previous(_at)) : _listpack.Next(_listpack.Next(_at));
            }
            return true;
        }

        public readonly ReadOnlySpan<byte> Member => _isTree ? _position.Member : _listpack[_at].AsSpan(_scratch);

        public readonly double Score => _isTree ? _position.Score : SortedSetListpack.ScoreOf(_listpack, _at);

        /// <summary>The current member and score as a <see cref="ScoredMember"/> of its own.</summary>
        public readonly ScoredMember ToEntry() => ScoredMember.Create(Score, Member);
    }
}
