using OrleansRedis.Engine;

namespace OrleansRedis.Grains.Storage;

/// <summary>
/// Redis's own files, seen as a store of slots. They hold one silo's data as a whole (dump.rdb and appendonlydir/ in
/// dir). The silo loads them before it serves any slot, and writes them by itself; a single slot can neither be read
/// from them nor appended to them. Of the contract only the epochs remain, and since no other process can write those
/// files, the epochs need not outlive this one.
/// </summary>
public sealed class FileSlotStorage : ISlotStorage
{
    private readonly long[] _epochs = new long[HashSlot.Count];

    /// <inheritdoc/>
    public string Name => "file";

    /// <inheritdoc/>
    public StorageScope Scope => StorageScope.Silo;

    /// <inheritdoc/>
    public Task OpenAsync(CancellationToken cancellation) => Task.CompletedTask;

    /// <inheritdoc/>
    public Task<IReadOnlyList<SlotClaim>> ClaimAsync(IReadOnlyList<int> slots, CancellationToken cancellation) =>
        Task.FromResult<IReadOnlyList<SlotClaim>>([.. slots.Select(slot => new SlotClaim(slot, Interlocked.Increment(ref _epochs[slot])))]);

    /// <summary>
    /// Returns nothing: a slot begins empty, and the silo's files are loaded into all of them together.
    /// </summary>
    public IAsyncEnumerable<StoredPiece> ReadAsync(IReadOnlyList<SlotClaim> claims, CancellationToken cancellation) =>
        AsyncEnumerable.Empty<StoredPiece>();

    /// <summary>Not supported; see <see cref="StorageScope.Silo"/>.</summary>
    public Task AppendAsync(IReadOnlyList<SlotRecord> records, CancellationToken cancellation) => throw NotBySlot();

    /// <inheritdoc cref="AppendAsync"/>
    public Task ReplaceAsync(IReadOnlyList<SlotSnapshot> snapshots, CancellationToken cancellation) => throw NotBySlot();

    /// <inheritdoc cref="AppendAsync"/>
    public Task TrimAsync(IReadOnlyList<SlotTrim> trims, CancellationToken cancellation) => throw NotBySlot();

    /// <inheritdoc/>
    public ValueTask DisposeAsync() => ValueTask.CompletedTask;

    private static NotSupportedException NotBySlot() => new("Redis's files are written for a silo as a whole, not slot by slot.");
}
