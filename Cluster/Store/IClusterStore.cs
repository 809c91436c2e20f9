namespace OrleansRedis.Cluster;

/// <summary>One version of a document of the cluster.</summary>
/// <param name="Version">How often it has been written; 0 if never, and then it is empty.</param>
/// <param name="Bytes">The content, which nobody changes.</param>
public readonly record struct StoredDocument(long Version, ReadOnlyMemory<byte> Bytes);

/// <summary>
/// The one place that needs consensus: a handful of small documents (<see cref="ClusterDocuments"/>), each changed only
/// by who has seen its last version. Reads and writes of one document are linearizable: a read returns what the last
/// write before it has stored, through whichever silo. It is asked when ownership changes, never for a command.
/// <para>
/// What fails with <see cref="ClusterStoreException"/>, or is cancelled, may have happened, and a write may still
/// happen afterwards, as long as the document has the version that it expects. So who wants to know reads until the
/// version is another, or writes the same again.
/// </para>
/// </summary>
public interface IClusterStore : IAsyncDisposable
{
    /// <summary>The provider's name, for logs and INFO.</summary>
    string Name { get; }

    /// <summary>
    /// Connects, and creates whatever the store needs if it does not exist. To be called once, before anything else;
    /// may be repeated if it fails.
    /// </summary>
    Task OpenAsync(CancellationToken cancellation);

    /// <summary>The last version of a document.</summary>
    /// <exception cref="ClusterStoreException">The store cannot be reached.</exception>
    Task<StoredDocument> ReadAsync(string document, CancellationToken cancellation);

    /// <summary>
    /// Stores the next version of a document if its version is <paramref name="expected"/>, durably. False, and nothing
    /// is stored, if it has another.
    /// </summary>
    /// <exception cref="ClusterStoreException">It is not known whether it is stored.</exception>
    Task<bool> TryWriteAsync(string document, long expected, ReadOnlyMemory<byte> bytes, CancellationToken cancellation);
}

/// <summary>The names of the cluster's documents.</summary>
public static class ClusterDocuments
{
    /// <summary>Who is in.</summary>
    public const string View = "view";

    /// <summary>Who owns which slot.</summary>
    public const string Slots = "slots";
}

/// <summary>The cluster's store cannot be reached, or has failed in a way that may pass.</summary>
public sealed class ClusterStoreException(string message, Exception? inner = null) : Exception(message, inner);
