namespace OrleansRedis.Engine;

/// <summary>Sorted sets: random members, and ZSCAN.</summary>
internal static class SortedSetSamples
{
    /// <summary>ZRANDMEMBER key [count [WITHSCORES]] — A negative count draws with repetition.</summary>
    [Command("ZRANDMEMBER", -2, CommandFlags.ReadOnly, Category.SortedSet, Keys = "RO ACCESS 1", Since = "6.2.0",
        Complexity = "O(N) where N is the number of members returned",
        Summary = "Returns one or more random members from a sorted set.",
        Syntax = "key options=[count [WITHSCORES]]",
        Tips = "nondeterministic_output")]
    internal static void Zrandmember(ref CommandContext call)
    {
        long count = 0;
        bool withScores = false;
        if (call.Count >= 3)
        {
            if (!call.TryNegatable(2, out count)) return;
            if (call.Count > 4 || (call.Count == 4 && !call[3].Is("WITHSCORES"u8)))
            {
                call.SyntaxError();
                return;
            }
            withScores = call.Count == 4;
            if (withScores && count is < -(long.MaxValue / 2) or > long.MaxValue / 2)
            {
                call.Reply.Error("ERR value is out of range"u8);
                return;
            }
        }
        if (!call.TryRead(1, ValueType.SortedSet, out Entry entry)) return;
        if (call.Count == 2)
        {
            if (entry.IsMissing) call.Reply.Null();
            else ReplyAny(call.Reply, new(entry.Found), withScore: false, nested: false);
            return;
        }
        if (entry.IsMissing || count == 0)
        {
            call.Reply.Array(0);
            return;
        }
        var set = new SortedSetView(entry.Found);
        bool nested = withScores && call.Reply.Resp3;
        if (count < 0 || count == 1)
        {
            long drawn = Math.Abs(count);
            if (!SetRandom.TryAnnounce(call.Reply, drawn)) return;
            call.Reply.Array(withScores && !nested ? drawn * 2 : drawn);
            for (long i = 0; i < drawn && !call.Reply.HasOverflowed; i++) ReplyAny(call.Reply, set, withScores, nested);
            return;
        }
        int distinct = (int)Math.Min(count, set.Count);
        call.Reply.Array(withScores && !nested ? distinct * 2 : distinct);
        if (set.Value is { } value && distinct < set.Count / 3) ReplyFew(call.Reply, value, distinct, withScores, nested);
        else ReplyMany(call.Reply, set, distinct, withScores, nested);
    }

    private static void ReplyAny(RespWriter reply, in SortedSetView set, bool withScore, bool nested)
    {
        if (set.Value is { } value)
        {
            ScoredMember entry = value.Members.Random(Random.Shared);
            Reply(reply, entry.Key, entry.Score, withScore, nested);
            return;
        }
        int rank = Random.Shared.Next(set.Count);
        SortedSetView.Walker walker = set.Walk(new(rank, rank + 1), reversed: false, stackalloc byte[ListpackElement.ScratchLength]);
        walker.MoveNext();
        Reply(reply, walker.Member, walker.Score, withScore, nested);
    }

    /// <summary>For a few members of many: draws until there are enough different ones.</summary>
    private static unsafe void ReplyFew(RespWriter reply, SortedSetValue value, int count, bool withScores, bool nested)
    {
        var drawn = new HashSet<nint>(count);
        while (drawn.Count < count)
        {
            ScoredMember entry = value.Members.Random(Random.Shared);
            if (drawn.Add((nint)entry.Block)) Reply(reply, entry.Key, entry.Score, withScores, nested);
        }
    }

    /// <summary>
    /// For all members or many of them, in order: takes each with the probability that makes every selection equally
    /// likely.
    /// </summary>
    private static void ReplyMany(RespWriter reply, in SortedSetView set, int count, bool withScores, bool nested)
    {
        int left = set.Count;
        SortedSetView.Walker walker = set.Walk(stackalloc byte[ListpackElement.ScratchLength]);
        while (count > 0 && walker.MoveNext())
        {
            if (count < left && Random.Shared.Next(left) >= count)
            {
                left--;
                continue;
            }
            Reply(reply, walker.Member, walker.Score, withScores, nested);
            left--;
            count--;
        }
    }

    private static void Reply(RespWriter reply, ReadOnlySpan<byte> member, double score, bool withScore, bool nested)
    {
        if (nested) reply.Array(2);
        reply.BulkString(member);
        if (withScore) reply.Double(score);
    }

    /// <summary>ZSCAN key cursor [MATCH pattern] [COUNT count] [NOSCORES]</summary>
    [Command("ZSCAN", -3, CommandFlags.ReadOnly, Category.SortedSet, Keys = "RO ACCESS 1", Since = "2.8.0",
        Complexity = "O(1) for every call. O(N) for a complete iteration, including enough command calls for the cursor to return back to 0. N is the "
            + "number of elements inside the collection.",
        Summary = "Iterates over members and scores of a sorted set.",
        Syntax = "key cursor [MATCH pattern] [COUNT count] [NOSCORES] @8.0.0",
        Tips = "nondeterministic_output",
        History = "8.0.0: Added the `NOSCORES` option (Valkey).")]
    internal static void Zscan(ref CommandContext call)
    {
        if (!ScanOptions.TryOpen(ref call, ValueType.SortedSet, ScanOptions.Of.SortedSet, out Entry entry, out ulong cursor, out ScanOptions options)) return;
        if (entry.IsBlob) ScanAll(call.Reply, new(entry.Found), options);
        else Scan(call.Reply, entry.Found.As<SortedSetValue>(), cursor, options);
    }

    /// <summary>Replies with the whole of a small set, whatever COUNT says.</summary>
    private static void ScanAll(RespWriter reply, in SortedSetView set, in ScanOptions options)
    {
        int begin = ScanOptions.BeginReply(reply, 0), count = 0;
        SortedSetView.Walker walker = set.Walk(stackalloc byte[ListpackElement.ScratchLength]);
        while (walker.MoveNext())
        {
            ReadOnlySpan<byte> member = walker.Member;
            if (options.Wants(member)) count += ReplyScanned(reply, member, walker.Score, options);
        }
        reply.Finish(begin, Aggregate.Array, count);
    }

    private static void Scan(RespWriter reply, SortedSetValue value, ulong cursor, in ScanOptions options)
    {
        var found = new List<ScoredMember>(Math.Min(options.Count, 1024));
        int begin = ScanOptions.BeginReply(reply, value.Members.ScanFrom(cursor, options.Count, found)), count = 0;
        foreach (ScoredMember entry in found)
        {
            ReadOnlySpan<byte> member = entry.Key;
            if (options.Wants(member)) count += ReplyScanned(reply, member, entry.Score, options);
        }
        reply.Finish(begin, Aggregate.Array, count);
    }

    private static int ReplyScanned(RespWriter reply, ReadOnlySpan<byte> member, double score, in ScanOptions options)
    {
        reply.BulkString(member);
        if (options.NoValues) return 1;
        Span<byte> text = stackalloc byte[Numbers.LongestDouble];
        reply.BulkString(text[..Numbers.FormatDouble(score, text)]);
        return 2;
    }
}
