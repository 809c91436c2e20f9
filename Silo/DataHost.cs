using Microsoft.Extensions.Hosting;
using OrleansRedis.Engine;
using OrleansRedis.Grains.Storage;

namespace OrleansRedis.Silo;

/// <summary>
/// Loads the data once the slots are there, unless they have come with it from where they are stored one by one, and then lets commands in that need it.
/// </summary>
internal sealed class DataHost(Store store, StoredSlots slots) : IHostedService
{
    public async Task StartAsync(CancellationToken cancellationToken)
    {
        if (slots.Storage.Scope == StorageScope.Silo) await Task.Run(() => store.LoadFromDisk(cancellationToken), cancellationToken);
        await Task.Run(store.Aof.Open, cancellationToken);
        store.Lift(Restrictions.Loading);
        store.Dump.Start();
        store.Aof.Start();
    }

    public async Task StopAsync(CancellationToken cancellationToken)
    {
        store.Dump.Dispose();
        await store.Dump.AbortAsync();
        await store.Aof.CloseAsync();
    }
}
