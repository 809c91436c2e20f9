namespace OrleansRedis.Cluster;

/// <summary>A slot that is to get another owner.</summary>
public readonly record struct PlannedMove(int Slot, SiloId To);

/// <summary>
/// Decides who is to own which slot. The same map and the same members always give the same plan, whoever makes it.
/// </summary>
public static class SlotPlanner
{
    /// <summary>
    /// The moves after which every member has its share by weight, rounded up or down; as few as that takes. Slots
    /// whose owner (or the target of whose move) is no member are among them. Empty if nobody may have slots.
    /// </summary>
    public static IReadOnlyList<PlannedMove> Balance(SlotMap map, IReadOnlyCollection<Member> members)
    {
        var held = members.ToDictionary(member => member.Id, _ => 0);
        foreach (int slot in Enumerable.Range(0, map.Count)) Count(held, map[slot].Heir, 1);
        IReadOnlyDictionary<SiloId, int> quotas = Quotas(members, map.Count, held);
        if (quotas.Count == 0) return [];

        // From the end of the map, so that what a silo keeps is where it was, and what it gives away is in one piece.
        var homeless = new Stack<int>();
        for (int slot = map.Count - 1; slot >= 0; slot--)
        {
            SiloId heir = map[slot].Heir;
            if (!held.TryGetValue(heir, out int count)) homeless.Push(slot);
            else if (count > quotas[heir])
            {
                held[heir] = count - 1;
                homeless.Push(slot);
            }
        }
        var moves = new List<PlannedMove>(homeless.Count);
        foreach ((SiloId silo, int quota) in quotas.OrderBy(quota => quota.Key))
        {
            for (int missing = quota - held[silo]; missing > 0; missing--) moves.Add(new(homeless.Pop(), silo));
        }
        return moves;
    }

    /// <summary>The moves that bring a range of slots to one silo (SILO MOVE first last silo).</summary>
    public static IReadOnlyList<PlannedMove> Move(SlotMap map, int first, int last, SiloId silo) =>
        [.. from slot in Enumerable.Range(first, last - first + 1) where map[slot].Heir != silo select new PlannedMove(slot, silo)];

    /// <summary>
    /// Who takes slots over whose owner is gone: with <paramref name="fromReplicas"/> a replica in sync where the slot
    /// has replicas, and nobody if none of them is left; otherwise whoever is furthest below its share. Slots that
    /// nobody can take are not in the result.
    /// </summary>
    public static IReadOnlyList<PlannedMove> Successors(SlotMap map, IReadOnlyCollection<Member> members, IEnumerable<int> slots, bool fromReplicas)
    {
        var held = members.ToDictionary(member => member.Id, _ => 0);
        foreach (int slot in Enumerable.Range(0, map.Count)) Count(held, map[slot].Heir, 1);
        IReadOnlyDictionary<SiloId, int> quotas = Quotas(members, map.Count, held);
        var room = new PriorityQueue<SiloId, (int, SiloId)>();
        foreach ((SiloId silo, int quota) in quotas) room.Enqueue(silo, (held[silo] - quota, silo));

        var moves = new List<PlannedMove>();
        foreach (int slot in slots)
        {
            SiloId successor = SiloId.None;
            if (fromReplicas && map[slot].Replicas.Count > 0)
            {
                foreach (Replica replica in map[slot].Replicas)
                {
                    if (replica.IsInSync && held.TryGetValue(replica.Silo, out int count) && (successor.IsNone || count < held[successor]))
                        successor = replica.Silo;
                }
                if (successor.IsNone) continue;
                held[successor]++;
            }
            else
            {
                if (room.Count == 0) continue;
                successor = room.Dequeue();
                held[successor]++;
                room.Enqueue(successor, (held[successor] - quotas[successor], successor));
            }
            moves.Add(new(slot, successor));
        }
        return moves;
    }

    /// <summary>
    /// How many slots each member is to have: its share by weight, rounded so that all are given out. Who has more than
    /// its share already is rounded up first, as that saves a move; then who has the largest remainder.
    /// </summary>
    internal static IReadOnlyDictionary<SiloId, int> Quotas(IReadOnlyCollection<Member> members, int slots, IReadOnlyDictionary<SiloId, int> held)
    {
        var quotas = new Dictionary<SiloId, int>();
        long total = members.Sum(member => member.EffectiveWeight);
        if (total == 0) return quotas;
        foreach (Member member in members) quotas[member.Id] = (int)(slots * member.EffectiveWeight / total);
        IEnumerable<Member> favoured =
            from member in members
            where slots * member.EffectiveWeight % total > 0
            orderby held[member.Id] <= quotas[member.Id], slots * member.EffectiveWeight % total descending, member.Id
            select member;
        foreach (Member member in favoured.Take(slots - quotas.Values.Sum()).ToArray()) quotas[member.Id]++;
        return quotas;
    }

    private static void Count(Dictionary<SiloId, int> held, SiloId silo, int more)
    {
        if (held.TryGetValue(silo, out int count)) held[silo] = count + more;
    }
}
