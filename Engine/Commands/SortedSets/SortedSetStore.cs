namespace OrleansRedis.Engine;

/// <summary>Stores a result in a destination key, for ZRANGESTORE, ZUNIONSTORE, GEOSEARCHSTORE and the like.</summary>
internal static class SortedSetStore
{
    private const int PairsPerEffect = 1000;

    /// <summary>
    /// Makes the destination hold exactly these members, whatever it held before. They must be in order, and belong to
    /// the destination alone. If there are none, the destination is removed. Gives effects of its own if the request
    /// cannot serve as the effect, because its keys are in several slots, or if <paramref name="giveEffects"/> is set.
    /// Storing is one change, as in Redis, unless <paramref name="changes"/> says otherwise.
    /// </summary>
    public static void Put(
        ref CommandContext call,
        ReadOnlySpan<byte> key,
        ReadOnlySpan<ScoredMember> entries,
        ReadOnlySpan<byte> eventName,
        bool giveEffects = false,
        int changes = 1)
    {
        giveEffects |= call.Hold != Hold.Slot;
        Entry destination = call.Write(key);
        Keyspace keyspace = destination.Keyspace;
        if (entries.Length == 0)
        {
            if (destination.IsMissing) return;
            keyspace.Remove(key);
            call.Modified(keyspace, key, KeyEvents.Generic, "del"u8);
            if (giveEffects) call.Effect(keyspace, "DEL"u8, key);
            return;
        }
        KeyEntry made = SortedSetEntry.Create(call.Store.Options, key, entries);
        if (giveEffects)
        {
            if (HasNegativeZero(entries))
            {
                // A listpack has no negative zero. ZADD, which begins with one, would lose what a large set keeps.
                EntryEffects.Recreate(ref call, keyspace, key, made);
            }
            else
            {
                if (!destination.IsMissing) call.Effect(keyspace, "DEL"u8, key);
                GiveEffects(ref call, keyspace, key, entries);
            }
        }
        if (destination.IsMissing)
        {
            call.Add(keyspace, made);
        }
        else
        {
            made.SetAccessClock(destination.Found.AccessClock);
            destination.Overwrite(made);
        }
        call.Modified(keyspace, key, KeyEvents.SortedSet, eventName, changes);
    }

    private static bool HasNegativeZero(ReadOnlySpan<ScoredMember> entries)
    {
        foreach (ScoredMember entry in entries)
        {
            if (entry.Score is 0 and var score && double.IsNegative(score)) return true;
        }
        return false;
    }

    private static void GiveEffects(ref CommandContext call, Keyspace keyspace, ReadOnlySpan<byte> key, ReadOnlySpan<ScoredMember> entries)
    {
        Span<byte> text = stackalloc byte[Numbers.LongestDouble];
        while (entries.Length > 0)
        {
            int count = Math.Min(entries.Length, PairsPerEffect);
            if (call.BeginEffect(2 + (count * 2)) is not { } effect) return;
            effect.BulkString("ZADD"u8);
            effect.BulkString(key);
            foreach (ScoredMember entry in entries[..count])
            {
                effect.BulkString(text[..Numbers.FormatDouble(entry.Score, text)]);
                effect.BulkString(entry.Key);
            }
            call.EndEffect(keyspace);
            entries = entries[count..];
        }
    }
}
