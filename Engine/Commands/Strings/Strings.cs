namespace OrleansRedis.Engine;

/// <summary>
/// Strings: reading and setting them as a whole. Counters are in Counters.cs, parts of strings in StringRanges.cs.
/// </summary>
internal static class Strings
{
    /// <summary>GET key</summary>
    [Command("GET", 2, CommandFlags.ReadOnly | CommandFlags.Fast, Category.String, Keys = "1", Since = "1.0.0",
        Complexity = "O(1)", Summary = "Returns the string value of a key.", Syntax = "key")]
    internal static void Get(ref CommandContext call)
    {
        if (!call.TryRead(1, ValueType.String, out Entry entry)) return;
        ReplyValue(ref call, entry);
    }

    /// <summary>GETDEL key</summary>
    [Command("GETDEL", 2, CommandFlags.Write | CommandFlags.Fast, Category.String, Keys = "RW ACCESS DELETE 1", Since = "6.2.0", Complexity = "O(1)",
        Summary = "Returns the string value of a key after deleting the key.", Syntax = "key")]
    internal static void Getdel(ref CommandContext call)
    {
        if (!call.TryRead(1, ValueType.String, out Entry entry)) return;
        ReplyValue(ref call, entry);
        if (!entry.IsMissing) Delete(ref call, entry.Keyspace, call[1]);
    }

    /// <summary>
    /// GETEX key [EX seconds | PX milliseconds | EXAT unix-time-seconds | PXAT unix-time-milliseconds | PERSIST]
    /// </summary>
    [Command("GETEX", -2, CommandFlags.Write | CommandFlags.Fast, Category.String, Keys = "RW ACCESS UPDATE 1", Since = "6.2.0", Complexity = "O(1)",
        Summary = "Returns the string value of a key after setting its expiration time.",
        KeyNotes = "RW and UPDATE because it changes the TTL",
        Syntax = "key [EX seconds | PX milliseconds | EXAT unix-time-seconds | PXAT unix-time-milliseconds | PERSIST]")]
    internal static void Getex(ref CommandContext call)
    {
        var unit = default(ExpiryOption);
        int time = 0;
        bool persist = false;
        for (int i = 2; i < call.Count; i++)
        {
            ReadOnlySpan<byte> word = call[i];
            if (word.Is("PERSIST"u8) && time == 0)
            {
                persist = true;
            }
            else if (!persist && i + 1 < call.Count && ExpiryOption.TryMatch(word, out ExpiryOption option) && (time == 0 || option == unit))
            {
                unit = option;
                time = ++i;
            }
            else
            {
                call.SyntaxError();
                return;
            }
        }
        if (!call.TryRead(1, ValueType.String, out Entry entry)) return;
        if (entry.IsMissing)
        {
            call.Reply.Null();
            return;
        }
        long expiresAtMs = Expiry.Never;
        if (time != 0 && !unit.TryRead(ref call, time, out expiresAtMs)) return;
        ReplyValue(ref call, entry);
        ReadOnlySpan<byte> key = call[1];
        if (time != 0 && unit.IsAbsolute && expiresAtMs <= call.NowMs && !call.Store.IgnoresExpiry)
        {
            Delete(ref call, entry.Keyspace, key);
        }
        else if (time != 0)
        {
            Keyspace.SetExpiry(entry, expiresAtMs);
            call.Modified(entry.Keyspace, key, KeyEvents.Generic, "expire"u8);
            call.ExpiryEffect(entry.Keyspace, key, expiresAtMs);
        }
        else if (persist && entry.ExpiresAtMs != Expiry.Never)
        {
            Keyspace.SetExpiry(entry, Expiry.Never);
            call.Modified(entry.Keyspace, key, KeyEvents.Generic, "persist"u8);
            call.Effect(entry.Keyspace, "PERSIST"u8, key);
        }
    }

    private static void Delete(ref CommandContext call, Keyspace keyspace, ReadOnlySpan<byte> key)
    {
        keyspace.Remove(key);
        call.Modified(keyspace, key, KeyEvents.Generic, "del"u8);
        call.Effect(keyspace, "DEL"u8, key);
    }

    /// <summary>MGET key [key ...] — keys of other types count as missing.</summary>
    [Command("MGET", -2, CommandFlags.ReadOnly | CommandFlags.Fast, Category.String, Keys = "RO ACCESS 1..-1", Since = "1.0.0",
        Complexity = "O(N) where N is the number of keys to retrieve.", Summary = "Atomically returns the string values of one or more keys.",
        Syntax = "key [key ...]", Tips = "request_policy:multi_shard")]
    internal static void Mget(ref CommandContext call)
    {
        call.Reply.Array(call.Count - 1);
        for (int i = 1; i < call.Count; i++)
        {
            Entry entry = call.Read(i);
            if (!entry.IsMissing && entry.Type != ValueType.String) call.Reply.Null();
            else ReplyValue(ref call, entry);
        }
    }

    /// <summary>MSET key value [key value ...]</summary>
    [Command("MSET", -3, CommandFlags.Write | CommandFlags.DenyOom, Category.String, Keys = "OW UPDATE 1..-1:2", Since = "1.0.1",
        Complexity = "O(N) where N is the number of keys to set.",
        Summary = "Atomically creates or modifies the string values of one or more keys.", Syntax = "key value [key value ...]",
        Tips = "request_policy:multi_shard;response_policy:all_succeeded")]
    internal static void Mset(ref CommandContext call)
    {
        if ((call.Count & 1) == 0)
        {
            call.Reply.Error(Errors.WrongArity(call.Command));
            return;
        }
        SetPairs(ref call);
        call.Reply.Ok();
    }

