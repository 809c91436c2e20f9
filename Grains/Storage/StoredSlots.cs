using System.Diagnostics;
using System.Globalization;
using OrleansRedis.Engine;

namespace OrleansRedis.Grains.Storage;

/// <summary>
/// This silo's slots together with the store behind them: opens slots for their host, and logs what they do.
/// </summary>
public sealed class StoredSlots : IAsyncDisposable
{
    /// <summary>
    /// How long to retry at the start while the store cannot be reached; and the pause between attempts.
    /// </summary>
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(30), s_retry = TimeSpan.FromSeconds(1);

    private readonly Store _store;
    private readonly SlotRecovery? _recovery;     // these three are null unless slots are stored one by one
    private readonly SlotJournal? _journal;
    private readonly SlotCompaction? _compaction;

    /// <param name="store">The silo's slots.</param>
    /// <param name="storage">Where they are stored; disposed of with this object.</param>
    /// <param name="commands">The engine's commands.</param>
    public StoredSlots(Store store, ISlotStorage storage, CommandTable commands)
    {
        _store = store;
        Storage = storage;
        if (storage.Scope != StorageScope.Slot) return;
        _recovery = new(store, storage, commands);
        _journal = new(store, storage);
        _compaction = new(store, storage, _journal);
        _recovery.Recovered = _compaction.Begin;
        _journal.Stored = _compaction.Grown;
        _journal.Describe = Describe;
    }

    /// <summary>Where slots are stored.</summary>
    public ISlotStorage Storage { get; }

    /// <summary>Logs what the slots do; null if the silo's own files do that for all of them together.</summary>
    public SlotJournal? Journal => _journal;

    /// <summary>Number of snapshots of slots replaced since the start.</summary>
    public long Compactions => _compaction?.Replaced ?? 0;

    /// <summary>Total bytes of the logs of all slots here, and of their snapshots.</summary>
    public (long Log, long Snapshots) StoredBytes => _compaction?.Sizes ?? default;

    /// <summary>What has been recovered since the start.</summary>
    public (int Slots, long SnapshotBytes, long LogBytes, long Effects) Recovered => _recovery?.Counts ?? default;

    /// <summary>Prepares the store, and begins to log what slots do. To be called before any slot is opened.</summary>
    public async Task StartAsync(CancellationToken cancellation)
    {
        for (long started = Stopwatch.GetTimestamp(); ;)
        {
            try
            {
                await Storage.OpenAsync(cancellation).ConfigureAwait(false);
                break;
            }
            catch (SlotStorageException failure) when (Stopwatch.GetElapsedTime(started) < s_patience)
            {
                _store.Log.Warning($"The {Storage.Name} storage cannot be reached yet: {failure.Message}");
                await Task.Delay(s_retry, cancellation).ConfigureAwait(false);
            }
        }
        _journal?.Start();
        _compaction?.Start();
    }

    /// <summary>Stores what is not stored yet, and stops.</summary>
    public async Task StopAsync(CancellationToken cancellation)
    {
        if (_compaction is not null) await _compaction.DisposeAsync().ConfigureAwait(false);
        if (_journal is not null) await _journal.StopAsync(cancellation).ConfigureAwait(false);
    }

    /// <summary>
    /// Claims slots and recovers them; the caller publishes them. A slot that fails does not keep the others from being
    /// opened.
    /// </summary>
    /// <param name="claims">
    /// The slots, each once, in the epochs that they are to have; 0 for one that the store grants. A store of slots grants
    /// its own epochs in any case, each higher than all before.
    /// </param>
    /// <param name="opened">Called with each slot that is open, from any thread.</param>
    /// <param name="failed">Called with each slot that could not be opened, and why, from any thread.</param>
    /// <param name="cancellation">Stops before the next group of slots; the rest get neither answer.</param>
    public async Task OpenAsync(IReadOnlyList<SlotClaim> claims, Action<Slot> opened, Action<int, Exception> failed, CancellationToken cancellation)
    {
        if (_recovery is not null)
        {
            await _recovery.OpenAsync([.. claims.Select(claim => claim.Slot)], opened, failed, cancellation).ConfigureAwait(false);
            return;
        }
        // The silo loads its files into all slots together, later.
        foreach (SlotClaim claim in claims.Where(claim => claim.Epoch != 0)) opened(_store.Slots.Create(claim.Slot, claim.Epoch));
        int[] others = [.. claims.Where(claim => claim.Epoch == 0).Select(claim => claim.Slot)];
        foreach (SlotClaim claim in await Storage.ClaimAsync(others, cancellation).ConfigureAwait(false))
            opened(_store.Slots.Create(claim.Slot, claim.Epoch));
    }

    /// <summary>Completes when everything that slots have done so far is stored, or is lost.</summary>
    public Task FlushAsync(CancellationToken cancellation) => _journal?.FlushAsync(cancellation) ?? Task.CompletedTask;

    private IEnumerable<(string Name, string Value)> Describe()
    {
        JournalCounts counts = _journal!.Counts;
        (long log, long snapshots) = StoredBytes;
        yield return ("orleans_storage", Storage.Name);
        yield return ("orleans_storage_last_write_status", _journal.WriteError is null ? "ok" : "err");
        foreach ((string name, long value) in ((string, long)[])
        [
            ("pending_bytes", _journal.PendingBytes), ("transactions", counts.Transactions), ("records", counts.Records),
            ("bytes", counts.Bytes), ("retries", counts.Retries),
            ("snapshot_bytes", snapshots), ("log_bytes", log), ("compactions", Compactions),
        ])
        {
            yield return ("orleans_storage_" + name, value.ToString(CultureInfo.InvariantCulture));
        }
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        if (_compaction is not null) await _compaction.DisposeAsync().ConfigureAwait(false);
        if (_journal is not null) await _journal.DisposeAsync().ConfigureAwait(false);
        await Storage.DisposeAsync().ConfigureAwait(false);
    }
}
