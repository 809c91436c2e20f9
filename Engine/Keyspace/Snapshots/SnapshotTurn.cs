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

/// <summary>
/// Allows one snapshot of everything at a time, as redis-server has one child at a time: a second one waits or is
/// refused.
/// </summary>
public sealed class SnapshotTurn
{
    private int _current;
    private Snapshot? _snapshot;

    /// <summary>The purpose of the snapshot that has the turn now.</summary>
    public SnapshotPurpose Current => (SnapshotPurpose)Volatile.Read(ref _current);

    /// <summary>Takes the turn if it is free.</summary>
    public bool TryTake(SnapshotPurpose purpose) =>
        Interlocked.CompareExchange(ref _current, (int)purpose, (int)SnapshotPurpose.None) == (int)SnapshotPurpose.None;

    /// <summary>The progress of the snapshot that is being made, whatever it is for.</summary>
    public SnapshotStatus Status => Volatile.Read(ref _snapshot) is { } snapshot
        ? new(snapshot.Keys, snapshot.KeysWritten, snapshot.CopiedBytes, snapshot.HeldBytes, snapshot.MostHeldBytes)
        : default;

    /// <summary>Sets the snapshot that <see cref="Status"/> reports on; null when it has ended.</summary>
    internal void Show(Snapshot? snapshot) => Volatile.Write(ref _snapshot, snapshot);

    /// <summary>Gives the turn back.</summary>
    public void Give() => Volatile.Write(ref _current, (int)SnapshotPurpose.None);
}

/// <summary>The progress of a snapshot, for INFO.</summary>
/// <param name="Keys">How many keys there were at its instant.</param>
/// <param name="KeysWritten">How many of them are written.</param>
/// <param name="CopiedBytes">
/// The memory of those that writers had to have written first: at least this much would have been copied by copy on
/// write.
/// </param>
/// <param name="HeldBytes">The bytes that are in memory only for its sake now.</param>
/// <param name="MostHeldBytes">The most that <paramref name="HeldBytes"/> has been.</param>
public readonly record struct SnapshotStatus(long Keys, long KeysWritten, long CopiedBytes, long HeldBytes, long MostHeldBytes);
