namespace OrleansRedis.Engine;

/// <summary>DUMP and RESTORE: a key's value as bytes, and back.</summary>
internal static class DumpCommands
{
    /// <summary>DUMP key</summary>
    [Command("DUMP", 2, CommandFlags.ReadOnly, Category.Keyspace, Keys = "RO ACCESS 1",
        Effort = Effort.AllElements, Since = "2.6.0",
        Complexity = "O(1) to access the key and additional O(N*M) to serialize it, where N is the number of Redis objects composing the value and M "
            + "their average size. For small string values the time complexity is thus O(1)+O(1*M) where M is small, so simply O(1).",
        Summary = "Returns a serialized representation of the value stored at a key.",
        Syntax = "key",
        Tips = "nondeterministic_output")]
    internal static void Dump(ref CommandContext call)
    {
        Entry entry = call.Read(1);
        if (entry.IsMissing)
        {
            call.Reply.Null();
            return;
        }
        call.Reply.BulkString(DumpPayload.Of(entry.Found, call.Store.Options));
        DumpPayload.Forget();
    }

    /// <summary>RESTORE key ttl serialized-value [REPLACE] [ABSTTL] [IDLETIME seconds] [FREQ frequency]</summary>
    [Command("RESTORE", -4, CommandFlags.Write | CommandFlags.DenyOom, Category.Keyspace | Category.Dangerous, Keys = "OW UPDATE 1",
        Since = "2.6.0",
        Complexity = "O(1) to create the new key and additional O(N*M) to reconstruct the serialized value, where N is the number of Redis objects "
            + "composing the value and M their average size. For small string values the time complexity is thus O(1)+O(1*M) where M is small, so "
        + "simply O(1). However for sorted set values the complexity is O(N*M*log(N)) because inserting values into sorted sets is O(log(N)).",
        Summary = "Creates a key from the serialized representation of a value.",
        Syntax = "key ttl serialized-value [REPLACE] @3.0.0 [ABSTTL] @5.0.0 [IDLETIME seconds] @5.0.0 [FREQ frequency] @5.0.0",
        History = "3.0.0: Added the `REPLACE` modifier.\n5.0.0: Added the `ABSTTL` modifier.\n5.0.0: Added the `IDLETIME` and `FREQ` options.")]
    [Command("RESTORE-ASKING", -4, CommandFlags.Write | CommandFlags.DenyOom | CommandFlags.Asking, Category.Keyspace | Category.Dangerous,
        Keys = "OW UPDATE 1",
        Since = "3.0.0",
        Complexity = "O(1) to create the new key and additional O(N*M) to reconstruct the serialized value, where N is the number of Redis objects "
            + "composing the value and M their average size. For small string values the time complexity is thus O(1)+O(1*M) where M is small, so "
        + "simply O(1). However for sorted set values the complexity is O(N*M*log(N)) because inserting values into sorted sets is O(log(N)).",
        Summary = "An internal command for migrating keys in a cluster.",
        Syntax = "key ttl serialized-value [REPLACE] @3.0.0 [ABSTTL] @5.0.0 [IDLETIME seconds] @5.0.0 [FREQ frequency] @5.0.0",
        History = "3.0.0: Added the `REPLACE` modifier.\n5.0.0: Added the `ABSTTL` modifier.\n5.0.0: Added the `IDLETIME` and `FREQ` options.",
        Group = "server", IsInternal = true)]
    internal static void Restore(ref CommandContext call)
    {
        bool replace = false, isAbsolute = false;
        long idleSeconds = -1, frequency = -1;
        for (int i = 4; i < call.Count; i++)
        {
            bool more = i + 1 < call.Count;
            if (call[i].Is("REPLACE"u8))
            {
                replace = true;
            }
            else if (call[i].Is("ABSTTL"u8))
            {
                isAbsolute = true;
            }
            else if (more && call[i].Is("IDLETIME"u8) && frequency == -1)
            {
                if (!call.TryInt64(++i, out idleSeconds)) return;
                if (idleSeconds >= 0) continue;
                call.Reply.Error("ERR Invalid IDLETIME value, must be >= 0"u8);
                return;
            }
            else if (more && call[i].Is("FREQ"u8) && idleSeconds == -1)
            {
                if (!call.TryInt64(++i, out frequency)) return;
                if (frequency is >= 0 and <= 255) continue;
                call.Reply.Error("ERR Invalid FREQ value, must be >= 0 and <= 255"u8);
                return;
            }
            else
            {
                call.SyntaxError();
                return;
            }
        }
        ReadOnlySpan<byte> key = call[1], payload = call[3];
        Entry former = call.Write(1);
        Keyspace keyspace = former.Keyspace;
        if (!former.IsMissing && !replace)
        {
            call.Reply.Error("BUSYKEY Target key name already exists."u8);
            return;
        }
        if (!call.TryInt64(2, out long ttl)) return;
        if (ttl < 0)
        {
            call.Reply.Error("ERR Invalid TTL value, must be >= 0"u8);
            return;
        }
        if (!DumpPayload.IsIntact(payload, call.Store.Options))
        {
            call.Reply.Error("ERR DUMP payload version or checksum are wrong"u8);
            return;
        }
        KeyEntry entry = DumpPayload.Read(payload, key, call.Store.Options, call.Store.Log);
        if (entry.IsNone)
        {
            call.Reply.Error("ERR Bad data format"u8);
            return;
        }
        long expiresAtMs = ttl == 0 ? Expiry.Never : isAbsolute ? ttl : ttl > long.MaxValue - call.NowMs ? Expiry.Never : ttl + call.NowMs;
        bool removed = keyspace.Remove(key);
        if (expiresAtMs <= call.NowMs && !call.Store.IgnoresExpiry)
        {
            entry.Retire();
            if (removed)
            {
                call.Modified(keyspace, key, KeyEvents.Generic, "del"u8);
                call.Effect(keyspace, "DEL"u8, key);
            }
            call.Reply.Ok();
            return;
        }
        entry = entry.WithExpiry(expiresAtMs);
        call.Add(keyspace, entry);
        if (idleSeconds >= 0 && !call.Store.Options.UsesLfu) entry.SetAccessClock(Access.FromIdleSeconds(idleSeconds, call.NowMs));
        if (frequency >= 0 && call.Store.Options.UsesLfu) entry.SetAccessClock(Access.FromFrequency((byte)frequency, call.NowMs));
        if (entry.Type == ValueType.Hash) keyspace.NoteExpiry(HashEntry.EarliestExpiryMs(entry));
        call.Modified(keyspace, key, KeyEvents.Generic, "restore"u8);
        if (ttl != 0 && !isAbsolute) EntryEffects.Restore(ref call, keyspace, key, payload, expiresAtMs);
        call.Reply.Ok();
    }
}
