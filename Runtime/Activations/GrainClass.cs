using System.Collections.Immutable;
using System.Reflection;
using Microsoft.Extensions.DependencyInjection;
using Orleans.Configuration;
using Orleans.Metadata;
using Orleans.Placement;
using Orleans.Runtime.Placement;
using Orleans.Serialization.Invocation;

namespace Orleans.Runtime;

/// <summary>What all activations of a grain class share. Immutable once made.</summary>
internal sealed class GrainClass
{
    private readonly Func<IServiceProvider, IGrainContext, object> _factory;
    private readonly Func<IInvokable, bool>? _mayInterleave;

    public GrainClass(Type type, SiloRuntime runtime)
    {
        Type = type;
        Runtime = runtime;
        GrainType = GrainType.Create(GrainTypeMap.NameOf(type));
        IServiceProvider services = runtime.Services;
        var properties = new Dictionary<string, string>();
        PlacementAttribute? placement = null;
        foreach (Attribute attribute in type.GetCustomAttributes(inherit: true).OfType<Attribute>())
        {
            (attribute as IGrainPropertiesProviderAttribute)?.Populate(services, type, GrainType, properties);
            placement ??= attribute as PlacementAttribute;
        }

        Placement = placement?.PlacementStrategy ?? services.GetService<PlacementStrategy>() ?? RandomPlacement.Singleton;
        Placement.Initialize(new GrainProperties(properties.ToImmutableDictionary()));
        Director = services.GetKeyedService<IPlacementDirector>(Placement.GetType())
            ?? throw new OrleansConfigurationException($"No placement director is registered for {Placement.GetType()}, the placement strategy of {type}");
        IsReentrant = properties.ContainsKey(WellKnownGrainTypeProperties.Reentrant);
        CollectionAge = CollectionAgeOf(type, properties, runtime.CollectionOptions);
        if (properties.TryGetValue(WellKnownGrainTypeProperties.MayInterleavePredicate, out string? predicate))
        {
            MethodInfo method = type.GetMethod(predicate, BindingFlags.Static | BindingFlags.Public | BindingFlags.NonPublic, [typeof(IInvokable)])
                ?? throw new OrleansConfigurationException($"{type} has no static method bool {predicate}(IInvokable), which its [MayInterleave] names");
            _mayInterleave = method.CreateDelegate<Func<IInvokable, bool>>();
        }

        _factory = Construction.FactoryOf(type, services, out bool needsScope);
        NeedsScope = needsScope;
    }

    public Type Type { get; }

    public SiloRuntime Runtime { get; }

    public GrainType GrainType { get; }

    public PlacementStrategy Placement { get; }

    public IPlacementDirector Director { get; }

    public bool IsReentrant { get; }

    /// <summary>How long activations stay without requests; <see cref="Timeout.InfiniteTimeSpan"/> for ever.</summary>
    public TimeSpan CollectionAge { get; }

    /// <summary>Whether the constructor wants a scoped service, so that each activation needs a scope.</summary>
    public bool NeedsScope { get; }

    public bool MayInterleave(Message request) => _mayInterleave is not null && request.Method is not null && _mayInterleave(request);

    public object CreateInstance(IServiceProvider services, IGrainContext context) => _factory(services, context);

    private static TimeSpan CollectionAgeOf(Type type, Dictionary<string, string> properties, GrainCollectionOptions options)
    {
        if (options.ClassSpecificCollectionAge.TryGetValue(type.FullName!, out TimeSpan configured)) return configured;
        if (!properties.TryGetValue(WellKnownGrainTypeProperties.IdleDeactivationPeriod, out string? period)) return options.CollectionAge;
        return period == WellKnownGrainTypeProperties.IndefiniteIdleDeactivationPeriodValue ? Timeout.InfiniteTimeSpan : TimeSpan.Parse(period);
    }
}
