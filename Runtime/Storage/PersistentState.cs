using System.Reflection;
using Microsoft.Extensions.DependencyInjection;
using Orleans.Core;
using Orleans.Providers;
using Orleans.Storage;

namespace Orleans.Runtime;

/// <summary>Makes persistent states from storage providers.</summary>
public class PersistentStateFactory : IPersistentStateFactory
{
    /// <inheritdoc/>
    public IPersistentState<TState> Create<TState>(IGrainContext context, IPersistentStateConfiguration config)
    {
        IGrainStorage storage = ProviderOf(context, config.StorageName);
        var state = new PersistentState<TState>(config.StateName, context, storage);
        context.ObservableLifecycle.AddMigrationParticipant(state);
        context.ObservableLifecycle.Subscribe<PersistentState<TState>>(GrainLifecycleStage.SetupState, state.ReadFirst);
        return state;
    }

    internal static IStorage<TState> CreateForGrain<TState>(IGrainContext context)
    {
        Type grainClass = ((Activation)context).Class.Type;
        string provider = grainClass.GetCustomAttribute<StorageProviderAttribute>()?.ProviderName ?? ProviderConstants.DEFAULT_STORAGE_PROVIDER_NAME;
        return context.ActivationServices.GetRequiredService<IPersistentStateFactory>().Create<TState>(context, new PersistentStateAttribute(grainClass.FullName!, provider));
    }

    private static IGrainStorage ProviderOf(IGrainContext context, string? name)
    {
        IServiceProvider services = context.ActivationServices;
        IGrainStorage? storage = string.IsNullOrWhiteSpace(name)
            ? services.GetService<IGrainStorage>() ?? services.GetKeyedService<IGrainStorage>(ProviderConstants.DEFAULT_STORAGE_PROVIDER_NAME)
            : services.GetKeyedService<IGrainStorage>(name);
        return storage ?? throw new BadProviderConfigException(
            string.IsNullOrWhiteSpace(name) ? $"No default storage provider found loading grain {context.GrainId}" : $"No storage provider named \"{name}\" found loading grain {context.GrainId}");
    }
}

/// <summary>Makes the arguments of constructor parameters with <see cref="PersistentStateAttribute"/>.</summary>
internal sealed class PersistentStateAttributeMapper : IAttributeToFactoryMapper<PersistentStateAttribute>
{
    private static readonly MethodInfo CreateMethod = typeof(IPersistentStateFactory).GetMethod(nameof(IPersistentStateFactory.Create))!;

    public Factory<IGrainContext, object> GetFactory(ParameterInfo parameter, PersistentStateAttribute metadata)
    {
        MethodInfo create = CreateMethod.MakeGenericMethod(parameter.ParameterType.GetGenericArguments());
        return context => create.Invoke(context.ActivationServices.GetRequiredService<IPersistentStateFactory>(), [context, metadata])!;
    }
}

/// <summary>One state of one activation. Used in its turns only.</summary>
internal sealed class PersistentState<TState>(string name, IGrainContext context, IGrainStorage storage) : IPersistentState<TState>, IGrainMigrationParticipant
{
    private GrainState<TState> _record = new(New());
    private bool _rehydrated;

    public TState State
    {
        get => _record.State!;
        set => _record.State = value;
    }

    public string? Etag => _record.ETag;

    public bool RecordExists => _record.RecordExists;

    private string MigrationKey => "state." + name;

    // State that came with a migration is as good as storage's, and has its etag.
    public Task ReadFirst(CancellationToken cancellation) => _rehydrated ? Task.CompletedTask : ReadStateAsync(cancellation);

    public Task ReadStateAsync() => ReadStateAsync(default);

    public async Task ReadStateAsync(CancellationToken cancellationToken)
    {
        await storage.ReadStateAsync(name, context.GrainId, _record, cancellationToken);
        _record.State ??= New();
    }

    public Task WriteStateAsync() => WriteStateAsync(default);

    public Task WriteStateAsync(CancellationToken cancellationToken) => storage.WriteStateAsync(name, context.GrainId, _record, cancellationToken);

    public Task ClearStateAsync() => ClearStateAsync(default);

    public async Task ClearStateAsync(CancellationToken cancellationToken)
    {
        await storage.ClearStateAsync(name, context.GrainId, _record, cancellationToken);
        _record.State = New();
    }

    public void OnDehydrate(IDehydrationContext dehydrationContext) => dehydrationContext.TryAddValue(MigrationKey, _record);

    public void OnRehydrate(IRehydrationContext rehydrationContext)
    {
        if (!rehydrationContext.TryGetValue(MigrationKey, out GrainState<TState>? record) || record is null) return;
        _record = record;
        _rehydrated = true;
    }

    private static TState New() => typeof(TState).IsValueType || typeof(TState).GetConstructor([]) is null ? default! : Activator.CreateInstance<TState>();
}
