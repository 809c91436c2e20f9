namespace OrleansRedis.Engine;

/// <summary>The output of DEBUG OBJECT.</summary>
public static class DebugObject
{
    /// <summary>
    /// Describes how a key is stored; null if it is missing. The caller holds the silo gate shared, and no slot's gate.
    /// There are no addresses to show, so the slot stands in their place.
    /// </summary>
    public static string? Describe(Store store, ReadOnlySpan<byte> key, int database, long nowMs)
    {
        int number = KeySlot.Of(key);
        if (store.Slots[number] is not { } slot) return null;
        slot.Gate.Enter();
        try
        {
            if (slot.KeyspaceIfAny(database) is not { } keyspace) return null;
            Entry entry = keyspace.Find(key);
            if (entry.IsMissing || entry.ExpiresAtMs <= nowMs) return null;
            uint clock = KeyEntry.AccessClock(entry.Object);
            long idleSeconds = store.Options.UsesLfu ? 0 : Access.IdleMs(clock, nowMs) / 1000;
            return $"Value at:slot-{number} refcount:1 encoding:{KeyEntry.EncodingOf(entry.Object)} "
                + $"memory:{KeyEntry.BytesWithCell(entry.Object)} lru:{clock} lru_seconds_idle:{idleSeconds}";
        }
        finally
        {
            slot.Gate.Exit();
        }
    }
}
