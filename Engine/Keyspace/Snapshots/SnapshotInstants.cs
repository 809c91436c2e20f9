namespace OrleansRedis.Engine;

/// <summary>
/// The instants that snapshots of all slots have fixed. Such an instant is one more number here, and nothing else, since everyone waits for it. Every keyspace knows which
/// instants it has heard of, and gets the marks of the others before anything in it changes (<see cref="Keyspace.HearOfInstants"/>).
/// </summary>
internal sealed class SnapshotInstants
{
    private readonly Lock _changing = new();
    private Snapshot[] _underWay = [];
    private long _latest;

    /// <summary>The number of the latest instant; 0 if there was none. It changes while the silo gate is held exclusively.</summary>
    public long Latest => Volatile.Read(ref _latest);

    /// <summary>The snapshots that are not complete. Whoever has read <see cref="Latest"/> before finds all those up to it.</summary>
    public ReadOnlySpan<Snapshot> UnderWay => Volatile.Read(ref _underWay);

    /// <summary>Now is this snapshot's instant, whose number is the next. The caller holds the silo gate exclusively.</summary>
    public void Add(Snapshot snapshot)
    {
        // Without those that are over: one that was given up before its saver began is removed by nobody else.
        lock (_changing) Volatile.Write(ref _underWay, [.. _underWay.Where(other => !other.IsOver), snapshot]);
        Volatile.Write(ref _latest, snapshot.Instant);
    }

    /// <summary>No keyspace needs this snapshot's mark any more.</summary>
    public void Remove(Snapshot snapshot)
    {
        lock (_changing) Volatile.Write(ref _underWay, Array.FindAll(_underWay, other => !ReferenceEquals(other, snapshot)));
    }
}
