using System.Collections.Concurrent;
using System.Diagnostics;
using Microsoft.Extensions.Logging;
using OrleansRedis.Cluster;
using OrleansRedis.Engine;
using OrleansRedis.Grains.Bus;

namespace OrleansRedis.Grains.Clustering;

/// <summary>
/// Drives the logic of <see cref="ClusterSilo"/> on a thread of its own, which alone touches it: messages of the bus,
/// answers of the store and the passing of time go in; messages, requests to the store, and slots to be opened and
/// closed come out. What others may ask (<see cref="IClusterState"/>, <see cref="ILease"/>) is published after each
/// round.
/// </summary>
public sealed partial class ClusterDriver : ISiloOutput, IClusterOperations, ILease, IDisposable
{
    private readonly Store _store;
    private readonly SiloBus _bus;
    private readonly StoreRequests _requests;
    private readonly ClusterSettings _settings;
    private readonly ILogger _logger;
    private readonly BlockingCollection<Action> _events = [];
    private readonly CancellationTokenSource _stopping = new();
    private readonly Dictionary<int, long> _opening = [];
    private readonly List<int> _closing = [];
    private readonly Thread _thread;
    private Member _member;
    private ClusterSilo? _silo;
    private volatile SlotMap _map = SlotMap.Empty();
    private volatile ClusterView _view = ClusterView.Empty;
    private long _leaseEnd = long.MinValue;
    private long _lifts, _keeper;
    private string? _storeTrouble;
    private bool _isDisposed, _isUnderWay, _heldLease;
    private int _waiting;

    /// <param name="member">What the others are told of this silo.</param>
    /// <param name="settings">Times, in milliseconds.</param>
    /// <param name="clusterStore">Where view and map are kept.</param>
    /// <param name="store">This silo's data.</param>
    /// <param name="bus">The bus; started by the driver.</param>
    /// <param name="logger">Where it is told what changes, and why.</param>
    public ClusterDriver(Member member, ClusterSettings settings, IClusterStore clusterStore, Store store, SiloBus bus, ILogger logger)
    {
        _member = member;
        _settings = settings;
        _store = store;
        _bus = bus;
        _logger = logger;
        // As long as the store itself tries, and somewhat longer.
        _requests = new(clusterStore, SlotMap.RedisSlots, TimeSpan.FromSeconds(12), Post, OnStoreError);
        _thread = new(Run) { IsBackground = true, Name = "cluster" };
        bus.Handle(BusKinds.Heartbeat, (_, bytes) =>
        {
            Heartbeat heartbeat = MessageCodec.DecodeHeartbeat(bytes);
            Post(() => Logic.OnHeartbeat(heartbeat, Now));
        });
        bus.Handle(BusKinds.Message, (_, bytes) =>
        {
            ClusterMessage message = MessageCodec.DecodeMessage(bytes);
            Post(() => OnMessage(message));
        });
    }

    /// <inheritdoc/>
    public event Action? Changed;

    /// <summary>Opens and closes slots; set before the start.</summary>
    public required ClusterSlots Slots { get; init; }

    /// <summary>The cluster goes on without this silo, and the process has to end; with the reason.</summary>
    public Action<string>? Excluded { get; set; }

    /// <inheritdoc/>
    public SiloId Self => _member.Id;

    /// <inheritdoc/>
    public SlotMap Map => _map;

    /// <inheritdoc/>
    public ClusterView View => _view;

    /// <inheritdoc/>
    public bool HoldsLease => BootClock.NowMs < Volatile.Read(ref _leaseEnd);

    bool ILease.IsHeld => HoldsLease;

    long ILease.Lifts => Volatile.Read(ref _lifts);

    /// <inheritdoc/>
    public long Now => BootClock.NowMs;

    /// <summary>The logic; for this thread alone.</summary>
    internal ClusterSilo Logic => _silo!;

    /// <inheritdoc/>
    public SiloId Keeper => _view.MemberOf(Volatile.Read(ref _keeper))?.Id ?? SiloId.None;

