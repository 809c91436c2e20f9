namespace OrleansRedis.Cluster;

/// <summary>
/// The documents of a cluster within one process, which end with it. All its silos share one. Safe for any thread.
/// </summary>
public sealed class MemoryClusterStore : IClusterStore
{
    private readonly Lock _lock = new();
    private readonly Dictionary<string, StoredDocument> _documents = [];

    public string Name => "memory";

    public Task OpenAsync(CancellationToken cancellation) => Task.CompletedTask;

    public Task<StoredDocument> ReadAsync(string document, CancellationToken cancellation)
    {
        cancellation.ThrowIfCancellationRequested();
        lock (_lock) return Task.FromResult(_documents.GetValueOrDefault(document));
    }

    public Task<bool> TryWriteAsync(string document, long expected, ReadOnlyMemory<byte> bytes, CancellationToken cancellation)
    {
        cancellation.ThrowIfCancellationRequested();
        byte[] copy = bytes.ToArray();
        lock (_lock)
        {
            if (_documents.GetValueOrDefault(document).Version != expected) return Task.FromResult(false);
            _documents[document] = new(expected + 1, copy);
            return Task.FromResult(true);
        }
    }

    public ValueTask DisposeAsync() => ValueTask.CompletedTask;
}
