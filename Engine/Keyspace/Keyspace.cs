using System.Runtime.CompilerServices;

namespace OrleansRedis.Engine;

/// <summary>The keys of one logical database that fall into one slot. Whoever holds the slot's gate may touch it.</summary>
internal sealed class Keyspace(Slot slot, int database) : ByteTable<KeyEntry>(commonOrder: true)
{
    private static readonly long s_emptyArrayBytes = new ByteTable<KeyEntry>(commonOrder: true).ArrayBytes;

    private long _earliestMetMs = Expiry.Never; // during a pass of the active expiry: what it, and NoteExpiry, met so far
    private uint _expiryCursor;                 // where that pass goes on; 0: there is none
    private uint _nextExpiryCursor;
    private long _instant = slot.LatestInstant; // the latest that this keyspace has heard of
    private KeyspaceSnapshot? _spareMark;

    public Slot Slot { get; } = slot;

    /// <summary>The bytes of the table that the slot has been told of.</summary>
    internal long CountedArrayBytes { get; private set; } = s_emptyArrayBytes;

    public int Database { get; private set; } = database;

    /// <summary>How many keys have a time of expiry.</summary>
    public int ExpiringCount { get; private set; }

    /// <summary>Nothing here expires before this time; a lower bound, made exact by the active expiry when it is reached.</summary>
    public long EarliestExpiryMs { get; private set; } = Expiry.Never;

    /// <summary>Bytes of all entries.</summary>
    public long EntryBytes { get; private set; }

    /// <summary>Bytes of all entries and of the table.</summary>
    public long Bytes => EntryBytes + ArrayBytes;

    /// <summary>The snapshots that are under way, of this keyspace; null if there are none.</summary>
    internal KeyspaceSnapshot? Snapshots { get; set; }

    /// <summary>
    /// To be called before anything about a key changes, its being here included, so that snapshots get what it was. A command that says it
    /// writes has it called for every key it reaches; what changes keys in other ways calls it.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal void BeforeChange(scoped ReadOnlySpan<byte> key)
    {
        if (Snapshots is not null || _instant < Slot.Instants.Latest) WriteToSnapshots(key);
    }

    /// <summary>Gets the marks of the snapshots whose instants were since it last heard of one; nothing has changed since then.</summary>
    internal void HearOfInstants()
    {
        long latest = Slot.Instants.Latest;
        if (_instant >= latest) return;
        if (Count != 0)
        {
            foreach (Snapshot snapshot in Slot.Instants.UnderWay)
            {
                if (snapshot.Instant > _instant && !snapshot.IsOver) AddMark(snapshot);
            }
        }
        _instant = latest;
    }

    /// <summary>Has all of it, as it is now, written to this snapshot before it changes.</summary>
    internal void AddMark(Snapshot snapshot)
    {
        KeyspaceSnapshot mark = _spareMark ?? new(this);
        _spareMark = null;
        mark.Put(snapshot);
    }

    /// <summary>A mark is off, and may be used again; by somebody who comes to the gate later, so that it is safe to walk from a mark that is taken off to the next.</summary>
    internal void KeepSpare(KeyspaceSnapshot mark) => _spareMark = mark;

    /// <summary>This snapshot's mark, if it is on.</summary>
    internal KeyspaceSnapshot? MarkOf(Snapshot snapshot)
    {
        KeyspaceSnapshot? mark = Snapshots;
        while (mark is not null && !mark.IsOf(snapshot)) mark = mark.Next;
        return mark;
    }

    /// <inheritdoc cref="Slot.TakesPlace"/>
    internal void TakesPlace() => _instant = Slot.LatestInstant;

    /// <summary>Snapshots will not find this keyspace in its place any more, so they are told of it.</summary>
    internal void LeavesPlace()
    {
        HearOfInstants();
        for (KeyspaceSnapshot? mark = Snapshots; mark is not null; mark = mark.Next) mark.LeavesPlace();
    }

