using OrleansRedis.Cluster;

namespace OrleansRedis.Tests.Simulation;

/// <summary>
/// One silo of a <see cref="Simulation"/>, from its start to its crash: its clock, the slots that it holds, and the
/// clients that are connected to it.
/// </summary>
internal sealed class SimulatedSilo : ISiloOutput
{
    /// <summary>The most records that one message of a copy takes.</summary>
    private const int ChunkRecords = 20;

    private readonly Simulation _world;
    private readonly SimulatedClock _clock;
    private readonly SimulatedLogs _logs;
    private readonly Dictionary<int, HeldSlot> _slots = [];
    private readonly Dictionary<int, ReceivedCopy> _received = [];
    private readonly Dictionary<long, Asked> _asked = [];
    private readonly Member _member;

    public SimulatedSilo(Simulation world, int place, SiloId id, SimulatedLogs logs)
    {
        _world = world;
        _logs = logs;
        Place = place;
        _clock = new(world.Random, world.Options.ClockDriftPercent);
        _member = new(id, "", 100, $"zone{place % 3}");
        Logic = new(_member, world.Slots, world.Options, this);
        Logic.Start();
    }

    public int Place { get; }

    public SiloId Id => Logic.Id;

    public ClusterSilo Logic { get; }

    /// <summary>Whether the process exists; it may be suspended.</summary>
    public bool IsAlive { get; private set; } = true;

    /// <summary>Whether the silo knows that the cluster goes on without it.</summary>
    public bool IsExcluded { get; private set; }

    /// <summary>The step at which it runs on; in the past, unless it is suspended.</summary>
    public long SuspendedUntil { get; set; }

    public bool IsRunning => IsAlive && SuspendedUntil <= _world.Network.Step;

    public long Now => _clock.At(_world.Network.Step);

    public void Crash() => IsAlive = false;

    public void Tick()
    {
        Logic.Tick(Now);
        foreach (HeldSlot slot in _slots.Values)
        {
            if (slot.Slot is null) Claim(slot);
            else Flush(slot, again: Now - slot.SentAt >= _world.Options.Retry);
            SendCopy(slot);
        }
    }

    public void Deliver(in Heartbeat heartbeat) => Logic.OnHeartbeat(heartbeat, Now);

    public void Deliver(ClusterMessage message)
    {
        switch (message)
        {
            case CopyChunk chunk:
                OnChunk(chunk);
                break;
            case CopyAnswer answer:
                OnCopyAnswer(answer);
                break;
            default:
                Logic.OnMessage(message, Now);
                break;
        }
    }

    /// <summary>A client asks for something on one slot: to change it, or only to look.</summary>
    public void Ask(int slot, bool isWrite)
    {
        SimulatedHistory.Operation operation = _world.History.Begin(slot);
        long number = Logic.Requests.Send(slot, new Command(operation.Number, isWrite), Now);
        _asked.Add(number, new(operation, isWrite));
    }

    /// <summary>A client asks for something on several slots.</summary>
    public void AskUnit(int[] slots)
    {
        SimulatedHistory.Operation operation = _world.History.Begin(slots);
        long number = Logic.Units.Begin(slots, Now);
        _asked.Add(number, new(operation, true));
    }

    /// <summary>Wants to be left without slots, or not any more.</summary>
    public void Leave(bool isLeaving) => Logic.Membership.Describe(_member with { IsLeaving = isLeaving });

    public void Send(long node, in Heartbeat heartbeat) => _world.Network.Send(Place, Simulation.PlaceOf(node), node, heartbeat);

    public void Send(long node, ClusterMessage message) => _world.Network.Send(Place, Simulation.PlaceOf(node), node, message);

    public void ReadView() =>
        _world.Store.Read(ClusterDocuments.View, view => Later(() => Logic.OnViewRead((ClusterView?)view ?? ClusterView.Empty, Now)));

    public void WriteView(ClusterView view) =>
        _world.Store.Write(ClusterDocuments.View, view.Version, view, outcome => Later(() => Logic.OnViewWritten(view, outcome, Now)));

