namespace OrleansRedis.Cluster;

/// <summary>
/// Makes the next version of the slot map of the last one: every silo has one, and that of the keeper is asked. What it
/// makes is right whoever makes it, since it changes an owner only for one of the three reasons that
/// docs/architecture/cluster.md names, and all of them stay true once they are.
/// </summary>
internal sealed class MapKeeper(ClusterSettings options, Membership membership)
{
    private readonly Dictionary<int, SlotOffer> _offers = [];
    private readonly List<MoveRequest> _wishes = [];
    // With these there is nothing to do until something is offered or wished.
    private SlotMap? _quietMap;
    private ClusterView? _quietView;

    /// <summary>An owner has offered a slot.</summary>
    public void OnOffer(SlotOffer offer) => _offers[offer.Slot] = offer;

    /// <summary>An operator wishes slots to be moved.</summary>
    public void OnMoveRequest(MoveRequest request) => _wishes.Add(request);

    /// <summary>The map that should follow; the same one if nothing is to be changed.</summary>
    public SlotMap Next(SlotMap map, long now)
    {
        ClusterView view = membership.View;
        if (map == _quietMap && view == _quietView && _offers.Count == 0 && _wishes.Count == 0) return map;
        bool isQuiet = true;
        var changes = new Dictionary<int, SlotEntry>();
        var homeless = new List<int>();
        for (int slot = 0; slot < map.Count; slot++)
        {
            SlotEntry entry = map[slot];
            if (entry.Owner.IsNone) continue;
            if (!view.Contains(entry.Owner))
            {
                if (!membership.IsOver(entry.Owner, now))
                {
                    isQuiet = false;
                    continue;
                }
                if (view.MemberOf(entry.Owner.Node) is { } next) changes[slot] = entry.OwnedBy(next.Id);
                else if (options.IsStorageShared) homeless.Add(slot);
            }
            else if (!entry.Target.IsNone && !view.Contains(entry.Target)) changes[slot] = entry.MovingTo(SiloId.None, 0);
            else if (_offers.TryGetValue(slot, out SlotOffer? offer) && Matches(offer, entry)) changes[slot] = entry.OwnedBy(entry.Target);
        }
        _offers.Clear();
        if (homeless.Count > 0)
        {
            foreach (PlannedMove move in SlotPlanner.Successors(map, view.Members, homeless, fromReplicas: false))
                changes[move.Slot] = map[move.Slot].OwnedBy(move.To);
        }
        Plan(map, view, changes);
        SlotMap made = map.With(view.Version, changes);
        (_quietMap, _quietView) = isQuiet && made == map ? (map, view) : (null, null);
        return made;
    }

    /// <summary>Begins moves: when the members have changed since the map was made, or when it is wished.</summary>
    private void Plan(SlotMap map, ClusterView view, Dictionary<int, SlotEntry> changes)
    {
        SlotMap changed = map.With(view.Version, changes);
        IEnumerable<PlannedMove> moves = map.ViewVersion < view.Version ? SlotPlanner.Balance(changed, view.Members) : [];
        foreach (MoveRequest wish in _wishes)
        {
            if (wish.To.IsNone) moves = moves.Concat(SlotPlanner.Balance(changed, view.Members));
            else if (view.Contains(wish.To)) moves = moves.Concat(SlotPlanner.Move(changed, wish.First, wish.Last, wish.To));
        }
        foreach (PlannedMove move in moves.ToArray())
        {
            SlotEntry entry = changed[move.Slot];
            if (entry.Owner.IsNone) changes[move.Slot] = entry.OwnedBy(move.To);
            else if (view.Contains(entry.Owner)) changes[move.Slot] = entry.MovingTo(move.To == entry.Owner ? SiloId.None : move.To, map.Version + 1);
        }
        _wishes.Clear();
    }

    private static bool Matches(SlotOffer offer, SlotEntry entry) =>
        offer.From == entry.Owner && offer.Epoch == entry.Epoch && offer.Move == entry.Move && !entry.Target.IsNone;
}
