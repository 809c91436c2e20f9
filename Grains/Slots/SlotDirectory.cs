using Orleans.GrainDirectory;
using OrleansRedis.Engine;

namespace OrleansRedis.Grains;

/// <summary>
/// The grain directory of slot grains: the slot map itself. Nothing is registered anywhere, so nothing has to be moved,
/// repaired or forgotten when silos come and go. A slot's grain is on the slot's owner, whether it has been activated
/// there yet or not.
/// <para>
/// Orleans asks three things of a directory. Where is a grain? On the owner. May this activation be the one? On the
/// owner, yes: the silo's own table of activations allows a grain only one. Anywhere else the answer is the owner's
/// address, and Orleans forwards what has arrived there. And forgetting an activation changes nothing, since none is
/// remembered.
/// </para>
/// </summary>
internal sealed class SlotDirectory(ISlotMap map) : IGrainDirectory
{
    /// <summary>The name by which <see cref="HashSlotGrain"/> selects this directory.</summary>
    public const string Name = "OrleansRedis.SlotMap";

    /// <inheritdoc/>
    public Task<GrainAddress?> Register(GrainAddress address)
    {
        GrainAddress? owner = AddressOf(address.GrainId);
        return Task.FromResult<GrainAddress?>(owner is null || owner.SiloAddress!.Equals(address.SiloAddress) ? address : owner);
    }

    /// <inheritdoc/>
    public Task<GrainAddress?> Lookup(GrainId grainId) => Task.FromResult(AddressOf(grainId));

    /// <inheritdoc/>
    public Task Unregister(GrainAddress address) => Task.CompletedTask;

    /// <inheritdoc/>
    public Task UnregisterSilos(List<SiloAddress> siloAddresses) => Task.CompletedTask;

    /// <summary>
    /// The owner's address; null if there is none. Also null for a number that is not a slot: its grain is then placed
    /// anywhere, and refuses to be activated.
    /// </summary>
    private GrainAddress? AddressOf(GrainId grain)
    {
        long slot = grain.GetIntegerKey();
        if ((ulong)slot >= KeySlot.Count || map.OwnerOf((int)slot)?.Silo is not { } owner) return null;
        // A silo finds its activation by the grain's ID, and makes one if there is none. The activation's own ID does
        // not matter.
        return new() { GrainId = grain, SiloAddress = owner, ActivationId = ActivationId.GetDeterministic(grain) };
    }
}
