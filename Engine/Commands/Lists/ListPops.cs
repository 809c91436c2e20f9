namespace OrleansRedis.Engine;

/// <summary>LPOP, RPOP and LMPOP, and the blocking forms BLPOP, BRPOP and BLMPOP.</summary>
internal static class ListPops
{
    /// <summary>LPOP key [count]</summary>
    [Command("LPOP", -2, CommandFlags.Write | CommandFlags.Fast, Category.List, Keys = "RW ACCESS DELETE 1", Since = "1.0.0",
        Complexity = "O(N) where N is the number of elements returned",
        Summary = "Returns the first elements in a list after removing it. Deletes the list if the last element was popped.", Syntax = "key [count] @6.2.0",
        History = "6.2.0: Added the `count` argument.")]
    internal static void Lpop(ref CommandContext call) => Pop(ref call, atHead: true);

    /// <summary>RPOP key [count]</summary>
    [Command("RPOP", -2, CommandFlags.Write | CommandFlags.Fast, Category.List, Keys = "RW ACCESS DELETE 1", Since = "1.0.0",
        Complexity = "O(N) where N is the number of elements returned",
        Summary = "Returns and removes the last elements of a list. Deletes the list if the last element was popped.", Syntax = "key [count] @6.2.0",
        History = "6.2.0: Added the `count` argument.")]
    internal static void Rpop(ref CommandContext call) => Pop(ref call, atHead: false);

    private static void Pop(ref CommandContext call, bool atHead)
    {
        if (call.Count > 3)
        {
            call.Reply.Error(Errors.WrongArity(call.Command));
            return;
        }
        bool counted = call.Count == 3;
        long count = 1;
        if (counted && !ListArguments.TryNotNegative(ref call, 2, "ERR value is out of range, must be positive"u8, out count)) return;
        if (!call.TryWrite(1, ValueType.List, out Entry entry)) return;
        if (entry.IsMissing)
        {
            if (counted) call.Reply.NullArray();
            else call.Reply.Null();
        }
        else if (count == 0)
        {
            call.Reply.Array(0);
        }
        else if (!counted)
        {
            ListEntry.Peek(entry.Found, atHead).WriteTo(call.Reply);
            ListEntry.Remove(entry, atHead, 1);
            ListWrites.Removed(ref call, entry, call[1], EventOf(atHead), 1);
        }
        else
        {
            PopMany(ref call, entry, call[1], atHead, count);
        }
    }

    /// <summary>LMPOP numkeys key [key ...] LEFT | RIGHT [COUNT count]</summary>
    [Command("LMPOP", -4, CommandFlags.Write | CommandFlags.MovableKeys, Category.List, Keys = "RW ACCESS DELETE #1", Since = "7.0.0",
        Complexity = "O(N+M) where N is the number of provided keys and M is the number of elements returned.",
        Summary = "Returns multiple elements from a list after removing them. Deletes the list if the last element was popped.",
        Syntax = "numkeys key [key ...] where=<LEFT | RIGHT> [COUNT count]")]
    internal static void Lmpop(ref CommandContext call)
    {
        if (!TryReadMpop(ref call, 1, out int keyCount, out bool atHead, out long count)) return;
        if (!TryMpop(ref call, 2, keyCount, atHead, count)) call.Reply.NullArray();
    }

    /// <summary>BLMPOP timeout numkeys key [key ...] LEFT | RIGHT [COUNT count]</summary>
    [Command("BLMPOP", -5, CommandFlags.Write | CommandFlags.Blocking | CommandFlags.MovableKeys, Category.List, Keys = "RW ACCESS DELETE #2", Since = "7.0.0",
        Complexity = "O(N+M) where N is the number of provided keys and M is the number of elements returned.",
        Summary =
        "Pops the first element from one of multiple lists. Blocks until an element is available otherwise. Deletes the list if the last element was popped.",
        Syntax = "timeout:double numkeys key [key ...] where=<LEFT | RIGHT> [COUNT count]")]
    internal static void Blmpop(ref CommandContext call)
    {
        if (!BlockingTimeout.TryReadSeconds(ref call, 1, out long deadlineMs)) return;
        if (!TryReadMpop(ref call, 2, out int keyCount, out bool atHead, out long count)) return;
        if (TryMpop(ref call, 3, keyCount, atHead, count)) return;
        if (!call.TryBlock(ValueType.List, 3, keyCount, deadlineMs)) call.Reply.NullArray();
    }

    /// <summary>BLPOP key [key ...] timeout</summary>
    [Command("BLPOP", -3, CommandFlags.Write | CommandFlags.Blocking, Category.List, Keys = "RW ACCESS DELETE 1..-2", Since = "2.0.0",
        Complexity = "O(N) where N is the number of provided keys.",
        Summary =
            "Removes and returns the first element in a list. Blocks until an element is available otherwise. Deletes the list if the last element was popped.",
        Syntax = "key [key ...] timeout:double", History = "6.0.0: `timeout` is interpreted as a double instead of an integer.")]
    internal static void Blpop(ref CommandContext call) => BlockingPop(ref call, atHead: true);

