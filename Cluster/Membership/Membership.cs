namespace OrleansRedis.Cluster;

/// <summary>
/// One silo's part in deciding who is in: heartbeats, the lease, suspicion, views and who is left out of them. Not safe
/// for several threads.
/// </summary>
public sealed class Membership
{
    private readonly ClusterSettings _options;
    private readonly IMembershipOutput _output;
    private readonly Dictionary<long, Peer> _peers = [];    // by node: the other members, and those who want in
    private readonly Absences _absences;
    private Member _self;
    private Peer[] _others = [];            // the other members, in the order of their nodes
    private long[] _suspects = [];
    private long[] _acknowledged = [];      // room for counting
    private long _heartbeatAt, _tickedAt, _readAt;
    private bool _isNewsToTell;             // with the next heartbeats, which are due before their usual time
    private long _askedVersion, _askedAt;   // for a newer view
    private long _quietSince;               // no silo that is out by the view has been heard since
    private long _leaseEnd;                 // at least until then
    private long? _establishedAt;           // when the view was first known to be established
    private bool _hasRead;                  // the view, from the store
    private ClusterView? _proposed;         // to the store, without an answer yet

    /// <param name="self">The silo.</param>
    /// <param name="options">Times.</param>
    /// <param name="output">The world.</param>
    /// <param name="now">The time at which the silo begins its life.</param>
    public Membership(Member self, ClusterSettings options, IMembershipOutput output, long now)
    {
        _self = self;
        _options = options;
        _output = output;
        _absences = new(options);
        // What the life before this one has heard, and acknowledged, is not known.
        _tickedAt = _quietSince = now;
        _heartbeatAt = now - options.HeartbeatInterval;
        _readAt = now - options.NodeTimeout;
    }

    /// <summary>The least time between two rounds of heartbeats, whatever happens.</summary>
    private long LeastInterval => _options.HeartbeatInterval / 5;

    /// <summary>Who this is.</summary>
    public SiloId Id => _self.Id;

    /// <summary>The newest view that this silo knows.</summary>
    public ClusterView View { get; private set; } = ClusterView.Empty;

    /// <summary>The version of this silo's slot map, for its heartbeats.</summary>
    public long MapVersion { get; set; }

    /// <summary>Whether the cluster goes on without this silo.</summary>
    public bool IsExcluded { get; private set; }

    /// <summary>Whether this silo is in.</summary>
    public bool IsMember => !IsExcluded && View.Contains(Id);

    /// <summary>
    /// Whether this silo may serve what it owns. To be asked before a command is run, and with a new time before its
    /// reply leaves.
    /// </summary>
    public bool HoldsLease(long now)
    {
        if (!IsMember) return false;
        if (!_options.Has(Guards.Lease) || now < _leaseEnd) return true;
        _leaseEnd = ComputeLeaseEnd(now);
        return now < _leaseEnd;
    }

    /// <summary>
    /// Until when this silo holds its lease by what it has heard so far; the distant past if it has none. For whoever
    /// asks from another thread, and compares it with the time of that moment.
    /// </summary>
    public long LeaseEnd(long now) => IsMember ? _leaseEnd = ComputeLeaseEnd(now) : long.MinValue;

    /// <summary>
    /// Whether this silo is the one to propose changes: of the view's nodes the lowest that it does not suspect.
    /// </summary>
    public bool IsKeeper(long now)
    {
        if (IsExcluded || !View.ContainsNode(Id.Node)) return false;
        foreach (Peer peer in _others)
        {
            if (peer.Id.Node > Id.Node) break;
            if (!Suspects(peer, now)) return false;
        }
        return true;
    }

    /// <summary>The node that this silo takes for the keeper; 0 if there is none.</summary>
    public long KeeperNode(long now)
    {
        foreach (long node in View.Nodes)
        {
            if (node == Id.Node || !Suspects(node, now)) return node;
        }
        return 0;
    }

    /// <summary>Whether another node has been silent for too long.</summary>
    public bool Suspects(long node, long now) => node != Id.Node && _peers.TryGetValue(node, out Peer? peer) && Suspects(peer, now);

    /// <summary>
    /// Whether what a silo owned may be given to others: it is out, and has no lease any more, or its node lives on as
    /// another silo.
    /// </summary>
    public bool IsOver(SiloId silo, long now)
    {
        if (View.Contains(silo)) return false;
        return View.MemberOf(silo.Node)?.Id.Incarnation > silo.Incarnation || _absences.IsOver(silo, View, _establishedAt, QuietSince, now);
    }

    /// <summary>Changes what the others know of this silo, or how they treat it (leaving).</summary>
    public void Describe(Member self) => _self = self;