    /// <inheritdoc/>
    public (int Away, int Coming) Moving => Slots.Moves.Counts;

    /// <summary>Begins.</summary>
    public void Start()
    {
        _store.Restrict(Restrictions.Unassigned | Restrictions.WithoutLease);
        _store.Lease = this;
        Slots.Start(this, _bus);
        _bus.Start();
        _thread.Start();
    }

    /// <summary>Has the driver's thread do something, in its turn.</summary>
    public void Post(Action action)
    {
        try
        {
            _events.Add(action);
        }
        catch (InvalidOperationException)
        {
            // It has ended.
        }
    }

    /// <summary>Changes what the others know of this silo.</summary>
    public void Describe(Func<Member, Member> change) => Post(() =>
    {
        _member = change(_member);
        Logic.Membership.Describe(_member);
    });

    /// <inheritdoc/>
    public void RequestMove(int first, int last, SiloId to) => Post(() => Logic.RequestMove(first, last, to, Now));

    /// <inheritdoc/>
    public void RequestBalance() => RequestMove(0, SlotMap.RedisSlots - 1, SiloId.None);

    /// <inheritdoc/>
    public void RequestLeave(SiloId silo, bool isLeaving) =>
        Post(() => ((ISiloOutput)this).Send(silo.Node, new LeaveRequest(Self, silo, isLeaving)));

    /// <summary>
    /// Gives all slots to others, as long as there is somebody to take them, and for no longer than this. With what is left
    /// the silo goes on until it stops; it does not take anything more, since what it has is about to be saved.
    /// </summary>
    public async Task LeaveAsync(TimeSpan deadline)
    {
        if (deadline > TimeSpan.Zero && HasHeirs && HoldsLease && OwnedSlots > 0)
        {
            LogLeaves(_logger, OwnedSlots);
            Describe(self => self with { IsLeaving = true });
            long giveUpAtMs = Now + (long)deadline.TotalMilliseconds;
            while (OwnedSlots > 0 && HasHeirs && HoldsLease && Now < giveUpAtMs && !_stopping.IsCancellationRequested)
                await Task.Delay(20).ConfigureAwait(false);
            string reason = Now >= giveUpAtMs ? "the time is over (shutdown-timeout)" : "nobody is left to take them";
            if (OwnedSlots is > 0 and int left) LogLeftWith(_logger, left, reason);
            else LogHasLeft(_logger);
        }
        if (Slots.Moves is { } moves) await moves.FreezeAsync(true).ConfigureAwait(false);
    }

    /// <summary>The silo does not end after all.</summary>
    public void ComeBack()
    {
        Describe(self => self with { IsLeaving = false });
        _ = Slots.Moves?.FreezeAsync(false);
    }

    private bool HasHeirs => _view.Members.Any(member => member.Id != Self && member.EffectiveWeight > 0);

    private int OwnedSlots
    {
        get
        {
            SlotMap map = _map;
            int owned = 0;
            for (int slot = 0; slot < map.Count; slot++) owned += map[slot].Owner == Self ? 1 : 0;
            return owned;
        }
    }

    /// <summary>Stops: nothing is served by this silo from now on.</summary>
    public void Stop()
    {
        Volatile.Write(ref _leaseEnd, long.MinValue);
        if (_isDisposed) return;
        _stopping.Cancel();
        if (_thread.IsAlive && Thread.CurrentThread != _thread) _thread.Join();
    }

    public void Dispose()
    {
        Stop();
        if (_isDisposed) return;
        _isDisposed = true;
        _events.Dispose();
        _stopping.Dispose();
    }

