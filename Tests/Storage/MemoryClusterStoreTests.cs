using OrleansRedis.Cluster;

namespace OrleansRedis.Tests.Storage;

/// <summary>The contract, kept by <see cref="MemoryClusterStore"/>.</summary>
public sealed class MemoryClusterStoreTests : ClusterStoreContract, IAsyncDisposable
{
    private readonly MemoryClusterStore _store = new();

    protected override Task<IClusterStore> OpenAsync() => Task.FromResult<IClusterStore>(_store);

    public ValueTask DisposeAsync() => _store.DisposeAsync();
}
