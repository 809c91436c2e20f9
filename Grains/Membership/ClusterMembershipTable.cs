using Microsoft.Extensions.Options;
using Orleans.Configuration;
using OrleansRedis.Cluster;

namespace OrleansRedis.Grains.Membership;

/// <summary>
/// Orleans's membership table in the cluster's store: one document, changed under compare-and-swap. What Orleans does
/// not have RoleName, UpdateZone and FaultZone for outside of Azure is not kept.
/// </summary>
internal sealed class ClusterMembershipTable(IClusterStore store, IOptions<ClusterOptions> cluster) : IMembershipTable
{
    private readonly string _document = DocumentOf(cluster.Value.ClusterId);

    /// <summary>The document that has the table of a cluster.</summary>
    public static string DocumentOf(string clusterId) => $"membership/{clusterId}";

    /// <inheritdoc/>
    public async Task InitializeMembershipTableAsync(bool tryInitTableVersion, CancellationToken cancellationToken = default)
    {
        // Only to learn whether the store answers: an empty table needs no document.
        if (tryInitTableVersion) await ReadAsync(_document, cancellationToken).ConfigureAwait(false);
    }

    /// <inheritdoc/>
    public Task DeleteMembershipTableEntriesAsync(string clusterId, CancellationToken cancellationToken = default) =>
        ChangeAsync(
            DocumentOf(clusterId),
            static table =>
            {
                if (table.Rows.Count == 0) return false;
                table.Rows.Clear();
                table.Version++;
                return true;
            },
            cancellationToken);

    /// <inheritdoc/>
    public Task CleanupDefunctSiloEntriesAsync(DateTimeOffset beforeDate, CancellationToken cancellationToken = default) =>
        ChangeAsync(
            _document,
            table => table.Rows.RemoveAll(row => row.Status != SiloStatus.Active && row.LastSign < beforeDate.UtcDateTime) > 0,
            cancellationToken);

    /// <inheritdoc/>
    public async Task<MembershipTableData> ReadRowAsync(SiloAddress key, CancellationToken cancellationToken = default)
    {
        MembershipDocument table = (await ReadAsync(_document, cancellationToken).ConfigureAwait(false)).Table;
        MembershipDocument.Row? wanted = table.Find(key);
        return table.ToTable(row => row == wanted);
    }

    /// <inheritdoc/>
    public async Task<MembershipTableData> ReadAllAsync(CancellationToken cancellationToken = default) =>
        (await ReadAsync(_document, cancellationToken).ConfigureAwait(false)).Table.ToTable(static _ => true);

    /// <inheritdoc/>
    public Task<bool> InsertRowAsync(MembershipEntry entry, TableVersion tableVersion, CancellationToken cancellationToken = default) =>
        ChangeAsync(
            _document,
            table =>
            {
                if (table.Find(entry.SiloAddress) is not null || table.TableVersion.VersionEtag != tableVersion.VersionEtag) return false;
                var row = new MembershipDocument.Row();
                row.Take(entry, ++table.Changes);
                table.Rows.Add(row);
                table.Version = tableVersion.Version;
                return true;
            },
            cancellationToken);

    /// <inheritdoc/>
    public Task<bool> UpdateRowAsync(MembershipEntry entry, string etag, TableVersion tableVersion, CancellationToken cancellationToken = default) =>
        ChangeAsync(
            _document,
            table =>
            {
                if (table.Find(entry.SiloAddress) is not { } row || row.ETag != etag) return false;
                if (table.TableVersion.VersionEtag != tableVersion.VersionEtag) return false;
                row.Take(entry, ++table.Changes);
                table.Version = tableVersion.Version;
                return true;
            },
            cancellationToken);

    /// <inheritdoc/>
    public Task UpdateIAmAliveAsync(MembershipEntry entry, CancellationToken cancellationToken = default) =>
        ChangeAsync(
            _document,
            table =>
            {
                DateTime alive = MembershipDocument.Row.Utc(entry.IAmAliveTime);
                if (table.Find(entry.SiloAddress) is not { } row || row.Alive >= alive) return false;
                row.Alive = alive;
                return true;
            },
            cancellationToken);

    // What Orleans called before version 10.4, and still asks for.

    Task IMembershipTable.InitializeMembershipTable(bool tryInitTableVersion) => InitializeMembershipTableAsync(tryInitTableVersion);

    Task IMembershipTable.DeleteMembershipTableEntries(string clusterId) => DeleteMembershipTableEntriesAsync(clusterId);

    Task IMembershipTable.CleanupDefunctSiloEntries(DateTimeOffset beforeDate) => CleanupDefunctSiloEntriesAsync(beforeDate);

    Task<MembershipTableData> IMembershipTable.ReadRow(SiloAddress key) => ReadRowAsync(key);

    Task<MembershipTableData> IMembershipTable.ReadAll() => ReadAllAsync();

    Task<bool> IMembershipTable.InsertRow(MembershipEntry entry, TableVersion tableVersion) => InsertRowAsync(entry, tableVersion);

    Task<bool> IMembershipTable.UpdateRow(MembershipEntry entry, string etag, TableVersion tableVersion) => UpdateRowAsync(entry, etag, tableVersion);

    Task IMembershipTable.UpdateIAmAlive(MembershipEntry entry) => UpdateIAmAliveAsync(entry);

    private async Task<(MembershipDocument Table, long Version)> ReadAsync(string document, CancellationToken cancellation)
    {
        StoredDocument read = await store.ReadAsync(document, cancellation).ConfigureAwait(false);
        return (MembershipDocument.Parse(read.Bytes.Span), read.Version);
    }

    /// <summary>Changes the newest version of a document, if the change wants to. Whether it did.</summary>
    /// <exception cref="ClusterStoreException">Nobody knows whether it did. Orleans reads the table again then.</exception>
    private async Task<bool> ChangeAsync(string document, Func<MembershipDocument, bool> change, CancellationToken cancellation)
    {
        while (true)
        {
            (MembershipDocument table, long version) = await ReadAsync(document, cancellation).ConfigureAwait(false);
            if (!change(table)) return false;
            if (await store.TryWriteAsync(document, version, table.Encode(), cancellation).ConfigureAwait(false)) return true;
        }
    }
}
