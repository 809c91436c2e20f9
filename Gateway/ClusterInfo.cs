using System.Globalization;
using OrleansRedis.Cluster;
using OrleansRedis.Engine;

namespace OrleansRedis.Gateway;

/// <summary>The fields of INFO cluster that a silo of several has.</summary>
internal static class ClusterInfo
{
    public static IEnumerable<(string Name, string Value)> Fields(IClusterOperations cluster, Store store)
    {
        ClusterView view = cluster.View;
        SlotMap map = cluster.Map;
        Dictionary<SiloId, int> slots = CountSlots(map);
        (int away, int coming) = cluster.Moving;
        int moving = 0, waiting = 0;
        for (int slot = 0; slot < map.Count; slot++)
        {
            if (!map[slot].Target.IsNone) moving++;
            if (!map[slot].Owner.IsNone && !view.Contains(map[slot].Owner)) waiting++;
        }
        yield return ("orleans_silo", cluster.Self.ToString());
        yield return ("orleans_keeper", cluster.Keeper.ToString());
        yield return ("orleans_lease", cluster.HoldsLease ? "held" : "lost");
        foreach ((string name, long value) in ((string, long)[])
        [
            ("view", view.Version), ("silos", view.Members.Count), ("slot_map", map.Version), ("slots_assigned", slots.Values.Sum()),
            ("slots_owned", slots.GetValueOrDefault(cluster.Self)), ("slots_open", store.Slots.PublishedCount), ("slots_moving", moving),
            ("slots_waiting_for_silos", waiting), ("slots_copied_away", away), ("slots_arriving", coming),
        ])
        {
            yield return ("orleans_" + name, value.ToString(CultureInfo.InvariantCulture));
        }
        int number = 0;
        foreach (Member member in view.Members)
        {
            string redis = SiloEndpoints.Parse(member.Endpoint)?.Redis?.ToString() ?? "", state = member.IsLeaving ? "leaving" : "active";
            yield return (
                $"orleans_silo{number++}", $"id={member.Id},redis={redis},slots={slots.GetValueOrDefault(member.Id)},weight={member.Weight},state={state}");
        }
    }

    /// <summary>How many slots each silo owns.</summary>
    public static Dictionary<SiloId, int> CountSlots(SlotMap map)
    {
        var counts = new Dictionary<SiloId, int>();
        for (int slot = 0; slot < map.Count; slot++)
        {
            if (!map[slot].Owner.IsNone) counts[map[slot].Owner] = counts.GetValueOrDefault(map[slot].Owner) + 1;
        }
        return counts;
    }
}
