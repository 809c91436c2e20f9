using System.Runtime.InteropServices;
using OrleansRedis.Engine;

namespace OrleansRedis.Grains.Storage;

/// <summary>Units of effects as they came, to be appended in one transaction. Filled under the journal's lock, then read by its loop alone.</summary>
internal sealed class JournalBatch
{
    /// <summary>A buffer beyond this, which one enormous unit has needed, is not kept for the next batch.</summary>
    private const int LargestKept = 16 << 20;

    private readonly List<Entry> _entries = [];
    private byte[] _bytes = new byte[4096];

    /// <summary>Bytes of all effects.</summary>
    public int Length { get; private set; }

    /// <summary>The position after its last unit.</summary>
    public long Last { get; private set; }

    /// <summary>When its first unit came, in <see cref="System.Diagnostics.Stopwatch"/> ticks.</summary>
    public long Since { get; private set; }

    public int Effects => _entries.Count;

    public bool IsEmpty => _entries.Count == 0;

    public void Add(ReadOnlySpan<Effect> effects, ReadOnlySpan<byte> bytes, long position, long now)
    {
        if (IsEmpty) Since = now;
        if (_bytes.Length - Length < bytes.Length) Array.Resize(ref _bytes, (int)Math.Min(Array.MaxLength, Math.Max(_bytes.Length * 2L, (long)Length + bytes.Length)));
        bytes.CopyTo(_bytes.AsSpan(Length));
        int first = _entries.Count;
        CollectionsMarshal.SetCount(_entries, first + effects.Length);
        Span<Entry> room = CollectionsMarshal.AsSpan(_entries)[first..];
        for (int i = 0; i < effects.Length; i++)
        {
            ref readonly Effect effect = ref effects[i];
            room[i] = new(effect.Slot, effect.Epoch, effect.Sequence, effect.Database, Length + effect.Start, effect.Length, position);
        }
        Length += bytes.Length;
        Last = position;
    }

    public void Clear()
    {
        _entries.Clear();
        Length = 0;
        if (_bytes.Length > LargestKept) _bytes = new byte[4096];
    }

    /// <summary>
    /// The batch as one record for each slot. A unit in which a lost slot takes part is left out as a whole, since it can only be stored as a whole; then
    /// its other slots hold what is not stored, and are lost as well.
    /// </summary>
    /// <param name="lost">Slots with the epoch in which they are lost; those that are lost for this are added.</param>
    /// <param name="left">Positions of units left out.</param>
    public List<SlotRecord> ToRecords(HashSet<SlotClaim> lost, List<long> left)
    {
        if (lost.Count != 0) CollectionsMarshal.SetCount(_entries, LeaveOut(CollectionsMarshal.AsSpan(_entries), lost, left));
        Span<Entry> entries = CollectionsMarshal.AsSpan(_entries);
        // How long each slot's record is, then the records one after the other in one array.
        var builders = new Dictionary<SlotClaim, Builder>();
        foreach (ref readonly Entry entry in entries)
        {
            ref Builder builder = ref CollectionsMarshal.GetValueRefOrAddDefault(builders, new(entry.Slot, entry.Epoch), out bool known);
            if (!known) builder.First = entry.Sequence;
            builder.Length += SelectLength(builder.Database, entry.Database) + entry.Length;
            builder.Database = entry.Database;
            builder.Last = entry.Sequence;
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
        foreach (ref readonly Entry entry in entries)
        {
            ref Builder builder = ref CollectionsMarshal.GetValueRefOrNullRef(builders, new(entry.Slot, entry.Epoch));
            builder.At += WriteSelect(builder.Database, entry.Database, all.AsSpan(builder.At));
            builder.Database = entry.Database;
            _bytes.AsSpan(entry.Start, entry.Length).CopyTo(all.AsSpan(builder.At));
            builder.At += entry.Length;
        }
        var records = new List<SlotRecord>(builders.Count);
        foreach ((SlotClaim key, Builder builder) in builders)
            records.Add(new(key.Slot, key.Epoch, builder.First, builder.Last, all.AsMemory(builder.Start, builder.Length)));
        return records;
    }

    /// <summary>Moves what is kept to the front and returns how much that is.</summary>
    private static int LeaveOut(Span<Entry> entries, HashSet<SlotClaim> lost, List<long> left)
    {
        int kept = 0;
        for (int start = 0, end; start < entries.Length; start = end)
        {
            bool isLost = false;
            for (end = start; end < entries.Length && entries[end].Unit == entries[start].Unit; end++)
                isLost |= lost.Contains(new(entries[end].Slot, entries[end].Epoch));
            if (isLost)
            {
                for (int i = start; i < end; i++) lost.Add(new(entries[i].Slot, entries[i].Epoch));
                left.Add(entries[start].Unit);
                continue;
            }
            for (int i = start; i < end; i++) entries[kept++] = entries[i];
        }
        return kept;
    }

    private static int SelectLength(int from, int to)
    {
        if (from == to) return 0;
        int digits = Digits(to);
        return "*2\r\n$6\r\nSELECT\r\n$"u8.Length + Digits(digits) + 2 + digits + 2;
    }

    private static int WriteSelect(int from, int to, Span<byte> target)
    {
        if (from == to) return 0;
        System.Text.Unicode.Utf8.TryWrite(target, System.Globalization.CultureInfo.InvariantCulture, $"*2\r\n$6\r\nSELECT\r\n${Digits(to)}\r\n{to}\r\n", out int written);
        return written;
    }

    private static int Digits(int number) => number < 10 ? 1 : 1 + Digits(number / 10);

    /// <summary>An effect, with the position of its unit.</summary>
    private readonly record struct Entry(int Slot, long Epoch, long Sequence, int Database, int Start, int Length, long Unit);

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
