using System.Runtime.CompilerServices;

namespace OrleansRedis.Engine;

/// <summary>
/// The keys of one hash slot, in all databases. A grain owns it (HashSlotGrain). Connections on their I/O threads,
/// grain turns and background jobs all reach it through <see cref="Gate"/>.
/// </summary>
public sealed class Slot
{
    /// <summary>To be taken before anything below is touched.</summary>
    internal SlotGate Gate;

    /// <summary>
    /// Gives the gate back, if it is the only one that the thread holds. What was found in the slot may be gone then.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal void Leave()
    {
        Gate.Exit();
        if (GateRule.IsChecked) GateRule.BeforeSweeping();
        Retirement.Sweep();
    }

    /// <summary>
    /// The set of slots with which this gate is held; null if the gate is held on its own. Under the gate.
    /// </summary>
    internal HeldSlots? Holder { get; set; }

    /// <summary>
    /// The bytes that a slot takes without keys: this object, a keyspace, and its place in the arrays of
    /// <see cref="SlotTable"/>.
    /// </summary>
    internal const long EmptyBytes = 312;

    private readonly SlotTable _table;
    private Keyspace _first;            // database 0, often the only one: one step fewer to reach it
    private Keyspace?[]? _others;       // by number; element 0 is unused
    private bool _isPublished;

    internal Slot(SlotTable table, int number, long epoch)
    {
        _table = table;
        Number = number;
        Epoch = epoch;
        _first = new Keyspace(this, 0);
        table.Memory.Add(EmptyBytes);
    }

    /// <summary>0 to 16,383.</summary>
    public int Number { get; }

    /// <summary>
    /// How many times this slot had been activated anywhere before. Everything it writes carries this number.
    /// </summary>
    public long Epoch { get; }

    /// <summary>How many effects this slot has produced in this epoch. Under the gate.</summary>
    internal long Sequence { get; set; }

    /// <summary>
    /// False once the grain has withdrawn the slot. To be checked by everyone who has entered the gate.
    /// </summary>
    internal bool IsOpen { get; set; } = true;

    /// <summary>
    /// Whether no command is let in for a while, since the slot is about to move to another silo. Its keys are still
    /// this silo's. Under the gate.
    /// </summary>
    internal bool IsSuspended { get; set; }

    /// <summary>Whether the keys are this silo's, for whoever saves them.</summary>
    internal bool IsHere => IsOpen || IsSuspended;

    /// <summary>Whether commands are let in; for those who do not hold the gate, who may be wrong a moment later.</summary>
    public bool IsServed => IsOpen;

    /// <summary>The number of its last effect, for those who do not hold the gate of a suspended slot.</summary>
    public long LastEffect => Sequence;

    /// <summary>
    /// The watchers of this slot's keys (WATCH, blocking commands); null while there are none. Under the gate.
    /// </summary>
    internal KeyWatchers? Watchers { get; set; }

    /// <summary>The bytes of all keys here. Written under the gate, read by anyone.</summary>
    public long Bytes { get; private set; }

    /// <summary>The bytes of the tables that hold the keys. Under the gate.</summary>
    internal long TableBytes { get; private set; }

    /// <summary>The bytes of everything here. Under the gate.</summary>
    internal long AllBytes => EmptyBytes + Bytes + TableBytes;

    /// <summary>
    /// How many look-ups found a key, and how many did not, since the slot came here. Written under the gate, read by
    /// anyone.
    /// </summary>
    internal long Hits { get; set; }

    /// <inheritdoc cref="Hits"/>
    internal long Misses { get; set; }

    /// <summary>How many changes were made to this slot's keys. Under the gate.</summary>
    internal long Changes { get; set; }

    /// <summary>The instants of the snapshots of all slots.</summary>
    internal SnapshotInstants Instants => _table.Instants;

    /// <summary>
    /// A keyspace made here now belongs to none of the snapshots up to this one; before the slot is published, to none
    /// at all.
    /// </summary>
    internal long LatestInstant => _isPublished ? _table.Instants.Latest : long.MaxValue;

    /// <summary>The keys of a database; made on first use.</summary>
    internal Keyspace Keyspace(int database)
    {
        if (database == 0) return _first;
        _others ??= new Keyspace?[_table.Databases];
        if (_others[database] is { } keyspace) return keyspace;
        return _others[database] = new Keyspace(this, database);
    }

    /// <summary>The keys of a database; null if it never had any.</summary>
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
    /// Gives up a keyspace whose last key is gone, unless it is database 0's. This is for eviction: tens of thousands
    /// of empty tables may be more than its limit leaves room for. Not to be called from within a command, which may be
    /// about to add to the keyspace.
    /// </summary>
    internal void DropIfEmpty(Keyspace keyspace)
    {
        if (keyspace.Count != 0 || keyspace.Database == 0 || keyspace.Snapshots is not null) return;
        _others![keyspace.Database] = null;
        TablesChanged(-keyspace.CountedCellBytes);
        keyspace.Retire();
    }

    /// <summary>Empties a database; its keyspace is retired. Returns how many keys it had.</summary>
    internal int Clear(int database)
    {
        Keyspace? cleared = KeyspaceIfAny(database);
        if (cleared is null || cleared.Count == 0) return 0;
        int count = cleared.Count;
        if (database == 0) _first = new Keyspace(this, 0);
        else _others![database] = null;
        AddBytes(-cleared.EntryBytes);
        TablesChanged(-cleared.CountedCellBytes);
        KeyCountChanged(database, -cleared.Count);
        ExpiringCountChanged(database, -cleared.ExpiringCount);
        cleared.Flushed();
        cleared.Retire();
        return count;
    }

    /// <summary>
    /// The slot is about to be published. From here on its contents belong to every snapshot that begins later.
    /// </summary>
    internal void TakesPlace()
    {
        _isPublished = true;
        _first.TakesPlace();
        foreach (Keyspace? keyspace in _others ?? []) keyspace?.TakesPlace();
    }

    /// <summary>Snapshots will no longer come across this slot.</summary>
    internal void LeavesPlace()
    {
        _first.LeavesPlace();
        foreach (Keyspace? keyspace in _others ?? []) keyspace?.LeavesPlace();
    }

    /// <summary>The slot is closed, and nobody comes here any more: its memory is given back.</summary>
    internal void Retire()
    {
        _first.Retire();
        foreach (Keyspace? keyspace in _others ?? []) keyspace?.Retire();
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
        if (IsHere) _table.Memory.Add(difference);
    }

    internal void TablesChanged(long difference)
    {
        TableBytes += difference;
        if (IsHere) _table.Memory.Add(difference);
    }

    internal void KeyCountChanged(int database, int difference) => _table.Keys.Add(database, Number, difference);

    internal void ExpiringCountChanged(int database, int difference) => _table.ExpiringKeys.Add(database, Number, difference);

    internal void NoteExpiry(long expiresAtMs) => _table.NoteExpiry(Number, expiresAtMs);
}
