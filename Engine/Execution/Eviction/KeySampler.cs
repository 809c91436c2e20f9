namespace OrleansRedis.Engine;

/// <summary>
/// Draws random keys of this silo, each with nearly the same chance, whatever slot it is in. It draws the slot from a
/// table of how many keys each slot has, which is rebuilt when it has become old.
/// </summary>
internal sealed class KeySampler(Store store)
{
    /// <summary>
    /// How many draws one table is good for. Building it takes a few µs for all keys, and about a millisecond for the
    /// volatile ones.
    /// </summary>
    private const int DrawsPerTable = 4096;

    /// <summary>
    /// How many random keys are tried in search of one with an expiry time, before the keyspace is searched for one.
    /// </summary>
    private const int Tries = 16;
    private const int MostSearched = 1024;

    private readonly long[] _upTo = new long[KeySlot.Count]; // keys in slots up to and including this one
    private readonly List<KeyEntry> _searched = [];
    private int _drawsLeft;
    private bool _volatile;

    /// <summary>The random number generator; tests supply their own.</summary>
    public Random Random { get; set; } = Random.Shared;

    /// <summary>Rebuilds the table; false if there is no key to draw.</summary>
    public bool Refresh(bool volatileOnly)
    {
        _volatile = volatileOnly;
        _drawsLeft = DrawsPerTable;
        long sum = 0;
        for (int number = 0; number < _upTo.Length; number++)
        {
            for (int database = 0; database < store.Slots.Databases; database++) sum += Count(number, database);
            _upTo[number] = sum;
        }
        return sum != 0;
    }

    /// <summary>Draws a slot and a database in it; false if there are no keys.</summary>
    public bool TryDraw(bool volatileOnly, out int number, out int database)
    {
        number = database = 0;
        if ((_drawsLeft-- <= 0 || volatileOnly != _volatile || _upTo[^1] == 0) && !Refresh(volatileOnly)) return false;
        long drawn = Random.NextInt64(_upTo[^1]);
        int found = Array.BinarySearch(_upTo, drawn + 1);
        if (found < 0) found = ~found;
        while (found > 0 && _upTo[found - 1] > drawn) found--; // equal sums: the first of them is the one with keys
        number = found;
        long below = drawn - (found == 0 ? 0 : _upTo[found - 1]);
        for (int candidate = 0; candidate < store.Slots.Databases; candidate++)
        {
            int count = Count(number, candidate);
            if (count == 0) continue;
            database = candidate;
            if ((below -= count) < 0) break;
        }
        return true;
    }

    /// <summary>The table is out of date: draws hit empty slots. It will be rebuilt soon.</summary>
    public void Distrust() => _drawsLeft = Math.Min(_drawsLeft, DrawsPerTable / 16) - 16;

    /// <summary>
    /// A random entry of a keyspace, under its gate; none if there is none, or none was found in reasonable time.
    /// </summary>
    public KeyEntry DrawFrom(Keyspace keyspace, bool volatileOnly)
    {
        if (!volatileOnly) return keyspace.Random(Random);
        if (keyspace.ExpiringCount == 0) return default;
        for (int i = 0; i < Tries; i++)
        {
            KeyEntry entry = keyspace.Random(Random);
            if (entry.IsNone || entry.ExpiresAtMs != Expiry.Never) return entry;
        }
        _searched.Clear();
        bool all = keyspace.Count <= MostSearched;
        uint cursor = all ? 0 : (uint)Random.NextInt64(1L << 32);
        do cursor = keyspace.Scan(cursor, MostSearched, _searched);
        while (all && cursor != 0);
        KeyEntry chosen = default;
        int met = 0;
        foreach (KeyEntry entry in _searched)
        {
            if (entry.ExpiresAtMs != Expiry.Never && Random.Next(++met) == 0) chosen = entry;
        }
        _searched.Clear();
        return chosen;
    }

    /// <summary>
    /// Random entries of a keyspace, under its gate: of a volatile policy one, and otherwise neighbours in the table, as
    /// many as are asked for and there are. None if there is none, or none was found in reasonable time.
    /// </summary>
    public void DrawFrom(Keyspace keyspace, bool volatileOnly, int most, List<KeyEntry> into)
    {
        if (volatileOnly)
        {
            if (DrawFrom(keyspace, volatileOnly: true) is { IsNone: false } entry) into.Add(entry);
            return;
        }
        most = Math.Min(most, keyspace.Count);
        uint cursor = (uint)Random.NextInt64(1L << 32);
        while (into.Count < most) cursor = keyspace.Scan(cursor, most - into.Count, into);
        if (into.Count > most) into.RemoveRange(most, into.Count - most);
    }

    private int Count(int number, int database) =>
        (_volatile ? store.Slots.ExpiringKeys : store.Slots.Keys)[database, number];
}
