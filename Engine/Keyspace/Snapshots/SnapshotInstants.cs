namespace OrleansRedis.Engine;

/// <summary>
/// The instants of the snapshots of all slots. Everyone has to wait for an instant, so it consists of nothing but
/// counting a number up here. Every keyspace knows which instants it has heard of, and gets the marks of the others
/// before anything in it changes (<see cref="Keyspace.HearOfInstants"/>).
/// </summary>
internal sealed class SnapshotInstants
{
    private readonly Lock _changing = new();
    private Snapshot[] _underWay = [];
    private long _latest;

    /// <summary>
    /// The number of the latest instant; 0 if there was none. It changes only while the silo gate is held exclusively.
    /// </summary>
    public long Latest => Volatile.Read(ref _latest);

    /// <summary>
    /// The snapshots that are not complete. A thread that has read <see cref="Latest"/> before this finds all of them
    /// up to that number.
    /// </summary>
    public ReadOnlySpan<Snapshot> UnderWay => Volatile.Read(ref _underWay);

    /// <summary>
    /// Makes this moment the snapshot's instant, whose number must be the next. The caller holds the silo gate
    /// exclusively.
    /// </summary>
    public void Add(Snapshot snapshot)
    {
        // Drop those that are over: one that was given up before its saver began is removed nowhere else.
        lock (_changing) Volatile.Write(ref _underWay, [.. _underWay.Where(other => !other.IsOver), snapshot]);
        Volatile.Write(ref _latest, snapshot.Instant);
    }

    /// <summary>No keyspace needs this snapshot's mark any more.</summary>
    public void Remove(Snapshot snapshot)
    {
        lock (_changing) Volatile.Write(ref _underWay, Array.FindAll(_underWay, other => !ReferenceEquals(other, snapshot)));
    }
}
