using OrleansRedis.Cluster;
using OrleansRedis.Tests.Harness;
using Xunit;

namespace OrleansRedis.Tests.Simulation;

/// <summary>Who is to own which slot, over random histories of members that come, go, leave in order and change weight.</summary>
public sealed class SlotPlannerTests
{
    [Fact]
    public void Slots_are_shared_by_weight_and_no_more_of_them_move_than_must()
    {
        Random random = TestSeed.Random();
        for (int history = 0; history < 12; history++)
        {
            int slots = history % 4 == 0 ? SlotMap.RedisSlots : random.Next(1, 500);
            SlotMap map = SlotMap.Empty(slots);
            List<Member> members = [];
            for (int step = 0, node = 1; step < 30; step++)
            {
                Change(random, members, ref node);
                IReadOnlyList<PlannedMove> plan = SlotPlanner.Balance(map, members);
                Assert.Equal(plan, SlotPlanner.Balance(map, [.. members.OrderBy(_ => random.Next())]));
                Assert.Equal(plan.Count, plan.DistinctBy(move => move.Slot).Count());
                if (members.All(member => member.EffectiveWeight == 0))
                {
                    Assert.Empty(plan);
                    continue;
                }
                Assert.Equal(FewestMoves(map, members), plan.Count);
                map = map.With(step, plan.Select(move => KeyValuePair.Create(move.Slot, map[move.Slot].OwnedBy(move.To))));
                long total = members.Sum(member => member.EffectiveWeight);
                foreach (Member member in members)
                {
                    long share = slots * member.EffectiveWeight / total, rest = slots * member.EffectiveWeight % total;
                    Assert.InRange(Enumerable.Range(0, slots).Count(slot => map[slot].Owner == member.Id), share, share + (rest > 0 ? 1 : 0));
                }
                Assert.Empty(SlotPlanner.Balance(map, members));
            }
        }
    }

    [Fact]
    public void A_slot_under_way_counts_for_its_target()
    {
        Member[] members = [new(new(1, 1), "a"), new(new(2, 1), "b")];
        SlotMap map = SlotMap.Empty(4);
        map = map.With(1, Enumerable.Range(0, 4).Select(slot => KeyValuePair.Create(slot, new SlotEntry(members[0].Id, 1))));
        map = map.With(1, Enumerable.Range(0, 2).Select(slot => KeyValuePair.Create(slot, map[slot].MovingTo(members[1].Id, 2))));
        Assert.Empty(SlotPlanner.Balance(map, members));
        Assert.Equal<PlannedMove>([new(0, members[0].Id), new(1, members[0].Id)], SlotPlanner.Balance(map, members[..1]));
    }

    [Fact]
    public void A_silo_that_leaves_keeps_nothing_and_the_others_keep_what_they_have()
    {
        Member[] members = [.. Enumerable.Range(1, 5).Select(node => new Member(new(node, 1), "", node * 10))];
        SlotMap map = Balanced(SlotMap.Empty(), members);
        members[2] = members[2] with { IsLeaving = true };
        Assert.All(SlotPlanner.Balance(map, members), move => Assert.Equal(members[2].Id, map[move.Slot].Owner));
        Assert.DoesNotContain(members[2].Id, Owners(Balanced(map, members)));
    }

    [Fact]
    public void MOVE_names_the_slots_that_are_not_there_yet()
    {
        Member[] members = [new(new(1, 1), "a"), new(new(2, 1), "b")];
        SlotMap map = Balanced(SlotMap.Empty(10), members);
        Assert.Equal([2, 3, 4], SlotPlanner.Move(map, 2, 7, members[1].Id).Select(move => move.Slot));
    }

    [Fact]
    public void Only_replicas_in_sync_succeed_an_owner_and_without_replicas_whoever_has_most_room()
    {
        SiloId a = new(1, 1), b = new(2, 1), c = new(3, 1), gone = new(9, 1);
        Member[] members = [new(a, ""), new(b, ""), new(c, "")];
        SlotMap map = SlotMap.Empty(6).With(1,
        [
            new(0, new(gone, 1, replicas: [new(a, false), new(b, true)])),
            new(1, new(gone, 1, replicas: [new(a, false), new(gone, true)])),
            new(2, new(gone, 1)),
            new(3, new(a, 1)), new(4, new(a, 1)), new(5, new(b, 1)),
        ]);
        Assert.Equal<PlannedMove>([new(0, b), new(2, c)], SlotPlanner.Successors(map, members, [0, 1, 2], fromReplicas: true));
        Assert.Equal<PlannedMove>([new(0, c), new(1, b), new(2, c)], SlotPlanner.Successors(map, members, [0, 1, 2], fromReplicas: false));
    }

