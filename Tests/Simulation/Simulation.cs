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
    private readonly SimulatedLogs _sharedLogs;
    private readonly Dictionary<long, SimulatedLogs> _disks = [];

    /// <param name="seed">Everything random follows from it.</param>
    /// <param name="silos">How many silos there are at first; a few more may join.</param>
    /// <param name="steps">For how long.</param>
    /// <param name="options">Times, and what is checked.</param>
    /// <param name="hasFaults">Whether anything goes wrong that the test does not do itself.</param>
    public Simulation(ulong seed, int silos, int steps, ClusterSettings? options = null, bool hasFaults = true)
    {
        Seed = seed;
        Steps = steps;
        FaultsEnd = hasFaults ? steps * 7 / 10 : 0;
        Random = new(seed);
        Options = InMicroseconds(options ?? new()) with { IsStorageShared = !Random.OneIn(3) };
        Slots = silos > 20 ? 128 : 32;
        History = new(Slots);
        _sharedLogs = NewLogs();
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

    /// <summary>The step with which faults end; 0 if there are none.</summary>
    public int FaultsEnd { get; }

    /// <summary>How many in a million requests to a store of logs are late by up to several seconds.</summary>
    public int LateAppendsPerMillion { get; init; } = 10_000;

    public ClusterSettings Options { get; }

    public SimulatedRandom Random { get; }

    /// <summary>How many slots there are.</summary>
    public int Slots { get; }

    public SimulatedHistory History { get; }

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
            RunSteps(Steps - (int)Network.Step);
            CheckRest();
        }
        catch (Exception exception)
        {
            throw new InvalidOperationException($"Seed {Seed}, step {Network.Step}, {Silos.Length} places: {exception.Message}", exception);
        }
    }

    /// <summary>Runs some steps.</summary>
    public void RunSteps(int steps)
    {
        for (; steps > 0; steps--) RunStep();
    }

    /// <summary>Starts the node of a place, for the first time or once more.</summary>
    public void Start(int place)
    {
        if (Silos[place] is { IsAlive: true }) return;
        long node = _nodes[place];
        if (!_disks.TryGetValue(node, out SimulatedLogs? disk)) _disks.Add(node, disk = NewLogs());
        Silos[place] = new(this, place, new(node, ++_lives[place]), Options.IsStorageShared ? _sharedLogs : disk);
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
    /// one more node were lost for good. Without a shared store, its slots would be lost with it.
    /// </summary>
    public bool MayLoseNode => Options.IsStorageShared
        && Store.Latest(ClusterDocuments.View) is ClusterView view && MayLoseOneOf(view.Nodes) && MayLoseOneOf(view.NodesBefore);

    /// <summary>
    /// Does something at a store of logs after the time that a request takes; or not at all, if the request is lost.
    /// </summary>
    public void Disturb(Action action)
    {
        bool isDisturbed = Network.Step < FaultsEnd;
        if (isDisturbed && Random.Millionth(5000)) return;
        bool isLate = isDisturbed && Random.Millionth(LateAppendsPerMillion);
        Network.After(isLate ? Random.Between(20, 1500) : Random.Between(1, 2), action);
    }

    private bool MayLoseOneOf(IReadOnlyCollection<long> nodes) => (nodes.Count(node => _nodes[PlaceOf(node)] != node) + 1) * 5 <= nodes.Count;

    private SimulatedLogs NewLogs() => new(Options.Has(Guards.Epoch));

    private static ClusterSettings InMicroseconds(ClusterSettings options) => options with
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
                if (silo.IsRunning) silo.Deliver((ClusterMessage)letter.Message);
                else Network.Postpone(letter, silo.SuspendedUntil);
            }
        }
        foreach (ref readonly SimulatedNetwork.HeartbeatLetter letter in System.Runtime.InteropServices.CollectionsMarshal.AsSpan(heartbeats))
        {
            if (Silos[letter.To] is not { IsAlive: true } silo || silo.Id.Node != letter.Node) continue;
            if (silo.IsRunning) silo.Deliver(letter.Heartbeat);
            else Network.Postpone(letter, silo.SuspendedUntil);
        }
        Network.Reuse(letters, heartbeats);
        foreach (SimulatedSilo? silo in Silos)
        {
            // Each place has its own steps for it, 100 ms apart.
            if (silo is not null && silo.IsRunning && (Network.Step + silo.Place) % 20 == 0) silo.Tick();
        }
        AskSomething();
        if (Network.Step % 10 == 0)
        {
            CheckLeases();
            CheckServing();
        }
    }

    /// <summary>
    /// A client of any silo asks for something: half of all concerns the first few slots, so that they are in each
    /// other's way. Some time after the faults they stop, so that everything can come to its end.
    /// </summary>
    private void AskSomething()
    {
        if (Network.Step > Steps * 8 / 10 || !Random.OneIn(3)) return;
        if (Silos[Random.Next(Silos.Length)] is not { IsRunning: true, IsExcluded: false } silo || silo.Logic.Map.Version == 0) return;
        int range = Random.OneIn(2) ? Slots : 12;
        if (Random.OneIn(10)) silo.AskUnit([.. Enumerable.Range(0, Random.Between(1, 4)).Select(_ => Random.Next(range)).Distinct().Order()]);
        else silo.Ask(Random.Next(range), isWrite: !Random.OneIn(3));
    }

    /// <summary>
    /// Whoever is out and does not know it may still hold its lease, but then nobody takes it for over.
    /// </summary>
    private void CheckLeases()
    {
        if (Store.Latest(ClusterDocuments.View) is not ClusterView view) return;
        foreach (SimulatedSilo? silo in Silos)
        {
            if (silo is not { IsAlive: true, IsExcluded: false } || view.Contains(silo.Id) || !silo.Logic.Membership.HoldsLease(silo.Now)) continue;
            foreach (SimulatedSilo? other in Silos)
            {
                if (other is { IsAlive: true, IsExcluded: false } && other.Logic.View.Version > silo.Logic.View.Version
                    && other.Logic.Membership.IsOver(silo.Id, other.Now))
                    throw new InvariantException($"{other.Id} takes {silo.Id} for over, which holds its lease by view {silo.Logic.View.Version}.");
            }
        }
    }

    /// <summary>
    /// No slot is one that two silos would serve at this moment, and no reservation stands after its time.
    /// </summary>
    private void CheckServing()
    {
        var servers = new SimulatedSilo?[Slots];
        foreach (SimulatedSilo? silo in Silos)
        {
            if (silo is not { IsAlive: true, IsExcluded: false } || !silo.Logic.Membership.HoldsLease(silo.Now)) continue;
            foreach (OwnedSlot slot in silo.Logic.Ownership.Slots)
            {
                if (!silo.Logic.MayServe(slot.Number)) continue;
                if (servers[slot.Number] is { } other) throw new InvariantException($"{other.Id} and {silo.Id} serve slot {slot.Number}.");
                servers[slot.Number] = silo;
                if (silo.IsRunning && slot.ReservedUntil < silo.Now - (50 * SimulatedClock.TicksPerStep) && silo.SuspendedUntil < Network.Step - 50)
                    throw new InvariantException($"A reservation of slot {slot.Number} has outlived its time.");
            }
        }
    }

    private void CheckRest()
    {
        var view = (ClusterView)Store.Latest(ClusterDocuments.View)!;
        var map = (SlotMap)Store.Latest(ClusterDocuments.Slots)!;
        int silos = 0;
        foreach (SimulatedSilo? silo in Silos)
        {
            if (silo is null) continue;
            silos++;
            Rests(silo.IsAlive, $"{silo.Id} was not started again");
            Rests(silo.Logic.View.Version == view.Version, $"{silo.Id} has view {silo.Logic.View.Version}, not {view.Version}");
            Rests(silo.Logic.Map.Version == map.Version, $"{silo.Id} has map {silo.Logic.Map.Version}, not {map.Version}");
            Rests(silo.Logic.Membership.HoldsLease(silo.Now), $"{silo.Id} has no lease");
            Rests(silo.Logic.Requests.Count == 0, $"{silo.Id} has {silo.Logic.Requests.Count} requests without an answer");
        }
        Rests(view.Members.Count == silos, "somebody is in who does not live");
        var keys = new SimulatedKeys[Slots];
        for (int slot = 0; slot < Slots; slot++)
        {
            SlotEntry entry = map[slot];
            Rests(entry.Target.IsNone, $"slot {slot} still moves: {entry}");
            SimulatedSilo? owner = Silos.FirstOrDefault(silo => silo?.Id == entry.Owner);
            Rests(owner is not null && owner.Logic.MayServe(slot), $"slot {slot} is not served: {entry}");
            OwnedSlot open = owner!.Logic.Ownership.Find(slot)!;
            Rests(open.Ledger.Prepared is null && open.Ledger.Decisions.Count == 0 && open.ReservedUntil is null, $"a unit has no end in slot {slot}");
            keys[slot] = SimulatedKeys.Replay(slot, (Options.IsStorageShared ? _sharedLogs : _disks[entry.Owner.Node])[slot]).Keys;
        }
        History.CheckWhole(keys);
    }

    private static void Rests(bool holds, string otherwise)
    {
        if (!holds) throw new InvariantException($"In the end {otherwise}.");
    }
}
