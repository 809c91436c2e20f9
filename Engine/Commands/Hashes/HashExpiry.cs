namespace OrleansRedis.Engine;

/// <summary>
/// Expiry of a hash's fields: setting, clearing and asking. For each field, one of Redis's codes says what happened to
/// it.
/// </summary>
internal static class HashExpiry
{
    private const CommandFlags Giving = CommandFlags.Write | CommandFlags.DenyOom | CommandFlags.Fast;
    private const string PerField = "O(N) where N is the number of specified fields";
    private const string Fields = "FIELDS numfields field [field ...]";
    private const string Conditional = "[NX | XX | GT | LT] " + Fields;

    private const int NoField = -2;
    private const int NoExpiry = -1;
    private const int ConditionNotMet = 0;
    private const int Changed = 1;
    private const int Deleted = 2;

    internal enum Condition
    {
        None,
        NoExpiry,
        AnyExpiry,
        Later,
        Sooner,
    }

    /// <summary>HEXPIRE key seconds [NX | XX | GT | LT] FIELDS numfields field [field ...]</summary>
    [Command("HEXPIRE", -6, Giving, Category.Hash, Keys = "RW UPDATE 1", Since = "7.4.0",
        Complexity = PerField,
        Summary = "Set expiry for hash field using relative time to expire (seconds)",
        Syntax = "key seconds " + Conditional)]
    internal static void Hexpire(ref CommandContext call) => Expire(ref call, inSeconds: true, relative: true);

    /// <summary>HPEXPIRE key milliseconds [NX | XX | GT | LT] FIELDS numfields field [field ...]</summary>
    [Command("HPEXPIRE", -6, Giving, Category.Hash, Keys = "RW UPDATE 1", Since = "7.4.0",
        Complexity = PerField,
        Summary = "Set expiry for hash field using relative time to expire (milliseconds)",
        Syntax = "key milliseconds " + Conditional)]
    internal static void Hpexpire(ref CommandContext call) => Expire(ref call, inSeconds: false, relative: true);

    /// <summary>HEXPIREAT key unix-time-seconds [NX | XX | GT | LT] FIELDS numfields field [field ...]</summary>
    [Command("HEXPIREAT", -6, Giving, Category.Hash, Keys = "RW UPDATE 1", Since = "7.4.0",
        Complexity = PerField,
        Summary = "Set expiry for hash field using an absolute Unix timestamp (seconds)",
        Syntax = "key unix-time-seconds " + Conditional)]
    internal static void Hexpireat(ref CommandContext call) => Expire(ref call, inSeconds: true, relative: false);

    /// <summary>HPEXPIREAT key unix-time-milliseconds [NX | XX | GT | LT] FIELDS numfields field [field ...]</summary>
    [Command("HPEXPIREAT", -6, Giving, Category.Hash, Keys = "RW UPDATE 1", Since = "7.4.0",
        Complexity = PerField,
        Summary = "Set expiry for hash field using an absolute Unix timestamp (milliseconds)",
        Syntax = "key unix-time-milliseconds " + Conditional)]
    internal static void Hpexpireat(ref CommandContext call) => Expire(ref call, inSeconds: false, relative: false);

    /// <summary>HTTL key FIELDS numfields field [field ...]</summary>
    [Command("HTTL", -5, CommandFlags.ReadOnly | CommandFlags.Fast, Category.Hash, Keys = "1", Since = "7.4.0",
        Complexity = PerField,
        Summary = "Returns the TTL in seconds of a hash field.",
        Syntax = "key " + Fields)]
    internal static void Httl(ref CommandContext call) => ReplyTimes(ref call, inSeconds: true, relative: true);

    /// <summary>HPTTL key FIELDS numfields field [field ...]</summary>
    [Command("HPTTL", -5, CommandFlags.ReadOnly | CommandFlags.Fast, Category.Hash, Keys = "1", Since = "7.4.0",
        Complexity = PerField,
        Summary = "Returns the TTL in milliseconds of a hash field.",
        Syntax = "key " + Fields)]
    internal static void Hpttl(ref CommandContext call) => ReplyTimes(ref call, inSeconds: false, relative: true);

    /// <summary>HEXPIRETIME key FIELDS numfields field [field ...]</summary>
    [Command("HEXPIRETIME", -5, CommandFlags.ReadOnly | CommandFlags.Fast, Category.Hash, Keys = "1", Since = "7.4.0",
        Complexity = PerField,
        Summary = "Returns the expiration time of a hash field as a Unix timestamp, in seconds.",
        Syntax = "key " + Fields)]
    internal static void Hexpiretime(ref CommandContext call) => ReplyTimes(ref call, inSeconds: true, relative: false);

