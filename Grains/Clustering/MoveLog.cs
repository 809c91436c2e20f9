using OrleansRedis.Engine;
using OrleansRedis.Grains.Storage;

namespace OrleansRedis.Grains.Clustering;

/// <summary>
/// Reads the effects of slots that are being copied, as long as there are any. Without it, and without another reader, no
/// effects are recorded at all.
/// </summary>
#pragma warning disable CA1001 // A semaphore whose handle nobody asks for has nothing to dispose of.
internal sealed class MoveLog : LogReader
#pragma warning restore CA1001
{
    private readonly SemaphoreSlim _wake = new(0);
    private readonly JournalBatch _batch = new();

    public MoveLog(ReplicationLog log)
        : base(log, readsEffects: true)
    {
        Done = Follow();
    }

    /// <summary>
    /// The next effects of these slots; empty if there are none of theirs among those that have come. Waits until some
    /// have.
    /// </summary>
    public async Task<List<SlotRecord>> NextAsync(Func<int, bool> wanted, CancellationToken cancellation)
    {
        while (TryArm(Done)) await _wake.WaitAsync(cancellation).ConfigureAwait(false);
        _batch.Take(this, Done, wanted);
        List<SlotRecord> records = _batch.ToRecords([], []);
        _batch.Clear();
        Done = _batch.End;
        Release(Done);
        return records;
    }

    protected override void OnAppended() => _wake.Release();
}
