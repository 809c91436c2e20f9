using System.Collections.Concurrent;
using System.Collections.Frozen;
using Orleans.Serialization;

namespace Orleans.Runtime;

/// <summary>The activations of this silo, and the grain classes it can activate. Any thread.</summary>
internal sealed class Catalog : IDisposable
{
    private readonly ConcurrentDictionary<GrainId, Activation> _activations = new();
    private readonly ConcurrentDictionary<GrainType, GrainClass> _classes = new();
    private readonly FrozenDictionary<GrainType, Type> _types;
    private readonly SiloRuntime _runtime;
    private readonly ITimer _collector;

    public Catalog(SiloRuntime runtime)
    {
        _runtime = runtime;
        var types = new Dictionary<GrainType, Type>();
        foreach (Type type in ApplicationTypes.GrainClasses)
        {
            var grainType = GrainType.Create(GrainTypeMap.NameOf(type));
            if (!types.TryAdd(grainType, type))
                throw new OrleansConfigurationException($"The grain classes {types[grainType]} and {type} have the same grain type \"{grainType}\"; give one a [GrainType]");
            runtime.GrainTypes.Add(type);
        }

        _types = types.ToFrozenDictionary();
        TimeSpan quantum = runtime.CollectionOptions.CollectionQuantum;
        _collector = runtime.Clock.CreateTimer(static catalog => ((Catalog)catalog!).Collect(), this, quantum, quantum);
    }

    public int Count => _activations.Count;

    public IEnumerable<Activation> Activations => _activations.Values;

    public Activation? Find(GrainId grainId) => _activations.GetValueOrDefault(grainId);

    /// <summary>The class of a grain type.</summary>
    /// <exception cref="ArgumentException">There is none in this silo.</exception>
    public GrainClass ClassOf(GrainType grainType)
    {
        if (_classes.TryGetValue(grainType, out GrainClass? grainClass)) return grainClass;
        if (!_types.TryGetValue(grainType, out Type? type)) throw new ArgumentException($"Could not find an implementation for grain type \"{grainType}\"");
        return _classes.GetOrAdd(grainType, new GrainClass(type, _runtime));
    }

    /// <summary>The grain's activation on this silo, begun if there was none. <paramref name="prepare"/> is given a new one before its first turn.</summary>
    public Activation GetOrActivate(GrainId grainId, Action<Activation>? prepare = null)
    {
        if (_activations.TryGetValue(grainId, out Activation? existing)) return existing;
        GrainClass grainClass = ClassOf(grainId.Type);
        var address = new GrainAddress { GrainId = grainId, ActivationId = ActivationId.NewId(), SiloAddress = _runtime.Silo, MembershipVersion = _runtime.Membership.CurrentSnapshot.Version };
        var activation = new Activation(grainClass, address);
        prepare?.Invoke(activation);
        existing = _activations.GetOrAdd(grainId, activation);
        if (ReferenceEquals(existing, activation)) activation.Activate(null);
        return existing;
    }

    public void Remove(Activation activation) => _activations.TryRemove(new KeyValuePair<GrainId, Activation>(activation.GrainId, activation));

    /// <summary>The registered activations whose hashes are in <paramref name="ranges"/>.</summary>
    public List<ListedActivation> ListRegistered(List<HashRange> ranges)
    {
        var listed = new List<ListedActivation>();
        foreach ((GrainId grainId, Activation activation) in _activations)
        {
            uint hash = grainId.GetUniformHashCode();
            if (activation.IsRegistered && ranges.Exists(range => range.Contains(hash))) listed.Add(new ListedActivation(activation.Address, activation.IsLeaving));
        }

        return listed;
    }

    /// <summary>Ends all activations and waits for it.</summary>
    public async Task DeactivateAll(CancellationToken cancellation)
    {
        var reason = new DeactivationReason(DeactivationReasonCode.ShuttingDown, "The silo is shutting down");
        while (!_activations.IsEmpty && !cancellation.IsCancellationRequested)
        {
            List<Task> gone = [];
            foreach ((_, Activation activation) in _activations)
            {
                gone.Add(activation.Deactivated);
                activation.Deactivate(reason, CancellationToken.None);
            }

            await Task.WhenAll(gone).WaitAsync(cancellation).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }

    public void Dispose() => _collector.Dispose();

    private void Collect()
    {
        long now = _runtime.Clock.GetTimestamp();
        var reason = new DeactivationReason(DeactivationReasonCode.ActivationIdle, "The activation has been idle for longer than its collection age");
        foreach ((_, Activation activation) in _activations)
        {
            if (activation.Class.CollectionAge != Timeout.InfiniteTimeSpan && activation.IsIdleFor(activation.Class.CollectionAge, now)) activation.Deactivate(reason);
        }
    }
}
