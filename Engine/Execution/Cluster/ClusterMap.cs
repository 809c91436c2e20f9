namespace OrleansRedis.Engine;

/// <summary>
/// What a node knows of its cluster at one moment: the nodes, who owns which slot, and which slots are under way. It
/// never changes; what changes is which map is in force (<see cref="IClusterTopology.Map"/>).
/// </summary>
public sealed class ClusterMap
{
    private readonly ClusterNode?[] _owners;
    private readonly Dictionary<string, ClusterNode> _byId;
    private readonly Dictionary<int, ClusterNode> _migrating;
    private readonly Dictionary<int, ClusterNode> _importing;
    private readonly ulong[] _settled = new ulong[KeySlot.Count / 64]; // a bit for each slot

    internal ClusterMap(ClusterMapDraft draft, long version)
    {
        Version = version;
        CurrentEpoch = draft.CurrentEpoch;
        LastVoteEpoch = draft.LastVoteEpoch;
        Nodes = [.. draft.Nodes];
        _byId = Nodes.ToDictionary(node => node.Id, StringComparer.Ordinal);
        Myself = _byId[draft.MyselfId];
        _owners = new ClusterNode?[KeySlot.Count];
        var busy = new HashSet<ClusterNode>(ReferenceEqualityComparer.Instance);
        for (int slot = 0; slot < KeySlot.Count; slot++)
        {
            if (draft.Owners[slot] is not { } owner) continue;
            busy.Add(_owners[slot] = _byId[owner]);
            AssignedCount++;
        }
        _migrating = draft.Migrating.ToDictionary(way => way.Key, way => _byId[way.Value]);
        _importing = draft.Importing.ToDictionary(way => way.Key, way => _byId[way.Value]);
        for (int slot = 0; slot < KeySlot.Count; slot++)
        {
            if (IsMine(slot) && !IsUnderWay(slot)) _settled[slot / 64] |= 1UL << (slot % 64);
        }
        Size = busy.Count;
        int reached = busy.Count(static node => (node.Flags & (ClusterNodeFlags.Failing | ClusterNodeFlags.PossiblyFailing)) == 0);
        HasMajority = reached >= (Size / 2) + 1;
        IsCovered = AssignedCount == KeySlot.Count && busy.All(static node => !node.IsFailing);
    }

    /// <summary>Higher with every map of this process.</summary>
    public long Version { get; }

    /// <summary>The highest epoch that this node knows.</summary>
    public long CurrentEpoch { get; }

    /// <summary>The last epoch in which this node has voted; kept because Redis's file has it.</summary>
    public long LastVoteEpoch { get; }

    /// <summary>All nodes, this one included.</summary>
    public IReadOnlyList<ClusterNode> Nodes { get; }

    /// <summary>The node that has this map.</summary>
    public ClusterNode Myself { get; }

    /// <summary>How many slots have an owner.</summary>
    public int AssignedCount { get; }

    /// <summary>How many nodes own slots.</summary>
    public int Size { get; }

    /// <summary>Whether more than half of the nodes with slots can be reached.</summary>
    public bool HasMajority { get; }

    /// <summary>Whether every slot has an owner, and none of these fails.</summary>
    public bool IsCovered { get; }

    /// <summary>Where this node's slots go to that are on their way to another one, by slot.</summary>
    public IReadOnlyDictionary<int, ClusterNode> Migrating => _migrating;

    /// <summary>Where slots come from that are on their way to this node, by slot.</summary>
    public IReadOnlyDictionary<int, ClusterNode> Importing => _importing;

    /// <summary>Who owns a slot; null for nobody.</summary>
    public ClusterNode? OwnerOf(int slot) => _owners[slot];

    /// <summary>Whether this node owns a slot.</summary>
    public bool IsMine(int slot) => ReferenceEquals(_owners[slot], Myself);

