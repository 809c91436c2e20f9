namespace OrleansRedis.Engine;

/// <summary>
/// Sorted sets: single members and counts. Ranges are in SortedSetRangeCommands.cs, removal of ranges and pops in
/// SortedSetRemovals.cs, unions and the like in SortedSetOperations.cs, ZRANDMEMBER and ZSCAN in SortedSetSamples.cs.
/// </summary>
internal static class SortedSets
{
    private const int ScoresOnStack = 512;

    /// <summary>ZADD key [NX | XX] [GT | LT] [CH] [INCR] score member [score member ...]</summary>
    [Command("ZADD", -4, CommandFlags.Write | CommandFlags.DenyOom | CommandFlags.Fast, Category.SortedSet, Keys = "RW UPDATE 1", Element = 3, Since = "1.2.0",
        Complexity = "O(log(N)) for each item added, where N is the number of elements in the sorted set.",
        Summary = "Adds one or more members to a sorted set, or updates their scores. Creates the key if it doesn't exist.",
        Syntax = "key [NX | XX] @3.0.2 [GT | LT] @6.2.0 [change=CH] @3.0.2 [increment=INCR] @3.0.2 score member [score member ...]",
        History = "2.4.0: Accepts multiple elements.\n3.0.2: Added the `XX`, `NX`, `CH` and `INCR` options.\n6.2.0: Added the `GT` and `LT` options.")]
    internal static void Zadd(ref CommandContext call) => Add(ref call, AddOptions.None);

    /// <summary>ZINCRBY key increment member</summary>
    [Command("ZINCRBY", 4, CommandFlags.Write | CommandFlags.DenyOom | CommandFlags.Fast, Category.SortedSet, Keys = "RW ACCESS UPDATE 1", Element = 3,
        Since = "1.2.0", Complexity = "O(log(N)) where N is the number of elements in the sorted set.",
        Summary = "Increments the score of a member in a sorted set.",
        Syntax = "key increment member")]
    internal static void Zincrby(ref CommandContext call) => Add(ref call, AddOptions.Increment);

    private static void Add(ref CommandContext call, AddOptions how)
    {
        int first = 2;
        bool countChanged = false;
        for (; first < call.Count; first++)
        {
            ReadOnlySpan<byte> word = call[first];
            if (word.Length is < 2 or > 4) break;
            if (word.Is("NX"u8)) how |= AddOptions.IfMissing;
            else if (word.Is("XX"u8)) how |= AddOptions.IfPresent;
            else if (word.Is("CH"u8)) countChanged = true;
            else if (word.Is("INCR"u8)) how |= AddOptions.Increment;
            else if (word.Is("GT"u8)) how |= AddOptions.IfGreater;
            else if (word.Is("LT"u8)) how |= AddOptions.IfLess;
            else break;
        }
        int count = (call.Count - first) / 2;
        if (count == 0 || ((call.Count - first) & 1) != 0)
        {
            call.SyntaxError();
            return;
        }
        if ((how & (AddOptions.IfMissing | AddOptions.IfPresent)) == (AddOptions.IfMissing | AddOptions.IfPresent))
        {
            call.Reply.Error("ERR XX and NX options at the same time are not compatible"u8);
            return;
        }
        if (System.Numerics.BitOperations.PopCount((uint)(how & (AddOptions.IfMissing | AddOptions.IfGreater | AddOptions.IfLess))) > 1)
        {
            call.Reply.Error("ERR GT, LT, and/or NX options at the same time are not compatible"u8);
            return;
        }
        if ((how & AddOptions.Increment) != 0 && count > 1)
        {
            call.Reply.Error("ERR INCR option supports a single increment-element pair"u8);
            return;
        }
        // All scores are read first, so that the command is carried out entirely or not at all.
        Span<double> scores = count <= ScoresOnStack ? stackalloc double[count] : new double[count];
        for (int i = 0; i < count; i++)
        {
            if (Numbers.TryParseDouble(call[first + (i * 2)], out scores[i])) continue;
            call.Reply.Error(Errors.NotFloat);
            return;
        }
        if (call.TryWrite(1, ValueType.SortedSet, out Entry entry)) Add(ref call, entry, scores, first + 1, 2, how, countChanged);
    }

