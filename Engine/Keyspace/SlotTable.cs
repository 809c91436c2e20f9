using System.Runtime.CompilerServices;

namespace OrleansRedis.Engine;

/// <summary>
/// The slots that live on this silo, by number. A slot's grain publishes it here when it activates and withdraws it when
/// it deactivates; everyone else reads. Beside the slots it keeps, in plain arrays that are quick to sum up,
/// what questions about all of them need: key counts and times of expiry.
/// </summary>
public sealed class SlotTable(int databases)
{
    private readonly Slot?[] _slots = new Slot?[KeySlot.Count];
    private readonly int[]?[] _keyCounts = new int[]?[databases]; // by database, then slot; an element is written under its slot's gate
    private readonly long[] _earliestExpiryMs = NewExpiries();
    private int _publishedCount;
    private long _withdrawnChanges;

    /// <summary>How many logical databases every slot has.</summary>
    public int Databases { get; } = databases;

    /// <summary>Bytes of all slots made here and not yet withdrawn, their keys and tables.</summary>
    internal MemoryCount Memory { get; } = new();

    /// <summary>How many slots are published here now.</summary>
    public int PublishedCount => Volatile.Read(ref _publishedCount);

    /// <summary>The slot, or null while it is not on this silo.</summary>
    public Slot? this[int number]
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => _slots[number];
    }

    /// <summary>Makes an empty slot; nobody else sees it before <see cref="Publish"/>.</summary>
    public Slot Create(int number, long epoch) => new(this, number, epoch);

    /// <summary>Lets commands in.</summary>
    public void Publish(Slot slot)
    {
        Slot? former = Interlocked.CompareExchange(ref _slots[slot.Number], slot, null);
        if (former is not null && !ReferenceEquals(former, slot))
            throw new InvalidOperationException($"Slot {slot.Number} is published here already, with epoch {former.Epoch}.");
        if (former is null) Interlocked.Increment(ref _publishedCount);
    }

    /// <summary>Waits for the command that is in the slot, if any, and lets no other in.</summary>
    public void Withdraw(Slot slot)
    {
        slot.Gate.Enter();
        try
        {
            if (!slot.IsOpen) return;
            slot.IsOpen = false;
            Interlocked.Add(ref _withdrawnChanges, slot.Changes);
            Memory.Add(-slot.AllBytes);
            slot.Watchers?.Withdrawn();
            if (!ReferenceEquals(Interlocked.CompareExchange(ref _slots[slot.Number], null, slot), slot)) return;
            Interlocked.Decrement(ref _publishedCount);
            foreach (int[]? counts in _keyCounts)
            {
                if (counts is not null) counts[slot.Number] = 0;
            }
            Volatile.Write(ref _earliestExpiryMs[slot.Number], Expiry.Never);
        }
        finally
        {
            slot.Gate.Exit();
        }
    }

    /// <summary>How many changes have been made to the keys of slots while they were here, those that have left included.</summary>
    public long CountChanges()
    {
        long changes = Volatile.Read(ref _withdrawnChanges);
        foreach (Slot? slot in _slots)
        {
            if (slot is not null) changes += slot.Changes;
        }
        return changes;
    }

    /// <summary>How many keys a database has on this silo.</summary>
    public long KeyCount(int database)
    {
        int[]? counts = Volatile.Read(ref _keyCounts[database]);
        if (counts is null) return 0;
        long sum = 0;
        foreach (int count in counts) sum += count;
        return sum;
    }

    /// <summary>How many keys a database has in one slot.</summary>
    public int KeyCount(int database, int slot) => Volatile.Read(ref _keyCounts[database]) is { } counts ? Volatile.Read(ref counts[slot]) : 0;

    internal void KeyCountChanged(int slot, int database, int difference)
    {
        int[] counts = _keyCounts[database] ?? MakeCounts(database);
        Volatile.Write(ref counts[slot], counts[slot] + difference);
    }

    internal void SwapKeyCounts(int slot, int first, int second)
    {
        int[] a = _keyCounts[first] ?? MakeCounts(first), b = _keyCounts[second] ?? MakeCounts(second);
        (a[slot], b[slot]) = (b[slot], a[slot]);
    }

    /// <summary>The time before which nothing in the slot expires; a hint that is never too late.</summary>
    internal long EarliestExpiryMs(int slot) => Volatile.Read(ref _earliestExpiryMs[slot]);

    internal void NoteExpiry(int slot, long expiresAtMs)
    {
        if (expiresAtMs < _earliestExpiryMs[slot]) Volatile.Write(ref _earliestExpiryMs[slot], expiresAtMs);
    }

    internal void SetEarliestExpiry(int slot, long expiresAtMs) => Volatile.Write(ref _earliestExpiryMs[slot], expiresAtMs);

    private int[] MakeCounts(int database)
    {
        var made = new int[KeySlot.Count];
        return Interlocked.CompareExchange(ref _keyCounts[database], made, null) ?? made;
    }

    private static long[] NewExpiries()
    {
        var times = new long[KeySlot.Count];
        Array.Fill(times, Expiry.Never);
        return times;
    }
}
