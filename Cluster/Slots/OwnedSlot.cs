namespace OrleansRedis.Cluster;

/// <summary>
/// A slot that this silo has opened, under one epoch: who may do something to it, in which order, and what is
/// remembered of that. Requests and reservations are served in order of arrival. Nothing is answered before it is
/// durable, nor without the lease.
/// </summary>
public sealed class OwnedSlot
{
    private readonly ClusterSettings _options;
    private readonly ISlotOutput _output;
    private readonly LinkedList<SlotMessage> _waiting = [];
    private readonly Queue<(long Position, long Node, ClusterMessage Message)> _answers = new();
    private Reservation? _reservation;
    private long _tokens;
    private long _preparedAt, _askedAt;

    /// <param name="number">The slot.</param>
    /// <param name="epoch">The epoch in which this silo owns it.</param>
    /// <param name="ledger">What the slot's log says.</param>
    /// <param name="options">Times.</param>
    /// <param name="output">The silo.</param>
    /// <param name="now">The time.</param>
    public OwnedSlot(int number, long epoch, SlotLedger ledger, ClusterSettings options, ISlotOutput output, long now)
    {
        Number = number;
        Epoch = epoch;
        Ledger = ledger;
        Durable = ledger.Position;
        _options = options;
        _output = output;
        // What another owner has prepared may have waited for long.
        _preparedAt = now - options.Reservation;
        _askedAt = now - options.Retry;
    }

    /// <summary>The slot.</summary>
    public int Number { get; }

    /// <summary>The epoch in which this silo owns it.</summary>
    public long Epoch { get; }

    /// <summary>What its log says, with the records that are not durable yet.</summary>
    public SlotLedger Ledger { get; }

    /// <summary>Up to which position the log is durable.</summary>
    public long Durable { get; private set; }

    /// <summary>Whether nothing new is begun, because the slot is about to move.</summary>
    public bool IsDraining { get; private set; }

    /// <summary>Whether nothing is under way any more: no reservation, nothing that is not durable.</summary>
    public bool IsDrained => IsDraining && _reservation is null && Durable == Ledger.Position;

    /// <summary>Whether the slot is reserved for a unit that has not prepared it yet, and until when.</summary>
    public long? ReservedUntil => _reservation?.Deadline;

    private bool IsBlocked => IsDraining || _reservation is not null || Ledger.Prepared is not null;

    /// <summary>A message for this slot has arrived, and the silo holds its lease.</summary>
    public void OnMessage(SlotMessage message, long now)
    {
        switch (message)
        {
            case SlotRequest request:
                OnRequest(request);
                break;
            case ReserveRequest reserve:
                OnReserve(reserve, now);
                break;
            case PrepareRequest prepare:
                OnPrepare(prepare, now);
                break;
            case CommitRequest commit:
                OnCommit(commit);
                break;
            case AbortRequest abort:
                Abort(new(abort.From, abort.Number), abort.Attempt);
                break;
            case ReleaseRequest release:
                if (_reservation?.Token == release.Token) _reservation = null;
                break;
            case DecisionRequest request:
                OnDecisionRequest(request);
                break;
            case DecisionNotice notice:
                OnDecision(notice);
                break;
            case SettledNotice settled:
                OnSettled(settled);
                break;
        }
        Serve(now);
    }

    /// <summary>The log is durable up to a position.</summary>
    public void OnDurable(long position, long now)
    {
        Durable = Math.Max(Durable, position);
        bool mayAnswer = _output.MayAnswer(this);
        while (_answers.TryPeek(out (long Position, long Node, ClusterMessage Message) answer) && answer.Position <= Durable)
        {
            _answers.Dequeue();
            // Who asks again gets the answer then, from whoever may give it.
            if (mayAnswer) _output.Send(answer.Node, answer.Message);
        }
        TellDecisions(now);
        if (IsDrained) _output.OnDrained(this);
    }

    /// <summary>Time has passed.</summary>
    public void Tick(long now)
    {
        if (now > _reservation?.Deadline) _reservation = null;
        Serve(now);
        if (Ledger.Prepared is { } prepared && now - _preparedAt >= _options.Reservation && now - _askedAt >= _options.Retry)
        {
            _askedAt = now;
            if (_options.Has(Guards.Decision))
                _output.SendToOwner(new DecisionRequest(_output.Id, prepared.DecisionSlot, prepared.Id, prepared.Attempt, Number));
            else Abort(prepared.Id, prepared.Attempt);
        }
        TellDecisions(now);
        if (IsDrained) _output.OnDrained(this);
    }

    /// <summary>Begins nothing new, so that the slot can move once what is under way is finished.</summary>
    public void Drain() => IsDraining = true;

    /// <summary>The move does not happen.</summary>
    public void Resume(long now)
    {
        IsDraining = false;
        Serve(now);
    }

