using System.Runtime.CompilerServices;

namespace OrleansRedis.Engine;

/// <summary>
/// The slots that live on this silo, by number. A slot's grain publishes it here when it activates and withdraws it
/// when it deactivates; everyone else only reads. For questions about all slots, key counts and times of expiry are
/// kept beside them, in plain arrays that are quick to sum up.
/// </summary>
public sealed class SlotTable(int databases, SiloGate siloGate)
{
    private readonly Slot?[] _slots = new Slot?[KeySlot.Count];
    private readonly long[] _earliestExpiryMs = NewExpiries();
    private int _publishedCount;
    private long _otherChanges; // of slots that have left, and of no slot
    private long _withdrawnHits;
    private long _withdrawnMisses;
    private (long Hits, long Misses) _lookupsBefore;   // CONFIG RESETSTAT

    /// <summary>How many logical databases every slot has.</summary>
    public int Databases { get; } = databases;

    /// <summary>The bytes of all slots made here and not yet withdrawn, with their keys and tables.</summary>
    internal MemoryCount Memory { get; } = new();

    /// <summary>How many keys there are, slots that are not yet published included.</summary>
    internal SlotCounts Keys { get; } = new(databases);

    /// <summary>How many of them have a time of expiry.</summary>
    internal SlotCounts ExpiringKeys { get; } = new(databases);

    /// <summary>The instants of the snapshots of all slots.</summary>
    internal SnapshotInstants Instants { get; } = new();

    /// <summary>Arrays that snapshots leave for later ones to reuse.</summary>
    internal SnapshotBuffers SnapshotBuffers { get; } = new();

    /// <summary>How many slots are published here now.</summary>
    public int PublishedCount => Volatile.Read(ref _publishedCount);