    /// <summary>MSETNX key value [key value ...] — sets all keys, or none if any exists.</summary>
    [Command("MSETNX", -3, CommandFlags.Write | CommandFlags.DenyOom, Category.String, Keys = "OW INSERT 1..-1:2", Since = "1.0.1",
        Complexity = "O(N) where N is the number of keys to set.",
        Summary = "Atomically modifies the string values of one or more keys only when all keys don't exist.", Syntax = "key value [key value ...]")]
    internal static void Msetnx(ref CommandContext call)
    {
        if ((call.Count & 1) == 0)
        {
            call.Reply.Error(Errors.WrongArity(call.Command));
            return;
        }
        for (int i = 1; i < call.Count; i += 2)
        {
            if (call.Write(i).IsMissing) continue;
            call.Reply.Integer(0);
            return;
        }
        SetPairs(ref call);
        call.Reply.Integer(1);
    }

    /// <summary>
    /// MSETEX numkeys key value [key value ...] [NX | XX] [EX seconds | PX milliseconds | EXAT unix-time-seconds | PXAT
    /// unix-time-milliseconds | KEEPTTL] — sets all keys, or none.
    /// </summary>
    [Command("MSETEX", -4, CommandFlags.Write | CommandFlags.DenyOom, Category.String, Keys = "OW UPDATE #1:2", Since = "8.4.0",
        Complexity = "O(N) where N is the number of keys to set.",
        Summary = "Atomically sets multiple string keys with a shared expiration in a single operation. Supports flexible argument parsing where "
            + "condition and expiration flags can appear in any order.",
        Syntax = "numkeys key value [key value ...] [NX | XX] "
            + "[EX seconds | PX milliseconds | EXAT unix-time-seconds | PXAT unix-time-milliseconds | KEEPTTL]",
        Tips = "request_policy:multi_shard;response_policy:all_succeeded")]
    internal static void Msetex(ref CommandContext call)
    {
        if (!Numbers.TryParseInt64(call[1], out long count) || count is < 1 or > int.MaxValue)
        {
            call.Reply.Error("ERR invalid numkeys value"u8);
            return;
        }
        if ((2 * count) + 2 > call.Count)
        {
            call.Reply.Error("ERR wrong number of key-value pairs"u8);
            return;
        }
        int end = (int)(2 * count) + 2, time = 0;
        bool ifMissing = false, ifPresent = false, keepTtl = false;
        var unit = default(ExpiryOption);
        for (int i = end; i < call.Count; i++)
        {
            ReadOnlySpan<byte> word = call[i];
            if (word.Is("NX"u8) && !ifPresent) ifMissing = true;
            else if (word.Is("XX"u8) && !ifMissing) ifPresent = true;
            else if (word.Is("KEEPTTL"u8) && time == 0) keepTtl = true;
            else if (!keepTtl && i + 1 < call.Count && ExpiryOption.TryMatch(word, out ExpiryOption option) && (time == 0 || option == unit))
                (unit, time) = (option, ++i);
            else
            {
                call.SyntaxError();
                return;
            }
        }
        long expiresAtMs = Expiry.Never;
        if (time != 0 && !unit.TryRead(ref call, time, out expiresAtMs)) return;
        for (int i = 2; i < end && (ifMissing || ifPresent); i += 2)
        {
            if (call.Write(i).IsMissing == ifMissing) continue;
            call.Reply.Integer(0);
            return;
        }
        for (int i = 2; i < end; i += 2) SetPair(ref call, i, expiresAtMs, keepTtl);
        call.Reply.Integer(1);
    }

    private static void SetPair(ref CommandContext call, int argument, long expiresAtMs, bool keepTtl)
    {
        ReadOnlySpan<byte> key = call[argument], value = call[argument + 1];
        Entry entry = call.Write(argument);
        Keyspace keyspace = entry.Keyspace;
        if (keepTtl && !entry.IsMissing) expiresAtMs = entry.ExpiresAtMs;
        StringWrites.Set(ref call, entry, key, value, expiresAtMs);
        if (expiresAtMs != Expiry.Never && !keepTtl) call.Event(keyspace, key, KeyEvents.Generic, "expire"u8);
        call.Modified(keyspace, key, KeyEvents.String, "set"u8);
        if (expiresAtMs == Expiry.Never)
        {
            call.Effect(keyspace, "SET"u8, key, value);
            return;
        }
        if (call.BeginEffect(5) is not { } effect) return;
        effect.BulkString("SET"u8);
        effect.BulkString(key);
        effect.BulkString(value);
        effect.BulkString("PXAT"u8);
        effect.BulkInteger(expiresAtMs);
        call.EndEffect(keyspace);
    }

    private static void SetPairs(ref CommandContext call)
    {
        for (int i = 1; i < call.Count; i += 2)
        {
            ReadOnlySpan<byte> key = call[i];
            Entry entry = call.Write(i);
            StringWrites.Set(ref call, entry, key, call[i + 1], Expiry.Never);
            call.Modified(entry.Keyspace, key, KeyEvents.String, "set"u8);
            // One effect per key, because the keys' slots are logged separately.
            call.Effect(entry.Keyspace, "SET"u8, key, call[i + 1]);
        }
    }

    /// <summary>Replies with the value of a string key, or null if the key is missing.</summary>
    internal static void ReplyValue(ref CommandContext call, in Entry entry)
    {
        if (entry.IsMissing)
        {
            call.Reply.Null();
            return;
        }
        Span<byte> scratch = stackalloc byte[StringEntry.ScratchLength];
        call.Reply.BulkString(StringEntry.Read(entry.Found, scratch));
    }
}
