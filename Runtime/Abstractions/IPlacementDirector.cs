namespace Orleans.Runtime.Placement;

/// <summary>Picks silos for new activations, by one strategy.</summary>
public interface IPlacementDirector
{
    /// <summary>The key in the request context under which a caller may suggest a silo.</summary>
    public const string PlacementHintKey = nameof(PlacementHintKey);

    /// <summary>Picks the silo for <paramref name="target"/>, one of the context's compatible silos.</summary>
    Task<SiloAddress> OnAddActivation(PlacementStrategy strategy, PlacementTarget target, IPlacementContext context);

    /// <summary>The silo suggested by the caller, if there is one and it is compatible.</summary>
    public static SiloAddress? GetPlacementHint(Dictionary<string, object> requestContextData, SiloAddress[] compatibleSilos) =>
        requestContextData is { Count: > 0 } && requestContextData.TryGetValue(PlacementHintKey, out object? value)
            && value is SiloAddress hint && compatibleSilos.Contains(hint) ? hint : null;
}

/// <summary>What is known when a silo is picked.</summary>
public interface IPlacementContext
{
    /// <summary>The silo that does the picking.</summary>
    SiloAddress LocalSilo { get; }

    /// <summary>That silo's status.</summary>
    SiloStatus LocalSiloStatus { get; }

    /// <summary>The active silos that can host the target.</summary>
    /// <exception cref="OrleansException">There are none.</exception>
    SiloAddress[] GetCompatibleSilos(PlacementTarget target);

    /// <summary>The active silos that can host the target, by the version of the interface.</summary>
    IReadOnlyDictionary<ushort, SiloAddress[]> GetCompatibleSilosWithVersions(PlacementTarget target);
}

/// <summary>The grain that a silo is picked for.</summary>
public readonly struct PlacementTarget
{
    /// <summary>A grain and the request that wants it.</summary>
    public PlacementTarget(GrainId grainIdentity, Dictionary<string, object> requestContextData, GrainInterfaceType interfaceType, ushort interfaceVersion)
    {
        GrainIdentity = grainIdentity;
        RequestContextData = requestContextData;
        InterfaceType = interfaceType;
        InterfaceVersion = interfaceVersion;
    }

    /// <summary>The grain.</summary>
    public GrainId GrainIdentity { get; }

    /// <summary>The interface called.</summary>
    public GrainInterfaceType InterfaceType { get; }

    /// <summary>The version of the interface called.</summary>
    public ushort InterfaceVersion { get; }

    /// <summary>The request context of the call.</summary>
    public Dictionary<string, object> RequestContextData { get; }
}
