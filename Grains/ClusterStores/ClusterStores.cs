using System.Globalization;
using System.Net;
using System.Net.Sockets;
using Microsoft.Extensions.Logging;
using OrleansRedis.Cluster;
using OrleansRedis.Engine;
using OrleansRedis.Grains.ClusterStores.Raft;

namespace OrleansRedis.Grains.ClusterStores;

/// <summary>Creates the cluster's store that orleans-clustering names.</summary>
public static class ClusterStores
{
    /// <summary>
    /// The port of the Raft store, above the silo port of the same machine. Redis's own cluster bus is where it is by the
    /// same rule. So the list of seeds, which names silo ports, names these ports, too, and no machine has to be told the
    /// port of another.
    /// </summary>
    public const int RaftPortOffset = 10_000;

    /// <summary>The port of the bus above the silo port, unless orleans-bus-port says another one.</summary>
    public const int BusPortOffset = 1_000;

    /// <summary>
    /// Creates the store; nothing is connected yet. Null if the silo is alone and needs none. Throws
    /// <see cref="ArgumentException"/>, with a message for the operator, if the directives do not fit together or a port
    /// is not to be had.
    /// </summary>
    public static IClusterStore? Create(ServerOptions options, ILoggerFactory loggers)
    {
        Check(options);
        switch (options.OrleansClustering)
        {
            case OrleansClustering.Raft:
                RaftSettings settings = RaftSettingsOf(options);
                try
                {
                    return new RaftClusterStore(settings, loggers);
                }
                catch (SocketException e)
                {
                    throw new ArgumentException(
                        $"Port {settings.Listen} of the cluster's store (orleans-silo-port + {RaftPortOffset}) is not to be had: {e.Message}", e);
                }
                catch (Exception e) when (e is IOException or UnauthorizedAccessException)
                {
                    throw new ArgumentException($"The directory {settings.Directory} of the cluster's store cannot be used: {e.Message}", e);
                }
            case OrleansClustering.Adonet:
                try
                {
                    return new PostgresClusterStore(options.OrleansAdonetConnectionString, options.OrleansClusterId);
                }
                catch (ArgumentException e)
                {
                    throw new ArgumentException($"orleans-adonet-connection-string: {e.Message}", e);
                }
            case OrleansClustering.Azure:
                try
                {
                    return new AzureClusterStore(options.OrleansAzureConnectionString, options.OrleansClusterId);
                }
                catch (ArgumentException e)
                {
                    throw new ArgumentException($"orleans-azure-connection-string: {e.Message}", e);
                }
            default:
                return null;
        }
    }

    /// <summary>Where this silo's bus listens.</summary>
    public static int BusPortOf(ServerOptions options) =>
        options.OrleansBusPort != 0 ? options.OrleansBusPort : options.OrleansSiloPort + BusPortOffset;

    /// <summary>This silo's address as other silos know it.</summary>
    /// <exception cref="ArgumentException">Nobody has said which it is.</exception>
    public static IPEndPoint AddressOf(ServerOptions options)
    {
        if (options.OrleansAnnounceIp.Length != 0) return new(IPAddress.Parse(options.OrleansAnnounceIp), options.OrleansSiloPort);
        if (options.OrleansBind is "*" or "::" or "0.0.0.0")
        {
            throw new ArgumentException(
                $"orleans-bind {options.OrleansBind} with several silos needs orleans-announce-ip: the address at which others find this one.");
        }
        return new(IPAddress.Parse(options.OrleansBind), options.OrleansSiloPort);
    }

    internal static RaftSettings RaftSettingsOf(ServerOptions options)
    {
        IPEndPoint self = AddressOf(options);
        IPAddress bound = options.OrleansBind == "*" ? IPAddress.Any : IPAddress.Parse(options.OrleansBind);
        return new(
            Path.Combine(options.Dir, "raft"),
            RaftAddress(self),
            RaftAddress(new(bound, options.OrleansSiloPort)),
            [.. SeedsOf(options).Select(RaftAddress)],
            options.OrleansClusterSecret,
            options.OrleansClusterId);
    }

