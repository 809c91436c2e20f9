using System.Diagnostics;
using System.Runtime.InteropServices;

namespace OrleansRedis.Engine;

/// <summary>
/// A snapshot's mark on a keyspace: which regions of it are written. A region is a range of hashes. The number of
/// regions is decided at the first look, so that each holds some hundred keys, or some hundred kB. This is state of the
/// slot: under its gate.
/// </summary>
internal sealed class KeyspaceSnapshot(Keyspace keyspace)
{
    /// <summary>About how many keys are copied in one hold of the gate, in some tens of µs.</summary>
    private const int KeysPerRegion = 256;

    /// <summary>The same limit in bytes of memory: compressing that many takes about a millisecond.</summary>
    private const long BytesPerRegion = 128 * 1024;

    /// <summary>A keyspace of up to this many keys is written whole, unless it is large.</summary>
    private const int MostKeysWritten = 512;

    private Snapshot? _snapshot;        // null once the mark is taken off
    private uint _regions;              // 0 until the first look, which sees the keyspace as it was at the instant
    private ulong[]? _written;          // a bit for each region; null if there is only one
    private uint _next;                 // all regions before this one are written
    private uint _left;
    private bool _isStray;              // the saver has been told of the keyspace

    [ThreadStatic]
    private static List<KeyEntry>? t_entries;

    /// <summary>The number that the database had at the instant.</summary>
    public int Database { get; private set; }

    /// <summary>The next mark on the same keyspace, of another snapshot.</summary>
    public KeyspaceSnapshot? Next { get; private set; }

    /// <summary>The bytes of the keyspace if it was flushed; otherwise 0.</summary>
    public long FlushedBytes { get; private set; }

    /// <summary>Whether the mark belongs to this snapshot and is on.</summary>
    public bool IsOf(Snapshot snapshot) => ReferenceEquals(_snapshot, snapshot);

    /// <summary>Puts the mark on. It may have served another snapshot before.</summary>
    public void Put(Snapshot snapshot)
    {
        Debug.Assert(_snapshot is null);
        _snapshot = snapshot;
        _regions = _next = _left = 0;
        _written = null;
        _isStray = false;
        Database = keyspace.Database;
        Next = keyspace.Snapshots;
        keyspace.Snapshots = this;
    }

    /// <summary>Takes the mark off, if it is still on.</summary>
    public void TakeOff()
    {
        if (_snapshot is null) return;
        _snapshot = null;
        FlushedBytes = 0;
        if (ReferenceEquals(keyspace.Snapshots, this))
        {
            keyspace.Snapshots = Next;
        }
        else
        {
            for (KeyspaceSnapshot? mark = keyspace.Snapshots; mark is not null; mark = mark.Next)
            {
                if (ReferenceEquals(mark.Next, this)) mark.Next = Next;
            }
        }
        keyspace.KeepSpare(this); // Next stays as it is, for code that is walking along the marks
        if (keyspace.Snapshots is null) keyspace.LeftBySnapshots();
    }

    /// <summary>A writer is about to change the entry at this hash.</summary>
    public void BeforeChange(uint hash) => _snapshot!.WriteFor(this, hash);

    /// <summary>The snapshot will not find the keyspace in its place.</summary>
    public void LeavesPlace()
    {
        if (!_isStray) _snapshot!.KeepTrackOf(keyspace);
        _isStray = true;
    }

    /// <summary>The keyspace is gone for everyone but the snapshot.</summary>
    public void Flushed() => _snapshot!.KeepFlushed(this);

    /// <summary>
    /// Notes that the keyspace was flushed, and returns how many bytes are now held for the snapshot alone.
    /// </summary>
    public long NoteFlushed() => FlushedBytes = keyspace.Bytes;

    public bool IsWritten(uint hash)
    {
        Divide();
        return IsRegionWritten(RegionOf(hash));
    }

    /// <summary>Writes the region of a hash, which must not be written yet. True if it was the last region.</summary>
    public bool WriteRegionOf(uint hash, SnapshotChunk chunk) => Write(RegionOf(hash), chunk);

    /// <summary>Writes the next region that is not yet written, if there is one. True if none is left.</summary>
    public bool WriteNext(SnapshotChunk chunk)
    {
        Divide();
        if (_left == 0) return true;
        while (IsRegionWritten(_next)) _next++;
        return Write(_next++, chunk);
    }

    /// <summary>Decides how many regions there are, before anything has changed.</summary>
    private void Divide()
    {
        if (_regions != 0) return;
        long keys = keyspace.Count, byCount = keys <= MostKeysWritten ? 1 : (keys + KeysPerRegion - 1) / KeysPerRegion;
        long bySize = (keyspace.EntryBytes + BytesPerRegion - 1) / BytesPerRegion;
        // More regions than twice the keys would be of no use: most large keys then have a region to themselves.
        _left = _regions = (uint)Math.Clamp(Math.Min(Math.Max(byCount, bySize), 2 * keys), 1, int.MaxValue);
        if (_regions > 1) _written = new ulong[(_regions + 63) / 64];
    }

    private uint RegionOf(uint hash) => (uint)(((ulong)hash * _regions) >> 32);

    private bool IsRegionWritten(uint region) => _written is null ? _left == 0 : (_written[region / 64] & (1UL << (int)(region % 64))) != 0;

    private bool Write(uint region, SnapshotChunk chunk)
    {
        Debug.Assert(!IsRegionWritten(region));
        if (_written is null)
        {
            chunk.Foresee(keyspace.EntryBytes);
            foreach (KeyEntry entry in keyspace) chunk.Take(Database, entry);
            return --_left == 0;
        }
        List<KeyEntry> entries = t_entries ??= [];
        try
        {
            chunk.Foresee(keyspace.EntryBytes / _regions * 5 / 4);
            keyspace.Range(FirstHashOf(region), FirstHashOf(region + 1), entries);
            foreach (KeyEntry entry in CollectionsMarshal.AsSpan(entries)) chunk.Take(Database, entry);
        }
        finally
        {
            entries.Clear();
        }
        _written[region / 64] |= 1UL << (int)(region % 64);
        return --_left == 0;
    }

    private ulong FirstHashOf(uint region) => (((ulong)region << 32) + _regions - 1) / _regions;
}
