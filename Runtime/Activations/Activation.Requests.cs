namespace Orleans.Runtime;

/// <summary>Which requests run, and which wait.</summary>
internal sealed partial class Activation
{
    private Message? _running; // lock; the first of the running requests
    private List<Message>? _moreRunning; // lock; the others
    private List<Message>? _waiting; // lock; in order of arrival
    private Dictionary<Guid, int>? _reentrantChains; // lock; call chains that may re-enter, and how often they may
    private long _lastUsed; // the clock's timestamp at the end of the last request
    private long _keepUntil; // the clock's timestamp before which an idle activation stays

    private int RunningCount => _running is null ? 0 : 1 + (_moreRunning?.Count ?? 0);

    /// <summary>Takes a message. False when the activation is gone, and the message must be sent elsewhere.</summary>
    public bool TryReceive(Message message)
    {
        if (message.Kind == MessageKind.Cancel)
        {
            CancelRequest(message);
            return true;
        }

        lock (this)
        {
            if (State == ActivationState.Invalid) return false;
            message.Executor = this;
            if (!MayRun(message))
            {
                (_waiting ??= []).Add(message);
                return true;
            }

            AddRunning(message);
        }

        _turns.Enqueue(message);
        return true;
    }

    void IGrainContext.ReceiveMessage(object message)
    {
        if (!TryReceive((Message)message)) Class.Runtime.Send((Message)message);
    }

    /// <summary>Runs a request; the first turn of it.</summary>
    public void Run(Message request) => _ = RunAsync(request);

    public void EnterReentrantSection(Guid chain)
    {
        lock (this)
        {
            _reentrantChains ??= [];
            _reentrantChains[chain] = _reentrantChains.GetValueOrDefault(chain) + 1;
            StartWaiting();
        }
    }

    public void ExitReentrantSection(Guid chain)
    {
        lock (this)
        {
            if (_reentrantChains is null || !_reentrantChains.TryGetValue(chain, out int depth)) return;
            if (depth > 1) _reentrantChains[chain] = depth - 1;
            else _reentrantChains.Remove(chain);
        }
    }

    public void DelayDeactivation(TimeSpan period)
    {
        TimeProvider clock = Class.Runtime.Clock;
        _keepUntil = period <= TimeSpan.Zero ? 0
            : period.TotalDays > 3650 ? long.MaxValue
            : clock.GetTimestamp() + (long)(period.TotalSeconds * clock.TimestampFrequency);
    }

    /// <summary>Whether nothing has run for longer than <paramref name="age"/>.</summary>
    public bool IsIdleFor(TimeSpan age, long now)
    {
        lock (this)
        {
            return State == ActivationState.Valid && _running is null && _waiting is not { Count: > 0 } && _ending is null
                && _keepUntil <= now && Class.Runtime.Clock.GetElapsedTime(_lastUsed, now) >= age;
        }
    }

    private async Task RunAsync(Message request)
    {
        try
        {
            if (request.Work is { } work)
            {
                await work();
                return;
            }

            if (request.Deadline != 0 && Class.Runtime.MessagingOptions.DropExpiredMessages && request.Call is null && request.Deadline < Class.Runtime.Clock.GetTimestamp())
                return; // Nobody waits for it any more.
            RequestContext.Restore(request.Context);
            MethodDescriptor method = request.Method!;
            if (method.CancellationIndex >= 0)
            {
                lock (this) request.Cancellation ??= new CancellationTokenSource();
                request.Arguments[method.CancellationIndex] = request.Cancellation.Token;
            }

            IIncomingGrainCallFilter[] filters = Class.Runtime.IncomingFilters;
            object? result;
            if (filters.Length > 0 || _instance is IIncomingGrainCallFilter)
            {
                var call = new IncomingCall(filters, request, this);
                await call.Invoke();
                result = call.Result;
            }
            else
            {
                Task task = method.Returns.AsTask(method.Invoke(_instance!, request.Arguments));
                await task;
                result = method.Returns.ResultOf(task);
            }

            Requests.Respond(Class.Runtime, request, result);
        }
        catch (Exception exception)
        {
            // Its state is stale: the next request gets a new activation, which reads it again.
            if (exception is Storage.InconsistentStateException { IsSourceActivation: true } stale)
            {
                stale.IsSourceActivation = false;
                Deactivate(new DeactivationReason(DeactivationReasonCode.ApplicationError, exception, "The grain's state was written by another activation"));
            }

            Requests.Fail(Class.Runtime, request, exception);
        }
        finally
        {
            Finish(request);
        }
    }

