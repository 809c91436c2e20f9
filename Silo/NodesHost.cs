using Microsoft.Extensions.Hosting;
using OrleansRedis.Engine;

namespace OrleansRedis.Silo;

/// <summary>With cluster-enabled yes, has the map of a node that is alone agree with the data, once they are loaded.</summary>
internal sealed class NodesHost(NodesFile nodes) : IHostedService
{
    public Task StartAsync(CancellationToken cancellationToken) => nodes.CheckDataAsync();

    public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;
}
