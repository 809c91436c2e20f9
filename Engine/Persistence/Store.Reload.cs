namespace OrleansRedis.Engine;

/// <summary>DEBUG RELOAD.</summary>
public sealed partial class Store
{
    /// <summary>
    /// Writes every key of this silo in the RDB format, forgets it and reads it again, which shows whether anything is lost on the way.
    /// What has expired is not read. The caller holds the silo gate exclusively.
    /// </summary>
    public void Reload()
    {
        var entries = new List<object>();
        for (int number = 0; number < KeySlot.Count; number++)
        {
            if (Slots[number] is not { } slot) continue;
            for (int database = 0; database < Slots.Databases; database++)
            {
                if (slot.KeyspaceIfAny(database) is not { Count: > 0 } keyspace) continue;
                entries.Clear();
                foreach (object entry in keyspace) entries.Add(entry);
                foreach (object entry in entries) Reload(keyspace, entry);
            }
        }
    }

    private void Reload(Keyspace keyspace, object entry)
    {
        byte[] key = KeyEntry.KeyOf(entry).ToArray();
        long expiresAtMs = KeyEntry.ExpiresAtMs(entry);
        CommandContext.WakeWatchers(keyspace, key);
        if (expiresAtMs <= Clock.NowMs)
        {
            keyspace.Remove(key);
            return;
        }
        object read = DumpPayload.Read(DumpPayload.Of(entry, Options), key, Options)
            ?? throw new InvalidDataException($"A key of type {KeyEntry.TypeOf(entry)} in slot {keyspace.Slot.Number} cannot be read from what was written of it.");
        read = KeyEntry.WithExpiry(read, expiresAtMs);
        KeyEntry.SetAccessClock(read, KeyEntry.AccessClock(entry));
        keyspace.Find(key).Replace(read);
    }
}
