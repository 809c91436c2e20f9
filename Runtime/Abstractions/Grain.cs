using Microsoft.Extensions.DependencyInjection;
using Orleans.Core;
using Orleans.Runtime;

namespace Orleans;

/// <summary>The base of grain classes. Only the runtime creates instances; everything in one runs in single-threaded turns.</summary>
public abstract class Grain : IGrainBase, IAddressable
{
    private IGrainContext? _context;

    /// <summary>Takes the activation that is being created.</summary>
    protected Grain() : this(RuntimeContext.Current!) { }

    /// <summary>Takes an activation given by a test.</summary>
    protected Grain(IGrainContext grainContext, IGrainRuntime? grainRuntime = null)
    {
        _context = grainContext;
        Runtime = grainRuntime;
    }

    /// <summary>The activation.</summary>
    public IGrainContext GrainContext
    {
        get => _context ?? throw new InvalidOperationException("A grain was created outside of the runtime");
        internal set => _context = value;
    }

    internal IGrainRuntime? Runtime { get; }

    /// <summary>A reference to this grain, for others to call it.</summary>
    public GrainReference GrainReference => GrainContext.GrainReference;

    /// <summary>Makes references to other grains.</summary>
    protected IGrainFactory GrainFactory => Runtime?.GrainFactory ?? ServiceProvider.GetRequiredService<IGrainFactory>();

    /// <summary>The services of the activation.</summary>
    protected internal IServiceProvider ServiceProvider => GrainContext.ActivationServices;

    /// <summary>The grain's identity as text.</summary>
    public string IdentityString => GrainContext.GrainId.ToString();

    /// <summary>The silo's identity as text.</summary>
    public string RuntimeIdentity => Runtime?.SiloIdentity ?? GrainContext.Address.SiloAddress?.ToString() ?? "";

    /// <summary>Deactivates the grain once its present request is over.</summary>
    protected void DeactivateOnIdle() => GrainBaseExtensions.DeactivateOnIdle(this);

    /// <summary>Moves the grain, once idle, to the silo that its placement now picks.</summary>
    protected void MigrateOnIdle() => GrainBaseExtensions.MigrateOnIdle(this);

    /// <summary>Keeps the grain active for at least <paramref name="timeSpan"/> from now; negative takes that back.</summary>
    protected void DelayDeactivation(TimeSpan timeSpan) => ((Activation)GrainContext).DelayDeactivation(timeSpan);

    /// <inheritdoc/>
    public virtual Task OnActivateAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    /// <inheritdoc/>
    public virtual Task OnDeactivateAsync(DeactivationReason reason, CancellationToken cancellationToken) => Task.CompletedTask;
}

/// <summary>A grain with one persistent state, kept by the storage provider named by its <see cref="Providers.StorageProviderAttribute"/>, else "Default".</summary>
public class Grain<TGrainState> : Grain
{
    private readonly IStorage<TGrainState> _storage;

    /// <summary>Takes the storage that the provider offers, read before <see cref="Grain.OnActivateAsync"/>.</summary>
    protected Grain() => _storage = PersistentStateFactory.CreateForGrain<TGrainState>(GrainContext);

    /// <summary>Takes a storage given by a test.</summary>
    protected Grain(IStorage<TGrainState> storage) => _storage = storage;

    /// <summary>The state.</summary>
    protected TGrainState State
    {
        get => _storage.State;
        set => _storage.State = value;
    }

    /// <summary>Erases the state from storage.</summary>
    protected virtual Task ClearStateAsync() => _storage.ClearStateAsync();

    /// <summary>Reads the state again from storage.</summary>
    protected virtual Task ReadStateAsync() => _storage.ReadStateAsync();

    /// <summary>Writes the state to storage.</summary>
    /// <exception cref="Storage.InconsistentStateException">Another activation has written since this one last read.</exception>
    protected virtual Task WriteStateAsync() => _storage.WriteStateAsync();
}
