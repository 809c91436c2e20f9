namespace OrleansRedis.Cluster;

/// <summary>
/// Who is in: one version of the document by which leases are counted and silos declared dead. A silo that is not in it
/// is out for good. Immutable.
/// </summary>
public sealed class ClusterView
{
    private const string Kind = "ORSV";
    private const byte Format = 1;

    private readonly SortedDictionary<long, Member> _members = [];
    private readonly SortedDictionary<long, int> _departed = [];

    /// <param name="version">The version.</param>
    /// <param name="members">No more than one silo of a node.</param>
    /// <param name="nodesBefore">The nodes of the version before.</param>
    /// <param name="departed">Silos that were in once.</param>
    public ClusterView(long version, IEnumerable<Member> members, IEnumerable<long> nodesBefore, IEnumerable<SiloId> departed)
    {
        Version = version;
        foreach (Member member in members) _members.Add(member.Id.Node, member);
        NodesBefore = new SortedSet<long>(nodesBefore);
        foreach (SiloId silo in departed)
        {
            // Who has a later life in, has departed anyway.
            if (!ContainsNode(silo.Node)) _departed[silo.Node] = Math.Max(silo.Incarnation, _departed.GetValueOrDefault(silo.Node));
        }
    }

    /// <summary>The view before the first version: nobody is in.</summary>
    public static ClusterView Empty { get; } = new(0, [], [], []);

    /// <summary>Counts the changes; 0 is the empty view.</summary>
    public long Version { get; }

    /// <summary>The silos, in ascending order.</summary>
    public IReadOnlyCollection<Member> Members => _members.Values;

    /// <summary>The nodes whose majority counts for this view, in ascending order.</summary>
    public IReadOnlyCollection<long> Nodes => _members.Keys;

    /// <summary>
    /// The nodes of the version before: this one is established only when a majority of them has it, too.
    /// </summary>
    public IReadOnlySet<long> NodesBefore { get; }

    /// <summary>The last silos that were in of the nodes that are not in any more.</summary>
    public IEnumerable<SiloId> Departed => _departed.Select(node => new SiloId(node.Key, node.Value));

    /// <summary>
    /// Whether this silo was in and is out, even if it never knew, or a later life of its node was. It is never let in
    /// again: what the others have concluded from its end must stay true.
    /// </summary>
    public bool HasDeparted(SiloId silo) =>
        MemberOf(silo.Node) is { } member ? silo.Incarnation < member.Id.Incarnation : silo.Incarnation <= _departed.GetValueOrDefault(silo.Node);

    /// <summary>Whether this silo, in this life, is in.</summary>
    public bool Contains(SiloId silo) => _members.TryGetValue(silo.Node, out Member? member) && member.Id == silo;

    /// <summary>Whether a life of this node is in.</summary>
    public bool ContainsNode(long node) => _members.ContainsKey(node);

    /// <summary>The member that lives on a node; null if none is in.</summary>
    public Member? MemberOf(long node) => _members.GetValueOrDefault(node);

    /// <summary>The next version, with other members.</summary>
    public ClusterView With(IEnumerable<Member> members) =>
        new(Version + 1, members, _members.Keys, Departed.Concat(_members.Values.Select(member => member.Id)));

    /// <summary>The view as bytes, as <see cref="Decode"/> reads them.</summary>
    public byte[] Encode()
    {
        var writer = new DocumentWriter(Kind, Format);
        writer.Number(Version);
        writer.Number(_members.Count);
        foreach (Member member in _members.Values) writer.Member(member);
        writer.Number(NodesBefore.Count);
        foreach (long node in NodesBefore) writer.Node(node);
        writer.Number(_departed.Count);
        foreach (SiloId silo in Departed) writer.Silo(silo);
        return writer.Finish();
    }

    /// <exception cref="InvalidDataException">The bytes are damaged, or of a format of the future.</exception>
    public static ClusterView Decode(ReadOnlySpan<byte> document)
    {
        var reader = new DocumentReader(document, Kind, Format);
        long version = reader.Number();
        var members = new Member[reader.Count()];
        for (int i = 0; i < members.Length; i++) members[i] = reader.Member();
        long[] before = new long[reader.Count()];
        for (int i = 0; i < before.Length; i++) before[i] = reader.Node();
        var departed = new SiloId[reader.Count()];
        for (int i = 0; i < departed.Length; i++) departed[i] = reader.Silo();
        reader.End();
        if (members.DistinctBy(member => member.Id.Node).Count() != members.Length) throw reader.Wrong("names a node twice");
        return new(version, members, before, departed);
    }
}
