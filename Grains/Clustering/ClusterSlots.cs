using System.Collections.Concurrent;
using Microsoft.Extensions.Logging;
using OrleansRedis.Cluster;
using OrleansRedis.Engine;
using OrleansRedis.Grains.Storage;

namespace OrleansRedis.Grains.Clustering;

/// <summary>
/// Opens and closes this silo's slots as its driver says, in bulk, on a thread of its own. Before the first slot is
/// opened the silo's files are loaded, which may have slots that other silos own by now: those are left out, and the
/// silo's log is told so.
/// </summary>
public sealed partial class ClusterSlots : IDisposable
{
    private readonly Store _store;
    private readonly SlotHost _host;
    private readonly StoredSlots _stored;
    private readonly ServerFiles _files;
    private readonly ILogger _logger;
    private readonly BlockingCollection<Action> _work = [];
    private readonly CancellationTokenSource _stopping = new();
    private readonly Dictionary<int, long> _early = [];     // to be opened once the files are loaded; the driver's
    private readonly Thread _thread;
    private ClusterDriver? _driver;
    private bool _isLoading;                                // the driver's, as the next one
    private volatile bool _isLoaded;
    private bool _isDisposed;

    public ClusterSlots(Store store, SlotHost host, StoredSlots stored, ServerFiles files, ILogger<ClusterSlots> logger)
    {
        _store = store;
        _host = host;
        _stored = stored;
        _files = files;
        _logger = logger;
        _thread = new(Run) { IsBackground = true, Name = "slots" };
    }

    /// <summary>Called once, when the files are loaded and the first slots are open.</summary>
    public Action? Loaded { get; set; }

    /// <summary>Whether this silo's files are loaded.</summary>
    public bool IsLoaded => _isLoaded;

    /// <summary>What moves between silos.</summary>
    internal SlotMoves Moves { get; private set; } = null!;

    private bool HasFiles => _stored.Storage.Scope == StorageScope.Silo;

    /// <summary>Begins to serve a driver.</summary>
    internal void Start(ClusterDriver driver, ISiloBus bus)
    {
        _driver = driver;
        Moves = new(driver, _store, _stored, _files, bus, _logger);
        _thread.Start();
    }

    /// <summary>Slots that are this silo's from now on. For the driver's thread, as everything but Stop.</summary>
    internal void Open(IReadOnlyList<SlotClaim> claims)
    {
        if (!_isLoaded)
        {
            foreach (SlotClaim claim in claims) _early[claim.Slot] = claim.Epoch;
            return;
        }
        List<SlotClaim> others = [];
        foreach (SlotClaim claim in claims)
        {
            if (Moves.TakeReceived(claim) is { } received)
            {
                _host.Take(received);
                _driver!.OnOpened(claim.Slot, claim.Epoch);
            }
            else others.Add(claim);
        }
        if (others.Count > 0) _work.Add(() => OpenNow(others));
    }

    /// <summary>Slots that are not this silo's any more.</summary>
    internal void Close(IReadOnlyList<int> slots)
    {
        foreach (int slot in slots)
        {
            _early.Remove(slot);
            Moves.Forget(slot);
        }
        _work.Add(() =>
        {
            foreach (int slot in slots) _host.Release(slot);
        });
    }

    /// <summary>A round of the driver is over.</summary>
    internal void Settle()
    {
        if (!_isLoaded && !_isLoading && MayLoad())
        {
            _isLoading = true;
            SlotClaim[] claims = [.. _early.Select(slot => new SlotClaim(slot.Key, slot.Value))];
            _early.Clear();
            _work.Add(() => Load(claims));
        }
        Moves.Settle();
    }

    /// <summary>Stops. Nothing is opened or closed any more.</summary>
    public void Stop()
    {
        _stopping.Cancel();
        _work.CompleteAdding();
        if (_thread.IsAlive) _thread.Join();
        Moves?.Dispose();
    }

    public void Dispose()
    {
        if (_isDisposed) return;
        _isDisposed = true;
        if (!_stopping.IsCancellationRequested) Stop();
        _work.Dispose();
        _stopping.Dispose();
    }

