namespace OrleansRedis.Engine;

/// <summary>Expiry of keys: setting, asking and clearing.</summary>
internal static class KeyExpiry
{
    [Flags]
    private enum Conditions
    {
        None = 0,
        IfNone = 1,
        IfAny = 2,
        IfLater = 4,
        IfEarlier = 8,
    }

    /// <summary>EXPIRE key seconds [NX | XX | GT | LT]</summary>
    [Command("EXPIRE", -3, CommandFlags.Write | CommandFlags.Fast, Category.Keyspace, Keys = "RW UPDATE 1", Since = "1.0.0", Complexity = "O(1)",
        Summary = "Sets the expiration time of a key in seconds.", Syntax = "key seconds [NX | XX | GT | LT] @7.0.0",
        History = "7.0.0: Added options: `NX`, `XX`, `GT` and `LT`.")]
    internal static void Expire(ref CommandContext call) => Set(ref call, ExpiryOption.Seconds);

    /// <summary>PEXPIRE key milliseconds [NX | XX | GT | LT]</summary>
    [Command("PEXPIRE", -3, CommandFlags.Write | CommandFlags.Fast, Category.Keyspace, Keys = "RW UPDATE 1", Since = "2.6.0", Complexity = "O(1)",
        Summary = "Sets the expiration time of a key in milliseconds.", Syntax = "key milliseconds [NX | XX | GT | LT] @7.0.0",
        History = "7.0.0: Added options: `NX`, `XX`, `GT` and `LT`.")]
    internal static void Pexpire(ref CommandContext call) => Set(ref call, ExpiryOption.Milliseconds);

    /// <summary>EXPIREAT key unix-time-seconds [NX | XX | GT | LT]</summary>
    [Command("EXPIREAT", -3, CommandFlags.Write | CommandFlags.Fast, Category.Keyspace, Keys = "RW UPDATE 1", Since = "1.2.0", Complexity = "O(1)",
        Summary = "Sets the expiration time of a key to a Unix timestamp.", Syntax = "key unix-time-seconds [NX | XX | GT | LT] @7.0.0",
        History = "7.0.0: Added options: `NX`, `XX`, `GT` and `LT`.")]
    internal static void Expireat(ref CommandContext call) => Set(ref call, ExpiryOption.UnixSeconds);

    /// <summary>PEXPIREAT key unix-time-milliseconds [NX | XX | GT | LT]</summary>
    [Command("PEXPIREAT", -3, CommandFlags.Write | CommandFlags.Fast, Category.Keyspace, Keys = "RW UPDATE 1", Since = "2.6.0", Complexity = "O(1)",
        Summary = "Sets the expiration time of a key to a Unix milliseconds timestamp.", Syntax = "key unix-time-milliseconds [NX | XX | GT | LT] @7.0.0",
        History = "7.0.0: Added options: `NX`, `XX`, `GT` and `LT`.")]
    internal static void Pexpireat(ref CommandContext call) => Set(ref call, ExpiryOption.UnixMilliseconds);

    /// <summary>TTL key — -1 without an expiry, -2 without the key.</summary>
    [Command("TTL", 2, CommandFlags.ReadOnly | CommandFlags.Fast, Category.Keyspace, Keys = "RO ACCESS 1", Since = "1.0.0", Complexity = "O(1)",
        Summary = "Returns the expiration time in seconds of a key.", Syntax = "key", Tips = "nondeterministic_output",
        History = "2.8.0: Added the -2 reply.")]
    internal static void Ttl(ref CommandContext call) => Tell(ref call, inSeconds: true, absolute: false);

    /// <summary>PTTL key</summary>
    [Command("PTTL", 2, CommandFlags.ReadOnly | CommandFlags.Fast, Category.Keyspace, Keys = "RO ACCESS 1", Since = "2.6.0", Complexity = "O(1)",
        Summary = "Returns the expiration time in milliseconds of a key.", Syntax = "key", Tips = "nondeterministic_output",
        History = "2.8.0: Added the -2 reply.")]
    internal static void Pttl(ref CommandContext call) => Tell(ref call, inSeconds: false, absolute: false);

    /// <summary>EXPIRETIME key</summary>
    [Command("EXPIRETIME", 2, CommandFlags.ReadOnly | CommandFlags.Fast, Category.Keyspace, Keys = "RO ACCESS 1", Since = "7.0.0", Complexity = "O(1)",
        Summary = "Returns the expiration time of a key as a Unix timestamp.", Syntax = "key")]
    internal static void Expiretime(ref CommandContext call) => Tell(ref call, inSeconds: true, absolute: true);

