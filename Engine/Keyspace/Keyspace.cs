using System.Runtime.CompilerServices;

namespace OrleansRedis.Engine;

/// <summary>
/// The keys of one logical database that fall into one slot. Only the thread that holds the slot's gate may touch it.
/// </summary>
internal sealed class Keyspace(Slot slot, int database) : ByteTable<KeyEntry>(commonOrder: true), IFreeable
{
    private const long LatestSummedMs = 1L << 46;

    // while a pass of the active expiry runs: the earliest expiry met so far
    private long _earliestMetMs = Expiry.Never;
    private uint _expiryCursor;                 // where that pass continues; 0 if none is running
    private uint _nextExpiryCursor;
    private long _instant = slot.LatestInstant; // the latest instant that this keyspace has heard of
    private KeyspaceSnapshot? _spareMark;
    private bool _isRetired;

    public Slot Slot { get; } = slot;

    /// <summary>The bytes of the table that the slot has been told of.</summary>
    internal long CountedCellBytes { get; private set; }

    public int Database { get; private set; } = database;

    /// <summary>How many keys have a time of expiry.</summary>
    public int ExpiringCount { get; private set; }

    /// <summary>
    /// The sum of these times, as far as each is before the year 4199: so many keys do not make it overflow.
    /// </summary>
    internal long ExpirySumMs { get; private set; }

    /// <summary>How many hashes have a field with a time of expiry.</summary>
    internal int FieldExpiringCount { get; private set; }

    /// <summary>
    /// Nothing here expires before this time. It is a lower bound, which the active expiry makes exact when it is
    /// reached.
    /// </summary>
    public long EarliestExpiryMs { get; private set; } = Expiry.Never;

    /// <summary>The bytes of all entries.</summary>
    public long EntryBytes { get; private set; }

    /// <summary>The bytes of all entries and of the table.</summary>
    public long Bytes => EntryBytes + CellBytes;

    /// <summary>The marks of the snapshots of this keyspace that are under way; null if there are none.</summary>
    internal KeyspaceSnapshot? Snapshots { get; set; }

    /// <summary>
    /// To be called before anything about a key changes, including whether it exists, so that snapshots get its old
    /// state. A command that is declared to write has this called for every key it reaches; code that changes keys in
    /// other ways calls it itself.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal void BeforeChange(scoped ReadOnlySpan<byte> key)
    {
        if (Snapshots is not null || _instant < Slot.Instants.Latest) WriteToSnapshots(key);
    }

    /// <summary>
    /// Gets the marks of the snapshots that have begun since this keyspace last heard of one. Nothing here has changed
    /// since then.
    /// </summary>
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

    /// <summary>Has everything here, as it is now, written to this snapshot before it changes.</summary>
    internal void AddMark(Snapshot snapshot)
    {
        KeyspaceSnapshot mark = _spareMark ?? new(this);
        _spareMark = null;
        mark.Put(snapshot);
    }

    /// <summary>
    /// Keeps a mark that was taken off, for the next snapshot to use. It is put on again only by a thread that enters
    /// the gate later, so it is safe to walk on from a mark that is taken off to the next one.
    /// </summary>
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

    /// <summary>Snapshots will no longer find this keyspace in its place, so they are told of it.</summary>
    internal void LeavesPlace()
    {
        HearOfInstants();
        for (KeyspaceSnapshot? mark = Snapshots; mark is not null; mark = mark.Next) mark.LeavesPlace();
    }

    /// <summary>The slot has given this keyspace up, and nothing changes it any more.</summary>
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

    /// <summary>
    /// The key's entry, even if it has expired. Most callers want Read and Write of <see cref="CommandContext"/>.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public Entry Find(scoped ReadOnlySpan<byte> key) => new(this, ref Find(key, KeyHash.Of(key)));

    /// <summary>Adds an entry whose key is known to be absent.</summary>
    public new void Add(KeyEntry entry)
    {
        base.Add(entry);
        CountEntry(entry, +1);
    }

    /// <summary>Adds an entry whose key has this hash. False if the key exists already.</summary>
    public bool TryAdd(KeyEntry entry, uint hash)
    {
        if (!Unsafe.IsNullRef(ref Find(entry.Key, hash))) return false;
        base.Add(entry, hash);
        CountEntry(entry, +1);
        return true;
    }

    /// <summary>Stores the entry, in place of the key's previous one, which is retired, if there is one.</summary>
    public void Set(KeyEntry entry)
    {
        Entry found = Find(entry.Key);
        if (found.IsMissing) Add(entry);
        else found.Overwrite(entry);
    }

    /// <summary>Removes the key; its entry is retired. False if there was none.</summary>
    public new bool Remove(ReadOnlySpan<byte> key)
    {
        KeyEntry entry = Take(key);
        if (entry.IsNone) return false;
        entry.Retire();
        return true;
    }

    /// <summary>Removes the key and returns its entry, which belongs to the caller; none if there was none.</summary>
    public KeyEntry Take(ReadOnlySpan<byte> key)
    {
        KeyEntry entry = base.Remove(key);
        if (!entry.IsNone) CountEntry(entry, -1);
        return entry;
    }

    /// <summary>Gives the key another time of expiry (<see cref="Expiry.Never"/> for none).</summary>
    public static void SetExpiry(in Entry entry, long expiresAtMs)
    {
        long before = entry.ExpiresAtMs;
        KeyEntry changed = entry.Found.WithExpiry(expiresAtMs);
        if (entry.Found == changed) entry.Keyspace.ExpiryChanged(before, expiresAtMs);
        else entry.Replace(changed);
    }

