using System.Threading.Channels;
using OrleansRedis.Engine;

namespace OrleansRedis.Grains.Storage;

/// <summary>
/// Replaces a slot's snapshot, and drops the log before it, when the log has outgrown the snapshot by
/// auto-aof-rewrite-percentage and exceeds the slot's share of auto-aof-rewrite-min-size. It works in the background,
/// some slots at a time. A snapshot is stored only after everything that happened before it. Otherwise it could hold
/// one slot's part of a unit whose other part is lost.
/// </summary>
internal sealed class SlotCompaction(Store store, ISlotStorage storage, SlotJournal journal) : IAsyncDisposable
{
    /// <summary>One transaction replaces at most this many slots, or about this many bytes.</summary>
    private const int MostSlots = 64, MostBytes = 8 << 20;

    /// <summary>A shorter log is not worth the statement.</summary>
    private const long LeastLog = 2048;

    private static readonly TimeSpan s_retry = TimeSpan.FromSeconds(1);

    // Touched by several threads, so only by atomic operations.
    private readonly long[] _snapshotBytes = new long[HashSlot.Count], _logBytes = new long[HashSlot.Count];

    private readonly byte[] _queued = new byte[HashSlot.Count];
    private readonly Channel<int> _due = Channel.CreateUnbounded<int>();
    private readonly CancellationTokenSource _stop = new();
    private Task _loop = Task.CompletedTask;
    private long _replaced;

    /// <summary>Number of snapshots replaced since the start.</summary>
    public long Replaced => Volatile.Read(ref _replaced);

    /// <summary>Total bytes of the logs of all slots here, and of their snapshots.</summary>
    public (long Log, long Snapshots) Sizes => (_logBytes.Sum(), _snapshotBytes.Sum());

    public void Start() => _loop = Task.Run(RunAsync);

    /// <summary>Stops. A replacement that is under way may or may not take effect.</summary>
    public async ValueTask DisposeAsync()
    {
        if (_stop.IsCancellationRequested) return;
        await _stop.CancelAsync().ConfigureAwait(false);
        await _loop.ConfigureAwait(false);
        _stop.Dispose();
    }

    /// <summary>Records that a slot has been recovered from a snapshot and a log of this size.</summary>
    public void Begin(SlotClaim claim, long snapshotBytes, long logBytes)
    {
        Volatile.Write(ref _snapshotBytes[claim.Slot], snapshotBytes);
        Volatile.Write(ref _logBytes[claim.Slot], logBytes);
        Look(claim.Slot, logBytes);
    }

    /// <summary>Records that a slot's log has grown.</summary>
    public void Grown(SlotRecord record) => Look(record.Slot, Interlocked.Add(ref _logBytes[record.Slot], record.Bytes.Length));

    private void Look(int slot, long logBytes)
    {
        int percentage = store.Options.AutoAofRewritePercentage;
        if (percentage == 0 || logBytes < Math.Max(LeastLog, store.Options.AutoAofRewriteMinSize / HashSlot.Count)) return;
        if (logBytes * 100 < Volatile.Read(ref _snapshotBytes[slot]) * percentage) return;
        if (Interlocked.Exchange(ref _queued[slot], 1) == 0) _due.Writer.TryWrite(slot);
    }

    private async Task RunAsync()
    {
        var slots = new List<int>();
        while (!_stop.IsCancellationRequested)
        {
            slots.Clear();
            try
            {
                await _due.Reader.WaitToReadAsync(_stop.Token).ConfigureAwait(false);
                await ReplaceAsync(slots).ConfigureAwait(false);
            }
            catch (OperationCanceledException) when (_stop.IsCancellationRequested)
            {
                return;
            }
            catch (Exception failure)
            {
                if (failure is not SlotStorageException and not StaleEpochException)
                    store.Log.Warning($"Compacting the log of {slots.Count} slots failed: {failure.Message}");
                foreach (int slot in slots) _due.Writer.TryWrite(slot);
                await Task.Delay(s_retry, _stop.Token).ContinueWith(static _ => { }, TaskScheduler.Default).ConfigureAwait(false);
            }
        }
    }