    /// <summary>Time has passed. To be called at least every <see cref="ClusterSettings.HeartbeatInterval"/>.</summary>
    public void Tick(long now)
    {
        if (IsExcluded) return;
        // Whoever was suspended has heard nobody meanwhile, and listens before it judges.
        if (now - _tickedAt > _options.NodeTimeout / 2)
        {
            foreach (Peer peer in _peers.Values) peer.HeardAt = now;
        }
        _tickedAt = now;
        UpdateSuspects(now);
        if (_peers.Count > _others.Length) ForgetCandidates(now);
        if (now - _heartbeatAt >= _options.HeartbeatInterval || (_isNewsToTell && now - _heartbeatAt >= LeastInterval))
        {
            SendHeartbeats(now);
            if (View.MemberOf(Id.Node) != _self) AskToJoin();
        }
        if (now - _readAt >= _options.NodeTimeout && (IsKeeper(now) || !HoldsLease(now))) ReadView(now);
        NoteEstablished(now);
        ProposeView(now);
    }

    /// <summary>A heartbeat has arrived.</summary>
    public void OnHeartbeat(in Heartbeat heartbeat, long now)
    {
        if (IsExcluded) return;
        SiloId from = heartbeat.From;
        if (heartbeat.ViewVersion > View.Version) AskForView(from.Node, heartbeat.ViewVersion, now);
        if (heartbeat.MapVersion > MapVersion) _output.OnNewerMap(from.Node, heartbeat.MapVersion);
        if (!_peers.TryGetValue(from.Node, out Peer? peer))
        {
            // It is out, or not in yet: let it know.
            if (heartbeat.ViewVersion < View.Version) _output.Send(from.Node, new ViewUpdate(Id, View));
            return;
        }
        if (from.Incarnation < peer.Id.Incarnation) return;
        if (from.Incarnation > peer.Id.Incarnation) peer.Begin(from);
        if (heartbeat.ViewVersion < View.Version && (peer.ToldVersion < View.Version || now - peer.ToldAt >= _options.HeartbeatInterval))
        {
            (peer.ToldVersion, peer.ToldAt) = (View.Version, now);
            _output.Send(from.Node, new ViewUpdate(Id, View));
        }
        peer.HeardAt = now;
        peer.AdoptedVersion = Math.Max(peer.AdoptedVersion, heartbeat.ViewVersion);
        if (heartbeat.Stamp > peer.Stamp)
        {
            peer.Stamp = heartbeat.Stamp;
            peer.ViewVersion = heartbeat.ViewVersion;
            peer.QuietSince = now - heartbeat.QuietFor;
            peer.Suspects = heartbeat.Suspects;
        }
        if (heartbeat.EchoFor == Id.Incarnation && heartbeat.ViewVersion <= View.Version) peer.Acknowledged = Math.Max(peer.Acknowledged, heartbeat.Echo);
    }

    /// <summary>A message about who is in has arrived; any other is ignored.</summary>
    public void OnMessage(ClusterMessage message, long now)
    {
        if (IsExcluded) return;
        switch (message)
        {
            // The life before this one may have promised something under a newer view: the first is the store's.
            case ViewUpdate update when _hasRead:
                Adopt(update.View, now);
                break;
            case ViewRequest request when request.Version < View.Version:
                _output.Send(request.From.Node, new ViewUpdate(Id, View));
                break;
            case JoinRequest join:
                OnJoin(join, now);
                break;
        }
    }

    /// <summary>The view has been read from the store.</summary>
    public void OnRead(ClusterView view, long now)
    {
        if (IsExcluded) return;
        _hasRead = true;
        if (view.Version == 0 && View.Version == 0) Propose(ClusterView.Empty.With([_self]));
        else Adopt(view, now);
    }

    /// <summary>How writing a view ended.</summary>
    public void OnProposed(ClusterView view, WriteOutcome outcome, long now)
    {
        if (outcome == WriteOutcome.Stored)
        {
            foreach (long node in view.Nodes.Union(view.NodesBefore).Where(node => node != Id.Node)) _output.Send(node, new ViewUpdate(Id, view));
            Adopt(view, now);
        }
        else
        {
            if (ReferenceEquals(_proposed, view)) _proposed = null;
            ReadView(now);
        }
    }

    /// <summary>Asks somebody who has a newer view for it, though not everybody who has it at the same time.</summary>
    private void AskForView(long node, long version, long now)
    {
        if (version <= _askedVersion && now - _askedAt < LeastInterval) return;
        (_askedVersion, _askedAt) = (version, now);
        _output.Send(node, new ViewRequest(Id, View.Version));
    }