    /// <summary>BRPOP key [key ...] timeout</summary>
    [Command("BRPOP", -3, CommandFlags.Write | CommandFlags.Blocking, Category.List, Keys = "RW ACCESS DELETE 1..-2", Since = "2.0.0",
        Complexity = "O(N) where N is the number of provided keys.",
        Summary =
            "Removes and returns the last element in a list. Blocks until an element is available otherwise. Deletes the list if the last element was popped.",
        Syntax = "key [key ...] timeout:double", History = "6.0.0: `timeout` is interpreted as a double instead of an integer.")]
    internal static void Brpop(ref CommandContext call) => BlockingPop(ref call, atHead: false);

    private static void BlockingPop(ref CommandContext call, bool atHead)
    {
        if (!BlockingTimeout.TryReadSeconds(ref call, call.Count - 1, out long deadlineMs)) return;
        for (int i = 1; i < call.Count - 1; i++)
        {
            if (!call.TryWrite(i, ValueType.List, out Entry entry)) return;
            if (entry.IsMissing) continue;
            call.Reply.Array(2);
            call.Reply.BulkString(call[i]);
            ListEntry.Peek(entry.Found, atHead).WriteTo(call.Reply);
            Keyspace keyspace = entry.Keyspace;
            ListEntry.Remove(entry, atHead, 1);
            ListWrites.Removed(ref call, entry, call[i], EventOf(atHead), 1);
            call.Effect(keyspace, atHead ? "LPOP"u8 : "RPOP"u8, call[i]);
            return;
        }
        if (!call.TryBlock(ValueType.List, 1, call.Count - 2, deadlineMs)) call.Reply.NullArray();
    }

    /// <summary>The name of the event for a pop.</summary>
    internal static ReadOnlySpan<byte> EventOf(bool atHead) => atHead ? "lpop"u8 : "rpop"u8;

    /// <summary>
    /// Reads "numkeys key [key ...] LEFT | RIGHT [COUNT count]". If that is not valid, the error is in the reply.
    /// </summary>
    private static bool TryReadMpop(ref CommandContext call, int at, out int keyCount, out bool atHead, out long count)
    {
        keyCount = 0;
        atHead = false;
        count = -1;
        if (!Numbers.TryParseInt64(call[at], out long keys) || keys <= 0)
        {
            call.Reply.Error("ERR numkeys should be greater than 0"u8);
            return false;
        }
        if (keys > call.Count - at - 2)
        {
            call.SyntaxError();
            return false;
        }
        keyCount = (int)keys;
        at += keyCount + 1;
        if (!ListArguments.TryEnd(ref call, at, out atHead)) return false;
        for (at++; at < call.Count; at += 2)
        {
            if (count >= 0 || at + 1 == call.Count || !call[at].Is("COUNT"u8))
            {
                call.SyntaxError();
                return false;
            }
            if (Numbers.TryParseInt64(call[at + 1], out count) && count > 0) continue;
            call.Reply.Error("ERR count should be greater than 0"u8);
            return false;
        }
        if (count < 0) count = 1;
        return true;
    }

    /// <summary>
    /// Pops from the first list that exists, and replies. If none exists, returns false and writes no reply. A key of
    /// another type ends the search with an error.
    /// </summary>
    private static bool TryMpop(ref CommandContext call, int firstKey, int keyCount, bool atHead, long count)
    {
        for (int i = firstKey; i < firstKey + keyCount; i++)
        {
            if (!call.TryWrite(i, ValueType.List, out Entry entry)) return true;
            if (entry.IsMissing) continue;
            Keyspace keyspace = entry.Keyspace;
            call.Reply.Array(2);
            call.Reply.BulkString(call[i]);
            long popped = PopMany(ref call, entry, call[i], atHead, count);
            Span<byte> digits = stackalloc byte[20];
            call.Effect(keyspace, atHead ? "LPOP"u8 : "RPOP"u8, call[i], digits[..Numbers.FormatInt64(popped, digits)]);
            return true;
        }
        return false;
    }

    private static long PopMany(ref CommandContext call, in Entry entry, ReadOnlySpan<byte> key, bool atHead, long count)
    {
        long length = ListEntry.Count(entry.Found);
        count = Math.Min(count, length);
        ListReads.ReplyRange(ref call, entry.Found, atHead ? 0 : length - 1, count, forward: atHead);
        ListEntry.Remove(entry, atHead, count);
        ListWrites.Removed(ref call, entry, key, EventOf(atHead), count);
        return count;
    }
}