    /// <summary>HPEXPIRETIME key FIELDS numfields field [field ...]</summary>
    [Command("HPEXPIRETIME", -5, CommandFlags.ReadOnly | CommandFlags.Fast, Category.Hash, Keys = "1", Since = "7.4.0",
        Complexity = PerField,
        Summary = "Returns the expiration time of a hash field as a Unix timestamp, in msec.",
        Syntax = "key " + Fields)]
    internal static void Hpexpiretime(ref CommandContext call) => ReplyTimes(ref call, inSeconds: false, relative: false);

    /// <summary>HPERSIST key FIELDS numfields field [field ...]</summary>
    [Command("HPERSIST", -5, CommandFlags.Write | CommandFlags.Fast, Category.Hash, Keys = "RW UPDATE 1", Since = "7.4.0",
        Complexity = PerField,
        Summary = "Removes the expiration time for each specified field",
        Syntax = "key " + Fields)]
    internal static void Hpersist(ref CommandContext call)
    {
        if (!call.TryWrite(1, ValueType.Hash, out Entry entry) || !TryFields(ref call, 2, "Number of fields must be a positive integer", out int first)) return;
        call.Reply.Array(call.Count - first);
        bool changed = false;
        for (int i = first; i < call.Count; i++)
        {
            int code = Persist(ref call, entry, call[i]);
            changed |= code == Changed;
            call.Reply.Integer(code);
        }
        if (changed) call.Modified(entry, KeyEvents.Hash, "hpersist"u8);
    }

    /// <summary>Clears a field's expiry. The caller gives the effect and the event.</summary>
    internal static int Persist(ref CommandContext call, in Entry entry, ReadOnlySpan<byte> field)
    {
        if (entry.IsMissing || !HashEntry.TryGet(entry.Found, field, out HashItem item)) return NoField;
        if (item.ExpiresAtMs == Expiry.Never) return NoExpiry;
        entry.Replace(HashEntry.SetExpiry(entry.Found, field, Expiry.Never, call.Store.Options));
        entry.Keyspace.RecountFields(entry.Found);
        return Changed;
    }

    /// <summary>
    /// Reads FIELDS numfields field…, the rest of the arguments from <paramref name="at"/> on. If they are not valid,
    /// the error is in the reply.
    /// </summary>
    internal static bool TryFields(ref CommandContext call, int at, string notPositive, out int first)
    {
        first = at + 2;
        string? error = null;
        if (at >= call.Count || !call[at].Is("FIELDS"u8)) error = "Mandatory argument FIELDS is missing or not at the right position";
        else if (at + 1 >= call.Count || !Numbers.TryParseInt64(call[at + 1], out long count) || count < 1) error = notPositive;
        else if (count != call.Count - first) error = "The `numfields` parameter must match the number of arguments";
        if (error is null) return true;
        call.Reply.Error("ERR " + error);
        return false;
    }

    /// <summary>
    /// Reads an expiry as Unix ms. It may be in the past, but not negative or too large to be represented. In those
    /// cases the error is in the reply.
    /// </summary>
    internal static bool TryTime(ref CommandContext call, int index, bool inSeconds, bool relative, out long expiresAtMs)
    {
        if (!call.TryInt64(index, out expiresAtMs)) return false;
        if (expiresAtMs < 0)
        {
            call.Reply.Error("ERR invalid expire time, must be >= 0"u8);
            return false;
        }
        long start = relative ? call.NowMs : 0;
        if (expiresAtMs <= (inSeconds ? HashField.LatestExpiryMs / 1000 : HashField.LatestExpiryMs))
        {
            if (inSeconds) expiresAtMs *= 1000;
            if (expiresAtMs <= HashField.LatestExpiryMs - start)
            {
                expiresAtMs += start;
                return true;
            }
        }
        call.Reply.Error(Errors.InvalidExpire(call.Command));
        return false;
    }

