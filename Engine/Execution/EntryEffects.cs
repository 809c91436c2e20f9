namespace OrleansRedis.Engine;

/// <summary>Effects that state what a key holds, however it came to hold it.</summary>
internal static class EntryEffects
{
    /// <summary>
    /// Gives the effect that makes <paramref name="key"/> hold what <paramref name="entry"/> holds, in place of
    /// anything it held before. It serves changes whose cause lies in another slot: a reader of this slot's log alone
    /// could do nothing with the request. Call it before making the change, so that an entry that cannot be written
    /// down changes nothing.
    /// </summary>
    public static void Recreate(ref CommandContext call, Keyspace keyspace, ReadOnlySpan<byte> key, KeyEntry entry)
    {
        switch (entry.Type)
        {
            case ValueType.String:
                RecreateString(ref call, keyspace, key, entry);
                break;
            default:
                if (!call.Store.Effects.HasConsumers)
                {
                    call.BeginEffect(0);
                    break;
                }
                Restore(ref call, keyspace, key, DumpPayload.Of(entry, call.Store.Options), entry.ExpiresAtMs);
                DumpPayload.Forget();
                break;
        }
    }

    /// <summary>RESTORE key 0 | unix-time-milliseconds payload REPLACE ABSTTL</summary>
    public static void Restore(ref CommandContext call, Keyspace keyspace, ReadOnlySpan<byte> key, ReadOnlySpan<byte> payload, long expiresAtMs)
    {
        if (call.BeginEffect(6) is not { } effect) return;
        effect.BulkString("RESTORE"u8);
        effect.BulkString(key);
        effect.BulkInteger(expiresAtMs == Expiry.Never ? 0 : expiresAtMs);
        effect.BulkString(payload);
        effect.BulkString("REPLACE"u8);
        effect.BulkString("ABSTTL"u8);
        call.EndEffect(keyspace);
    }

    private static void RecreateString(ref CommandContext call, Keyspace keyspace, ReadOnlySpan<byte> key, KeyEntry entry)
    {
        long expiresAtMs = entry.ExpiresAtMs;
        if (call.BeginEffect(expiresAtMs == Expiry.Never ? 3 : 5) is not { } effect) return;
        Span<byte> scratch = stackalloc byte[StringEntry.ScratchLength];
        effect.BulkString("SET"u8);
        effect.BulkString(key);
        effect.BulkString(StringEntry.Read(entry, scratch));
        if (expiresAtMs != Expiry.Never)
        {
            effect.BulkString("PXAT"u8);
            effect.BulkInteger(expiresAtMs);
        }
        call.EndEffect(keyspace);
    }
}
