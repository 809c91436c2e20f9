namespace OrleansRedis.Cluster;

/// <summary>
/// What this silo knows of its cluster, for whoever only asks. Safe for any thread; nothing here waits.
/// </summary>
public interface IClusterState
{
    /// <summary>This silo.</summary>
    SiloId Self { get; }

    /// <summary>The newest slot map that this silo has adopted.</summary>
    SlotMap Map { get; }

    /// <summary>The newest view that this silo has adopted: who is in, and where (<see cref="SiloEndpoints"/>).</summary>
    ClusterView View { get; }

    /// <summary>Whether this silo may answer for what it serves, at this moment.</summary>
    bool HoldsLease { get; }

    /// <summary>
    /// A newer map or view holds, or a slot has been opened, stopped or closed here. Called on the driver's thread: must
    /// be quick and must not wait.
    /// </summary>
    event Action? Changed;
}
