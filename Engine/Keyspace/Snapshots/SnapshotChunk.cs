using System.Buffers.Binary;
using System.Collections.Concurrent;

namespace OrleansRedis.Engine;

/// <summary>
/// A run of keys in the form in which a snapshot writes them, RDB opcodes or commands. Each run of keys of one database begins by saying which
/// database that is, so chunks may follow each other in any order. One thread at a time uses it.
/// <para>
/// Under the gate small keys, which are one blob each, are only copied; they are written in their form when <see cref="Complete"/> is called, by then
/// with no gate held. It takes ten times as long, and a thread that is not given a processor just then keeps nobody waiting.
/// </para>
/// </summary>
internal abstract class SnapshotChunk
{
    /// <summary>Blobs of up to so many bytes are written by way of arrays that are kept for that.</summary>
    private const int LongestScratch = 256;

    private const int RoomUnit = 1024, MostForeseen = 64 * 1024, Large = 1 << 20;

    private byte[] _copies = [];    // database, length, bytes of each blob: one array, since thousands of chunks may wait in the queue
    private int _copiedBytes;
    private int _foreseenBytes;
    private int _database = -1;

    [ThreadStatic]
    private static byte[]?[]? t_scratch;

    /// <summary>What was written since <see cref="Clear"/>; all of it only after <see cref="Complete"/>.</summary>
    public abstract ReadOnlySpan<byte> Written { get; }

    /// <summary>About how many bytes it holds.</summary>
    public long Length => WrittenLength + _copiedBytes;

    /// <summary>How long <see cref="Written"/> is.</summary>
    protected virtual int WrittenLength => Written.Length;

    /// <summary>How long the array behind <see cref="Written"/> is.</summary>
    protected abstract int Room { get; }

    /// <summary>How many keys it holds.</summary>
    public int Keys { get; private set; }

    /// <summary>How much memory these keys took where they were.</summary>
    public long MemoryBytes { get; private set; }

    /// <summary>How much memory hangs on it.</summary>
    public long HeldBytes => _copies.Length + Room;

    /// <summary>Whether that is so much that it had better not be kept.</summary>
    public bool IsLarge => HeldBytes > Large;

    /// <summary>Whether nothing has been written but only copied yet.</summary>
    public bool IsOnlyCopied => WrittenLength == 0;

    /// <summary>No more than so many bytes will probably be copied next.</summary>
    public void Foresee(long bytes) => _foreseenBytes = (int)Math.Min(bytes, MostForeseen);

    /// <summary>Takes a key of a database as it is now; under its slot's gate.</summary>
    public void Take(int database, object entry)
    {
        if (entry is byte[] blob) Copy(database, blob);
        else Write(database, entry);
        Keys++;
        MemoryBytes += KeyEntry.Bytes(entry);
    }

    /// <summary>Writes what is only copied yet, to another chunk if that is asked for.</summary>
    public void Complete(SnapshotChunk? into = null)
    {
        into ??= this;
        byte[]?[] scratch = t_scratch ??= new byte[]?[LongestScratch + 1];
        for (int at = 0; at < _copiedBytes;)
        {
            int database = BinaryPrimitives.ReadInt32LittleEndian(_copies.AsSpan(at)), length = BinaryPrimitives.ReadInt32LittleEndian(_copies.AsSpan(at + 4));
            byte[] blob = length > LongestScratch ? GC.AllocateUninitializedArray<byte>(length) : scratch[length] ??= new byte[length];
            _copies.AsSpan(at + 8, length).CopyTo(blob);
            into.Write(database, blob);
            at += 8 + length;
        }
        _copiedBytes = 0;
        if (!ReferenceEquals(into, this)) into.Keys += Keys;
    }

    /// <summary>Forgets what was written.</summary>
    public virtual void Clear()
    {
        _database = -1;
        _copiedBytes = 0;
        Keys = 0;
        MemoryBytes = 0;
    }

    /// <summary>Uses an array that another chunk has left, if there is one.</summary>
    public void TakeBuffer(ConcurrentBag<byte[]> buffers)
    {
        if (buffers.TryTake(out byte[]? buffer)) _copies = buffer;
    }

    /// <summary>The chunk is not used any more, and others may have its array.</summary>
    public void LeaveBuffer(ConcurrentBag<byte[]> buffers)
    {
        if (_copies.Length != 0) buffers.Add(_copies);
        _copies = [];
    }

    /// <summary>The keys from here on belong to this database.</summary>
    protected abstract void WriteSelect(int database);

    /// <summary>Writes one key.</summary>
    protected abstract void WriteEntry(object entry);

    private void Write(int database, object entry)
    {
        if (database != _database) WriteSelect(_database = database);
        WriteEntry(entry);
    }

    private void Copy(int database, byte[] blob)
    {
        int end = _copiedBytes + 8 + blob.Length;
        if (end > _copies.Length) MakeRoom(end);
        BinaryPrimitives.WriteInt32LittleEndian(_copies.AsSpan(_copiedBytes), database);
        BinaryPrimitives.WriteInt32LittleEndian(_copies.AsSpan(_copiedBytes + 4), blob.Length);
        blob.CopyTo(_copies.AsSpan(_copiedBytes + 8));
        _copiedBytes = end;
    }

    private void MakeRoom(int end)
    {
        int wanted = Math.Max(end, Math.Max(_copiedBytes + _foreseenBytes, _copies.Length * 2));
        byte[] larger = GC.AllocateUninitializedArray<byte>((wanted + RoomUnit - 1) & -RoomUnit);
        _copies.AsSpan(0, _copiedBytes).CopyTo(larger);
        _copies = larger;
    }
}

/// <summary>Where a snapshot's chunks go. It is called by one thread at a time, the snapshot's own or a writer's.</summary>
internal interface ISnapshotTarget
{
    /// <summary>Called once, at the snapshot's instant: the databases that have keys, and how many of them.</summary>
    void Expect(IReadOnlyList<DatabaseCount> databases);

    /// <summary>Makes a chunk to write keys into.</summary>
    SnapshotChunk CreateChunk();

    /// <summary>Takes what a completed chunk holds; the chunk is used again afterwards. What it throws ends the snapshot.</summary>
    void Append(SnapshotChunk chunk);

    /// <summary>
    /// Called by the snapshot's own thread from time to time, with no gate and no lock held, perhaps while a writer is in <see cref="Append"/>:
    /// the moment for an incremental fsync.
    /// </summary>
    void Settle();
}

/// <summary>A new file that a snapshot goes to.</summary>
internal interface ISnapshotFile : ISnapshotTarget, IDisposable
{
    /// <summary>Writes the file's end, and makes it durable.</summary>
    void Finish();
}

/// <summary>How many keys a database has, and how many of them have a time of expiry.</summary>
internal readonly record struct DatabaseCount(int Database, long Keys, long Expiring);
