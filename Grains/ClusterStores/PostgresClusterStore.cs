using System.Data;
using System.Net.Sockets;
using Npgsql;
using OrleansRedis.Cluster;

namespace OrleansRedis.Grains.ClusterStores;

/// <summary>
/// The cluster's documents in PostgreSQL, in a table that it creates itself, along with those of Orleans's membership
/// (<see cref="PostgresClusterSchema"/>).
/// </summary>
public sealed class PostgresClusterStore : IClusterStore
{
    private readonly NpgsqlDataSource _database;
    private readonly string _cluster;

    /// <param name="connectionString">In Npgsql's format: "Host=…;Username=…;Password=…;Database=…".</param>
    /// <param name="cluster">Whose documents (orleans-cluster-id). Several clusters may share a database.</param>
    public PostgresClusterStore(string connectionString, string cluster)
    {
        var settings = new NpgsqlConnectionStringBuilder(connectionString);
        settings.ApplicationName ??= $"orleansredis {Environment.MachineName} {Environment.ProcessId}";
        _database = NpgsqlDataSource.Create(settings);
        _cluster = cluster;
    }

    /// <inheritdoc/>
    public string Name => "adonet";

    /// <inheritdoc/>
    public Task OpenAsync(CancellationToken cancellation) => StoreRequest.TryAsync(
        async () =>
        {
            await using NpgsqlConnection connection = await _database.OpenConnectionAsync(cancellation).ConfigureAwait(false);
            await using NpgsqlTransaction transaction =
                await connection.BeginTransactionAsync(IsolationLevel.ReadCommitted, cancellation).ConfigureAwait(false);
            // Silos that start together would make the same tables together, which PostgreSQL refuses in spite of "if not exists".
            await RunAsync(connection, $"select pg_advisory_xact_lock({PostgresClusterSchema.MakingLock}, hashtext(current_schema()))").ConfigureAwait(false);
            await RunAsync(connection, "set local client_min_messages = warning").ConfigureAwait(false);
            foreach (string statement in PostgresClusterSchema.Statements) await RunAsync(connection, statement).ConfigureAwait(false);
            await transaction.CommitAsync(cancellation).ConfigureAwait(false);
            return true;

            async Task RunAsync(NpgsqlConnection connection, string statement)
            {
                await using var command = new NpgsqlCommand(statement, connection);
                await command.ExecuteNonQueryAsync(cancellation).ConfigureAwait(false);
            }
        },
        MayPass, cancellation);

    /// <inheritdoc/>
    public Task<StoredDocument> ReadAsync(string document, CancellationToken cancellation) => StoreRequest.TryAsync(
        async () =>
        {
            await using NpgsqlCommand read =
                _database.CreateCommand("select version, bytes from orleansredis_document where cluster = $1 and document = $2");
            read.Parameters.Add(new() { Value = _cluster });
            read.Parameters.Add(new() { Value = document });
            await using NpgsqlDataReader reader = await read.ExecuteReaderAsync(cancellation).ConfigureAwait(false);
            return await reader.ReadAsync(cancellation).ConfigureAwait(false)
                ? new StoredDocument(reader.GetInt64(0), reader.GetFieldValue<byte[]>(1))
                : default;
        },
        MayPass, cancellation);

    /// <inheritdoc/>
    public Task<bool> TryWriteAsync(string document, long expected, ReadOnlyMemory<byte> bytes, CancellationToken cancellation)
    {
        // The write has an identity, so one whose answer was lost can be made again, and finds itself there.
        Guid writer = Guid.NewGuid();
        byte[] copy = bytes.ToArray();
        bool mayBeWritten = false;
        return StoreRequest.TryAsync(
            async () =>
            {
                await using NpgsqlConnection connection = await _database.OpenConnectionAsync(cancellation).ConfigureAwait(false);
                await using NpgsqlTransaction transaction =
                    await connection.BeginTransactionAsync(IsolationLevel.ReadCommitted, cancellation).ConfigureAwait(false);
                bool wasHere = mayBeWritten;
                mayBeWritten = true;
                // It must be on disk before it is acknowledged, whatever the database's usual setting is.
                await using var durably = new NpgsqlCommand(
                    "select set_config('synchronous_commit', 'on', true) where current_setting('synchronous_commit') = 'off'", connection);
                await durably.ExecuteNonQueryAsync(cancellation).ConfigureAwait(false);
                await using var write = new NpgsqlCommand(expected == 0 ? First : Next, connection)
                {
                    Parameters = { new() { Value = _cluster }, new() { Value = document }, new() { Value = copy }, new() { Value = writer } },
                };
                if (expected != 0) write.Parameters.Add(new() { Value = expected });
                bool isWritten = await write.ExecuteNonQueryAsync(cancellation).ConfigureAwait(false) == 1;
                await transaction.CommitAsync(cancellation).ConfigureAwait(false);
                return isWritten || (wasHere && await WasWrittenAsync(connection, document, expected, writer, cancellation).ConfigureAwait(false));
            },
            MayPass, cancellation);
    }

    /// <inheritdoc/>
    public ValueTask DisposeAsync() => _database.DisposeAsync();

    private const string First = """
        insert into orleansredis_document (cluster, document, version, bytes, writers) values ($1, $2, 1, $3, array[$4])
        on conflict do nothing
        """;

    private static readonly string Next = $"""
        update orleansredis_document set version = version + 1, bytes = $3,
            writers = case when cardinality(writers) < {StoreRequest.RememberedWriters} then writers else writers[2:] end || $4
        where cluster = $1 and document = $2 and version = $5
        """;

    private async Task<bool> WasWrittenAsync(NpgsqlConnection connection, string document, long expected, Guid writer, CancellationToken cancellation)
    {
        await using var look = new NpgsqlCommand(
            "select version, $3 = any(writers) from orleansredis_document where cluster = $1 and document = $2", connection)
        {
            Parameters = { new() { Value = _cluster }, new() { Value = document }, new() { Value = writer } },
        };
        await using NpgsqlDataReader reader = await look.ExecuteReaderAsync(cancellation).ConfigureAwait(false);
        if (!await reader.ReadAsync(cancellation).ConfigureAwait(false)) return false;
        if (reader.GetBoolean(1)) return true;
        return reader.GetInt64(0) - expected <= StoreRequest.RememberedWriters
            ? false
            : throw StoreRequest.Forgotten();
    }

    /// <summary>Whether a failure may pass; null if it is none of the store's.</summary>
    private static bool? MayPass(Exception e) => e switch
    {
        PostgresException refused => refused.IsTransient,
        NpgsqlException or SocketException or IOException or TimeoutException => true,
        _ => null,
    };
}
