using Microsoft.Extensions.DependencyInjection;
using Orleans.Messaging;
using OrleansRedis.Cluster;

namespace OrleansRedis.Grains.Membership;

/// <summary>Where a silo and a client find the cluster's members.</summary>
public static class MembershipExtensions
{
    /// <summary>Has a silo keep its membership in the cluster's store.</summary>
    public static ISiloBuilder UseClusterStore(this ISiloBuilder silo, IClusterStore store)
    {
        silo.Services.AddSingleton(store);
        silo.Services.AddSingleton<IMembershipTable, ClusterMembershipTable>();
        return silo;
    }

    /// <summary>Has a client find the gateways in the cluster's store.</summary>
    public static IClientBuilder UseClusterStore(this IClientBuilder client, IClusterStore store)
    {
        client.Services.AddSingleton(store);
        client.Services.AddSingleton<IGatewayListProvider, ClusterGatewayList>();
        return client;
    }
}
