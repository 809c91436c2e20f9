using Orleans.Core;
using Orleans.Runtime;

namespace Orleans
{
    /// <summary>A grain's state with what the storage knows of it.</summary>
    public interface IGrainState<T>
    {
        /// <summary>The state.</summary>
        T? State { get; set; }

        /// <summary>The etag of the record as last read or written; null for none.</summary>
        string? ETag { get; set; }

        /// <summary>Whether there is a record.</summary>
        bool RecordExists { get; set; }
    }

    /// <summary>A grain's state with what the storage knows of it.</summary>
    [GenerateSerializer]
    public sealed class GrainState<T> : IGrainState<T>
    {
        /// <summary>No state.</summary>
        public GrainState() { }

        /// <summary>A state.</summary>
        public GrainState(T? state) => State = state;

        /// <summary>A state and its etag.</summary>
        public GrainState(T? state, string? eTag) => (State, ETag) = (state, eTag);

        /// <inheritdoc/>
        [Id(0)]
        public T? State { get; set; }

        /// <inheritdoc/>
        [Id(1)]
        public string? ETag { get; set; }

        /// <inheritdoc/>
        [Id(2)]
        public bool RecordExists { get; set; }
    }
}

namespace Orleans.Core
{
    /// <summary>The storage of one state of one grain.</summary>
    public interface IStorage
    {
        /// <summary>The etag of the record as last read or written.</summary>
        string? Etag { get; }

        /// <summary>Whether there is a record.</summary>
        bool RecordExists { get; }

        /// <summary>Erases the record.</summary>
        Task ClearStateAsync();

        /// <summary>Erases the record.</summary>
        Task ClearStateAsync(CancellationToken cancellationToken) => ClearStateAsync();

        /// <summary>Writes the record.</summary>
        Task WriteStateAsync();

        /// <summary>Writes the record.</summary>
        Task WriteStateAsync(CancellationToken cancellationToken) => WriteStateAsync();

        /// <summary>Reads the record.</summary>
        Task ReadStateAsync();

        /// <summary>Reads the record.</summary>
        Task ReadStateAsync(CancellationToken cancellationToken) => ReadStateAsync();
    }

    /// <summary>The storage of one state of one grain.</summary>
    public interface IStorage<TState> : IStorage
    {
        /// <summary>The state, as last read or set.</summary>
        TState State { get; set; }
    }
}

namespace Orleans.Storage
{
    /// <summary>A storage provider.</summary>
    public interface IGrainStorage
    {
        /// <summary>Reads a state into <paramref name="grainState"/>.</summary>
        Task ReadStateAsync<T>(string stateName, GrainId grainId, IGrainState<T> grainState);

        /// <summary>Reads a state into <paramref name="grainState"/>.</summary>
        Task ReadStateAsync<T>(string stateName, GrainId grainId, IGrainState<T> grainState, CancellationToken cancellationToken) => ReadStateAsync(stateName, grainId, grainState);

        /// <summary>Writes a state, and its new etag into <paramref name="grainState"/>.</summary>
        /// <exception cref="InconsistentStateException">The record has another etag.</exception>
        Task WriteStateAsync<T>(string stateName, GrainId grainId, IGrainState<T> grainState);

        /// <summary>Writes a state, and its new etag into <paramref name="grainState"/>.</summary>
        Task WriteStateAsync<T>(string stateName, GrainId grainId, IGrainState<T> grainState, CancellationToken cancellationToken) => WriteStateAsync(stateName, grainId, grainState);

        /// <summary>Erases a state.</summary>
        /// <exception cref="InconsistentStateException">The record has another etag.</exception>
        Task ClearStateAsync<T>(string stateName, GrainId grainId, IGrainState<T> grainState);

        /// <summary>Erases a state.</summary>
        Task ClearStateAsync<T>(string stateName, GrainId grainId, IGrainState<T> grainState, CancellationToken cancellationToken) => ClearStateAsync(stateName, grainId, grainState);
    }

    /// <summary>A record was written by someone else since it was read.</summary>
    [GenerateSerializer]
    public class InconsistentStateException : OrleansException
    {
        /// <summary>Without details.</summary>
        public InconsistentStateException() { }

        /// <summary>With a message.</summary>
        public InconsistentStateException(string message) : base(message) { }

        /// <summary>With a message and a cause.</summary>
        public InconsistentStateException(string message, Exception? innerException) : base(message, innerException!) { }

        /// <summary>With both etags.</summary>
        public InconsistentStateException(string errorMsg, string? storedEtag, string? currentEtag) : base(errorMsg) => (StoredEtag, CurrentEtag) = (storedEtag, currentEtag);

        /// <summary>With both etags and a cause.</summary>
        public InconsistentStateException(string errorMsg, string? storedEtag, string? currentEtag, Exception? storageException)
            : base(errorMsg, storageException!) => (StoredEtag, CurrentEtag) = (storedEtag, currentEtag);

        /// <summary>With both etags and a cause.</summary>
        public InconsistentStateException(string? storedEtag, string? currentEtag, Exception storageException)
            : this(storageException.Message, storedEtag, currentEtag, storageException) { }

        /// <summary>Whether it was thrown by this activation itself, and not by one that it called: only then is its own state stale.</summary>
        [Id(2)]
        internal bool IsSourceActivation { get; set; } = true;

        /// <summary>The record's etag.</summary>
        [Id(0)]
        public string? StoredEtag { get; private set; }

        /// <summary>The etag that the writer had.</summary>
        [Id(1)]
        public string? CurrentEtag { get; private set; }

        /// <inheritdoc/>
        public override string ToString() => $"{base.ToString()} StoredEtag: {StoredEtag} CurrentEtag: {CurrentEtag}";
    }

    /// <summary>A provider is configured wrongly.</summary>
    [GenerateSerializer]
    public sealed class BadProviderConfigException : OrleansException
    {
        /// <summary>Without details.</summary>
        public BadProviderConfigException() { }

        /// <summary>With a message.</summary>
        public BadProviderConfigException(string msg) : base(msg) { }

        /// <summary>With a message and a cause.</summary>
        public BadProviderConfigException(string msg, Exception exc) : base(msg, exc) { }
    }
}

namespace Orleans.Runtime
{
    /// <summary>A state injected into a grain's constructor; read before <see cref="IGrainBase.OnActivateAsync"/>.</summary>
    public interface IPersistentState<TState> : IStorage<TState>;

    /// <summary>Where a state is kept.</summary>
    public interface IPersistentStateConfiguration
    {
        /// <summary>The state's name.</summary>
        string StateName { get; }

        /// <summary>The provider's name; null for the default.</summary>
        string? StorageName { get; }
    }

    /// <summary>Asks for a state in a grain's constructor.</summary>
    [AttributeUsage(AttributeTargets.Parameter)]
    public class PersistentStateAttribute(string stateName, string? storageName = null) : Attribute, IFacetMetadata, IPersistentStateConfiguration
    {
        /// <inheritdoc/>
        public string StateName { get; } = stateName ?? throw new ArgumentNullException(nameof(stateName));

        /// <inheritdoc/>
        public string? StorageName { get; } = storageName;
    }

    /// <summary>Makes persistent states.</summary>
    public interface IPersistentStateFactory
    {
        /// <summary>The state of that activation.</summary>
        IPersistentState<TState> Create<TState>(IGrainContext context, IPersistentStateConfiguration config);
    }
}

namespace Orleans
{
    /// <summary>An attribute of a constructor parameter of a grain, by which the runtime makes the argument.</summary>
    public interface IFacetMetadata;
}
