using OrleansRedis.Cluster;

namespace OrleansRedis.Grains.Clustering;

/// <summary>
/// The cluster's slot map as Orleans asks for it: a slot's owner by the address of its Orleans silo, which the view
/// tells. Null for a slot without an owner, and for an owner whose Orleans silo does not run.
/// </summary>
public sealed class ClusterSlotMap(IClusterState cluster) : ISlotMap
{
    // Of the view for which it was made; replaced, never changed.
    private volatile Addresses _addresses = new(ClusterView.Empty);

    /// <inheritdoc/>
    public SlotLocation? OwnerOf(int slot)
    {
        ClusterView view = cluster.View;
        Addresses addresses = _addresses;
        if (addresses.View != view) _addresses = addresses = new(view);
        SlotEntry entry = cluster.Map[slot];
        return addresses.BySilo.TryGetValue(entry.Owner, out SiloAddress? address) ? new(address, entry.Epoch) : null;
    }

    /// <summary>The address of a silo's Orleans silo; null if it has told none.</summary>
    public static SiloAddress? AddressOf(Member member)
    {
        if (SiloEndpoints.Parse(member.Endpoint)?.Orleans is not { } text) return null;
        try
        {
            return SiloAddress.FromParsableString(text);
        }
        catch (FormatException)
        {
            return null;
        }
    }

    private sealed class Addresses(ClusterView view)
    {
        public ClusterView View { get; } = view;

        public Dictionary<SiloId, SiloAddress> BySilo { get; } = (
            from member in view.Members
            let address = AddressOf(member)
            where address is not null
            select (member.Id, address)).ToDictionary(pair => pair.Id, pair => pair.address);
    }
}