    private void Adopt(ClusterView view, long now)
    {
        if (view.Version <= View.Version) return;
        ClusterView old = View;
        // Whom this silo has heard, it may have acknowledged; in the views that it has not seen, anybody may have been in.
        foreach (Peer peer in _peers.Values)
        {
            if (!view.Contains(peer.Id)) _quietSince = Math.Max(_quietSince, peer.HeardAt);
        }
        _absences.Note(old, view, _establishedAt, now);
        View = view;
        _establishedAt = null;
        _leaseEnd = long.MinValue;
        if (_proposed is not null && _proposed.Version <= view.Version) _proposed = null;
        if (view.HasDeparted(Id))
        {
            IsExcluded = true;
            _output.OnExcluded();
            return;
        }
        _others = [.. from member in view.Members where member.Id.Node != Id.Node select PeerOf(member.Id, now)];
        ForgetCandidates(now);
        UpdateSuspects(now);
        NoteEstablished(now);
        _output.OnView(view);
        // At once, so that the view is established soon; but views that follow each other closely are no storm.
        if (now - _heartbeatAt >= LeastInterval) SendHeartbeats(now);
        else _isNewsToTell = true;
        ProposeView(now);
    }

    private Peer PeerOf(SiloId id, long now)
    {
        if (!_peers.TryGetValue(id.Node, out Peer? peer)) _peers.Add(id.Node, peer = new(id) { HeardAt = now, QuietSince = now });
        else if (id.Incarnation > peer.Id.Incarnation) peer.Begin(id);
        return peer;
    }

    private bool Suspects(Peer peer, long now) => now - peer.HeardAt > _options.NodeTimeout;

    private void ForgetCandidates(long now)
    {
        foreach (long node in _peers.Keys.ToArray())
        {
            if (!View.ContainsNode(node) && !IsCandidate(_peers[node], now)) _peers.Remove(node);
        }
    }

    private bool IsCandidate(Peer peer, long now) => peer.Joining is not null && !Suspects(peer, now);

    private void OnJoin(JoinRequest join, long now)
    {
        Member member = join.Member;
        if (member.Id.Node == Id.Node) return;
        Peer peer = PeerOf(member.Id, now);
        if (member.Id.Incarnation < peer.Id.Incarnation) return;
        peer.HeardAt = now;
        peer.AdoptedVersion = Math.Max(peer.AdoptedVersion, join.ViewVersion);
        if (join.ViewVersion >= peer.JoiningVersion) (peer.Joining, peer.JoiningVersion) = (member, join.ViewVersion);
        if (join.ViewVersion < View.Version) _output.Send(member.Id.Node, new ViewUpdate(Id, View));
    }

    private void AskToJoin()
    {
        foreach (long node in View.Nodes)
        {
            if (node != Id.Node) _output.Send(node, new JoinRequest(Id, _self, View.Version));
        }
    }

    private void SendHeartbeats(long now)
    {
        _heartbeatAt = now;
        _isNewsToTell = false;
        foreach ((long node, Peer peer) in _peers)
            _output.Send(node, new Heartbeat(Id, now, peer.Id.Incarnation, peer.Stamp, View.Version, MapVersion, now - _quietSince, _suspects));
    }

    /// <summary>
    /// A lease period after the newest of this silo's times that a majority of the view has returned, itself included.
    /// </summary>
    private long ComputeLeaseEnd(long now)
    {
        int needed = _options.MajorityOf(_others.Length + 1) - 1;
        if (needed == 0) return now + _options.Lease;
        if (_acknowledged.Length < _others.Length) _acknowledged = new long[_others.Length];
        for (int i = 0; i < _others.Length; i++) _acknowledged[i] = _others[i].Acknowledged;
        Array.Sort(_acknowledged, 0, _others.Length);
        long stamp = _acknowledged[_others.Length - needed];
        return stamp == 0 ? long.MinValue : stamp + _options.Lease;
    }

    private void UpdateSuspects(long now)
    {
        int count = 0;
        bool isSame = true;
        foreach (Peer peer in _others)
        {
            if (!Suspects(peer, now)) continue;
            isSame &= count < _suspects.Length && _suspects[count] == peer.Id.Node;
            count++;
        }
        if (!isSame || count != _suspects.Length) _suspects = [.. from peer in _others where Suspects(peer, now) select peer.Id.Node];
    }

    private void NoteEstablished(long now)
    {
        if (_establishedAt is null)
        {
            if (View.Version == 0 || !HaveAdopted(View.Nodes) || !HaveAdopted(View.NodesBefore)) return;
            _establishedAt = now;
        }
        _absences.NoteEstablished(View.Version, now);
    }