    private async Task ReplaceAsync(List<int> slots)
    {
        var snapshots = new List<SlotSnapshot>();
        var sizes = new List<long>();
        long bytes = 0;
        while (slots.Count < MostSlots && bytes < MostBytes && _due.Reader.TryPeek(out int number))
        {
            int stripe = await EnterAsync().ConfigureAwait(false);
            try
            {
                Slot? slot = store.Slots[number];
                bool isLarge = slot is not null && SlotSnapshots.IsLarge(slot);
                if (isLarge && slots.Count != 0) break; // it gets a transaction of its own
                _due.Reader.TryRead(out _);
                slots.Add(number);
                if (isLarge) break;
                if (slot is null
                    || SlotSnapshots.Write(slot, store.Options, store.Slots.Databases, store.Clock.NowMs, out SlotPosition upTo) is not { } pieces)
                    continue;
                snapshots.Add(new(new(number, slot.Epoch), upTo, pieces.ToAsyncEnumerable()));
                sizes.Add(pieces.Sum(piece => (long)piece.Length));
                bytes += sizes[^1];
            }
            finally
            {
                store.SiloGate.ExitShared(stripe);
            }
        }
        if (slots.Count == 1 && snapshots.Count == 0) await ReplaceLargeAsync(slots[0]).ConfigureAwait(false);
        else await StoreAsync(snapshots, i => sizes[i]).ConfigureAwait(false);
        foreach (int slot in slots)
        {
            Volatile.Write(ref _queued[slot], 0);
            Look(slot, Volatile.Read(ref _logBytes[slot])); // the log may have outgrown the snapshot again meanwhile
        }
    }

    private async Task ReplaceLargeAsync(int number)
    {
        LargeSlotSnapshot? large;
        long epoch;
        int stripe = await EnterAsync().ConfigureAwait(false);
        try
        {
            if (store.Slots[number] is not { } slot) return;
            large = LargeSlotSnapshot.Begin(store.SiloGate, store.Slots, slot, store.Options, store.Clock.NowMs);
            epoch = slot.Epoch;
        }
        finally
        {
            store.SiloGate.ExitShared(stripe);
        }
        if (large is null) return;
        using (large)
            await StoreAsync([new(new(number, epoch), large.UpTo, large.ReadAsync(_stop.Token))], _ => large.Length).ConfigureAwait(false);
    }

    /// <summary>
    /// Enters the silo gate shared. Throws while the data is being loaded: what the slots show then (DEBUG RELOAD
    /// empties them first) must not be taken for what they hold.
    /// </summary>
    private async Task<int> EnterAsync()
    {
        int stripe = await store.SiloGate.EnterSharedAsync().ConfigureAwait(false);
        if ((store.Restrictions & Restrictions.Loading) == 0) return stripe;
        store.SiloGate.ExitShared(stripe);
        throw new SlotStorageException("The data is being loaded.");
    }

    private async Task StoreAsync(List<SlotSnapshot> snapshots, Func<int, long> sizeOf)
    {
        if (snapshots.Count == 0) return;
        await journal.FlushAsync(_stop.Token).ConfigureAwait(false);
        // By now everything in the snapshots is stored. The exception is a slot that was lost meanwhile: its snapshot
        // is no longer ours to store.
        bool[] stays = [.. snapshots.Select(snapshot => store.Slots[snapshot.Claim.Slot]?.Epoch == snapshot.Claim.Epoch)];
        long[] logBytes = [.. snapshots.Select(snapshot => Volatile.Read(ref _logBytes[snapshot.Claim.Slot]))];
        SlotSnapshot[] stored = [.. snapshots.Where((_, i) => stays[i])];
        if (stored.Length == 0) return;
        await storage.ReplaceAsync(stored, _stop.Token).ConfigureAwait(false);
        await storage.TrimAsync([.. stored.Select(snapshot => new SlotTrim(snapshot.Claim, snapshot.UpTo))], _stop.Token).ConfigureAwait(false);
        for (int i = 0; i < stays.Length; i++)
        {
            if (!stays[i]) continue;
            int slot = snapshots[i].Claim.Slot;
            Volatile.Write(ref _snapshotBytes[slot], sizeOf(i));
            Interlocked.Add(ref _logBytes[slot], -logBytes[i]);
            Interlocked.Increment(ref _replaced);
        }
    }
}
