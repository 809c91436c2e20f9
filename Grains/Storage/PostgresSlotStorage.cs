using System.Data;
using System.Net.Sockets;
using System.Runtime.CompilerServices;
using Npgsql;
using NpgsqlTypes;
using OrleansRedis.Engine;

namespace OrleansRedis.Grains.Storage;

/// <summary>
/// Slots stored in PostgreSQL, in tables that it creates itself. <see cref="PostgresSchema"/> describes them, and how
/// epochs are fenced.
/// </summary>
public sealed class PostgresSlotStorage : ISlotStorage
{
    /// <summary>
    /// The most bytes that go into one statement, and the most of one snapshot piece or log record that go into one
    /// row.
    /// </summary>
    private const int LongestStatement = 16 << 20, LongestPart = 8 << 20;

    private readonly NpgsqlDataSource _database;
    private readonly string _service;

    /// <param name="connectionString">In Npgsql's format: "Host=…;Username=…;Password=…;Database=…".</param>
    /// <param name="service">
    /// Whose data it is (orleans-service-id). A database that holds another service's data is refused.
    /// </param>
    public PostgresSlotStorage(string connectionString, string service)
    {
        var settings = new NpgsqlConnectionStringBuilder(connectionString);
        settings.ApplicationName ??= $"orleansredis {Environment.MachineName} {Environment.ProcessId}";
        if (!settings.ContainsKey("Read Buffer Size")) settings.ReadBufferSize = 64 * 1024;
        if (!settings.ContainsKey("Write Buffer Size")) settings.WriteBufferSize = 64 * 1024;
        _database = NpgsqlDataSource.Create(settings);
        _service = service;
    }

    /// <inheritdoc/>
    public string Name => "postgres";

    /// <inheritdoc/>
    public StorageScope Scope => StorageScope.Slot;

    /// <inheritdoc/>
    public Task OpenAsync(CancellationToken cancellation) => Guarded(async () =>
    {
        await using NpgsqlConnection connection = await _database.OpenConnectionAsync(cancellation).ConfigureAwait(false);
        await using NpgsqlTransaction transaction =
            await connection.BeginTransactionAsync(IsolationLevel.ReadCommitted, cancellation).ConfigureAwait(false);
        await RunAsync(connection, $"select pg_advisory_xact_lock({PostgresSchema.MakingLock}, hashtext(current_schema()))", cancellation)
            .ConfigureAwait(false);
        await RunAsync(connection, "set local client_min_messages = warning", cancellation).ConfigureAwait(false);
        await RunAsync(connection, PostgresSchema.VersionTable, cancellation).ConfigureAwait(false);
        (int version, string service) = await ReadVersionAsync(connection, cancellation).ConfigureAwait(false);
        if (version > PostgresSchema.Version)
            throw new InvalidOperationException(
                $"The tables in the database are of version {version}, and this server knows them up to version {PostgresSchema.Version}: use a newer server.");
        if (service != _service)
            throw new InvalidOperationException(
                $"The database holds the data of the service '{service}', and orleans-service-id is '{_service}'. Use another database or schema "
                    + $"(Search Path), or that service id.");
        for (int step = version; step < PostgresSchema.Version; step++)
            await RunAsync(connection, PostgresSchema.Step(step), cancellation).ConfigureAwait(false);
        await using var store = new NpgsqlCommand(
            "insert into orleansredis_version (version, service) values ($1, $2) on conflict (only_row) do update set version = excluded.version",
            connection)
        {
            Parameters = { new() { Value = PostgresSchema.Version }, new() { Value = _service } },
        };
        await store.ExecuteNonQueryAsync(cancellation).ConfigureAwait(false);
        await transaction.CommitAsync(cancellation).ConfigureAwait(false);
    });

