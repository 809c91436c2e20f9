using Microsoft.Extensions.Logging;
using OrleansRedis.Cluster;
using OrleansRedis.Engine;
using OrleansRedis.Grains.Storage;

namespace OrleansRedis.Grains.Clustering;

/// <summary>
/// Copies slots to other silos while they are served (<see cref="SlotCopy"/>), and receives those that come here
/// (<see cref="SlotArrivals"/>). With a shared store nothing is copied: the slot stops, what it did is stored, and the
/// next owner recovers it from there.
/// </summary>
internal sealed class SlotMoves : IDisposable
{
    /// <summary>How many snapshots of slots are made at a time.</summary>
    private const int SnapshotsAtOnce = 8;

    private readonly ClusterDriver _driver;
    private readonly SlotArrivals _arrivals;
    private readonly Dictionary<int, SlotCopy> _copies = [];    // under its lock; changed by the driver's thread alone
    private readonly Dictionary<int, Task> _ending = [];        // copies that are over soon; the driver's
    private readonly CancellationTokenSource _stopping = new();
    private bool _isReading;                                    // under the lock of _copies
    private long _attempts;

    public SlotMoves(ClusterDriver driver, Store store, StoredSlots stored, ServerFiles files, ISiloBus bus, ILogger logger)
    {
        _driver = driver;
        Store = store;
        Stored = stored;
        Bus = bus;
        Logger = logger;
        _arrivals = new(driver, store, files, bus, logger);
        bus.Handle((byte)MoveKind.Credit, (from, bytes) => OnCredit(from, MoveMessage.Decode(MoveKind.Credit, bytes)));
        bus.Broken += OnBroken;
    }

    public Store Store { get; }

    public StoredSlots Stored { get; }

    public ISiloBus Bus { get; }

    public ILogger Logger { get; }

    public SemaphoreSlim Snapshots { get; } = new(SnapshotsAtOnce);

    /// <summary>How many slots are being copied away, and how many are coming.</summary>
    public (int Away, int Coming) Counts
    {
        get
        {
            lock (_copies) return (_copies.Count, _arrivals.Count);
        }
    }

    public long NextAttempt() => Interlocked.Increment(ref _attempts);

    /// <inheritdoc cref="ISlotHost.StartCopy"/>
    public void StartCopy(int slot, SiloId target, long move)
    {
        var copy = new SlotCopy(this, slot, target, move, _stopping.Token);
        lock (_copies)
        {
            _copies.Add(slot, copy);
            if (!_isReading && Stored.Storage.Scope == StorageScope.Silo)
            {
                _isReading = true;
                var log = new MoveLog(Store.Effects.Log);
                _ = Task.Run(() => ReadAsync(log));
            }
        }
        copy.Begin(_ending.Remove(slot, out Task? former) ? former : Task.CompletedTask);
    }

    /// <inheritdoc cref="ISlotHost.StopCopy"/>
    public void StopCopy(int slot)
    {
        if (Remove(slot) is { } copy) _ending[slot] = copy.EndAsync(resumes: true);
    }

    /// <summary>The slot is not this silo's any more.</summary>
    public void Forget(int slot)
    {
        if (Remove(slot) is { } copy) _ = copy.EndAsync(resumes: false);
        _ending.Remove(slot);
    }

    /// <summary>A round of the driver is over.</summary>
    public void Settle()
    {
        // Only the driver's thread changes it.
        foreach (SlotCopy copy in _copies.Values)
        {
            if (copy.IsNear && _driver.Logic.Ownership.HasStopped(copy.Number)) copy.Stop();
        }
        _arrivals.Settle();
    }

    /// <summary>Has no slot come here any more, or again. When it is done, what has come completely is in the table.</summary>
    public Task FreezeAsync(bool freezes) => _arrivals.FreezeAsync(freezes);

    /// <summary>The slot of a move to this silo that is complete; null if there is none for this claim.</summary>
    public Slot? TakeReceived(SlotClaim claim) => _arrivals.Take(claim);

    /// <summary>Little is missing at the target.</summary>
    public void IsNear(SlotCopy copy) => _driver.Post(() => _driver.Logic.OnCopyNear(copy.Number, copy.Move, _driver.Now));

    /// <summary>Nothing is missing there.</summary>
    public void IsCopied(SlotCopy copy) => _driver.Post(() => _driver.Logic.OnCopied(copy.Number, copy.Move, _driver.Now));

    public void Dispose()
    {
        _stopping.Cancel();
        Bus.Broken -= OnBroken;
        _arrivals.Dispose();
    }

    private SlotCopy? Remove(int slot)
    {
        lock (_copies) return _copies.Remove(slot, out SlotCopy? copy) ? copy : null;
    }

    private SlotCopy? Find(int slot)
    {
        lock (_copies) return _copies.GetValueOrDefault(slot);
    }

    /// <summary>Passes effects on to the copies of their slots, as long as there are any.</summary>
    private async Task ReadAsync(MoveLog log)
    {
        try
        {
            while (true)
            {
                lock (_copies)
                {
                    if (_copies.Count == 0)
                    {
                        _isReading = false;
                        return;
                    }
                }
                using var patience = CancellationTokenSource.CreateLinkedTokenSource(_stopping.Token);
                patience.CancelAfter(1000); // whether there is still something to copy
                List<SlotRecord> records;
                try
                {
                    records = await log.NextAsync(slot => Find(slot) is not null, patience.Token).ConfigureAwait(false);
                }
                catch (OperationCanceledException) when (!_stopping.IsCancellationRequested)
                {
                    continue;
                }
                foreach (SlotRecord record in records) Find(record.Slot)?.Add(record);
            }
        }
        catch (OperationCanceledException)
        {
            // The silo is ending.
        }
        finally
        {
            log.Detach();
        }
    }

    private void OnCredit(SiloId from, MoveMessage credit)
    {
        if (Find(credit.Slot) is { } copy && copy.Target == from) copy.OnCredit(credit);
    }

    private void OnBroken(SiloId silo)
    {
        SlotCopy[] broken;
        lock (_copies) broken = [.. _copies.Values.Where(copy => copy.Target == silo)];
        foreach (SlotCopy copy in broken) copy.BeginAnew();
    }
}
