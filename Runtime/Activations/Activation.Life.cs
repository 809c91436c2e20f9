namespace Orleans.Runtime;

/// <summary>How an activation begins and ends.</summary>
internal sealed partial class Activation
{
    private Ending? _ending; // lock; set once, when the activation is to end
    private TaskCompletionSource? _gone; // lock; made when someone waits for the end
    private Arrival? _arrival; // set before the first turn

    public ActivationState State { get; private set; } // lock

    /// <summary>Whether the directory has the activation, as far as this silo knows; what it lists to new owners of parts of the directory.</summary>
    public bool IsRegistered { get; set; }

    /// <summary>Whether another silo is taking over.</summary>
    public bool IsLeaving => Volatile.Read(ref _ending)?.MigrateTo is not null;

    public Task Deactivated
    {
        get
        {
            lock (this)
            {
                if (State == ActivationState.Invalid) return Task.CompletedTask;
                _gone ??= new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
                return _gone.Task;
            }
        }
    }

    public void Rehydrate(IRehydrationContext context) => (_arrival ??= new Arrival()).State = (MigrationContext)context;

    /// <summary>Says that the activation takes over from one on another silo. <paramref name="arrived"/> learns whether it could.</summary>
    public void ComesFrom(GrainAddress previous, TaskCompletionSource<GrainAddress> arrived)
    {
        _arrival ??= new Arrival();
        _arrival.Previous = previous;
        _arrival.Arrived = arrived;
    }

    public void Activate(Dictionary<string, object>? requestContext, CancellationToken cancellationToken = default) =>
        _turns.Enqueue(new ActionTurn(static activation => _ = ((Activation)activation).Begin(), this));

    public void Deactivate(DeactivationReason deactivationReason, CancellationToken cancellationToken = default) => End(deactivationReason, null);

    public void Migrate(Dictionary<string, object>? requestContext, CancellationToken cancellationToken = default) => _ = MigrateToPlacement(requestContext);

    private async Task Begin()
    {
        SiloRuntime runtime = Class.Runtime;
        Arrival? arrival = _arrival;
        _arrival = null;
        bool registered = false;
        try
        {
            if (Class.Placement.IsUsingGrainDirectory)
            {
                GrainAddress winner = await runtime.Directory.Register(this, arrival?.Previous);
                if (!winner.Matches(Address))
                {
                    Vanish(request => runtime.Forward(request, winner));
                    arrival?.Arrived?.TrySetResult(winner);
                    return;
                }

            }

            registered = true;
            _instance = Class.CreateInstance(ActivationServices, this);
            if (_instance is Grain grain) grain.GrainContext = this;
            (_instance as ILifecycleParticipant<IGrainLifecycle>)?.Participate(ObservableLifecycle);
            if (arrival?.State is { } state)
            {
                state.Runtime = runtime;
                foreach (IGrainMigrationParticipant participant in MigrationParticipants()) participant.OnRehydrate(state);
            }

            await Start();
        }
        catch (Exception exception)
        {
            runtime.ActivationFailed(exception, GrainId);
            if (registered) await Unregister(exception);
            Vanish(registered
                ? request => Requests.Fail(runtime, request, exception)
                : request => Requests.Reject(runtime, request, $"{GrainId} could not be registered: {exception.Message}"));
            arrival?.Arrived?.TrySetException(exception);
            return;
        }

        lock (this)
        {
            State = ActivationState.Valid;
            StartWaiting();
            EndIfIdle();
        }

        arrival?.Arrived?.TrySetResult(Address);
    }

    private async Task Start()
    {
        if (_lifecycle is null && _instance is not IGrainBase) return;
        TimeSpan timeout = Class.Runtime.CollectionOptions.ActivationTimeout;
        using var cancellation = new CancellationTokenSource(timeout, Class.Runtime.Clock);
        if (_lifecycle is not null) await _lifecycle.Start(GrainLifecycleStage.First, GrainLifecycleStage.Activate - 1, cancellation.Token).WaitAsync(cancellation.Token);
        if (_instance is IGrainBase grain) await grain.OnActivateAsync(cancellation.Token).WaitAsync(cancellation.Token);
        if (_lifecycle is not null) await _lifecycle.Start(GrainLifecycleStage.Activate, GrainLifecycleStage.Last, cancellation.Token).WaitAsync(cancellation.Token);
    }

