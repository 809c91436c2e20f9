namespace OrleansRedis.Cluster;

/// <summary>
/// What a slot's log says besides its keys: which requests have been run, what is prepared, what is decided. Whoever
/// replays the same records has the same ledger.
/// </summary>
public sealed class SlotLedger
{
    private readonly Dictionary<SiloId, Origin> _origins = [];
    private readonly Dictionary<RequestId, Decision> _decisions = [];

    /// <summary>The part of a unit that waits for its decision; null if none does. A slot has no more than one.</summary>
    public PreparedRecord? Prepared { get; private set; }

    /// <summary>The decisions that others have still to follow.</summary>
    public IReadOnlyCollection<Decision> Decisions => _decisions.Values;

    /// <summary>How many records it has seen: the position in the slot's log.</summary>
    public long Position { get; private set; }

    /// <summary>The next record of the log.</summary>
    public void Add(LedgerRecord record)
    {
        Position++;
        switch (record)
        {
            case AppliedRecord applied:
                Remember(applied.Id, applied.Floor, applied.Reply);
                break;
            case PreparedRecord prepared:
                Prepared = prepared;
                break;
            case ResolvedRecord:
                Prepared = null;
                break;
            case CommittedRecord committed:
                Remember(committed.Id, committed.Floor, committed.Reply);
                if (committed.Others.Count > 0) _decisions[committed.Id] = new(committed, Position);
                break;
            case SettledRecord settled:
                _decisions.Remove(settled.Id);
                break;
        }
    }

    /// <summary>Whether a request has been run, and with what result.</summary>
    public bool HasRun(RequestId id, out (object? Reply, long Position) answer)
    {
        answer = default;
        return _origins.TryGetValue(id.Origin, out Origin? origin) && origin.Answers.TryGetValue(id.Number, out answer);
    }

    /// <summary>Whether its origin has the answer to a request, so that this is an old copy of it.</summary>
    public bool IsFinished(RequestId id) => _origins.TryGetValue(id.Origin, out Origin? origin) && id.Number < origin.Floor;

    /// <summary>The decision about a unit, while others have to follow it; null if there is none.</summary>
    public Decision? DecisionOf(RequestId id) => _decisions.GetValueOrDefault(id);

    /// <summary>An origin has the answers to everything below this number.</summary>
    public void Finish(SiloId origin, long floor)
    {
        if (!_origins.TryGetValue(origin, out Origin? known)) _origins.Add(origin, known = new());
        if (floor <= known.Floor) return;
        for (; known.Numbers.TryPeek(out long number, out _) && number < floor; known.Numbers.Dequeue()) known.Answers.Remove(number);
        known.Floor = floor;
    }

    /// <summary>Forgets the requests of silos that are out: nothing comes from them any more that is accepted.</summary>
    public void ForgetAbsent(ClusterView view)
    {
        foreach (SiloId origin in _origins.Keys.Where(origin => !view.Contains(origin)).ToArray()) _origins.Remove(origin);
    }

    private void Remember(RequestId id, long floor, object? reply)
    {
        Finish(id.Origin, floor);
        Origin origin = _origins[id.Origin];
        origin.Answers[id.Number] = (reply, Position);
        origin.Numbers.Enqueue(id.Number, id.Number);
    }

    /// <summary>A decision that others have still to follow.</summary>
    /// <param name="record">The decision.</param>
    /// <param name="position">Its position in the log.</param>
    public sealed class Decision(CommittedRecord record, long position)
    {
        public CommittedRecord Record { get; } = record;

        public long Position { get; } = position;

        /// <summary>The slots whose owners have not said yet that they have done their part.</summary>
        public HashSet<int> Waiting { get; } = [.. record.Others];

        /// <summary>When they were last told.</summary>
        public long ToldAt { get; set; } = long.MinValue / 2;
    }

    private sealed class Origin
    {
        public long Floor { get; set; }

        public Dictionary<long, (object? Reply, long Position)> Answers { get; } = [];

        public PriorityQueue<long, long> Numbers { get; } = new();
    }
}