    /// <summary>Whether a majority of these nodes has the view or a newer one.</summary>
    private bool HaveAdopted(IReadOnlyCollection<long> nodes)
    {
        int count = 0;
        foreach (long node in nodes)
        {
            if (node == Id.Node || (_peers.TryGetValue(node, out Peer? peer) && peer.AdoptedVersion >= View.Version)) count++;
        }
        return nodes.Count == 0 || count >= _options.MajorityOf(nodes.Count);
    }

    private long? QuietSince(long node, long version)
    {
        if (node == Id.Node) return _quietSince;
        return _peers.TryGetValue(node, out Peer? peer) && peer.ViewVersion >= version ? peer.QuietSince : null;
    }

    /// <summary>
    /// As the keeper, writes the view that follows: without those whom a majority suspects, with those who want in.
    /// Only if this view is established, and if a majority of both is heard at present.
    /// </summary>
    private void ProposeView(long now)
    {
        if (_proposed is not null || _establishedAt is null || !IsKeeper(now)) return;
        List<Member>? members = null;
        foreach (Member member in View.Members)
        {
            Member? next = NextOf(member, now);
            if (next == member) continue;
            members ??= [.. View.Members];
            members.Remove(member);
            if (next is not null) members.Add(next);
        }
        foreach (Peer peer in _peers.Values)
        {
            if (View.ContainsNode(peer.Id.Node) || !WantsIn(peer, now)) continue;
            members ??= [.. View.Members];
            members.Add(peer.Joining!);
        }
        if (members is null) return;
        ClusterView view = View.With(members);
        if (IsMajorityHeard(View.Nodes, now) && IsMajorityHeard(view.Nodes, now)) Propose(view);
    }

    private bool IsMajorityHeard(IReadOnlyCollection<long> nodes, long now) =>
        nodes.Count(node => !Suspects(node, now)) >= _options.MajorityOf(nodes.Count);

    /// <summary>Whether a node asks for a change, and knows this view: what was asked before may be in it.</summary>
    private bool WantsIn(Peer peer, long now) =>
        IsCandidate(peer, now) && peer.JoiningVersion == View.Version && peer.Joining!.Id == peer.Id && !View.HasDeparted(peer.Id);

    /// <summary>What a member is to be in the next view; null if it is to be left out.</summary>
    private Member? NextOf(Member member, long now)
    {
        if (member.Id.Node == Id.Node) return _self;
        Peer peer = _peers[member.Id.Node];
        if (WantsIn(peer, now)) return peer.Joining;
        int suspecting = Suspects(peer, now) ? 1 : 0;
        foreach (Peer other in _others)
        {
            if (!Suspects(other, now) && other.Suspects.Contains(peer.Id.Node)) suspecting++;
        }
        return suspecting >= _options.MajorityOf(View.Nodes.Count) ? null : member;
    }

    /// <summary>
    /// A silo without a lease looks whether it is out; the keeper, whether something has been stored that was thought to
    /// have failed.
    /// </summary>
    private void ReadView(long now)
    {
        _readAt = now;
        _output.ReadView();
    }

    private void Propose(ClusterView view)
    {
        if (_proposed is not null) return;
        _proposed = view;
        _output.Propose(view);
    }

    /// <summary>What this silo knows of another node.</summary>
    private sealed class Peer(SiloId id)
    {
        /// <summary>The latest silo heard of there.</summary>
        public SiloId Id { get; private set; } = id;

        /// <summary>When it was last heard.</summary>
        public long HeardAt { get; set; }

        /// <summary>The highest of its times that this silo has received, and returns.</summary>
        public long Stamp { get; set; }

        /// <summary>The highest of this silo's times that the node has returned under a view that this silo had.</summary>
        public long Acknowledged { get; set; }

        /// <summary>The newest view that the node is known to have.</summary>
        public long AdoptedVersion { get; set; }

        /// <summary>The view with which it sent its last heartbeat.</summary>
        public long ViewVersion { get; set; }

        /// <summary>Since when it has not heard anybody who is out by that view.</summary>
        public long QuietSince { get; set; }

        /// <summary>The nodes that it suspects.</summary>
        public IReadOnlyList<long> Suspects { get; set; } = [];

        /// <summary>As what it wants to be in the view, and the version of the view that it had then.</summary>
        public Member? Joining { get; set; }

        public long JoiningVersion { get; set; }

        /// <summary>The view that it was last sent, and when.</summary>
        public long ToldVersion { get; set; }

        public long ToldAt { get; set; }

        /// <summary>
        /// Another silo lives on the node. What the node has acknowledged and adopted stays true: it has read the view
        /// anew.
        /// </summary>
        public void Begin(SiloId next)
        {
            Id = next;
            Stamp = ViewVersion = JoiningVersion = ToldVersion = 0;
            Suspects = [];
            Joining = null;
        }
    }
}
