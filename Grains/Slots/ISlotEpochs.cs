namespace OrleansRedis.Grains;

/// <summary>Grants each activation of a slot an epoch, one higher than the last anywhere, so that what a former activation still sends can be refused.</summary>
public interface ISlotEpochs
{
    /// <summary>The epoch of the activation that asks.</summary>
    ValueTask<long> GrantAsync(int slot, CancellationToken cancellation);
}

/// <summary>Epochs for a silo whose data live and die with the process: nothing older can outlive it.</summary>
public sealed class InProcessSlotEpochs : ISlotEpochs
{
    private readonly long[] _last = new long[HashSlot.Count];

    /// <inheritdoc/>
    public ValueTask<long> GrantAsync(int slot, CancellationToken cancellation) => new(Interlocked.Increment(ref _last[slot]));
}