    /// <summary>
    /// Adds members to the sorted set at argument 1, replies, and publishes the change: the part of ZADD that GEOADD
    /// shares. The members are the arguments from <paramref name="firstMember"/> on, every <paramref name="step"/>th.
    /// </summary>
    internal static void Add(
        ref CommandContext call, in Entry entry, scoped ReadOnlySpan<double> scores, int firstMember, int step, AddOptions how, bool countChanged)
    {
        ServerOptions options = call.Store.Options;
        ReadOnlySpan<byte> key = call[1];
        int added = 0, updated = 0;
        double newScore = 0;
        var outcome = AddOutcome.Refused;
        if (!entry.IsMissing || (how & AddOptions.IfPresent) == 0)
        {
            KeyEntry set = entry.IsMissing ? Create(ref call, options, key, scores.Length, firstMember, step)
                : entry.IsBlob && scores.Length > options.ZsetMaxListpackEntries ? SortedSetEntry.Convert(entry.Blob, scores.Length)
                : entry.Found;
            for (int i = 0; i < scores.Length; i++)
            {
                outcome = SortedSetEntry.Add(options, ref set, scores[i], call[firstMember + (i * step)], how, out newScore);
                if (outcome == AddOutcome.Added) added++;
                else if (outcome == AddOutcome.Updated) updated++;
            }
            if (!entry.IsMissing) entry.Replace(set);
            else if (added > 0) call.Add(entry.Keyspace, set);
        }
        if (outcome == AddOutcome.NotANumber)
        {
            call.Reply.Error("ERR resulting score is not a number (NaN)"u8);
            return;
        }
        bool increments = (how & AddOptions.Increment) != 0;
        if (added + updated > 0)
        {
            ReadOnlySpan<byte> name = increments ? "zincr"u8 : "zadd"u8;
            if (entry.IsMissing) call.Modified(entry.Keyspace, key, KeyEvents.SortedSet, name, added + updated);
            else call.Modified(entry, KeyEvents.SortedSet, name, added + updated);
        }
        if (!increments) call.Reply.Integer(countChanged ? added + updated : added);
        else if (outcome == AddOutcome.Refused) call.Reply.Null();
        else call.Reply.Double(newScore);
    }

    private static KeyEntry Create(ref CommandContext call, ServerOptions options, ReadOnlySpan<byte> key, int count, int firstMember, int step)
    {
        int room = 0;
        if (count <= options.ZsetMaxListpackEntries)
        {
            for (int i = 0; i < count; i++) room += call[firstMember + (i * step)].Length + 8;
        }
        return SortedSetEntry.Create(options, key, count, call[firstMember].Length, room);
    }

    /// <summary>ZREM key member [member ...]</summary>
    [Command("ZREM", -3, CommandFlags.Write | CommandFlags.Fast, Category.SortedSet, Keys = "RW DELETE 1", Element = 2, Since = "1.2.0",
        Complexity = "O(M*log(N)) with N being the number of elements in the sorted set and M the number of elements to be removed.",
        Summary = "Removes one or more members from a sorted set. Deletes the sorted set if all members were removed.",
        Syntax = "key member [member ...]",
        History = "2.4.0: Accepts multiple elements.")]
    internal static void Zrem(ref CommandContext call)
    {
        if (!call.TryWrite(1, ValueType.SortedSet, out Entry entry)) return;
        int removed = 0;
        if (!entry.IsMissing)
        {
            KeyEntry set = entry.Found;
            for (int i = 2; i < call.Count; i++)
            {
                if (!SortedSetEntry.Remove(ref set, call[i])) continue;
                removed++;
                if (new SortedSetView(set).Count == 0) break;
            }
            if (removed > 0) SortedSetRemovals.Removed(ref call, entry, set, call[1], removed, "zrem"u8);
        }
        call.Reply.Integer(removed);
    }

    /// <summary>ZCARD key</summary>
    [Command("ZCARD", 2, CommandFlags.ReadOnly | CommandFlags.Fast, Category.SortedSet, Keys = "RO 1", Since = "1.2.0",
        Complexity = "O(1)",
        Summary = "Returns the number of members in a sorted set.",
        Syntax = "key")]
    internal static void Zcard(ref CommandContext call)
    {
        if (!call.TryRead(1, ValueType.SortedSet, out Entry entry)) return;
        call.Reply.Integer(entry.IsMissing ? 0 : new SortedSetView(entry.Found).Count);
    }

    /// <summary>ZSCORE key member</summary>
    [Command("ZSCORE", 3, CommandFlags.ReadOnly | CommandFlags.Fast, Category.SortedSet, Keys = "RO ACCESS 1", Element = 2, Since = "1.2.0",
        Complexity = "O(1)",
        Summary = "Returns the score of a member in a sorted set.",
        Syntax = "key member")]
    internal static void Zscore(ref CommandContext call)
    {
        if (call.TryRead(1, ValueType.SortedSet, out Entry entry)) ReplyScore(ref call, entry, 2);
    }

