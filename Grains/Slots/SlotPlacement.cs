using Orleans.Placement;
using Orleans.Runtime.Placement;

namespace OrleansRedis.Grains;

/// <summary>Places slot grains so that every silo gets one contiguous range of slots of equal size.</summary>
[AttributeUsage(AttributeTargets.Class)]
public sealed class SlotPlacementAttribute() : PlacementAttribute(new SlotPlacementStrategy());

/// <summary>The strategy behind <see cref="SlotPlacementAttribute"/>.</summary>
[GenerateSerializer, Immutable, Alias("OrleansRedis.SlotPlacement")]
public sealed class SlotPlacementStrategy : PlacementStrategy;

/// <summary>Finds the silo for a slot that is active nowhere: silos in the order of their addresses share the slots in the order of their numbers.</summary>
internal sealed class SlotPlacementDirector : IPlacementDirector
{
    public Task<SiloAddress> OnAddActivation(PlacementStrategy strategy, PlacementTarget target, IPlacementContext context)
    {
        SiloAddress[] silos = [.. context.GetCompatibleSilos(target)];
        if (silos.Length == 1) return Task.FromResult(silos[0]);
        Array.Sort(silos);
        long slot = target.GrainIdentity.GetIntegerKey();
        return Task.FromResult(silos[(int)(slot * silos.Length / HashSlot.Count)]);
    }
}
