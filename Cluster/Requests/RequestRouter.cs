namespace OrleansRedis.Cluster;

/// <summary>What <see cref="RequestRouter"/> and <see cref="UnitCoordinator"/> ask of their silo.</summary>
public interface IRequestOutput
{
    SiloId Id { get; }

    /// <summary>The newest map; null while nothing may be sent by it.</summary>
    SlotMap? Map { get; }

    void Send(long node, ClusterMessage message);

    /// <summary>A request, or a unit, is done.</summary>
    void OnDone(long number, object? reply);

    /// <summary>
    /// Runs a unit on what it has borrowed, in the order of its slots. Returns its reply and its part for each slot.
    /// </summary>
    (object? Reply, IReadOnlyList<object> Parts) RunUnit(long number, IReadOnlyList<object?> borrowed);
}

/// <summary>
/// Brings the requests that a silo has taken from clients to the owners of their slots, and again, until they are
/// answered: after a while, and as soon as a slot has another owner. Numbers are those of units, too.
/// </summary>
public sealed class RequestRouter(ClusterSettings options, IRequestOutput output)
{
    private readonly SortedDictionary<long, Pending> _pending = [];
    private readonly SortedSet<long> _open = [];
    private long _last;

    /// <summary>How many requests and units have no answer yet.</summary>
    public int Count => _open.Count;

    /// <summary>Below this number everything is answered.</summary>
    public long Floor => _open.Count > 0 ? _open.Min : _last + 1;

    /// <summary>The number for another request or unit.</summary>
    internal long Take()
    {
        _open.Add(++_last);
        return _last;
    }

    /// <summary>A request or unit is done.</summary>
    internal void Release(long number) => _open.Remove(number);

    /// <summary>Sends a command to the owner of its slot.</summary>
    /// <returns>The number by which its reply will come.</returns>
    public long Send(int slot, object command, long now)
    {
        var pending = new Pending(Take(), slot, command);
        _pending.Add(pending.Number, pending);
        Send(pending, now);
        return pending.Number;
    }

    /// <summary>Gives a request up, whose outcome is not known then: its client's connection has to be closed.</summary>
    public void Abandon(long number)
    {
        _pending.Remove(number);
        Release(number);
    }

    /// <summary>An answer has come.</summary>
    public void OnReply(RequestReply reply)
    {
        if (!_pending.Remove(reply.Number)) return;
        Release(reply.Number);
        output.OnDone(reply.Number, reply.Reply);
    }

    /// <summary>A newer map holds.</summary>
    public void OnMap(SlotMap map, long now)
    {
        foreach (Pending pending in _pending.Values)
        {
            if (map[pending.Slot].Owner != pending.SentTo) Send(pending, now);
        }
    }

    /// <summary>Time has passed.</summary>
    public void Tick(long now)
    {
        foreach (Pending pending in _pending.Values)
        {
            if (now - pending.SentAt >= options.Retry) Send(pending, now);
        }
    }

    private void Send(Pending pending, long now)
    {
        if (output.Map is not { } map) return;
        pending.SentTo = map[pending.Slot].Owner;
        pending.SentAt = now;
        if (!pending.SentTo.IsNone) output.Send(pending.SentTo.Node, new SlotRequest(output.Id, pending.Slot, pending.Number, Floor, pending.Command));
    }

    private sealed class Pending(long number, int slot, object command)
    {
        public long Number { get; } = number;

        public int Slot { get; } = slot;

        public object Command { get; } = command;

        public SiloId SentTo { get; set; }

        public long SentAt { get; set; }
    }
}
