namespace OrleansRedis.Engine;

/// <summary>
/// Commands on several fields at once that also delete them or set their expiry: HGETDEL, HGETEX and HSETEX, as in
/// Redis 8.
/// </summary>
internal static class HashFieldSets
{
    private const string NotPositive = "Number of fields must be a positive integer";

    [Flags]
    private enum Options
    {
        None = 0,
        Expires = 1,
        KeepTtl = 2,
        IfNone = 4,
        IfAll = 8,
    }

    /// <summary>HGETDEL key FIELDS numfields field [field ...]</summary>
    [Command("HGETDEL", -5, CommandFlags.Write | CommandFlags.Fast, Category.Hash, Keys = "RW ACCESS DELETE 1", Since = "8.0.0",
        Complexity = "O(N) where N is the number of specified fields",
        Summary = "Returns the value of a field and deletes it from the hash.",
        Syntax = "key FIELDS numfields field [field ...]")]
    internal static void Hgetdel(ref CommandContext call)
    {
        if (!call.TryWrite(1, ValueType.Hash, out Entry entry) || !HashExpiry.TryFields(ref call, 2, NotPositive, out int first)) return;
        ReadOnlySpan<byte> key = call[1];
        RespWriter reply = call.Reply;
        reply.Array(call.Count - first);
        if (entry.IsMissing)
        {
            for (int i = first; i < call.Count; i++) reply.Null();
            return;
        }
        KeyEntry hash = entry.Found;
        int deleted = 0;
        for (int i = first; i < call.Count; i++)
        {
            if (!HashEntry.TryGet(hash, call[i], out HashItem item))
            {
                reply.Null();
                continue;
            }
            item.Value.WriteTo(reply);
            hash = HashEntry.Remove(hash, call[i], out _);
            deleted++;
        }
        if (deleted == 0) return;
        if (call.BeginEffect(2 + call.Count - first) is { } effect)
        {
            effect.BulkString("HDEL"u8);
            effect.BulkString(key);
            for (int i = first; i < call.Count; i++) effect.BulkString(call[i]);
            call.EndEffect(entry.Keyspace);
        }
        Hashes.Removed(ref call, entry, hash, key, deleted);
    }

    /// <summary>
    /// HGETEX key [EX seconds | PX milliseconds | EXAT unix-time-seconds | PXAT unix-time-milliseconds | PERSIST]
    /// FIELDS numfields field [field ...]
    /// </summary>
    [Command("HGETEX", -5, CommandFlags.Write | CommandFlags.Fast, Category.Hash, Keys = "RW ACCESS UPDATE 1", Since = "8.0.0",
        Complexity = "O(N) where N is the number of specified fields",
        Summary = "Get the value of one or more fields of a given hash key, and optionally set their expiration.",
        Syntax = "key [EX seconds | PX milliseconds | EXAT unix-time-seconds | PXAT unix-time-milliseconds | PERSIST] FIELDS numfields field [field ...]")]
    internal static void Hgetex(ref CommandContext call)
    {
        if (!call.TryWrite(1, ValueType.Hash, out Entry entry)) return;
        ReadOnlySpan<byte> word = call[2];
        bool persist = word.Is("PERSIST"u8), expires = TryUnit(word, out bool inSeconds, out bool relative);
        if (!HashExpiry.TryFields(ref call, persist ? 3 : expires ? 4 : 2, NotPositive, out int first)) return;
        long expiresAtMs = Expiry.Never;
        if (expires && !HashExpiry.TryTime(ref call, 3, inSeconds, relative, out expiresAtMs)) return;
        int count = call.Count - first;
        call.Reply.Array(count);
        for (int i = first; i < call.Count; i++) Hashes.ReplyValue(call.Reply, entry, call[i]);
        if (entry.IsMissing) return;
        if (expires)
        {
            HashExpiry.Apply(ref call, entry, first, 1, expiresAtMs, HashExpiry.Condition.None, count <= 128 ? stackalloc int[count] : new int[count]);
            return;
        }
        if (!persist) return;
        int changed = 0;
        for (int i = first; i < call.Count; i++)
        {
            if (HashExpiry.Persist(ref call, entry, call[i]) == 1) changed++;
        }
        if (changed == 0) return;
        call.Modified(entry, KeyEvents.Hash, "hpersist"u8);
        if (call.BeginEffect(4 + count) is not { } effect) return;
        effect.BulkString("HPERSIST"u8);
        effect.BulkString(call[1]);
        effect.BulkString("FIELDS"u8);
        effect.BulkInteger(count);
        for (int i = first; i < call.Count; i++) effect.BulkString(call[i]);
        call.EndEffect(entry.Keyspace);
    }

