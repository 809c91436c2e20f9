using OrleansRedis.Cluster;
using OrleansRedis.Grains.ClusterStores;
using OrleansRedis.Tests.Harness;
using Xunit;

namespace OrleansRedis.Tests.Storage;

/// <summary>The contract, kept by Azure Tables.</summary>
public sealed class AzureClusterStoreTests : ClusterStoreContract
{
    private readonly string _cluster = $"test/{Guid.NewGuid():n}";

    [SkippableFact]
    public async Task A_document_that_is_too_long_is_refused()
    {
        await using IClusterStore store = await OpenAsync();
        await Assert.ThrowsAsync<ArgumentException>(() => store.TryWriteAsync("slots", 0, new byte[AzureClusterStore.MaxBytes + 1], default));
        Assert.True(await store.TryWriteAsync("slots", 0, new byte[AzureClusterStore.MaxBytes], default));
    }

    protected override async Task<IClusterStore> OpenAsync()
    {
        var store = new AzureClusterStore(await AzureTables.AccountAsync(), _cluster);
        await store.OpenAsync(default);
        return store;
    }
}