    /// <summary>Others are in now: what the silos that are out had asked for is forgotten, unless it is prepared.</summary>
    public void OnView(ClusterView view, long now)
    {
        Ledger.ForgetAbsent(view);
        if (_reservation is not null && !view.Contains(_reservation.Id.Origin)) _reservation = null;
        for (LinkedListNode<SlotMessage>? node = _waiting.First, next; node is not null; node = next)
        {
            next = node.Next;
            if (!view.Contains(node.Value.From)) _waiting.Remove(node);
        }
        Serve(now);
    }

    /// <summary>The slot is not this silo's any more: whoever waits has to go elsewhere.</summary>
    public void Leave(long mapVersion)
    {
        foreach (SlotMessage message in _waiting) TellElsewhere(_output, message, mapVersion);
        _waiting.Clear();
    }

    /// <summary>Answers a message about a slot that this silo does not serve.</summary>
    internal static void TellElsewhere(ISlotOutput output, SlotMessage message, long mapVersion)
    {
        long number = message switch
        {
            SlotRequest request => request.Number,
            ReserveRequest reserve => reserve.Number,
            PrepareRequest prepare => prepare.Number,
            CommitRequest commit => commit.Number,
            _ => 0,
        };
        if (number != 0) output.Send(message.From.Node, new SlotElsewhere(output.Id, message.From, number, mapVersion));
    }

    private void OnRequest(SlotRequest request)
    {
        var id = new RequestId(request.From, request.Number);
        if (!_output.View.Contains(id.Origin)) return;
        Ledger.Finish(id.Origin, request.Floor);
        if (Ledger.IsFinished(id) && _options.Has(Guards.Identity)) return;
        if (Ledger.HasRun(id, out (object? Reply, long Position) answer) && _options.Has(Guards.Identity))
            Answer(answer.Position, id.Origin, new RequestReply(_output.Id, id.Origin, id.Number, answer.Reply));
        else if (!_waiting.Any(other => other is SlotRequest && other.From == request.From && ((SlotRequest)other).Number == request.Number))
            _waiting.AddLast(request);
    }

    private void OnReserve(ReserveRequest reserve, long now)
    {
        var id = new RequestId(reserve.From, reserve.Number);
        if (!_output.View.Contains(id.Origin) || Ledger.IsFinished(id)) return;
        if (Ledger.HasRun(id, out _)) return;
        // A coordinator begins another attempt only when the one before is aborted.
        if (Ledger.Prepared?.Id == id && Ledger.Prepared.Attempt < reserve.Attempt) Abort(id, Ledger.Prepared.Attempt);
        if (_reservation?.Id == id)
        {
            // It is asked for again for as long as it is needed.
            if (_reservation.Attempt == reserve.Attempt) Grant(_reservation with { Deadline = now + _options.Reservation });
            if (_reservation.Attempt >= reserve.Attempt) return;
            _reservation = null;
        }
        for (LinkedListNode<SlotMessage>? node = _waiting.First; node is not null; node = node.Next)
        {
            if (node.Value is not ReserveRequest other || other.From != reserve.From || other.Number != reserve.Number) continue;
            if (other.Attempt < reserve.Attempt) node.Value = reserve;
            return;
        }
        _waiting.AddLast(reserve);
    }

    private void OnPrepare(PrepareRequest prepare, long now)
    {
        var id = new RequestId(prepare.From, prepare.Number);
        if (Ledger.Prepared?.Id == id && Ledger.Prepared.Attempt == prepare.Attempt)
        {
            Answer(Ledger.Position, id.Origin, new PrepareReply(_output.Id, id.Origin, id.Number, Number, prepare.Attempt));
            return;
        }
        if (!Stands(id, prepare.Attempt, prepare.Token))
        {
            _output.Send(id.Origin.Node, new RefusedReply(_output.Id, id.Origin, id.Number, Number, prepare.Attempt));
            return;
        }
        _reservation = null;
        _preparedAt = now;
        Append(new PreparedRecord(id, prepare.Attempt, prepare.DecisionSlot, prepare.Part));
        Answer(Ledger.Position, id.Origin, new PrepareReply(_output.Id, id.Origin, id.Number, Number, prepare.Attempt));
    }

    private void OnCommit(CommitRequest commit)
    {
        var id = new RequestId(commit.From, commit.Number);
        if (!_output.View.Contains(id.Origin)) return;
        Ledger.Finish(id.Origin, commit.Floor);
        if (Ledger.IsFinished(id)) return;
        if (Ledger.HasRun(id, out (object? Reply, long Position) answer))
        {
            Answer(answer.Position, id.Origin, new RequestReply(_output.Id, id.Origin, id.Number, answer.Reply));
            return;
        }
        if (!Stands(id, commit.Attempt, commit.Token))
        {
            _output.Send(id.Origin.Node, new RefusedReply(_output.Id, id.Origin, id.Number, Number, commit.Attempt));
            return;
        }
        _reservation = null;
        object? effects = commit.Part is null ? null : _output.Do(this, commit.Part);
        Append(new CommittedRecord(id, commit.Floor, commit.Attempt, commit.Others, commit.Reply, effects));
        Answer(Ledger.Position, id.Origin, new RequestReply(_output.Id, id.Origin, id.Number, commit.Reply));
    }

