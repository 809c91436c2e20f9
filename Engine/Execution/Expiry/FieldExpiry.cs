namespace OrleansRedis.Engine;

/// <summary>
/// Expired fields of hashes. A command that looks a hash up finds it without them (<see cref="CommandContext"/>), and
/// the active expiry removes them from hashes that nobody looks up.
/// </summary>
internal static class FieldExpiry
{
    /// <summary>
    /// Deletes the expired fields of a hash, up to a maximum number, with the effect (HDEL) and events ("hexpired", and
    /// "del" if no field is left). True if the key is gone. The caller publishes the unit.
    /// </summary>
    public static bool ExpireDue(Store store, in Entry entry, long nowMs, EffectUnit unit, int most = int.MaxValue)
    {
        Keyspace keyspace = entry.Keyspace;
        byte[] key = entry.Key.ToArray();
        KeyEntry hash = entry.Found;
        int expired = 0;
        keyspace.BeforeChange(key);
        if (!hash.TryBlob(out Blob blob))
        {
            while (expired < most && hash.As<HashValue>().TryExpireOne(nowMs, out HashField field))
            {
                GiveEffect(store, keyspace, key, new(field.Key), unit);
                expired++;
            }
        }
        else if (blob.Kind == BlobKind.HashListpackEx)
        {
            Listpack listpack = Listpack.In(blob);
            int position = listpack.First;
            while (expired < most && position >= 0 && HashItem.At(listpack, position, withExpiry: true).ExpiresAtMs <= nowMs)
            {
                GiveEffect(store, keyspace, key, listpack[position], unit);
                expired++;
                for (int i = 0; i < 3; i++) position = listpack.Next(position);
            }
            if (expired == 0) return false;
            listpack.Delete(listpack.First, expired * 3);
            hash = listpack.Blob;
            entry.Replace(hash);
        }
        if (expired == 0) return false;
        keyspace.RecountFields(hash);
        if (!hash.IsBlob) keyspace.Recount(hash.Value);
        store.Statistics.CountExpiredFields(expired);
        keyspace.Slot.Watchers?.Changed(keyspace.Database, key);
        store.Tracking?.Changed(null, key);
        store.Effects.KeyEvents?.OnKeyEvent(KeyEvents.Hash, "hexpired"u8, key, keyspace.Database);
        if (HashEntry.Count(hash) > 0) return false;
        keyspace.Remove(key);
        store.Effects.KeyEvents?.OnKeyEvent(KeyEvents.Generic, "del"u8, key, keyspace.Database);
        return true;
    }

    private static void GiveEffect(Store store, Keyspace keyspace, byte[] key, ListpackElement field, EffectUnit unit)
    {
        if (!store.Effects.HasConsumers) return;
        RespWriter effect = unit.Begin(3);
        effect.BulkString("HDEL"u8);
        effect.BulkString(key);
        field.WriteTo(effect);
        unit.End(keyspace.Slot, keyspace.Database);
    }
}
