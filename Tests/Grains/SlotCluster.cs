using System.Collections.Concurrent;
using Microsoft.Extensions.DependencyInjection;
using Orleans.Configuration;
using Orleans.TestingHost;
using OrleansRedis.Engine;
using OrleansRedis.Grains;
using OrleansRedis.Grains.Storage;
using Store = OrleansRedis.Engine.Store;

namespace OrleansRedis.Tests.Grains;

/// <summary>
/// Several silos in this process, on Orleans's own in-process test cluster, with a client; their slots are in one store
/// in memory, and the test says which silo owns which.
/// </summary>
internal sealed class SlotCluster : IAsyncDisposable
{
    private readonly InProcessTestCluster _cluster;
    private readonly ConcurrentDictionary<string, Node> _nodes = new();

    private SlotCluster(int silos, TimeSpan? responseTimeout, TimeSpan? clientResponseTimeout)
    {
        var builder = new InProcessTestClusterBuilder((short)silos);
        builder.Options.ConfigureFileLogging = false;
        builder.ConfigureSilo((options, silo) =>
        {
            Node node = _nodes[options.SiloName] = new(StorageName, Map);
            silo.Services.AddSingleton(node.Host);
            silo.Services.AddSingleton(node.Runner);
            silo.Services.AddSingleton<ISlotMap>(Map);
            silo.AddHashSlots();
            if (responseTimeout is { } timeout) silo.Configure<SiloMessagingOptions>(messaging => messaging.ResponseTimeout = timeout);
        });
        if (clientResponseTimeout is { } clientTimeout)
            builder.ConfigureClient(client => client.Configure<ClientMessagingOptions>(messaging => messaging.ResponseTimeout = clientTimeout));
        _cluster = builder.Build();
    }

    public SlotMapOfTests Map { get; } = new();

    public string StorageName { get; } = Guid.NewGuid().ToString();

    public IGrainFactory Client => _cluster.Client;

    public InProcessTestCluster Orleans => _cluster;

    public InProcessSiloHandle Silo(int index) => _cluster.Silos[index];

    public Node this[InProcessSiloHandle silo] => _nodes[silo.Name];

    /// <summary>Silos that share the slots in contiguous ranges of equal size, all of them open.</summary>
    public static async Task<SlotCluster> StartAsync(int silos, TimeSpan? responseTimeout = null, TimeSpan? clientResponseTimeout = null)
    {
        var cluster = new SlotCluster(silos, responseTimeout, clientResponseTimeout);
        await cluster._cluster.DeployAsync();
        await cluster.AssignAsync(slot => cluster.Silo((int)((long)slot * silos / HashSlot.Count)));
        return cluster;
    }

    /// <summary>Makes the map say who owns what, and has the owners take what they do not have yet.</summary>
    public async Task AssignAsync(Func<int, InProcessSiloHandle> owner)
    {
        foreach (IGrouping<InProcessSiloHandle, int> share in Enumerable.Range(0, HashSlot.Count).GroupBy(owner))
        {
            await this[share.Key].Host.TakeAsync([.. share.Where(slot => this[share.Key].Store.Slots[slot] is null)], default);
            foreach (int slot in share) Map[slot] = share.Key.SiloAddress;
        }
    }

    /// <summary>The addresses of all slot grains that are active now.</summary>
    public async Task<List<(GrainId Grain, SiloAddress Silo)>> ActiveSlotGrainsAsync()
    {
        DetailedGrainStatistic[] all = await Client.GetGrain<IManagementGrain>(0).GetDetailedGrainStatistics();
        GrainType type = Client.GetGrain<IHashSlotGrain>(0).GetGrainId().Type;
        return [.. all.Where(grain => grain.GrainId.Type == type).Select(grain => (grain.GrainId, grain.SiloAddress))];
    }

    public async ValueTask DisposeAsync()
    {
        await _cluster.DisposeAsync();
        foreach (Node node in _nodes.Values) await node.DisposeAsync();
    }

    /// <summary>What is a silo's without Orleans.</summary>
    internal sealed class Node : IAsyncDisposable
    {
        public Node(string storageName, ISlotMap map)
        {
            Store = new Store(new ServerOptions { Save = new(), AppendFsync = AppendFsync.Always }, TimeProvider.System, EngineHarness.Commands);
            Stored = new StoredSlots(Store, new MemorySlotStorage(storageName), EngineHarness.Commands);
            Host = new SlotHost(Store, Stored);
            Router = new SlotRouter(Host, map);
            Runner = new CommandRunner(Store, Router);
            Stored.StartAsync(default).GetAwaiter().GetResult(); // nothing is waited for: the store is in memory
        }

        public Store Store { get; }

        public StoredSlots Stored { get; }

        public SlotHost Host { get; }

        public SlotRouter Router { get; }

        public CommandRunner Runner { get; }

        public async ValueTask DisposeAsync()
        {
            await Stored.StopAsync(default);
            Runner.Dispose();
            Host.Dispose();
            await Stored.DisposeAsync();
            Store.Dispose();
        }
    }

    /// <summary>A map that a test draws; every silo sees every change at once.</summary>
    internal sealed class SlotMapOfTests : ISlotMap
    {
        private readonly SiloAddress?[] _owners = new SiloAddress?[HashSlot.Count];

        public SiloAddress? this[int slot]
        {
            get => Volatile.Read(ref _owners[slot]);
            set => Volatile.Write(ref _owners[slot], value);
        }

        public SlotLocation? OwnerOf(int slot) => this[slot] is { } silo ? new(silo, 0) : null;
    }
}
