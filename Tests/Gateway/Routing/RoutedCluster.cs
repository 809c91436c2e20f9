using OrleansRedis.Cluster;
using OrleansRedis.Engine;
using OrleansRedis.Gateway;
using OrleansRedis.Tests.Harness;

namespace OrleansRedis.Tests.Gateway;

/// <summary>
/// Several silos in this process, each behind a socket of its own, with a bus in memory between them. Slots are dealt out
/// in turn, and stay where they are unless a test moves them.
/// </summary>
internal sealed class RoutedCluster : IAsyncDisposable
{
    private readonly MemoryBusNetwork _network = new();
    private readonly List<RoutedSilo> _silos = [];

    private RoutedCluster()
    {
    }

    /// <summary>The map that the cluster has agreed on; each silo has it, or an older one.</summary>
    public SlotMap Map { get; private set; } = SlotMap.Empty();

    public RoutedSilo this[int index] => _silos[index];

    public int Count => _silos.Count;

    public static async Task<RoutedCluster> StartAsync(int silos = 3, Action<ServerOptions>? configure = null)
    {
        var cluster = new RoutedCluster();
        for (int i = 0; i < silos; i++) cluster._silos.Add(new(cluster._network, new(i + 1, 1)));
        cluster.Map = cluster.Map.With(1, Enumerable.Range(0, KeySlot.Count).Select(
            slot => KeyValuePair.Create(slot, new SlotEntry(cluster[slot % silos].Self, 1))));
        foreach (RoutedSilo silo in cluster._silos) silo.Adopt(cluster.Map);
        foreach (RoutedSilo silo in cluster._silos) await silo.StartAsync(configure);
        return cluster;
    }

    /// <summary>A key, with this beginning, that belongs to a silo.</summary>
    public string KeyOf(int silo, string prefix = "k")
    {
        for (int i = 0; ; i++)
        {
            if (OwnerOf($"{prefix}{i}") == silo) return $"{prefix}{i}";
        }
    }

    /// <summary>Which silo has a key.</summary>
    public int OwnerOf(string key) => _silos.FindIndex(silo => silo.Self == Map[SlotOf(key)].Owner);

    public static int SlotOf(string key) => KeySlot.Of(System.Text.Encoding.Latin1.GetBytes(key));

    /// <summary>Lets all silos know another map, in which a slot belongs to nobody, or to one of them.</summary>
    public void Assign(int slot, int silo)
    {
        Decide(slot, silo);
        foreach (RoutedSilo other in _silos) other.Adopt(Map);
    }

    /// <summary>The same, but nobody knows of it yet.</summary>
    public void Decide(int slot, int silo) =>
        Map = Map.With(1, [KeyValuePair.Create(slot, new SlotEntry(silo < 0 ? SiloId.None : _silos[silo].Self, Map[slot].Epoch + 1))]);

    /// <summary>Moves a slot with its keys to another silo. Who does not learn of it has to find out.</summary>
    /// <param name="slot">The slot.</param>
    /// <param name="to">The silo.</param>
    /// <param name="whoLearns">Which silos are told; null for all.</param>
    public async Task MoveAsync(int slot, int to, int[]? whoLearns = null)
    {
        RoutedSilo source = _silos.Find(silo => silo.Self == Map[slot].Owner)!, target = _silos[to];
        byte[][][] keys = await source.TakeAwayAsync(slot);
        Decide(slot, to);
        await target.BringAsync(slot, Map[slot].Epoch, keys);
        for (int i = 0; i < Count; i++)
        {
            if (whoLearns is null || whoLearns.Contains(i)) _silos[i].Adopt(Map);
        }
    }

    /// <summary>Breaks the connection between two silos; it is there again at once.</summary>
    public void Break(int one, int other) => _network.Break(_silos[one].Self, _silos[other].Self);

    public async ValueTask DisposeAsync()
    {
        foreach (RoutedSilo silo in _silos) await silo.DisposeAsync();
    }
}

/// <summary>One silo of a <see cref="RoutedCluster"/>.</summary>
internal sealed class RoutedSilo : IClusterState, ISiloBus, ISlotRouter, IAsyncDisposable
{
    private readonly MemoryBus _bus;
    private InProcessServer? _server;
    private int _broken;

    public RoutedSilo(MemoryBusNetwork network, SiloId id) => _bus = network.Add(id);

    public event Action? Changed;

    event Action<SiloId>? ISiloBus.Connected
    {
        add => _bus.Connected += value;
        remove => _bus.Connected -= value;
    }

    event Action<SiloId>? ISiloBus.Broken
    {
        add => _bus.Broken += value;
        remove => _bus.Broken -= value;
    }

    public SiloId Self => _bus.Self;

    public SlotMap Map { get; private set; } = SlotMap.Empty();

    public ClusterView View => ClusterView.Empty;

    public bool HoldsLease { get; set; } = true;

