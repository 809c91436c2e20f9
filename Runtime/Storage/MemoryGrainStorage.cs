using System.Globalization;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Options;
using Orleans.Configuration;
using Orleans.Providers;
using Orleans.Runtime;
using Orleans.Runtime.Hosting;
using Orleans.Serialization;
using Orleans.Storage;

namespace Orleans.Configuration
{
    /// <summary>Storage in memory.</summary>
    public class MemoryGrainStorageOptions
    {
        /// <summary>How many grains hold the storage. This runtime has one grain for each provider and silo count alike.</summary>
        public int NumStorageGrains { get; set; } = 10;
    }
}

namespace Orleans.Storage
{
    /// <summary>Holds records of one provider in memory, for the whole cluster.</summary>
    internal interface IMemoryStorageGrain : IGrainWithStringKey
    {
        Task<StoredRecord?> Read(string key);

        Task<WriteOutcome> Write(string key, byte[] state, string? etag);

        Task<WriteOutcome> Delete(string key, string? etag);
    }

    /// <summary>A record and its etag.</summary>
    [GenerateSerializer, Immutable]
    internal sealed record StoredRecord([property: Id(0)] byte[] State, [property: Id(1)] string ETag);

    /// <summary>Whether a write was accepted, and the etag that the record has now.</summary>
    [GenerateSerializer, Immutable]
    internal sealed record WriteOutcome([property: Id(0)] bool Accepted, [property: Id(1)] string? ETag);

    /// <inheritdoc/>
    [KeepAlive, GrainType("sys.memorystorage")]
    internal sealed class MemoryStorageGrain : Grain, IMemoryStorageGrain
    {
        private readonly Dictionary<string, StoredRecord> _records = [];
        private long _lastETag;

        public Task<StoredRecord?> Read(string key) => Task.FromResult(_records.GetValueOrDefault(key));

        // It says no instead of throwing: a grain whose request ends in an InconsistentStateException is deactivated, and this one has all there is.
        public Task<WriteOutcome> Write(string key, byte[] state, string? etag)
        {
            string? stored = _records.GetValueOrDefault(key)?.ETag;
            if (stored != etag) return Task.FromResult(new WriteOutcome(false, stored));
            string next = (++_lastETag).ToString(CultureInfo.InvariantCulture);
            _records[key] = new StoredRecord(state, next);
            return Task.FromResult(new WriteOutcome(true, next));
        }

        public Task<WriteOutcome> Delete(string key, string? etag)
        {
            string? stored = _records.GetValueOrDefault(key)?.ETag;
            if (stored != etag) return Task.FromResult(new WriteOutcome(false, stored));
            _records.Remove(key);
            return Task.FromResult(new WriteOutcome(true, null));
        }
    }

    /// <summary>Storage in the memory of grains: lost with the silo that they are on. For development and tests.</summary>
    public class MemoryGrainStorage(string name, IGrainFactory grainFactory) : IGrainStorage
    {
        private const int Shards = 10;

        /// <inheritdoc/>
        public virtual async Task ReadStateAsync<T>(string stateName, GrainId grainId, IGrainState<T> grainState)
        {
            StoredRecord? record = await ShardOf(grainId).Read(KeyOf(stateName, grainId));
            grainState.RecordExists = record is not null;
            grainState.ETag = record?.ETag;
            grainState.State = record is null ? default : CodecProvider.Get<T>().Read(new WireReader(record.State, null));
        }

        /// <inheritdoc/>
        public virtual async Task WriteStateAsync<T>(string stateName, GrainId grainId, IGrainState<T> grainState)
        {
            var writer = new WireWriter();
            CodecProvider.Get<T>().Write(writer, grainState.State!);
            grainState.ETag = Accepted(await ShardOf(grainId).Write(KeyOf(stateName, grainId), writer.Written.ToArray(), grainState.ETag), grainId, grainState.ETag);
            grainState.RecordExists = true;
        }