    /// <summary>
    /// To be called after a value's size has changed, so that the slot's memory stays correctly counted.
    /// </summary>
    public void Recount(Value value)
    {
        long bytes = value.Bytes, difference = bytes - value.CountedBytes;
        if (difference == 0) return;
        value.CountedBytes = bytes;
        EntryBytes += difference;
        Slot.AddBytes(difference);
    }

    /// <summary>
    /// To be called after the fields of a hash, or their times of expiry, have changed in place.
    /// </summary>
    public void RecountFields(KeyEntry hash) => CountFields(hash, hash.IsCountedForFields, hash.HasExpiringFields);

    /// <summary>Notes that something here expires at this time: a key, or a field of a hash.</summary>
    public void NoteExpiry(long expiresAtMs)
    {
        if (_expiryCursor != 0) MetWhileScanning(expiresAtMs);
        if (expiresAtMs >= EarliestExpiryMs) return;
        EarliestExpiryMs = expiresAtMs;
        Slot.NoteExpiry(expiresAtMs);
    }

    /// <summary>
    /// Appends the next entries for the active expiry to look at. A pass goes through all keys in several such steps,
    /// with commands in between. The caller reports the expiry of each entry with <see cref="MetWhileScanning"/>, and
    /// ends the step with <see cref="EndScanForExpiry"/>.
    /// </summary>
    public void ScanForExpiry(int atLeast, List<KeyEntry> into)
    {
        if (_expiryCursor == 0) _earliestMetMs = Expiry.Never;
        _nextExpiryCursor = Scan(_expiryCursor, atLeast, into);
    }

    /// <inheritdoc cref="ScanForExpiry"/>
    public void MetWhileScanning(long expiresAtMs) => _earliestMetMs = Math.Min(_earliestMetMs, expiresAtMs);

    /// <summary>Whether the pass has met every key; <see cref="EarliestExpiryMs"/> is then exact.</summary>
    public bool EndScanForExpiry()
    {
        _expiryCursor = _nextExpiryCursor;
        if (_expiryCursor != 0) return false;
        EarliestExpiryMs = _earliestMetMs;
        return true;
    }

    /// <summary>Makes this the keyspace of another database, for SWAPDB.</summary>
    internal void Renumber(int database) => Database = database;

    internal void Replaced(KeyEntry old, KeyEntry entry)
    {
        long difference = Counted(entry) - CountedBefore(old);
        EntryBytes += difference;
        Slot.AddBytes(difference);
        // The new entry's own mark means nothing yet: it came along if the entry is a grown copy of the old one.
        CountFields(entry, old.IsCountedForFields, entry.HasExpiringFields);
        ExpiryChanged(old.ExpiresAtMs, entry.ExpiresAtMs);
        NoteExpiry(entry.EarliestExpiryMs);
    }

    private void ExpiryChanged(long before, long after)
    {
        if (before == Expiry.Never && after == Expiry.Never) return;
        CountExpiring((after != Expiry.Never ? 1 : 0) - (before != Expiry.Never ? 1 : 0));
        ExpirySumMs += Summed(after) - Summed(before);
        if (after != Expiry.Never) NoteExpiry(after);
    }

    private void CountEntry(KeyEntry entry, int sign)
    {
        long bytes = sign > 0 ? Counted(entry) : -CountedBefore(entry);
        EntryBytes += bytes;
        Slot.AddBytes(bytes);
        CountArrays();
        Slot.KeyCountChanged(Database, sign);
        long expiresAtMs = entry.ExpiresAtMs;
        if (expiresAtMs != Expiry.Never)
        {
            CountExpiring(sign);
            ExpirySumMs += sign * Summed(expiresAtMs);
        }
        bool wasCounted = sign < 0 && entry.IsCountedForFields;
        CountFields(entry, wasCounted, sign > 0 && entry.HasExpiringFields);
        if (sign > 0) NoteExpiry(entry.EarliestExpiryMs);
    }

    private void CountExpiring(int difference)
    {
        if (difference == 0) return;
        ExpiringCount += difference;
        Slot.ExpiringCountChanged(Database, difference);
    }

    /// <summary>Sets the entry's mark, and counts it accordingly.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private void CountFields(KeyEntry entry, bool before, bool after)
    {
        if (before | after | entry.IsCountedForFields) CountFieldsOf(entry, before, after);
    }

    private void CountFieldsOf(KeyEntry entry, bool before, bool after)
    {
        entry.SetCountedForFields(after);
        FieldExpiringCount += (after ? 1 : 0) - (before ? 1 : 0);
    }

    private static long Summed(long expiresAtMs) => expiresAtMs == Expiry.Never ? 0 : Math.Clamp(expiresAtMs, -LatestSummedMs, LatestSummedMs);

    private void CountArrays()
    {
        long difference = CellBytes - CountedCellBytes;
        if (difference == 0) return;
        CountedCellBytes += difference;
        Slot.TablesChanged(difference);
    }

    private static long Counted(KeyEntry entry)
    {
        if (entry.TryBlob(out Blob blob)) return blob.AllocatedBytes;
        Value value = entry.Value;
        return value.CountedBytes = value.Bytes;
    }

    private static long CountedBefore(KeyEntry entry) => entry.TryBlob(out Blob blob) ? blob.AllocatedBytes : entry.Value.CountedBytes;

    /// <summary>
    /// The slot has no use for this keyspace any more: its memory is given back, once no snapshot needs it either.
    /// </summary>
    internal void Retire()
    {
        _isRetired = true;
        if (Snapshots is null) Retirement.Retire(this);
    }

    /// <summary>The last mark has been taken off.</summary>
    internal void LeftBySnapshots()
    {
        if (_isRetired) Retirement.Retire(this);
    }

    long IFreeable.FreeEffort => Count;
}
