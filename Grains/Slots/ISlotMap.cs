namespace OrleansRedis.Grains;

/// <summary>
/// Which silo owns each slot, as far as this silo knows. Every decision about a slot that is not open here follows from
/// it: where a command is sent (<see cref="SlotRouter"/>), where the slot's grain is placed
/// (<see cref="SlotPlacementDirector"/>) and found (<see cref="SlotDirectory"/>).
/// </summary>
public interface ISlotMap
{
    /// <summary>
    /// The slot's owner, and the epoch of its claim if that is known (0: not known). Null while the slot has no owner.
    /// </summary>
    SlotLocation? OwnerOf(int slot);
}

/// <summary>The map of a cluster of one: the silo owns every slot.</summary>
internal sealed class SoleSlotMap(ILocalSiloDetails silo, SlotHost slots) : ISlotMap
{
    public SlotLocation? OwnerOf(int slot) => new(silo.SiloAddress, slots.EpochOf(slot));
}
