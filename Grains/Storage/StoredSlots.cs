using System.Diagnostics;
using System.Globalization;
using OrleansRedis.Engine;

namespace OrleansRedis.Grains.Storage;

/// <summary>This silo's slots and the store that they come from and go to: opens slots for their grains, and logs what they do.</summary>
public sealed class StoredSlots : IAsyncDisposable
{
    /// <summary>So long a store that cannot be reached at the start is tried again.</summary>
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(30), s_retry = TimeSpan.FromSeconds(1);

    private readonly Store _store;
    private readonly SlotRecovery? _recovery;     // these three if slots are stored one by one
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

    /// <summary>How many snapshots of slots have been replaced since the start.</summary>
    public long Compactions => _compaction?.Replaced ?? 0;

    /// <summary>Bytes of the logs of all slots here, and of their snapshots.</summary>
    public (long Log, long Snapshots) StoredBytes => _compaction?.Sizes ?? default;

    /// <summary>What has been recovered since the start.</summary>
    public (int Slots, long SnapshotBytes, long LogBytes, long Effects) Recovered => _recovery?.Counts ?? default;

    /// <summary>Makes the store ready, and begins to listen to what slots do. Before any slot is opened.</summary>
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

    /// <summary>Claims a slot and recovers it; to be published by the caller.</summary>
    /// <param name="number">The slot.</param>
    /// <param name="onLost">Called, from any thread, when someone else has claimed it since, and it has been withdrawn for that.</param>
    /// <param name="cancellation">Stops waiting. The slot is then given up.</param>
    public async Task<Slot> OpenAsync(int number, Action onLost, CancellationToken cancellation)
    {
        if (_recovery is null)
        {
            SlotClaim claim = (await Storage.ClaimAsync([number], cancellation).ConfigureAwait(false))[0];
            return _store.Slots.Create(claim.Slot, claim.Epoch); // the silo loads its files into all slots together, later
        }
        Task<Slot> opening = _recovery.OpenAsync(number);
        try
        {
            Slot slot = await opening.WaitAsync(cancellation).ConfigureAwait(false);
            _journal?.OnLost(number, onLost);
            return slot;
        }
        catch (OperationCanceledException)
        {
            _ = opening.ContinueWith(opened => SlotReplay.Abandon(_store, opened.Result), CancellationToken.None, TaskContinuationOptions.OnlyOnRanToCompletion, TaskScheduler.Default);
            throw;
        }
    }

    /// <summary>Withdraws a slot, and completes when everything it did is stored.</summary>
    public async Task CloseAsync(Slot slot, CancellationToken cancellation)
    {
        _store.Slots.Withdraw(slot);
        if (_journal is not null) await _journal.FlushAsync(cancellation).ConfigureAwait(false);
    }

    private IEnumerable<(string Name, string Value)> Describe()
    {
        JournalCounts counts = _journal!.Counts;
        (long log, long snapshots) = StoredBytes;
        yield return ("orleans_storage", Storage.Name);
        yield return ("orleans_storage_last_write_status", _journal.WriteError is null ? "ok" : "err");
        foreach ((string name, long value) in ((string, long)[])
        [
            ("pending_bytes", _journal.PendingBytes), ("transactions", counts.Transactions), ("records", counts.Records), ("bytes", counts.Bytes), ("retries", counts.Retries),
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
