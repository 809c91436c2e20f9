namespace OrleansRedis.Grains;

/// <summary>
/// Which silo owns each slot, as this silo knows it. Everything that Orleans decides about slot grains follows from it: where one is placed
/// (<see cref="SlotPlacementDirector"/>) and where it is found (<see cref="SlotDirectory"/>).
/// </summary>
public interface ISlotMap
{
    /// <summary>The slot's owner, or null while it has none.</summary>
    SiloAddress? OwnerOf(int slot);
}

/// <summary>The map of a cluster of one: the silo owns every slot.</summary>
internal sealed class SoleSlotMap(ILocalSiloDetails silo) : ISlotMap
{
    public SiloAddress? OwnerOf(int slot) => silo.SiloAddress;
}
