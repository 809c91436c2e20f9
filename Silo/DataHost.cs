using Microsoft.Extensions.Hosting;
using OrleansRedis.Engine;

namespace OrleansRedis.Silo;

/// <summary>Loads the data once the slots are there, and then lets commands in that need it.</summary>
internal sealed class DataHost(Store store) : IHostedService
{
    public async Task StartAsync(CancellationToken cancellationToken)
    {
        await Task.Run(() => store.LoadFromDisk(cancellationToken), cancellationToken);
        store.Lift(Restrictions.Loading);
        store.Dump.Start();
    }

    public Task StopAsync(CancellationToken cancellationToken)
    {
        store.Dump.Dispose();
        return store.Dump.AbortAsync();
    }
}
