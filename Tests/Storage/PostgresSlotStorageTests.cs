using Npgsql;
using OrleansRedis.Engine;
using OrleansRedis.Grains.Storage;
using OrleansRedis.Tests.Harness;
using Xunit;

namespace OrleansRedis.Tests.Storage;

[Collection(PostgresServer.Collection)]
public sealed class PostgresSlotStorageTests(PostgresServer server) : SlotStorageContract, IAsyncLifetime
{
    private string _database = "";

    public async Task InitializeAsync() => _database = PostgresServer.IsInstalled ? await server.CreateDatabaseAsync() : "";

    public Task DisposeAsync() => Task.CompletedTask;

    [SkippableFact]
    public async Task Silos_that_start_together_make_the_tables_once()
    {
        PostgresServer.Require();
        ISlotStorage[] opened = await Task.WhenAll(Enumerable.Range(0, 6).Select(_ => OpenAsync()));
        Assert.Equal(1L, await PostgresServer.ExecuteAsync(_database, "select count(*) from orleansredis_version"));
        foreach (ISlotStorage storage in opened) await storage.DisposeAsync();
    }

    [SkippableFact]
    public async Task Another_services_data_and_a_newer_version_are_refused()
    {
        PostgresServer.Require();
        await using ISlotStorage storage = await OpenAsync();
        await using var other = new PostgresSlotStorage(_database, "billing");
        Assert.Contains("service 'shop'", (await Assert.ThrowsAsync<InvalidOperationException>(() => other.OpenAsync(default))).Message);
        await PostgresServer.ExecuteAsync(_database, "update orleansredis_version set version = 99");
        Assert.Contains("version 99", (await Assert.ThrowsAsync<InvalidOperationException>(() => storage.OpenAsync(default))).Message);
    }

    [SkippableFact]
    public async Task Two_schemas_of_one_database_hold_two_services()
    {
        PostgresServer.Require();
        await PostgresServer.ExecuteAsync(_database, "create schema billing");
        await using ISlotStorage shop = await OpenAsync();
        await using var billing = new PostgresSlotStorage($"{_database};Search Path=billing", "billing");
        await billing.OpenAsync(default);
        Assert.Equal(1, (await shop.ClaimAsync([1], default))[0].Epoch);
        Assert.Equal(1, (await billing.ClaimAsync([1], default))[0].Epoch);
    }

    [SkippableFact]
    public async Task A_claim_waits_for_the_append_that_has_begun_and_then_reads_it()
    {
        PostgresServer.Require();
        await using ISlotStorage storage = await OpenAsync();
        await storage.ClaimAsync([5], default);
        await using var connection = new NpgsqlConnection(_database);
        await connection.OpenAsync();
        await using NpgsqlTransaction append = await connection.BeginTransactionAsync();
        await using (var command = new NpgsqlCommand("select orleansredis_append('{5}', '{1}', '{1}', '{1}', '{0}', '{x}')", connection))
            Assert.Equal(Array.Empty<int>(), await command.ExecuteScalarAsync());
        Task<List<string>> claiming = ReadAsync(storage, 5);
        await Eventually.TrueAsync(async () => (long)(await PostgresServer.ExecuteAsync(
            _database, "select count(*) from pg_locks where locktype = 'advisory' and not granted"))! == 1);
        Assert.False(claiming.IsCompleted);
        await append.CommitAsync();
        Assert.Equal(["5 1/1 1 x"], await claiming);
    }

    [SkippableFact]
    public async Task An_append_waits_for_the_claim_that_has_begun_and_is_refused()
    {
        PostgresServer.Require();
        await using ISlotStorage storage = await OpenAsync();
        await storage.ClaimAsync([5], default);
        await using var connection = new NpgsqlConnection(_database);
        await connection.OpenAsync();
        await using NpgsqlTransaction claim = await connection.BeginTransactionAsync();
        await using (var command = new NpgsqlCommand("select granted from orleansredis_claim('{5}')", connection))
            Assert.Equal(2L, await command.ExecuteScalarAsync());
        Task appending = storage.AppendAsync([Record(5, 1, 1, 1, "x")], default);
        await Eventually.TrueAsync(async () => (long)(await PostgresServer.ExecuteAsync(
            _database, "select count(*) from pg_locks where locktype = 'advisory' and not granted"))! == 1);
        Assert.False(appending.IsCompleted);
        await claim.CommitAsync();
        Assert.Equal([5], (await Assert.ThrowsAsync<StaleEpochException>(() => appending)).Slots);
    }

    [SkippableFact]
    public async Task Settings_of_the_database_that_would_undo_fencing_or_durability_are_refused_or_overridden()
    {
        PostgresServer.Require();
        await using ISlotStorage storage = await OpenAsync();
        await storage.ClaimAsync([5], default);
        await using var strict =
            new PostgresSlotStorage($"{_database};Options=-c default_transaction_isolation=repeatable\\ read -c synchronous_commit=off", "shop");
        SlotStorageException refused = await Assert.ThrowsAsync<SlotStorageException>(() => strict.AppendAsync([Record(5, 1, 1, 1, "x")], default));
        Assert.Contains("read committed", refused.Message);
        await using var connection = new NpgsqlConnection($"{_database};Options=-c synchronous_commit=off");
        await connection.OpenAsync();
        await using NpgsqlTransaction transaction = await connection.BeginTransactionAsync();
        await using (var stale = new NpgsqlCommand("select orleansredis_stale('{5}', '{1}')", connection)) await stale.ExecuteScalarAsync();
        await using var setting = new NpgsqlCommand("select current_setting('synchronous_commit')", connection);
        Assert.Equal("on", await setting.ExecuteScalarAsync());
    }

    [SkippableFact]
    public async Task What_the_database_has_against_a_call_is_an_error_that_may_pass()
    {
        PostgresServer.Require();
        await using ISlotStorage storage = await OpenAsync();
        await storage.ClaimAsync([5], default);
        await PostgresServer.ExecuteAsync(_database, "alter table orleansredis_log rename to elsewhere");
        await Assert.ThrowsAsync<SlotStorageException>(() => storage.AppendAsync([Record(5, 1, 1, 1, "x")], default));
        await PostgresServer.ExecuteAsync(_database, "alter table elsewhere rename to orleansredis_log");
        await storage.AppendAsync([Record(5, 1, 1, 1, "x")], default);
        await using var nowhere = new PostgresSlotStorage("Host=127.0.0.1;Port=1;Username=x;Timeout=2", "shop");
        await Assert.ThrowsAsync<SlotStorageException>(() => nowhere.OpenAsync(default));
    }

    protected override async Task<ISlotStorage> OpenAsync()
    {
        PostgresServer.Require();
        var storage = new PostgresSlotStorage(_database, "shop");
        await storage.OpenAsync(default);
        return storage;
    }
}
