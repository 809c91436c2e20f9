using Microsoft.Extensions.DependencyInjection;

namespace Orleans.Runtime;

/// <summary>Where an activation is in its life.</summary>
internal enum ActivationState : byte
{
    /// <summary>Requests wait for it to be ready.</summary>
    Activating,

    /// <summary>Requests run.</summary>
    Valid,

    /// <summary>Requests wait to be sent elsewhere.</summary>
    Deactivating,

    /// <summary>It is gone; requests are refused.</summary>
    Invalid,
}

/// <summary>One activation of a grain: who it is, and what it is made of. Requests are in Activation.Requests.cs, its life in Activation.Life.cs.
/// Fields marked "turn" are touched in turns of the activation only, those marked "lock" under lock (this).</summary>
internal sealed partial class Activation : IGrainContext
{
    private readonly TurnQueue _turns;
    private object? _instance; // turn
    private GrainReference? _reference;
    private GrainLifecycle? _lifecycle; // turn
    private Dictionary<Type, object>? _components; // lock
    private HashSet<GrainTimer>? _timers; // lock
    private IServiceScope? _scope;

    public Activation(GrainClass grainClass, GrainAddress address)
    {
        Class = grainClass;
        Address = address;
        _turns = new TurnQueue(this);
        _lastUsed = grainClass.Runtime.Clock.GetTimestamp();
    }

    public GrainClass Class { get; }

    public GrainAddress Address { get; }

    public GrainId GrainId => Address.GrainId;

    public ActivationId ActivationId => Address.ActivationId;

    public object? GrainInstance => _instance;

    public GrainReference GrainReference => _reference ??= GrainReference.Create(Class.Runtime, GrainId, null);

    public IServiceProvider ActivationServices
    {
        get
        {
            if (!Class.NeedsScope) return Class.Runtime.Services;
            _scope ??= Class.Runtime.Services.CreateScope();
            return _scope.ServiceProvider;
        }
    }

    public IGrainLifecycle ObservableLifecycle => _lifecycle ??= new GrainLifecycle();

    public IWorkItemScheduler Scheduler => _turns;

    public object? GetTarget() => _instance;

    public object? GetComponent(Type componentType)
    {
        if (_instance is not null && componentType.IsInstanceOfType(_instance)) return _instance;
        if (componentType.IsInstanceOfType(this)) return this;
        lock (this)
        {
            return _components?.GetValueOrDefault(componentType);
        }
    }

    public void SetComponent<TComponent>(TComponent? value) where TComponent : class
    {
        lock (this)
        {
            _components ??= [];
            if (value is null) _components.Remove(typeof(TComponent));
            else _components[typeof(TComponent)] = value;
        }
    }

    public IGrainTimer RegisterTimer<TState>(Func<TState, CancellationToken, Task> callback, TState state, GrainTimerCreationOptions options)
    {
        var timer = new GrainTimer(this, token => callback(state, token), options);
        lock (this) (_timers ??= []).Add(timer);
        return timer;
    }

    public void Remove(GrainTimer timer)
    {
        lock (this) _timers?.Remove(timer);
    }

    public bool Equals(IGrainContext? other) => ReferenceEquals(this, other);

    public override bool Equals(object? obj) => ReferenceEquals(this, obj);

    public override int GetHashCode() => System.Runtime.CompilerServices.RuntimeHelpers.GetHashCode(this);

    public override string ToString() => $"[Activation {Address.SiloAddress}/{GrainId}{ActivationId} {State}]";
}
