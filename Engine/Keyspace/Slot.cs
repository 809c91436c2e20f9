namespace OrleansRedis.Engine;

/// <summary>
/// The keys of one hash slot, in all databases. A grain owns it (HashSlotGrain), everyone reaches it through
/// <see cref="Gate"/>: a connection on its I/O thread, a grain turn, a background job.
/// </summary>
public sealed class Slot
{
    /// <summary>Taken before anything below is touched.</summary>
    internal SlotGate Gate;

    /// <summary>Who holds the gate, perhaps with others; null if it is held alone by whoever wanted only that. Under the gate.</summary>
    internal HeldSlots? Holder { get; set; }

    /// <summary>What a slot takes before it has keys, its first table not counted: this object, a keyspace, its place in the arrays of <see cref="SlotTable"/>.</summary>
    private const long FixedBytes = 312;

    private readonly SlotTable _table;
    private Keyspace _first;            // database 0, which most use alone: one step, not two
    private Keyspace?[]? _others;       // by number; element 0 is not used
    private bool _isPublished;

    internal Slot(SlotTable table, int number, long epoch)
    {
        _table = table;
        Number = number;
        Epoch = epoch;
        _first = new Keyspace(this, 0);
        table.Memory.Add(FixedBytes);
        TablesChanged(_first.ArrayBytes);
    }

    /// <summary>0 to 16,383.</summary>
    public int Number { get; }

    /// <summary>How many times this slot had been activated anywhere before; everything it writes carries it.</summary>
    public long Epoch { get; }

    /// <summary>How many effects this slot has produced in this epoch; under the gate.</summary>
    internal long Sequence { get; set; }

    /// <summary>False from the moment the grain has withdrawn it. Checked inside the gate by whoever enters.</summary>
    internal bool IsOpen { get; set; } = true;

    /// <summary>Who watches keys of this slot (WATCH, blocking commands); null while nobody does. Under the gate.</summary>
    internal KeyWatchers? Watchers { get; set; }

    /// <summary>Bytes of all keys here. Written under the gate, read by anyone.</summary>
    public long Bytes { get; private set; }

    /// <summary>Bytes of the tables that hold the keys. Under the gate.</summary>
    internal long TableBytes { get; private set; }

    /// <summary>Bytes of everything here. Under the gate.</summary>
    internal long AllBytes => FixedBytes + Bytes + TableBytes;

    /// <summary>Look-ups that found a key, or did not; under the gate.</summary>
    internal long Hits { get; set; }

    /// <inheritdoc cref="Hits"/>
    internal long Misses { get; set; }

    /// <summary>Changes made to this slot's keys; under the gate.</summary>
    internal long Changes { get; set; }

    /// <summary>The instants that snapshots of all slots have fixed.</summary>
    internal SnapshotInstants Instants => _table.Instants;

    /// <summary>What is made here now belongs to none of the snapshots up to this one; before the slot is published, to none at all.</summary>
    internal long LatestInstant => _isPublished ? _table.Instants.Latest : long.MaxValue;

    /// <summary>The keys of a database, made on first use.</summary>
    internal Keyspace Keyspace(int database)
    {
        if (database == 0) return _first;
        _others ??= new Keyspace?[_table.Databases];
        if (_others[database] is { } keyspace) return keyspace;
        keyspace = new Keyspace(this, database);
        TablesChanged(keyspace.ArrayBytes);
        return _others[database] = keyspace;
    }

    /// <summary>The keys of a database, or null if it never had any.</summary>
    internal Keyspace? KeyspaceIfAny(int database) => database == 0 ? _first : _others?[database];

    /// <summary>Swaps two databases.</summary>
    internal void Swap(int first, int second)
    {
        if (KeyspaceIfAny(first) is null && KeyspaceIfAny(second) is null) return;
        Keyspace a = Keyspace(first), b = Keyspace(second);
        a.LeavesPlace();
        b.LeavesPlace();
        Put(b, first);
        Put(a, second);
        _table.Keys.Swap(Number, first, second);
        _table.ExpiringKeys.Swap(Number, first, second);
    }

    /// <summary>
    /// Gives up a keyspace whose last key has gone, unless it is the first database's. Not from within a command, which may be about to add to it:
    /// for eviction, whose limit may be nearer than tens of thousands of empty tables.
    /// </summary>
    internal void DropIfEmpty(Keyspace keyspace)
    {
        if (keyspace.Count != 0 || keyspace.Database == 0 || keyspace.Snapshots is not null) return;
        _others![keyspace.Database] = null;
        TablesChanged(-keyspace.CountedArrayBytes);
    }

    /// <summary>Empties a database and returns what was in it, so that the caller may free it in the background.</summary>
    internal Keyspace? Clear(int database)
    {
        Keyspace? cleared = KeyspaceIfAny(database);
        if (cleared is null || cleared.Count == 0) return null;
        if (database == 0) _first = new Keyspace(this, 0);
        else _others![database] = null;
        AddBytes(-cleared.EntryBytes);
        TablesChanged((database == 0 ? _first.ArrayBytes : 0) - cleared.CountedArrayBytes);
        KeyCountChanged(database, -cleared.Count);
        ExpiringCountChanged(database, -cleared.ExpiringCount);
        cleared.Flushed();
        return cleared;
    }

    /// <summary>The slot is about to be published: what it holds belongs to the snapshots whose instant is yet to come.</summary>
    internal void TakesPlace()
    {
        _isPublished = true;
        _first.TakesPlace();
        foreach (Keyspace? keyspace in _others ?? []) keyspace?.TakesPlace();
    }

    /// <summary>Snapshots will not come across this slot any more.</summary>
    internal void LeavesPlace()
    {
        _first.LeavesPlace();
        foreach (Keyspace? keyspace in _others ?? []) keyspace?.LeavesPlace();
    }

    private void Put(Keyspace keyspace, int database)
    {
        keyspace.Renumber(database);
        if (database == 0) _first = keyspace;
        else _others![database] = keyspace;
    }

    internal void AddBytes(long difference)
    {
        Bytes += difference;
        if (IsOpen) _table.Memory.Add(difference);
    }

    internal void TablesChanged(long difference)
    {
        TableBytes += difference;
        if (IsOpen) _table.Memory.Add(difference);
    }

    internal void KeyCountChanged(int database, int difference) => _table.Keys.Add(database, Number, difference);

    internal void ExpiringCountChanged(int database, int difference) => _table.ExpiringKeys.Add(database, Number, difference);

    internal void NoteExpiry(long expiresAtMs) => _table.NoteExpiry(Number, expiresAtMs);
}