    [Fact]
    public void Replicas_are_on_other_silos_in_other_zones_by_weight_and_stay_where_they_are()
    {
        Random random = TestSeed.Random();
        for (int history = 0; history < 20; history++)
        {
            int copies = random.Next(1, 4);
            List<Member> members = [];
            SlotMap map = SlotMap.Empty(100);
            for (int step = 0, node = 1; step < 20; step++)
            {
                Change(random, members, ref node);
                map = Balanced(map, members);
                IReadOnlyList<IReadOnlyList<SiloId>> plan = ReplicaPlanner.Plan(map, members, copies);
                Member[] able = [.. members.Where(member => member.EffectiveWeight > 0)];
                foreach (int slot in Enumerable.Range(0, map.Count).Where(slot => !map[slot].Owner.IsNone && able.Length > 0))
                {
                    SiloId owner = map[slot].Owner;
                    Assert.Equal(Math.Min(copies, able.Count(member => member.Id != owner)), plan[slot].Count);
                    Assert.Equal(plan[slot].Count, plan[slot].Distinct().Count());
                    Assert.DoesNotContain(owner, plan[slot]);
                    Assert.All(plan[slot], silo => Assert.Contains(able, member => member.Id == silo));
                    string? ownersZone = members.Find(member => member.Id == owner)?.Zone;
                    int zones = able.Select(member => member.Zone).Where(zone => zone != ownersZone).Distinct().Count();
                    IEnumerable<string> taken = plan[slot].Select(silo => able.First(member => member.Id == silo).Zone).Where(zone => zone != ownersZone);
                    Assert.Equal(Math.Min(plan[slot].Count, zones), taken.Distinct().Count());
                }
                map = WithReplicas(map, plan);
            }
        }
    }

    [Fact]
    public void Replicas_of_a_steady_cluster_do_not_move_and_one_who_joins_gets_its_share()
    {
        List<Member> members = [.. Enumerable.Range(1, 9).Select(node => new Member(new(node, 1), "", 100, $"zone{node % 3}"))];
        SlotMap map = Balanced(SlotMap.Empty(2000), members);
        map = WithReplicas(map, ReplicaPlanner.Plan(map, members, 1));
        Assert.Equal(ReplicasOf(map), ReplicaPlanner.Plan(map, members, 1));
        members.Add(new(new(10, 1), "", 100, "zone1"));
        map = Balanced(map, members);
        IReadOnlyList<IReadOnlyList<SiloId>> plan = ReplicaPlanner.Plan(map, members, 1);
        Assert.InRange(plan.Count(silos => silos[0] == members[9].Id), map.Count / 10 * 9 / 10, map.Count / 10 * 11 / 10);
        Assert.InRange(plan.Zip(ReplicasOf(map)).Count(pair => !pair.First.SequenceEqual(pair.Second)), map.Count / 12, map.Count / 5);
    }

    private static IEnumerable<IReadOnlyList<SiloId>> ReplicasOf(SlotMap map) =>
        Enumerable.Range(0, map.Count).Select(slot => map[slot].Replicas.Select(replica => replica.Silo).ToArray());

    private static SlotMap WithReplicas(SlotMap map, IReadOnlyList<IReadOnlyList<SiloId>> plan) =>
        map.With(1, plan.Select((silos, slot) => KeyValuePair.Create(slot, map[slot].WithReplicas([.. silos.Select(silo => new Replica(silo, true))]))));

    private static IEnumerable<SiloId> Owners(SlotMap map) => Enumerable.Range(0, map.Count).Select(slot => map[slot].Owner);

    private static SlotMap Balanced(SlotMap map, IReadOnlyCollection<Member> members) =>
        map.With(1, SlotPlanner.Balance(map, members).Select(move => KeyValuePair.Create(
            move.Slot, map[move.Slot].OwnedBy(move.To, [.. map[move.Slot].Replicas.Where(replica => replica.Silo != move.To)]))));

    private static void Change(Random random, List<Member> members, ref int node)
    {
        for (int changes = random.Next(1, 4); changes > 0; changes--)
        {
            int choice = random.Next(6), which = members.Count == 0 ? 0 : random.Next(members.Count);
            int weight = random.Next(4) == 0 ? random.Next(300) : 100;
            if (members.Count == 0 || choice < 2) members.Add(new(new(node++, 1), "", weight, $"zone{random.Next(3)}"));
            else if (choice == 2) members.RemoveAt(which);
            else if (choice == 3) members[which] = members[which] with { Weight = weight };
            else if (choice == 4) members[which] = members[which] with { IsLeaving = !members[which].IsLeaving };
            else members[which] = members[which] with { Id = members[which].Id with { Incarnation = members[which].Id.Incarnation + 1 } };
        }
    }

    /// <summary>
    /// By another way than the planner's: a silo that has more than its share rounded down may keep one slot more, as
    /// long as there are such to give out; every other slot beyond the share has to go.
    /// </summary>
    private static int FewestMoves(SlotMap map, List<Member> members)
    {
        long total = members.Sum(member => member.EffectiveWeight);
        long spare = map.Count - members.Sum(member => map.Count * member.EffectiveWeight / total);
        int stay = 0;
        foreach (Member member in members)
        {
            long share = map.Count * member.EffectiveWeight / total, held = Owners(map).Count(owner => owner == member.Id);
            bool keepsOneMore = held > share && spare > 0 && map.Count * member.EffectiveWeight % total > 0;
            if (keepsOneMore) spare--;
            stay += (int)Math.Min(held, share + (keepsOneMore ? 1 : 0));
        }
        return map.Count - stay;
    }
}
