using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Options;
using Orleans.Configuration;
using Orleans.Runtime.Membership;
using Orleans.Runtime.MembershipService;
using OrleansRedis.Cluster;
using OrleansRedis.Grains.ClusterStores;
using OrleansRedis.Tests.Harness;
using Xunit;

namespace OrleansRedis.Tests.Storage;

/// <summary>The contract, kept by PostgreSQL.</summary>
[Collection(PostgresServer.Collection)]
public sealed class PostgresClusterStoreTests(PostgresServer server) : ClusterStoreContract, IAsyncLifetime
{
    private string _database = "";

    public async Task InitializeAsync() => _database = PostgresServer.IsInstalled ? await server.CreateDatabaseAsync() : "";

    public Task DisposeAsync() => Task.CompletedTask;

    [SkippableFact]
    public async Task Silos_that_start_together_make_the_tables_once()
    {
        PostgresServer.Require();
        IClusterStore[] opened = await Task.WhenAll(Enumerable.Range(0, 6).Select(_ => OpenAsync()));
        Assert.Equal(9L, await PostgresServer.ExecuteAsync(_database, "select count(*) from orleansquery"));
        foreach (IClusterStore store in opened) await store.DisposeAsync();
    }

    [SkippableFact]
    public async Task Clusters_that_share_a_database_do_not_see_each_other()
    {
        PostgresServer.Require();
        await using IClusterStore store = await OpenAsync();
        await using var other = new PostgresClusterStore(_database, "another");
        await other.OpenAsync(default);
        Assert.True(await store.TryWriteAsync("view", 0, "one"u8.ToArray(), default));
        Assert.Equal(0, (await other.ReadAsync("view", default)).Version);
        Assert.True(await other.TryWriteAsync("view", 0, "two"u8.ToArray(), default));
        Assert.True((await store.ReadAsync("view", default)).Bytes.Span.SequenceEqual("one"u8));
    }

    [SkippableFact]
    public async Task A_write_whose_connection_breaks_is_written_once_and_says_so()
    {
        PostgresServer.Require();
        await using IClusterStore store = await OpenAsync();
        const int Versions = 100;
        int written = 0;
        Task breaking = Task.Run(async () =>
        {
            // Once for each version, at whatever moment of its writing.
            for (int version = 0; version < Versions; version++)
            {
                await Eventually.TrueAsync(() => Volatile.Read(ref written) >= version);
                await PostgresServer.TerminateBackendsAsync(_database);
            }
        });
        // More than a document remembers, so that the oldest writers are forgotten on the way.
        for (int version = 0; version < Versions; version++)
        {
            Assert.True(await store.TryWriteAsync("list", version, BitConverter.GetBytes(version), default));
            Interlocked.Increment(ref written);
        }
        await breaking;
        Assert.Equal(Versions, (await store.ReadAsync("list", default)).Version);
    }

    [SkippableFact]
    public async Task A_database_that_is_away_is_an_error_that_names_it()
    {
        PostgresServer.Require();
        await using var store = new PostgresClusterStore($"Host=127.0.0.1;Port={RedisProcess.FreePort()};Username=nobody;Timeout=1", "test");
        ClusterStoreException error = await Assert.ThrowsAsync<ClusterStoreException>(() => store.OpenAsync(default));
        Assert.Contains("The cluster's store fails", error.Message, StringComparison.Ordinal);
    }

    protected override async Task<IClusterStore> OpenAsync()
    {
        PostgresServer.Require();
        var store = new PostgresClusterStore(_database, "test");
        await store.OpenAsync(default);
        return store;
    }
}

/// <summary>Orleans's own membership in PostgreSQL, on the tables and statements that we make for it.</summary>
[Collection(PostgresServer.Collection)]
public sealed class PostgresMembershipTests(PostgresServer server) : MembershipTableContract, IAsyncLifetime
{
    private string _database = "";

    private IOptions<ClusterOptions> Cluster => Options.Create(new ClusterOptions { ClusterId = ClusterId });

    public async Task InitializeAsync() => _database = PostgresServer.IsInstalled ? await server.CreateDatabaseAsync() : "";

    public Task DisposeAsync() => Task.CompletedTask;

    protected override async Task<IMembershipTable> OpenAsync()
    {
        PostgresServer.Require();
        await using (var store = new PostgresClusterStore(_database, "test")) await store.OpenAsync(default);
        var table = new AdoNetClusteringTable(
            new ServiceCollection().BuildServiceProvider(),
            Cluster,
            Options.Create(new AdoNetClusteringSiloOptions { Invariant = "Npgsql", ConnectionString = _database }),
            NullLogger<AdoNetClusteringTable>.Instance);
        await table.InitializeMembershipTableAsync(true);
        return table;
    }

    protected override async Task<IReadOnlyList<Uri>> GatewaysAsync()
    {
        var gateways = new AdoNetGatewayListProvider(
            NullLogger<AdoNetGatewayListProvider>.Instance,
            new ServiceCollection().BuildServiceProvider(),
            Options.Create(new AdoNetClusteringClientOptions { Invariant = "Npgsql", ConnectionString = _database }),
            Options.Create(new GatewayOptions()),
            Cluster);
        await gateways.InitializeGatewayListProviderAsync();
        return [.. await gateways.GetGatewaysAsync()];
    }
}