    /// <summary>
    /// Sets the expiry of the fields that are the arguments from <paramref name="first"/> on, or deletes them if it is
    /// past. Gives effects that state the outcome, publishes the change, and removes the key if no field is left.
    /// <paramref name="codes"/> receives what happened to each field.
    /// </summary>
    internal static void Apply(ref CommandContext call, in Entry entry, int first, int step, long expiresAtMs, Condition condition, scoped Span<int> codes)
    {
        ReadOnlySpan<byte> key = call[1];
        Keyspace keyspace = entry.Keyspace;
        ServerOptions options = call.Store.Options;
        KeyEntry hash = entry.Found;
        int changed = 0, deleted = 0;
        bool past = expiresAtMs <= call.NowMs && !call.Store.IgnoresExpiry;
        for (int i = first, n = 0; i < call.Count; i += step, n++)
        {
            ReadOnlySpan<byte> field = call[i];
            codes[n] = !HashEntry.TryGet(hash, field, out HashItem item) ? NoField
                : Meets(condition, item.ExpiresAtMs, expiresAtMs) ? past ? Deleted : Changed
                : ConditionNotMet;
            if (codes[n] == Deleted)
            {
                hash = HashEntry.Remove(hash, field, out _);
                call.Effect(keyspace, "HDEL"u8, key, field);
                deleted++;
            }
            else if (codes[n] == Changed)
            {
                hash = HashEntry.SetExpiry(hash, field, expiresAtMs, options);
                changed++;
            }
        }
        if (changed + deleted == 0) return;
        entry.Replace(hash);
        keyspace.RecountFields(hash);
        if (changed > 0)
        {
            keyspace.NoteExpiry(expiresAtMs);
            if (call.BeginEffect(5 + changed) is { } effect)
            {
                effect.BulkString("HPEXPIREAT"u8);
                effect.BulkString(key);
                effect.BulkInteger(expiresAtMs);
                effect.BulkString("FIELDS"u8);
                effect.BulkInteger(changed);
                for (int i = first, n = 0; i < call.Count; i += step, n++)
                {
                    if (codes[n] == Changed) effect.BulkString(call[i]);
                }
                call.EndEffect(keyspace);
            }
        }
        call.Modified(entry, KeyEvents.Hash, deleted > 0 ? "hdel"u8 : "hexpire"u8, changed + deleted);
        if (HashEntry.Count(hash) > 0) return;
        keyspace.Remove(key);
        call.Event(keyspace, key, KeyEvents.Generic, "del"u8);
    }

    private static void Expire(ref CommandContext call, bool inSeconds, bool relative)
    {
        if (!call.TryWrite(1, ValueType.Hash, out Entry entry) || !TryTime(ref call, 2, inSeconds, relative, out long expiresAtMs)) return;
        Condition condition = ConditionOf(call[3]);
        if (!TryFields(ref call, condition == Condition.None ? 3 : 4, "Parameter `numFields` should be greater than 0", out int first)) return;
        int count = call.Count - first;
        Span<int> codes = count <= 128 ? stackalloc int[count] : new int[count];
        if (entry.IsMissing) codes.Fill(NoField);
        else Apply(ref call, entry, first, 1, expiresAtMs, condition, codes);
        call.Reply.Array(count);
        foreach (int code in codes) call.Reply.Integer(code);
    }

    private static Condition ConditionOf(ReadOnlySpan<byte> word) =>
        word.Is("NX"u8) ? Condition.NoExpiry : word.Is("XX"u8) ? Condition.AnyExpiry
        : word.Is("GT"u8) ? Condition.Later : word.Is("LT"u8) ? Condition.Sooner : Condition.None;

    /// <summary>
    /// Whether the condition holds. A field without expiry counts as one that expires at the end of time.
    /// </summary>
    private static bool Meets(Condition condition, long beforeMs, long afterMs) => condition switch
    {
        Condition.NoExpiry => beforeMs == Expiry.Never,
        Condition.AnyExpiry => beforeMs != Expiry.Never,
        Condition.Later => afterMs > beforeMs,
        Condition.Sooner => afterMs < beforeMs,
        _ => true,
    };

    private static void ReplyTimes(ref CommandContext call, bool inSeconds, bool relative)
    {
        if (!call.TryRead(1, ValueType.Hash, out Entry entry) || !TryFields(ref call, 2, "Number of fields must be a positive integer", out int first)) return;
        RespWriter reply = call.Reply;
        reply.Array(call.Count - first);
        for (int i = first; i < call.Count; i++)
        {
            if (entry.IsMissing || !HashEntry.TryGet(entry.Found, call[i], out HashItem item)) reply.Integer(NoField);
            else if (item.ExpiresAtMs == Expiry.Never) reply.Integer(NoExpiry);
            else ReplyTime(reply, item.ExpiresAtMs - (relative ? call.NowMs : 0), inSeconds);
        }
    }

    private static void ReplyTime(RespWriter reply, long ms, bool inSeconds) => reply.Integer(inSeconds ? (ms + 999) / 1000 : ms);
}
