using Orleans.Concurrency;

namespace Orleans.Runtime;

/// <summary>The membership table of a development cluster's primary silo, for the other silos.</summary>
internal interface IMembershipTableService : ISystemTarget
{
    Task<MembershipTableData> ReadRow(SiloAddress key);

    Task<MembershipTableData> ReadAll();

    Task<bool> InsertRow(MembershipEntry entry, TableVersion tableVersion);

    Task<bool> UpdateRow(MembershipEntry entry, string etag, TableVersion tableVersion);

    Task UpdateIAmAlive(MembershipEntry entry);

    Task CleanupDefunctSiloEntries(DateTimeOffset beforeDate);
}

/// <summary>Silos' questions and news about each other.</summary>
internal interface ISiloControl : ISystemTarget
{
    /// <summary>Answers, if alive, with the number of activations.</summary>
    Task<int> Probe();

    /// <summary>Probes <paramref name="target"/> on behalf of a silo that got no answer from it.</summary>
    Task<bool> ProbeIndirectly(SiloAddress target, TimeSpan timeout);

    /// <summary>The membership table has at least that version by now.</summary>
    [OneWay]
    Task MembershipChanged(MembershipVersion version);

    /// <summary>Takes over an activation; says which activation the grain has now.</summary>
    Task<GrainAddress> AcceptMigration(GrainAddress from, MigrationContext state);

    /// <summary>A silo that leaves has no activations any more: nothing must be sent to it. Once answered, all that was sent to it before is there.</summary>
    Task Emptied(SiloAddress leaving);

    /// <summary>Ends an activation whose grain is active elsewhere too.</summary>
    [OneWay]
    Task DropDuplicate(GrainAddress activation);

    /// <summary>Whether a client is connected to this silo's gateway.</summary>
    Task<bool> HasClient(GrainId client);
}

/// <summary>The primary's side of <see cref="IMembershipTableService"/>.</summary>
internal sealed class MembershipTableService(IMembershipTable table) : IMembershipTableService
{
    public Task<MembershipTableData> ReadRow(SiloAddress key) => table.ReadRow(key);

    public Task<MembershipTableData> ReadAll() => table.ReadAll();

    public Task<bool> InsertRow(MembershipEntry entry, TableVersion tableVersion) => table.InsertRow(entry, tableVersion);

    public Task<bool> UpdateRow(MembershipEntry entry, string etag, TableVersion tableVersion) => table.UpdateRow(entry, etag, tableVersion);

    public Task UpdateIAmAlive(MembershipEntry entry) => table.UpdateIAmAlive(entry);

    public Task CleanupDefunctSiloEntries(DateTimeOffset beforeDate) => table.CleanupDefunctSiloEntries(beforeDate);
}

/// <summary>The membership table of a development cluster: the primary's own, or the primary's over the network.</summary>
internal sealed class DevelopmentMembershipTable(SiloRuntime runtime, System.Net.IPEndPoint? primary) : IMembershipTable
{
    private readonly bool _isPrimary = primary is null || primary.Equals(runtime.Silo.Endpoint);
    private readonly InMemoryMembershipTable _own = new();
    private IMembershipTableService? _service;

    // Generation 0 stands for whichever life of the primary there is.
    private IMembershipTableService Service => _service ??= _isPrimary ? new MembershipTableService(_own) : runtime.SystemTarget<IMembershipTableService>(SiloAddress.New(primary!, 0));

    public Task InitializeMembershipTable(bool tryInitTableVersion)
    {
        if (_isPrimary) runtime.AddSystemTarget<IMembershipTableService>(new MembershipTableService(_own));
        return Task.CompletedTask;
    }

    public Task DeleteMembershipTableEntries(string clusterId) => _own.DeleteMembershipTableEntries(clusterId);

    public Task CleanupDefunctSiloEntries(DateTimeOffset beforeDate) => Service.CleanupDefunctSiloEntries(beforeDate);

    public Task<MembershipTableData> ReadRow(SiloAddress key) => Service.ReadRow(key);

    public Task<MembershipTableData> ReadAll() => Service.ReadAll();

    public Task<bool> InsertRow(MembershipEntry entry, TableVersion tableVersion) => Service.InsertRow(entry, tableVersion);

    public Task<bool> UpdateRow(MembershipEntry entry, string etag, TableVersion tableVersion) => Service.UpdateRow(entry, etag, tableVersion);

    public Task UpdateIAmAlive(MembershipEntry entry) => Service.UpdateIAmAlive(entry);
}
