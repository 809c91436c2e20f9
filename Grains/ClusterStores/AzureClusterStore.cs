using System.Globalization;
using System.Text;
using Azure;
using Azure.Data.Tables;
using OrleansRedis.Cluster;

namespace OrleansRedis.Grains.ClusterStores;

/// <summary>
/// The cluster's documents in Azure Tables: an entity each, in a table that it creates itself. The service compares an
/// entity's ETag, so a write says which version it has seen by the ETag that came with it. An entity has at most 1 MiB, a
/// property 64 KiB: a document is cut into parts, and may have <see cref="MaxBytes"/>.
/// </summary>
public sealed class AzureClusterStore : IClusterStore
{
    /// <summary>The longest document.</summary>
    public const int MaxBytes = 14 * PartBytes;

    private const int PartBytes = 64 * 1024;

    private const string Table = "OrleansRedisDocuments", Version = "Version", Writers = "Writers", Parts = "Parts";

    private readonly TableClient _table;
    private readonly string _cluster;

    /// <param name="connectionString">Of the storage account: "DefaultEndpointsProtocol=https;AccountName=…;AccountKey=…".</param>
    /// <param name="cluster">Whose documents (orleans-cluster-id). Several clusters may share an account.</param>
    /// <exception cref="ArgumentException">The connection string makes no sense.</exception>
    public AzureClusterStore(string connectionString, string cluster)
    {
        try
        {
            _table = new(connectionString, Table);
        }
        catch (Exception e) when (e is FormatException or InvalidOperationException)
        {
            throw new ArgumentException(e.Message, nameof(connectionString), e);
        }
        _cluster = Key(cluster);
    }

    /// <inheritdoc/>
    public string Name => "azure";

    /// <inheritdoc/>
    public Task OpenAsync(CancellationToken cancellation) => StoreRequest.TryAsync(
        async () =>
        {
            await _table.CreateIfNotExistsAsync(cancellation).ConfigureAwait(false);
            return true;
        },
        Classify, cancellation);

    /// <inheritdoc/>
    public Task<StoredDocument> ReadAsync(string document, CancellationToken cancellation) => StoreRequest.TryAsync(
        async () =>
        {
            TableEntity? entity = await LookAsync(document, cancellation).ConfigureAwait(false);
            return entity is null ? default : new StoredDocument(VersionOf(entity), Join(entity));
        },
        Classify, cancellation);

    /// <inheritdoc/>
    public Task<bool> TryWriteAsync(string document, long expected, ReadOnlyMemory<byte> bytes, CancellationToken cancellation)
    {
        if (bytes.Length > MaxBytes)
            throw new ArgumentException($"A document in Azure Tables has at most {MaxBytes} bytes, and this one has {bytes.Length}.", nameof(bytes));
        // The write has an identity, so one whose answer was lost can be made again, and finds itself there.
        string writer = Guid.NewGuid().ToString("n");
        byte[] copy = bytes.ToArray();
        bool mayBeWritten = false;
        return StoreRequest.TryAsync(
            async () =>
            {
                while (true)
                {
                    TableEntity? now = await LookAsync(document, cancellation).ConfigureAwait(false);
                    string[] writers = (now?.GetString(Writers) ?? "").Split(' ', StringSplitOptions.RemoveEmptyEntries);
                    long version = now is null ? 0 : VersionOf(now);
                    if (mayBeWritten && writers.Contains(writer)) return true;
                    if (mayBeWritten && version - expected > StoreRequest.RememberedWriters) throw StoreRequest.Forgotten();
                    if (version != expected) return false;
                    TableEntity next = Entity(document, expected + 1, copy, [.. writers.TakeLast(StoreRequest.RememberedWriters - 1), writer]);
                    mayBeWritten = true;
                    try
                    {
                        if (now is null) await _table.AddEntityAsync(next, cancellation).ConfigureAwait(false);
                        else await _table.UpdateEntityAsync(next, now.ETag, TableUpdateMode.Replace, cancellation).ConfigureAwait(false);
                        return true;
                    }
                    catch (RequestFailedException e) when (e.Status is 409 or 412)
                    {
                        // Someone was faster, or an earlier attempt of the client library's own has come through.
                    }
                }
            },
            Classify, cancellation);
    }

    /// <inheritdoc/>
    public ValueTask DisposeAsync() => default;

    /// <summary>
    /// What has no / \ # ? or control characters, which a key must not have: all but letters, digits, '-' and '.' become
    /// their numbers.
    /// </summary>
    private static string Key(string text)
    {
        var key = new StringBuilder();
        foreach (char letter in text)
        {
            if (char.IsAsciiLetterOrDigit(letter) || letter is '-' or '.') key.Append(letter);
            else key.Append(CultureInfo.InvariantCulture, $"_{(int)letter:x4}");
        }
        return key.ToString();
    }

    private static bool? Classify(Exception e) => e switch
    {
        RequestFailedException { Status: >= 400 and < 500 and not (408 or 429) } => false,
        RequestFailedException or AggregateException or IOException or TaskCanceledException => true,
        _ => null,
    };

    private static long VersionOf(TableEntity entity) => entity.GetInt64(Version)!.Value;

    private static byte[] Join(TableEntity entity)
    {
        using var joined = new MemoryStream();
        for (int part = 0; part < entity.GetInt32(Parts)!.Value; part++) joined.Write(entity.GetBinary($"Part{part}"));
        return joined.ToArray();
    }

    private async Task<TableEntity?> LookAsync(string document, CancellationToken cancellation)
    {
        NullableResponse<TableEntity> found =
            await _table.GetEntityIfExistsAsync<TableEntity>(_cluster, Key(document), cancellationToken: cancellation).ConfigureAwait(false);
        return found.HasValue ? found.Value : null;
    }

    private TableEntity Entity(string document, long version, byte[] bytes, string[] writers)
    {
        int parts = (bytes.Length + PartBytes - 1) / PartBytes;
        var entity = new TableEntity(_cluster, Key(document)) { [Version] = version, [Writers] = string.Join(' ', writers), [Parts] = parts };
        for (int part = 0; part < parts; part++)
            entity[$"Part{part}"] = bytes[(part * PartBytes)..Math.Min(bytes.Length, (part + 1) * PartBytes)];
        return entity;
    }
}
