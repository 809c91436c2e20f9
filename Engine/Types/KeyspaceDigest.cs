namespace OrleansRedis.Engine;

/// <summary>
/// Digests of the data in slots, equal for equal data however it is encoded: DEBUG DIGEST and DEBUG DIGEST-VALUE.
/// </summary>
public static class KeyspaceDigest
{
    /// <summary>
    /// DEBUG DIGEST-VALUE: the digest of what a key holds, expired or not, in hexadecimal; zeros if the key is missing
    /// or its slot is not here. The caller holds the slot's gate.
    /// </summary>
    internal static string OfKey(Slot? slot, ReadOnlySpan<byte> key, int database)
    {
        var digest = new ValueDigest();
        Entry entry = slot?.KeyspaceIfAny(database) is { } keyspace ? keyspace.Find(key) : default;
        if (!entry.IsMissing) digest.MixEntry(entry.Found);
        return Convert.ToHexStringLower(digest.Bytes);
    }

    /// <summary>
    /// DEBUG DIGEST: the digest of all keys here, one slot after another, in hexadecimal. Waits for each slot's gate, so
    /// the caller holds none of them.
    /// </summary>
    public static string OfAll(SlotTable slots)
    {
        var all = new ValueDigest();
        for (int database = 0; database < slots.Databases; database++)
        {
            if (slots.KeyCount(database) == 0) continue;
            all.Mix(database);
            for (int number = 0; number < KeySlot.Count; number++)
            {
                if (slots.KeyCount(database, number) > 0 && slots[number] is { } slot) MixSlot(all, slot, database);
            }
        }
        return Convert.ToHexStringLower(all.Bytes);
    }

    private static void MixSlot(ValueDigest all, Slot slot, int database)
    {
        slot.Gate.Enter();
        try
        {
            if (!slot.IsOpen || slot.KeyspaceIfAny(database) is not { } keyspace) return;
            foreach (KeyEntry entry in keyspace)
            {
                var digest = new ValueDigest();
                digest.Mix(entry.Key);
                digest.MixEntry(entry);
                all.Xor(digest.Bytes);
            }
        }
        finally
        {
            slot.Leave();
        }
    }
}
