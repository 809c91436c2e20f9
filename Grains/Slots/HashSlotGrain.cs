using Orleans.Concurrency;
using OrleansRedis.Engine;
using OrleansRedis.Grains.Storage;

namespace OrleansRedis.Grains;

/// <summary>
/// Owns a slot: while it is active here, the slot is published in this silo's <see cref="SlotTable"/> and every other way in
/// (connections, background jobs) goes through the slot's gate. So do its own turns, which is why it may be reentrant.
/// </summary>
[Reentrant]
[CollectionAgeLimit(AlwaysActive = true)]
[SlotPlacement]
internal sealed class HashSlotGrain(Store store, StoredSlots slots, CommandRunner runner, ILocalSiloDetails silo) : Grain, IHashSlotGrain
{
    private Slot? _slot;

    public override async Task OnActivateAsync(CancellationToken cancellationToken)
    {
        int number = checked((int)this.GetPrimaryKeyLong());
        if ((uint)number >= KeySlot.Count) throw new InvalidOperationException($"There is no slot {number}: they are numbered from 0 to {KeySlot.Count - 1}.");
        _slot = await slots.OpenAsync(number, OnLost, cancellationToken);
        store.Slots.Publish(_slot);
    }

    public override async Task OnDeactivateAsync(DeactivationReason reason, CancellationToken cancellationToken)
    {
        if (_slot is not null) await slots.CloseAsync(_slot, cancellationToken);
    }

    public Task<SlotLocation> LocateAsync() => Task.FromResult(new SlotLocation(silo.SiloAddress, _slot!.Epoch));

    public Task<byte[]> ExecuteAsync(int database, ReadOnlyMemory<byte>[] arguments) => runner.RunAsync(database, arguments);

    /// <summary>Whoever has the slot now is asked anew, and it is activated again wherever it belongs.</summary>
    private void OnLost() => GrainContext.Deactivate(new(DeactivationReasonCode.ApplicationRequested, "The slot has been claimed by someone else."));
}
