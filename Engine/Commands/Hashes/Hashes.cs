namespace OrleansRedis.Engine;

/// <summary>
/// Hashes: setting, reading and deleting fields. Counters are in HashCounters.cs, random fields in HashRandom.cs,
/// expiry of fields in HashExpiry.cs.
/// </summary>
internal static class Hashes
{
    /// <summary>HSET key field value [field value ...]</summary>
    [Command("HSET", -4, CommandFlags.Write | CommandFlags.DenyOom | CommandFlags.Fast, Category.Hash, Keys = "RW UPDATE 1", Element = 2, Since = "2.0.0",
        Complexity = "O(1) for each field/value pair added, so O(N) to add N field/value pairs when the command is called with multiple field/value pairs.",
        Summary = "Creates or modifies the value of a field in a hash.",
        Syntax = "key field value [field value ...]",
        History = "4.0.0: Accepts multiple `field` and `value` arguments.")]
    internal static void Hset(ref CommandContext call)
    {
        if (TrySetFields(ref call, out int added)) call.Reply.Integer(added);
    }

    /// <summary>HMSET key field value [field value ...]</summary>
    [Command("HMSET", -4, CommandFlags.Write | CommandFlags.DenyOom | CommandFlags.Fast, Category.Hash, Keys = "RW UPDATE 1", Element = 2, Since = "2.0.0",
        Complexity = "O(N) where N is the number of fields being set.",
        Summary = "Sets the values of multiple fields.",
        Syntax = "key field value [field value ...]",
        Deprecated = "4.0.0: `HSET` with multiple field-value pairs")]
    internal static void Hmset(ref CommandContext call)
    {
        if (TrySetFields(ref call, out _)) call.Reply.Ok();
    }

    /// <summary>HSETNX key field value</summary>
    [Command("HSETNX", 4, CommandFlags.Write | CommandFlags.DenyOom | CommandFlags.Fast, Category.Hash, Keys = "RW INSERT 1", Element = 2, Since = "2.0.0",
        Complexity = "O(1)",
        Summary = "Sets the value of a field in a hash only when the field doesn't exist.",
        Syntax = "key field value")]
    internal static void Hsetnx(ref CommandContext call)
    {
        if (!call.TryWrite(1, ValueType.Hash, out Entry entry)) return;
        if (!entry.IsMissing && HashEntry.Contains(entry.Found, call[2]))
        {
            call.Reply.Integer(0);
            return;
        }
        SetFields(ref call, entry, 2);
        call.Reply.Integer(1);
    }

    /// <summary>HGET key field</summary>
    [Command("HGET", 3, CommandFlags.ReadOnly | CommandFlags.Fast, Category.Hash, Keys = "1", Element = 2, Since = "2.0.0",
        Complexity = "O(1)",
        Summary = "Returns the value of a field in a hash.",
        Syntax = "key field")]
    internal static void Hget(ref CommandContext call)
    {
        if (!call.TryRead(1, ValueType.Hash, out Entry entry)) return;
        ReplyValue(call.Reply, entry, call[2]);
    }

    /// <summary>HMGET key field [field ...]</summary>
    [Command("HMGET", -3, CommandFlags.ReadOnly | CommandFlags.Fast, Category.Hash, Keys = "1", Since = "2.0.0",
        Complexity = "O(N) where N is the number of fields being requested.",
        Summary = "Returns the values of all fields in a hash.",
        Syntax = "key field [field ...]")]
    internal static void Hmget(ref CommandContext call)
    {
        if (!call.TryRead(1, ValueType.Hash, out Entry entry)) return;
        call.Reply.Array(call.Count - 2);
        for (int i = 2; i < call.Count; i++) ReplyValue(call.Reply, entry, call[i]);
    }

    /// <summary>HDEL key field [field ...]</summary>
    [Command("HDEL", -3, CommandFlags.Write | CommandFlags.Fast, Category.Hash, Keys = "RW DELETE 1", Element = 2, Since = "2.0.0",
        Complexity = "O(N) where N is the number of fields to be removed.",
        Summary = "Deletes one or more fields and their values from a hash. Deletes the hash if no fields remain.",
        Syntax = "key field [field ...]",
        History = "2.4.0: Accepts multiple `field` arguments.")]
    internal static void Hdel(ref CommandContext call)
    {
        if (!call.TryWrite(1, ValueType.Hash, out Entry entry)) return;
        int removed = 0;
        if (!entry.IsMissing)
        {
            KeyEntry hash = entry.Found;
            for (int i = 2; i < call.Count && HashEntry.Count(hash) > 0; i++)
            {
                hash = HashEntry.Remove(hash, call[i], out bool wasThere);
                if (wasThere) removed++;
            }
            if (removed > 0) Removed(ref call, entry, hash, call[1], removed);
        }
        call.Reply.Integer(removed);
    }

