namespace Orleans.Runtime;

/// <summary>What silos ask the owner of a part of the grain directory. Each question says which version of the membership the asker knows; the owner makes
/// sure that it knows that one too.</summary>
internal interface IDirectoryPartition : ISystemTarget
{
    /// <summary>Registers an activation, unless the grain has another; <paramref name="previous"/> may be replaced. The answer has the grain's activation.</summary>
    Task<DirectoryAnswer> Register(GrainAddress address, GrainAddress? previous, MembershipVersion seen);

    /// <summary>The grain's activation, if it has one.</summary>
    Task<DirectoryAnswer> Lookup(GrainId grainId, MembershipVersion seen);

    /// <summary>Removes an activation, if it is the one registered.</summary>
    Task<DirectoryAnswer> Unregister(GrainAddress address, MembershipVersion seen);

    /// <summary>The activations registered by the silo asked whose hashes are in the ranges. Once it has answered, that silo trusts no registration made before <paramref name="version"/>.</summary>
    Task<List<ListedActivation>> ListActivations(MembershipVersion version, List<HashRange> ranges);
}

/// <summary>An owner's answer.</summary>
/// <param name="IsOwner">False when the silo asked doesn't own that part of the directory; the rest then only says what it knows.</param>
/// <param name="Version">The version of the membership at which it answered.</param>
/// <param name="Address">The grain's activation.</param>
[GenerateSerializer, Immutable]
internal sealed record DirectoryAnswer([property: Id(0)] bool IsOwner, [property: Id(1)] MembershipVersion Version, [property: Id(2)] GrainAddress? Address);

/// <summary>An activation as its silo lists it.</summary>
/// <param name="Address">Where it is.</param>
/// <param name="IsLeaving">Whether it is on its way to another silo, so that another listing of the grain is the right one.</param>
[GenerateSerializer, Immutable]
internal sealed record ListedActivation([property: Id(0)] GrainAddress Address, [property: Id(1)] bool IsLeaving);
