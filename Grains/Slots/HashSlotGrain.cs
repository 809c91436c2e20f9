using Orleans.Concurrency;
using OrleansRedis.Engine;

namespace OrleansRedis.Grains;

/// <summary>
/// Owns a slot: while it is active here, the slot is published in this silo's <see cref="SlotTable"/> and every other way in
/// (connections, background jobs) goes through the slot's gate. So do its own turns, which is why it may be reentrant.
/// </summary>
[Reentrant]
[CollectionAgeLimit(AlwaysActive = true)]
[SlotPlacement]
internal sealed class HashSlotGrain(Store store, ISlotEpochs epochs, CommandRunner runner, ILocalSiloDetails silo) : Grain, IHashSlotGrain
{
    private Slot? _slot;

    public override async Task OnActivateAsync(CancellationToken cancellationToken)
    {
        int number = checked((int)this.GetPrimaryKeyLong());
        if ((uint)number >= KeySlot.Count) throw new InvalidOperationException($"There is no slot {number}: they are numbered from 0 to {KeySlot.Count - 1}.");
        long epoch = await epochs.GrantAsync(number, cancellationToken);
        _slot = store.Slots.Create(number, epoch);
        store.Slots.Publish(_slot);
    }

    public override Task OnDeactivateAsync(DeactivationReason reason, CancellationToken cancellationToken)
    {
        if (_slot is not null) store.Slots.Withdraw(_slot);
        return Task.CompletedTask;
    }

    public Task<SlotLocation> LocateAsync() => Task.FromResult(new SlotLocation(silo.SiloAddress, _slot!.Epoch));

    public Task<byte[]> ExecuteAsync(int database, ReadOnlyMemory<byte>[] arguments) => runner.RunAsync(database, arguments);
}