    /// <summary>Which messages are lost that it sends.</summary>
    public Func<SiloId, byte, bool>? Loses { get; set; }

    /// <summary>How many messages of each kind it has sent.</summary>
    public int[] Sent { get; } = new int[256];

    /// <summary>How many times it has noticed that a connection has broken.</summary>
    public int Broken => Volatile.Read(ref _broken);

    /// <summary>How many messages of each kind it has taken up.</summary>
    public int[] Taken { get; } = new int[256];

    public InProcessServer Server => _server!;

    /// <summary>Whether nobody watches or waits for any of its keys.</summary>
    public bool NobodyWatches => Enumerable.Range(0, KeySlot.Count).All(number => Server.Store.Slots[number]?.Watchers?.IsEmpty != false);

    public RemoteRequests Remote => Server.Server.Remote!;

    public async Task StartAsync(Action<ServerOptions>? configure)
    {
        _server = await InProcessServer.StartAsync(configure, silo: this);
        _bus.Broken += _ => Interlocked.Increment(ref _broken); // after everybody else
    }

    public Task<RespConnection> ConnectAsync() => Server.ConnectAsync();

    public bool Owns(int slot) => Map[slot].Owner == Self;

    /// <summary>The silo learns of a map.</summary>
    public void Adopt(SlotMap map)
    {
        if (map.Version <= Map.Version) return;
        Map = map;
        Changed?.Invoke();
    }

    public SlotRoute Locate(int slot) =>
        Server.Store.Slots[slot] is not null ? new(SlotPlace.Here)
        : Map[slot].Owner is { IsNone: false } owner && owner != Self ? new(SlotPlace.Elsewhere, owner.ToString()) : default;

    public ValueTask<SlotRoute> ResolveAsync(int slot, CancellationToken cancellation) => new(Locate(slot));

    /// <summary>Stops serving a slot, and returns its keys: name, database, time to live and dump of each.</summary>
    public async Task<byte[][][]> TakeAwayAsync(int slot)
    {
        Store store = Server.Store;
        await store.SiloGate.EnterExclusiveAsync();
        try
        {
            var session = new Session();
            var keys = new List<byte[][]>();
            foreach (object? key in (object?[])Alone(session, "KEYS", "*")!)
            {
                if (RoutedCluster.SlotOf((string)key!) != slot) continue;
                keys.Add([.. new[] { (string)key!, Alone(session, "PTTL", (string)key!)!.ToString()!, (string)Alone(session, "DUMP", (string)key!)! }
                    .Select(System.Text.Encoding.Latin1.GetBytes)]);
            }
            store.Slots.Withdraw(store.Slots[slot]!);
            return [.. keys];
        }
        finally
        {
            store.SiloGate.ExitExclusive();
        }
    }

    /// <summary>Begins to serve a slot that has these keys.</summary>
    public async Task BringAsync(int slot, long epoch, byte[][][] keys)
    {
        Store store = Server.Store;
        await store.SiloGate.EnterExclusiveAsync();
        try
        {
            store.Slots.Publish(store.Slots.Create(slot, epoch));
            var session = new Session();
            foreach (byte[][] key in keys)
            {
                string[] words = [.. key.Select(System.Text.Encoding.Latin1.GetString)];
                Alone(session, "RESTORE", words[0], words[1] == "-1" ? "0" : words[1], words[2]);
            }
        }
        finally
        {
            store.SiloGate.ExitExclusive();
        }
    }

    bool ISiloBus.TrySend(SiloId to, byte kind, ReadOnlySpan<byte> payload)
    {
        Interlocked.Increment(ref Sent[kind]);
        return Loses?.Invoke(to, kind) == true || _bus.TrySend(to, kind, payload);
    }

    Task ISiloBus.WhenReady(SiloId to, BusLane lane) => _bus.WhenReady(to, lane);

    void ISiloBus.Handle(byte kind, BusHandler handler) => _bus.Handle(kind, (from, payload) =>
    {
        handler(from, payload);
        Interlocked.Increment(ref Taken[kind]);
    });

    public ValueTask DisposeAsync() => _server?.DisposeAsync() ?? default;

    /// <summary>Runs a command while this test has the silo to itself.</summary>
    private object? Alone(Session session, params string[] words)
    {
        var reply = new RespWriter();
        OwnedRequest request = OwnedRequest.Of([.. words.Select(word => (ReadOnlyMemory<byte>)System.Text.Encoding.Latin1.GetBytes(word))]);
        var call = new CommandContext(Server.Store, session, reply)
        {
            Command = Server.Store.Commands.Resolve(request.Request)!,
            Request = request.Request,
            NowMs = Server.Store.Clock.NowMs,
        };
        Server.Store.ExecuteExclusively(ref call);
        return new Replies(reply.Written).Next() is RespError error ? throw new InvalidOperationException(error.ToString()) : new Replies(reply.Written).Next();
    }
}
