namespace OrleansRedis.Engine;

/// <summary>What a snapshot of all of a silo's slots is for.</summary>
public enum SnapshotPurpose
{
    None,

    /// <summary>BGSAVE, SAVE, save points: dump.rdb.</summary>
    Dump,

    /// <summary>BGREWRITEAOF: the append log's base.</summary>
    AofRewrite,
}

/// <summary>One snapshot of everything at a time, as redis-server has one child at a time: who would be second waits or is refused.</summary>
public sealed class SnapshotTurn
{
    private int _current;
    private Snapshot? _snapshot;

    /// <summary>What is going on now.</summary>
    public SnapshotPurpose Current => (SnapshotPurpose)Volatile.Read(ref _current);

    /// <summary>Takes the turn, if nobody has it.</summary>
    public bool TryTake(SnapshotPurpose purpose) => Interlocked.CompareExchange(ref _current, (int)purpose, (int)SnapshotPurpose.None) == (int)SnapshotPurpose.None;

    /// <summary>How far the snapshot is that is being made, whoever makes it.</summary>
    public SnapshotStatus Status => Volatile.Read(ref _snapshot) is { } snapshot
        ? new(snapshot.Keys, snapshot.KeysWritten, snapshot.CopiedBytes, snapshot.HeldBytes, snapshot.MostHeldBytes)
        : default;

    /// <summary>The snapshot that <see cref="Status"/> tells of; null when it has ended.</summary>
    internal void Show(Snapshot? snapshot) => Volatile.Write(ref _snapshot, snapshot);

    /// <summary>Gives it back.</summary>
    public void Give() => Volatile.Write(ref _current, (int)SnapshotPurpose.None);
}

/// <summary>How far a snapshot is, for INFO.</summary>
/// <param name="Keys">How many keys there were at its instant.</param>
/// <param name="KeysWritten">How many of them are written.</param>
/// <param name="CopiedBytes">The memory of those that writers had to have written first; what copy on write would have had to copy, at the least.</param>
/// <param name="HeldBytes">Bytes that are in memory for its sake now.</param>
/// <param name="MostHeldBytes">The most that has been.</param>
public readonly record struct SnapshotStatus(long Keys, long KeysWritten, long CopiedBytes, long HeldBytes, long MostHeldBytes);