    /// <summary>
    /// Whether it is known which of the slots in this node's files are still its own: they are given to its new life all
    /// at once.
    /// </summary>
    private bool MayLoad()
    {
        ClusterSilo logic = _driver!.Logic;
        if (logic.Map.Version == 0 || !logic.Membership.IsMember) return false;
        for (int slot = 0; slot < logic.Map.Count; slot++)
        {
            SiloId owner = logic.Map[slot].Owner;
            if (owner.Node == logic.Id.Node && owner != logic.Id) return false;
        }
        return true;
    }

    private void Run()
    {
        foreach (Action action in _work.GetConsumingEnumerable())
        {
            try
            {
                action();
            }
            catch (OperationCanceledException) when (_stopping.IsCancellationRequested)
            {
                return;
            }
            catch (Exception e)
            {
                string reason = e is LoadException ? e.Message : $"slots could not be opened or closed: {e.GetBaseException().Message}";
                LogFailed(_logger, reason);
                _driver!.Excluded?.Invoke(reason);
                return;
            }
        }
    }

    private void Load(SlotClaim[] claims)
    {
        OpenOnly(claims);
        if (HasFiles)
        {
            List<Slot> strangers = [];
            if (_files.HasFilesToLoad)
            {
                for (int number = 0; number < KeySlot.Count; number++)
                {
                    if (_store.Slots[number] is not null) continue;
                    Slot stranger = _store.Slots.Create(number, 0);
                    _store.Slots.Publish(stranger);
                    strangers.Add(stranger);
                }
            }
            _files.Load(_stopping.Token);
            _files.Aof.Open();
            LeaveOut(strangers);
        }
        else _files.Aof.Open();
        LogOpen(_logger, claims.Length);
        _store.Lift(Restrictions.Loading | Restrictions.Unassigned);
        _files.Dump.Start();
        _files.Aof.Start();
        Loaded?.Invoke();
        _driver!.Post(() =>
        {
            _isLoaded = true;
            Report(claims);
            if (_early.Count == 0) return;
            SlotClaim[] early = [.. _early.Select(slot => new SlotClaim(slot.Key, slot.Value))];
            _early.Clear();
            Open(early);
        });
    }

    private void LeaveOut(List<Slot> strangers)
    {
        long keys = 0;
        int slots = 0;
        foreach (Slot stranger in strangers)
        {
            long held = Enumerable.Range(0, _store.Slots.Databases).Sum(database => (long)_store.Slots.KeyCount(database, stranger.Number));
            if (held > 0)
            {
                keys += held;
                slots++;
                SlotPassage.LogDeparture(_store, stranger);
            }
            _store.Slots.Withdraw(stranger);
        }
        if (keys > 0) LogLeftOut(_logger, keys, slots);
    }

    private void OpenNow(List<SlotClaim> claims)
    {
        OpenOnly(claims);
        _driver!.Post(() => Report(claims));
    }

    private void OpenOnly(IReadOnlyList<SlotClaim> claims)
    {
        while (claims.Count > 0)
        {
            try
            {
                _host.TakeAsync(claims, _stopping.Token).GetAwaiter().GetResult();
                return;
            }
            catch (SlotStorageException e)
            {
                LogRetry(_logger, claims.Count, e.Message);
                _stopping.Token.WaitHandle.WaitOne(1000);
                _stopping.Token.ThrowIfCancellationRequested();
            }
        }
    }

    private void Report(IReadOnlyList<SlotClaim> claims)
    {
        foreach (SlotClaim claim in claims) _driver!.OnOpened(claim.Slot, claim.Epoch);
    }

    [LoggerMessage(LogLevel.Information, "{Count} hash slots are open here")]
    private static partial void LogOpen(ILogger logger, int count);

    [LoggerMessage(LogLevel.Information, "{Keys} keys of {Slots} slots in this silo's files are left out: by the slot map, other silos own these slots by now")]
    private static partial void LogLeftOut(ILogger logger, long keys, int slots);

    [LoggerMessage(LogLevel.Warning, "{Count} slots could not be opened, and are tried again: {Reason}")]
    private static partial void LogRetry(ILogger logger, int count, string reason);

    [LoggerMessage(LogLevel.Critical, "This silo cannot go on: {Reason}")]
    private static partial void LogFailed(ILogger logger, string reason);
}
