using OrleansRedis.Cluster;
using OrleansRedis.Tests.Harness;
using Xunit;

namespace OrleansRedis.Tests.Storage;

/// <summary>What every store of the cluster's documents guarantees, however it is implemented.</summary>
public abstract class ClusterStoreContract
{
    /// <summary>Opens a connection to the store of this test, as another silo would; each call opens another.</summary>
    protected abstract Task<IClusterStore> OpenAsync();

    [SkippableFact]
    public async Task A_document_that_was_never_written_is_empty_and_has_version_0()
    {
        await using IClusterStore store = await OpenAsync();
        StoredDocument document = await store.ReadAsync("view", default);
        Assert.Equal((0, 0), (document.Version, document.Bytes.Length));
    }

    [SkippableFact]
    public async Task A_write_is_what_every_silo_reads_afterwards()
    {
        await using IClusterStore store = await OpenAsync(), other = await OpenAsync();
        Assert.True(await store.TryWriteAsync("view", 0, new byte[] { 1, 2 }, default));
        await AssertReadsAsync(other, "view", 1, [1, 2]);
        Assert.True(await other.TryWriteAsync("view", 1, new byte[] { 3 }, default));
        await AssertReadsAsync(store, "view", 2, [3]);
        Assert.True(await store.TryWriteAsync("view", 2, default, default));
        await AssertReadsAsync(other, "view", 3, []);
    }

    [SkippableFact]
    public async Task A_write_that_expects_another_version_stores_nothing()
    {
        await using IClusterStore store = await OpenAsync(), other = await OpenAsync();
        Assert.False(await store.TryWriteAsync("view", 1, new byte[] { 1 }, default));
        Assert.True(await store.TryWriteAsync("view", 0, new byte[] { 2 }, default));
        Assert.False(await store.TryWriteAsync("view", 0, new byte[] { 2 }, default));
        Assert.False(await other.TryWriteAsync("view", 0, new byte[] { 3 }, default));
        Assert.False(await other.TryWriteAsync("view", 2, new byte[] { 4 }, default));
        await AssertReadsAsync(other, "view", 1, [2]);
    }

    [SkippableFact]
    public async Task Documents_do_not_touch_each_other()
    {
        await using IClusterStore store = await OpenAsync();
        Assert.True(await store.TryWriteAsync("view", 0, new byte[] { 1 }, default));
        Assert.True(await store.TryWriteAsync("slots", 0, new byte[] { 2 }, default));
        Assert.True(await store.TryWriteAsync("slots", 1, new byte[] { 3 }, default));
        await AssertReadsAsync(store, "view", 1, [1]);
        await AssertReadsAsync(store, "slots", 2, [3]);
    }

    [SkippableFact]
    public async Task Of_several_writers_at_once_exactly_one_gets_through_each_time()
    {
        const int Writers = 4, Each = 25;
        await Task.WhenAll(Enumerable.Range(0, Writers).Select(_ => Task.Run(async () =>
        {
            await using IClusterStore store = await OpenAsync();
            for (int written = 0; written < Each;)
            {
                StoredDocument document = await store.ReadAsync("counter", default);
                long count = document.Version == 0 ? 0 : BitConverter.ToInt64(document.Bytes.Span);
                Assert.Equal(document.Version, count);
                if (await store.TryWriteAsync("counter", document.Version, BitConverter.GetBytes(count + 1), default)) written++;
            }
        })));
        await using IClusterStore reader = await OpenAsync();
        await AssertReadsAsync(reader, "counter", Writers * Each, BitConverter.GetBytes((long)Writers * Each));
    }

    [SkippableFact]
    public async Task A_large_document_comes_back_as_it_was_and_the_caller_may_reuse_its_bytes()
    {
        await using IClusterStore store = await OpenAsync();
        byte[] bytes = TestSeed.Bytes(500_000), given = [.. bytes];
        Assert.True(await store.TryWriteAsync("slots", 0, given, default));
        Array.Clear(given);
        await AssertReadsAsync(store, "slots", 1, bytes);
    }

    [SkippableFact]
    public async Task What_is_cancelled_before_it_begins_does_not_happen()
    {
        await using IClusterStore store = await OpenAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => store.TryWriteAsync("view", 0, new byte[] { 1 }, new(true)));
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => store.ReadAsync("view", new(true)));
        await AssertReadsAsync(store, "view", 0, []);
    }

    private static async Task AssertReadsAsync(IClusterStore store, string name, long version, byte[] bytes)
    {
        StoredDocument document = await store.ReadAsync(name, default);
        Assert.Equal(version, document.Version);
        Assert.Equal(bytes, document.Bytes.ToArray());
    }
}
