using OrleansRedis.Cluster;

namespace OrleansRedis.Tests.Simulation;

/// <summary>
/// A cluster in one thread, from one seed: every silo runs the logic of the real one, with a network, a store and clocks
/// that do what those of the world do at their worst. A step is 5 ms of simulated time: what arrives in it is delivered,
/// then silos that are due tick, then the invariants are checked. Faults end some time before the end, and then
/// everything has to come to rest.
/// </summary>
internal sealed class Simulation
{
    /// <summary>Nodes of one place: when the disk is lost, the next one lives there.</summary>
    private const int NodesOfPlace = 10_000;

    private readonly SimulatedFaults _faults;
    private readonly int[] _lives;
    private readonly long[] _nodes;

    public Simulation(ulong seed, int silos, int steps, ClusterOptions? options = null)
    {
        Seed = seed;
        Steps = steps;
        Options = InMicroseconds(options ?? new());
        Random = new(seed);
        int places = silos + Math.Max(1, silos / 10);
        Network = new(Random, places);
        Store = new(Network, Random);
        Silos = new SimulatedSilo?[places];
        _lives = new int[places];
        _nodes = new long[places];
        _faults = new(this);
        for (int place = 0; place < places; place++)
        {
            _nodes[place] = ((place + 1) * NodesOfPlace) + 1;
            if (place >= silos) continue;
            int at = place;
            Network.After(1 + Random.Next(200), () => Start(at));
        }
    }

    public ulong Seed { get; }

    /// <summary>How many steps the simulation has.</summary>
    public int Steps { get; }

    /// <summary>The step with which faults end.</summary>
    public int FaultsEnd => Steps * 7 / 10;

    public ClusterOptions Options { get; }

    public SimulatedRandom Random { get; }

    public SimulatedNetwork Network { get; }

    public SimulatedStore Store { get; }

    /// <summary>What lives, or lived last, at each place.</summary>
    public SimulatedSilo?[] Silos { get; }

    public static int PlaceOf(long node) => (int)(node / NodesOfPlace) - 1;

    /// <summary>Runs it all; throws at the first invariant that is broken.</summary>
    public void Run()
    {
        try
        {
            while (Network.Step < Steps) RunStep();
            CheckRest();
        }
        catch (Exception exception) when (exception is not InvariantException { InnerException: not null })
        {
            throw new InvalidOperationException($"Seed {Seed}, step {Network.Step}, {Silos.Length} places: {exception.Message}", exception);
        }
    }

    /// <summary>Starts the node of a place, for the first time or once more.</summary>
    public void Start(int place)
    {
        if (Silos[place] is { IsAlive: true }) return;
        Silos[place] = new(this, place, new(_nodes[place], ++_lives[place]));
    }

    /// <summary>Ends the silo of a place, and with its disk the node.</summary>
    public void Crash(int place, bool losesDisk)
    {
        Silos[place]?.Crash();
        if (!losesDisk) return;
        _nodes[place]++;
        _lives[place] = 0;
    }

    /// <summary>
    /// Whether a majority of the newest view, of the one before, and of a view with half of its nodes, would be left if
    /// one more node were lost for good.
    /// </summary>
    public bool MayLoseNode => Store.Latest(ClusterDocuments.View) is ClusterView view && MayLoseOneOf(view.Nodes) && MayLoseOneOf(view.NodesBefore);

    private bool MayLoseOneOf(IReadOnlyCollection<long> nodes) => (nodes.Count(node => _nodes[PlaceOf(node)] != node) + 1) * 5 <= nodes.Count;

    private static ClusterOptions InMicroseconds(ClusterOptions options) => options with
    {
        NodeTimeout = options.NodeTimeout * 1000,
        HeartbeatInterval = options.HeartbeatInterval * 1000,
        Lease = options.Lease * 1000,
        Retry = options.Retry * 1000,
        Reservation = options.Reservation * 1000,
    };

    private void RunStep()
    {
        (List<SimulatedNetwork.Letter> letters, List<SimulatedNetwork.HeartbeatLetter> heartbeats) = Network.Advance();
        if (Network.Step < FaultsEnd) _faults.Step();
        else if (Network.Step == FaultsEnd) _faults.End();
        foreach (SimulatedNetwork.Letter letter in letters)
        {
            if (letter.To < 0) ((Action)letter.Message)();
            else if (Silos[letter.To] is { IsAlive: true } silo && silo.Id.Node == letter.Node)
            {
                if (silo.IsRunning) silo.Deliver(letter.Message);
                else Network.Postpone(letter, silo.SuspendedUntil);
            }
        }
        letters.Clear();
        foreach (ref readonly SimulatedNetwork.HeartbeatLetter letter in System.Runtime.InteropServices.CollectionsMarshal.AsSpan(heartbeats))
        {
            if (Silos[letter.To] is not { IsAlive: true } silo || silo.Id.Node != letter.Node) continue;
            if (silo.IsRunning) silo.Deliver(letter.Heartbeat);
            else Network.Postpone(letter, silo.SuspendedUntil);
        }
        heartbeats.Clear();
        foreach (SimulatedSilo? silo in Silos)
        {
            // Each place has its own steps for it, some 100 ms apart.
            if (silo is not null && silo.IsRunning && (Network.Step + silo.Place) % 20 == 0) silo.Tick();
        }
        CheckLeases();
    }

    /// <summary>
    /// Whoever is out and does not know it may still hold its lease, but then nobody takes it for over.
    /// </summary>
    private void CheckLeases()
    {
        if (Store.Latest(ClusterDocuments.View) is not ClusterView view) return;
        foreach (SimulatedSilo? silo in Silos)
        {
            if (silo is not { IsAlive: true, IsExcluded: false } || view.Contains(silo.Id) || !silo.Membership.HoldsLease(silo.Now)) continue;
            foreach (SimulatedSilo? other in Silos)
            {
                if (other is { IsAlive: true, IsExcluded: false } && other != silo && other.Membership.View.Version > 0
                    && other.Membership.View.Version > silo.Membership.View.Version && other.Membership.IsOver(silo.Id, other.Now))
                    throw new InvariantException($"{other.Id} takes {silo.Id} for over, which holds its lease by view {silo.Membership.View.Version}.");
            }
        }
    }

    private void CheckRest()
    {
        var view = (ClusterView?)Store.Latest(ClusterDocuments.View);
        foreach (SimulatedSilo? silo in Silos)
        {
            if (silo is null) continue;
            if (!silo.IsAlive) throw new InvariantException($"{silo.Id} was not started again.");
            if (silo.Membership.View.Version != view?.Version)
                throw new InvariantException($"{silo.Id} has view {silo.Membership.View.Version}, not {view?.Version}.");
            if (!silo.Membership.HoldsLease(silo.Now)) throw new InvariantException($"{silo.Id} has no lease in the end.");
        }
        if (view!.Members.Count != Silos.Count(silo => silo is not null)) throw new InvariantException("Somebody is in who does not live.");
    }
}
