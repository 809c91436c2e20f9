using Microsoft.Extensions.Options;
using Orleans.Concurrency;
using Orleans.Configuration;
using Orleans.GrainDirectory;
using OrleansRedis.Engine;

namespace OrleansRedis.Grains;

/// <summary>
/// A slot as other grains and Orleans clients address it. The grain owns nothing: the silo's <see cref="SlotHost"/>
/// opens and closes the slot, whether or not its grain is ever called, and every way in (connections, background jobs,
/// this grain's turns) goes through the slot's gate. That is why the grain may be reentrant, and why it does not matter
/// when it is activated or collected.
/// </summary>
[Reentrant]
[SlotPlacement]
[GrainDirectory(SlotDirectory.Name)]
internal sealed class HashSlotGrain(SlotHost host, CommandRunner runner, ILocalSiloDetails silo, IOptions<SiloMessagingOptions> messaging)
    : Grain, IHashSlotGrain
{
    /// <summary>
    /// The caller stops waiting after the response timeout; what is left of it is for the way here and back. Null if it
    /// waits for ever.
    /// </summary>
    private readonly TimeSpan? _limit = messaging.Value.ResponseTimeout is var timeout && timeout > TimeSpan.Zero ? timeout * 0.8 : null;

    private int _number;

    public override Task OnActivateAsync(CancellationToken cancellationToken)
    {
        long number = this.GetPrimaryKeyLong();
        if ((ulong)number >= KeySlot.Count)
            throw new InvalidOperationException($"There is no hash slot {number}: they are numbered from 0 to {KeySlot.Count - 1}.");
        _number = (int)number;
        return Task.CompletedTask;
    }

    public async Task<SlotLocation> LocateAsync() => new(silo.SiloAddress, (await host.OpenAsync(_number)).Epoch);

    public Task<byte[]> ExecuteAsync(int database, ReadOnlyMemory<byte>[] arguments, CancellationToken cancellation) =>
        runner.RunAsync(database, arguments, _limit, CallerFilter.User, cancellation);
}