    /// <summary>
    /// Whether the directives fit together; throws <see cref="ArgumentException"/>, with a message for the operator, if
    /// they do not.
    /// </summary>
    public static void Check(ServerOptions options)
    {
        string word = options.OrleansClustering.ToString().ToLowerInvariant();
        Refuse(
            options.OrleansClustering != OrleansClustering.Raft && options.OrleansSeeds.Length != 0,
            $"orleans-seeds is for orleans-clustering raft, not {word}.");
        Refuse(
            options.OrleansClustering != OrleansClustering.Adonet && (options.OrleansAdonetInvariant + options.OrleansAdonetConnectionString).Length != 0,
            $"orleans-adonet-invariant and orleans-adonet-connection-string are for orleans-clustering adonet, not {word}.");
        Refuse(
            options.OrleansClustering != OrleansClustering.Azure && options.OrleansAzureConnectionString.Length != 0,
            $"orleans-azure-connection-string is for orleans-clustering azure, not {word}.");
        if (options.OrleansClustering == OrleansClustering.Localhost) return;

        Refuse(
            options.OrleansSiloPort == 0,
            $"orleans-clustering {word} needs orleans-silo-port: the port at which other silos reach this one, for example orleans-silo-port 11111.");
        Refuse(
            BusPortOf(options) > IPEndPoint.MaxPort,
            $"orleans-silo-port {options.OrleansSiloPort} leaves no room for the bus, whose port is {BusPortOffset} higher: set orleans-bus-port.");
        IPEndPoint self = AddressOf(options);
        Refuse(
            !IPAddress.IsLoopback(self.Address) && options.OrleansClusterSecret.Length == 0,
            $"orleans-clustering {word} at an address that other machines reach ({self.Address}) needs orleans-cluster-secret, the same on all silos: "
                + "without it whoever reaches the port of this silo could join the cluster.");
        if (options.OrleansClustering == OrleansClustering.Adonet)
        {
            Refuse(
                !options.OrleansAdonetInvariant.Equals("Npgsql", StringComparison.OrdinalIgnoreCase) || options.OrleansAdonetConnectionString.Length == 0,
                "orleans-clustering adonet needs orleans-adonet-invariant Npgsql (PostgreSQL is the one database that it knows) and "
                    + "orleans-adonet-connection-string \"Host=…;Username=…;Password=…;Database=…\".");
            return;
        }

        if (options.OrleansClustering == OrleansClustering.Azure)
        {
            Refuse(
                options.OrleansAzureConnectionString.Length == 0,
                "orleans-clustering azure needs orleans-azure-connection-string \"DefaultEndpointsProtocol=https;AccountName=…;AccountKey=…\".");
            return;
        }

        IReadOnlyList<IPEndPoint> seeds = SeedsOf(options);
        Refuse(
            seeds.Append(self).Any(address => address.Port > IPEndPoint.MaxPort - RaftPortOffset),
            $"orleans-clustering raft needs silo ports below {IPEndPoint.MaxPort - RaftPortOffset + 1}: its own port is {RaftPortOffset} higher.");
        Refuse(
            IPAddress.IsLoopback(self.Address) && !seeds.All(seed => IPAddress.IsLoopback(seed.Address)),
            $"orleans-seeds names other machines, but they cannot reach this one at {self.Address}: set orleans-bind, or orleans-announce-ip.");
    }

    private static void Refuse(bool isWrong, string message)
    {
        if (isWrong) throw new ArgumentException(message);
    }

    private static IPEndPoint RaftAddress(IPEndPoint silo) => new(silo.Address, silo.Port + RaftPortOffset);

    private static IReadOnlyList<IPEndPoint> SeedsOf(ServerOptions options)
    {
        const string Example = "for example orleans-seeds 10.0.0.1:11111,10.0.0.2:11111,10.0.0.3:11111";
        List<IPEndPoint> seeds = [];
        foreach (string seed in options.OrleansSeeds.Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries))
        {
            int colon = seed.LastIndexOf(':'), port = 0;
            bool isAddress = colon > 0 && int.TryParse(seed[(colon + 1)..], NumberStyles.None, CultureInfo.InvariantCulture, out port)
                && port is > 0 and <= IPEndPoint.MaxPort;
            Refuse(!isAddress, $"orleans-seeds: '{seed}' is not the address and silo port of a machine; {Example}.");
            IPEndPoint address = new(Resolve(seed[..colon].Trim('[', ']')), port);
            Refuse(seeds.Contains(address), $"orleans-seeds names {seed} twice.");
            seeds.Add(address);
        }
        Refuse(
            seeds.Count == 0,
            $"orleans-clustering raft needs orleans-seeds: the machines that make the cluster, this one among them if it is one of them; {Example}.");
        return seeds;
    }

    private static IPAddress Resolve(string host)
    {
        if (IPAddress.TryParse(host, out IPAddress? address)) return address;
        try
        {
            return Dns.GetHostAddresses(host).OrderBy(found => found.AddressFamily != AddressFamily.InterNetwork).First();
        }
        catch (Exception e) when (e is SocketException or InvalidOperationException)
        {
            throw new ArgumentException($"orleans-seeds: the host '{host}' has no address: {e.Message}", e);
        }
    }
}
