namespace OrleansRedis.Engine;

/// <summary>Why a blocked command's wait is over.</summary>
public enum BlockedEnd
{
    /// <summary>It ran; its reply is written.</summary>
    Served = 2,

    /// <summary>Its timeout has passed, or CLIENT UNBLOCK ended the wait: it replies with a null array.</summary>
    TimedOut,

    /// <summary>CLIENT UNBLOCK ERROR.</summary>
    Unblocked,

    /// <summary>The client is gone; there is no one to reply to.</summary>
    Disconnected,

    /// <summary>A slot of one of its keys has left this silo.</summary>
    Moved,

    /// <summary>It may no longer run, or not here; the error is written as its reply.</summary>
    Refused,
}

/// <summary>
/// A command that waits until it can do its work. A command that changes one of its keys runs it again, under the gates
/// it already holds. So to everyone else, the change and the service it makes possible are a single step.
/// <para>
/// Exactly one of its possible ends wins, decided by <see cref="_state"/>: served, timed out, unblocked, disconnected
/// or moved. It is claimed before it runs, so a client that has gone away is never given anything. An end that arrives
/// while it runs counts only if the run had no result.
/// </para>
/// </summary>
public sealed class BlockedCommand
{
    private const int Waiting = 0;
    private const int Running = 1;
    private const int EndPending = 16; // plus the end that is requested

    private readonly Store _store;
    private readonly TaskCompletionSource _ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly (BlockedKey Key, LinkedListNode<BlockedCommand> Place)[] _places;
    private readonly long _deadlineMs;
    private readonly long _startedMs;
    private ITimer? _timer;
    private int _state;

    internal BlockedCommand(
        Store store,
        Session session,
        CommandInfo command,
        OwnedRequest request,
        ValueType type,
        bool wantsDeletion,
        int[] slots,
        int keyCount,
        long deadlineMs)
    {
        _store = store;
        Session = session;
        Command = command;
        Request = request;
        Type = type;
        WantsDeletion = wantsDeletion;
        Slots = slots;
        _places = new (BlockedKey, LinkedListNode<BlockedCommand>)[keyCount];
        _deadlineMs = deadlineMs;
        _startedMs = store.Clock.NowMs;
    }

    /// <summary>The session that waits.</summary>
    public Session Session { get; }

    public CommandInfo Command { get; }

    /// <summary>The request to run when a key is ready.</summary>
    internal OwnedRequest Request { get; }

    /// <summary>The type that makes a key ready.</summary>
    internal ValueType Type { get; }

    /// <summary>Whether it also runs when a key is deleted or changes its type (XREADGROUP).</summary>
    internal bool WantsDeletion { get; }

    /// <summary>Whether its wait ends at some time by itself.</summary>
    public bool HasDeadline => _deadlineMs != BlockingTimeout.Never;

    /// <summary>The slots of all keys it reaches, in ascending order, without duplicates.</summary>
    internal int[] Slots { get; }

    /// <summary>For how many ticks of the Stopwatch it ran again, once it need not wait any more.</summary>
    internal long RunTicks { get; set; }

    /// <summary>Where its reply is written while its client's connection waits.</summary>
    internal RespWriter Reply { get; } = new();

    /// <summary>Whether its end is decided.</summary>
    public bool IsOver => Volatile.Read(ref _state) is >= (int)BlockedEnd.Served and < EndPending;

    /// <summary>Whether it waits: it does not run now, and its end is not decided.</summary>
    public bool IsWaiting => Volatile.Read(ref _state) == Waiting;

    /// <summary>Ends the wait, unless it is already over or about to be; true if this call did it.</summary>
    public bool TryEnd(BlockedEnd end)
    {
        while (true)
        {
            int state = Volatile.Read(ref _state);
            if (state == Waiting)
            {
                if (Interlocked.CompareExchange(ref _state, (int)end, Waiting) != Waiting) continue;
                Ended();
                return true;
            }
            if (state != Running) return false;
            // The thread that runs it decides; see Unclaim.
            if (Interlocked.CompareExchange(ref _state, EndPending + (int)end, Running) == Running) return true;
        }
    }

    /// <summary>Claims it in order to run it now; false if its wait has ended.</summary>
    internal bool TryClaim() => Interlocked.CompareExchange(ref _state, Running, Waiting) == Waiting;

