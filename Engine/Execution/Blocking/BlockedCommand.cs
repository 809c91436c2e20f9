namespace OrleansRedis.Engine;

/// <summary>Why a blocked command's wait is over.</summary>
public enum BlockedEnd
{
    /// <summary>It ran; its reply is written.</summary>
    Served = 2,

    /// <summary>Its timeout has passed, or CLIENT UNBLOCK says so: it replies with a null array.</summary>
    TimedOut,

    /// <summary>CLIENT UNBLOCK ERROR.</summary>
    Unblocked,

    /// <summary>The client is gone; there is nobody to reply to.</summary>
    Disconnected,

    /// <summary>A slot of its keys has left this silo.</summary>
    Moved,
}

/// <summary>
/// A command that waits until it can do its work. Whoever changes one of its keys runs it again, under the gates that it holds
/// anyway; so serving a client and what made it possible are one step for everyone else.
/// <para>
/// Exactly one of its possible ends wins, by <see cref="_state"/>: served, timed out, unblocked, disconnected. It is claimed before it is
/// run, so a client that has gone away is never given anything. An end that comes while it is being run
/// counts only if running it came to nothing.
/// </para>
/// </summary>
public sealed class BlockedCommand
{
    private const int Waiting = 0;
    private const int Running = 1;
    private const int EndPending = 16; // plus the end that is to come

    private readonly Store _store;
    private readonly TaskCompletionSource _ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly (BlockedKey Key, LinkedListNode<BlockedCommand> Place)[] _places;
    private readonly long _deadlineMs;
    private ITimer? _timer;
    private int _state;

    internal BlockedCommand(Store store, Session session, CommandInfo command, OwnedRequest request, ValueType type, bool wantsDeletion, int[] slots, int keyCount, long deadlineMs)
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
    }

    /// <summary>Who waits.</summary>
    public Session Session { get; }

    public CommandInfo Command { get; }

    /// <summary>What to run when a key is ready.</summary>
    internal OwnedRequest Request { get; }

    /// <summary>The type that makes a key ready.</summary>
    internal ValueType Type { get; }

    /// <summary>Whether it is also to run when a key is deleted or becomes one of another type (XREADGROUP).</summary>
    internal bool WantsDeletion { get; }

    /// <summary>The slots of all keys that it reaches, ascending, each once.</summary>
    internal int[] Slots { get; }

    /// <summary>Where its reply is written to while its client's connection waits.</summary>
    internal RespWriter Reply { get; } = new();

    internal bool IsWaiting => Volatile.Read(ref _state) == Waiting;

    /// <summary>Ends the wait, unless it is over already or about to be; true if this did it.</summary>
    public bool TryEnd(BlockedEnd end)
    {
        while (true)
        {
            int state = Volatile.Read(ref _state);
            if (state == Waiting)
            {
                if (Interlocked.CompareExchange(ref _state, (int)end, Waiting) != Waiting) continue;
                _ended.SetResult();
                return true;
            }
            if (state != Running) return false;
            // Whoever runs it decides; see Unclaim.
            if (Interlocked.CompareExchange(ref _state, EndPending + (int)end, Running) == Running) return true;
        }
    }

    /// <summary>Takes it for running it now; false if its wait has ended.</summary>
    internal bool TryClaim() => Interlocked.CompareExchange(ref _state, Running, Waiting) == Waiting;

    /// <summary>Running it came to nothing: it goes on waiting, or ends if that was asked for meanwhile.</summary>
    internal void Unclaim()
    {
        int state = Interlocked.CompareExchange(ref _state, Waiting, Running);
        if (state == Running) return;
        Volatile.Write(ref _state, state - EndPending);
        _ended.SetResult();
    }

    /// <summary>It has run and its reply is written; the gates of all its keys are held.</summary>
    internal void Served()
    {
        RemoveFromQueues();
        Volatile.Write(ref _state, (int)BlockedEnd.Served);
        _ended.SetResult();
    }

    /// <summary>Enters the queue of a key, under its gate.</summary>
    internal void WaitFor(int index, BlockedKey key) => _places[index] = (key, key.Add(this));

    /// <summary>All is set up; the deadline counts from now.</summary>
    internal void Start()
    {
        Interlocked.Increment(ref _store.BlockedCommands);
        Session.Blocked = this;
        if (_deadlineMs != BlockingTimeout.Never)
            _timer = _store.Clock.Time.CreateTimer(static waiting => ((BlockedCommand)waiting!).Tick(), this, UntilDeadline(), Timeout.InfiniteTimeSpan);
    }

    /// <summary>What the connection awaits before its next command.</summary>
    internal async Task WaitAsync(RespWriter reply)
    {
        await _ended.Task.ConfigureAwait(false);
        _timer?.Dispose();
        Session.Blocked = null;
        var end = (BlockedEnd)Volatile.Read(ref _state);
        // Out of the queues before the client hears of it.
        if (end != BlockedEnd.Served) await LeaveQueuesAsync().ConfigureAwait(false);
        Interlocked.Decrement(ref _store.BlockedCommands);
        switch (end)
        {
            case BlockedEnd.Served:
                reply.Raw(Reply.Written);
                break;
            case BlockedEnd.TimedOut:
                reply.NullArray();
                break;
            case BlockedEnd.Unblocked:
                reply.Error("UNBLOCKED client unblocked via CLIENT UNBLOCK"u8);
                break;
            case BlockedEnd.Moved:
                reply.Error("UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)"u8);
                break;
            case BlockedEnd.Disconnected:
                break;
        }
    }

    /// <summary>Ends it and clears up after it, if nobody awaits it.</summary>
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
        int stripe = await _store.SiloGate.EnterSharedAsync().ConfigureAwait(false);
        try
        {
            foreach ((BlockedKey key, LinkedListNode<BlockedCommand> place) in _places)
            {
                if (key is null) continue;
                key.Slot.Gate.Enter();
                try
                {
                    key.Remove(place);
                }
                finally
                {
                    key.Slot.Gate.Exit();
                }
            }
        }
        finally
        {
            _store.SiloGate.ExitShared(stripe);
        }
    }

    private void Tick()
    {
        if (_store.Clock.NowMs >= _deadlineMs) TryEnd(BlockedEnd.TimedOut);
        else _timer?.Change(UntilDeadline(), Timeout.InfiniteTimeSpan);
    }

    /// <summary>Timers take no more than 49 days; whoever waits longer is looked at again then.</summary>
    private TimeSpan UntilDeadline() => TimeSpan.FromMilliseconds(Math.Clamp(_deadlineMs - _store.Clock.NowMs, 0, int.MaxValue));
}
