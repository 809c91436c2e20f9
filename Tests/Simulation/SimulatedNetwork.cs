using OrleansRedis.Cluster;

namespace OrleansRedis.Tests.Simulation;

/// <summary>
/// What is under way: messages between silos, answers of the store, and whatever else happens at a later step. A
/// message may be lost, come twice, be late, and be overtaken. Places are numbers from 0; on each lives one node at a
/// time.
/// </summary>
internal sealed class SimulatedNetwork
{
    /// <summary>The latest that anything arrives: what is later than that comes then.</summary>
    public const int Horizon = 4096;

    private readonly SimulatedRandom _random;
    /// <summary>The most messages that may be under way: more are a storm.</summary>
    private const int MostUnderWay = 2_000_000;

    private readonly Arrivals<Letter> _letters = new();
    private readonly Arrivals<HeartbeatLetter> _heartbeats = new();
    private readonly bool[,] _isCut;

    public SimulatedNetwork(SimulatedRandom random, int places)
    {
        _random = random;
        _isCut = new bool[places, places];
    }

    /// <summary>The present step.</summary>
    public long Step { get; private set; }

    /// <summary>How many in a million messages are lost.</summary>
    public int LossPerMillion { get; set; }

    /// <summary>How many in a million come twice.</summary>
    public int TwicePerMillion { get; set; }

    /// <summary>How many in a million take up to half a minute instead of a few steps.</summary>
    public int LatePerMillion { get; set; }

    /// <summary>The usual time from sending to arriving is from 1 to this many steps.</summary>
    public int Delay { get; set; } = 3;

    /// <summary>The number of messages that have arrived.</summary>
    public long Delivered { get; private set; }

    /// <summary>Cuts the way from one place to another, or mends it.</summary>
    public void Cut(int from, int to, bool isCut) => _isCut[from, to] = isCut;

    /// <summary>Mends everything.</summary>
    public void Heal()
    {
        Array.Clear(_isCut);
        LossPerMillion = TwicePerMillion = LatePerMillion = 0;
        Delay = 3;
    }

    public void Send(int from, int to, long node, in Heartbeat heartbeat)
    {
        if (_isCut[from, to] || _random.Millionth(LossPerMillion)) return;
        _heartbeats.Add(ArrivalStep(), new(to, node, heartbeat));
        if (_random.Millionth(TwicePerMillion)) _heartbeats.Add(ArrivalStep(), new(to, node, heartbeat));
    }

    public void Send(int from, int to, long node, object message)
    {
        if (_isCut[from, to] || _random.Millionth(LossPerMillion)) return;
        _letters.Add(ArrivalStep(), new(to, node, message));
        if (_random.Millionth(TwicePerMillion)) _letters.Add(ArrivalStep(), new(to, node, message));
    }

    /// <summary>Delivers a message again at a later step: its receiver is suspended.</summary>
    public void Postpone(in HeartbeatLetter letter, long until) => _heartbeats.Add(At(until - Step), letter);

    /// <inheritdoc cref="Postpone(in HeartbeatLetter, long)"/>
    public void Postpone(in Letter letter, long until) => _letters.Add(At(until - Step), letter);

    /// <summary>Does something in so many steps.</summary>
    public void After(long steps, Action action) => _letters.Add(At(steps), new(-1, 0, action));

    /// <summary>What arrives at the next step. It is to be given back (<see cref="Reuse"/>).</summary>
    public (List<Letter> Letters, List<HeartbeatLetter> Heartbeats) Advance()
    {
        Step++;
        int now = (int)(Step % Horizon);
        (List<Letter> Letters, List<HeartbeatLetter> Heartbeats) due = (_letters.Take(now), _heartbeats.Take(now));
        Delivered += due.Letters.Count + due.Heartbeats.Count;
        if (_letters.Count + _heartbeats.Count > MostUnderWay) throw new InvariantException($"{MostUnderWay} messages are under way.");
        return due;
    }

    /// <summary>Takes the lists of a step back.</summary>
    public void Reuse(List<Letter> letters, List<HeartbeatLetter> heartbeats)
    {
        _letters.Reuse(letters);
        _heartbeats.Reuse(heartbeats);
    }

    private int ArrivalStep() => At(_random.Millionth(LatePerMillion) ? _random.Between(10, 6000) : 1 + _random.Next(Delay));

    private int At(long steps) => (int)((Step + Math.Clamp(steps, 1, Horizon - 1)) % Horizon);

    /// <summary>
    /// What arrives at which step. Lists are used again, so that a few of them are all that the processor's cache has to
    /// hold.
    /// </summary>
    private sealed class Arrivals<T>
    {
        private readonly List<T>?[] _steps = new List<T>?[Horizon];
        private readonly Stack<List<T>> _spare = new();

        public int Count { get; private set; }

        public void Add(int step, in T item)
        {
            (_steps[step] ??= _spare.Count > 0 ? _spare.Pop() : []).Add(item);
            Count++;
        }

        public List<T> Take(int step)
        {
            List<T> items = _steps[step] ?? [];
            _steps[step] = null;
            Count -= items.Count;
            return items;
        }

        public void Reuse(List<T> items)
        {
            items.Clear();
            _spare.Push(items);
        }
    }

    /// <param name="To">The place; -1 if the message is an action.</param>
    /// <param name="Node">The node that it is for; if another one lives there by now, it is lost.</param>
    /// <param name="Message">The message.</param>
    public readonly record struct Letter(int To, long Node, object Message);

    /// <inheritdoc cref="Letter"/>
    public readonly record struct HeartbeatLetter(int To, long Node, Heartbeat Heartbeat);
}
