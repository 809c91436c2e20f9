using System.Net;
using Orleans.Configuration;
using OrleansRedis.Cluster;
using OrleansRedis.Engine;
using OrleansRedis.Grains.Membership;

namespace OrleansRedis.Silo;

/// <summary>How silos find each other and are found, as the orleans-… directives say.</summary>
internal static class Clustering
{
    /// <summary>
    /// The port in the address of a silo that has none: an address is the silo's name, too, and cannot do without.
    /// </summary>
    private const int NominalSiloPort = 11111;

    /// <summary>Adds the cluster's identity, the addresses, and the membership.</summary>
    /// <param name="silo">The silo.</param>
    /// <param name="options">The directives.</param>
    /// <param name="store">The cluster's store; null for a silo that is alone.</param>
    public static void AddClustering(this ISiloBuilder silo, ServerOptions options, IClusterStore? store)
    {
        silo.Configure<ClusterOptions>(cluster =>
        {
            cluster.ServiceId = options.OrleansServiceId;
            cluster.ClusterId = options.OrleansClusterId;
        });
        silo.Configure<EndpointOptions>(endpoints =>
        {
            IPEndPoint gateway = OrleansPorts.AddressOf(options, options.OrleansGatewayPort);
            bool isEverywhere = gateway.Address.Equals(IPAddress.Any) || gateway.Address.Equals(IPAddress.IPv6Any);
            // Left open, it is the first address of this machine.
            if (options.OrleansAnnounceIp.Length != 0) endpoints.AdvertisedIPAddress = IPAddress.Parse(options.OrleansAnnounceIp);
            else if (!isEverywhere) endpoints.AdvertisedIPAddress = gateway.Address;
            endpoints.SiloPort = options.OrleansSiloPort != 0 ? options.OrleansSiloPort : NominalSiloPort;
            endpoints.SiloListeningEndpoint = OrleansPorts.AddressOf(options, options.OrleansSiloPort);
            endpoints.GatewayPort = options.OrleansGatewayPort;
            endpoints.GatewayListeningEndpoint = options.OrleansGatewayPort == 0 ? null : gateway;
        });
        switch (options.OrleansClustering)
        {
            case OrleansClustering.Localhost:
                silo.UseDevelopmentClustering(primarySiloEndpoint: null);
                break;
            case OrleansClustering.Raft:
                silo.UseClusterStore(store!);
                break;
            case OrleansClustering.Adonet:
                // The store has made the tables.
                silo.UseAdoNetClustering(adonet =>
                    (adonet.Invariant, adonet.ConnectionString) = (options.OrleansAdonetInvariant, options.OrleansAdonetConnectionString));
                break;
            case OrleansClustering.Azure:
                silo.UseAzureStorageClustering(azure => azure.TableServiceClient = new(options.OrleansAzureConnectionString));
                break;
            default:
                throw new NotSupportedException($"orleans-clustering {options.OrleansClustering} is not known.");
        }
    }
}
