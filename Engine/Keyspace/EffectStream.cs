namespace OrleansRedis.Engine;

/// <summary>Where in a unit's bytes one effect lies, and whose it is.</summary>
/// <param name="Slot">The slot it changes.</param>
/// <param name="Epoch">The slot's epoch.</param>
/// <param name="Sequence">Its number within slot and epoch, from 1 without gaps.</param>
/// <param name="Database">The logical database.</param>
/// <param name="Start">Where its RESP frame starts in the unit's bytes.</param>
/// <param name="Length">How long that frame is.</param>
/// <param name="IsShare">It is another slot's share of the command that the effect before it in the unit gives too (FLUSHALL, FLUSHDB, SWAPDB): a log of all slots writes that once.</param>
public readonly record struct Effect(int Slot, long Epoch, long Sequence, int Database, int Start, int Length, bool IsShare = false);

/// <summary>Consumes what writes do: the append log, replication.</summary>
public interface IEffectConsumer
{
    /// <summary>
    /// One atomic unit of effects, in order: what one command, or one transaction, did. Called while the gates of all its slots
    /// are held, so a slot's effects arrive in their order; units of different slots may arrive at the same time on different threads.
    /// Must be quick, must copy what it keeps, and must not call back.
    /// </summary>
    void OnUnit(ReadOnlySpan<Effect> effects, ReadOnlySpan<byte> bytes);
}

/// <summary>The classes of keyspace events, with the letters of notify-keyspace-events.</summary>
[Flags]
public enum KeyEvents
{
    None = 0,
    Generic = 1 << 2,   // g
    String = 1 << 3,    // $
    List = 1 << 4,      // l
    Set = 1 << 5,       // s
    Hash = 1 << 6,      // h
    SortedSet = 1 << 7, // z
    Expired = 1 << 8,   // x
    Evicted = 1 << 9,   // e
    Stream = 1 << 10,   // t
    KeyMiss = 1 << 11,  // m
    New = 1 << 14,      // n
}

/// <summary>Consumes keyspace events (notify-keyspace-events).</summary>
public interface IKeyEventConsumer
{
    /// <summary>Something happened to a key. Called under the slot's gate; must be quick, copy what it keeps, and not call back.</summary>
    void OnKeyEvent(KeyEvents kind, ReadOnlySpan<byte> name, ReadOnlySpan<byte> key, int database);
}

/// <summary>
/// What every write on this silo does, as deterministic commands (DESIGN: effects, not requests), and the events that tell of it.
/// With no consumer it costs one field read per write.
/// </summary>
public sealed class EffectStream
{
    private readonly Lock _changing = new();
    private volatile IEffectConsumer[] _consumers = [];
    private IEffectConsumer[]? _suspended;

    /// <summary>Whether anyone listens, so that effects are worth writing down.</summary>
    public bool HasConsumers => _consumers.Length != 0;

    /// <summary>Who hears of keyspace events; null for nobody.</summary>
    public IKeyEventConsumer? KeyEvents { get; set; }

    /// <summary>Adds a consumer. It sees whole units from some instant on; take the silo gate exclusively to fix that instant.</summary>
    public void Add(IEffectConsumer consumer)
    {
        lock (_changing)
        {
            if (_suspended is null) _consumers = [.. _consumers, consumer];
            else _suspended = [.. _suspended, consumer];
        }
    }

    /// <summary>Removes a consumer; a unit may still be on its way to it.</summary>
    public void Remove(IEffectConsumer consumer)
    {
        lock (_changing)
        {
            _consumers = [.. _consumers.Where(other => other != consumer)];
            _suspended = _suspended is null ? null : [.. _suspended.Where(other => other != consumer)];
        }
    }

    /// <summary>What is done from here on is nobody's business, as it has been told before: a log is loaded.</summary>
    internal void Suspend()
    {
        lock (_changing)
        {
            _suspended = _consumers;
            _consumers = [];
        }
    }

    /// <summary>Ends <see cref="Suspend"/>.</summary>
    internal void Resume()
    {
        lock (_changing)
        {
            _consumers = _suspended ?? _consumers;
            _suspended = null;
        }
    }

    internal void Publish(ReadOnlySpan<Effect> effects, ReadOnlySpan<byte> bytes)
    {
        foreach (IEffectConsumer consumer in _consumers) consumer.OnUnit(effects, bytes);
    }
}

/// <summary>Gathers the effects of one unit (a command, a transaction) until its end, inside the gates. One per executing thread of control, reused.</summary>
public sealed class EffectUnit
{
    private readonly List<Effect> _effects = [];
    private readonly RespWriter _bytes = new();

    internal bool IsEmpty => _effects.Count == 0;

    internal int Count => _effects.Count;

    /// <summary>Begins an effect: write one command of <paramref name="argumentCount"/> bulk strings to the writer, then call <see cref="End"/>.</summary>
    internal RespWriter Begin(int argumentCount)
    {
        _start = _bytes.Length;
        _bytes.Array(argumentCount);
        return _bytes;
    }

    /// <summary>Ends what <see cref="Begin"/> began; see <see cref="Effect"/>.</summary>
    internal void End(Slot slot, int database, bool isShare = false) =>
        _effects.Add(new(slot.Number, slot.Epoch, ++slot.Sequence, database, _start, _bytes.Length - _start, isShare));

    internal void AddFrame(Slot slot, int database, ReadOnlySpan<byte> frame)
    {
        _start = _bytes.Length;
        _bytes.Raw(frame);
        End(slot, database);
    }

    internal void PublishTo(EffectStream stream)
    {
        if (_effects.Count == 0) return;
        stream.Publish(System.Runtime.InteropServices.CollectionsMarshal.AsSpan(_effects), _bytes.Written);
        _effects.Clear();
        _bytes.Clear();
    }

    /// <summary>Forgets what is not published, a half-written effect included.</summary>
    internal void Discard()
    {
        _effects.Clear();
        _bytes.Clear();
    }

    private int _start;
}