    /// <summary>HLEN key</summary>
    [Command("HLEN", 2, CommandFlags.ReadOnly | CommandFlags.Fast, Category.Hash, Keys = "RO 1", Since = "2.0.0",
        Complexity = "O(1)",
        Summary = "Returns the number of fields in a hash.",
        Syntax = "key")]
    internal static void Hlen(ref CommandContext call)
    {
        if (!call.TryRead(1, ValueType.Hash, out Entry entry)) return;
        call.Reply.Integer(entry.IsMissing ? 0 : HashEntry.Count(entry.Found));
    }

    /// <summary>HSTRLEN key field</summary>
    [Command("HSTRLEN", 3, CommandFlags.ReadOnly | CommandFlags.Fast, Category.Hash, Keys = "RO 1", Element = 2, Since = "3.2.0",
        Complexity = "O(1)",
        Summary = "Returns the length of the value of a field.",
        Syntax = "key field")]
    internal static void Hstrlen(ref CommandContext call)
    {
        if (!call.TryRead(1, ValueType.Hash, out Entry entry)) return;
        call.Reply.Integer(!entry.IsMissing && HashEntry.TryGet(entry.Found, call[2], out HashItem item) ? item.Value.Length : 0);
    }

    /// <summary>HEXISTS key field</summary>
    [Command("HEXISTS", 3, CommandFlags.ReadOnly | CommandFlags.Fast, Category.Hash, Keys = "RO 1", Element = 2, Since = "2.0.0",
        Complexity = "O(1)",
        Summary = "Determines whether a field exists in a hash.",
        Syntax = "key field")]
    internal static void Hexists(ref CommandContext call)
    {
        if (!call.TryRead(1, ValueType.Hash, out Entry entry)) return;
        call.Reply.Integer(!entry.IsMissing && HashEntry.Contains(entry.Found, call[2]) ? 1 : 0);
    }

    /// <summary>HGETALL key</summary>
    [Command("HGETALL", 2, CommandFlags.ReadOnly, Category.Hash, Keys = "1", Effort = Effort.AllElements, Since = "2.0.0",
        Complexity = "O(N) where N is the size of the hash.",
        Summary = "Returns all fields and values in a hash.",
        Syntax = "key",
        Tips = "nondeterministic_output_order")]
    internal static void Hgetall(ref CommandContext call)
    {
        if (!call.TryRead(1, ValueType.Hash, out Entry entry)) return;
        RespWriter reply = call.Reply;
        if (entry.IsMissing)
        {
            reply.Map(0);
            return;
        }
        KeyEntry hash = entry.Found;
        reply.Map(HashEntry.Count(hash));
        foreach (HashItem item in new HashItems(hash))
        {
            item.Field.WriteTo(reply);
            item.Value.WriteTo(reply);
        }
    }

    /// <summary>HKEYS key</summary>
    [Command("HKEYS", 2, CommandFlags.ReadOnly, Category.Hash, Keys = "1", Effort = Effort.AllElements, Since = "2.0.0",
        Complexity = "O(N) where N is the size of the hash.",
        Summary = "Returns all fields in a hash.",
        Syntax = "key",
        Tips = "nondeterministic_output_order")]
    internal static void Hkeys(ref CommandContext call) => ReplyHalf(ref call, fields: true);

    /// <summary>HVALS key</summary>
    [Command("HVALS", 2, CommandFlags.ReadOnly, Category.Hash, Keys = "1", Effort = Effort.AllElements, Since = "2.0.0",
        Complexity = "O(N) where N is the size of the hash.",
        Summary = "Returns all values in a hash.",
        Syntax = "key",
        Tips = "nondeterministic_output_order")]
    internal static void Hvals(ref CommandContext call) => ReplyHalf(ref call, fields: false);