    /// <summary>
    /// What has become of a unit: while its reservation stands here, it may still be committed. If it is neither
    /// decided nor reserved, it never will be, and is aborted.
    /// </summary>
    private void OnDecisionRequest(DecisionRequest request)
    {
        SlotLedger.Decision? decision = Ledger.DecisionOf(request.Unit);
        bool isCommitted = decision?.Record.Attempt == request.Attempt;
        if (isCommitted ? decision!.Position > Durable : _reservation?.Id == request.Unit && _reservation.Attempt == request.Attempt) return;
        _output.Send(request.From.Node, new DecisionNotice(_output.Id, request.PreparedSlot, request.Unit, request.Attempt, isCommitted, Number));
    }

    private void OnDecision(DecisionNotice notice)
    {
        if (!notice.IsCommitted) Abort(notice.Unit, notice.Attempt);
        else
        {
            if (Ledger.Prepared is { } prepared && prepared.Id == notice.Unit && prepared.Attempt == notice.Attempt)
                Append(new ResolvedRecord(notice.Unit, notice.Attempt, true, _output.Do(this, prepared.Part)));
            // If it is not prepared here, it is done: it was prepared durably before it was committed.
            Answer(Ledger.Position, notice.From, new SettledNotice(_output.Id, notice.DecisionSlot, notice.Unit, Number));
        }
    }

    private void OnSettled(SettledNotice settled)
    {
        SlotLedger.Decision? decision = Ledger.DecisionOf(settled.Unit);
        if (decision is not null && decision.Waiting.Remove(settled.SettledSlot) && decision.Waiting.Count == 0) Append(new SettledRecord(settled.Unit));
    }

    /// <summary>Ends an attempt without effect, if it is reserved or prepared here.</summary>
    private void Abort(RequestId id, int attempt)
    {
        if (_reservation?.Id == id && _reservation.Attempt == attempt) _reservation = null;
        if (Ledger.Prepared?.Id == id && Ledger.Prepared.Attempt == attempt) Append(new ResolvedRecord(id, attempt, false, null));
        for (LinkedListNode<SlotMessage>? node = _waiting.First; node is not null; node = node.Next)
        {
            if (node.Value is not ReserveRequest other || other.From != id.Origin || other.Number != id.Number || other.Attempt > attempt) continue;
            _waiting.Remove(node);
            return;
        }
    }

    /// <summary>Serves who waits, until the slot is reserved or nobody waits.</summary>
    private void Serve(long now)
    {
        while (!IsBlocked && _waiting.First is { } first && _output.MayAnswer(this))
        {
            _waiting.RemoveFirst();
            if (first.Value is SlotRequest request) Run(request);
            else if (first.Value is ReserveRequest reserve)
            {
                Grant(new(new(reserve.From, reserve.Number), reserve.Attempt, new(Epoch, ++_tokens), now + _options.Reservation));
            }
        }
    }

    private void Run(SlotRequest request)
    {
        var id = new RequestId(request.From, request.Number);
        (object? reply, object? effects) = _output.Run(this, id, request.Command);
        if (effects is not null) Append(new AppliedRecord(id, request.Floor, reply, effects));
        Answer(Ledger.Position, id.Origin, new RequestReply(_output.Id, id.Origin, id.Number, reply));
    }

    private void Grant(Reservation reservation)
    {
        _reservation = reservation;
        RequestId id = reservation.Id;
        // What is borrowed may not be durable yet; the answer waits for it as any other does.
        Answer(Ledger.Position, id.Origin, new ReserveReply(
            _output.Id, id.Origin, id.Number, Number, reservation.Attempt, reservation.Token, _output.Borrow(this)));
    }

    private bool Stands(RequestId id, int attempt, SlotToken token)
    {
        if (!_options.Has(Guards.Epoch) && _reservation is not null) token = token with { Epoch = Epoch };
        return _reservation is not null && _reservation.Id == id && _reservation.Attempt == attempt && _reservation.Token == token;
    }

    private void Append(LedgerRecord record)
    {
        Ledger.Add(record);
        _output.Append(this, record);
    }

    /// <summary>Sends something as soon as a position of the log is durable.</summary>
    private void Answer(long position, SiloId to, ClusterMessage message)
    {
        if (position > Durable || _answers.Count > 0) _answers.Enqueue((position, to.Node, message));
        else if (_output.MayAnswer(this)) _output.Send(to.Node, message);
    }

    private void TellDecisions(long now)
    {
        foreach (SlotLedger.Decision decision in Ledger.Decisions)
        {
            if (decision.Position > Durable || now - decision.ToldAt < _options.Retry || !_output.MayAnswer(this)) continue;
            decision.ToldAt = now;
            foreach (int slot in decision.Waiting)
                _output.SendToOwner(new DecisionNotice(_output.Id, slot, decision.Record.Id, decision.Record.Attempt, true, Number));
        }
    }

    private sealed record Reservation(RequestId Id, int Attempt, SlotToken Token, long Deadline);
}
