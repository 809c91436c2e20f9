namespace OrleansRedis.Engine;

/// <summary>Sorted sets: ZRANGE in all its forms, old and new. They share one helper, as in Redis.</summary>
internal static class SortedSetRangeCommands
{
    private enum By : byte
    {
        Unsaid,
        Rank,
        Score,
        Lex,
    }

    private enum Direction : byte
    {
        Unsaid,
        Forward,
        Reverse,
    }

    /// <summary>ZRANGE key start stop [BYSCORE | BYLEX] [REV] [LIMIT offset count] [WITHSCORES]</summary>
    [Command("ZRANGE", -4, CommandFlags.ReadOnly, Category.SortedSet, Keys = "RO ACCESS 1", Since = "1.2.0",
        Complexity = "O(log(N)+M) with N being the number of elements in the sorted set and M the number of elements returned.",
        Summary = "Returns members in a sorted set within a range of indexes.",
        Syntax = "key start:string stop:string sortby=[BYSCORE | BYLEX] @6.2.0 [REV] @6.2.0 [LIMIT offset count] @6.2.0 [WITHSCORES]",
        History = "6.2.0: Added the `REV`, `BYSCORE`, `BYLEX` and `LIMIT` options.")]
    internal static void Zrange(ref CommandContext call) => Range(ref call, 1, By.Unsaid, Direction.Unsaid);

    /// <summary>ZRANGESTORE dst src min max [BYSCORE | BYLEX] [REV] [LIMIT offset count]</summary>
    [Command("ZRANGESTORE", -5, CommandFlags.Write | CommandFlags.DenyOom, Category.SortedSet, Keys = "OW UPDATE 1;RO ACCESS 2", Since = "6.2.0",
        Complexity = "O(log(N)+M) with N being the number of elements in the sorted set and M the number of elements stored into the destination key.",
        Summary = "Stores a range of members from sorted set in a key.",
        Syntax = "dst src min max sortby=[BYSCORE | BYLEX] [REV] [LIMIT offset count]")]
    internal static void Zrangestore(ref CommandContext call) => Range(ref call, 2, By.Unsaid, Direction.Unsaid);

    /// <summary>ZREVRANGE key start stop [WITHSCORES]</summary>
    [Command("ZREVRANGE", -4, CommandFlags.ReadOnly, Category.SortedSet, Keys = "RO ACCESS 1", Since = "1.2.0",
        Complexity = "O(log(N)+M) with N being the number of elements in the sorted set and M the number of elements returned.",
        Summary = "Returns members in a sorted set within a range of indexes in reverse order.",
        Syntax = "key start stop [WITHSCORES]",
        Deprecated = "6.2.0: `ZRANGE` with the `REV` argument")]
    internal static void Zrevrange(ref CommandContext call) => Range(ref call, 1, By.Rank, Direction.Reverse);

    /// <summary>ZRANGEBYSCORE key min max [WITHSCORES] [LIMIT offset count]</summary>
    [Command("ZRANGEBYSCORE", -4, CommandFlags.ReadOnly, Category.SortedSet, Keys = "RO ACCESS 1", Since = "1.0.5",
        Complexity = "O(log(N)+M) with N being the number of elements in the sorted set and M the number of elements being returned. If M is constant "
            + "(e.g. always asking for the first 10 elements with LIMIT), you can consider it O(log(N)).",
        Summary = "Returns members in a sorted set within a range of scores.",
        Syntax = "key min:double max:double [WITHSCORES] @2.0.0 [LIMIT offset count]",
        History = "2.0.0: Added the `WITHSCORES` modifier.",
        Deprecated = "6.2.0: `ZRANGE` with the `BYSCORE` argument")]
    internal static void Zrangebyscore(ref CommandContext call) => Range(ref call, 1, By.Score, Direction.Forward);

