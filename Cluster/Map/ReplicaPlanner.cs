namespace OrleansRedis.Cluster;

/// <summary>Decides which silos are to keep replicas of which slot.</summary>
public static class ReplicaPlanner
{
    /// <summary>
    /// The silos that are to keep replicas of each slot: as many as asked for, or as many as there are other members;
    /// never the owner; in zones of their own as far as there are enough; otherwise where they are already, and then by
    /// weight. What this names is not in sync until it has caught up: the replicas of the map are changed by whoever
    /// has made the new copies before it gives up the old ones.
    /// </summary>
    /// <returns>For each slot its replicas; empty for a slot without an owner.</returns>
    public static IReadOnlyList<IReadOnlyList<SiloId>> Plan(SlotMap map, IReadOnlyCollection<Member> members, int copies)
    {
        Member[] candidates = [.. members.Where(member => member.EffectiveWeight > 0).OrderBy(member => member.Id)];
        var zones = members.ToDictionary(member => member.Id, member => member.Zone);
        var load = candidates.ToDictionary(member => member.Id, _ => 0);
        var plan = new List<SiloId>[map.Count];

        // What stays comes first, so that what is new goes to where there is room after all.
        for (int slot = 0; slot < plan.Length; slot++)
        {
            SlotEntry entry = map[slot];
            plan[slot] = [];
            if (entry.Owner.IsNone) continue;
            foreach (Replica replica in entry.Replicas.OrderByDescending(replica => replica.IsInSync))
            {
                SiloId silo = replica.Silo;
                if (plan[slot].Count == copies || silo == entry.Heir || !load.ContainsKey(silo)) continue;
                if (SharesZone(zones, entry, plan[slot], silo)
                    && candidates.Any(other => other.Id != entry.Heir && !SharesZone(zones, entry, plan[slot], other.Id))) continue;
                plan[slot].Add(silo);
                load[silo]++;
            }
        }
        for (int slot = 0; slot < plan.Length; slot++)
        {
            while (!map[slot].Owner.IsNone && plan[slot].Count < copies && Best(map[slot], plan[slot]) is { } next)
            {
                plan[slot].Add(next.Id);
                load[next.Id]++;
            }
        }

        // A silo that has just come gets its share of what stays, too.
        long weights = candidates.Sum(member => member.EffectiveWeight), replicas = plan.Sum(silos => silos.Count);
        var shares = candidates.ToDictionary(member => member.Id, member => (double)replicas * member.EffectiveWeight / weights);
        for (int slot = 0; slot < plan.Length; slot++)
        {
            for (int i = 0; i < plan[slot].Count; i++)
            {
                SiloId silo = plan[slot][i];
                if (load[silo] - 1 < shares[silo]) continue;
                plan[slot].RemoveAt(i);
                bool shared = SharesZone(zones, map[slot], plan[slot], silo);
                Member? next = Best(map[slot], plan[slot]);
                bool isBetter = next is not null && load[next.Id] + 1 <= shares[next.Id] && (shared || !SharesZone(zones, map[slot], plan[slot], next.Id));
                plan[slot].Insert(i, isBetter ? next!.Id : silo);
                if (!isBetter) continue;
                load[silo]--;
                load[next!.Id]++;
            }
        }
        return plan;

        // By hand, not by a query: it looks at every member for every replica.
        Member? Best(SlotEntry entry, List<SiloId> others)
        {
            Member? best = null;
            (bool SharesZone, double Load) bestRank = default;
            foreach (Member member in candidates)
            {
                if (member.Id == entry.Heir || others.Contains(member.Id)) continue;
                (bool, double) rank = (SharesZone(zones, entry, others, member.Id), (load[member.Id] + 1.0) / member.Weight);
                if (best is null || rank.CompareTo(bestRank) < 0) (best, bestRank) = (member, rank);
            }
            return best;
        }
    }

    private static bool SharesZone(Dictionary<SiloId, string> zones, SlotEntry entry, List<SiloId> others, SiloId silo)
    {
        string zone = zones[silo];
        return (zones.TryGetValue(entry.Heir, out string? ownersZone) && ownersZone == zone) || others.Exists(other => zones[other] == zone);
    }
}
