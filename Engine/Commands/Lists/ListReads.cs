namespace OrleansRedis.Engine;

/// <summary>LLEN, LINDEX, LRANGE, LPOS.</summary>
internal static class ListReads
{
    /// <summary>LLEN key</summary>
    [Command("LLEN", 2, CommandFlags.ReadOnly | CommandFlags.Fast, Category.List, Keys = "RO 1", Since = "1.0.0",
        Complexity = "O(1)", Summary = "Returns the length of a list.", Syntax = "key")]
    internal static void Llen(ref CommandContext call)
    {
        if (call.TryRead(1, ValueType.List, out Entry entry)) call.Reply.Integer(ListEntry.Count(entry));
    }

    /// <summary>LINDEX key index — counts from the end if negative; -1 is the last element.</summary>
    [Command("LINDEX", 3, CommandFlags.ReadOnly, Category.List, Keys = "RO ACCESS 1", Since = "1.0.0",
        Complexity = "O(N) where N is the number of elements to traverse to get to the element at index. This makes asking for the first or the last "
            + "element of the list O(1).",
        Summary = "Returns an element from a list by its index.", Syntax = "key index")]
    internal static void Lindex(ref CommandContext call)
    {
        if (!call.TryRead(1, ValueType.List, out Entry entry)) return;
        if (entry.IsMissing)
        {
            call.Reply.Null();
            return;
        }
        if (!call.TryInt64(2, out long index)) return;
        long count = ListEntry.Count(entry.Found);
        if (index < 0) index += count;
        if (index < 0 || index >= count)
        {
            call.Reply.Null();
            return;
        }
        var cursor = new ListCursor(entry.Found, index, forward: true);
        cursor.MoveNext();
        cursor.Current.WriteTo(call.Reply);
    }

    /// <summary>LRANGE key start stop — both inclusive, counting from the end if negative.</summary>
    [Command("LRANGE", 4, CommandFlags.ReadOnly, Category.List, Keys = "RO ACCESS 1", Since = "1.0.0",
        Complexity = "O(S+N) where S is the distance of start offset from HEAD for small lists, from nearest end (HEAD or TAIL) for large lists; and N "
            + "is the number of elements in the specified range.",
        Summary = "Returns a range of elements from a list.", Syntax = "key start stop")]
    internal static void Lrange(ref CommandContext call)
    {
        if (!call.TryInt64(2, out long start) || !call.TryInt64(3, out long stop)) return;
        if (!call.TryRead(1, ValueType.List, out Entry entry)) return;
        long count = ListEntry.Count(entry);
        if (start < 0) start = Math.Max(0, start + count);
        if (stop < 0) stop += count;
        if (start > stop || start >= count)
        {
            call.Reply.Array(0);
            return;
        }
        ReplyRange(ref call, entry.Found, start, Math.Min(stop, count - 1) - start + 1, forward: true);
    }

    /// <summary>
    /// Replies with an array of <paramref name="count"/> elements, all of which exist, from index
    /// <paramref name="start"/> on.
    /// </summary>
    internal static void ReplyRange(ref CommandContext call, KeyEntry entry, long start, long count, bool forward)
    {
        RespWriter reply = call.Reply;
        reply.Array((int)count);
        var cursor = new ListCursor(entry, start, forward);
        while (count-- > 0 && cursor.MoveNext()) cursor.Current.WriteTo(reply);
    }

    /// <summary>LPOS key element [RANK rank] [COUNT num-matches] [MAXLEN len]</summary>
    [Command("LPOS", -3, CommandFlags.ReadOnly, Category.List, Keys = "RO ACCESS 1", Since = "6.0.6",
        Complexity = "O(N) where N is the number of elements in the list, for the average case. When searching for elements near the head or the tail "
            + "of the list, or when the MAXLEN option is provided, the command may run in constant time.",
        Summary = "Returns the index of matching elements in a list.", Syntax = "key element [RANK rank] [COUNT num-matches] [MAXLEN len]")]
    internal static void Lpos(ref CommandContext call)
    {
        long rank = 1, wanted = -1, most = 0;
        for (int i = 3; i < call.Count; i += 2)
        {
            ReadOnlySpan<byte> option = call[i];
            if (i + 1 >= call.Count)
            {
                call.SyntaxError();
                return;
            }
            if (option.Is("RANK"u8))
            {
                if (!call.TryInt64(i + 1, out rank)) return;
                if (rank is 0 or long.MinValue)
                {
                    call.Reply.Error(rank == 0
                    ? "ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... or use negative to start from the end of the list"u8
                    : "ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807"u8);
                    return;
                }
            }
            else if (option.Is("COUNT"u8))
            {
                if (!ListArguments.TryNotNegative(ref call, i + 1, "ERR COUNT can't be negative"u8, out wanted)) return;
            }
            else if (option.Is("MAXLEN"u8))
            {
                if (!ListArguments.TryNotNegative(ref call, i + 1, "ERR MAXLEN can't be negative"u8, out most)) return;
            }
            else
            {
                call.SyntaxError();
                return;
            }
        }
        Entry entry = call.Read(1);
        if (!call.IsOf(ValueType.List, entry)) return;
        int begin = call.Reply.Begin(), found = 0;
        if (!entry.IsMissing) found = ReplyPositions(ref call, entry.Found, rank, wanted, most);
        if (wanted >= 0) call.Reply.Finish(begin, Aggregate.Array, found);
        else if (found == 0) call.Reply.Null();
    }

    private static int ReplyPositions(ref CommandContext call, KeyEntry entry, long rank, long wanted, long most)
    {
        bool forward = rank > 0;
        long count = ListEntry.Count(entry), matches = 0, skip = Math.Abs(rank) - 1;
        if (most == 0 || most > count) most = count;
        if (wanted == 0) wanted = long.MaxValue;
        ReadOnlySpan<byte> element = call[2];
        bool isInteger = Numbers.TryParseInt64(element, out long integer);
        int found = 0;
        var cursor = new ListCursor(entry, forward ? 0 : count - 1, forward);
        for (long index = 0; index < most && cursor.MoveNext(); index++)
        {
            ListpackElement current = cursor.Current;
            // An element in a plain node is text, even if it looks like a number.
            bool equal = current.IsInteger ? isInteger && current.Integer == integer : current.Text.SequenceEqual(element);
            if (!equal || matches++ < skip) continue;
            call.Reply.Integer(forward ? index : count - 1 - index);
            found++;
            if (found >= Math.Max(1, wanted)) break;
        }
        return found;
    }
}
