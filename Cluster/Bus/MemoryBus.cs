using System.Threading.Channels;

namespace OrleansRedis.Cluster;

/// <summary>The buses of several silos within one process, for tests. Safe for any thread.</summary>
public sealed class MemoryBusNetwork
{
    private readonly Lock _lock = new();
    private readonly Dictionary<SiloId, MemoryBus> _buses = [];

    /// <summary>Makes the bus of a silo, connected to all others.</summary>
    public MemoryBus Add(SiloId silo)
    {
        var bus = new MemoryBus(this, silo);
        MemoryBus[] others;
        lock (_lock)
        {
            others = [.. _buses.Values];
            _buses.Add(silo, bus);
        }
        foreach (MemoryBus other in others) Connect(bus, other);
        return bus;
    }

    /// <summary>Breaks the connection between two silos, which is there again at once.</summary>
    public void Break(SiloId one, SiloId other)
    {
        MemoryBus first, second;
        lock (_lock) (first, second) = (_buses[one], _buses[other]);
        Disconnect(first, second);
        Connect(first, second);
    }

    /// <summary>Takes a silo away for good.</summary>
    public void Remove(SiloId silo)
    {
        MemoryBus gone;
        MemoryBus[] others;
        lock (_lock)
        {
            _buses.Remove(silo, out MemoryBus? removed);
            gone = removed!;
            others = [.. _buses.Values];
        }
        foreach (MemoryBus other in others) Disconnect(gone, other);
        gone.Stop();
    }

    internal MemoryBus? Find(SiloId silo)
    {
        lock (_lock) return _buses.GetValueOrDefault(silo);
    }

    private static void Connect(MemoryBus one, MemoryBus other)
    {
        one.Post(() => one.OnConnected(other.Self));
        other.Post(() => other.OnConnected(one.Self));
    }

    private static void Disconnect(MemoryBus one, MemoryBus other)
    {
        one.Post(() => one.OnBroken(other.Self));
        other.Post(() => other.OnBroken(one.Self));
    }
}

/// <summary>One silo's bus of a <see cref="MemoryBusNetwork"/>: nothing is lost but what waits when a silo goes.</summary>
public sealed class MemoryBus : ISiloBus
{
    private readonly MemoryBusNetwork _network;
    private readonly BusHandler?[] _handlers = new BusHandler?[256];
    private readonly Channel<Action> _events = Channel.CreateUnbounded<Action>(new() { SingleReader = true });

    internal MemoryBus(MemoryBusNetwork network, SiloId self)
    {
        _network = network;
        Self = self;
        _ = Task.Run(RunAsync);
    }

    /// <inheritdoc/>
    public event Action<SiloId>? Connected;

    /// <inheritdoc/>
    public event Action<SiloId>? Broken;

    /// <inheritdoc/>
    public SiloId Self { get; }

    /// <inheritdoc/>
    public bool TrySend(SiloId to, byte kind, ReadOnlySpan<byte> payload)
    {
        if (_network.Find(to) is not { } bus) return false;
        byte[] copy = payload.ToArray();
        bus.Post(() => bus._handlers[kind]?.Invoke(Self, copy));
        return true;
    }

    /// <inheritdoc/>
    public Task WhenReady(SiloId to, BusLane lane) => _network.Find(to) is null ? new TaskCompletionSource().Task : Task.CompletedTask;

    /// <inheritdoc/>
    public void Handle(byte kind, BusHandler handler) => _handlers[kind] = handler;

    internal void Post(Action action) => _events.Writer.TryWrite(action);

    internal void OnConnected(SiloId silo) => Connected?.Invoke(silo);

    internal void OnBroken(SiloId silo) => Broken?.Invoke(silo);

    internal void Stop() => _events.Writer.TryComplete();

    private async Task RunAsync()
    {
        await foreach (Action action in _events.Reader.ReadAllAsync().ConfigureAwait(false)) action();
    }
}
