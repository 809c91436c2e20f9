namespace OrleansRedis.Engine;

/// <summary>
/// A run of keys in the form in which a snapshot writes them, RDB opcodes or commands. Each run of keys of one database begins by saying which
/// database that is, so chunks may follow each other in any order. One thread at a time uses it.
/// </summary>
internal abstract class SnapshotChunk
{
    private int _database = -1;

    /// <summary>What was written since <see cref="Clear"/>.</summary>
    public abstract ReadOnlySpan<byte> Written { get; }

    /// <summary>How many bytes that is.</summary>
    public virtual int Length => Written.Length;

    /// <summary>How many keys it holds.</summary>
    public int Keys { get; private set; }

    /// <summary>How much memory these keys took where they were.</summary>
    public long MemoryBytes { get; private set; }

    /// <summary>Whether so much memory hangs on it that it had better not be kept.</summary>
    public abstract bool IsLarge { get; }

    /// <summary>Writes a key of a database; under its slot's gate.</summary>
    public void Write(int database, object entry)
    {
        if (database != _database) WriteSelect(_database = database);
        WriteEntry(entry);
        Keys++;
        MemoryBytes += KeyEntry.Bytes(entry);
    }

    /// <summary>Forgets what was written.</summary>
    public virtual void Clear()
    {
        _database = -1;
        Keys = 0;
        MemoryBytes = 0;
    }

    /// <summary>The keys from here on belong to this database.</summary>
    protected abstract void WriteSelect(int database);

    /// <summary>Writes one key.</summary>
    protected abstract void WriteEntry(object entry);
}

/// <summary>Where a snapshot's chunks go. It is called by one thread at a time, the snapshot's own or a writer's.</summary>
internal interface ISnapshotTarget
{
    /// <summary>Called once, at the snapshot's instant: the databases that have keys, and how many of them.</summary>
    void Expect(IReadOnlyList<DatabaseCount> databases);

    /// <summary>Makes a chunk to write keys into.</summary>
    SnapshotChunk CreateChunk();

    /// <summary>Takes what a chunk holds; the chunk is used again afterwards. What it throws ends the snapshot.</summary>
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
