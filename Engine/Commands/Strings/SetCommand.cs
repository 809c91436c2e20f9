namespace OrleansRedis.Engine;

/// <summary>SET and the commands that it has replaced. They share one helper, as in Redis.</summary>
internal static class SetCommand
{
    [Flags]
    private enum Options
    {
        None = 0,
        IfMissing = 1,
        IfPresent = 2,
        KeepTtl = 4,
        Get = 8,
        Expires = 16,
        Compares = 32,
    }

    /// <summary>
    /// SET key value [NX | XX | IFEQ ifeq-value | IFNE ifne-value | IFDEQ ifdeq-digest | IFDNE ifdne-digest] [GET]
    /// [EX seconds | PX milliseconds | EXAT unix-time-seconds | PXAT unix-time-milliseconds | KEEPTTL]
    /// </summary>
    [Command("SET", -3, CommandFlags.Write | CommandFlags.DenyOom, Category.String, Keys = "RW ACCESS UPDATE VARIABLE_FLAGS 1", Since = "1.0.0",
        Complexity = "O(1)",
        Summary = "Sets the string value of a key, ignoring its type. The key is created if it doesn't exist.",
        KeyNotes = "RW and ACCESS due to the optional `GET` argument",
        Syntax = "key value [NX | XX | IFEQ ifeq-value @8.4.0 | IFNE ifne-value @8.4.0 | IFDEQ ifdeq-digest @8.4.0 | IFDNE ifdne-digest @8.4.0] @2.6.12 "
            + "[GET] @6.2.0 [EX seconds @2.6.12 | PX milliseconds @2.6.12 | EXAT unix-time-seconds @6.2.0 | PXAT unix-time-milliseconds @6.2.0 | KEEPTTL "
            + "@6.0.0]",
        History = "2.6.12: Added the `EX`, `PX`, `NX` and `XX` options.\n6.0.0: Added the `KEEPTTL` option.\n6.2.0: Added the `GET`, `EXAT` and `PXAT` "
            + "option.\n7.0.0: Allowed the `NX` and `GET` options to be used together.\n"
            + "8.4.0: Added the `IFEQ`, `IFNE`, `IFDEQ` and `IFDNE` options.")]
    internal static void Set(ref CommandContext call)
    {
        var options = Options.None;
        var unit = default(ExpiryOption);
        var comparison = StringComparisons.Comparison.None;
        int time = 0, comparand = 0;
        for (int i = 3; i < call.Count; i++)
        {
            ReadOnlySpan<byte> word = call[i];
            if (word.Is("NX"u8) && (options & (Options.IfPresent | Options.Compares)) == 0) options |= Options.IfMissing;
            else if (word.Is("XX"u8) && (options & (Options.IfMissing | Options.Compares)) == 0) options |= Options.IfPresent;
            else if (word.Is("GET"u8)) options |= Options.Get;
            else if (word.Is("KEEPTTL"u8) && (options & Options.Expires) == 0) options |= Options.KeepTtl;
            else if ((options & Options.KeepTtl) == 0 && i + 1 < call.Count && ExpiryOption.TryMatch(word, out ExpiryOption option)
                && (time == 0 || option == unit))
            {
                unit = option;
                time = ++i;
                options |= Options.Expires;
            }
            else if ((options & (Options.IfMissing | Options.IfPresent)) == 0 && i + 1 < call.Count
                && StringComparisons.TryMatch(word, out StringComparisons.Comparison match) && (comparand == 0 || match == comparison))
            {
                comparison = match;
                comparand = ++i;
                options |= Options.Compares;
            }
            else
            {
                call.SyntaxError();
                return;
            }
        }
        long expiresAtMs = Expiry.Never;
        if (time != 0 && !unit.TryRead(ref call, time, out expiresAtMs)) return;
        Store(ref call, call[2], options, expiresAtMs, comparison, comparand);
    }

    /// <summary>SETNX key value</summary>
    [Command("SETNX", 3, CommandFlags.Write | CommandFlags.DenyOom | CommandFlags.Fast, Category.String, Keys = "OW INSERT 1", Since = "1.0.0",
        Complexity = "O(1)", Summary = "Set the string value of a key only when the key doesn't exist.", Syntax = "key value",
        Deprecated = "2.6.12: `SET` with the `NX` argument")]
    internal static void Setnx(ref CommandContext call)
    {
        Entry entry = call.Write(1);
        bool missing = entry.IsMissing;
        if (missing) Assign(ref call, entry, call[2], Expiry.Never);
        call.Reply.Integer(missing ? 1 : 0);
    }

