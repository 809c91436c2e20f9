namespace OrleansRedis.Engine;

/// <summary>
/// Changes a slot's share of a database as a whole, and tells those who watch keys in it. Under the slot's gate, or with the silo gate held
/// exclusively.
/// </summary>
internal static class WatchedDatabases
{
    /// <summary>Empties a database's share in a slot, which is not empty; returns how many keys that were.</summary>
    public static int Empty(Slot slot, int database)
    {
        List<byte[]>? watched = slot.Watchers is null ? null : WatchedThatChange(slot, database, -1, nowMs: 0);
        int removed = slot.Clear(database)!.Count;
        Wake(slot, database, watched);
        return removed;
    }

    /// <summary>Swaps two databases' shares in a slot.</summary>
    public static void Swap(Slot slot, int first, int second, long nowMs)
    {
        List<byte[]>? inFirst = slot.Watchers is null ? null : WatchedThatChange(slot, first, second, nowMs);
        List<byte[]>? inSecond = slot.Watchers is null ? null : WatchedThatChange(slot, second, first, nowMs);
        slot.Swap(first, second);
        Wake(slot, first, inFirst);
        Wake(slot, second, inSecond);
    }

    /// <summary>
    /// The watched keys of a database that are no longer what they were once it holds what another database holds (-1: nothing):
    /// those that exist in either. One that was missing and would be expired there already stays missing.
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
