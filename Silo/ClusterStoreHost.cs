using Microsoft.Extensions.Hosting;
using OrleansRedis.Cluster;

namespace OrleansRedis.Silo;

/// <summary>Opens the cluster's store before everything that asks it, and closes it after that.</summary>
internal sealed class ClusterStoreHost(IClusterStore store) : IHostedService
{
    public Task StartAsync(CancellationToken cancellationToken) => store.OpenAsync(cancellationToken);

    public Task StopAsync(CancellationToken cancellationToken) => store.DisposeAsync().AsTask();
}
