using System.Collections.Concurrent;
using Orleans.Placement;
using Orleans.Runtime.Placement;

namespace OrleansRedis.Tests.Runtime;

public interface IRoamingGrain : IGrainWithIntegerKey
{
    Task<string> Where();

    Task<int> Add();

    Task MoveTo(SiloAddress target);
}

/// <summary>Counts the activations of each grain of one cluster, and the most that there ever were of one at the same time.</summary>
public sealed class ActivationLog
{
    private static readonly ConcurrentDictionary<TimeProvider, ActivationLog> Logs = new();
    private readonly ConcurrentDictionary<long, int> _active = new();
    private int _activations;
    private int _mostAtOnce;

    public int Activations => Volatile.Read(ref _activations);

    public int MostAtOnce => Volatile.Read(ref _mostAtOnce);

    public static ActivationLog Of(TimeProvider clock) => Logs.GetOrAdd(clock, _ => new ActivationLog());

    public void Begin(long key)
    {
        Interlocked.Increment(ref _activations);
        int now = _active.AddOrUpdate(key, 1, (_, count) => count + 1);
        lock (this) _mostAtOnce = Math.Max(_mostAtOnce, now);
    }

    public void End(long key) => _active.AddOrUpdate(key, 0, (_, count) => count - 1);
}

public sealed class RoamingGrain(ILocalSiloDetails silo, TimeProvider clock) : Grain, IRoamingGrain, IGrainMigrationParticipant
{
    private int _sum;

    public override Task OnActivateAsync(CancellationToken cancellationToken)
    {
        ActivationLog.Of(clock).Begin(this.GetPrimaryKeyLong());
        return Task.CompletedTask;
    }

    public override Task OnDeactivateAsync(DeactivationReason reason, CancellationToken cancellationToken)
    {
        ActivationLog.Of(clock).End(this.GetPrimaryKeyLong());
        return Task.CompletedTask;
    }

    public Task<string> Where() => Task.FromResult(silo.SiloAddress.ToParsableString());

    public async Task<int> Add()
    {
        await Task.Yield();
        return ++_sum;
    }

    public Task MoveTo(SiloAddress target)
    {
        RequestContext.Set(IPlacementDirector.PlacementHintKey, target);
        MigrateOnIdle();
        return Task.CompletedTask;
    }

    public void OnDehydrate(IDehydrationContext dehydrationContext) => dehydrationContext.TryAddValue("sum", _sum);

    public void OnRehydrate(IRehydrationContext rehydrationContext) => rehydrationContext.TryGetValue("sum", out _sum);
}

public interface INewsObserver : IGrainObserver
{
    Task Heard_(string news);
}

public interface INewsGrain : IGrainWithStringKey
{
    Task Tell(INewsObserver observer, string news);
}

[PreferLocalPlacement]
public sealed class NewsGrain : Grain, INewsGrain
{
    public Task Tell(INewsObserver observer, string news) => observer.Heard_(news);
}

public sealed class ByNumberPlacement : PlacementStrategy;

[AttributeUsage(AttributeTargets.Class)]
public sealed class ByNumberPlacementAttribute() : PlacementAttribute(new ByNumberPlacement());

public sealed class ByNumberDirector : IPlacementDirector
{
    public Task<SiloAddress> OnAddActivation(PlacementStrategy strategy, PlacementTarget target, IPlacementContext context)
    {
        SiloAddress[] silos = [.. context.GetCompatibleSilos(target).Order()];
        return Task.FromResult(silos[(int)(target.GrainIdentity.GetIntegerKey() % silos.Length)]);
    }
}

public interface INumberedGrain : IGrainWithIntegerKey
{
    Task<string> Where();
}

[ByNumberPlacement]
public sealed class NumberedGrain(ILocalSiloDetails silo) : Grain, INumberedGrain
{
    public Task<string> Where() => Task.FromResult(silo.SiloAddress.ToParsableString());
}

public interface INumberedKeptGrain : IGrainWithIntegerKey
{
    Task Touch();
}

[CollectionAgeLimit(AlwaysActive = true)]
public sealed class NumberedKeptGrain : Grain, INumberedKeptGrain
{
    public Task Touch() => Task.CompletedTask;
}