    /// <summary>ZMSCORE key member [member ...]</summary>
    [Command("ZMSCORE", -3, CommandFlags.ReadOnly | CommandFlags.Fast, Category.SortedSet, Keys = "RO ACCESS 1", Since = "6.2.0",
        Complexity = "O(N) where N is the number of members being requested.",
        Summary = "Returns the score of one or more members in a sorted set.",
        Syntax = "key member [member ...]")]
    internal static void Zmscore(ref CommandContext call)
    {
        if (!call.TryRead(1, ValueType.SortedSet, out Entry entry)) return;
        call.Reply.Array(call.Count - 2);
        for (int i = 2; i < call.Count; i++) ReplyScore(ref call, entry, i);
    }

    private static void ReplyScore(ref CommandContext call, in Entry entry, int member)
    {
        if (!entry.IsMissing && new SortedSetView(entry.Found).TryScore(call[member], out double score)) call.Reply.Double(score);
        else call.Reply.Null();
    }

    /// <summary>ZRANK key member [WITHSCORE]</summary>
    [Command("ZRANK", -3, CommandFlags.ReadOnly | CommandFlags.Fast, Category.SortedSet, Keys = "RO ACCESS 1", Element = 2, Since = "2.0.0",
        Complexity = "O(log(N))",
        Summary = "Returns the index of a member in a sorted set ordered by ascending scores.",
        Syntax = "key member [WITHSCORE]",
        History = "7.2.0: Added the optional `WITHSCORE` argument.")]
    internal static void Zrank(ref CommandContext call) => Rank(ref call, reversed: false);

    /// <summary>ZREVRANK key member [WITHSCORE]</summary>
    [Command("ZREVRANK", -3, CommandFlags.ReadOnly | CommandFlags.Fast, Category.SortedSet, Keys = "RO ACCESS 1", Element = 2, Since = "2.0.0",
        Complexity = "O(log(N))",
        Summary = "Returns the index of a member in a sorted set ordered by descending scores.",
        Syntax = "key member [WITHSCORE]",
        History = "7.2.0: Added the optional `WITHSCORE` argument.")]
    internal static void Zrevrank(ref CommandContext call) => Rank(ref call, reversed: true);

    private static void Rank(ref CommandContext call, bool reversed)
    {
        if (call.Count > 4)
        {
            call.Reply.Error(Errors.WrongArity(call.Command));
            return;
        }
        bool withScore = call.Count == 4;
        if (withScore && !call[3].Is("WITHSCORE"u8))
        {
            call.SyntaxError();
            return;
        }
        if (!call.TryRead(1, ValueType.SortedSet, out Entry entry)) return;
        int rank = -1;
        double score = 0;
        if (!entry.IsMissing)
        {
            var set = new SortedSetView(entry.Found);
            rank = set.RankOf(call[2], out score);
            if (reversed && rank >= 0) rank = set.Count - 1 - rank;
        }
        if (rank < 0)
        {
            if (withScore) call.Reply.NullArray();
            else call.Reply.Null();
            return;
        }
        if (withScore) call.Reply.Array(2);
        call.Reply.Integer(rank);
        if (withScore) call.Reply.Double(score);
    }

    /// <summary>ZCOUNT key min max</summary>
    [Command("ZCOUNT", 4, CommandFlags.ReadOnly | CommandFlags.Fast, Category.SortedSet, Keys = "RO ACCESS 1", Since = "2.0.0",
        Complexity = "O(log(N)) with N being the number of elements in the sorted set.",
        Summary = "Returns the count of members in a sorted set that have scores within a range.",
        Syntax = "key min:double max:double")]
    internal static void Zcount(ref CommandContext call)
    {
        if (!ScoreRange.TryParse(call[2], call[3], out ScoreRange range))
        {
            call.Reply.Error(ScoreRange.NotFloat);
            return;
        }
        if (!call.TryRead(1, ValueType.SortedSet, out Entry entry)) return;
        call.Reply.Integer(entry.IsMissing ? 0 : new SortedSetView(entry.Found).Within(range).Count);
    }

    /// <summary>ZLEXCOUNT key min max</summary>
    [Command("ZLEXCOUNT", 4, CommandFlags.ReadOnly | CommandFlags.Fast, Category.SortedSet, Keys = "RO ACCESS 1", Since = "2.8.9",
        Complexity = "O(log(N)) with N being the number of elements in the sorted set.",
        Summary = "Returns the number of members in a sorted set within a lexicographical range.",
        Syntax = "key min max")]
    internal static void Zlexcount(ref CommandContext call)
    {
        if (!LexRange.TryParse(call[2], call[3], out LexRange range))
        {
            call.Reply.Error(LexRange.NotValid);
            return;
        }
        if (!call.TryRead(1, ValueType.SortedSet, out Entry entry)) return;
        call.Reply.Integer(entry.IsMissing ? 0 : new SortedSetView(entry.Found).Within(range).Count);
    }
}
