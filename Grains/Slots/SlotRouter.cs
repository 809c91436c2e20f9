using OrleansRedis.Engine;

namespace OrleansRedis.Grains;

/// <summary>
/// Finds slots: this silo's through its slot host, which opens them if they are not open; others through the slot map.
/// </summary>
/// <param name="slots">This silo's slots.</param>
/// <param name="map">The slot map; null if this silo owns every slot.</param>
public sealed class SlotRouter(SlotHost slots, ISlotMap? map = null) : ISlotRouter
{
    /// <inheritdoc/>
    public SlotRoute Locate(int slot)
    {
        if (slots.Owns(slot)) return new(SlotPlace.Here, Epoch: slots.EpochOf(slot));
        return map?.OwnerOf(slot) is { } owner
            ? new(SlotPlace.Elsewhere, owner.Silo.ToParsableString(), owner.Silo.Endpoint, owner.Epoch)
            : default;
    }

    /// <inheritdoc/>
    public async ValueTask<SlotRoute> ResolveAsync(int slot, CancellationToken cancellation)
    {
        if (slots.Owns(slot)) await slots.OpenAsync(slot).WaitAsync(cancellation).ConfigureAwait(false);
        return Locate(slot);
    }
}