    /// <summary>Whether this node owns a slot, and it is not on its way to another one: the usual case.</summary>
    public bool IsSettledHere(int slot) => (_settled[slot / 64] & (1UL << (slot % 64))) != 0;

    /// <summary>Whether a slot is on its way from or to this node.</summary>
    public bool IsUnderWay(int slot) => _migrating.ContainsKey(slot) || _importing.ContainsKey(slot);

    /// <summary>The node with this id; null if there is none.</summary>
    public ClusterNode? Find(string id) => _byId.GetValueOrDefault(id);

    /// <summary>The replicas of a node.</summary>
    public IEnumerable<ClusterNode> ReplicasOf(ClusterNode master) => Nodes.Where(node => node.IsReplica && node.MasterId == master.Id);

    /// <summary>A node's slots, as ranges from first to last, in ascending order.</summary>
    public IEnumerable<(int First, int Last)> RangesOf(ClusterNode node) =>
        Ranges().Where(range => ReferenceEquals(range.Owner, node)).Select(range => (range.First, range.Last));

    /// <summary>All slots that have an owner, as ranges of one owner each, in ascending order.</summary>
    public IEnumerable<(ClusterNode Owner, int First, int Last)> Ranges()
    {
        int first = 0;
        for (int slot = 1; slot <= KeySlot.Count; slot++)
        {
            if (slot < KeySlot.Count && ReferenceEquals(_owners[slot], _owners[first])) continue;
            if (_owners[first] is { } owner) yield return (owner, first, slot - 1);
            first = slot;
        }
    }

    /// <summary>The epoch of a node: of a replica, its master's.</summary>
    public long EpochOf(ClusterNode node) => node.MasterId is { } master && Find(master) is { } known ? known.Epoch : node.Epoch;

    /// <summary>The beginning of the next map.</summary>
    public ClusterMapDraft ToDraft()
    {
        var draft = new ClusterMapDraft(Myself.Id) { CurrentEpoch = CurrentEpoch, LastVoteEpoch = LastVoteEpoch };
        draft.Nodes.AddRange(Nodes);
        for (int slot = 0; slot < KeySlot.Count; slot++) draft.Owners[slot] = _owners[slot]?.Id;
        foreach ((int slot, ClusterNode node) in _migrating) draft.Migrating.Add(slot, node.Id);
        foreach ((int slot, ClusterNode node) in _importing) draft.Importing.Add(slot, node.Id);
        return draft;
    }
}

/// <summary>A map in the making. Whoever makes a topology fills one in and builds a <see cref="ClusterMap"/> of it.</summary>
/// <param name="myselfId">The id of the node that will have the map; it must be among the nodes.</param>
public sealed class ClusterMapDraft(string myselfId)
{
    /// <summary>The id of the node that will have the map.</summary>
    public string MyselfId { get; set; } = myselfId;

    public List<ClusterNode> Nodes { get; } = [];

    /// <summary>For each slot the id of its owner; null for nobody.</summary>
    public string?[] Owners { get; } = new string?[KeySlot.Count];

    /// <summary>See <see cref="ClusterMap.Migrating"/>; by the nodes' ids.</summary>
    public SortedDictionary<int, string> Migrating { get; } = [];

    /// <summary>See <see cref="ClusterMap.Importing"/>; by the nodes' ids.</summary>
    public SortedDictionary<int, string> Importing { get; } = [];

    public long CurrentEpoch { get; set; }

    public long LastVoteEpoch { get; set; }

    /// <summary>The node that will have the map.</summary>
    public ClusterNode Myself
    {
        get => Nodes.Find(node => node.Id == MyselfId)!;
        set
        {
            Nodes[Nodes.FindIndex(node => node.Id == MyselfId)] = value;
            MyselfId = value.Id;
        }
    }

    /// <summary>The map that this has become.</summary>
    /// <param name="version">Its version, higher than that of the map before.</param>
    public ClusterMap Build(long version) => new(this, version);
}
