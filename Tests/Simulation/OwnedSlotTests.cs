using OrleansRedis.Cluster;
using Xunit;

namespace OrleansRedis.Tests.Simulation;

/// <summary>One slot and its messages, in the orders that matter.</summary>
public sealed class OwnedSlotTests : ISlotOutput
{
    private static readonly SiloId s_owner = new(1, 1), s_client = new(2, 1);

    private readonly List<ClusterMessage> _sent = [];
    private readonly List<LedgerRecord> _log = [];
    private readonly List<object> _keys = [];
    private readonly ClusterSettings _options = new();
    private OwnedSlot _slot;
    private bool _holdsLease = true;
    private long _now = 10_000;

    public OwnedSlotTests() => _slot = new(5, 1, new(), _options, this, _now);

    SiloId ISlotOutput.Id => s_owner;

    ClusterView ISlotOutput.View { get; } = new(1, [new(s_owner, ""), new(s_client, "")], [], []);

    [Fact]
    public void A_request_is_answered_when_it_is_durable_and_again_without_being_run_again()
    {
        Receive(Request(1, "a"));
        Assert.Empty(_sent);
        _slot.OnDurable(1, _now);
        Receive(Request(1, "a"));
        Assert.Equal<ClusterMessage>([Reply(1, "a"), Reply(1, "a")], _sent);
        Assert.Equal(["a"], _keys);
    }

    [Fact]
    public void A_reply_that_becomes_durable_after_the_lease_has_ended_is_not_sent()
    {
        Receive(Request(1, "a"));
        _holdsLease = false;
        _slot.OnDurable(1, _now);
        Assert.Empty(_sent);
    }

    [Fact]
    public void Whoever_replays_the_log_answers_a_request_from_memory()
    {
        Receive(Request(1, "a"));
        Reopen();
        Receive(Request(1, "a"));
        Assert.Equal<ClusterMessage>([Reply(1, "a")], _sent);
        Assert.Equal(["a"], _keys);
    }

    [Fact]
    public void What_its_origin_has_the_answer_to_is_not_run_if_it_comes_late()
    {
        Receive(Request(3, "c", floor: 3));
        Receive(Request(2, "b", floor: 1));
        Assert.Equal(["c"], _keys);
    }

    [Fact]
    public void Requests_wait_behind_a_reservation_in_order_of_arrival()
    {
        Receive(new ReserveRequest(s_client, 5, 7, 1), Request(8, "a"), new ReserveRequest(s_client, 5, 9, 1), Request(10, "b"));
        Assert.Empty(_keys);
        Receive(new ReleaseRequest(s_client, 5, Token(7)));
        Assert.Equal(["a"], _keys);
        _slot.OnDurable(1, _now);
        Receive(new AbortRequest(s_client, 5, 9, 1));
        Assert.Equal(["a", "b"], _keys);
    }

    [Fact]
    public void A_reservation_ends_with_its_time_unless_it_is_asked_for_again()
    {
        Receive(new ReserveRequest(s_client, 5, 7, 1), Request(8, "a"));
        _now += _options.Reservation;
        Receive(new ReserveRequest(s_client, 5, 7, 1));
        _now += _options.Reservation;
        _slot.Tick(_now);
        Assert.Empty(_keys);
        _slot.Tick(++_now);
        Assert.Equal(["a"], _keys);
        Receive(new PrepareRequest(s_client, 5, 7, 1, Token(7), 2, "part"));
        Assert.IsType<RefusedReply>(_sent[^1]);
    }

    [Fact]
    public void What_is_prepared_waits_for_its_decision_whoever_opens_the_slot()
    {
        Prepare(7);
        Reopen();
        Receive(Request(8, "a"));
        Assert.Empty(_keys);
        _slot.Tick(_now);
        Assert.Equal(new DecisionRequest(s_owner, 2, new(s_client, 7), 1, 5), _sent[^1]);
        Receive(new DecisionNotice(s_client, 5, new(s_client, 7), 1, true, 2));
        Assert.Equal(["part", "a"], _keys);
        _slot.OnDurable(_log.Count, _now);
        Assert.Contains(new SettledNotice(s_owner, 2, new(s_client, 7), 5), _sent);
    }

    /// <summary>An old grant, and its coordinator is done: it says nothing about what has been prepared since.</summary>
    [Fact]
    public void Releasing_a_reservation_does_not_touch_what_is_prepared()
    {
        Prepare(7);
        Receive(new ReleaseRequest(s_client, 5, Token(7)));
        Assert.NotNull(_slot.Ledger.Prepared);
        Receive(new AbortRequest(s_client, 5, 7, 1));
        Assert.Null(_slot.Ledger.Prepared);
        Assert.Empty(_keys);
    }

