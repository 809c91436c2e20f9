namespace OrleansRedis.Engine;

/// <summary>Sorted sets: removing ranges, and popping members from either end.</summary>
internal static class SortedSetRemovals
{
    private static ReadOnlySpan<byte> NotPositive => "ERR value is out of range, must be positive"u8;

    /// <summary>ZREMRANGEBYRANK key start stop</summary>
    [Command("ZREMRANGEBYRANK", 4, CommandFlags.Write, Category.SortedSet, Keys = "RW DELETE 1", Since = "2.0.0",
        Complexity = "O(log(N)+M) with N being the number of elements in the sorted set and M the number of elements removed by the operation.",
        Summary = "Removes members in a sorted set within a range of indexes. Deletes the sorted set if all members were removed.",
        Syntax = "key start stop")]
    internal static void Zremrangebyrank(ref CommandContext call)
    {
        if (!call.TryInt64(2, out long start) || !call.TryInt64(3, out long stop)) return;
        if (!call.TryWrite(1, ValueType.SortedSet, out Entry entry)) return;
        RankRange ranks = entry.IsMissing ? default : RankRange.Of(start, stop, new SortedSetView(entry.Found).Count);
        RemoveRange(ref call, entry, ranks, "zremrangebyrank"u8);
    }

    /// <summary>ZREMRANGEBYSCORE key min max</summary>
    [Command("ZREMRANGEBYSCORE", 4, CommandFlags.Write, Category.SortedSet, Keys = "RW DELETE 1", Since = "1.2.0",
        Complexity = "O(log(N)+M) with N being the number of elements in the sorted set and M the number of elements removed by the operation.",
        Summary = "Removes members in a sorted set within a range of scores. Deletes the sorted set if all members were removed.",
        Syntax = "key min:double max:double")]
    internal static void Zremrangebyscore(ref CommandContext call)
    {
        if (!ScoreRange.TryParse(call[2], call[3], out ScoreRange range))
        {
            call.Reply.Error(ScoreRange.NotFloat);
            return;
        }
        if (!call.TryWrite(1, ValueType.SortedSet, out Entry entry)) return;
        RankRange ranks = entry.IsMissing ? default : new SortedSetView(entry.Found).Within(range);
        RemoveRange(ref call, entry, ranks, "zremrangebyscore"u8);
    }

    /// <summary>ZREMRANGEBYLEX key min max</summary>
    [Command("ZREMRANGEBYLEX", 4, CommandFlags.Write, Category.SortedSet, Keys = "RW DELETE 1", Since = "2.8.9",
        Complexity = "O(log(N)+M) with N being the number of elements in the sorted set and M the number of elements removed by the operation.",
        Summary = "Removes members in a sorted set within a lexicographical range. Deletes the sorted set if all members were removed.",
        Syntax = "key min max")]
    internal static void Zremrangebylex(ref CommandContext call)
    {
        if (!LexRange.TryParse(call[2], call[3], out LexRange range))
        {
            call.Reply.Error(LexRange.NotValid);
            return;
        }
        if (!call.TryWrite(1, ValueType.SortedSet, out Entry entry)) return;
        RankRange ranks = entry.IsMissing ? default : new SortedSetView(entry.Found).Within(range);
        RemoveRange(ref call, entry, ranks, "zremrangebylex"u8);
    }

    private static void RemoveRange(ref CommandContext call, in Entry entry, RankRange ranks, ReadOnlySpan<byte> eventName)
    {
        if (ranks.Count > 0)
        {
            KeyEntry set = entry.Found;
            SortedSetEntry.RemoveRange(ref set, ranks);
            Removed(ref call, entry, set, call[1], ranks.Count, eventName);
        }
        call.Reply.Integer(ranks.Count);
    }

