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
        ReadOnlySpan<byte[]> entries,
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
        object made = SortedSetEntry.Create(call.Store.Options, key, entries);
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
            KeyEntry.SetAccessClock(made, KeyEntry.AccessClock(destination.Object));
            destination.Replace(made);
        }
        call.Modified(keyspace, key, KeyEvents.SortedSet, eventName, changes);
    }

    private static bool HasNegativeZero(ReadOnlySpan<byte[]> entries)
    {
        foreach (byte[] entry in entries)
        {
            if (ScoredMember.ScoreOf(entry) is 0 and var score && double.IsNegative(score)) return true;
        }
        return false;
    }

    private static void GiveEffects(ref CommandContext call, Keyspace keyspace, ReadOnlySpan<byte> key, ReadOnlySpan<byte[]> entries)
    {
        Span<byte> text = stackalloc byte[Numbers.LongestDouble];
        while (entries.Length > 0)
        {
            int count = Math.Min(entries.Length, PairsPerEffect);
            if (call.BeginEffect(2 + (count * 2)) is not { } effect) return;
            effect.BulkString("ZADD"u8);
            effect.BulkString(key);
            foreach (byte[] entry in entries[..count])
            {
                effect.BulkString(text[..Numbers.FormatDouble(ScoredMember.ScoreOf(entry), text)]);
                effect.BulkString(ScoredMember.MemberOf(entry));
            }
            call.EndEffect(keyspace);
            entries = entries[count..];
        }
    }
}
