using Microsoft.Extensions.Hosting;
using OrleansRedis.Engine;
using OrleansRedis.Grains.Storage;

namespace OrleansRedis.Silo;

/// <summary>
/// Loads the data once the slots are open, and then admits the commands that need it. Where slots are stored one by
/// one, the data has come with them and nothing is loaded here.
/// </summary>
internal sealed class DataHost(ServerFiles files, StoredSlots slots) : IHostedService
{
    public async Task StartAsync(CancellationToken cancellationToken)
    {
        if (slots.Storage.Scope == StorageScope.Silo) await Task.Run(() => files.Load(cancellationToken), cancellationToken);
        await Task.Run(files.Aof.Open, cancellationToken);
        files.Store.Lift(Restrictions.Loading);
        files.Dump.Start();
        files.Aof.Start();
    }

    public async Task StopAsync(CancellationToken cancellationToken)
    {
        files.Dump.Dispose();
        await files.Dump.AbortAsync();
        await files.Aof.CloseAsync();
    }
}