    /// <inheritdoc/>
    public async Task<IReadOnlyList<SlotClaim>> ClaimAsync(IReadOnlyList<int> slots, CancellationToken cancellation)
    {
        var epochs = new Dictionary<int, long>();
        await Guarded(async () =>
        {
            await using NpgsqlCommand claim = _database.CreateCommand("select claimed, granted from orleansredis_claim($1)");
            claim.Parameters.Add(new() { Value = slots.Order().ToArray() });
            await using NpgsqlDataReader reader = await claim.ExecuteReaderAsync(cancellation).ConfigureAwait(false);
            while (await reader.ReadAsync(cancellation).ConfigureAwait(false)) epochs[reader.GetInt32(0)] = reader.GetInt64(1);
        }).ConfigureAwait(false);
        return [.. slots.Select(slot => new SlotClaim(slot, epochs[slot]))];
    }

    /// <inheritdoc/>
    public async IAsyncEnumerable<StoredPiece> ReadAsync(
        IReadOnlyList<SlotClaim> claims, [EnumeratorCancellation] CancellationToken cancellation)
    {
        if (claims.Count == 0) yield break;
        int[] slots = [.. claims.Select(claim => claim.Slot).Order()];
        await using NpgsqlConnection connection =
            await Guarded(() => _database.OpenConnectionAsync(cancellation).AsTask()).ConfigureAwait(false);
        // One database snapshot for the whole read, so that a claim and a trim that come in between cannot remove part
        // of it.
        await using NpgsqlTransaction transaction = await Guarded(
            () => connection.BeginTransactionAsync(IsolationLevel.RepeatableRead, cancellation).AsTask()).ConfigureAwait(false);
        await Guarded(async () =>
        {
            // By the index, in order, even while the database has no statistics on the tables yet.
            await RunAsync(
                connection,
                "set transaction read only; set local jit = off; set local enable_seqscan = off; set local enable_bitmapscan = off",
                cancellation).ConfigureAwait(false);
            await CheckClaimsAsync(connection, claims, slots, cancellation).ConfigureAwait(false);
        }).ConfigureAwait(false);

        const string Snapshots = """
            select known.slot, known.snapshot_epoch, known.snapshot_sequence, 0::bigint, piece.piece::bigint, piece.bytes
            from orleansredis_slot known join orleansredis_snapshot piece on piece.slot = known.slot and piece.snapshot = known.snapshot
            where known.slot between $1 and $2 and known.slot = any($3)
            order by known.slot, piece.piece, piece.part
            """;
        await foreach (StoredPiece piece in ReadAsync(connection, Snapshots, StoredKind.Snapshot, slots, cancellation).ConfigureAwait(false))
            yield return piece;

        const string Log = """
            select log.slot, log.epoch, log.last_sequence, log.first_sequence, log.last_sequence, log.effects
            from orleansredis_log log join orleansredis_slot known on known.slot = log.slot
            where log.slot between $1 and $2 and log.slot = any($3) and (log.epoch, log.last_sequence) > (known.snapshot_epoch, known.snapshot_sequence)
            order by log.slot, log.epoch, log.last_sequence, log.part
            """;
        await foreach (StoredPiece piece in ReadAsync(connection, Log, StoredKind.Log, slots, cancellation).ConfigureAwait(false))
            yield return piece;
        await Guarded(() => transaction.CommitAsync(cancellation)).ConfigureAwait(false);
    }

