using Orleans.Placement;
using Orleans.Runtime.Placement;

namespace OrleansRedis.Grains;

/// <summary>Places slot grains where the slot map says.</summary>
[AttributeUsage(AttributeTargets.Class)]
public sealed class SlotPlacementAttribute() : PlacementAttribute(new SlotPlacementStrategy());

/// <summary>The strategy behind <see cref="SlotPlacementAttribute"/>.</summary>
[GenerateSerializer, Immutable, Alias("OrleansRedis.SlotPlacement")]
public sealed class SlotPlacementStrategy : PlacementStrategy;

/// <summary>
/// Places a slot's grain on the slot's owner. Usually <see cref="SlotDirectory"/> has answered before. This is asked
/// when the silo that it named has just been declared dead, or when the grain's number is not a slot.
/// </summary>
internal sealed class SlotPlacementDirector(ISlotMap map) : IPlacementDirector
{
    public Task<SiloAddress> OnAddActivation(PlacementStrategy strategy, PlacementTarget target, IPlacementContext context)
    {
        SiloAddress[] silos = context.GetCompatibleSilos(target);
        long slot = target.GrainIdentity.GetIntegerKey();
        // Some silo has to tell the caller that this number is not a slot.
        if ((ulong)slot >= HashSlot.Count) return Task.FromResult(silos[0]);
        SiloAddress owner = map.OwnerOf((int)slot)?.Silo ?? throw new OrleansException($"Hash slot {slot} has no owner at present.");
        return Array.IndexOf(silos, owner) >= 0
            ? Task.FromResult(owner)
            : throw new OrleansException($"Hash slot {slot} belongs to silo {owner}, which is not there.");
    }
}