    /// <summary>HSCAN key cursor [MATCH pattern] [COUNT count] [NOVALUES]</summary>
    [Command("HSCAN", -3, CommandFlags.ReadOnly, Category.Hash, Keys = "1", Since = "2.8.0",
        Complexity = "O(1) for every call. O(N) for a complete iteration, including enough command calls for the cursor to return back to 0. N is the "
            + "number of elements inside the collection.",
        Summary = "Iterates over fields and values of a hash.",
        Syntax = "key cursor [MATCH pattern] [COUNT count] [NOVALUES]",
        Tips = "nondeterministic_output")]
    internal static void Hscan(ref CommandContext call)
    {
        if (!ScanOptions.TryOpen(ref call, ValueType.Hash, ScanOptions.Of.Hash, out Entry entry, out ulong cursor, out ScanOptions options)) return;
        RespWriter reply = call.Reply;
        int count = 0;
        Span<byte> scratch = stackalloc byte[ListpackElement.ScratchLength];
        if (entry.IsBlob)
        {
            // A small hash is replied in one go.
            int begin = ScanOptions.BeginReply(reply, 0);
            foreach (HashItem item in new HashItems(entry.Found))
            {
                ReadOnlySpan<byte> field = item.Field.AsSpan(scratch);
                if (!options.Wants(field)) continue;
                reply.BulkString(field);
                count++;
                if (options.NoValues) continue;
                item.Value.WriteTo(reply);
                count++;
            }
            reply.Finish(begin, Aggregate.Array, count);
            return;
        }
        List<HashField> met = t_met ??= [];
        int start = ScanOptions.BeginReply(reply, entry.Found.As<HashValue>().Fields.ScanFrom(cursor, options.Count, met));
        foreach (HashField found in met)
        {
            ReadOnlySpan<byte> field = found.Key;
            if (!options.Wants(field)) continue;
            reply.BulkString(field);
            count++;
            if (options.NoValues) continue;
            reply.BulkString(found.Value);
            count++;
        }
        reply.Finish(start, Aggregate.Array, count);
        met.Clear();
    }

    [ThreadStatic]
    private static List<HashField>? t_met;

    private static bool TrySetFields(ref CommandContext call, out int added)
    {
        added = 0;
        if ((call.Count & 1) != 0)
        {
            call.Reply.Error(Errors.WrongArity(call.Command));
            return false;
        }
        if (!call.TryWrite(1, ValueType.Hash, out Entry entry)) return false;
        added = SetFields(ref call, entry, 2);
        return true;
    }

    /// <summary>
    /// Sets the fields and values given by the arguments from <paramref name="from"/> on, and returns how many of the
    /// fields are new.
    /// </summary>
    private static int SetFields(ref CommandContext call, in Entry entry, int from)
    {
        ServerOptions options = call.Store.Options;
        bool isMissing = entry.IsMissing;
        KeyEntry hash = isMissing ? HashWrites.Create(ref call, from) : HashWrites.Prepare(entry.Found, ref call, from);
        int added = 0;
        for (int i = from; i < call.Count; i += 2)
        {
            hash = HashEntry.Set(hash, call[i], call[i + 1], Expiry.Never, options, out bool isNew);
            if (isNew) added++;
        }
        Put(ref call, entry, hash);
        call.Modified(entry.Keyspace, call[1], KeyEvents.Hash, "hset"u8, (call.Count - from) / 2);
        return added;
    }

    /// <summary>Stores a new or changed hash as the value of its key. The caller publishes the change.</summary>
    internal static void Put(ref CommandContext call, in Entry entry, KeyEntry hash)
    {
        if (entry.IsMissing)
        {
            call.Add(entry.Keyspace, HashEntry.Trim(hash));
            return;
        }
        entry.Replace(hash);
        entry.Keyspace.RecountFields(hash);
        if (!hash.IsBlob) entry.Keyspace.Recount(hash.Value);
    }

    /// <summary>
    /// To be called after so many fields were removed from a hash: stores the rest, or removes the key if nothing is
    /// left, and publishes the change.
    /// </summary>
    internal static void Removed(ref CommandContext call, in Entry entry, KeyEntry rest, ReadOnlySpan<byte> key, int removed)
    {
        Keyspace keyspace = entry.Keyspace;
        entry.Replace(rest);
        keyspace.RecountFields(rest);
        call.Modified(entry, KeyEvents.Hash, "hdel"u8, removed);
        if (HashEntry.Count(rest) > 0) return;
        keyspace.Remove(key);
        call.Event(keyspace, key, KeyEvents.Generic, "del"u8);
    }

    /// <summary>Replies with a field's value, or null if there is none.</summary>
    internal static void ReplyValue(RespWriter reply, in Entry entry, ReadOnlySpan<byte> field)
    {
        if (!entry.IsMissing && HashEntry.TryGet(entry.Found, field, out HashItem item)) item.Value.WriteTo(reply);
        else reply.Null();
    }

    private static void ReplyHalf(ref CommandContext call, bool fields)
    {
        if (!call.TryRead(1, ValueType.Hash, out Entry entry)) return;
        RespWriter reply = call.Reply;
        if (entry.IsMissing)
        {
            reply.Array(0);
            return;
        }
        KeyEntry hash = entry.Found;
        reply.Array(HashEntry.Count(hash));
        foreach (HashItem item in new HashItems(hash)) (fields ? item.Field : item.Value).WriteTo(reply);
    }
}
