using System.Diagnostics;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using OrleansRedis.Engine;
using OrleansRedis.Grains;
using OrleansRedis.Grains.Storage;

namespace OrleansRedis.Silo;

/// <summary>
/// Opens the slots before clients are let in, so that no command has to wait for one. For now it opens all of them,
/// since there is only one silo.
/// </summary>
internal sealed class SlotsHost(SlotHost host, StoredSlots stored, ILogger<SlotsHost> logger) : IHostedService
{
    public async Task StartAsync(CancellationToken cancellationToken)
    {
        long started = Stopwatch.GetTimestamp();
        await host.TakeAsync([.. Enumerable.Range(0, KeySlot.Count)], cancellationToken);
        SiloLog.SlotsOpen(logger, KeySlot.Count, (long)Stopwatch.GetElapsedTime(started).TotalMilliseconds);
        if (stored.Storage.Scope != StorageScope.Slot) return;
        (int count, long snapshotBytes, long logBytes, long effects) = stored.Recovered;
        SiloLog.Recovered(
            logger, stored.Storage.Name, count, snapshotBytes, logBytes, effects, Stopwatch.GetElapsedTime(started).TotalSeconds);
    }

    public Task StopAsync(CancellationToken cancellationToken) => host.CloseAllAsync(cancellationToken);
}
