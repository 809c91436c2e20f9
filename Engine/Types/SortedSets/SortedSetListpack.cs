using System.Globalization;

namespace OrleansRedis.Engine;

/// <summary>
/// A small sorted set: a listpack of member, score, member, score… in order. A whole score is stored as an integer, any
/// other as its shortest decimal, so the bytes are the same as Redis's.
/// </summary>
internal static class SortedSetListpack
{
    public static int CountOf(in Listpack listpack) => listpack.Count / 2;

    /// <summary>The score that follows a member.</summary>
    public static double ScoreOf(in Listpack listpack, int member) => ToScore(listpack[listpack.Next(member)]);

    /// <summary>The position of a member, or -1.</summary>
    public static int Find(in Listpack listpack, ReadOnlySpan<byte> member) => listpack.Find(listpack.First, member, skip: 1);

    /// <summary>Inserts a member that is not there yet, in its place.</summary>
    public static void Insert(ref Listpack listpack, double score, ReadOnlySpan<byte> member)
    {
        int at = PositionFor(listpack, score, member);
        InsertScore(ref listpack, at, score);
        listpack.Insert(at, member);
    }

    /// <summary>Adds a member that comes after all others.</summary>
    public static void Append(ref Listpack listpack, double score, ReadOnlySpan<byte> member)
    {
        listpack.Append(member);
        InsertScore(ref listpack, listpack.EndPosition, score);
    }

    /// <summary>How many members lie before the bound.</summary>
    public static int CountBefore<TBound>(in Listpack listpack, scoped in TBound bound) where TBound : struct, IScoreBound, allows ref struct
    {
        Span<byte> scratch = stackalloc byte[ListpackElement.ScratchLength];
        int before = 0;
        for (int at = listpack.First; at >= 0; before++)
        {
            int scoreAt = listpack.Next(at);
            if (!bound.IsAfter(ToScore(listpack[scoreAt]), listpack[at].AsSpan(scratch))) break;
            at = listpack.Next(scoreAt);
        }
        return before;
    }

    /// <summary>
    /// The members of a range by their bytes. If the members do not all have the same score, there is strictly speaking
    /// no such range; the result is then what Redis makes of it. It runs from the first member that is not too small to
    /// the next that is too large, or, reversed, from the last that is not too large back to the next that is too
    /// small. It is empty if the very first or last member lies on the wrong side.
    /// </summary>
    public static RankRange Within(in Listpack listpack, in LexRange range, bool reversed)
    {
        int count = CountOf(listpack);
        if (count == 0 || range.IsEmpty) return default;
        LexBound lower = range.Lower, upper = range.Upper;
        if (IsBefore(listpack, listpack.Seek(-2), lower) || !IsBefore(listpack, listpack.First, upper)) return default;
        int at, rank;
        if (!reversed)
        {
            for (at = listpack.First, rank = 0; at >= 0 && IsBefore(listpack, at, lower); rank++) at = listpack.Next(listpack.Next(at));
            int from = rank;
            for (; at >= 0 && IsBefore(listpack, at, upper); rank++) at = listpack.Next(listpack.Next(at));
            return new(from, rank);
        }
        for (at = listpack.Seek(-2), rank = count; at >= 0 && !IsBefore(listpack, at, upper); rank--) at = listpack.Previous(listpack.Previous(at));
        int to = rank;
        for (; at >= 0 && !IsBefore(listpack, at, lower); rank--) at = listpack.Previous(listpack.Previous(at));
        return new(rank, to);
    }

    private static bool IsBefore(in Listpack listpack, int member, in LexBound bound) =>
        bound.IsAfter(0, listpack[member].AsSpan(stackalloc byte[ListpackElement.ScratchLength]));

    /// <summary>An element as a score.</summary>
    public static double ToScore(in ListpackElement element)
    {
        if (element.IsInteger) return element.Integer;
        return Numbers.TryParseDouble(element.Text, out double score) ? score : double.Parse(element.Text, NumberStyles.Float, CultureInfo.InvariantCulture);
    }

    private static int PositionFor(in Listpack listpack, double score, ReadOnlySpan<byte> member)
    {
        Span<byte> scratch = stackalloc byte[ListpackElement.ScratchLength];
        for (int at = listpack.First; at >= 0;)
        {
            int scoreAt = listpack.Next(at);
            double other = ToScore(listpack[scoreAt]);
            if (other > score || (other == score && listpack[at].AsSpan(scratch).SequenceCompareTo(member) > 0)) return at;
            at = listpack.Next(scoreAt);
        }
        return listpack.EndPosition;
    }

    private static void InsertScore(ref Listpack listpack, int at, double score)
    {
        if (Numbers.IsWhole(score, out long whole))
        {
            listpack.Insert(at, whole);
            return;
        }
        Span<byte> text = stackalloc byte[Numbers.LongestDouble];
        listpack.Insert(at, text[..Numbers.FormatDouble(score, text)]);
    }
}
