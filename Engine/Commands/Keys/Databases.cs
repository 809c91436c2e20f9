namespace OrleansRedis.Engine;

/// <summary>
/// Commands on whole logical databases. A change gives one effect for each slot that it changes, and the effect
/// concerns only that slot's part: FLUSHDB in slot 5 empties the database in slot 5. A log of several slots writes such
/// a command once per unit.
/// </summary>
internal static class Databases
{
    /// <summary>SELECT index</summary>
    [Command("SELECT", 2, CommandFlags.Loading | CommandFlags.Stale | CommandFlags.Fast, Category.Connection, Since = "1.0.0", Complexity = "O(1)",
        Summary = "Changes the selected database.", Syntax = "index")]
    internal static void Select(ref CommandContext call)
    {
        if (call.Store.Cluster is not null && Numbers.TryParseInt64(call[1], out long number) && number is not 0 and >= int.MinValue and <= int.MaxValue)
        {
            call.Reply.Error("ERR SELECT is not allowed in cluster mode"u8);
            return;
        }
        if (!KeyMoves.TryReadDatabase(ref call, 1, out int database)) return;
        call.Session.Database = database;
        call.Reply.Ok();
    }

    /// <summary>FLUSHDB [ASYNC | SYNC]</summary>
    [Command("FLUSHDB", -1, CommandFlags.Write | CommandFlags.Exclusive, Category.Keyspace | Category.Dangerous, Since = "1.0.0",
        Complexity = "O(N) where N is the number of keys in the selected database", Summary = "Remove all keys from the current database.",
        Syntax = "flush-type=[ASYNC @4.0.0 | SYNC @6.2.0]", Group = "server", Tips = "request_policy:all_shards;response_policy:all_succeeded",
        History = "4.0.0: Added the `ASYNC` flushing mode modifier.\n6.2.0: Added the `SYNC` flushing mode modifier.")]
    internal static void Flushdb(ref CommandContext call)
    {
        if (TryReadMode(ref call, out bool isLazy)) Flush(ref call, call.Session.Database, call.Session.Database, isLazy);
    }

    /// <summary>FLUSHALL [ASYNC | SYNC]</summary>
    [Command("FLUSHALL", -1, CommandFlags.Write | CommandFlags.Exclusive, Category.Keyspace | Category.Dangerous, Since = "1.0.0",
        Complexity = "O(N) where N is the total number of keys in all databases", Summary = "Removes all keys from all databases.",
        Syntax = "flush-type=[ASYNC @4.0.0 | SYNC @6.2.0]", Group = "server", Tips = "request_policy:all_shards;response_policy:all_succeeded",
        History = "4.0.0: Added the `ASYNC` flushing mode modifier.\n6.2.0: Added the `SYNC` flushing mode modifier.")]
    internal static void Flushall(ref CommandContext call)
    {
        if (!TryReadMode(ref call, out bool isLazy)) return;
        Flush(ref call, 0, call.Store.Slots.Databases - 1, isLazy);
        call.Store.Files?.Dump.FlushedAll();
    }

    /// <summary>SWAPDB index1 index2</summary>
    [Command("SWAPDB", 3, CommandFlags.Write | CommandFlags.Fast | CommandFlags.Exclusive, Category.Keyspace | Category.Dangerous, Since = "4.0.0",
        Complexity = "O(N) where N is the count of clients watching or blocking on keys from both databases.", Summary = "Swaps two Redis databases.",
        Syntax = "index1 index2", Group = "server")]
    internal static void Swapdb(ref CommandContext call)
    {
        if (call.Store.Cluster is not null)
        {
            call.Reply.Error("ERR SWAPDB is not allowed in cluster mode"u8);
            return;
        }
        if (!TryReadIndex(ref call, 1, "ERR invalid first DB index"u8, out int first) ||
            !TryReadIndex(ref call, 2, "ERR invalid second DB index"u8, out int second)) return;
        SlotTable slots = call.Store.Slots;
        if (first < 0 || second < 0 || first >= slots.Databases || second >= slots.Databases)
        {
            call.Reply.Error("ERR DB index is out of range"u8);
            return;
        }
        call.Reply.Ok();
        if (first == second) return;
        call.Store.Tracking?.AllChanged();
        int changes = 1; // the whole swap is one change, counted in the first slot that has keys
        for (int number = 0; number < KeySlot.Count; number++)
        {
            if (slots.KeyCount(first, number) + slots.KeyCount(second, number) == 0) continue;
            if (slots[number] is not { } slot || !call.Covers(number)) continue;
            WatchedDatabases.Swap(slot, first, second, call.NowMs);
            call.CountChanges(slot, changes);
            call.DatabaseEffect(slot, isFirst: changes == 1);
            changes = 0;
        }
    }

    /// <summary>
    /// Reads [ASYNC | SYNC]. They make no difference here: what is large is freed in the background either way. They
    /// differ in what INFO reports: Redis 7.4 frees lazily even with SYNC, except in a transaction.
    /// </summary>
    private static bool TryReadMode(ref CommandContext call, out bool isLazy)
    {
        isLazy = call.MayBlock || (call.Count == 2 && call[1].Is("ASYNC"u8));
        if (call.Count == 1 || (call.Count == 2 && (call[1].Is("ASYNC"u8) || call[1].Is("SYNC"u8)))) return true;
        call.SyntaxError();
        return false;
    }

    private static bool TryReadIndex(ref CommandContext call, int index, ReadOnlySpan<byte> error, out int database)
    {
        database = 0;
        if (!Numbers.TryParseInt64(call[index], out long number) || number is < int.MinValue or > int.MaxValue)
        {
            call.Reply.Error(error);
            return false;
        }
        database = (int)number;
        return true;
    }

    private static void Flush(ref CommandContext call, int first, int last, bool isLazy)
    {
        SlotTable slots = call.Store.Slots;
        bool isFirst = true;
        Slot? any = null;
        for (int number = 0; number < KeySlot.Count; number++)
        {
            if (slots[number] is not { } slot || !call.Covers(number)) continue;
            any ??= slot;
            int removed = 0;
            for (int database = first; database <= last; database++)
            {
                if (slots.KeyCount(database, number) != 0) removed += WatchedDatabases.Empty(slot, database);
            }
            if (removed == 0) continue;
            call.CountChanges(slot, removed);
            if (isLazy) call.Store.Statistics.CountLazyFreed(removed);
            call.DatabaseEffect(slot, isFirst);
            isFirst = false;
        }
        // As in Redis, there is an effect even if there was nothing to remove.
        if (isFirst && any is not null) call.DatabaseEffect(any, isFirst: true);
        call.Store.Tracking?.AllChanged();
        call.Reply.Ok();
    }
}
