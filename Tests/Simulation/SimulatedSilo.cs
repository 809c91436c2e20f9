using OrleansRedis.Cluster;

namespace OrleansRedis.Tests.Simulation;

/// <summary>One silo of a <see cref="Simulation"/>, from its start to its crash.</summary>
internal sealed class SimulatedSilo : IMembershipOutput
{
    private readonly Simulation _world;
    private readonly SimulatedClock _clock;

    public SimulatedSilo(Simulation world, int place, SiloId id)
    {
        _world = world;
        Place = place;
        Id = id;
        _clock = new(world.Random, world.Options.ClockDriftPercent);
        Membership = new(new(id, "", 100, $"zone{place % 3}"), world.Options, this, Now);
        ReadView();
    }

    public int Place { get; }

    public SiloId Id { get; }

    public Membership Membership { get; }

    /// <summary>Whether the process exists; it may be suspended.</summary>
    public bool IsAlive { get; private set; } = true;

    /// <summary>Whether the silo knows that the cluster goes on without it.</summary>
    public bool IsExcluded { get; private set; }

    /// <summary>The step at which it runs on; in the past, unless it is suspended.</summary>
    public long SuspendedUntil { get; set; }

    public bool IsRunning => IsAlive && SuspendedUntil <= _world.Network.Step;

    /// <summary>What its clock shows.</summary>
    public long Now => _clock.At(_world.Network.Step);

    public void Tick() => Membership.Tick(Now);

    public void Crash() => IsAlive = false;

    public void Deliver(in Heartbeat heartbeat) => Membership.OnHeartbeat(heartbeat, Now);

    public void Deliver(object message)
    {
        if (message is Action action) action();
        else Membership.OnMessage((ClusterMessage)message, Now);
    }

    public void Send(long node, in Heartbeat heartbeat) => _world.Network.Send(Place, Simulation.PlaceOf(node), node, heartbeat);

    public void Send(long node, ClusterMessage message) => _world.Network.Send(Place, Simulation.PlaceOf(node), node, message);

    public void ReadView() =>
        _world.Store.Read(ClusterDocuments.View, view => Later(() => Membership.OnRead((ClusterView?)view ?? ClusterView.Empty, Now)));

    public void Propose(ClusterView view) =>
        _world.Store.Write(ClusterDocuments.View, view.Version, view, outcome => Later(() => Membership.OnProposed(view, outcome, Now)));

    public void OnNewerMap(long node, long version)
    {
    }

    public void OnView(ClusterView view)
    {
    }

    public void OnExcluded() => IsExcluded = true;

    /// <summary>Does something as this silo: as soon as it runs, and if it lives until then.</summary>
    private void Later(Action action)
    {
        if (IsRunning) action();
        else if (IsAlive) _world.Network.After(SuspendedUntil - _world.Network.Step, () => Later(action));
    }
}
