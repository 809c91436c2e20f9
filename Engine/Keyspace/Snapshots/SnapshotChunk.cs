using System.Buffers.Binary;
using System.Collections.Concurrent;

namespace OrleansRedis.Engine;

/// <summary>
/// A run of keys in the form in which a snapshot writes them: RDB opcodes or commands. Within a chunk each run of keys
/// of one database begins by naming the database, so chunks may follow each other in any order. Only one thread at a
/// time uses a chunk.
/// <para>
/// Small keys, which are one blob each, are only copied while the gate is held. <see cref="Complete"/> brings them into
/// their final form later, with no gate held. That takes ten times as long as copying, and a thread that loses its
/// processor meanwhile keeps nobody waiting.
/// </para>
/// </summary>
internal abstract unsafe class SnapshotChunk
{
    private const int RoomUnit = 1024, MostForeseen = 64 * 1024, Large = 1 << 20;

    // database, length and bytes of each blob: one array, since thousands of chunks may wait in the queue
    private byte[] _copies = [];
    private int _copiedBytes;
    private int _foreseenBytes;
    private int _database = -1;

    /// <summary>What was written since <see cref="Clear"/>. Complete only after <see cref="Complete"/>.</summary>
    public abstract ReadOnlySpan<byte> Written { get; }

    /// <summary>The approximate number of bytes that it holds.</summary>
    public long Length => WrittenLength + _copiedBytes;

    /// <summary>The length of <see cref="Written"/>.</summary>
    protected virtual int WrittenLength => Written.Length;

    /// <summary>The length of the array behind <see cref="Written"/>.</summary>
    protected abstract int Room { get; }

    /// <summary>The number of keys that it holds.</summary>
    public int Keys { get; private set; }

    /// <summary>The memory that these keys took in their keyspaces.</summary>
    public long MemoryBytes { get; private set; }

    /// <summary>The memory that the chunk itself takes.</summary>
    public long HeldBytes => _copies.Length + Room;

    /// <summary>Whether it takes so much memory that it had better not be kept.</summary>
    public bool IsLarge => HeldBytes > Large;

    /// <summary>Whether everything in it is only copied, and nothing written yet.</summary>
    public bool IsOnlyCopied => WrittenLength == 0;

    /// <summary>Announces that probably no more than this many bytes will be copied next.</summary>
    public void Foresee(long bytes) => _foreseenBytes = (int)Math.Min(bytes, MostForeseen);

    /// <summary>Takes a key of a database as it is now. Under its slot's gate.</summary>
    public void Take(int database, KeyEntry entry)
    {
        // Of what is large, another copy is not worth its memory, nor could any number of them lie in one array.
        if (entry.TryBlob(out Blob blob) && blob.AllocatedBytes < Large) Copy(database, blob.Content);
        else Write(database, entry);
        Keys++;
        MemoryBytes += entry.Bytes;
    }

    /// <summary>Writes everything that is only copied so far, to another chunk if one is given.</summary>
    public void Complete(SnapshotChunk? into = null)
    {
        into ??= this;
        for (int at = 0; at < _copiedBytes;)
        {
            int database = BinaryPrimitives.ReadInt32LittleEndian(_copies.AsSpan(at)), length = BinaryPrimitives.ReadInt32LittleEndian(_copies.AsSpan(at + 4));
            // In an array of bytes it can be read in place, since writing it moves nothing.
            fixed (byte* blob = &_copies[at + 8]) into.Write(database, new Blob(blob));
            at += 8 + Aligned(length);
        }
        _copiedBytes = 0;
        if (!ReferenceEquals(into, this)) into.Keys += Keys;
    }

    /// <summary>Removes everything.</summary>
    public virtual void Clear()
    {
        _database = -1;
        _copiedBytes = 0;
        Keys = 0;
        MemoryBytes = 0;
    }

    /// <summary>Takes over an array that another chunk has left, if there is one.</summary>
    public void TakeBuffer(ConcurrentBag<byte[]> buffers)
    {
        if (buffers.TryTake(out byte[]? buffer)) _copies = buffer;
    }

    /// <summary>Leaves the array of a chunk that is no longer used to others.</summary>
    public void LeaveBuffer(ConcurrentBag<byte[]> buffers)
    {
        if (_copies.Length != 0) buffers.Add(_copies);
        _copies = [];
    }

    /// <summary>The keys from here on belong to this database.</summary>
    protected abstract void WriteSelect(int database);

    /// <summary>Writes one key.</summary>
    protected abstract void WriteEntry(KeyEntry entry);

    private void Write(int database, KeyEntry entry)
    {
        if (database != _database) WriteSelect(_database = database);
        WriteEntry(entry);
    }

    private void Copy(int database, ReadOnlySpan<byte> blob)
    {
        int end = _copiedBytes + 8 + Aligned(blob.Length);
        if (end > _copies.Length) MakeRoom(end);
        BinaryPrimitives.WriteInt32LittleEndian(_copies.AsSpan(_copiedBytes), database);
        BinaryPrimitives.WriteInt32LittleEndian(_copies.AsSpan(_copiedBytes + 4), blob.Length);
        blob.CopyTo(_copies.AsSpan(_copiedBytes + 8));
        _copiedBytes = end;
    }

    /// <summary>Blobs lie at even addresses everywhere (see <see cref="KeyEntry"/>).</summary>
    private static int Aligned(int length) => (length + 7) & ~7;

    private void MakeRoom(int end)
    {
        int wanted = Math.Max(end, Math.Max(_copiedBytes + _foreseenBytes, _copies.Length * 2));
        byte[] larger = GC.AllocateUninitializedArray<byte>((wanted + RoomUnit - 1) & -RoomUnit);
        _copies.AsSpan(0, _copiedBytes).CopyTo(larger);
        _copies = larger;
    }
}

/// <summary>
/// Where a snapshot's chunks go. Chunks are appended by one thread at a time, the snapshot's own or a writer's.
/// </summary>
internal interface ISnapshotTarget
{
    /// <summary>
    /// Called once, at the snapshot's instant, with the databases that have keys and their numbers of keys.
    /// </summary>
    void Expect(IReadOnlyList<DatabaseCount> databases);

    /// <summary>Makes a chunk to write keys into.</summary>
    SnapshotChunk CreateChunk();

    /// <summary>
    /// Takes the contents of a completed chunk, which is reused afterwards. An exception ends the snapshot.
    /// </summary>
    void Append(SnapshotChunk chunk);

    /// <summary>
    /// Called by the snapshot's own thread from time to time, with no gate and no lock held, perhaps while a writer is
    /// in <see cref="Append"/>: the moment for an incremental fsync.
    /// </summary>
    void Settle();
}

/// <summary>A new file that a snapshot is written to.</summary>
internal interface ISnapshotFile : ISnapshotTarget, IDisposable
{
    /// <summary>Writes the file's end and makes the file durable.</summary>
    void Finish();
}

/// <summary>How many keys a database has, and how many of them have a time of expiry.</summary>
internal readonly record struct DatabaseCount(int Database, long Keys, long Expiring);