    private void Run()
    {
        UrgentThread.BecomeOne();
        try
        {
            _silo = new(_member, SlotMap.RedisSlots, _settings, this);
            _silo.Start();
            Settle();
            long tick = Math.Max(1, _settings.HeartbeatInterval / 2), nextTick = Now + tick;
            while (!_stopping.IsCancellationRequested)
            {
                long wait = nextTick - Now;
                if (wait > 0 && _events.TryTake(out Action? action, (int)wait, _stopping.Token))
                {
                    action();
                    // What has come meanwhile is dealt with in the same round.
                    for (int more = 256; more > 0 && _events.TryTake(out action); more--) action();
                }
                if (Now >= nextTick)
                {
                    _silo.Tick(Now);
                    nextTick = Now + tick;
                }
                Settle();
            }
        }
        catch (OperationCanceledException) when (_stopping.IsCancellationRequested)
        {
            // Told to stop.
        }
        catch (Exception e)
        {
            // Nobody knows what it should serve any more.
            Volatile.Write(ref _leaseEnd, long.MinValue);
            LogFailed(_logger, e);
            Excluded?.Invoke($"the cluster's driver has failed: {e.Message}");
        }
        finally
        {
            _events.CompleteAdding();
        }
    }

    /// <summary>After a round: does what has been asked for, in bulk, and publishes what has changed.</summary>
    private void Settle()
    {
        long now = Now;
        ClusterView view = Logic.View, viewBefore = _view;
        SlotMap map = Logic.Map, mapBefore = _map;
        bool isNews = view != viewBefore || map != mapBefore;
        if (view != viewBefore) AdoptView(viewBefore, view);
        (_view, _map) = (view, map);
        if (map != mapBefore) TellOfMap(mapBefore, map);
        Volatile.Write(ref _leaseEnd, Logic.Membership.LeaseEnd(now));
        SeeToLease();
        if (_closing.Count > 0)
        {
            Slots.Close([.. _closing]);
            _closing.Clear();
            isNews = true;
        }
        if (_opening.Count > 0)
        {
            Slots.Open([.. _opening.Select(slot => new SlotClaim(slot.Key, slot.Value))]);
            _opening.Clear();
            isNews = true;
        }
        Slots.Settle();
        Volatile.Write(ref _keeper, Logic.Membership.KeeperNode(now));
        if (isNews) Changed?.Invoke();
    }

    private void SeeToLease()
    {
        bool isHeld = HoldsLease;
        if (!isHeld) _store.Restrict(Restrictions.WithoutLease);
        else if ((_store.Restrictions & Restrictions.WithoutLease) != 0)
        {
            Interlocked.Increment(ref _lifts);
            _store.Lift(Restrictions.WithoutLease);
        }
        if (isHeld == _heldLease) return;
        _heldLease = isHeld;
        if (isHeld) LogLease(_logger);
        else LogNoLease(_logger, _settings.Lease);
    }

    private void AdoptView(ClusterView before, ClusterView view)
    {
        foreach (Member member in view.Members)
        {
            if (SiloEndpoints.Parse(member.Endpoint) is { } endpoints) _bus.Know(member.Id, endpoints.Bus);
            if (before.Contains(member.Id)) continue;
            string how = before.MemberOf(member.Id.Node) is { } former ? $"in the place of {former.Id}" : "new";
            LogIn(_logger, member.Id, how, member.Endpoint, view.Version, view.Members.Count);
        }
        foreach (Member member in before.Members)
        {
            if (view.MemberOf(member.Id.Node) is { } now)
            {
                if (now.Id == member.Id && now.IsLeaving != member.IsLeaving)
                    LogLeaving(_logger, member.Id, now.IsLeaving ? "is being left without slots" : "gets slots again", view.Version);
                continue;
            }
            _bus.Forget(member.Id);
            LogOut(_logger, member.Id, view.Version, view.Members.Count);
            Departed?.Invoke(member);
        }
    }

    /// <summary>A silo is out by the newest view.</summary>
    public event Action<Member>? Departed;

