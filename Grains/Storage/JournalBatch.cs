using System.Runtime.InteropServices;
using OrleansRedis.Engine;

namespace OrleansRedis.Grains.Storage;

/// <summary>
/// Units of effects from the log, to be appended to the store in one transaction. Used by the journal's loop alone.
/// </summary>
internal sealed class JournalBatch
{
    /// <summary>A batch that has reached either size, in bytes or in effects, takes no more units.</summary>
    internal const int LargeBatch = 8 << 20, ManyEffects = 32 * 1024;

    private readonly List<LoggedEffect> _effects = [];
    private readonly List<ReadOnlyMemory<LoggedEffect>> _runs = [];
    private readonly LogBytes _bytes = new();
    private Func<int, bool>? _wanted;

    /// <summary>The position after its last unit.</summary>
    public long End { get; private set; }

    /// <summary>
    /// Takes the units after a position of the log: all of them, or as many as make a large batch. Effects that belong
    /// to no slot are skipped, since they are part of no slot's history.
    /// </summary>
    /// <param name="reader">What reads the log.</param>
    /// <param name="from">The position.</param>
    /// <param name="wanted">Which slots' effects are taken; null for all.</param>
    public void Take(LogReader reader, long from, Func<int, bool>? wanted = null)
    {
        _wanted = wanted;
        _effects.Clear();
        reader.CollectEffects(from, ManyEffects, _runs);
        End = from;
        foreach (ReadOnlyMemory<LoggedEffect> run in _runs)
        {
            if (!TryAdd(run.Span, from)) break;
        }
        _runs.Clear();
        _bytes.Collect(reader, from, End);
    }

    /// <summary>Empties the batch.</summary>
    public void Clear()
    {
        _effects.Clear();
        _bytes.Clear();
    }

    /// <summary>
    /// The batch as one record for each slot. A unit in which a lost slot takes part is left out altogether, since a
    /// unit is stored as a whole or not at all. Its other slots then hold changes that are not stored, so they are lost
    /// as well.
    /// </summary>
    /// <param name="lost">Lost slots, with the epoch in which each was lost; slots lost for the reason above are
    /// added.</param>
    /// <param name="left">Receives the end positions of the units left out.</param>
    public List<SlotRecord> ToRecords(HashSet<SlotClaim> lost, List<long> left)
    {
        if (lost.Count != 0) CollectionsMarshal.SetCount(_effects, LeaveOut(CollectionsMarshal.AsSpan(_effects), lost, left));
        Span<LoggedEffect> effects = CollectionsMarshal.AsSpan(_effects);
        // First the length of each slot's record; then the records one after another in one array.
        var builders = new Dictionary<SlotClaim, Builder>();
        foreach (ref readonly LoggedEffect effect in effects)
        {
            ref Builder builder =
                ref CollectionsMarshal.GetValueRefOrAddDefault(builders, new(effect.Slot, effect.Epoch), out bool known);
            if (!known) builder.First = effect.Sequence;
            if (builder.Database != effect.Database) builder.Length += SelectCommand.LengthOf(effect.Database);
            builder.Length += effect.Length;
            builder.Database = effect.Database;
            builder.Last = effect.Sequence;
        }
        int total = 0;
        foreach (SlotClaim key in builders.Keys)
        {
            ref Builder builder = ref CollectionsMarshal.GetValueRefOrNullRef(builders, key);
            builder.Start = builder.At = total;
            builder.Database = 0;
            total += builder.Length;
        }
        byte[] all = GC.AllocateUninitializedArray<byte>(total);
        foreach (ref readonly LoggedEffect effect in effects)
        {
            ref Builder builder = ref CollectionsMarshal.GetValueRefOrNullRef(builders, new(effect.Slot, effect.Epoch));
            if (builder.Database != effect.Database) builder.At += SelectCommand.Write(effect.Database, all.AsSpan(builder.At));
            builder.Database = effect.Database;
            _bytes.CopyTo(effect.Position, all.AsSpan(builder.At, effect.Length));
            builder.At += effect.Length;
        }
        var records = new List<SlotRecord>(builders.Count);
        foreach ((SlotClaim key, Builder builder) in builders)
            records.Add(new(key.Slot, key.Epoch, builder.First, builder.Last, all.AsMemory(builder.Start, builder.Length)));
        return records;
    }

    /// <summary>Adds effects. False if the batch is large enough before all of them are in.</summary>
    private bool TryAdd(ReadOnlySpan<LoggedEffect> effects, long from)
    {
        foreach (ref readonly LoggedEffect effect in effects)
        {
            bool isLarge = effect.UnitEnd - from > LargeBatch || _effects.Count >= ManyEffects;
            if (isLarge && effect.UnitEnd != End && End != from) return false;
            End = effect.UnitEnd;
            if (effect.Slot != Effect.NoSlot && (_wanted is null || _wanted(effect.Slot))) _effects.Add(effect);
        }
        return true;
    }

    /// <summary>Moves the effects that stay to the front and returns how many they are.</summary>
    private static int LeaveOut(Span<LoggedEffect> effects, HashSet<SlotClaim> lost, List<long> left)
    {
        int kept = 0;
        for (int start = 0, end; start < effects.Length; start = end)
        {
            bool isLost = false;
            for (end = start; end < effects.Length && effects[end].UnitEnd == effects[start].UnitEnd; end++)
                isLost |= lost.Contains(new(effects[end].Slot, effects[end].Epoch));
            if (isLost)
            {
                for (int i = start; i < end; i++) lost.Add(new(effects[i].Slot, effects[i].Epoch));
                left.Add(effects[start].UnitEnd);
                continue;
            }
            for (int i = start; i < end; i++) effects[kept++] = effects[i];
        }
        return kept;
    }

    private struct Builder
    {
        public long First;
        public long Last;
        public int Database;
        public int Length;
        public int Start;
        public int At;
    }
}