    [Fact]
    public void A_unit_that_was_neither_committed_nor_stands_is_aborted_for_who_asks_and_cannot_be_committed_later()
    {
        Receive(new ReserveRequest(s_client, 5, 7, 1));
        SlotToken token = Token(7);
        var question = new DecisionRequest(s_client, 5, new(s_client, 7), 1, 6);
        int before = _sent.Count;
        Receive(question);
        Assert.Equal(before, _sent.Count);
        _now += _options.Reservation + 1;
        _slot.Tick(_now);
        Receive(question, new CommitRequest(s_client, 5, 7, 7, 1, token, [6], null, "part"));
        Assert.Equal<ClusterMessage>(
            [new DecisionNotice(s_owner, 6, new(s_client, 7), 1, false, 5), new RefusedReply(s_owner, s_client, 7, 5, 1)], _sent[before..]);
        Assert.Empty(_keys);
    }

    [Fact]
    public void A_decision_is_told_until_all_others_have_settled()
    {
        Receive(new ReserveRequest(s_client, 5, 7, 1));
        Receive(new CommitRequest(s_client, 5, 7, 7, 1, Token(7), [6, 8], "done", "part"));
        int Told() => _sent.Count(message => message is DecisionNotice { IsCommitted: true });
        Assert.Equal(0, Told());
        _slot.OnDurable(1, _now);
        Assert.Equal(2, Told());
        Receive(new SettledNotice(s_client, 5, new(s_client, 7), 8));
        _slot.Tick(_now += _options.Retry);
        Assert.Equal(3, Told());
        Reopen();
        _slot.Tick(_now);
        Assert.Equal(5, Told());
        Receive(new SettledNotice(s_client, 5, new(s_client, 7), 6), new SettledNotice(s_client, 5, new(s_client, 7), 8));
        Assert.IsType<SettledRecord>(_log[^1]);
        Assert.Empty(_slot.Ledger.Decisions);
    }

    [Fact]
    public void A_slot_that_is_about_to_move_finishes_what_is_under_way_and_begins_nothing()
    {
        Receive(new ReserveRequest(s_client, 5, 7, 1), Request(8, "a"));
        _slot.Drain();
        Assert.False(_slot.IsDrained);
        Receive(new CommitRequest(s_client, 5, 7, 7, 1, Token(7), [], null, "part"));
        Assert.False(_slot.IsDrained);
        _slot.OnDurable(1, _now);
        Assert.True(_slot.IsDrained);
        Assert.Equal(["part"], _keys);
        _slot.Resume(_now);
        Assert.Equal(["part", "a"], _keys);
    }

    [Fact]
    public void Whoever_waits_is_sent_elsewhere_when_the_slot_leaves()
    {
        _slot.Drain();
        Receive(Request(8, "a"));
        _slot.Leave(mapVersion: 9);
        Assert.Equal<ClusterMessage>([new SlotElsewhere(s_owner, s_client, 8, 9)], _sent);
    }

    bool ISlotOutput.MayAnswer(OwnedSlot slot) => _holdsLease;

    void ISlotOutput.Send(long node, ClusterMessage message) => _sent.Add(message);

    void ISlotOutput.SendToOwner(SlotMessage message) => _sent.Add(message);

    (object? Reply, object? Effects) ISlotOutput.Run(OwnedSlot slot, RequestId id, object command)
    {
        _keys.Add(command);
        return (command, command);
    }

    object? ISlotOutput.Borrow(OwnedSlot slot) => null;

    object? ISlotOutput.Do(OwnedSlot slot, object part)
    {
        _keys.Add(part);
        return part;
    }

    void ISlotOutput.Append(OwnedSlot slot, LedgerRecord record) => _log.Add(record);

    void ISlotOutput.OnDrained(OwnedSlot slot)
    {
    }

    private static SlotRequest Request(long number, object command, long floor = 1) => new(s_client, 5, number, floor, command);

    private static RequestReply Reply(long number, object reply) => new(s_owner, s_client, number, reply);

    private void Prepare(long unit)
    {
        Receive(new ReserveRequest(s_client, 5, unit, 1));
        Receive(new PrepareRequest(s_client, 5, unit, 1, Token(unit), 2, "part"));
    }

    private void Receive(params SlotMessage[] messages)
    {
        foreach (SlotMessage message in messages) _slot.OnMessage(message, _now);
    }

    /// <summary>The token of the last reservation for a unit.</summary>
    private SlotToken Token(long unit) => _sent.OfType<ReserveReply>().Last(reply => reply.Number == unit).Token;

    /// <summary>Another silo opens the slot.</summary>
    private void Reopen()
    {
        var ledger = new SlotLedger();
        foreach (LedgerRecord record in _log) ledger.Add(record);
        _slot = new(5, _slot.Epoch + 1, ledger, _options, this, _now);
    }
}
