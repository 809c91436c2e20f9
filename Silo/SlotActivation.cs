using System.Diagnostics;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using OrleansRedis.Grains;

namespace OrleansRedis.Silo;

/// <summary>
/// Activates all slots before clients are let in, so that no command has to wait for one. Slots that another silo has already stay there.
/// </summary>
internal sealed class SlotActivation(IGrainFactory grains, ILogger<SlotActivation> logger) : IHostedService
{
    public async Task StartAsync(CancellationToken cancellationToken)
    {
        long started = Stopwatch.GetTimestamp();
        var locating = new Task<SlotLocation>[HashSlot.Count];
        for (int slot = 0; slot < locating.Length; slot++) locating[slot] = grains.GetGrain<IHashSlotGrain>(slot).LocateAsync();
        await Task.WhenAll(locating).WaitAsync(cancellationToken);
        SiloLog.SlotsActive(logger, locating.Length, (long)Stopwatch.GetElapsedTime(started).TotalMilliseconds);
    }

    public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;
}