    /// <summary>
    /// To be called after so many members were removed from a sorted set: stores the rest, or removes the key if nothing
    /// is left, and publishes the change.
    /// </summary>
    internal static void Removed(
        ref CommandContext call, in Entry entry, KeyEntry set, ReadOnlySpan<byte> key, int removed, ReadOnlySpan<byte> eventName)
    {
        entry.Replace(set);
        call.Modified(entry, KeyEvents.SortedSet, eventName, removed);
        if (new SortedSetView(set).Count > 0) return;
        Keyspace keyspace = entry.Keyspace;
        keyspace.Remove(key);
        call.Event(keyspace, key, KeyEvents.Generic, "del"u8);
    }

    /// <summary>ZPOPMIN key [count]</summary>
    [Command("ZPOPMIN", -2, CommandFlags.Write | CommandFlags.Fast, Category.SortedSet, Keys = "RW ACCESS DELETE 1", Since = "5.0.0",
        Complexity = "O(log(N)*M) with N being the number of elements in the sorted set, and M being the number of elements popped.",
        Summary = "Returns the lowest-scoring members from a sorted set after removing them. Deletes the sorted set if the last member was popped.",
        Syntax = "key [count]")]
    internal static void Zpopmin(ref CommandContext call) => Pop(ref call, max: false);

    /// <summary>ZPOPMAX key [count]</summary>
    [Command("ZPOPMAX", -2, CommandFlags.Write | CommandFlags.Fast, Category.SortedSet, Keys = "RW ACCESS DELETE 1", Since = "5.0.0",
        Complexity = "O(log(N)*M) with N being the number of elements in the sorted set, and M being the number of elements popped.",
        Summary = "Returns the highest-scoring members from a sorted set after removing them. Deletes the sorted set if the last member was popped.",
        Syntax = "key [count]")]
    internal static void Zpopmax(ref CommandContext call) => Pop(ref call, max: true);

    private static void Pop(ref CommandContext call, bool max)
    {
        if (call.Count > 3)
        {
            call.SyntaxError();
            return;
        }
        long count = 1;
        if (call.Count == 3 && (!Numbers.TryParseInt64(call[2], out count) || count < 0))
        {
            call.Reply.Error(NotPositive);
            return;
        }
        if (!call.TryWrite(1, ValueType.SortedSet, out Entry entry)) return;
        if (entry.IsMissing || count == 0)
        {
            call.Reply.Array(0);
            return;
        }
        int popped = (int)Math.Min(count, new SortedSetView(entry.Found).Count);
        bool nested = call.Reply.Resp3 && call.Count == 3;
        call.Reply.Array(nested ? popped : popped * 2);
        Pop(ref call, entry, call[1], popped, max, nested);
    }

    /// <summary>ZMPOP numkeys key [key ...] &lt;MIN | MAX&gt; [COUNT count]</summary>
    [Command("ZMPOP", -4, CommandFlags.Write, Category.SortedSet, Keys = "RW ACCESS DELETE #1", Since = "7.0.0",
        Complexity = "O(K) + O(M*log(N)) where K is the number of provided keys, N being the number of elements in the sorted set, and M being the "
            + "number of elements popped.",
        Summary = "Returns the highest- or lowest-scoring members from one or more sorted sets after removing them. Deletes the sorted set if the last "
            + "member was popped.",
        Syntax = "numkeys key [key ...] where=<MIN | MAX> [COUNT count]")]
    internal static void Zmpop(ref CommandContext call)
    {
        if (!TryReadMpop(ref call, 1, out int keys, out bool max, out long count)) return;
        if (!PopFirst(ref call, 2, keys, max, count)) call.Reply.NullArray();
    }

    /// <summary>
    /// Pops from the first of several keys that has members: like ZMPOP if there is a count, like BZPOPMIN if not. If
    /// none has members, returns false and writes no reply.
    /// </summary>
    internal static bool PopFirst(ref CommandContext call, int firstKey, int keys, bool max, long? count)
    {
        for (int i = firstKey; i < firstKey + keys; i++)
        {
            if (!call.TryWrite(i, ValueType.SortedSet, out Entry entry)) return true; // the error is the reply
            if (entry.IsMissing) continue;
            if (count is { } most) PopNested(ref call, entry, call[i], most, max);
            else PopOne(ref call, entry, call[i], max);
            return true;
        }
        return false;
    }

