using Microsoft.Extensions.Hosting;
using OrleansRedis.Engine;
using OrleansRedis.Grains.Storage;

namespace OrleansRedis.Silo;

/// <summary>
/// Prepares the slots' store before the slots are opened, and makes sure that everything is stored after they have
/// closed.
/// </summary>
internal sealed class StorageHost(Store store, StoredSlots slots) : IHostedService
{
    public async Task StartAsync(CancellationToken cancellationToken)
    {
        // With a shared store the data is not loaded from dump.rdb, which is then a backup at most, for operators who
        // ask for it. So there are no save points by default.
        if (slots.Journal is not null && ReferenceEquals(store.Options.Save, SavePoints.Default))
            store.Options.Save = new();
        await slots.StartAsync(cancellationToken);
    }

    public Task StopAsync(CancellationToken cancellationToken) => slots.StopAsync(cancellationToken);
}
