using OrleansRedis.Engine;
using OrleansRedis.Grains;

namespace OrleansRedis.Silo;

/// <summary>Asks a slot's grain where the slot is; that activates it if it is active nowhere.</summary>
internal sealed class SlotRouter(Store store, IGrainFactory grains) : ISlotRouter
{
    public SlotRoute Locate(int slot) => store.Slots[slot] is { } here ? new(SlotPlace.Here, Epoch: here.Epoch) : default;

    public async ValueTask<SlotRoute> ResolveAsync(int slot, CancellationToken cancellation)
    {
        SlotLocation location = await grains.GetGrain<IHashSlotGrain>(slot).LocateAsync().WaitAsync(cancellation).ConfigureAwait(false);
        return store.Slots[slot] is null ? new(SlotPlace.Elsewhere, location.Silo.ToString(), Epoch: location.Epoch) : Locate(slot);
    }
}