    private void TellOfMap(SlotMap before, SlotMap map)
    {
        int taken = 0, given = 0, begun = 0, waiting = 0;
        for (int slot = 0; slot < map.Count; slot++)
        {
            SlotEntry old = before[slot], entry = map[slot];
            if (!entry.Owner.IsNone && !_view.Contains(entry.Owner)) waiting++;
            if (old.Equals(entry)) continue;
            if (old.Owner != entry.Owner)
            {
                if (entry.Owner == Self) taken++;
                if (old.Owner == Self) given++;
            }
            if (entry.Owner == Self && !entry.Target.IsNone && old.Move != entry.Move) begun++;
        }
        if (waiting > 0 && waiting != _waiting) LogWaiting(_logger, map.Version, waiting);
        _waiting = waiting;
        if (taken + given + begun == 0) return;
        int owned = 0, leaving = 0, coming = 0;
        for (int slot = 0; slot < map.Count; slot++)
        {
            if (map[slot].Owner == Self) owned++;
            if (map[slot].Owner == Self && !map[slot].Target.IsNone) leaving++;
            if (map[slot].Target == Self) coming++;
        }
        // While slots are on their way, every map brings some of them; the first one and the last one are told.
        bool isUnderWay = leaving + coming > 0;
        LogMap(_logger, _isUnderWay && isUnderWay ? LogLevel.Debug : LogLevel.Information, map.Version, owned, leaving, coming, taken, given);
        _isUnderWay = isUnderWay;
    }

    private void OnMessage(ClusterMessage message)
    {
        if (message is not LeaveRequest leave) Logic.OnMessage(message, Now);
        else if (leave.Silo == Self) Describe(self => self with { IsLeaving = leave.IsLeaving });
    }

    private void OnStoreError(Exception error)
    {
        if (_storeTrouble == error.Message) return;
        _storeTrouble = error.Message;
        LogStore(_logger, error.Message);
    }

    private void StoreAnswers()
    {
        if (_storeTrouble is null) return;
        _storeTrouble = null;
        LogStoreIsBack(_logger);
    }

    void ISiloOutput.Send(long node, in Heartbeat heartbeat)
    {
        if (node == Self.Node) return;
        _bus.TrySendToNode(node, BusKinds.Heartbeat, MessageCodec.Encode(heartbeat));
    }

    void ISiloOutput.Send(long node, ClusterMessage message)
    {
        // What is sent to the silo itself comes back like any other message, later.
        if (node == Self.Node) Post(() => OnMessage(message));
        else if (MessageCodec.Encode(message) is { } bytes) _bus.TrySendToNode(node, BusKinds.Message, bytes);
    }

    void ISiloOutput.ReadView() => _ = _requests.ReadViewAsync(view =>
    {
        StoreAnswers();
        // Whoever has never been in knows nobody, and has to call them.
        foreach (Member member in view.Members)
        {
            if (SiloEndpoints.Parse(member.Endpoint) is { } endpoints) _bus.Know(member.Id, endpoints.Bus);
        }
        Logic.OnViewRead(view, Now);
    });

    void ISiloOutput.WriteView(ClusterView view) => _ = _requests.WriteAsync(view, outcome => Logic.OnViewWritten(view, outcome, Now));

    void ISiloOutput.ReadMap() => _ = _requests.ReadMapAsync(map => Logic.OnMapRead(map, Now));

    void ISiloOutput.WriteMap(SlotMap map) => _ = _requests.WriteAsync(map, outcome => Logic.OnMapWritten(map, outcome, Now));

    void ISiloOutput.OpenSlot(int slot, long epoch) => _opening[slot] = epoch;

    void ISiloOutput.CloseSlot(int slot)
    {
        // A silo that is out does not give its slots to anybody: they wait for its node, if nobody else can recover them.
        if (!Logic.Membership.IsExcluded && !_opening.Remove(slot)) _closing.Add(slot);
    }

    void ISiloOutput.StartCopy(int slot, SiloId target, long move) => Slots.Moves.StartCopy(slot, target, move);

    void ISiloOutput.StopCopy(int slot) => Slots.Moves.StopCopy(slot);