    public void ReadMap() => _world.Store.Read(ClusterDocuments.Slots, map => Later(() => { if (map is SlotMap read) Logic.OnMapRead(read, Now); }));

    public void WriteMap(SlotMap map) =>
        _world.Store.Write(ClusterDocuments.Slots, map.Version, map, outcome => Later(() => Logic.OnMapWritten(map, outcome, Now)));

    public void OpenSlot(int slot, long epoch)
    {
        var opening = new HeldSlot(slot, epoch);
        _slots[slot] = opening;
        Claim(opening);
    }

    public void CloseSlot(int slot) => _slots.Remove(slot);

    public void StartCopy(int slot, SiloId target, long move)
    {
        HeldSlot open = _slots[slot];
        (open.Target, open.Move, open.Copied) = (target, move, 0);
    }

    public void StopCopy(int slot) => _slots[slot].Target = SiloId.None;

    public (object? Reply, object? Effects) Run(OwnedSlot slot, RequestId id, object command)
    {
        _world.History.OnServed(slot.Number, slot.Epoch);
        SimulatedKeys keys = _slots[slot.Number].Keys;
        var (operation, isWrite) = (Command)command;
        if (!isWrite) return (keys.Count, null);
        keys.Add(slot.Number, operation);
        return (keys.Count, operation);
    }

    public object? Borrow(OwnedSlot slot) => _slots[slot.Number].Keys.Count;

    public object? Do(OwnedSlot slot, object part)
    {
        _world.History.OnServed(slot.Number, slot.Epoch);
        _slots[slot.Number].Keys.Add(slot.Number, (long)part);
        return part;
    }

    public (object? Reply, IReadOnlyList<object> Parts) RunUnit(long number, IReadOnlyList<object?> borrowed) =>
        (null, [.. borrowed.Select(_ => (object)_asked[number].Operation.Number)]);

    public void Append(OwnedSlot slot, LedgerRecord record)
    {
        HeldSlot open = _slots[slot.Number];
        open.Records.Add(record);
        Flush(open, again: false);
    }

    public void OnDone(long number, object? reply)
    {
        if (_asked.Remove(number, out Asked? asked)) _world.History.OnAcknowledged(asked.Operation, asked.IsWrite, reply);
    }

    public void OnExcluded() => IsExcluded = true;

    private void Claim(HeldSlot opening)
    {
        _world.Disturb(() =>
        {
            if (_logs.Claim(opening.Number, opening.Epoch) is { } records) Later(() => OnClaimed(opening, records));
        });
    }

    private void OnClaimed(HeldSlot opening, IReadOnlyList<LedgerRecord> records)
    {
        if (opening.Slot is not null || _slots.GetValueOrDefault(opening.Number) != opening) return;
        // What a move has brought is the beginning of what the log says, or all of it.
        if (_received.Remove(opening.Number, out ReceivedCopy? copy) && copy.Epoch == opening.Epoch - 1
            && !copy.Records.SequenceEqual(records.Take(copy.Records.Count)))
            throw new InvariantException($"The copy of slot {opening.Number} differs from its log.");
        (opening.Keys, SlotLedger ledger) = SimulatedKeys.Replay(opening.Number, records);
        _world.History.OnRecovered(opening.Number, opening.Epoch, opening.Keys, ledger.Prepared);
        opening.Records.AddRange(records);
        opening.Slot = new(opening.Number, opening.Epoch, ledger, _world.Options, Logic, Now);
        Logic.OnOpened(opening.Slot);
    }

    /// <summary>Brings records to the log: one request at a time, and the same again if it is not answered.</summary>
    private void Flush(HeldSlot open, bool again)
    {
        long from = open.Slot!.Durable;
        if (from == open.Records.Count || (open.SentAt != 0 && !again)) return;
        open.SentAt = Now;
        LedgerRecord[] records = [.. open.Records.Skip((int)from)];
        _world.Disturb(() =>
        {
            // A request to a shared store may arrive after its sender has died, one to a disk may not.
            if (!IsAlive && !_world.Options.IsStorageShared) return;
            if (_logs.Append(open.Number, open.Epoch, from, records) is not { } reached) return;
            _world.Disturb(() => Later(() =>
            {
                if (_slots.GetValueOrDefault(open.Number) != open) return;
                open.SentAt = 0;
                Logic.OnDurable(open.Slot, Math.Min(reached, open.Records.Count), Now);
                if (_slots.GetValueOrDefault(open.Number) == open) Flush(open, again: false);
            }));
        });
    }