    /// <summary>SETEX key seconds value</summary>
    [Command("SETEX", 4, CommandFlags.Write | CommandFlags.DenyOom, Category.String, Keys = "OW UPDATE 1", Since = "2.0.0",
        Complexity = "O(1)", Summary = "Sets the string value and expiration time of a key. Creates the key if it doesn't exist.",
        Syntax = "key seconds value", Deprecated = "2.6.12: `SET` with the `EX` argument")]
    internal static void Setex(ref CommandContext call)
    {
        if (ExpiryOption.Seconds.TryRead(ref call, 2, out long expiresAtMs)) Store(ref call, call[3], Options.Expires, expiresAtMs);
    }

    /// <summary>PSETEX key milliseconds value</summary>
    [Command("PSETEX", 4, CommandFlags.Write | CommandFlags.DenyOom, Category.String, Keys = "OW UPDATE 1", Since = "2.6.0",
        Complexity = "O(1)", Summary = "Sets both string value and expiration time in milliseconds of a key. The key is created if it doesn't exist.",
        Syntax = "key milliseconds value", Deprecated = "2.6.12: `SET` with the `PX` argument")]
    internal static void Psetex(ref CommandContext call)
    {
        if (ExpiryOption.Milliseconds.TryRead(ref call, 2, out long expiresAtMs)) Store(ref call, call[3], Options.Expires, expiresAtMs);
    }

    /// <summary>GETSET key value</summary>
    [Command("GETSET", 3, CommandFlags.Write | CommandFlags.DenyOom | CommandFlags.Fast, Category.String, Keys = "RW ACCESS UPDATE 1", Since = "1.0.0",
        Complexity = "O(1)", Summary = "Returns the previous string value of a key after setting it to a new value.", Syntax = "key value",
        Deprecated = "6.2.0: `SET` with the `!GET` argument")]
    internal static void Getset(ref CommandContext call) => Store(ref call, call[2], Options.Get, Expiry.Never);

    private static void Store(
        ref CommandContext call,
        ReadOnlySpan<byte> content,
        Options options,
        long expiresAtMs,
        StringComparisons.Comparison comparison = default,
        int comparand = 0)
    {
        Entry entry;
        if ((options & Options.Get) == 0) entry = call.Write(1);
        else if (!call.TryRead(1, ValueType.String, out entry)) return;
        bool refused = entry.IsMissing
            ? (options & Options.IfPresent) != 0 || comparison is StringComparisons.Comparison.Equal or StringComparisons.Comparison.DigestEqual
            : (options & Options.IfMissing) != 0;
        if (comparand != 0 && !entry.IsMissing)
        {
            if (entry.Type != ValueType.String)
            {
                call.Reply.Error(Errors.WrongType);
                return;
            }
            if (!StringComparisons.TryCompare(ref call, entry, comparison, comparand, out bool holds)) return;
            refused = !holds;
        }
        if ((options & Options.Get) != 0) Strings.ReplyValue(ref call, entry);
        if (refused)
        {
            if ((options & Options.Get) == 0) call.Reply.Null();
            return;
        }
        if ((options & Options.KeepTtl) != 0 && !entry.IsMissing) expiresAtMs = entry.ExpiresAtMs;
        Assign(ref call, entry, content, expiresAtMs);
        if ((options & Options.Expires) != 0) call.Event(entry.Keyspace, call[1], KeyEvents.Generic, "expire"u8);
        if ((options & Options.Get) == 0) call.Reply.Ok();
    }

    private static void Assign(ref CommandContext call, in Entry entry, ReadOnlySpan<byte> content, long expiresAtMs)
    {
        ReadOnlySpan<byte> key = call[1];
        StringWrites.Set(ref call, entry, key, content, expiresAtMs);
        call.Modified(entry.Keyspace, key, KeyEvents.String, "set"u8);
        // A plain "SET key value" is its own effect. With options, the effect states only the outcome.
        if (call.Count == 3 && call.Command.NameBytes.Length == 3) return;
        if (expiresAtMs == Expiry.Never)
        {
            call.Effect(entry.Keyspace, "SET"u8, key, content);
            return;
        }
        if (call.BeginEffect(5) is not { } effect) return;
        effect.BulkString("SET"u8);
        effect.BulkString(key);
        effect.BulkString(content);
        effect.BulkString("PXAT"u8);
        effect.BulkInteger(expiresAtMs);
        call.EndEffect(entry.Keyspace);
    }
}
