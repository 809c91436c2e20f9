namespace OrleansRedis.Cluster;

/// <summary>
/// The cluster's logic in one silo: events and the time go in, messages and decisions come out
/// (<see cref="ISiloOutput"/>). Not safe for several threads.
/// </summary>
public sealed class ClusterSilo : IMembershipOutput, ISlotHost, ISlotOutput, IRequestOutput
{
    private readonly ClusterSettings _options;
    private readonly ISiloOutput _output;
    private readonly MapKeeper _keeper;
    private SlotMap _map;
    private SlotMap? _proposed;             // to the store, without an answer yet
    private SlotMap? _early;                // made by a view that this silo does not have yet
    private long _askedVersion, _askedAt, _mapReadAt;

    /// <param name="self">The silo.</param>
    /// <param name="slots">How many slots there are.</param>
    /// <param name="options">Times.</param>
    /// <param name="output">The world.</param>
    public ClusterSilo(Member self, int slots, ClusterSettings options, ISiloOutput output)
    {
        long now = output.Now;
        _options = options;
        _output = output;
        _map = SlotMap.Empty(slots);
        _askedAt = _mapReadAt = now - options.NodeTimeout;
        Membership = new(self, options, this, now);
        Ownership = new(self.Id, options, this, SendOffer);
        Requests = new(options, this);
        Units = new(options, this, Requests);
        _keeper = new(options, Membership);
    }

    public SiloId Id => Membership.Id;

    /// <summary>Who is in.</summary>
    public Membership Membership { get; }

    /// <summary>Which slots this silo serves.</summary>
    public SlotOwnership Ownership { get; }

    /// <summary>The requests that this silo has taken from clients.</summary>
    public RequestRouter Requests { get; }

    /// <summary>The units that this silo has taken from clients.</summary>
    public UnitCoordinator Units { get; }

    /// <summary>The newest slot map that this silo knows.</summary>
    public SlotMap Map => _map;

    public ClusterView View => Membership.View;

    /// <summary>Begins its life.</summary>
    public void Start() => Tick(_output.Now);

    /// <summary>
    /// Whether this silo may serve a slot at this moment: it owns it, has opened it, has not offered it, and holds its
    /// lease.
    /// </summary>
    public bool MayServe(int slot) => Ownership.Find(slot) is not null && Membership.HoldsLease(_output.Now);

    /// <summary>
    /// Whether what arrives for a move is to be kept: this silo is its target by its map. What is early comes again,
    /// and what is late would be written over what is newer.
    /// </summary>
    public bool AcceptsCopy(int slot, long move) => _map[slot].Target == Id && _map[slot].Move == move;

    /// <summary>Time has passed. To be called at least every half <see cref="ClusterSettings.HeartbeatInterval"/>.</summary>
    public void Tick(long now)
    {
        Membership.Tick(now);
        if (Membership.IsExcluded) return;
        Ownership.Tick(now);
        Requests.Tick(now);
        Units.Tick(now);
        Propose(now);
    }

    /// <summary>A heartbeat has arrived.</summary>
    public void OnHeartbeat(in Heartbeat heartbeat, long now) => Membership.OnHeartbeat(heartbeat, now);

    /// <summary>A message has arrived.</summary>
    public void OnMessage(ClusterMessage message, long now)
    {
        if (Membership.IsExcluded) return;
        switch (message)
        {
            case SlotMessage about:
                OnSlotMessage(about, now);
                break;
            case AnswerMessage answer:
                if (answer.To == Id) OnAnswer(answer, now);
                break;
            case MapUpdate update:
                AdoptMap(update.Map, now);
                break;
            case MapRequest request:
                if (request.Version < _map.Version) _output.Send(request.From.Node, new MapUpdate(Id, _map));
                break;
            case SlotOffer offer:
                _keeper.OnOffer(offer);
                Propose(now);
                break;
            case MoveRequest request:
                _keeper.OnMoveRequest(request);
                Propose(now);
                break;
            default:
                Membership.OnMessage(message, now);
                break;
        }
    }

    /// <summary>The view has been read from the store.</summary>
    public void OnViewRead(ClusterView view, long now) => Membership.OnRead(view, now);

    /// <summary>How writing a view ended.</summary>
    public void OnViewWritten(ClusterView view, WriteOutcome outcome, long now) => Membership.OnProposed(view, outcome, now);

    /// <summary>The slot map has been read from the store.</summary>
    public void OnMapRead(SlotMap map, long now) => AdoptMap(map, now);

    /// <summary>How writing a slot map ended.</summary>
    public void OnMapWritten(SlotMap map, WriteOutcome outcome, long now)
    {
        if (Membership.IsExcluded) return;
        if (ReferenceEquals(_proposed, map)) _proposed = null;
        if (outcome == WriteOutcome.Stored)
        {
            foreach (Member member in View.Members)
            {
                if (member.Id != Id) _output.Send(member.Id.Node, new MapUpdate(Id, map));
            }
            AdoptMap(map, now);
            Propose(now);
        }
        else ReadMap(now);
    }

    /// <summary>A slot is open.</summary>
    public void OnOpened(OwnedSlot slot)
    {
        slot.Ledger.ForgetAbsent(View);
        Ownership.OnOpened(slot);
    }

    /// <summary>The log of an open slot is durable up to a position.</summary>
    public void OnDurable(OwnedSlot slot, long position, long now) => slot.OnDurable(position, now);

    /// <inheritdoc cref="SlotOwnership.OnCopyNear"/>
    public void OnCopyNear(int slot, long move, long now) => Ownership.OnCopyNear(slot, move, now);

    /// <inheritdoc cref="SlotOwnership.OnCopied"/>
    public void OnCopied(int slot, long move, long now) => Ownership.OnCopied(slot, move, now);