    private void SendCopy(HeldSlot open)
    {
        if (open.Target.IsNone || open.Slot is null) return;
        long durable = open.Slot.Durable;
        if (open.Copied >= durable - 2) Logic.OnCopyNear(open.Number, open.Move, Now);
        if (Logic.Ownership.HasStopped(open.Number) && open.Copied == durable) Logic.OnCopied(open.Number, open.Move, Now);
        LedgerRecord[] records = [.. open.Records.Take((int)durable).Skip((int)open.Copied).Take(ChunkRecords)];
        if (records.Length > 0) Send(open.Target.Node, new CopyChunk(Id, open.Number, open.Epoch, open.Move, open.Copied, records));
    }

    private void OnChunk(CopyChunk chunk)
    {
        if (!Logic.AcceptsCopy(chunk.Slot, chunk.Move)) return;
        if (!_received.TryGetValue(chunk.Slot, out ReceivedCopy? copy) || copy.Move != chunk.Move)
        {
            _received[chunk.Slot] = copy = new(chunk.Epoch, chunk.Move);
            if (!_world.Options.IsStorageShared) _logs.Clear(chunk.Slot);
        }
        if (chunk.Start <= copy.Records.Count) copy.Records.AddRange(chunk.Records.Skip((int)(copy.Records.Count - chunk.Start)));
        if (!_world.Options.IsStorageShared)
        {
            _logs.Claim(chunk.Slot, chunk.Epoch);
            _logs.Append(chunk.Slot, chunk.Epoch, 0, copy.Records);
        }
        Send(chunk.From.Node, new CopyAnswer(Id, chunk.Slot, chunk.Move, copy.Records.Count));
    }

    private void OnCopyAnswer(CopyAnswer answer)
    {
        if (!_slots.TryGetValue(answer.Slot, out HeldSlot? open) || open.Target != answer.From || open.Move != answer.Move) return;
        if (answer.Position <= open.Copied) return;
        open.Copied = answer.Position;
        SendCopy(open);
    }

    /// <summary>Does something as this silo: as soon as it runs, and if it lives until then.</summary>
    private void Later(Action action)
    {
        if (IsRunning && !IsExcluded) action();
        else if (IsAlive && !IsExcluded) _world.Network.After(SuspendedUntil - _world.Network.Step, () => Later(action));
    }

    /// <param name="Operation">Its number.</param>
    /// <param name="IsWrite">Whether it changes its slot.</param>
    private sealed record Command(long Operation, bool IsWrite);

    private sealed record Asked(SimulatedHistory.Operation Operation, bool IsWrite);

    private sealed record CopyChunk(SiloId From, int Slot, long Epoch, long Move, long Start, LedgerRecord[] Records) : ClusterMessage(From);

    private sealed record CopyAnswer(SiloId From, int Slot, long Move, long Position) : ClusterMessage(From);

    private sealed class ReceivedCopy(long epoch, long move)
    {
        public long Epoch { get; } = epoch;

        public long Move { get; } = move;

        public List<LedgerRecord> Records { get; } = [];
    }

    private sealed class HeldSlot(int number, long epoch)
    {
        public int Number { get; } = number;

        public long Epoch { get; } = epoch;

        public SimulatedKeys Keys { get; set; } = new();

        /// <summary>Its whole log.</summary>
        public List<LedgerRecord> Records { get; } = [];

        /// <summary>Null until it is open.</summary>
        public OwnedSlot? Slot { get; set; }

        /// <summary>When the log was last asked to take records; 0 if it has answered.</summary>
        public long SentAt { get; set; }

        public SiloId Target { get; set; }

        public long Move { get; set; }

        /// <summary>How much of the log the target has.</summary>
        public long Copied { get; set; }
    }
}