    /// <inheritdoc/>
    public Task AppendAsync(IReadOnlyList<SlotRecord> records, CancellationToken cancellation) => Guarded(async () =>
    {
        var statements = new List<List<(SlotRecord Record, int Part, ReadOnlyMemory<byte> Bytes)>>();
        int length = LongestStatement;
        foreach (SlotRecord record in records)
        {
            int part = 0;
            foreach (ReadOnlyMemory<byte> bytes in PartsOf(record.Bytes))
            {
                if (length + bytes.Length > LongestStatement)
                {
                    statements.Add([]);
                    length = 0;
                }
                statements[^1].Add((record, part++, bytes));
                length += bytes.Length;
            }
        }
        await using NpgsqlConnection connection = await _database.OpenConnectionAsync(cancellation).ConfigureAwait(false);
        if (statements.Count == 1)
        {
            await AppendAsync(connection, statements[0], cancellation).ConfigureAwait(false);
            return;
        }
        // Too much for one statement. If this silo freezes with the transaction open, the database ends it, so that
        // nothing waits for its lock.
        await using NpgsqlTransaction transaction =
            await connection.BeginTransactionAsync(IsolationLevel.ReadCommitted, cancellation).ConfigureAwait(false);
        await RunAsync(connection, "set local idle_in_transaction_session_timeout = '10s'", cancellation).ConfigureAwait(false);
        foreach (var statement in statements) await AppendAsync(connection, statement, cancellation).ConfigureAwait(false);
        await transaction.CommitAsync(cancellation).ConfigureAwait(false);
    });

    /// <inheritdoc/>
    public Task ReplaceAsync(IReadOnlyList<SlotSnapshot> snapshots, CancellationToken cancellation) => Guarded(async () =>
    {
        await using NpgsqlConnection connection = await _database.OpenConnectionAsync(cancellation).ConfigureAwait(false);
        // Only the last statement takes the lock, however long the pieces before it take.
        await using NpgsqlTransaction transaction =
            await connection.BeginTransactionAsync(IsolationLevel.ReadCommitted, cancellation).ConfigureAwait(false);
        await RunAsync(connection, "set local idle_in_transaction_session_timeout = '60s'", cancellation).ConfigureAwait(false);
        long[] numbers = new long[snapshots.Count];
        await using (var next = new NpgsqlCommand("select nextval('orleansredis_snapshot_number') from generate_series(1, $1)", connection)
        {
            Parameters = { new() { Value = numbers.Length } }
        })
        await using (NpgsqlDataReader reader = await next.ExecuteReaderAsync(cancellation).ConfigureAwait(false))
        {
            for (int i = 0; i < numbers.Length && await reader.ReadAsync(cancellation).ConfigureAwait(false); i++) numbers[i] = reader.GetInt64(0);
        }
        await using (NpgsqlBinaryImporter rows = await connection.BeginBinaryImportAsync(
            "copy orleansredis_snapshot (slot, snapshot, piece, part, bytes) from stdin (format binary)", cancellation).ConfigureAwait(false))
        {
            for (int i = 0; i < numbers.Length; i++)
            {
                int piece = 0;
                await foreach (ReadOnlyMemory<byte> bytes in snapshots[i].Pieces.WithCancellation(cancellation).ConfigureAwait(false))
                {
                    int part = 0;
                    foreach (ReadOnlyMemory<byte> partBytes in PartsOf(bytes))
                    {
                        await rows.StartRowAsync(cancellation).ConfigureAwait(false);
                        await rows.WriteAsync(snapshots[i].Claim.Slot, NpgsqlDbType.Integer, cancellation).ConfigureAwait(false);
                        await rows.WriteAsync(numbers[i], NpgsqlDbType.Bigint, cancellation).ConfigureAwait(false);
                        await rows.WriteAsync(piece, NpgsqlDbType.Integer, cancellation).ConfigureAwait(false);
                        await rows.WriteAsync(part++, NpgsqlDbType.Integer, cancellation).ConfigureAwait(false);
                        await rows.WriteAsync(partBytes, NpgsqlDbType.Bytea, cancellation).ConfigureAwait(false);
                    }
                    piece++;
                }
            }
            await rows.CompleteAsync(cancellation).ConfigureAwait(false);
        }
        await using var replace = new NpgsqlCommand("select orleansredis_replace($1, $2, $3, $4, $5)", connection)
        {
            Parameters =
            {
                new() { Value = snapshots.Select(snapshot => snapshot.Claim.Slot).ToArray() },
                new() { Value = snapshots.Select(snapshot => snapshot.Claim.Epoch).ToArray() },
                new() { Value = numbers },
                new() { Value = snapshots.Select(snapshot => snapshot.UpTo.Epoch).ToArray() },
                new() { Value = snapshots.Select(snapshot => snapshot.UpTo.Sequence).ToArray() },
            },
        };
        await RefuseStaleAsync(replace, cancellation).ConfigureAwait(false);
        await transaction.CommitAsync(cancellation).ConfigureAwait(false);
    });

