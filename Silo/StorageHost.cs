using Microsoft.Extensions.Hosting;
using OrleansRedis.Engine;
using OrleansRedis.Grains.Storage;

namespace OrleansRedis.Silo;

/// <summary>Makes the slots' store ready before the silo starts, and has everything stored after it has stopped.</summary>
internal sealed class StorageHost(Store store, StoredSlots slots) : IHostedService
{
    public async Task StartAsync(CancellationToken cancellationToken)
    {
        // dump.rdb can be a backup here, for those who ask for it, but it is not what the data is loaded from.
        if (slots.Journal is not null && ReferenceEquals(store.Options.Save, SavePoints.Default)) store.Options.Save = new();
        await slots.StartAsync(cancellationToken);
    }

    public Task StopAsync(CancellationToken cancellationToken) => slots.StopAsync(cancellationToken);
}
