namespace OrleansRedis.Cluster;

/// <summary>
/// Runs units over several slots for the clients of its silo: reserves, runs, prepares, commits, and begins anew what
/// was aborted. docs/architecture/cluster.md has the protocol.
/// </summary>
public sealed class UnitCoordinator(ClusterSettings options, IRequestOutput output, RequestRouter router)
{
    private readonly SortedDictionary<long, Unit> _units = [];

    private enum Phase
    {
        Waiting,
        Reserving,
        Preparing,
        Committing,
    }

    /// <summary>Begins a unit.</summary>
    /// <param name="slots">Its slots, in ascending order, each once.</param>
    /// <param name="now">The time.</param>
    /// <returns>The number by which its reply will come.</returns>
    public long Begin(IReadOnlyList<int> slots, long now)
    {
        var unit = new Unit(router.Take(), [.. slots]);
        _units.Add(unit.Number, unit);
        BeginAttempt(unit, now);
        return unit.Number;
    }

    /// <summary>A slot is reserved.</summary>
    public void OnReserved(ReserveReply reply, long now)
    {
        _units.TryGetValue(reply.Number, out Unit? unit);
        if (unit is null || reply.Attempt != unit.Attempt)
        {
            // An old copy of the request has reserved it for nothing.
            output.Send(reply.From.Node, new ReleaseRequest(output.Id, reply.Slot, reply.Token));
            return;
        }
        int index = Array.IndexOf(unit.Slots, reply.Slot);
        if (index < unit.Reserved && unit.Phase is Phase.Reserving or Phase.Preparing && unit.Tokens[index] != reply.Token) Abort(unit, now);
        if (unit.Phase != Phase.Reserving || index != unit.Reserved) return;
        unit.Tokens[unit.Reserved] = reply.Token;
        unit.Borrowed[unit.Reserved++] = reply.Borrowed;
        if (unit.Reserved == unit.Slots.Length)
        {
            (unit.Reply, IReadOnlyList<object> parts) = output.RunUnit(unit.Number, unit.Borrowed);
            unit.Parts = [.. parts];
            unit.Phase = unit.Slots.Length > 1 ? Phase.Preparing : Phase.Committing;
        }
        Send(unit, now);
    }

    /// <summary>A part is prepared.</summary>
    public void OnPrepared(PrepareReply reply, long now)
    {
        if (UnitOf(reply.Number, reply.Attempt) is not { Phase: Phase.Preparing } unit) return;
        if (!unit.Prepared.Add(reply.Slot) || unit.Prepared.Count < unit.Slots.Length - 1) return;
        unit.Phase = Phase.Committing;
        Send(unit, now);
    }

    /// <summary>
    /// A reservation does not stand any more. That ends the attempt, unless it has been asked to be committed: then
    /// only the owner of the lowest slot can say so.
    /// </summary>
    public void OnRefused(RefusedReply reply, long now)
    {
        if (UnitOf(reply.Number, reply.Attempt) is not { } unit) return;
        if (unit.Phase == Phase.Preparing || (unit.Phase == Phase.Committing && reply.Slot == unit.Slots[0])) Abort(unit, now);
    }

    /// <summary>An answer has come: the unit is committed.</summary>
    public void OnReply(RequestReply reply)
    {
        if (!_units.Remove(reply.Number)) return;
        router.Release(reply.Number);
        output.OnDone(reply.Number, reply.Reply);
    }

    /// <summary>Time has passed, or the map has changed.</summary>
    public void Tick(long now)
    {
        foreach (Unit unit in _units.Values)
        {
            if (now < unit.NextAt) continue;
            if (unit.Phase == Phase.Waiting) BeginAttempt(unit, now);
            else Send(unit, now);
        }
    }

    private Unit? UnitOf(long number, int attempt) => _units.TryGetValue(number, out Unit? unit) && unit.Attempt == attempt ? unit : null;

    private void BeginAttempt(Unit unit, long now)
    {
        unit.Attempt++;
        unit.Phase = Phase.Reserving;
        unit.Reserved = 0;
        unit.Prepared.Clear();
        Send(unit, now);
    }

    private void Abort(Unit unit, long now)
    {
        foreach (int slot in unit.Slots) SendToOwner(slot, new AbortRequest(output.Id, slot, unit.Number, unit.Attempt));
        unit.Phase = Phase.Waiting;
        // Two that are in each other's way do not begin at the same time again.
        unit.NextAt = now + (options.Retry * (1 + (((unit.Number * 7) + output.Id.Node + unit.Attempt) & 3)) / 4);
    }

    private void Send(Unit unit, long now)
    {
        unit.NextAt = now + options.Retry;
        int lowest = unit.Slots[0];
        switch (unit.Phase)
        {
            case Phase.Reserving:
                for (int i = 0; i <= unit.Reserved; i++) Reserve(unit, unit.Slots[i]);
                break;
            case Phase.Preparing:
                Reserve(unit, lowest);
                for (int i = 1; i < unit.Slots.Length; i++)
                {
                    int slot = unit.Slots[i];
                    if (unit.Prepared.Contains(slot)) continue;
                    SendToOwner(slot, new PrepareRequest(output.Id, slot, unit.Number, unit.Attempt, unit.Tokens[i], lowest, unit.Parts[i]));
                }
                break;
            case Phase.Committing:
                SendToOwner(lowest, new CommitRequest(
                    output.Id, lowest, unit.Number, router.Floor, unit.Attempt, unit.Tokens[0], unit.Slots[1..], unit.Reply, unit.Parts[0]));
                break;
        }
    }

    /// <summary>Reserves a slot, or keeps it reserved.</summary>
    private void Reserve(Unit unit, int slot) => SendToOwner(slot, new ReserveRequest(output.Id, slot, unit.Number, unit.Attempt));

    private void SendToOwner(int slot, SlotMessage message)
    {
        if (output.Map?[slot].Owner is { IsNone: false } owner) output.Send(owner.Node, message);
    }

    private sealed class Unit(long number, int[] slots)
    {
        public long Number { get; } = number;

        public int[] Slots { get; } = slots;

        public int Attempt { get; set; }

        public Phase Phase { get; set; }

        /// <summary>How many of the slots are reserved, from the lowest on.</summary>
        public int Reserved { get; set; }

        public SlotToken[] Tokens { get; } = new SlotToken[slots.Length];

        public object?[] Borrowed { get; } = new object?[slots.Length];

        public object[] Parts { get; set; } = [];

        public object? Reply { get; set; }

        public HashSet<int> Prepared { get; } = [];

        /// <summary>When to send again, or to begin again.</summary>
        public long NextAt { get; set; }
    }
}
