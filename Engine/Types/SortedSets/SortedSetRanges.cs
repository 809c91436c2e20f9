using System.Runtime.CompilerServices;

namespace OrleansRedis.Engine;

/// <summary>Members by rank: from the first rank up to, but not including, the second.</summary>
internal readonly record struct RankRange(int From, int To)
{
    public int Count => To - From;

    /// <summary>
    /// Converts start and stop as commands give them: both inclusive, negative counting from the end.
    /// </summary>
    public static RankRange Of(long start, long stop, int length)
    {
        if (start < 0) start += length;
        if (stop < 0) stop += length;
        if (start < 0) start = 0;
        if (start > stop || start >= length) return default;
        if (stop >= length) stop = length - 1;
        return new((int)start, (int)stop + 1);
    }

    /// <summary>The same ranks counted from the other end.</summary>
    public RankRange Reversed(int length) => new(length - To, length - From);

    /// <summary>
    /// LIMIT offset count, applied to this range read from its beginning or, reversed, from its end. A negative count
    /// means no limit, a negative offset an empty range.
    /// </summary>
    public RankRange Limited(long offset, long count, bool reversed)
    {
        if (offset < 0 || offset >= Count) return default;
        long left = Count - offset;
        if (count >= 0 && count < left) left = count;
        return reversed ? new(To - (int)offset - (int)left, To - (int)offset) : new(From + (int)offset, From + (int)offset + (int)left);
    }
}

/// <summary>min and max of a range of scores, each possibly exclusive: <c>1.5</c>, <c>(1.5</c>, <c>-inf</c>.</summary>
internal readonly struct ScoreRange(double min, bool minExclusive, double max, bool maxExclusive)
{
    public static ReadOnlySpan<byte> NotFloat => "ERR min or max is not a float"u8;

    /// <summary>The bound where the range begins.</summary>
    public ScoreBound Lower => new(min, minExclusive);

    /// <summary>The bound where the range ends.</summary>
    public ScoreBound Upper => new(max, !maxExclusive);

    public static bool TryParse(ReadOnlySpan<byte> min, ReadOnlySpan<byte> max, out ScoreRange range)
    {
        range = default;
        if (!TryParse(min, out double low, out bool lowExclusive) || !TryParse(max, out double high, out bool highExclusive)) return false;
        range = new(low, lowExclusive, high, highExclusive);
        return true;
    }

    private static bool TryParse(ReadOnlySpan<byte> text, out double value, out bool exclusive)
    {
        exclusive = text.Length > 0 && text[0] == '(';
        return Numbers.TryParseDoubleLeniently(exclusive ? text[1..] : text, out value);
    }
}

/// <summary>A bound between scores.</summary>
internal readonly struct ScoreBound(double score, bool afterEquals) : IScoreBound
{
    private readonly double _score = score;
    private readonly bool _afterEquals = afterEquals;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public bool IsAfter(double score, ScoredMember entry) => score < _score || (_afterEquals && score == _score);

    public bool IsAfter(double score, scoped ReadOnlySpan<byte> member) => score < _score || (_afterEquals && score == _score);
}

/// <summary>
/// min and max of a range of members that have the same score: <c>[a</c>, <c>(a</c>, <c>-</c>, <c>+</c>.
/// </summary>
internal readonly ref struct LexRange
{
    private LexRange(LexBound lower, LexBound upper)
    {
        Lower = lower;
        Upper = upper;
    }

    /// <summary>Whether nothing can lie inside the range.</summary>
    public bool IsEmpty => !Upper.IsAfter(Lower);

    public static ReadOnlySpan<byte> NotValid => "ERR min or max not valid string range item"u8;

    /// <summary>The bound where the range begins.</summary>
    public LexBound Lower { get; }

    /// <summary>The bound where the range ends.</summary>
    public LexBound Upper { get; }

    public static bool TryParse(ReadOnlySpan<byte> min, ReadOnlySpan<byte> max, out LexRange range)
    {
        range = default;
        if (!LexBound.TryParse(min, isMax: false, out LexBound lower) || !LexBound.TryParse(max, isMax: true, out LexBound upper)) return false;
        range = new(lower, upper);
        return true;
    }
}

/// <summary>A bound between members, whatever their score.</summary>
internal readonly ref struct LexBound : IScoreBound
{
    private readonly ReadOnlySpan<byte> _member;
    private readonly bool _afterEquals;
    private readonly int _infinite; // -1 before everything, 1 after everything

    private LexBound(ReadOnlySpan<byte> member, bool afterEquals, int infinite)
    {
        _member = member;
        _afterEquals = afterEquals;
        _infinite = infinite;
    }

    public static bool TryParse(ReadOnlySpan<byte> text, bool isMax, out LexBound bound)
    {
        bound = default;
        if (text.Length == 0) return false;
        switch (text[0])
        {
            case (byte)'-' when text.Length == 1:
                bound = new(default, false, -1);
                return true;
            case (byte)'+' when text.Length == 1:
                bound = new(default, false, 1);
                return true;
            case (byte)'(':
                bound = new(text[1..], afterEquals: !isMax, 0);
                return true;
            case (byte)'[':
                bound = new(text[1..], afterEquals: isMax, 0);
                return true;
            default:
                return false;
        }
    }

    /// <summary>Whether a member may lie between the other bound and this one.</summary>
    public bool IsAfter(in LexBound other)
    {
        if (_infinite != 0 || other._infinite != 0) return _infinite > other._infinite;
        int comparison = other._member.SequenceCompareTo(_member);
        return comparison < 0 || (comparison == 0 && _afterEquals && !other._afterEquals);
    }

    public bool IsAfter(double score, ScoredMember entry) => _infinite != 0 ? _infinite > 0 : IsAfter(score, entry.Key);

    public bool IsAfter(double score, scoped ReadOnlySpan<byte> member)
    {
        if (_infinite != 0) return _infinite > 0;
        int comparison = member.SequenceCompareTo(_member);
        return comparison < 0 || (_afterEquals && comparison == 0);
    }
}
