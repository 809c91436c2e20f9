namespace OrleansRedis.Engine;

/// <summary>Sorted sets: the blocking pops.</summary>
internal static class SortedSetBlocking
{
    /// <summary>BZPOPMIN key [key ...] timeout</summary>
    [Command("BZPOPMIN", -3, CommandFlags.Write | CommandFlags.Fast | CommandFlags.Blocking, Category.SortedSet, Keys = "RW ACCESS DELETE 1..-2",
        Since = "5.0.0", Complexity = "O(log(N)) with N being the number of elements in the sorted set.",
        Summary = "Removes and returns the member with the lowest score from one or more sorted sets. Blocks until a member is available otherwise. "
            + "Deletes the sorted set if the last element was popped.",
        Syntax = "key [key ...] timeout:double",
        History = "6.0.0: `timeout` is interpreted as a double instead of an integer.")]
    internal static void Bzpopmin(ref CommandContext call) => Pop(ref call, max: false);

    /// <summary>BZPOPMAX key [key ...] timeout</summary>
    [Command("BZPOPMAX", -3, CommandFlags.Write | CommandFlags.Fast | CommandFlags.Blocking, Category.SortedSet, Keys = "RW ACCESS DELETE 1..-2",
        Since = "5.0.0", Complexity = "O(log(N)) with N being the number of elements in the sorted set.",
        Summary = "Removes and returns the member with the highest score from one or more sorted sets. Blocks until a member available otherwise.  "
            + "Deletes the sorted set if the last element was popped.",
        Syntax = "key [key ...] timeout:double",
        History = "6.0.0: `timeout` is interpreted as a double instead of an integer.")]
    internal static void Bzpopmax(ref CommandContext call) => Pop(ref call, max: true);

    private static void Pop(ref CommandContext call, bool max)
    {
        if (!BlockingTimeout.TryReadSeconds(ref call, call.Count - 1, out long deadlineMs)) return;
        if (SortedSetRemovals.PopFirst(ref call, 1, call.Count - 2, max, count: null)) return;
        if (!call.TryBlock(ValueType.SortedSet, 1, call.Count - 2, deadlineMs)) call.Reply.NullArray();
    }

    /// <summary>BZMPOP timeout numkeys key [key ...] &lt;MIN | MAX&gt; [COUNT count]</summary>
    [Command("BZMPOP", -5, CommandFlags.Write | CommandFlags.Blocking, Category.SortedSet, Keys = "RW ACCESS DELETE #2", Since = "7.0.0",
        Complexity = "O(K) + O(M*log(N)) where K is the number of provided keys, N being the number of elements in the sorted set, and M being the "
            + "number of elements popped.",
        Summary = "Removes and returns a member by score from one or more sorted sets. Blocks until a member is available otherwise. Deletes the "
            + "sorted set if the last element was popped.",
        Syntax = "timeout:double numkeys key [key ...] where=<MIN | MAX> [COUNT count]")]
    internal static void Bzmpop(ref CommandContext call)
    {
        if (!SortedSetRemovals.TryReadMpop(ref call, 2, out int keys, out bool max, out long count)) return;
        if (!BlockingTimeout.TryReadSeconds(ref call, 1, out long deadlineMs)) return;
        if (SortedSetRemovals.PopFirst(ref call, 3, keys, max, count)) return;
        if (!call.TryBlock(ValueType.SortedSet, 3, keys, deadlineMs)) call.Reply.NullArray();
    }
}
