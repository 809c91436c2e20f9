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
    /// <summary>Blobs of up to so many bytes are kept when their content is not needed any more, since the next will be of the same lengths.</summary>
    private const int LongestSpare = 256;

    /// <summary>How many bytes of them.</summary>
    private const int MostSpareBytes = 64 * 1024;

    private readonly List<(int Database, byte[] Blob)> _copies = [];
    private readonly Stack<byte[]>?[] _spare = new Stack<byte[]>?[LongestSpare + 1];
    private long _copiedBytes;
    private long _spareBytes;
    private int _database = -1;

    /// <summary>What was written since <see cref="Clear"/>; all of it only after <see cref="Complete"/>.</summary>
    public abstract ReadOnlySpan<byte> Written { get; }

    /// <summary>About how many bytes it holds.</summary>
    public long Length => WrittenLength + _copiedBytes;

    /// <summary>How long <see cref="Written"/> is.</summary>
    protected virtual int WrittenLength => Written.Length;

    /// <summary>How many keys it holds.</summary>
    public int Keys { get; private set; }

    /// <summary>How much memory these keys took where they were.</summary>
    public long MemoryBytes { get; private set; }

    /// <summary>Whether so much memory hangs on it that it had better not be kept.</summary>
    public abstract bool IsLarge { get; }

    /// <summary>Takes a key of a database as it is now; under its slot's gate.</summary>
    public void Take(int database, object entry)
    {
        if (entry is byte[] blob)
        {
            byte[] copy = CopyOf(blob);
            _copies.Add((database, copy));
            _copiedBytes += copy.Length;
        }
        else
        {
            Write(database, entry);
        }
        Keys++;
        MemoryBytes += KeyEntry.Bytes(entry);
    }

    /// <summary>Writes what is only copied yet.</summary>
    public void Complete()
    {
        foreach ((int database, byte[] blob) in _copies)
        {
            Write(database, blob);
            if (blob.Length > LongestSpare || _spareBytes + blob.Length > MostSpareBytes) continue;
            (_spare[blob.Length] ??= new()).Push(blob);
            _spareBytes += blob.Length;
        }
        _copies.Clear();
        _copiedBytes = 0;
    }

    /// <summary>Forgets what was written.</summary>
    public virtual void Clear()
    {
        _database = -1;
        _copies.Clear();
        _copiedBytes = 0;
        Keys = 0;
        MemoryBytes = 0;
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

    private byte[] CopyOf(byte[] blob)
    {
        byte[]? copy = null;
        if (blob.Length <= LongestSpare && _spare[blob.Length]?.TryPop(out copy) == true) _spareBytes -= blob.Length;
        copy ??= GC.AllocateUninitializedArray<byte>(blob.Length);
        blob.CopyTo(copy.AsSpan());
        return copy;
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
