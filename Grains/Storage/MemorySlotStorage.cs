using System.Collections.Concurrent;
using System.Runtime.CompilerServices;
using OrleansRedis.Engine;

namespace OrleansRedis.Grains.Storage;

/// <summary>
/// Slots stored in this process's memory, shared by all silos in it that give the same name: for tests of whole
/// clusters, and for data that may be lost with the process. It keeps a copy beside what the slots hold, so the data
/// takes memory twice.
/// </summary>
public sealed class MemorySlotStorage : ISlotStorage
{
    private static readonly ConcurrentDictionary<string, State> s_states = new(StringComparer.Ordinal);

    private readonly State _state;

    /// <param name="name">Names a store of this process; null for a store of its own.</param>
    public MemorySlotStorage(string? name = null) => _state = name is null ? new() : s_states.GetOrAdd(name, _ => new());

    /// <inheritdoc/>
    public string Name => "memory";

    /// <inheritdoc/>
    public StorageScope Scope => StorageScope.Slot;

    /// <inheritdoc/>
    public Task OpenAsync(CancellationToken cancellation) => Task.CompletedTask;

    /// <inheritdoc/>
    public Task<IReadOnlyList<SlotClaim>> ClaimAsync(IReadOnlyList<int> slots, CancellationToken cancellation)
    {
        var claims = new SlotClaim[slots.Count];
        lock (_state)
        {
            for (int i = 0; i < claims.Length; i++) claims[i] = new(slots[i], ++_state.Of(slots[i]).Epoch);
        }
        return Task.FromResult<IReadOnlyList<SlotClaim>>(claims);
    }

    /// <inheritdoc/>
    public async IAsyncEnumerable<StoredPiece> ReadAsync(
        IReadOnlyList<SlotClaim> claims, [EnumeratorCancellation] CancellationToken cancellation)
    {
        var snapshots = new List<StoredPiece>();
        var log = new List<StoredPiece>();
        lock (_state)
        {
            Check(claims);
            foreach (SlotClaim claim in claims.OrderBy(claim => claim.Slot))
            {
                StoredSlot stored = _state.Of(claim.Slot);
                snapshots.AddRange(stored.Snapshot.Select(piece => new StoredPiece(claim.Slot, StoredKind.Snapshot, stored.UpTo, 0, piece)));
                foreach ((SlotPosition position, SlotRecord record) in stored.Log)
                {
                    if (position > stored.UpTo) log.Add(new(claim.Slot, StoredKind.Log, position, record.First, record.Bytes));
                }
            }
        }
        await Task.CompletedTask.ConfigureAwait(false);
        foreach (StoredPiece piece in snapshots.Concat(log)) yield return piece;
    }

    /// <inheritdoc/>
    public Task AppendAsync(IReadOnlyList<SlotRecord> records, CancellationToken cancellation)
    {
        lock (_state)
        {
            Check([.. records.Select(record => new SlotClaim(record.Slot, record.Epoch))]);
            foreach (SlotRecord record in records)
                _state.Of(record.Slot).Log.TryAdd(new(record.Epoch, record.Last), record with { Bytes = record.Bytes.ToArray() });
        }
        return Task.CompletedTask;
    }

    /// <inheritdoc/>
    public async Task ReplaceAsync(IReadOnlyList<SlotSnapshot> snapshots, CancellationToken cancellation)
    {
        var read = new List<byte[]>[snapshots.Count];
        for (int i = 0; i < read.Length; i++)
        {
            read[i] = [];
            await foreach (ReadOnlyMemory<byte> piece in snapshots[i].Pieces.WithCancellation(cancellation).ConfigureAwait(false))
                read[i].Add(piece.ToArray());
        }
        lock (_state)
        {
            Check([.. snapshots.Select(snapshot => snapshot.Claim)]);
            for (int i = 0; i < read.Length; i++)
            {
                StoredSlot stored = _state.Of(snapshots[i].Claim.Slot);
                if (snapshots[i].UpTo <= stored.UpTo) continue;
                stored.UpTo = snapshots[i].UpTo;
                stored.Snapshot = read[i];
            }
        }
    }

    /// <inheritdoc/>
    public Task TrimAsync(IReadOnlyList<SlotTrim> trims, CancellationToken cancellation)
    {
        lock (_state)
        {
            Check([.. trims.Select(trim => trim.Claim)]);
            foreach (SlotTrim trim in trims)
            {
                StoredSlot stored = _state.Of(trim.Claim.Slot);
                while (stored.Log.Count > 0 && stored.Log.GetKeyAtIndex(0) is var first && first <= trim.UpTo && first <= stored.UpTo)
                    stored.Log.RemoveAt(0);
            }
        }
        return Task.CompletedTask;
    }

    /// <inheritdoc/>
    public ValueTask DisposeAsync() => ValueTask.CompletedTask;

    private void Check(IReadOnlyList<SlotClaim> claims)
    {
        int[] stale = [.. claims.Where(claim => _state.Of(claim.Slot).Epoch != claim.Epoch).Select(claim => claim.Slot).Distinct().Order()];
        if (stale.Length != 0) throw new StaleEpochException(stale);
    }

    /// <summary>Locked while it is read or changed.</summary>
    private sealed class State
    {
        private readonly Dictionary<int, StoredSlot> _slots = [];

        public StoredSlot Of(int slot) => _slots.TryGetValue(slot, out StoredSlot? stored) ? stored : _slots[slot] = new();
    }

    private sealed class StoredSlot
    {
        public long Epoch { get; set; }

        public SlotPosition UpTo { get; set; }

        public List<byte[]> Snapshot { get; set; } = [];

        public SortedList<SlotPosition, SlotRecord> Log { get; } = [];
    }
}