    /// <summary>A slot has been opened under this epoch.</summary>
    internal void OnOpened(int slot, long epoch) =>
        Logic.OnOpened(new(slot, epoch, new SlotLedger(), _settings, Logic, Now));

    // Commands reach slots without the ledger; see docs/architecture/cluster.md.

    (object? Reply, object? Effects) ISiloOutput.Run(OwnedSlot slot, RequestId id, object command) => throw Unused();

    object? ISiloOutput.Borrow(OwnedSlot slot) => throw Unused();

    object? ISiloOutput.Do(OwnedSlot slot, object part) => throw Unused();

    void ISiloOutput.Append(OwnedSlot slot, LedgerRecord record) => throw Unused();

    void ISiloOutput.OnDone(long number, object? reply) => throw Unused();

    (object? Reply, IReadOnlyList<object> Parts) ISiloOutput.RunUnit(long number, IReadOnlyList<object?> borrowed) => throw Unused();

    void ISiloOutput.OnExcluded()
    {
        Volatile.Write(ref _leaseEnd, long.MinValue);
        string reason = $"silo {Self} is not in the cluster any more by view {Logic.View.Version}: the others have not heard it for "
            + $"{_settings.NodeTimeout} ms (cluster-node-timeout), or its directory has been taken over by a later life";
        Excluded?.Invoke(reason);
    }

    private static UnreachableException Unused() => new("Nothing sends such messages yet.");

    [LoggerMessage(LogLevel.Information, "Silo {Silo} is in the cluster ({How}; {Endpoints}); view {View} has {Count} silos")]
    private static partial void LogIn(ILogger logger, SiloId silo, string how, string endpoints, long view, int count);

    [LoggerMessage(LogLevel.Warning, "Silo {Silo} is out: more than half of the others have not heard it for cluster-node-timeout, or it has left; "
        + "view {View} has {Count} silos")]
    private static partial void LogOut(ILogger logger, SiloId silo, long view, int count);

    [LoggerMessage(LogLevel.Information, "Silo {Silo} {What}, by view {View}")]
    private static partial void LogLeaving(ILogger logger, SiloId silo, string what, long view);

    [LoggerMessage("Slot map {Map}: {Owned} slots are this silo's; {Leaving} are to move away and {Coming} to move here. It has got {Taken} and given {Given}")]
    private static partial void LogMap(ILogger logger, LogLevel level, long map, int owned, int leaving, int coming, int taken, int given);

    [LoggerMessage(LogLevel.Warning, "Slot map {Map}: {Count} slots wait for silos that are out")]
    private static partial void LogWaiting(ILogger logger, long map, int count);

    [LoggerMessage(LogLevel.Information, "This silo holds its lease: more than half of the cluster hears it")]
    private static partial void LogLease(ILogger logger);

    [LoggerMessage(LogLevel.Warning, "This silo has lost its lease: less than half of the cluster has heard it for {Lease} ms. "
        + "It serves nothing until it has it again")]
    private static partial void LogNoLease(ILogger logger, long lease);

    [LoggerMessage(LogLevel.Warning, "The cluster's store does not answer, so that nothing can change its owner: {Reason}")]
    private static partial void LogStore(ILogger logger, string reason);

    [LoggerMessage(LogLevel.Information, "The cluster's store answers again")]
    private static partial void LogStoreIsBack(ILogger logger);

    [LoggerMessage(LogLevel.Information, "Moving {Count} slots to other silos before the end")]
    private static partial void LogLeaves(ILogger logger, int count);

    [LoggerMessage(LogLevel.Information, "All slots of this silo are with others now")]
    private static partial void LogHasLeft(ILogger logger);

    [LoggerMessage(LogLevel.Warning, "{Count} slots stay with this silo, which is ending: {Reason}. They are served again when it is back")]
    private static partial void LogLeftWith(ILogger logger, int count, string reason);

    [LoggerMessage(LogLevel.Critical, "The cluster's driver has failed; please report this")]
    private static partial void LogFailed(ILogger logger, Exception error);
}