    /// <summary>The slot, or null while it is not on this silo.</summary>
    public Slot? this[int number]
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => _slots[number];
    }

    /// <summary>
    /// For every database that has keys on this silo, how many it has and how many of them have a time of expiry; for
    /// INFO.
    /// </summary>
    public IEnumerable<(int Database, long Keys, long Expiring)> CountKeys()
    {
        for (int database = 0; database < Databases; database++)
        {
            long keys = KeyCount(database);
            if (keys == 0) continue;
            yield return (database, keys, ExpiringKeys.Sum(database));
        }
    }

    /// <summary>The bytes of all keys on this silo, read while they continue to change.</summary>
    public long CountBytes()
    {
        long bytes = 0;
        foreach (Slot? slot in _slots) bytes += slot?.Bytes ?? 0;
        return bytes;
    }

    /// <summary>
    /// How many look-ups have found a key since CONFIG RESETSTAT, and how many have not, in slots while they were on
    /// this silo.
    /// </summary>
    public (long Hits, long Misses) CountLookups()
    {
        (long hits, long misses) = AllLookups();
        // The sums are taken while everything changes, so one may be slightly ahead of a later one.
        return (Math.Max(0, hits - Volatile.Read(ref _lookupsBefore.Hits)), Math.Max(0, misses - Volatile.Read(ref _lookupsBefore.Misses)));
    }

    /// <summary>
    /// The counts of <see cref="CountLookups"/> start over. The slots' own counters belong to whoever holds the gates,
    /// so they go on, and what they have reached is remembered here.
    /// </summary>
    internal void ResetLookups()
    {
        (long hits, long misses) = AllLookups();
        Volatile.Write(ref _lookupsBefore.Hits, hits);
        Volatile.Write(ref _lookupsBefore.Misses, misses);
    }

    /// <summary>
    /// The bytes that the slots here would take without their keys: what the server takes before it has any.
    /// </summary>
    public long EmptyBytes => PublishedCount * Slot.EmptyBytes;

    /// <summary>
    /// What is known of the keys of a database on this silo beyond their number, read while they continue to change:
    /// the mean time left to those that expire, how many hashes have expiring fields, and the bytes of the tables.
    /// </summary>
    public (long MeanTtlMs, long WithExpiringFields, long TableBytes) SumKeys(int database, long nowMs)
    {
        Int128 times = 0;
        long expiring = 0, withFields = 0, tables = 0;
        for (int number = 0; number < KeySlot.Count; number++)
        {
            if (this[number]?.KeyspaceIfAny(database) is not { } keyspace) continue;
            times += keyspace.ExpirySumMs;
            expiring += keyspace.ExpiringCount;
            withFields += keyspace.FieldExpiringCount;
            tables += keyspace.CountedCellBytes;
        }
        return (expiring == 0 ? 0 : Math.Max(0, (long)(times / expiring) - nowMs), withFields, tables);
    }

    /// <summary>
    /// How many keys on this silo are watched, how many blocked commands wait for, and how many of these are also
    /// awaited to be deleted.
    /// </summary>
    public (long Watched, long Blocking, long BlockingForDeletion) SumWatchers()
    {
        long watched = 0, blocking = 0, forDeletion = 0;
        for (int number = 0; number < KeySlot.Count; number++)
        {
            if (this[number]?.Watchers is not { } watchers) continue;
            watched += watchers.WatchedKeys;
            blocking += watchers.BlockingKeys;
            forDeletion += watchers.BlockingKeysForDeletion;
        }
        return (watched, blocking, forDeletion);
    }

    /// <summary>Makes an empty slot, which nobody else sees before <see cref="Publish"/>.</summary>
    public Slot Create(int number, long epoch) => new(this, number, epoch);

    /// <summary>Lets commands into the slot.</summary>
    public void Publish(Slot slot)
    {
        slot.TakesPlace();
        Slot? former = Interlocked.CompareExchange(ref _slots[slot.Number], slot, null);
        if (former is not null && !ReferenceEquals(former, slot))
            throw new InvalidOperationException($"Slot {slot.Number} is published here already, with epoch {former.Epoch}.");
        if (former is null) Interlocked.Increment(ref _publishedCount);
    }

    /// <summary>A slot leaves, with its gate held: whoever has read its keys learns no more of what changes them.</summary>
    internal Action? Leaving { get; set; }

    /// <summary>Waits for the command in the slot, if any, and lets no other in.</summary>
    public void Withdraw(Slot slot)
    {
        if (TryClose(slot)) _ = RetireAsync(slot);
    }

    /// <summary>
    /// Has snapshots see a slot into which commands are let later (<see cref="Resume"/>), or never.
    /// </summary>
    public void PublishSuspended(Slot slot)
    {
        (slot.IsOpen, slot.IsSuspended) = (false, true);
        Publish(slot);
    }

    /// <summary>
    /// Waits for the command in the slot, if any, and lets no other in until <see cref="Resume"/>. Those who wait for its
    /// keys go on waiting, and snapshots go on to have them.
    /// </summary>
    public void Suspend(Slot slot)
    {
        slot.Gate.Enter();
        if (slot.IsOpen) (slot.IsOpen, slot.IsSuspended) = (false, true);
        slot.Leave();
    }

    /// <summary>Lets commands in again.</summary>
    public void Resume(Slot slot)
    {
        slot.Gate.Enter();
        if (slot.IsSuspended) (slot.IsOpen, slot.IsSuspended) = (true, false);
        slot.Leave();
    }

    private bool TryClose(Slot slot)
    {
        slot.Gate.Enter();
        try
        {
            if (!slot.IsHere) return false;
            slot.IsOpen = slot.IsSuspended = false;
            slot.LeavesPlace();
            Interlocked.Add(ref _otherChanges, slot.Changes);
            Interlocked.Add(ref _withdrawnHits, slot.Hits);
            Interlocked.Add(ref _withdrawnMisses, slot.Misses);
            Memory.Add(-slot.AllBytes);
            slot.Watchers?.Withdrawn();
            Leaving?.Invoke();
            if (!ReferenceEquals(Interlocked.CompareExchange(ref _slots[slot.Number], null, slot), slot)) return true;
            Interlocked.Decrement(ref _publishedCount);
            Keys.Clear(slot.Number);
            ExpiringKeys.Clear(slot.Number);
            Volatile.Write(ref _earliestExpiryMs[slot.Number], Expiry.Never);
            return true;
        }
        finally
        {
            slot.Leave();
        }
    }

    /// <summary>
    /// Gives back the memory of a slot that is closed: not before an exclusive holder of the silo gate has left, who looks
    /// at slots without their gates, and may have found this one before it was closed.
    /// </summary>
    private async Task RetireAsync(Slot slot)
    {
        siloGate.ExitShared(await siloGate.EnterSharedAsync().ConfigureAwait(false));
        slot.Gate.Enter();
        slot.Retire();
        slot.Leave();
    }

    /// <summary>
    /// Gives back the memory of all slots, which nobody uses any more: for a process that goes on without this table.
    /// </summary>
    internal void Free()
    {
        for (int number = 0; number < _slots.Length; number++)
        {
            if (Interlocked.Exchange(ref _slots[number], null) is { } slot) slot.Retire();
        }
        Retirement.Sweep();
    }

    /// <summary>Counts a change of what belongs to no slot.</summary>
    internal void CountChangeWithoutSlot() => Interlocked.Increment(ref _otherChanges);

    /// <summary>
    /// How many changes were made to the keys of slots while they were on this silo, including slots that have left,
    /// and to what belongs to no slot.
    /// </summary>
    public long CountChanges()
    {
        long changes = Volatile.Read(ref _otherChanges);
        foreach (Slot? slot in _slots)
        {
            if (slot is not null) changes += slot.Changes;
        }
        return changes;
    }

    /// <summary>How many keys a database has on this silo.</summary>
    public long KeyCount(int database) => Keys.Sum(database);

    /// <summary>How many keys a database has in one slot.</summary>
    public int KeyCount(int database, int slot) => Keys[database, slot];

    /// <summary>A time before which nothing in the slot expires: a hint that is never too late.</summary>
    internal long EarliestExpiryMs(int slot) => Volatile.Read(ref _earliestExpiryMs[slot]);

    /// <summary>The time before which nothing in any slot expires; a hint that is never too late.</summary>
    internal long EarliestExpiryMs() => _earliestExpiryMs.Min();

    /// <summary>Rings when something is going to expire earlier than all else.</summary>
    internal ExpiryAlarm ExpiryAlarm { get; } = new();

    internal void NoteExpiry(int slot, long expiresAtMs)
    {
        if (expiresAtMs >= _earliestExpiryMs[slot]) return;
        Volatile.Write(ref _earliestExpiryMs[slot], expiresAtMs);
        ExpiryAlarm.Noted(expiresAtMs);
    }

    internal void SetEarliestExpiry(int slot, long expiresAtMs) => Volatile.Write(ref _earliestExpiryMs[slot], expiresAtMs);

    private (long Hits, long Misses) AllLookups()
    {
        long hits = Volatile.Read(ref _withdrawnHits), misses = Volatile.Read(ref _withdrawnMisses);
        foreach (Slot? slot in _slots)
        {
            if (slot is null) continue;
            hits += slot.Hits;
            misses += slot.Misses;
        }
        return (hits, misses);
    }

    private static long[] NewExpiries()
    {
        var times = new long[KeySlot.Count];
        Array.Fill(times, Expiry.Never);
        return times;
    }
}
