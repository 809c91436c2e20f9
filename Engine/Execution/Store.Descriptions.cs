namespace OrleansRedis.Engine;

/// <summary>What the server tells of its data without a command of the data's own.</summary>
public sealed partial class Store
{
    /// <summary>
    /// DEBUG OBJECT: how a key is held; null if it is missing. The caller holds the silo gate shared, and no slot's gate.
    /// There are no addresses to show; what stands in their place is the slot.
    /// </summary>
    public string? DescribeEntry(ReadOnlySpan<byte> key, int database, long nowMs)
    {
        int number = KeySlot.Of(key);
        if (Slots[number] is not { } slot) return null;
        slot.Gate.Enter();
        try
        {
            if (slot.KeyspaceIfAny(database) is not { } keyspace) return null;
            Entry entry = keyspace.Find(key);
            if (entry.IsMissing || entry.ExpiresAtMs <= nowMs) return null;
            uint clock = KeyEntry.AccessClock(entry.Object);
            long idleSeconds = Options.UsesLfu ? 0 : Access.IdleMs(clock, nowMs) / 1000;
            return $"Value at:slot-{number} refcount:1 encoding:{KeyEntry.EncodingOf(entry.Object)} memory:{EntryBytes(entry.Object)} lru:{clock} lru_seconds_idle:{idleSeconds}";
        }
        finally
        {
            slot.Gate.Exit();
        }
    }

    /// <summary>
    /// DEBUG DIGEST-VALUE: the digest of what a key holds, expired or not, in hexadecimal; zeros if it is missing.
    /// The caller holds the silo gate shared, and no slot's gate.
    /// </summary>
    public string DigestOf(ReadOnlySpan<byte> key, int database)
    {
        var digest = new ValueDigest();
        if (Slots[KeySlot.Of(key)] is { } slot)
        {
            slot.Gate.Enter();
            try
            {
                Entry entry = slot.KeyspaceIfAny(database) is { } keyspace ? keyspace.Find(key) : default;
                if (!entry.IsMissing) digest.MixEntry(entry.Object);
            }
            finally
            {
                slot.Gate.Exit();
            }
        }
        return Convert.ToHexStringLower(digest.Bytes);
    }

    /// <summary>DEBUG DIGEST: the digest of all keys here, one slot after the other, in hexadecimal. The gates are held as for <see cref="DigestOf"/>.</summary>
    public string DigestOfAll()
    {
        var all = new ValueDigest();
        for (int database = 0; database < Slots.Databases; database++)
        {
            if (Slots.KeyCount(database) == 0) continue;
            all.Mix(database);
            for (int number = 0; number < KeySlot.Count; number++)
            {
                if (Slots.KeyCount(database, number) > 0 && Slots[number] is { } slot) MixSlot(all, slot, database);
            }
        }
        return Convert.ToHexStringLower(all.Bytes);
    }

    private static void MixSlot(ValueDigest all, Slot slot, int database)
    {
        slot.Gate.Enter();
        try
        {
            if (slot.KeyspaceIfAny(database) is not { } keyspace) return;
            foreach (object entry in keyspace)
            {
                var digest = new ValueDigest();
                digest.Mix(KeyEntry.KeyOf(entry));
                digest.MixEntry(entry);
                all.Xor(digest.Bytes);
            }
        }
        finally
        {
            slot.Gate.Exit();
        }
    }

    /// <summary>Every database's keys and keys with a time of expiry on this silo, for INFO; databases without keys are left out.</summary>
    public IEnumerable<(int Database, long Keys, long Expiring)> CountKeys()
    {
        for (int database = 0; database < Slots.Databases; database++)
        {
            long keys = Slots.KeyCount(database);
            if (keys == 0) continue;
            yield return (database, keys, Slots.ExpiringKeys.Sum(database));
        }
    }

    /// <summary>Sums over all slots on this silo, read while they go on changing.</summary>
    public (long Bytes, long Hits, long Misses) SumSlots()
    {
        long bytes = 0, hits = 0, misses = 0;
        for (int number = 0; number < KeySlot.Count; number++)
        {
            if (Slots[number] is not { } slot) continue;
            bytes += slot.Bytes;
            hits += slot.Hits;
            misses += slot.Misses;
        }
        return (bytes, hits, misses);
    }

    /// <summary>Bytes that an entry takes, its place in the table included.</summary>
    internal static long EntryBytes(object entry) => IntPtr.Size + (entry is byte[] blob ? Blob.AllocatedBytes(blob.Length) : ((Value)entry).Bytes);
}