        /// <inheritdoc/>
        public virtual async Task ClearStateAsync<T>(string stateName, GrainId grainId, IGrainState<T> grainState)
        {
            grainState.ETag = Accepted(await ShardOf(grainId).Delete(KeyOf(stateName, grainId), grainState.ETag), grainId, grainState.ETag);
            grainState.RecordExists = false;
        }

        private static string? Accepted(WriteOutcome outcome, GrainId grainId, string? etag) =>
            outcome.Accepted ? outcome.ETag : throw new InconsistentStateException($"The state of {grainId} was written by someone else", outcome.ETag, etag);

        private static string KeyOf(string stateName, GrainId grainId) => $"{stateName}/{grainId}";

        private IMemoryStorageGrain ShardOf(GrainId grainId) => grainFactory.GetGrain<IMemoryStorageGrain>($"{name}-{grainId.GetUniformHashCode() % Shards}");
    }
}

namespace Orleans.Runtime.Hosting
{
    /// <summary>Adds storage providers.</summary>
    public static class StorageProviderExtensions
    {
        /// <summary>Adds a storage provider; the one named "Default" is also the default.</summary>
        public static IServiceCollection AddGrainStorage<T>(this IServiceCollection collection, string name, Func<IServiceProvider, string, T> implementationFactory) where T : IGrainStorage
        {
            collection.AddKeyedSingleton<IGrainStorage>(name, (services, _) => implementationFactory(services, name));
            if (name == ProviderConstants.DEFAULT_STORAGE_PROVIDER_NAME)
                collection.TryAddSingleton(services => services.GetRequiredKeyedService<IGrainStorage>(ProviderConstants.DEFAULT_STORAGE_PROVIDER_NAME));
            if (typeof(ILifecycleParticipant<ISiloLifecycle>).IsAssignableFrom(typeof(T)))
                collection.AddSingleton(services => (ILifecycleParticipant<ISiloLifecycle>)services.GetRequiredKeyedService<IGrainStorage>(name));
            return collection;
        }
    }
}

namespace Orleans.Hosting
{
    /// <summary>Adds storage in memory.</summary>
    public static class MemoryGrainStorageSiloBuilderExtensions
    {
        /// <summary>Adds storage in memory under a name.</summary>
        public static ISiloBuilder AddMemoryGrainStorage(this ISiloBuilder builder, string name, Action<MemoryGrainStorageOptions> configureOptions)
        {
            builder.Services.Configure(name, configureOptions);
            return builder.AddMemoryGrainStorage(name);
        }

        /// <summary>Adds storage in memory under a name.</summary>
        public static ISiloBuilder AddMemoryGrainStorage(this ISiloBuilder builder, string name, Action<OptionsBuilder<MemoryGrainStorageOptions>>? configureOptions = null)
        {
            configureOptions?.Invoke(builder.Services.AddOptions<MemoryGrainStorageOptions>(name));
            builder.Services.AddGrainStorage(name, (services, name) => new MemoryGrainStorage(name, services.GetRequiredService<IGrainFactory>()));
            return builder;
        }

        /// <summary>Adds storage in memory as the default.</summary>
        public static ISiloBuilder AddMemoryGrainStorageAsDefault(this ISiloBuilder builder, Action<MemoryGrainStorageOptions> configureOptions) =>
            builder.AddMemoryGrainStorage(ProviderConstants.DEFAULT_STORAGE_PROVIDER_NAME, configureOptions);

        /// <summary>Adds storage in memory as the default.</summary>
        public static ISiloBuilder AddMemoryGrainStorageAsDefault(this ISiloBuilder builder, Action<OptionsBuilder<MemoryGrainStorageOptions>>? configureOptions = null) =>
            builder.AddMemoryGrainStorage(ProviderConstants.DEFAULT_STORAGE_PROVIDER_NAME, configureOptions);
    }
}