    /// <summary>Wishes slots to be moved (SILO MOVE), or all of them to be balanced anew (nobody as the silo).</summary>
    public void RequestMove(int first, int last, SiloId to, long now)
    {
        if (Membership.KeeperNode(now) is not 0 and long keeper) _output.Send(keeper, new MoveRequest(Id, first, last, to));
    }

    private void OnSlotMessage(SlotMessage message, long now)
    {
        OwnedSlot? slot = Ownership.Find(message.Slot);
        if (slot is null) OwnedSlot.TellElsewhere(this, message, _map.Version);
        else if (Membership.HoldsLease(now)) slot.OnMessage(message, now);
    }

    private void OnAnswer(AnswerMessage answer, long now)
    {
        switch (answer)
        {
            case RequestReply reply:
                Requests.OnReply(reply);
                Units.OnReply(reply);
                break;
            case SlotElsewhere elsewhere:
                if (elsewhere.MapVersion > _map.Version) OnNewerMap(elsewhere.From.Node, elsewhere.MapVersion);
                break;
            case ReserveReply reply:
                Units.OnReserved(reply, now);
                break;
            case PrepareReply reply:
                Units.OnPrepared(reply, now);
                break;
            case RefusedReply reply:
                Units.OnRefused(reply, now);
                break;
        }
    }

    private void AdoptMap(SlotMap map, long now)
    {
        if (Membership.IsExcluded || map.Version <= _map.Version) return;
        if (map.ViewVersion > View.Version)
        {
            // Whoever made it has the view; until it is here, the map waits.
            if (_early is null || map.Version > _early.Version) _early = map;
            return;
        }
        _map = map;
        Membership.MapVersion = map.Version;
        if (_proposed?.Version <= map.Version) _proposed = null;
        Ownership.OnMap(map, now);
        Requests.OnMap(map, now);
    }

    /// <summary>As the keeper, writes the map that follows.</summary>
    private void Propose(long now)
    {
        if (_proposed is not null || !Membership.IsMember || !Membership.IsKeeper(now)) return;
        if (now - _mapReadAt >= _options.NodeTimeout) ReadMap(now);
        SlotMap next = _keeper.Next(_map, now);
        if (next.Version == _map.Version) return;
        _proposed = next;
        _output.WriteMap(next);
    }

    private void ReadMap(long now)
    {
        _mapReadAt = now;
        _output.ReadMap();
    }

    private void SendOffer(long now, SlotOffer offer)
    {
        if (Membership.KeeperNode(now) is not 0 and long keeper) _output.Send(keeper, offer);
    }

    private void OnNewerMap(long node, long version)
    {
        long now = _output.Now;
        if (version <= _askedVersion && now - _askedAt < _options.Retry) return;
        (_askedVersion, _askedAt) = (version, now);
        _output.Send(node, new MapRequest(Id, _map.Version));
    }

    void IMembershipOutput.Send(long node, in Heartbeat heartbeat) => _output.Send(node, heartbeat);

    void IMembershipOutput.Send(long node, ClusterMessage message) => _output.Send(node, message);

    void IMembershipOutput.ReadView() => _output.ReadView();

    void IMembershipOutput.Propose(ClusterView view) => _output.WriteView(view);

    void IMembershipOutput.OnNewerMap(long node, long version) => OnNewerMap(node, version);

    void IMembershipOutput.OnView(ClusterView view)
    {
        long now = _output.Now;
        foreach (OwnedSlot slot in Ownership.Slots) slot.OnView(view, now);
        if (_early is { } early && early.ViewVersion <= view.Version)
        {
            _early = null;
            AdoptMap(early, now);
        }
        Propose(now);
    }

    void IMembershipOutput.OnExcluded()
    {
        Ownership.Clear();
        _output.OnExcluded();
    }

    void ISlotHost.Open(int slot, long epoch) => _output.OpenSlot(slot, epoch);

    void ISlotHost.Close(int slot) => _output.CloseSlot(slot);

    void ISlotHost.StartCopy(int slot, SiloId target, long move) => _output.StartCopy(slot, target, move);

    void ISlotHost.StopCopy(int slot) => _output.StopCopy(slot);

    bool ISlotOutput.MayAnswer(OwnedSlot slot) => Ownership.Find(slot.Number) == slot && Membership.HoldsLease(_output.Now);

    void ISlotOutput.Send(long node, ClusterMessage message) => _output.Send(node, message);

    void ISlotOutput.SendToOwner(SlotMessage message)
    {
        SiloId owner = _map[message.Slot].Owner;
        if (!owner.IsNone) _output.Send(owner.Node, message);
    }

    (object? Reply, object? Effects) ISlotOutput.Run(OwnedSlot slot, RequestId id, object command) => _output.Run(slot, id, command);

    object? ISlotOutput.Borrow(OwnedSlot slot) => _output.Borrow(slot);

    object? ISlotOutput.Do(OwnedSlot slot, object part) => _output.Do(slot, part);

    void ISlotOutput.Append(OwnedSlot slot, LedgerRecord record) => _output.Append(slot, record);

    void ISlotOutput.OnDrained(OwnedSlot slot) => Ownership.OnDrained(slot);

    // Who is not in is refused anyway.
    SlotMap? IRequestOutput.Map => _map.Version == 0 || !Membership.IsMember ? null : _map;

    void IRequestOutput.Send(long node, ClusterMessage message) => _output.Send(node, message);

    void IRequestOutput.OnDone(long number, object? reply) => _output.OnDone(number, reply);

    (object? Reply, IReadOnlyList<object> Parts) IRequestOutput.RunUnit(long number, IReadOnlyList<object?> borrowed) =>
        _output.RunUnit(number, borrowed);
}
