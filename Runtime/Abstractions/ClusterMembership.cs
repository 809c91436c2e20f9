using System.Collections.Immutable;

namespace Orleans.Runtime;

/// <summary>What a silo is up to.</summary>
[GenerateSerializer]
public enum SiloStatus
{
    /// <summary>Not known.</summary>
    None,

    /// <summary>It exists.</summary>
    Created,

    /// <summary>It is on its way in.</summary>
    Joining,

    /// <summary>It is part of the cluster.</summary>
    Active,

    /// <summary>It is on its way out, in order.</summary>
    ShuttingDown,

    /// <summary>It is on its way out, at once.</summary>
    Stopping,

    /// <summary>It has left or was declared dead, for good.</summary>
    Dead,
}

/// <summary>Questions about <see cref="SiloStatus"/>.</summary>
public static class SiloStatusExtensions
{
    /// <summary>Whether the silo is on its way out or gone.</summary>
    public static bool IsTerminating(this SiloStatus siloStatus) => siloStatus is SiloStatus.ShuttingDown or SiloStatus.Stopping or SiloStatus.Dead;
}

/// <summary>One silo of the cluster.</summary>
[GenerateSerializer, Immutable]
public sealed class ClusterMember(SiloAddress siloAddress, SiloStatus status, string name) : IEquatable<ClusterMember>
{
    /// <summary>The silo.</summary>
    [Id(0)]
    public SiloAddress SiloAddress { get; } = siloAddress ?? throw new ArgumentNullException(nameof(siloAddress));

    /// <summary>Its status.</summary>
    [Id(1)]
    public SiloStatus Status { get; } = status;

    /// <summary>Its name.</summary>
    [Id(2)]
    public string Name { get; } = name ?? throw new ArgumentNullException(nameof(name));

    /// <inheritdoc/>
    public bool Equals(ClusterMember? other) => other is not null && SiloAddress.Equals(other.SiloAddress) && Status == other.Status && Name == other.Name;

    /// <inheritdoc/>
    public override bool Equals(object? obj) => Equals(obj as ClusterMember);

    /// <inheritdoc/>
    public override int GetHashCode() => SiloAddress.GetHashCode();

    /// <inheritdoc/>
    public override string ToString() => $"{SiloAddress}/{Name}/{Status}";
}

/// <summary>The cluster as of one version of its membership.</summary>
[GenerateSerializer, Immutable]
public sealed class ClusterMembershipSnapshot(ImmutableDictionary<SiloAddress, ClusterMember> members, MembershipVersion version)
{
    /// <summary>The silos, the dead ones too as long as the table has them.</summary>
    [Id(0)]
    public ImmutableDictionary<SiloAddress, ClusterMember> Members { get; } = members;

    /// <summary>The version.</summary>
    [Id(1)]
    public MembershipVersion Version { get; } = version;

    /// <summary>The status of <paramref name="silo"/>: dead, too, when a later life of it is known.</summary>
    public SiloStatus GetSiloStatus(SiloAddress silo)
    {
        if (Members.TryGetValue(silo, out ClusterMember? member)) return member.Status;
        foreach ((SiloAddress other, _) in Members)
        {
            if (other.IsSuccessorOf(silo)) return SiloStatus.Dead;
        }

        return SiloStatus.None;
    }

    /// <summary>The status of <paramref name="silo"/>: dead, too, when it was seen at a version before this and is known no more.</summary>
    public SiloStatus GetSiloStatus(SiloAddress silo, MembershipVersion seenAtVersion)
    {
        SiloStatus status = GetSiloStatus(silo);
        return status == SiloStatus.None && Version > seenAtVersion ? SiloStatus.Dead : status;
    }

    /// <summary>This snapshot, with every member as a change.</summary>
    public ClusterMembershipUpdate AsUpdate() => new(this, [.. Members.Values]);