    private async Task MigrateToPlacement(Dictionary<string, object>? requestContext)
    {
        try
        {
            SiloAddress target = await Class.Runtime.Placement.Pick(Class, GrainId, default, requestContext);
            if (!target.Equals(Address.SiloAddress)) End(new DeactivationReason(DeactivationReasonCode.Migrating, $"Migrating to {target}"), target);
        }
        catch (Exception exception)
        {
            Class.Runtime.MigrationFailed(exception, GrainId);
        }
    }

    private void End(DeactivationReason reason, SiloAddress? migrateTo)
    {
        lock (this)
        {
            if (_ending is not null || State is ActivationState.Deactivating or ActivationState.Invalid) return;
            _ending = new Ending(reason, migrateTo);
            EndIfIdle();
        }
    }

    /// <summary>Under lock.</summary>
    private void EndIfIdle()
    {
        if (_ending is null || State != ActivationState.Valid || _running is not null) return;
        State = ActivationState.Deactivating;
        _turns.Enqueue(new ActionTurn(static activation => _ = ((Activation)activation).SayGoodbye(), this));
    }

    /// <summary>The last turns: the grain says goodbye, its state leaves for another silo or its registration is undone, and requests that wait go elsewhere.</summary>
    private async Task SayGoodbye()
    {
        SiloRuntime runtime = Class.Runtime;
        Ending ending = _ending!;
        GrainAddress? movedTo = null;
        using var cancellation = new CancellationTokenSource(runtime.CollectionOptions.DeactivationTimeout, runtime.Clock);
        try
        {
            GrainTimer[] timers;
            lock (this) timers = _timers is null ? [] : [.. _timers];
            foreach (GrainTimer timer in timers) timer.Dispose();
            await Stop(ending.Reason, cancellation.Token);
            if (ending.MigrateTo is not null)
            {
                var state = new MigrationContext();
                foreach (IGrainMigrationParticipant participant in MigrationParticipants()) participant.OnDehydrate(state);
                movedTo = await runtime.Migrate(ending.MigrateTo, Address, state).WaitAsync(cancellation.Token);
            }
        }
        catch (Exception exception)
        {
            runtime.MigrationFailed(exception, GrainId);
        }

        if (movedTo is null) await Unregister(null);
        if (_instance is IAsyncDisposable asyncDisposable) await asyncDisposable.DisposeAsync();
        else (_instance as IDisposable)?.Dispose();
        _scope?.Dispose();
        Vanish(movedTo is null ? runtime.Send : request => runtime.Forward(request, movedTo));
    }

    private async Task Stop(DeactivationReason reason, CancellationToken cancellation)
    {
        try
        {
            if (_instance is IGrainBase grain) await grain.OnDeactivateAsync(reason, cancellation).WaitAsync(cancellation);
        }
        catch (Exception exception)
        {
            Class.Runtime.DeactivationFailed(exception, GrainId);
        }

        if (_lifecycle is not null) await _lifecycle.Stop(exception => Class.Runtime.DeactivationFailed(exception, GrainId), cancellation);
    }

    private async Task Unregister(Exception? because)
    {
        if (!Class.Placement.IsUsingGrainDirectory) return;
        IsRegistered = false;
        try
        {
            await Class.Runtime.Directory.Unregister(Address).WaitAsync(Class.Runtime.CollectionOptions.DeactivationTimeout, Class.Runtime.Clock);
        }
        catch (Exception exception)
        {
            // What is left in the directory is found stale by the first request that follows it.
            Class.Runtime.DeactivationFailed(because ?? exception, GrainId);
        }
    }

    private void Vanish(Action<Message> sendElsewhere)
    {
        List<Message>? waiting;
        TaskCompletionSource? gone;
        lock (this)
        {
            State = ActivationState.Invalid;
            (waiting, _waiting) = (_waiting, null);
            gone = _gone;
        }

        Class.Runtime.Catalog.Remove(this);
        foreach (Message request in waiting ?? [])
        {
            request.Executor = null;
            if (request.Work is null) sendElsewhere(request);
        }

        gone?.TrySetResult();
    }

    private IEnumerable<IGrainMigrationParticipant> MigrationParticipants()
    {
        if (_instance is IGrainMigrationParticipant self) yield return self;
        foreach (IGrainMigrationParticipant participant in _lifecycle?.MigrationParticipants ?? []) yield return participant;
    }

    /// <summary>Why, and where to.</summary>
    private sealed record Ending(DeactivationReason Reason, SiloAddress? MigrateTo);

    /// <summary>What an activation that migrates here brings along.</summary>
    private sealed class Arrival
    {
        public MigrationContext? State { get; set; }

        public GrainAddress? Previous { get; set; }

        public TaskCompletionSource<GrainAddress>? Arrived { get; set; }
    }
}