    /// <summary>The run had no result: it goes on waiting, or ends if that was requested meanwhile.</summary>
    internal void Unclaim()
    {
        int state = Interlocked.CompareExchange(ref _state, Waiting, Running);
        if (state == Running) return;
        Volatile.Write(ref _state, state - EndPending);
        Ended();
    }

    /// <summary>Ends the wait with an error, unless it is over. The gate of one of its keys is held.</summary>
    internal void TryRefuse(string error)
    {
        if (TryClaim()) Refuse(error);
    }

    /// <summary>It was claimed, but must not run: its wait ends with an error.</summary>
    internal void Refuse(string error)
    {
        Reply.Error(error);
        Unclaim();
        TryEnd(BlockedEnd.Refused);
    }

    /// <summary>It has run and its reply is written; the gates of all its keys are held.</summary>
    internal void Served()
    {
        RemoveFromQueues();
        Volatile.Write(ref _state, (int)BlockedEnd.Served);
        Ended();
    }

    /// <summary>
    /// Its end is decided. It no longer counts as blocked, even before its connection gets to it: a client that has
    /// pushed what another waits for, and then looks, must not see that one blocked.
    /// </summary>
    private void Ended()
    {
        Interlocked.Decrement(ref _store.WaitingCommands);
        _ended.SetResult();
    }

    /// <summary>Enters the queue of a key, under its gate.</summary>
    internal void WaitFor(int index, BlockedKey key) => _places[index] = (key, key.Add(this));

    /// <summary>Setup is complete; from now on the deadline may pass.</summary>
    internal void Start()
    {
        Interlocked.Increment(ref _store.BlockedCommands);
        Interlocked.Increment(ref _store.WaitingCommands);
        Session.Blocked = this;
        if (HasDeadline)
            _timer = _store.Clock.Time.CreateTimer(static waiting => ((BlockedCommand)waiting!).Tick(), this, UntilDeadline(), Timeout.InfiniteTimeSpan);
    }

    /// <summary>Awaited by the connection before its next command.</summary>
    internal async Task WaitAsync(RespWriter reply)
    {
        await _ended.Task.ConfigureAwait(false);
        _timer?.Dispose();
        Session.Blocked = null;
        var end = (BlockedEnd)Volatile.Read(ref _state);
        // Leave the queues before the client sees the reply.
        if (end != BlockedEnd.Served) await LeaveQueuesAsync().ConfigureAwait(false);
        Interlocked.Decrement(ref _store.BlockedCommands);
        switch (end)
        {
            case BlockedEnd.Served or BlockedEnd.Refused:
                reply.Raw(Reply.Written);
                break;
            case BlockedEnd.TimedOut:
                reply.NullArray();
                break;
            case BlockedEnd.Unblocked:
                reply.Error("UNBLOCKED client unblocked via CLIENT UNBLOCK"u8);
                break;
            case BlockedEnd.Moved when Session.GoesElsewhere:
                Session.Moved = new(Request, Session.WaitedMs + _store.Clock.NowMs - _startedMs);
                break;
            case BlockedEnd.Moved:
                reply.Error("UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)"u8);
                break;
            case BlockedEnd.Disconnected:
                break;
        }
    }

    /// <summary>Ends the wait and cleans up, if nothing else awaits it.</summary>
    public Task AbandonAsync()
    {
        TryEnd(BlockedEnd.Disconnected);
        return WaitAsync(Reply);
    }

    /// <summary>Leaves all queues; their gates are held.</summary>
    internal void RemoveFromQueues()
    {
        foreach ((BlockedKey key, LinkedListNode<BlockedCommand> place) in _places) key?.Remove(place);
    }

    private async Task LeaveQueuesAsync()
    {
        foreach ((BlockedKey key, LinkedListNode<BlockedCommand> place) in _places)
        {
            if (key is not null) await _store.VisitAsync(key.Slot, (key, place), static (_, my) => my.key.Remove(my.place)).ConfigureAwait(false);
        }
    }

    private void Tick()
    {
        if (_store.Clock.NowMs >= _deadlineMs) TryEnd(BlockedEnd.TimedOut);
        else _timer?.Change(UntilDeadline(), Timeout.InfiniteTimeSpan);
    }

    /// <summary>
    /// The timer runs for at most int.MaxValue ms, about 24 days; the deadline of a longer wait is checked again then.
    /// </summary>
    private TimeSpan UntilDeadline() => TimeSpan.FromMilliseconds(Math.Clamp(_deadlineMs - _store.Clock.NowMs, 0, int.MaxValue));
}
