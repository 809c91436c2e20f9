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
    /// <summary>So many are activated at once: enough for their data to be read together, not so many that those that are read last have waited too long.</summary>
    private const int MostAtOnce = 4096;

    public async Task StartAsync(CancellationToken cancellationToken)
    {
        long started = Stopwatch.GetTimestamp();
        using var room = new SemaphoreSlim(MostAtOnce);
        var locating = new Task[HashSlot.Count];
        for (int slot = 0; slot < locating.Length; slot++) locating[slot] = ActivateAsync(slot, room, cancellationToken);
        await Task.WhenAll(locating);
        SiloLog.SlotsActive(logger, locating.Length, (long)Stopwatch.GetElapsedTime(started).TotalMilliseconds);
        if (slots.Storage.Scope != StorageScope.Slot) return;
        (int count, long snapshotBytes, long logBytes, long effects) = slots.Recovered;
        SiloLog.Recovered(logger, slots.Storage.Name, count, snapshotBytes, logBytes, effects, Stopwatch.GetElapsedTime(started).TotalSeconds);
    }

    private async Task ActivateAsync(int slot, SemaphoreSlim room, CancellationToken cancellation)
    {
        await room.WaitAsync(cancellation);
        try
        {
            while (true)
            {
                try
                {
                    await grains.GetGrain<IHashSlotGrain>(slot).LocateAsync().WaitAsync(cancellation);
                    return;
                }
                catch (TimeoutException)
                {
                    // It is being recovered still, with much data; whoever asks again waits for the same activation.
                }
            }
        }
        finally
        {
            room.Release();
        }
    }

    public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;
}
