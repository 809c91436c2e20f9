using OrleansRedis.Engine;

namespace OrleansRedis.Silo;

/// <summary>How silos find each other, as the orleans-… directives say.</summary>
internal static class Clustering
{
    /// <summary>Adds the cluster's identity, the ports, and the membership.</summary>
    public static void AddClustering(this ISiloBuilder silo, ServerOptions options, int siloPort, int gatewayPort)
    {
        switch (options.OrleansClustering)
        {
            case OrleansClustering.Localhost:
                silo.UseLocalhostClustering(siloPort, gatewayPort, serviceId: options.OrleansServiceId, clusterId: options.OrleansClusterId);
                break;
            default:
                throw new NotSupportedException($"orleans-clustering {options.OrleansClustering} is not known.");
        }
    }
}