    /// <summary>ZREVRANGEBYSCORE key max min [WITHSCORES] [LIMIT offset count]</summary>
    [Command("ZREVRANGEBYSCORE", -4, CommandFlags.ReadOnly, Category.SortedSet, Keys = "RO ACCESS 1", Since = "2.2.0",
        Complexity = "O(log(N)+M) with N being the number of elements in the sorted set and M the number of elements being returned. If M is constant "
            + "(e.g. always asking for the first 10 elements with LIMIT), you can consider it O(log(N)).",
        Summary = "Returns members in a sorted set within a range of scores in reverse order.",
        Syntax = "key max:double min:double [WITHSCORES] [LIMIT offset count]",
        History = "2.1.6: `min` and `max` can be exclusive.",
        Deprecated = "6.2.0: `ZRANGE` with the `REV` and `BYSCORE` arguments")]
    internal static void Zrevrangebyscore(ref CommandContext call) => Range(ref call, 1, By.Score, Direction.Reverse);

    /// <summary>ZRANGEBYLEX key min max [LIMIT offset count]</summary>
    [Command("ZRANGEBYLEX", -4, CommandFlags.ReadOnly, Category.SortedSet, Keys = "RO ACCESS 1", Since = "2.8.9",
        Complexity = "O(log(N)+M) with N being the number of elements in the sorted set and M the number of elements being returned. If M is constant "
            + "(e.g. always asking for the first 10 elements with LIMIT), you can consider it O(log(N)).",
        Summary = "Returns members in a sorted set within a lexicographical range.",
        Syntax = "key min max [LIMIT offset count]",
        Deprecated = "6.2.0: `ZRANGE` with the `BYLEX` argument")]
    internal static void Zrangebylex(ref CommandContext call) => Range(ref call, 1, By.Lex, Direction.Forward);

    /// <summary>ZREVRANGEBYLEX key max min [LIMIT offset count]</summary>
    [Command("ZREVRANGEBYLEX", -4, CommandFlags.ReadOnly, Category.SortedSet, Keys = "RO ACCESS 1", Since = "2.8.9",
        Complexity = "O(log(N)+M) with N being the number of elements in the sorted set and M the number of elements being returned. If M is constant "
            + "(e.g. always asking for the first 10 elements with LIMIT), you can consider it O(log(N)).",
        Summary = "Returns members in a sorted set within a lexicographical range in reverse order.",
        Syntax = "key max min [LIMIT offset count]",
        Deprecated = "6.2.0: `ZRANGE` with the `REV` and `BYLEX` arguments")]
    internal static void Zrevrangebylex(ref CommandContext call) => Range(ref call, 1, By.Lex, Direction.Reverse);

    private static void Range(ref CommandContext call, int source, By by, Direction direction)
    {
        bool stores = source == 2, withScores = false;
        long offset = 0, limit = -1;
        for (int i = source + 3; i < call.Count; i++)
        {
            ReadOnlySpan<byte> word = call[i];
            if (!stores && word.Is("WITHSCORES"u8))
            {
                withScores = true;
            }
            else if (word.Is("LIMIT"u8) && i + 2 < call.Count)
            {
                if (!call.TryInt64(i + 1, out offset) || !call.TryInt64(i + 2, out limit)) return;
                i += 2;
            }
            else if (direction == Direction.Unsaid && word.Is("REV"u8))
            {
                direction = Direction.Reverse;
            }
            else if (by == By.Unsaid && word.Is("BYLEX"u8))
            {
                by = By.Lex;
            }
            else if (by == By.Unsaid && word.Is("BYSCORE"u8))
            {
                by = By.Score;
            }
            else
            {
                call.SyntaxError();
                return;
            }
        }
        if (limit != -1 && by is By.Unsaid or By.Rank)
        {
            call.Reply.Error("ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX"u8);
            return;
        }
        if (withScores && by == By.Lex)
        {
            call.Reply.Error("ERR syntax error, WITHSCORES not supported in combination with BYLEX"u8);
            return;
        }
        bool reversed = direction == Direction.Reverse;
        if (!TryRead(ref call, source, by, reversed, offset, limit, out SortedSetView set, out RankRange ranks)) return;
        if (stores) Store(ref call, set, ranks, reversed, countIsKnown: by is By.Unsaid or By.Rank);
        else Reply(call.Reply, set, ranks, reversed, withScores);
    }