    /// <inheritdoc/>
    public Task TrimAsync(IReadOnlyList<SlotTrim> trims, CancellationToken cancellation) => Guarded(async () =>
    {
        await using NpgsqlCommand trim = _database.CreateCommand("select orleansredis_trim($1, $2, $3, $4)");
        trim.Parameters.Add(new() { Value = trims.Select(trim => trim.Claim.Slot).ToArray() });
        trim.Parameters.Add(new() { Value = trims.Select(trim => trim.Claim.Epoch).ToArray() });
        trim.Parameters.Add(new() { Value = trims.Select(trim => trim.UpTo.Epoch).ToArray() });
        trim.Parameters.Add(new() { Value = trims.Select(trim => trim.UpTo.Sequence).ToArray() });
        await RefuseStaleAsync(trim, cancellation).ConfigureAwait(false);
    });

    /// <inheritdoc/>
    public ValueTask DisposeAsync() => _database.DisposeAsync();

    private async Task<(int Version, string Service)> ReadVersionAsync(NpgsqlConnection connection, CancellationToken cancellation)
    {
        await using var command = new NpgsqlCommand("select version, service from orleansredis_version", connection);
        await using NpgsqlDataReader reader = await command.ExecuteReaderAsync(cancellation).ConfigureAwait(false);
        return await reader.ReadAsync(cancellation).ConfigureAwait(false) ? (reader.GetInt32(0), reader.GetString(1)) : (0, _service);
    }

    private static async Task CheckClaimsAsync(
        NpgsqlConnection connection, IReadOnlyList<SlotClaim> claims, int[] slots, CancellationToken cancellation)
    {
        var epochs = new Dictionary<int, long>();
        await using (var command = new NpgsqlCommand("select slot, epoch from orleansredis_slot where slot = any($1)", connection)
        {
            Parameters = { new() { Value = slots } }
        })
        await using (NpgsqlDataReader reader = await command.ExecuteReaderAsync(cancellation).ConfigureAwait(false))
        {
            while (await reader.ReadAsync(cancellation).ConfigureAwait(false)) epochs[reader.GetInt32(0)] = reader.GetInt64(1);
        }
        int[] stale = [.. claims.Where(claim => epochs.GetValueOrDefault(claim.Slot) != claim.Epoch).Select(claim => claim.Slot).Order()];
        if (stale.Length != 0) throw new StaleEpochException(stale);
    }

    /// <summary>
    /// Reads pieces from rows of: slot, epoch, sequence, first sequence, a number that the parts of one piece share,
    /// bytes. Parts are joined.
    /// </summary>
    private static async IAsyncEnumerable<StoredPiece> ReadAsync(
        NpgsqlConnection connection, string query, StoredKind kind, int[] slots, [EnumeratorCancellation] CancellationToken cancellation)
    {
        await using var command = new NpgsqlCommand(query, connection)
        {
            Parameters = { new() { Value = slots[0] }, new() { Value = slots[^1] }, new() { Value = slots } }
        };
        await using NpgsqlDataReader reader = await Guarded(() => command.ExecuteReaderAsync(cancellation)).ConfigureAwait(false);
        StoredPiece piece = default;
        long number = 0;
        var parts = new List<byte[]>();
        while (await Guarded(() => reader.ReadAsync(cancellation)).ConfigureAwait(false))
        {
            var row = new StoredPiece(reader.GetInt32(0), kind, new(reader.GetInt64(1), reader.GetInt64(2)), reader.GetInt64(3), default);
            if (parts.Count != 0 && (piece != row || number != reader.GetInt64(4)))
            {
                yield return piece with { Bytes = Joined(parts) };
                parts.Clear();
            }
            piece = row;
            number = reader.GetInt64(4);
            parts.Add(reader.GetFieldValue<byte[]>(5));
        }
        if (parts.Count != 0) yield return piece with { Bytes = Joined(parts) };
    }

