using OrleansRedis.Engine;

namespace OrleansRedis.Silo;

/// <summary>How silos find each other, as the orleans-… directives say.</summary>
internal static class Clustering
{
    /// <summary>Adds the cluster's identity, the ports, and the membership.</summary>
    public static ISiloBuilder AddClustering(this ISiloBuilder silo, ServerOptions options) => options.OrleansClustering switch
    {
        OrleansClustering.Localhost => silo.UseLocalhostClustering(
            options.OrleansSiloPort, options.OrleansGatewayPort, serviceId: options.OrleansServiceId, clusterId: options.OrleansClusterId),
        _ => throw new NotSupportedException($"orleans-clustering {options.OrleansClustering} is not known."),
    };
}