    /// <summary>PEXPIRETIME key</summary>
    [Command("PEXPIRETIME", 2, CommandFlags.ReadOnly | CommandFlags.Fast, Category.Keyspace, Keys = "RO ACCESS 1", Since = "7.0.0",
        Complexity = "O(1)", Summary = "Returns the expiration time of a key as a Unix milliseconds timestamp.", Syntax = "key")]
    internal static void Pexpiretime(ref CommandContext call) => Tell(ref call, inSeconds: false, absolute: true);

    /// <summary>PERSIST key</summary>
    [Command("PERSIST", 2, CommandFlags.Write | CommandFlags.Fast, Category.Keyspace, Keys = "RW UPDATE 1", Since = "2.2.0", Complexity = "O(1)",
        Summary = "Removes the expiration time of a key.", Syntax = "key")]
    internal static void Persist(ref CommandContext call)
    {
        Entry entry = call.Write(1);
        bool expires = !entry.IsMissing && entry.ExpiresAtMs != Expiry.Never;
        if (expires)
        {
            Keyspace.SetExpiry(entry, Expiry.Never);
            call.Modified(entry, KeyEvents.Generic, "persist"u8);
        }
        call.Reply.Integer(expires ? 1 : 0);
    }

    private static void Set(ref CommandContext call, ExpiryOption unit)
    {
        if (!TryReadConditions(ref call, out Conditions conditions) || !call.TryInt64(2, out long number)) return;
        if (!unit.TryConvert(number, call.NowMs, out long expiresAtMs))
        {
            call.Reply.Error(Errors.InvalidExpire(call.Command));
            return;
        }
        Entry entry = call.Write(1);
        if (entry.IsMissing || !Allows(conditions, entry.ExpiresAtMs, expiresAtMs))
        {
            call.Reply.Integer(0);
            return;
        }
        ReadOnlySpan<byte> key = call[1];
        if (expiresAtMs <= call.NowMs && !call.Store.IgnoresExpiry)
        {
            Keyspace keyspace = entry.Keyspace;
            keyspace.Remove(key);
            call.Modified(keyspace, key, KeyEvents.Generic, "del"u8);
            call.Effect(keyspace, "DEL"u8, key);
        }
        else
        {
            Keyspace.SetExpiry(entry, expiresAtMs);
            call.Modified(entry, KeyEvents.Generic, "expire"u8);
            call.ExpiryEffect(entry.Keyspace, key, expiresAtMs);
        }
        call.Reply.Integer(1);
    }

    private static bool TryReadConditions(ref CommandContext call, out Conditions conditions)
    {
        conditions = Conditions.None;
        for (int i = 3; i < call.Count; i++)
        {
            ReadOnlySpan<byte> word = call[i];
            if (word.Is("NX"u8)) conditions |= Conditions.IfNone;
            else if (word.Is("XX"u8)) conditions |= Conditions.IfAny;
            else if (word.Is("GT"u8)) conditions |= Conditions.IfLater;
            else if (word.Is("LT"u8)) conditions |= Conditions.IfEarlier;
            else
            {
                call.Reply.Error([.. "ERR Unsupported option "u8, .. word]);
                return false;
            }
        }
        if ((conditions & Conditions.IfNone) != 0 && conditions != Conditions.IfNone)
        {
            call.Reply.Error("ERR NX and XX, GT or LT options at the same time are not compatible"u8);
            return false;
        }
        if ((conditions & (Conditions.IfLater | Conditions.IfEarlier)) == (Conditions.IfLater | Conditions.IfEarlier))
        {
            call.Reply.Error("ERR GT and LT options at the same time are not compatible"u8);
            return false;
        }
        return true;
    }

    /// <summary>
    /// Whether the conditions hold. A key without an expiry counts as one that expires at the end of time.
    /// </summary>
    private static bool Allows(Conditions conditions, long before, long after)
    {
        if ((conditions & Conditions.IfNone) != 0 && before != Expiry.Never) return false;
        if ((conditions & Conditions.IfAny) != 0 && before == Expiry.Never) return false;
        if ((conditions & Conditions.IfLater) != 0 && after <= before) return false;
        return (conditions & Conditions.IfEarlier) == 0 || after < before;
    }

    private static void Tell(ref CommandContext call, bool inSeconds, bool absolute)
    {
        Entry entry = call.Inspect(1);
        if (entry.IsMissing)
        {
            call.Reply.Integer(-2);
            return;
        }
        long time = entry.ExpiresAtMs;
        if (time == Expiry.Never)
        {
            call.Reply.Integer(-1);
            return;
        }
        if (!absolute) time = Math.Max(0, time - call.NowMs);
        call.Reply.Integer(inSeconds ? (long)(((ulong)time + 500) / 1000) : time);
    }
}