    private static byte[] Joined(List<byte[]> parts)
    {
        if (parts.Count == 1) return parts[0];
        byte[] joined = GC.AllocateUninitializedArray<byte>(parts.Sum(part => part.Length));
        int at = 0;
        foreach (byte[] part in parts)
        {
            part.CopyTo(joined, at);
            at += part.Length;
        }
        return joined;
    }

    private static async Task AppendAsync(
        NpgsqlConnection connection, List<(SlotRecord Record, int Part, ReadOnlyMemory<byte> Bytes)> rows, CancellationToken cancellation)
    {
        var slots = new int[rows.Count];
        var epochs = new long[rows.Count];
        var firsts = new long[rows.Count];
        var lasts = new long[rows.Count];
        var parts = new int[rows.Count];
        var frames = new ReadOnlyMemory<byte>[rows.Count];
        for (int i = 0; i < slots.Length; i++)
        {
            SlotRecord record = rows[i].Record;
            (slots[i], epochs[i], firsts[i], lasts[i]) = (record.Slot, record.Epoch, record.First, record.Last);
            (parts[i], frames[i]) = (rows[i].Part, rows[i].Bytes);
        }
        await using var append = new NpgsqlCommand("select orleansredis_append($1, $2, $3, $4, $5, $6)", connection)
        {
            Parameters =
            {
                new() { Value = slots },
                new() { Value = epochs },
                new() { Value = firsts },
                new() { Value = lasts },
                new() { Value = parts },
                new() { Value = frames, NpgsqlDbType = NpgsqlDbType.Array | NpgsqlDbType.Bytea },
            },
        };
        await RefuseStaleAsync(append, cancellation).ConfigureAwait(false);
    }

    /// <summary>Runs a function that returns the stale slots, and throws if there are any.</summary>
    private static async Task RefuseStaleAsync(NpgsqlCommand command, CancellationToken cancellation)
    {
        var stale = (int[])(await command.ExecuteScalarAsync(cancellation).ConfigureAwait(false))!;
        if (stale.Length != 0) throw new StaleEpochException(stale);
    }

    private static async Task RunAsync(NpgsqlConnection connection, string statement, CancellationToken cancellation)
    {
        await using var command = new NpgsqlCommand(statement, connection);
        await command.ExecuteNonQueryAsync(cancellation).ConfigureAwait(false);
    }

    /// <summary>Splits bytes into parts: at least one, so that there is a row for every piece.</summary>
    private static IEnumerable<ReadOnlyMemory<byte>> PartsOf(ReadOnlyMemory<byte> bytes)
    {
        do
        {
            ReadOnlyMemory<byte> part = bytes[..Math.Min(LongestPart, bytes.Length)];
            bytes = bytes[part.Length..];
            yield return part;
        }
        while (!bytes.IsEmpty);
    }

    private static Task Guarded(Func<Task> action) => Guarded(async () =>
    {
        await action().ConfigureAwait(false);
        return true;
    });

    /// <summary>
    /// Turns every failure of the database, or of the connection to it, into a <see cref="SlotStorageException"/>.
    /// </summary>
    private static async Task<T> Guarded<T>(Func<Task<T>> action)
    {
        try
        {
            return await action().ConfigureAwait(false);
        }
        catch (Exception error) when (error is NpgsqlException or TimeoutException or SocketException or IOException or ObjectDisposedException)
        {
            Exception cause = error.InnerException is SocketException or IOException or TimeoutException ? error.InnerException : error;
            throw new SlotStorageException(error is PostgresException refused ? refused.MessageText : cause.Message, error);
        }
    }
}
