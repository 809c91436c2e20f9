using System.Buffers.Text;
using System.Text.Unicode;

namespace OrleansRedis.Engine;

/// <summary>Commands that go through all keys of a database, one slot after the other.</summary>
internal static class KeyspaceCommands
{
    /// <summary>DBSIZE — Expired keys count until some command or the expiry cycle comes across them.</summary>
    [Command("DBSIZE", 1, CommandFlags.ReadOnly | CommandFlags.Fast | CommandFlags.WholeKeyspace, Category.Keyspace, Since = "1.0.0",
        Complexity = "O(1)", Summary = "Returns the number of keys in the database.", Group = "server",
        Tips = "request_policy:all_shards;response_policy:agg_sum")]
    internal static void Dbsize(ref CommandContext call) => call.Reply.Integer(CountKeys(ref call));

    /// <summary>KEYS pattern</summary>
    [Command("KEYS", 2, CommandFlags.ReadOnly | CommandFlags.WholeKeyspace, Category.Keyspace | Category.Dangerous, Effort = Effort.AllKeys, Since = "1.0.0",
        Complexity = "O(N) with N being the number of keys in the database, under the assumption that the key names in the database and the given "
            + "pattern have limited length.",
        Summary = "Returns all key names that match a pattern.", Syntax = "pattern", Tips = "request_policy:all_shards;nondeterministic_output_order")]
    internal static void Keys(ref CommandContext call)
    {
        ReadOnlySpan<byte> pattern = call[1];
        int begin = call.Reply.Begin(), count = 0, only = GlobPattern.SlotOf(pattern);
        if (only >= 0)
        {
            if (call.Covers(only)) count = MatchSlot(ref call, only, pattern);
        }
        else
        {
            for (int number = 0; number < KeySlot.Count && call.BusySlot < 0; number++)
            {
                if (call.Covers(number) && call.Store.Slots.KeyCount(call.Session.Database, number) > 0) count += MatchSlot(ref call, number, pattern);
            }
        }
        call.Reply.Finish(begin, Aggregate.Array, count);
    }

    /// <summary>
    /// SCAN cursor [MATCH pattern] [COUNT count] [TYPE type] — A key that exists from the first call to the last is
    /// returned at least once. The cursor is the slot in its high 32 bits and the position in hash order in the low 32,
    /// so it remains valid when a table is resized.
    /// </summary>
    [Command("SCAN", -2, CommandFlags.ReadOnly | CommandFlags.WholeKeyspace, Category.Keyspace, Since = "2.8.0",
        Complexity = "O(1) for every call. O(N) for a complete iteration, including enough command calls for the cursor to return back to 0. N is the "
            + "number of elements inside the collection.",
        Summary = "Iterates over the key names in the database.", Syntax = "cursor [MATCH pattern] [COUNT count] [TYPE type] @6.0.0",
        Tips = "nondeterministic_output;request_policy:special;response_policy:special", History = "6.0.0: Added the `TYPE` subcommand.")]
    internal static void Scan(ref CommandContext call)
    {
        if (!ScanOptions.TryReadCursor(ref call, 1, out ulong cursor) ||
            !ScanOptions.TryRead(ref call, 2, ScanOptions.Of.Keys, out ScanOptions options)) return;
        int begin = call.Reply.Begin(), found = 0, looked = 0;
        var entries = new List<KeyEntry>();
        SlotTable slots = call.Store.Slots;
        int only = options.HasPattern ? GlobPattern.SlotOf(options.Pattern) : -1;
        ulong last = only < 0 ? KeySlot.Count - 1 : (ulong)only;
        if (only > 0) cursor = Math.Max(cursor, (ulong)only << 32);
        while (looked < options.Count && call.BusySlot < 0)
        {
            ulong number = cursor >> 32;
            while (number <= last && (!call.Covers((int)number) || slots.KeyCount(call.Session.Database, (int)number) == 0)) cursor = ++number << 32;
            if (number > last) break;
            entries.Clear();
            uint next = ScanSlot(ref call, (int)number, (uint)cursor, options, options.Count - looked, entries, ref found);
            looked += entries.Count;
            // A sparse table: this call has visited enough cells.
            bool wearied = next != 0 && looked < options.Count;
            cursor = next != 0 ? (number << 32) | next : (number + 1) << 32;
            if (wearied) break;
        }
        if (cursor >> 32 > last) cursor = 0;
        call.Reply.Finish(begin, Aggregate.Array, found);
        InsertCursor(ref call, begin, cursor);
    }