    /// <summary>
    /// Reads numkeys key [key ...] MIN|MAX [COUNT count] of ZMPOP and BZMPOP. If they are wrong, the error is in the
    /// reply.
    /// </summary>
    internal static bool TryReadMpop(ref CommandContext call, int numkeys, out int keys, out bool max, out long count)
    {
        keys = 0;
        max = false;
        count = 1;
        if (!Numbers.TryParseInt64(call[numkeys], out long keyCount) || keyCount < 1)
        {
            call.Reply.Error("ERR numkeys should be greater than 0"u8);
            return false;
        }
        if (keyCount >= call.Count - numkeys - 1)
        {
            call.SyntaxError();
            return false;
        }
        keys = (int)keyCount;
        int at = numkeys + 1 + keys;
        max = call[at].Is("MAX"u8);
        if (!max && !call[at].Is("MIN"u8))
        {
            call.SyntaxError();
            return false;
        }
        if (++at == call.Count) return true;
        if (!call[at].Is("COUNT"u8) || at + 1 == call.Count)
        {
            call.SyntaxError();
            return false;
        }
        if (!Numbers.TryParseInt64(call[at + 1], out count) || count < 1)
        {
            call.Reply.Error("ERR count should be greater than 0"u8);
            return false;
        }
        if (at + 2 == call.Count) return true;
        call.SyntaxError();
        return false;
    }

    /// <summary>Pops one member, and replies [key, member, score].</summary>
    private static void PopOne(ref CommandContext call, in Entry entry, ReadOnlySpan<byte> key, bool max)
    {
        Keyspace keyspace = entry.Keyspace;
        call.Reply.Array(3);
        call.Reply.BulkString(key);
        Pop(ref call, entry, key, 1, max, nested: false);
        call.Effect(keyspace, max ? "ZPOPMAX"u8 : "ZPOPMIN"u8, key);
    }

    /// <summary>
    /// Pops members, and replies [key, [[member, score]…]] as ZMPOP does. The effect is ZPOPMIN or ZPOPMAX with a
    /// count.
    /// </summary>
    private static void PopNested(ref CommandContext call, in Entry entry, ReadOnlySpan<byte> key, long count, bool max)
    {
        int popped = (int)Math.Min(count, new SortedSetView(entry.Found).Count);
        call.Reply.Array(2);
        call.Reply.BulkString(key);
        call.Reply.Array(popped);
        Keyspace keyspace = entry.Keyspace;
        Pop(ref call, entry, key, popped, max, nested: true);
        Span<byte> digits = stackalloc byte[20];
        call.Effect(keyspace, max ? "ZPOPMAX"u8 : "ZPOPMIN"u8, key, digits[..Numbers.FormatInt64(popped, digits)]);
    }

    /// <summary>
    /// Pops <paramref name="count"/> members, which must exist, and replies with each and its score, flat or as pairs.
    /// </summary>
    private static void Pop(ref CommandContext call, in Entry entry, ReadOnlySpan<byte> key, int count, bool max, bool nested)
    {
        KeyEntry set = entry.Found;
        var view = new SortedSetView(set);
        int length = view.Count;
        RankRange ranks = max ? new(length - count, length) : new(0, count);
        SortedSetView.Walker walker = view.Walk(ranks, max, stackalloc byte[ListpackElement.ScratchLength]);
        while (walker.MoveNext())
        {
            if (nested) call.Reply.Array(2);
            call.Reply.BulkString(walker.Member);
            call.Reply.Double(walker.Score);
        }
        SortedSetEntry.RemoveRange(ref set, ranks);
        Removed(ref call, entry, set, key, count, max ? "zpopmax"u8 : "zpopmin"u8);
    }
}
