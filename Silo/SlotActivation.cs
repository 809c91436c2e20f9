using System.Diagnostics;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using OrleansRedis.Engine;
using OrleansRedis.Grains;
using OrleansRedis.Grains.Storage;

namespace OrleansRedis.Silo;

/// <summary>
/// Activates all slots before clients are let in, so that no command has to wait for one. Slots that another silo has already stay there.
/// </summary>
internal sealed class SlotActivation(IGrainFactory grains, StoredSlots slots, ILogger<SlotActivation> logger) : IHostedService
{
    public async Task StartAsync(CancellationToken cancellationToken)
    {
        long started = Stopwatch.GetTimestamp();
        var locating = new Task<SlotLocation>[HashSlot.Count];
        for (int slot = 0; slot < locating.Length; slot++) locating[slot] = grains.GetGrain<IHashSlotGrain>(slot).LocateAsync();
        await Task.WhenAll(locating).WaitAsync(cancellationToken);
        SiloLog.SlotsActive(logger, locating.Length, (long)Stopwatch.GetElapsedTime(started).TotalMilliseconds);
        if (slots.Storage.Scope != StorageScope.Slot) return;
        (int count, long snapshotBytes, long logBytes, long effects) = slots.Recovered;
        SiloLog.Recovered(logger, slots.Storage.Name, count, snapshotBytes, logBytes, effects, Stopwatch.GetElapsedTime(started).TotalSeconds);
    }

    public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;
}
