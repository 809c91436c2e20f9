namespace OrleansRedis.Cluster;

/// <summary>
/// The cluster's times, in ticks of the caller's choice (the defaults are milliseconds), and what is assumed of clocks.
/// </summary>
public sealed record ClusterSettings
{
    /// <summary>How long a silo is silent before others suspect it (<c>cluster-node-timeout</c>).</summary>
    public long NodeTimeout { get; init; } = 2000;

    /// <summary>How often each silo sends every other one a heartbeat.</summary>
    public long HeartbeatInterval { get; init; } = 250;

    /// <summary>
    /// For how long an acknowledged heartbeat allows its sender to serve. Shorter than <see cref="NodeTimeout"/>, so
    /// that the lease of a silo that died is over when its silence is noticed.
    /// </summary>
    public long Lease { get; init; } = 1500;

    /// <summary>By how many percent at most one clock may be faster than another.</summary>
    public int ClockDriftPercent { get; init; } = 5;

    /// <summary>How long to wait for an answer before asking again.</summary>
    public long Retry { get; init; } = 200;

    /// <summary>For how long a reservation stands that is not prepared.</summary>
    public long Reservation { get; init; } = 2000;

    /// <summary>
    /// Whether every silo can recover every slot from a shared store. If not, the slots of a node that is away wait for
    /// it.
    /// </summary>
    public bool IsStorageShared { get; init; } = true;

    /// <summary>How many slots a silo moves away at a time.</summary>
    public int MovesAtOnce { get; init; } = 64;

    /// <summary>What is checked; all of it, except in tests that show what each check is there for.</summary>
    internal Guards Guards { get; init; } = Guards.All;

    /// <summary>
    /// A lease period, as much more as another clock may be faster than the one that measures it, and a few ticks for
    /// what is rounded.
    /// </summary>
    internal long LeaseByAnyClock => (Lease * (100 + ClockDriftPercent) / 100) + 4;

    internal int MajorityOf(int nodes) => Has(Guards.Majority) ? (nodes / 2) + 1 : Math.Min(nodes, 1);

    internal bool Has(Guards guard) => (Guards & guard) != 0;
}

/// <summary>The checks that safety rests on.</summary>
[Flags]
internal enum Guards
{
    /// <summary>Serve only while holding the lease.</summary>
    Lease = 1,

    /// <summary>Refuse what bears an older epoch.</summary>
    Epoch = 2,

    /// <summary>Count more than half, for leases and for views.</summary>
    Majority = 4,

    /// <summary>End a prepared unit only as its decision record says.</summary>
    Decision = 8,

    /// <summary>Remember which requests have been applied.</summary>
    Identity = 16,

    All = Lease | Epoch | Majority | Decision | Identity,
}
