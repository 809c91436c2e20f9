using Microsoft.Extensions.Options;
using Orleans.Configuration;
using OrleansRedis.Cluster;
using OrleansRedis.Grains.Membership;

namespace OrleansRedis.Tests.Storage;

/// <summary>Orleans's membership table as a document of the cluster's store.</summary>
public sealed class ClusterMembershipTableTests : MembershipTableContract, IAsyncDisposable
{
    private readonly MemoryClusterStore _store = new();

    private IOptions<ClusterOptions> Cluster => Options.Create(new ClusterOptions { ClusterId = ClusterId });

    public ValueTask DisposeAsync() => _store.DisposeAsync();

    protected override async Task<IMembershipTable> OpenAsync()
    {
        var table = new ClusterMembershipTable(_store, Cluster);
        await table.InitializeMembershipTableAsync(true);
        return table;
    }

    protected override async Task<IReadOnlyList<Uri>> GatewaysAsync() =>
        [.. await new ClusterGatewayList(_store, Cluster, Options.Create(new GatewayOptions())).GetGatewaysAsync()];
}
