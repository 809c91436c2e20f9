namespace OrleansRedis.Cluster;

/// <summary>
/// Between the logic, which is driven by events and knows views and maps, and an <see cref="IClusterStore"/>, which is
/// asynchronous and knows bytes: reads and writes the documents, and hands the outcome to whoever drives the logic. A
/// read that fails is not answered; the logic asks again.
/// </summary>
/// <param name="store">The store.</param>
/// <param name="slots">How many slots a map has that was never written.</param>
/// <param name="timeout">How long to wait for the store.</param>
/// <param name="post">Runs something where the logic runs, after whatever runs there now.</param>
/// <param name="onError">Is told what has failed.</param>
public sealed class StoreRequests(IClusterStore store, int slots, TimeSpan timeout, Action<Action> post, Action<Exception> onError)
{
    /// <summary>Reads the view, for <see cref="ClusterSilo.OnViewRead"/>.</summary>
    public Task ReadViewAsync(Action<ClusterView> done) => ReadAsync(
        ClusterDocuments.View, document => document.Version == 0 ? ClusterView.Empty : ClusterView.Decode(document.Bytes.Span), done);

    /// <summary>Reads the slot map, for <see cref="ClusterSilo.OnMapRead"/>.</summary>
    public Task ReadMapAsync(Action<SlotMap> done) => ReadAsync(
        ClusterDocuments.Slots, document => document.Version == 0 ? SlotMap.Empty(slots) : SlotMapCodec.Decode(document.Bytes.Span), done);

    /// <summary>Writes a view, for <see cref="ClusterSilo.OnViewWritten"/>.</summary>
    public Task WriteAsync(ClusterView view, Action<WriteOutcome> done) => WriteAsync(ClusterDocuments.View, view.Version, view.Encode(), done);

    /// <summary>Writes a slot map, for <see cref="ClusterSilo.OnMapWritten"/>.</summary>
    public Task WriteAsync(SlotMap map, Action<WriteOutcome> done) => WriteAsync(ClusterDocuments.Slots, map.Version, SlotMapCodec.Encode(map), done);

    private async Task ReadAsync<T>(string name, Func<StoredDocument, T> decode, Action<T> done)
    {
        using var expiry = new CancellationTokenSource(timeout);
        T document;
        try
        {
            document = decode(await store.ReadAsync(name, expiry.Token));
        }
        catch (Exception error) when (error is ClusterStoreException or OperationCanceledException or InvalidDataException)
        {
            onError(error);
            return;
        }
        post(() => done(document));
    }

    private async Task WriteAsync(string name, long version, byte[] bytes, Action<WriteOutcome> done)
    {
        using var expiry = new CancellationTokenSource(timeout);
        WriteOutcome outcome;
        try
        {
            outcome = await store.TryWriteAsync(name, version - 1, bytes, expiry.Token) ? WriteOutcome.Stored : WriteOutcome.Refused;
        }
        catch (Exception error) when (error is ClusterStoreException or OperationCanceledException)
        {
            onError(error);
            outcome = WriteOutcome.Unknown;
        }
        post(() => done(outcome));
    }
}
