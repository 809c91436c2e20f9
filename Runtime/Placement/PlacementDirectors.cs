namespace Orleans.Runtime.Placement;

/// <summary>Any silo.</summary>
internal sealed class RandomPlacementDirector : IPlacementDirector
{
    public Task<SiloAddress> OnAddActivation(PlacementStrategy strategy, PlacementTarget target, IPlacementContext context)
    {
        SiloAddress[] silos = context.GetCompatibleSilos(target);
        return Task.FromResult(IPlacementDirector.GetPlacementHint(target.RequestContextData, silos) ?? silos[Random.Shared.Next(silos.Length)]);
    }
}

/// <summary>The silo of the caller, if it may host the grain.</summary>
internal sealed class PreferLocalPlacementDirector : IPlacementDirector
{
    private SiloAddress[]? _lastSilos; // with _lastTask: the answer for the same cluster is the same task
    private Task<SiloAddress>? _lastTask;

    public Task<SiloAddress> OnAddActivation(PlacementStrategy strategy, PlacementTarget target, IPlacementContext context)
    {
        SiloAddress[] silos = context.GetCompatibleSilos(target);
        if (IPlacementDirector.GetPlacementHint(target.RequestContextData, silos) is { } hint) return Task.FromResult(hint);
        if (context.LocalSiloStatus != SiloStatus.Active || !silos.Contains(context.LocalSilo)) return Task.FromResult(silos[Random.Shared.Next(silos.Length)]);
        if (ReferenceEquals(silos, _lastSilos) && _lastTask is { } known) return known;
        Task<SiloAddress> local = Task.FromResult(context.LocalSilo);
        _lastTask = local;
        _lastSilos = silos;
        return local;
    }
}

/// <summary>The silo that the grain's hash says.</summary>
internal sealed class HashBasedPlacementDirector : IPlacementDirector
{
    public Task<SiloAddress> OnAddActivation(PlacementStrategy strategy, PlacementTarget target, IPlacementContext context)
    {
        SiloAddress[] silos = context.GetCompatibleSilos(target);
        if (IPlacementDirector.GetPlacementHint(target.RequestContextData, silos) is { } hint) return Task.FromResult(hint);
        Array.Sort(silos = [.. silos]);
        return Task.FromResult(silos[target.GrainIdentity.GetUniformHashCode() % (uint)silos.Length]);
    }
}

/// <summary>The less loaded of two silos drawn at random, by what silos last said of themselves.</summary>
internal sealed class ActivationCountPlacementDirector(SiloLoads loads) : IPlacementDirector
{
    public Task<SiloAddress> OnAddActivation(PlacementStrategy strategy, PlacementTarget target, IPlacementContext context)
    {
        SiloAddress[] silos = context.GetCompatibleSilos(target);
        if (IPlacementDirector.GetPlacementHint(target.RequestContextData, silos) is { } hint) return Task.FromResult(hint);
        SiloAddress first = silos[Random.Shared.Next(silos.Length)];
        SiloAddress second = silos[Random.Shared.Next(silos.Length)];
        SiloAddress picked = loads.Of(first) <= loads.Of(second) ? first : second;
        loads.Placed(picked);
        return Task.FromResult(picked);
    }
}
