using Microsoft.Extensions.Options;
using Orleans.Configuration;
using Orleans.Messaging;
using OrleansRedis.Cluster;

namespace OrleansRedis.Grains.Membership;

/// <summary>The gateways of the silos that are in the membership table, for Orleans clients that can reach the store.</summary>
internal sealed class ClusterGatewayList(IClusterStore store, IOptions<ClusterOptions> cluster, IOptions<GatewayOptions> gateways) : IGatewayListProvider
{
    /// <inheritdoc/>
    public TimeSpan MaxStaleness => gateways.Value.GatewayListRefreshPeriod;

    bool IGatewayListProvider.IsUpdatable => true;

    /// <inheritdoc/>
    public Task InitializeGatewayListProvider() => Task.CompletedTask;

    /// <inheritdoc/>
    public async Task<IList<Uri>> GetGatewaysAsync(CancellationToken cancellationToken = default)
    {
        string document = ClusterMembershipTable.DocumentOf(cluster.Value.ClusterId);
        StoredDocument read = await store.ReadAsync(document, cancellationToken).ConfigureAwait(false);
        return
        [
            .. from row in MembershipDocument.Parse(read.Bytes.Span).Rows
               where row.Status == SiloStatus.Active && row.GatewayPort > 0
               let silo = SiloAddress.FromParsableString(row.Silo)
               select SiloAddress.New(silo.Endpoint.Address, row.GatewayPort, silo.Generation).ToGatewayUri(),
        ];
    }

    Task<IList<Uri>> IGatewayListProvider.GetGateways() => GetGatewaysAsync();
}
