using System.Globalization;
using Orleans.Runtime;

namespace Orleans;

/// <summary>The table that says who is in the cluster. Each write of a row is also a write of the table's version, and fails when either has changed since it was read.</summary>
public interface IMembershipTable
{
    /// <summary>Prepares the table; creates its version row if wanted and not there.</summary>
    Task InitializeMembershipTable(bool tryInitTableVersion);

    /// <summary>Deletes the cluster's rows.</summary>
    Task DeleteMembershipTableEntries(string clusterId);

    /// <summary>Deletes the rows of dead silos last alive before <paramref name="beforeDate"/>.</summary>
    Task CleanupDefunctSiloEntries(DateTimeOffset beforeDate);

    /// <summary>Reads one row and the version.</summary>
    Task<MembershipTableData> ReadRow(SiloAddress key);

    /// <summary>Reads everything at once.</summary>
    Task<MembershipTableData> ReadAll();

    /// <summary>Inserts a row if it is not there and the version's etag still holds.</summary>
    Task<bool> InsertRow(MembershipEntry entry, TableVersion tableVersion);

    /// <summary>Updates a row if both etags still hold.</summary>
    Task<bool> UpdateRow(MembershipEntry entry, string etag, TableVersion tableVersion);

    /// <summary>Updates nothing but <see cref="MembershipEntry.IAmAliveTime"/>, whatever the etags.</summary>
    Task UpdateIAmAlive(MembershipEntry entry);
}

/// <summary>The version of a membership table.</summary>
[GenerateSerializer, Immutable]
public sealed class TableVersion(int version, string eTag) : IEquatable<TableVersion>
{
    /// <summary>The number.</summary>
    [Id(0)]
    public int Version { get; } = version;

    /// <summary>The etag of the version row as it was read.</summary>
    [Id(1)]
    public string VersionEtag { get; } = eTag;

    /// <summary>The version to write next, conditional on the etag of this one.</summary>
    public TableVersion Next() => new(Version + 1, VersionEtag);

    /// <inheritdoc/>
    public bool Equals(TableVersion? other) => other is not null && Version == other.Version && VersionEtag == other.VersionEtag;

    /// <inheritdoc/>
    public override bool Equals(object? obj) => Equals(obj as TableVersion);

    /// <inheritdoc/>
    public override int GetHashCode() => HashCode.Combine(Version, VersionEtag);

    /// <inheritdoc/>
    public override string ToString() => $"<{Version}, {VersionEtag}>";
}

/// <summary>A membership table as read at one version.</summary>
[GenerateSerializer]
public sealed class MembershipTableData
{
    /// <summary>With all rows.</summary>
    public MembershipTableData(List<Tuple<MembershipEntry, string>> list, TableVersion version) => (Members, Version) = (list, version);

    /// <summary>With one row.</summary>
    public MembershipTableData(Tuple<MembershipEntry, string> tuple, TableVersion version) : this([tuple], version) { }

    /// <summary>Without rows.</summary>
    public MembershipTableData(TableVersion version) : this([], version) { }

    /// <summary>The rows and their etags.</summary>
    [Id(0)]
    public IReadOnlyList<Tuple<MembershipEntry, string>> Members { get; private set; }

    /// <summary>The version.</summary>
    [Id(1)]
    public TableVersion Version { get; private set; }

    /// <summary>The row of <paramref name="silo"/>, if there is one.</summary>
    public Tuple<MembershipEntry, string>? TryGet(SiloAddress silo)
    {
        foreach (Tuple<MembershipEntry, string> row in Members)
        {
            if (row.Item1.SiloAddress.Equals(silo)) return row;
        }

        return null;
    }

    /// <summary>The table without the dead lives of endpoints that have a later life.</summary>
    public MembershipTableData WithoutDuplicateDeads() => new(
        [.. Members.Where(row => row.Item1.Status != SiloStatus.Dead || !Members.Any(other => other.Item1.SiloAddress.IsSuccessorOf(row.Item1.SiloAddress)))], Version);

    /// <inheritdoc/>
    public override string ToString() => $"{Members.Count} silos, Version={Version}: {string.Join(", ", Members.Select(row => row.Item1))}";
}

/// <summary>A row of a membership table.</summary>
[GenerateSerializer]
public sealed class MembershipEntry
{
    /// <summary>The silo.</summary>
    [Id(0)]
    public required SiloAddress SiloAddress { get; set; }

    /// <summary>Its status.</summary>
    [Id(1)]
    public SiloStatus Status { get; set; }

    /// <summary>Who suspects it, and since when.</summary>
    [Id(2)]
    public List<Tuple<SiloAddress, DateTime>>? SuspectTimes { get; set; }

    /// <summary>The port of its gateway; 0 without one.</summary>
    [Id(3)]
    public int ProxyPort { get; set; }

    /// <summary>The machine's name.</summary>
    [Id(4)]
    public string HostName { get; set; } = "";

    /// <summary>The silo's name.</summary>
    [Id(5)]
    public string SiloName { get; set; } = "";

    /// <summary>The role's name.</summary>
    [Id(6)]
    public string? RoleName { get; set; }

    /// <summary>The update zone.</summary>
    [Id(7)]
    public int UpdateZone { get; set; }

    /// <summary>The fault zone.</summary>
    [Id(8)]
    public int FaultZone { get; set; }

    /// <summary>When it started, UTC.</summary>
    [Id(9)]
    public DateTime StartTime { get; set; }

    /// <summary>When it last said that it is alive, UTC.</summary>
    [Id(10)]
    public DateTime IAmAliveTime { get; set; }

    internal DateTime EffectiveIAmAliveTime => StartTime > IAmAliveTime ? StartTime : IAmAliveTime;

    /// <summary>Adds a vote.</summary>
    public void AddSuspector(SiloAddress suspectingSilo, DateTime suspectingTime) => (SuspectTimes ??= []).Add(Tuple.Create(suspectingSilo, suspectingTime));

    /// <summary>Adds a vote, or renews the silo's earlier one; keeps the latest <paramref name="maxVotes"/>.</summary>
    public void AddOrUpdateSuspector(SiloAddress localSilo, DateTime voteTime, int maxVotes)
    {
        SuspectTimes ??= [];
        SuspectTimes.RemoveAll(vote => vote.Item1.Equals(localSilo));
        SuspectTimes.Add(Tuple.Create(localSilo, voteTime));
        SuspectTimes.Sort(static (a, b) => a.Item2.CompareTo(b.Item2));
        if (SuspectTimes.Count > maxVotes) SuspectTimes.RemoveRange(0, SuspectTimes.Count - maxVotes);
    }

    internal int CountFreshVotes(DateTime now, TimeSpan expiration) =>
        SuspectTimes?.Count(vote => now - vote.Item2 < expiration) ?? 0;

    internal MembershipEntry Copy()
    {
        var copy = (MembershipEntry)MemberwiseClone();
        copy.SuspectTimes = SuspectTimes is null ? null : [.. SuspectTimes];
        return copy;
    }

    /// <inheritdoc/>
    public override string ToString() => $"{SiloAddress}/{SiloName}/{Status}";

    /// <summary>Everything about the row.</summary>
    public string ToFullString() => string.Create(CultureInfo.InvariantCulture,
        $"{this} ProxyPort={ProxyPort} HostName={HostName} StartTime={StartTime:O} IAmAliveTime={IAmAliveTime:O} Suspecters=[{string.Join(", ", SuspectTimes ?? [])}]");
}
