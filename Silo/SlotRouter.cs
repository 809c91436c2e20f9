using OrleansRedis.Engine;
using OrleansRedis.Gateway;
using OrleansRedis.Grains;

namespace OrleansRedis.Silo;

/// <summary>Has a slot of this silo's that is not open opened.</summary>
internal sealed class SlotRouter(Store store, SlotHost slots) : ISlotRouter
{
    public async ValueTask<bool> EnsureHereAsync(int slot, CancellationToken cancellation)
    {
        if (!slots.Owns(slot)) return store.Slots[slot] is not null;
        await slots.OpenAsync(slot).WaitAsync(cancellation).ConfigureAwait(false);
        return true;
    }
}
