namespace OrleansRedis.Cluster;

/// <summary>
/// Who owns each slot: one version of the document that the cluster agrees on. Immutable, so it may be read from any
/// thread.
/// </summary>
public sealed class SlotMap
{
    /// <summary>The number of hash slots of Redis Cluster.</summary>
    public const int RedisSlots = 16384;

    private readonly SlotEntry[] _entries;

    internal SlotMap(long version, long viewVersion, SlotEntry[] entries)
    {
        Version = version;
        ViewVersion = viewVersion;
        _entries = entries;
    }

    /// <summary>The map before the first version: no slot has an owner.</summary>
    /// <param name="slots">How many slots there are; simulations take fewer.</param>
    public static SlotMap Empty(int slots = RedisSlots)
    {
        var entries = new SlotEntry[slots];
        Array.Fill(entries, SlotEntry.Unowned);
        return new(0, 0, entries);
    }

    /// <summary>Counts the changes; 0 is the empty map.</summary>
    public long Version { get; }

    /// <summary>
    /// The version of the view by which the last change was made. Whoever acts by the map has this view or a newer one.
    /// </summary>
    public long ViewVersion { get; }

    /// <summary>How many slots there are.</summary>
    public int Count => _entries.Length;

    public SlotEntry this[int slot] => _entries[slot];

    /// <summary>
    /// The next version, with some entries replaced; this version itself if all of them are as they were.
    /// </summary>
    public SlotMap With(long viewVersion, IEnumerable<KeyValuePair<int, SlotEntry>> changes)
    {
        SlotEntry[]? entries = null;
        foreach ((int slot, SlotEntry entry) in changes)
        {
            if (entry.Equals(_entries[slot])) continue;
            entries ??= (SlotEntry[])_entries.Clone();
            entries[slot] = entry;
        }
        return entries is null ? this : new(Version + 1, Math.Max(ViewVersion, viewVersion), entries);
    }

    internal SlotEntry[] CopyOfEntries() => (SlotEntry[])_entries.Clone();
}
