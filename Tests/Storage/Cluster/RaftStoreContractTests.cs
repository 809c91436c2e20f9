using OrleansRedis.Cluster;
using Xunit;

namespace OrleansRedis.Tests.Storage;

/// <summary>The contract, kept by three members of a Raft cluster, each of which a silo may ask.</summary>
#pragma warning disable CA1001 // xUnit ends it: IAsyncLifetime
public sealed class RaftStoreContractTests : ClusterStoreContract, IAsyncLifetime
#pragma warning restore CA1001
{
    private readonly RaftCluster _cluster = new(3);
    private int _opened;

    public Task InitializeAsync() => _cluster.StartAsync(0, 1, 2);

    public Task DisposeAsync() => _cluster.DisposeAsync().AsTask();

    protected override Task<IClusterStore> OpenAsync() =>
        Task.FromResult<IClusterStore>(new Silo(_cluster[Interlocked.Increment(ref _opened) % 3]));

    /// <summary>What one silo sees of it. The member itself goes on when the test is done with the silo.</summary>
    private sealed class Silo(IClusterStore member) : IClusterStore
    {
        public string Name => member.Name;

        public Task OpenAsync(CancellationToken cancellation) => Task.CompletedTask;

        public Task<StoredDocument> ReadAsync(string document, CancellationToken cancellation) => member.ReadAsync(document, cancellation);

        public Task<bool> TryWriteAsync(string document, long expected, ReadOnlyMemory<byte> bytes, CancellationToken cancellation) =>
            member.TryWriteAsync(document, expected, bytes, cancellation);

        public ValueTask DisposeAsync() => default;
    }
}
