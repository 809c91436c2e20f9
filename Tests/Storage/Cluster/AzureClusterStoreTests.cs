using OrleansRedis.Cluster;
using OrleansRedis.Grains.ClusterStores;
using OrleansRedis.Tests.Harness;
using Xunit;

namespace OrleansRedis.Tests.Storage;

/// <summary>
/// The contract, kept by Azure Tables: those of the storage account, or of the Azurite, whose connection string is in
/// TEST_AZURE_TABLES.
/// </summary>
public sealed class AzureClusterStoreTests : ClusterStoreContract
{
    private readonly string _cluster = $"test/{Guid.NewGuid():n}";

    /// <summary>The connection string; skips the test if there is none.</summary>
    public static string Account
    {
        get
        {
            string account = Environment.GetEnvironmentVariable("TEST_AZURE_TABLES") ?? "";
            Requires.That(account.Length != 0, "TEST_AZURE_TABLES does not say where Azure Tables are");
            return account;
        }
    }

    [SkippableFact]
    public async Task A_document_that_is_too_long_is_refused()
    {
        await using IClusterStore store = await OpenAsync();
        await Assert.ThrowsAsync<ArgumentException>(() => store.TryWriteAsync("slots", 0, new byte[AzureClusterStore.MaxBytes + 1], default));
        Assert.True(await store.TryWriteAsync("slots", 0, new byte[AzureClusterStore.MaxBytes], default));
    }

    protected override async Task<IClusterStore> OpenAsync()
    {
        var store = new AzureClusterStore(Account, _cluster);
        await store.OpenAsync(default);
        return store;
    }
}
