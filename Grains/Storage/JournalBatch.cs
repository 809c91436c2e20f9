using System.Runtime.InteropServices;
using OrleansRedis.Engine;

namespace OrleansRedis.Grains.Storage;

/// <summary>
/// Units of effects, as they lie in the log, to be appended to the store in one transaction. The journal's loop alone
/// uses it.
/// </summary>
internal sealed class JournalBatch
{
    /// <summary>A batch that is at least so large, in bytes or effects, is not added to.</summary>
    internal const int LargeBatch = 8 << 20, ManyEffects = 32 * 1024;

    private readonly List<LoggedEffect> _effects = [];
    private readonly List<ReadOnlyMemory<LoggedEffect>> _runs = [];
    private readonly LogBytes _bytes = new();

    /// <summary>The position after its last unit.</summary>
    public long End { get; private set; }

    /// <summary>
    /// Takes the units behind a position of the log: all that there are, or as many as make a large batch. Effects that
    /// belong to no slot are passed over: no slot's history has them.
    /// </summary>
    public void Take(LogReader reader, long from)
    {
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

    /// <summary>Forgets what it holds.</summary>
    public void Clear()
    {
        _effects.Clear();
        _bytes.Clear();
    }

    /// <summary>
    /// The batch as one record for each slot. A unit in which a lost slot takes part is left out as a whole, since it
    /// can only be stored as a whole; then its other slots hold what is not stored, and are lost as well.
    /// </summary>
    /// <param name="lost">Slots with the epoch in which they are lost; those that are lost for this are added.</param>
    /// <param name="left">Of units left out, the positions after them.</param>
    public List<SlotRecord> ToRecords(HashSet<SlotClaim> lost, List<long> left)
    {
        if (lost.Count != 0) CollectionsMarshal.SetCount(_effects, LeaveOut(CollectionsMarshal.AsSpan(_effects), lost, left));
        Span<LoggedEffect> effects = CollectionsMarshal.AsSpan(_effects);
        // How long each slot's record is, then the records one after the other in one array.
        var builders = new Dictionary<SlotClaim, Builder>();
        foreach (ref readonly LoggedEffect effect in effects)
        {
            ref Builder builder = ref CollectionsMarshal.GetValueRefOrAddDefault(builders, new(effect.Slot, effect.Epoch), out bool known);
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

    /// <summary>Adds effects; false if the batch is large enough before all of them are in.</summary>
    private bool TryAdd(ReadOnlySpan<LoggedEffect> effects, long from)
    {
        foreach (ref readonly LoggedEffect effect in effects)
        {
            bool isLarge = effect.UnitEnd - from > LargeBatch || _effects.Count >= ManyEffects;
            if (isLarge && effect.UnitEnd != End && End != from) return false;
            End = effect.UnitEnd;
            if (effect.Slot != Effect.NoSlot) _effects.Add(effect);
        }
        return true;
    }

    /// <summary>Moves what is kept to the front and returns how much that is.</summary>
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