    /// <summary>Under lock: the rules of interleaving.</summary>
    private bool MayRun(Message message)
    {
        if (State != ActivationState.Valid) return false;
        if (_reentrantChains is { Count: > 0 } && message.Context is { } context
            && context.TryGetValue(RequestContext.CallChainReentrancyKey, out object? chain) && chain is Guid id && _reentrantChains.ContainsKey(id)) return true;
        // One that is about to end takes nothing new, else it would never be idle.
        if (_ending is not null) return false;
        if (_running is null || message.IsAlwaysInterleave || Class.IsReentrant || Class.MayInterleave(message)) return true;
        if (!Allows(_running, message)) return false;
        if (_moreRunning is not null)
        {
            foreach (Message running in _moreRunning)
            {
                if (!Allows(running, message)) return false;
            }
        }

        return true;

        static bool Allows(Message running, Message next) => running.IsAlwaysInterleave || (running.IsReadOnly && next.IsReadOnly);
    }

    /// <summary>Under lock.</summary>
    private void AddRunning(Message message)
    {
        if (_running is null) _running = message;
        else (_moreRunning ??= []).Add(message);
    }

    /// <summary>Under lock: starts what may run by now.</summary>
    private void StartWaiting()
    {
        if (_waiting is not { Count: > 0 }) return;
        for (int i = 0; i < _waiting.Count; i++)
        {
            Message message = _waiting[i];
            if (!MayRun(message)) continue;
            _waiting.RemoveAt(i--);
            AddRunning(message);
            _turns.Enqueue(message);
        }

        if (_waiting.Count == 0) _waiting = null;
    }

    private void Finish(Message request)
    {
        if (!request.IsTimerTick) _lastUsed = Class.Runtime.Clock.GetTimestamp();
        lock (this)
        {
            if (ReferenceEquals(_running, request))
            {
                _running = null;
                if (_moreRunning is { Count: > 0 })
                {
                    _running = _moreRunning[^1];
                    _moreRunning.RemoveAt(_moreRunning.Count - 1);
                }
            }
            else
            {
                _moreRunning!.Remove(request);
            }

            StartWaiting();
            EndIfIdle();
        }
    }

    private void CancelRequest(Message cancel)
    {
        Message? found;
        bool waiting = false;
        CancellationTokenSource source;
        lock (this)
        {
            found = _running is not null && IsMeant(_running) ? _running : _moreRunning?.Find(IsMeant);
            if (found is null && _waiting?.Find(IsMeant) is { } stillWaiting)
            {
                found = stillWaiting;
                waiting = _waiting.Remove(stillWaiting);
            }

            if (found is null) return;
            source = found.Cancellation ??= new CancellationTokenSource();
        }

        if (waiting) Requests.Fail(Class.Runtime, found, new OperationCanceledException("The request was cancelled before it ran"));
        // Callbacks of the token are the grain's code, so they are a turn.
        else _turns.Enqueue(new ActionTurn(static source => ((CancellationTokenSource)source).Cancel(), source));

        bool IsMeant(Message request) => request.Id == cancel.Id && request.Sender == cancel.Sender && Equals(request.SenderSilo, cancel.SenderSilo) && request.Work is null;
    }
}