    /// <summary>
    /// HSETEX key [FNX | FXX] [EX seconds | PX milliseconds | EXAT unix-time-seconds | PXAT unix-time-milliseconds |
    /// KEEPTTL] FIELDS numfields field value [field value ...]
    /// </summary>
    [Command("HSETEX", -6, CommandFlags.Write | CommandFlags.DenyOom | CommandFlags.Fast, Category.Hash, Keys = "RW UPDATE 1", Since = "8.0.0",
        Complexity = "O(N) where N is the number of fields being set.",
        Summary = "Set the value of one or more fields of a given hash key, and optionally set their expiration.",
        Syntax = "key [FNX | FXX] [EX seconds | PX milliseconds | EXAT unix-time-seconds | PXAT unix-time-milliseconds | KEEPTTL] FIELDS numfields "
            + "field value [field value ...]")]
    internal static void Hsetex(ref CommandContext call)
    {
        if (!TryReadArguments(ref call, out Options options, out long expiresAtMs, out int first)) return;
        if (!call.TryWrite(1, ValueType.Hash, out Entry entry)) return;
        ReadOnlySpan<byte> key = call[1];
        if (!Allowed(ref call, entry, options, first))
        {
            call.Reply.Integer(0);
            return;
        }
        ServerOptions server = call.Store.Options;
        bool expires = (options & Options.Expires) != 0;
        long fieldExpiry = (options & Options.KeepTtl) != 0 ? HashEntry.KeepExpiry : Expiry.Never;
        KeyEntry hash = entry.IsMissing ? HashWrites.Create(ref call, first) : HashWrites.Prepare(entry.Found, ref call, first);
        for (int i = first; i < call.Count; i += 2) hash = HashEntry.Set(hash, call[i], call[i + 1], fieldExpiry, server, out _);
        Keyspace keyspace = entry.Keyspace;
        Hashes.Put(ref call, entry, hash);
        call.Modified(keyspace, key, KeyEvents.Hash, "hset"u8, (call.Count - first) / 2);
        if (expires)
        {
            int count = (call.Count - first) / 2;
            GiveSetEffect(ref call, keyspace, first);
            HashExpiry.Apply(ref call, call.Peek(key), first, 2, expiresAtMs, HashExpiry.Condition.None, count <= 128 ? stackalloc int[count] : new int[count]);
        }
        call.Reply.Integer(1);
    }

    /// <summary>
    /// Gives the first effect of setting fields with an expiry: an HSET. The effects of the expiry itself follow it.
    /// </summary>
    private static void GiveSetEffect(ref CommandContext call, Keyspace keyspace, int first)
    {
        if (call.BeginEffect(2 + call.Count - first) is not { } effect) return;
        effect.BulkString("HSET"u8);
        effect.BulkString(call[1]);
        for (int i = first; i < call.Count; i++) effect.BulkString(call[i]);
        call.EndEffect(keyspace);
    }

    private static bool Allowed(ref CommandContext call, in Entry entry, Options options, int first)
    {
        if ((options & (Options.IfNone | Options.IfAll)) == 0) return true;
        bool wanted = (options & Options.IfAll) != 0;
        for (int i = first; i < call.Count; i += 2)
        {
            bool exists = !entry.IsMissing && HashEntry.Contains(entry.Found, call[i]);
            if (exists != wanted) return false;
        }
        return true;
    }

    private static bool TryReadArguments(ref CommandContext call, out Options options, out long expiresAtMs, out int first)
    {
        options = Options.None;
        expiresAtMs = Expiry.Never;
        first = 0;
        for (int i = 2; i < call.Count; i++)
        {
            ReadOnlySpan<byte> word = call[i];
            if (word.Is("FIELDS"u8))
            {
                first = i + 2;
                return TryCount(ref call, i + 1);
            }
            bool isUnit = TryUnit(word, out bool inSeconds, out bool relative), keep = word.Is("KEEPTTL"u8);
            if (isUnit || keep)
            {
                if ((options & (Options.Expires | Options.KeepTtl)) != 0)
                    return Fail(ref call, "Only one of EX, PX, EXAT, PXAT or KEEPTTL arguments can be specified");
                options |= keep ? Options.KeepTtl : Options.Expires;
                if (keep) continue;
                if (i + 1 >= call.Count) return Fail(ref call, "missing expire time");
                if (!HashExpiry.TryTime(ref call, ++i, inSeconds, relative, out expiresAtMs)) return false;
            }
            else if (word.Is("FXX"u8) || word.Is("FNX"u8))
            {
                if ((options & (Options.IfNone | Options.IfAll)) != 0) return Fail(ref call, "Only one of FXX or FNX arguments can be specified");
                options |= word.Is("FXX"u8) ? Options.IfAll : Options.IfNone;
            }
            else
            {
                return Fail(ref call, "unknown argument: " + System.Text.Encoding.Latin1.GetString(word));
            }
        }
        return Fail(ref call, "Mandatory argument FIELDS is missing or not at the right position");
    }

    private static bool TryCount(ref CommandContext call, int at)
    {
        if (at + 2 >= call.Count)
        {
            call.Reply.Error(Errors.WrongArity(call.Command));
            return false;
        }
        if (!Numbers.TryParseInt64(call[at], out long count) || count is < 1 or > int.MaxValue) return Fail(ref call, "invalid number of fields");
        int left = call.Count - at - 1;
        if ((left & 1) == 0 && count == left / 2) return true;
        call.Reply.Error(Errors.WrongArity(call.Command));
        return false;
    }

    private static bool Fail(ref CommandContext call, string text)
    {
        call.Reply.Error("ERR " + text);
        return false;
    }

    private static bool TryUnit(ReadOnlySpan<byte> word, out bool inSeconds, out bool relative)
    {
        inSeconds = word.Is("EX"u8) || word.Is("EXAT"u8);
        relative = word.Is("EX"u8) || word.Is("PX"u8);
        return inSeconds || relative || word.Is("PXAT"u8);
    }
}