    /// <summary>
    /// Reads the source and the ends of the range, and finds the ranks of the range. If that is not possible, the error
    /// is in the reply.
    /// </summary>
    private static bool TryRead(ref CommandContext call, int source, By by, bool reversed, long offset, long limit, out SortedSetView set, out RankRange ranks)
    {
        set = default;
        ranks = default;
        Entry entry;
        if (by is By.Unsaid or By.Rank)
        {
            if (!call.TryInt64(source + 1, out long start) || !call.TryInt64(source + 2, out long stop)) return false;
            if (!call.TryRead(source, ValueType.SortedSet, out entry)) return false;
            if (entry.IsMissing) return true;
            set = new(entry.Found);
            int length = set.Count;
            ranks = RankRange.Of(start, stop, length);
            if (reversed && ranks.Count > 0) ranks = ranks.Reversed(length);
            return true;
        }
        // A reversed range is given as max, min.
        int min = source + (reversed ? 2 : 1), max = source + (reversed ? 1 : 2);
        if (by == By.Score)
        {
            if (!ScoreRange.TryParse(call[min], call[max], out ScoreRange range))
            {
                call.Reply.Error(ScoreRange.NotFloat);
                return false;
            }
            if (!call.TryRead(source, ValueType.SortedSet, out entry)) return false;
            if (entry.IsMissing) return true;
            set = new(entry.Found);
            ranks = set.Within(range);
        }
        else
        {
            if (!LexRange.TryParse(call[min], call[max], out LexRange range))
            {
                call.Reply.Error(LexRange.NotValid);
                return false;
            }
            if (!call.TryRead(source, ValueType.SortedSet, out entry)) return false;
            if (entry.IsMissing) return true;
            set = new(entry.Found);
            ranks = set.Within(range, reversed);
        }
        ranks = ranks.Limited(offset, limit, reversed);
        return true;
    }

    private static void Reply(RespWriter reply, in SortedSetView set, RankRange ranks, bool reversed, bool withScores)
    {
        bool nested = withScores && reply.Resp3;
        reply.Array(withScores && !nested ? ranks.Count * 2 : ranks.Count);
        SortedSetView.Walker walker = set.Walk(ranks, reversed, stackalloc byte[ListpackElement.ScratchLength]);
        while (walker.MoveNext())
        {
            if (nested) reply.Array(2);
            reply.BulkString(walker.Member);
            if (withScores) reply.Double(walker.Score);
        }
    }

    private static void Store(ref CommandContext call, in SortedSetView set, RankRange ranks, bool reversed, bool countIsKnown)
    {
        var entries = new ScoredMember[ranks.Count];
        SortedSetView.Walker walker = set.Walk(ranks, reversed, stackalloc byte[ListpackElement.ScratchLength]);
        for (int i = 0; walker.MoveNext(); i++) entries[i] = walker.ToEntry();
        if (!countIsKnown || entries.Length <= call.Store.Options.ZsetMaxListpackEntries) GrowFromSmall(call.Store.Options, entries);
        if (reversed) Array.Reverse(entries);
        SortedSetStore.Put(ref call, call[1], entries, "zrangestore"u8);
        call.Reply.Integer(entries.Length);
    }

    /// <summary>
    /// Reproduces a side effect of Redis. If Redis does not know the size of a result in advance, the result begins as
    /// a listpack, which cannot hold -0. So every -0 that comes before the member that is too long, or one too many,
    /// becomes 0.
    /// </summary>
    private static void GrowFromSmall(ServerOptions options, ReadOnlySpan<ScoredMember> entries)
    {
        foreach (ScoredMember entry in entries[..(int)Math.Min(entries.Length, options.ZsetMaxListpackEntries)])
        {
            if (entry.Key.Length > options.ZsetMaxListpackValue) return;
            if (entry.Score == 0) entry.SetScore(0);
        }
    }
}
