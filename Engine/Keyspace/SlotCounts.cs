namespace OrleansRedis.Engine;

/// <summary>
/// Counts by database and slot, in plain arrays that are quick to sum up. An element is written under its slot's gate;
/// anyone may read it.
/// </summary>
internal sealed class SlotCounts(int databases)
{
    private readonly int[]?[] _counts = new int[]?[databases]; // a database's array is made on first use

    /// <summary>The count of a slot.</summary>
    public int this[int database, int slot] => Volatile.Read(ref _counts[database]) is { } counts ? Volatile.Read(ref counts[slot]) : 0;

    /// <summary>The sum over all slots.</summary>
    public long Sum(int database)
    {
        if (Volatile.Read(ref _counts[database]) is not { } counts) return 0;
        long sum = 0;
        foreach (int count in counts) sum += count;
        return sum;
    }

    /// <summary>The slots whose count is not 0, a bit for each.</summary>
    public ulong[] Slots(int database)
    {
        var slots = new ulong[KeySlot.Count / 64];
        if (Volatile.Read(ref _counts[database]) is not { } counts) return slots;
        for (int i = 0; i < counts.Length; i++) slots[i / 64] |= (counts[i] != 0 ? 1UL : 0) << (i % 64);
        return slots;
    }

    public void Add(int database, int slot, int difference)
    {
        int[] counts = Of(database);
        Volatile.Write(ref counts[slot], counts[slot] + difference);
    }

    public void Swap(int slot, int first, int second)
    {
        int[] a = Of(first), b = Of(second);
        (a[slot], b[slot]) = (b[slot], a[slot]);
    }

    /// <summary>Sets a slot's counts to 0.</summary>
    public void Clear(int slot)
    {
        foreach (int[]? counts in _counts)
        {
            if (counts is not null) counts[slot] = 0;
        }
    }

    private int[] Of(int database) => Volatile.Read(ref _counts[database]) ?? Make(database);

    private int[] Make(int database)
    {
        var made = new int[KeySlot.Count];
        return Interlocked.CompareExchange(ref _counts[database], made, null) ?? made;
    }
}
