using OrleansRedis.Engine;
using OrleansRedis.Grains.Storage;

namespace OrleansRedis.Tests.Storage;

/// <summary>A store in memory that a test can make fail, wait, or lose an answer.</summary>
internal sealed class FaultyStorage : ISlotStorage
{
    private readonly MemorySlotStorage _inner;
    private volatile TaskCompletionSource? _gate;
    private volatile string? _failure;
    private int _lostAnswers;

    public FaultyStorage(string? name = null) => _inner = new(name);

    public string Name => "faulty";

    public StorageScope Scope => StorageScope.Slot;

    /// <summary>How often an append was attempted.</summary>
    public int Appends;

    /// <summary>The batches that were appended.</summary>
    public List<IReadOnlyList<SlotRecord>> Appended { get; } = [];

    /// <summary>While set, appends fail with this message, and nothing is stored.</summary>
    public string? Failure
    {
        get => _failure;
        set => _failure = value;
    }

    /// <summary>This many of the next appends are stored but reported as failed.</summary>
    public void LoseAnswers(int count) => _lostAnswers = count;

    /// <summary>Makes appends wait until <see cref="Release"/>.</summary>
    public void Hold() => _gate = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public void Release()
    {
        TaskCompletionSource? gate = _gate;
        _gate = null;
        gate?.SetResult();
    }

    public Task OpenAsync(CancellationToken cancellation) => _inner.OpenAsync(cancellation);

    public Task<IReadOnlyList<SlotClaim>> ClaimAsync(IReadOnlyList<int> slots, CancellationToken cancellation) => _inner.ClaimAsync(slots, cancellation);

    public IAsyncEnumerable<StoredPiece> ReadAsync(IReadOnlyList<SlotClaim> claims, CancellationToken cancellation) => _inner.ReadAsync(claims, cancellation);

    public async Task AppendAsync(IReadOnlyList<SlotRecord> records, CancellationToken cancellation)
    {
        Interlocked.Increment(ref Appends);
        if (_gate is { } gate) await gate.Task.WaitAsync(cancellation);
        if (_failure is { } failure) throw new SlotStorageException(failure);
        await _inner.AppendAsync(records, cancellation);
        lock (Appended) Appended.Add(records);
        if (Interlocked.Decrement(ref _lostAnswers) >= 0) throw new SlotStorageException("the answer was lost");
    }

    public Task ReplaceAsync(IReadOnlyList<SlotSnapshot> snapshots, CancellationToken cancellation) => _inner.ReplaceAsync(snapshots, cancellation);

    public Task TrimAsync(IReadOnlyList<SlotTrim> trims, CancellationToken cancellation) => _inner.TrimAsync(trims, cancellation);

    public ValueTask DisposeAsync() => _inner.DisposeAsync();
}
