using System.Net;
using System.Net.Sockets;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using OrleansRedis.Cluster;
using OrleansRedis.Engine;
using OrleansRedis.Grains;
using OrleansRedis.Grains.Bus;
using OrleansRedis.Grains.Clustering;
using OrleansRedis.Grains.ClusterStores;

namespace OrleansRedis.Silo;

/// <summary>What a silo of several has besides what every silo has.</summary>
internal sealed class ClusterServices
{
    private readonly ServerOptions _options;
    private readonly NodeIdentity _identity;
    private readonly IPAddress _self;

    private ClusterServices(ServerOptions options, NodeIdentity identity)
    {
        _options = options;
        _identity = identity;
        _self = ClusterStores.AddressOf(options).Address;
    }

    /// <summary>Takes the directory, as the next life of its node.</summary>
    /// <exception cref="ArgumentException">It is not to be had; the message is for the operator.</exception>
    public static ClusterServices Take(ServerOptions options, ServerFiles files)
    {
        if (!NodeIdentity.IsIn(options.Dir) && files.HasFilesToLoad)
        {
            throw new ArgumentException(
                $"The directory {Path.GetFullPath(options.Dir)} has the data of a server that was alone (dump.rdb, or an append only file). A silo of several "
                    + "has some of the slots only, and would lose the keys of the others: start with an empty directory, and bring the data in as a client.");
        }
        return new(options, NodeIdentity.Take(options.Dir));
    }

    public void AddTo(IServiceCollection services)
    {
        int timeoutMs = NodeTimeoutMs;
        var times = new ClusterSettings
        {
            NodeTimeout = timeoutMs,
            HeartbeatInterval = Math.Min(250, timeoutMs / 8),
            Lease = timeoutMs * 3L / 4,
            Retry = Math.Clamp(timeoutMs / 10, 20, 200),
            IsStorageShared = _options.OrleansStorage != OrleansStorage.File,
            MovesAtOnce = 1024,
        };
        services.AddSingleton(_identity);
        services.AddSingleton(provider => ClusterStores.Create(_options, provider.GetRequiredService<ILoggerFactory>())!);
        services.AddSingleton(CreateBus);
        services.AddSingleton<ISiloBus>(provider => provider.GetRequiredService<SiloBus>());
        services.AddSingleton<ClusterSlots>();
        services.AddSingleton(provider => CreateDriver(provider, times));
        services.AddSingleton<IClusterState>(provider => provider.GetRequiredService<ClusterDriver>());
        services.AddSingleton<ISlotRouter>(provider => new ClusterSlotRouter(
            provider.GetRequiredService<IClusterState>(), provider.GetRequiredService<SlotHost>(), provider.GetRequiredService<Store>().Slots,
            TimeSpan.FromMilliseconds(2L * timeoutMs)));
        services.AddSingleton<ActiveExpiryHost>();
        services.AddHostedService<ClusterStoreHost>();
        services.AddSingleton<ClusterHost>();
        services.AddHostedService(provider => provider.GetRequiredService<ClusterHost>());
    }

    /// <summary>In less time than that, nothing can be said of a silo that is silent.</summary>
    private int NodeTimeoutMs => Math.Max(200, _options.ClusterNodeTimeout);

    private SiloBus CreateBus(IServiceProvider provider)
    {
        int port = ClusterStores.BusPortOf(_options);
        try
        {
            return new(
                _identity.Silo, OrleansPorts.AddressOf(_options, port), new(_self, port), new(_options.OrleansClusterSecret, _options.OrleansClusterId),
                TimeSpan.FromMilliseconds(Math.Max(1000, 3L * NodeTimeoutMs)), provider.GetRequiredService<ILogger<SiloBus>>());
        }
        catch (SocketException e)
        {
            throw new ArgumentException(
                $"Port {port} of the bus (orleans-bus-port, or orleans-silo-port + {ClusterStores.BusPortOffset}) is not to be had: {e.Message}", e);
        }
    }

    private ClusterDriver CreateDriver(IServiceProvider provider, ClusterSettings times)
    {
        SiloBus bus = provider.GetRequiredService<SiloBus>();
        IPEndPoint? redis = _options.Port == 0 ? null : new(_self, _options.Port);
        var member = new Member(_identity.Silo, new SiloEndpoints(bus.Address, redis).ToString(), _options.OrleansWeight);
        ILogger logger = provider.GetRequiredService<ILogger<ClusterDriver>>();
        var driver = new ClusterDriver(member, times, provider.GetRequiredService<IClusterStore>(), provider.GetRequiredService<Store>(), bus, logger)
        {
            Slots = provider.GetRequiredService<ClusterSlots>(),
        };
        provider.GetRequiredService<ServerFiles>().Configuration.OnChange(["orleans-weight"], () =>
        {
            driver.Describe(self => self with { Weight = _options.OrleansWeight });
            return new((string?)null);
        });
        return driver;
    }
}