    /// <summary>RANDOMKEY</summary>
    [Command("RANDOMKEY", 1, CommandFlags.ReadOnly | CommandFlags.WholeKeyspace, Category.Keyspace, Since = "1.0.0", Complexity = "O(1)",
        Summary = "Returns a random key name from the database.", Tips = "request_policy:all_shards;response_policy:special;nondeterministic_output")]
    internal static void Randomkey(ref CommandContext call)
    {
        SlotTable slots = call.Store.Slots;
        while (call.BusySlot < 0 && call.MissingSlot < 0 && CountKeys(ref call) is > 0 and var total)
        {
            long at = Random.Shared.NextInt64(total);
            int number = 0;
            while (number < KeySlot.Count - 1 && (!call.Covers(number) || (at -= slots.KeyCount(call.Session.Database, number)) >= 0)) number++;
            if (!call.Covers(number)) continue; // fewer keys than a moment ago
            // Other clients may have emptied the slot meanwhile, or the key drawn may have expired, which removes it.
            // So each attempt that fails leaves fewer keys, and the loop ends.
            if (TryReplyRandom(ref call, number)) return;
        }
        call.Reply.Null();
    }

    private static long CountKeys(ref CommandContext call)
    {
        SlotTable slots = call.Store.Slots;
        int database = call.Session.Database;
        if (call.Session.Share is null) return slots.KeyCount(database);
        long count = 0;
        for (int number = 0; number < KeySlot.Count; number++)
        {
            if (call.Covers(number)) count += slots.KeyCount(database, number);
        }
        return count;
    }

    /// <summary>Inserts the head of SCAN's reply, which contains the cursor, before the keys.</summary>
    private static void InsertCursor(ref CommandContext call, int position, ulong cursor)
    {
        Span<byte> head = stackalloc byte[40], digits = stackalloc byte[20];
        Utf8Formatter.TryFormat(cursor, digits, out int digitCount);
        Utf8.TryWrite(head, $"*2\r\n${digitCount}\r\n", out int length);
        digits[..digitCount].CopyTo(head[length..]);
        length += digitCount;
        "\r\n"u8.CopyTo(head[length..]);
        call.Reply.Insert(position, head[..(length + 2)]);
    }

    private static int MatchSlot(ref CommandContext call, int number, ReadOnlySpan<byte> pattern)
    {
        if (call.Enter(number) is not { } slot) return 0;
        int count = 0;
        if (slot.KeyspaceIfAny(call.Session.Database) is { } keyspace)
        {
            bool all = GlobPattern.IsAll(pattern);
            foreach (KeyEntry entry in keyspace)
            {
                ReadOnlySpan<byte> key = entry.Key;
                if ((!all && !GlobPattern.IsMatch(pattern, key)) || call.IsDue(entry)) continue;
                call.Reply.BulkString(key);
                count++;
            }
        }
        call.Leave(slot);
        return count;
    }

    /// <summary>
    /// Continues the scan in one slot: replies with the keys that match, counts them, and returns where to continue.
    /// </summary>
    private static uint ScanSlot(ref CommandContext call, int number, uint from, scoped ScanOptions options, int atLeast, List<KeyEntry> entries, ref int found)
    {
        if (call.Enter(number) is not { } slot) return 0;
        uint next = 0;
        if (slot.KeyspaceIfAny(call.Session.Database) is { } keyspace)
        {
            next = keyspace.Scan(from, Math.Min(atLeast, int.MaxValue / 2), entries);
            foreach (KeyEntry entry in entries)
            {
                ReadOnlySpan<byte> key = entry.Key;
                if (!options.Wants(key)) continue;
                if (call.IsDue(entry))
                {
                    call.ExpireMet(keyspace, key);
                    continue;
                }
                if (options.Type != ValueType.None && options.Type != entry.Type) continue;
                call.Reply.BulkString(key);
                found++;
            }
        }
        call.Leave(slot);
        return next;
    }

    private static bool TryReplyRandom(ref CommandContext call, int number)
    {
        if (call.Enter(number) is not { } slot) return false;
        KeyEntry entry = slot.KeyspaceIfAny(call.Session.Database)?.Random(Random.Shared) ?? default;
        bool alive = !entry.IsNone && !call.IsDue(entry);
        if (alive) call.Reply.BulkString(entry.Key);
        else if (!entry.IsNone) call.ExpireMet(slot.Keyspace(call.Session.Database), entry.Key);
        call.Leave(slot);
        return alive;
    }
}
