using OrleansRedis.Engine;
using OrleansRedis.Gateway;
using OrleansRedis.Grains;

namespace OrleansRedis.Silo;

/// <summary>Asks a slot's grain where the slot is; that activates it if it is active nowhere.</summary>
internal sealed class SlotRouter(Store store, IGrainFactory grains) : ISlotRouter
{
    public async ValueTask<bool> EnsureHereAsync(int slot, CancellationToken cancellation)
    {
        await grains.GetGrain<IHashSlotGrain>(slot).LocateAsync().WaitAsync(cancellation).ConfigureAwait(false);
        return store.Slots[slot] is not null;
    }
}