    /// <summary>The slot has given this keyspace up; nobody will change it any more.</summary>
    internal void Flushed()
    {
        LeavesPlace();
        for (KeyspaceSnapshot? mark = Snapshots; mark is not null; mark = mark.Next) mark.Flushed();
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private void WriteToSnapshots(scoped ReadOnlySpan<byte> key)
    {
        HearOfInstants();
        uint hash = KeyHash.Of(key);
        for (KeyspaceSnapshot? mark = Snapshots; mark is not null; mark = mark.Next) mark.BeforeChange(hash);
    }

    /// <summary>The key's entry, even if its time has come; most callers want <see cref="CommandContext"/>'s Read and Write.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public Entry Find(scoped ReadOnlySpan<byte> key) => new(this, ref Find(key, KeyHash.Of(key)));

    /// <summary>Adds an entry whose key is known to be absent.</summary>
    public new void Add(object entry)
    {
        base.Add(entry);
        CountEntry(entry, +1);
    }

    /// <summary>Adds an entry whose key has this hash; false if the key is there.</summary>
    public bool TryAdd(object entry, uint hash)
    {
        if (!Unsafe.IsNullRef(ref Find(KeyEntry.KeyOf(entry), hash))) return false;
        base.Add(entry, hash);
        CountEntry(entry, +1);
        return true;
    }

    /// <summary>Puts the entry there, in place of the key's former one if there is one.</summary>
    public void Set(object entry)
    {
        Entry found = Find(KeyEntry.KeyOf(entry));
        if (found.IsMissing) Add(entry);
        else found.Replace(entry);
    }

    /// <summary>Takes the key out and returns its entry, or null if there was none.</summary>
    public new object? Remove(ReadOnlySpan<byte> key)
    {
        object? entry = base.Remove(key);
        if (entry is not null) CountEntry(entry, -1);
        return entry;
    }

    /// <summary>Gives the key another time of expiry (<see cref="Expiry.Never"/> for none).</summary>
    public static void SetExpiry(in Entry entry, long expiresAtMs)
    {
        object old = entry.Object;
        long before = entry.ExpiresAtMs;
        object changed = KeyEntry.WithExpiry(old, expiresAtMs);
        if (ReferenceEquals(old, changed)) entry.Keyspace.ExpiryChanged(before, expiresAtMs);
        else entry.Replace(changed);
    }

    /// <summary>To be called after a value has changed in size, so that the slot's memory is counted right.</summary>
    public void Recount(Value value)
    {
        long bytes = value.Bytes, difference = bytes - value.CountedBytes;
        if (difference == 0) return;
        value.CountedBytes = bytes;
        EntryBytes += difference;
        Slot.AddBytes(difference);
    }

    /// <summary>Something here expires at this time: a key, or a field of a hash.</summary>
    public void NoteExpiry(long expiresAtMs)
    {
        if (_expiryCursor != 0) MetWhileScanning(expiresAtMs);
        if (expiresAtMs >= EarliestExpiryMs) return;
        EarliestExpiryMs = expiresAtMs;
        Slot.NoteExpiry(expiresAtMs);
    }

    /// <summary>
    /// Appends the next entries for the active expiry to look at; a pass goes through all of them in several such steps, with
    /// commands in between. Of each it says with <see cref="MetWhileScanning"/> when it is due, and ends the step with <see cref="EndScanForExpiry"/>.
    /// </summary>
    public void ScanForExpiry(int atLeast, List<object> into)
    {
        if (_expiryCursor == 0) _earliestMetMs = Expiry.Never;
        _nextExpiryCursor = Scan(_expiryCursor, atLeast, into);
    }

    /// <inheritdoc cref="ScanForExpiry"/>
    public void MetWhileScanning(long expiresAtMs) => _earliestMetMs = Math.Min(_earliestMetMs, expiresAtMs);

    /// <summary>True if the pass has met every key; then <see cref="EarliestExpiryMs"/> is exact.</summary>
    public bool EndScanForExpiry()
    {
        _expiryCursor = _nextExpiryCursor;
        if (_expiryCursor != 0) return false;
        EarliestExpiryMs = _earliestMetMs;
        return true;
    }

    /// <summary>The keyspace becomes another database's, for SWAPDB.</summary>
    internal void Renumber(int database) => Database = database;

    internal void Replaced(object old, object entry)
    {
        long difference = Counted(entry) - CountedBefore(old);
        EntryBytes += difference;
        Slot.AddBytes(difference);
        ExpiryChanged(KeyEntry.ExpiresAtMs(old), KeyEntry.ExpiresAtMs(entry));
        NoteExpiry(KeyEntry.EarliestExpiryMs(entry));
    }

    private void ExpiryChanged(long before, long after)
    {
        CountExpiring((after != Expiry.Never ? 1 : 0) - (before != Expiry.Never ? 1 : 0));
        if (after != Expiry.Never) NoteExpiry(after);
    }

    private void CountEntry(object entry, int sign)
    {
        long bytes = sign > 0 ? Counted(entry) : -CountedBefore(entry);
        EntryBytes += bytes;
        Slot.AddBytes(bytes);
        CountArrays();
        Slot.KeyCountChanged(Database, sign);
        long expiresAtMs = KeyEntry.ExpiresAtMs(entry);
        if (expiresAtMs != Expiry.Never) CountExpiring(sign);
        if (sign > 0) NoteExpiry(KeyEntry.EarliestExpiryMs(entry));
    }

    private void CountExpiring(int difference)
    {
        if (difference == 0) return;
        ExpiringCount += difference;
        Slot.ExpiringCountChanged(Database, difference);
    }

    private void CountArrays()
    {
        long difference = ArrayBytes - CountedArrayBytes;
        if (difference == 0) return;
        CountedArrayBytes += difference;
        Slot.TablesChanged(difference);
    }

    private static long Counted(object entry)
    {
        if (entry is byte[] blob) return Blob.AllocatedBytes(blob.Length);
        Value value = Unsafe.As<Value>(entry);
        return value.CountedBytes = value.Bytes;
    }

    private static long CountedBefore(object entry) =>
        entry is byte[] blob ? Blob.AllocatedBytes(blob.Length) : Unsafe.As<Value>(entry).CountedBytes;
}