    /// <summary>This snapshot, with what has changed since <paramref name="previous"/>.</summary>
    public ClusterMembershipUpdate CreateUpdate(ClusterMembershipSnapshot previous)
    {
        ImmutableArray<ClusterMember>.Builder changes = ImmutableArray.CreateBuilder<ClusterMember>();
        foreach ((SiloAddress silo, ClusterMember member) in Members)
        {
            if (!previous.Members.TryGetValue(silo, out ClusterMember? before) || before.Status != member.Status)
                changes.Add(member);
        }

        foreach ((SiloAddress silo, ClusterMember before) in previous.Members)
        {
            if (!Members.ContainsKey(silo) && before.Status != SiloStatus.Dead)
                changes.Add(new ClusterMember(silo, SiloStatus.Dead, before.Name));
        }

        return new ClusterMembershipUpdate(this, changes.ToImmutable());
    }

    /// <inheritdoc/>
    public override string ToString() => $"[Version: {Version}, {Members.Count} silos: {string.Join(", ", Members.Values)}]";
}

/// <summary>A snapshot and what has changed.</summary>
[GenerateSerializer, Immutable]
public sealed class ClusterMembershipUpdate(ClusterMembershipSnapshot snapshot, ImmutableArray<ClusterMember> changes)
{
    /// <summary>The members that have changed, as they are now.</summary>
    [Id(0)]
    public ImmutableArray<ClusterMember> Changes { get; } = changes;

    /// <summary>The cluster now.</summary>
    [Id(1)]
    public ClusterMembershipSnapshot Snapshot { get; } = snapshot;

    /// <summary>Whether anything has changed.</summary>
    public bool HasChanges => !Changes.IsDefaultOrEmpty;
}

/// <summary>Who is in the cluster.</summary>
public interface IClusterMembershipService
{
    /// <summary>The cluster as this silo knows it.</summary>
    ClusterMembershipSnapshot CurrentSnapshot { get; }

    /// <summary>The cluster now, and each later version of it as this silo learns it. A slow reader skips versions.</summary>
    IAsyncEnumerable<ClusterMembershipSnapshot> MembershipUpdates { get; }

    /// <summary>Reads the table until at least that version is known; once, without one.</summary>
    ValueTask Refresh(MembershipVersion minimumVersion = default, CancellationToken cancellationToken = default);

    /// <summary>Declares <paramref name="siloAddress"/> dead.</summary>
    Task<bool> TryKill(SiloAddress siloAddress);
}

/// <summary>This silo.</summary>
public interface ILocalSiloDetails
{
    /// <summary>Its name.</summary>
    string Name { get; }

    /// <summary>The cluster's name.</summary>
    string ClusterId { get; }

    /// <summary>The machine's name.</summary>
    string DnsHostName { get; }

    /// <summary>Its address.</summary>
    SiloAddress SiloAddress { get; }

    /// <summary>Where its gateway listens, with the silo's generation; null without a gateway.</summary>
    SiloAddress? GatewayAddress { get; }
}

/// <summary>The statuses of silos, as this silo knows them.</summary>
public interface ISiloStatusOracle
{
    /// <summary>This silo's status.</summary>
    SiloStatus CurrentStatus { get; }

    /// <summary>This silo's name.</summary>
    string SiloName { get; }

    /// <summary>This silo.</summary>
    SiloAddress SiloAddress { get; }

    /// <summary>The active silos.</summary>
    SiloAddress[] GetActiveSilos();

    /// <summary>A silo's status.</summary>
    SiloStatus GetApproximateSiloStatus(SiloAddress siloAddress);

    /// <summary>The statuses of all silos, or of the active ones.</summary>
    Dictionary<SiloAddress, SiloStatus> GetApproximateSiloStatuses(bool onlyActive = false);

    /// <summary>A silo's name.</summary>
    bool TryGetSiloName(SiloAddress siloAddress, out string? siloName);

    /// <summary>Whether a silo can own a part of the directory.</summary>
    bool IsFunctionalDirectory(SiloAddress siloAddress);

    /// <summary>Whether a silo is dead.</summary>
    bool IsDeadSilo(SiloAddress silo);

    /// <summary>Tells <paramref name="observer"/> of each change.</summary>
    bool SubscribeToSiloStatusEvents(ISiloStatusListener observer);

    /// <summary>Ends that.</summary>
    bool UnSubscribeFromSiloStatusEvents(ISiloStatusListener observer);
}

/// <summary>Hears of changes of silos.</summary>
public interface ISiloStatusListener
{
    /// <summary>A silo has changed.</summary>
    void SiloStatusChangeNotification(SiloAddress updatedSilo, SiloStatus status);
}
