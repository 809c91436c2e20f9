namespace OrleansRedis.Engine;

/// <summary>
/// Changes a slot's share of a whole database, and tells the watchers of the keys in it. Under the slot's gate, or with
/// the silo gate held exclusively.
/// </summary>
internal static class WatchedDatabases
{
    /// <summary>
    /// Empties a slot's share of a database, which must not be empty. Returns how many keys there were.
    /// </summary>
    public static int Empty(Slot slot, int database)
    {
        List<byte[]>? watched = slot.Watchers is null ? null : WatchedThatChange(slot, database, -1, nowMs: 0);
        int removed = slot.Clear(database);
        Wake(slot, database, watched);
        return removed;
    }

    /// <summary>Swaps a slot's shares of two databases.</summary>
    public static void Swap(Slot slot, int first, int second, long nowMs)
    {
        List<byte[]>? inFirst = slot.Watchers is null ? null : WatchedThatChange(slot, first, second, nowMs);
        List<byte[]>? inSecond = slot.Watchers is null ? null : WatchedThatChange(slot, second, first, nowMs);
        slot.Swap(first, second);
        Wake(slot, first, inFirst);
        Wake(slot, second, inSecond);
    }

    /// <summary>
    /// The watched keys of a database that will differ once it holds what another database holds (-1: nothing). Those
    /// are the keys that exist in either. A key that is missing, and has already expired in the other database, stays
    /// missing.
    /// </summary>
    private static List<byte[]> WatchedThatChange(Slot slot, int database, int replacedWith, long nowMs)
    {
        var keys = new List<byte[]>();
        foreach (byte[] key in slot.Watchers!.KeysOf(database))
        {
            if (Exists(slot, database, key, long.MinValue) || (replacedWith >= 0 && Exists(slot, replacedWith, key, nowMs))) keys.Add(key);
        }
        return keys;
    }

    private static bool Exists(Slot slot, int database, byte[] key, long nowMs)
    {
        if (slot.KeyspaceIfAny(database) is not { } keyspace) return false;
        Entry entry = keyspace.Find(key);
        return !entry.IsMissing && entry.ExpiresAtMs > nowMs;
    }

    private static void Wake(Slot slot, int database, List<byte[]>? keys)
    {
        if (keys is null) return;
        foreach (byte[] key in keys) slot.Watchers!.Changed(database, key);
    }
}
