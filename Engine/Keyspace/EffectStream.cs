namespace OrleansRedis.Engine;

/// <summary>Where one effect lies in the bytes of its unit, and which slot it belongs to.</summary>
/// <param name="Slot">
/// The slot that it changes; <see cref="NoSlot"/> if it belongs to no slot (PUBLISH, FUNCTION FLUSH).
/// </param>
/// <param name="Epoch">The slot's epoch.</param>
/// <param name="Sequence">
/// Its number within slot and epoch, counting from 1 without gaps. An effect without a slot has no number.
/// </param>
/// <param name="Database">The logical database; <see cref="AnyDatabase"/> if that does not matter.</param>
/// <param name="Start">Where its RESP frame starts in the unit's bytes.</param>
/// <param name="Length">The length of that frame.</param>
/// <param name="IsShare">
/// Whether it is another slot's share of a command that the effect before it in the unit has already given (FLUSHALL,
/// FLUSHDB, SWAPDB). The log contains that command once.
/// </param>
public readonly record struct Effect(int Slot, long Epoch, long Sequence, int Database, int Start, int Length, bool IsShare = false)
{
    /// <summary>Stands for a slot's number: the effect belongs to no slot.</summary>
    public const int NoSlot = -1;

    /// <summary>Stands for a database's number: the effect means the same in every database.</summary>
    public const int AnyDatabase = -1;
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
    /// <summary>
    /// Something happened to a key. Called under the slot's gate: must be quick, copy what it keeps, and not call back.
    /// </summary>
    void OnKeyEvent(KeyEvents kind, ReadOnlySpan<byte> name, ReadOnlySpan<byte> key, int database);
}

/// <summary>
/// Where writes leave their effects: for the log as deterministic commands, which are not the requests themselves, and
/// for listeners as keyspace events. While nobody reads the log, that costs one field read per write.
/// </summary>
public sealed class EffectStream
{
    // Every command reads this flag. It is kept apart from what every write changes in the log: on the same cache line
    // it would travel from core to core.
    private volatile bool _hasConsumers;

    public EffectStream(ReplicationLog log)
    {
        Log = log;
        log.OpenChanged = isOpen => _hasConsumers = isOpen;
    }

    /// <summary>The log of all effects, in one order.</summary>
    public ReplicationLog Log { get; }

    /// <summary>Whether anyone reads the log, so that effects are worth recording.</summary>
    public bool HasConsumers => _hasConsumers;

    /// <summary>Receives keyspace events; null if nobody listens.</summary>
    public IKeyEventConsumer? KeyEvents { get; set; }
}

/// <summary>
/// Gathers the effects of one unit (a command, a transaction) until its end, under the gates. Each executing thread of
/// control has one, and reuses it.
/// </summary>
public sealed class EffectUnit
{
    private readonly List<Effect> _effects = [];
    private readonly RespWriter _bytes = new();

    internal bool IsEmpty => _effects.Count == 0;

    internal int Count => _effects.Count;

    /// <summary>
    /// Begins an effect: write one command of <paramref name="argumentCount"/> bulk strings to the writer, then call
    /// <see cref="End"/>.
    /// </summary>
    internal RespWriter Begin(int argumentCount)
    {
        _start = _bytes.Length;
        _bytes.Array(argumentCount);
        return _bytes;
    }

    /// <summary>Ends the effect that <see cref="Begin"/> began; see <see cref="Effect"/>.</summary>
    internal void End(Slot slot, int database, bool isShare = false) =>
        _effects.Add(new(slot.Number, slot.Epoch, ++slot.Sequence, database, _start, _bytes.Length - _start, isShare));

    /// <summary>Ends an effect that belongs to no slot.</summary>
    internal void EndWithoutSlot() => _effects.Add(new(Effect.NoSlot, 0, 0, Effect.AnyDatabase, _start, _bytes.Length - _start));

    internal void AddFrame(Slot slot, int database, ReadOnlySpan<byte> frame)
    {
        _start = _bytes.Length;
        _bytes.Raw(frame);
        End(slot, database);
    }

    internal void PublishTo(EffectStream stream)
    {
        if (_effects.Count == 0) return;
        stream.Log.Append(System.Runtime.InteropServices.CollectionsMarshal.AsSpan(_effects), _bytes.Written);
        _effects.Clear();
        _bytes.Clear();
    }

    /// <summary>
    /// Drops the effects after the first <paramref name="count"/>, as if they had never been; the gates of their slots are
    /// held.
    /// </summary>
    internal void DropAfter(int count, SlotTable slots)
    {
        if (_effects.Count <= count) return;
        for (int i = count; i < _effects.Count; i++)
        {
            if (_effects[i].Slot != Effect.NoSlot && slots[_effects[i].Slot] is { } slot) slot.Sequence--;
        }
        _bytes.TruncateTo(_effects[count].Start);
        _effects.RemoveRange(count, _effects.Count - count);
    }

    /// <summary>Drops everything that is not published, a half-written effect included.</summary>
    internal void Discard()
    {
        _effects.Clear();
        _bytes.Clear();
    }

    private int _start;
}
