using Orleans.Runtime.Placement;

namespace Orleans.Runtime;

/// <summary>Picks silos for new activations, by asking the directors of their classes. Any thread.</summary>
internal sealed class PlacementService(SiloRuntime runtime) : IPlacementContext
{
    private static readonly Dictionary<string, object> NoContext = [];
    private ClusterMembershipSnapshot? _snapshot; // _active belongs to it; a race recomputes it at worst
    private SiloAddress[] _active = [];

    public SiloAddress LocalSilo => runtime.Silo;

    public SiloStatus LocalSiloStatus => runtime.Membership.LocalStatus;

    /// <summary>The active silos, in the same order on every silo.</summary>
    public SiloAddress[] ActiveSilos
    {
        get
        {
            ClusterMembershipSnapshot snapshot = runtime.Membership.CurrentSnapshot;
            if (ReferenceEquals(snapshot, _snapshot)) return _active;
            SiloAddress[] active = [.. snapshot.Members.Values.Where(member => member.Status == SiloStatus.Active).Select(member => member.SiloAddress).Order()];
            _active = active;
            _snapshot = snapshot;
            return active;
        }
    }

    public Task<SiloAddress> Pick(GrainClass grainClass, GrainId grainId, GrainInterfaceType interfaceType, Dictionary<string, object>? context) =>
        grainClass.Director.OnAddActivation(grainClass.Placement, new PlacementTarget(grainId, context ?? NoContext, interfaceType, 0), this);

    // Silos run the same classes: the cluster is upgraded by replacing silos, not by mixing roles.
    public SiloAddress[] GetCompatibleSilos(PlacementTarget target) => ActiveSilos is { Length: > 0 } active
        ? active
        : throw new OrleansException($"No active silos can host {target.GrainIdentity}");

    public IReadOnlyDictionary<ushort, SiloAddress[]> GetCompatibleSilosWithVersions(PlacementTarget target) => new Dictionary<ushort, SiloAddress[]> { [0] = GetCompatibleSilos(target) };
}
