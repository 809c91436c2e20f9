using System.Diagnostics;
using System.Runtime.CompilerServices;

namespace OrleansRedis.Engine;

/// <summary>How a <see cref="ByteTable{TKeyOf}"/> finds the key inside one of its entries.</summary>
internal interface IKeyOf
{
    /// <summary>The key of <paramref name="entry"/>. It never changes while the entry is in a table.</summary>
    static abstract ReadOnlySpan<byte> KeyOf(object entry);
}

/// <summary>
/// A hash table of objects that carry their own key bytes: open addressing, linear probing, 16 bytes a cell.
/// <para>
/// The home cell of a hash is <c>hash * homes / 2^32</c>. So a table of any size is ordered by hash, but for a little
/// disorder within each run of occupied cells. Everything unusual here follows from that order. The capacity can be any
/// number, not just a power of two. A scan cursor is a hash: it stays valid while the table grows and shrinks, and a
/// scan meets every entry that stays exactly once. And a large table is resized step by step: the hashes below a rising
/// boundary live in the new cells, the others still in the old.
/// </para>
/// <para>
/// Probing never wraps around. Behind the last home there are spare cells, and if a run would go beyond them, the table
/// grows.
/// </para>
/// Not thread-safe: only the thread that holds the slot's gate may touch it.
/// </summary>
internal class ByteTable<TKeyOf> where TKeyOf : struct, IKeyOf
{
    /// <summary>
    /// Tables of more cells than this are resized step by step. Moving this many at once takes well under a
    /// millisecond.
    /// </summary>
    private const int IncrementalFrom = 1 << 15;
    private const int CellsPerStep = 64;
    private const int SmallestLength = 8;
    private const int MostForeseen = 16;

    private Cells _cells;
    private Cells _old;             // while resizing: the cells from _oldNext on; otherwise empty
    private int _oldNext;
    private ulong _boundary;        // hashes below it are in _cells, the others in _old; 2^32 when not resizing
    private int _count;

    // Hashes are first multiplied by an odd number of the table's own. Otherwise all tables would be ordered alike, and
    // filling one table in the order of another would pile everything up at the low end of the new one while it is
    // still small.
    private readonly uint _mixer = 1;
    private readonly uint _unmixer = 1;

    /// <param name="expectedCount">How many entries to make room for.</param>
    /// <param name="commonOrder">
    /// Whether the order, and so scan cursors, are the same in all tables of this process that ask for this.
    /// </param>
    public ByteTable(int expectedCount = 0, bool commonOrder = false)
    {
        _cells = Cells.Create(LengthFor(expectedCount));
        _boundary = 1UL << 32;
        if (commonOrder) return;
        _mixer = (uint)System.Random.Shared.NextInt64(1L << 32) | 1;
        _unmixer = _mixer;
        for (int i = 0; i < 4; i++) _unmixer *= 2 - (_mixer * _unmixer); // Newton's method for the inverse modulo 2^32
    }

    /// <summary>A copy of another table. The entries themselves are shared, not copied.</summary>
    public ByteTable(ByteTable<TKeyOf> other)
    {
        other.FinishResize();
        _cells = other._cells.Copy();
        _boundary = 1UL << 32;
        _count = other._count;
        _mixer = other._mixer;
        _unmixer = other._unmixer;
    }

    /// <summary>The number of entries.</summary>
    public int Count => _count;

    /// <summary>The bytes of the arrays, for memory accounting.</summary>
    public long ArrayBytes => (16L * (_cells.Length + _old.Length)) + 24;

    /// <summary>
    /// The cell that holds the entry with this key, or a null reference. Valid until the next Add or Remove.
    /// </summary>
    public ref object? Find(scoped ReadOnlySpan<byte> key, uint hash)
    {
        hash *= _mixer;
        if (hash < _boundary) return ref _cells.Find(key, hash);
        return ref _old.Find(key, hash);
    }

    /// <summary>
    /// Touches the cell where a search for this hash begins, to bring it into the cache. Like <see cref="Foresee"/> it
    /// may be called without the gate: the answer may then be wrong.
    /// </summary>
    public uint ForeseeHome(uint hash)
    {
        Cell[] cells = _cells.All;
        int home = _cells.HomeOf(hash * _mixer);
        return (uint)home < (uint)cells.Length ? cells[home].Hash : 0;
    }

    /// <summary>The entry that a search for this hash will most probably end at, if any.</summary>
    public object? Foresee(uint hash)
    {
        hash *= _mixer;
        Cell[] cells = _cells.All;
        int home = _cells.HomeOf(hash);
        for (int i = home; (uint)i < (uint)cells.Length && i < home + MostForeseen && cells[i].Entry is { } entry; i++)
        {
            if (cells[i].Hash == hash) return entry;
        }
        return null;
    }

    /// <summary>The entry with this key, or null.</summary>
    public object? Get(ReadOnlySpan<byte> key)
    {
        ref object? cell = ref Find(key, KeyHash.Of(key));
        return Unsafe.IsNullRef(ref cell) ? null : cell;
    }

    /// <summary>Adds an entry whose key is known to be absent.</summary>
    public void Add(object entry) => Add(entry, KeyHash.Of(TKeyOf.KeyOf(entry)));

    /// <summary>Adds an entry whose key, of the given hash, is known to be absent.</summary>
    public void Add(object entry, uint hash)
    {
        hash *= _mixer;
        if (_old.Length != 0) Step();
        else if (_count >= _cells.MaxCount) Resize(_cells.Length + Math.Max(SmallestLength / 2, _cells.Length / 2));
        while (!(hash < _boundary ? _cells.TryAdd(entry, hash) : _old.TryAdd(entry, hash)))
        {
            FinishResize();
            Resize(_cells.Length + Math.Max(SmallestLength / 2, _cells.Length / 2));
            FinishResize();
        }
        _count++;
    }

    /// <summary>Removes the entry with this key and returns it, or null if there is none.</summary>
    public object? Remove(ReadOnlySpan<byte> key) => Remove(key, KeyHash.Of(key));

    /// <summary>Removes the entry with this key and hash and returns it, or null if there is none.</summary>
    public object? Remove(ReadOnlySpan<byte> key, uint hash)
    {
        hash *= _mixer;
        if (_old.Length != 0) Step();
        object? entry = hash < _boundary ? _cells.Remove(key, hash) : _old.Remove(key, hash);
        if (entry is null) return null;
        _count--;
        if (_old.Length == 0 && _cells.Length > SmallestLength && _count < _cells.Length / 8) Resize(LengthFor(_count * 2));
        return entry;
    }

    /// <summary>Removes all entries.</summary>
    public void Clear()
    {
        _cells = Cells.Create(SmallestLength);
        _old = default;
        _boundary = 1UL << 32;
        _count = 0;
    }

    /// <summary>
    /// Makes room for this many entries at once, so that filling the table does not resize it repeatedly.
    /// </summary>
    public void EnsureCapacity(int count)
    {
        if (count <= _cells.MaxCount) return;
        FinishResize();
        Resize(LengthFor(count));
        FinishResize();
    }

    /// <summary>An entry chosen at random, each with the same probability; null if there is none.</summary>
    public object? Random(Random random)
    {
        if (_count == 0) return null;
        int oldCells = _old.Length - (_old.Length == 0 ? 0 : _oldNext);
        while (true)
        {
            // After removals at least an eighth of the cells stay in use, so this takes only a few tries.
            int index = random.Next(_cells.Length + oldCells);
            object? entry = (index < _cells.Length ? _cells.All[index] : _old.All[_oldNext + index - _cells.Length]).Entry;
            if (entry is not null) return entry;
        }
    }

    /// <summary>
    /// Appends to <paramref name="into"/> the entries in hash order from <paramref name="cursor"/> on, at least
    /// <paramref name="atLeast"/> of them unless the table ends first. Returns the cursor to continue from, 0 at the
    /// end. Stops after looking at ten times as many cells even if they were empty, so one call is always short.
    /// </summary>
    public uint Scan(uint cursor, int atLeast, List<object> into)
    {
        long cellsLeft = Math.Max(16, 10L * atLeast);
        ulong from = cursor;
        int wanted = into.Count + Math.Max(1, atLeast);
        while (from < 1UL << 32)
        {
            bool inNew = from < _boundary;
            ulong end = inNew ? _boundary : 1UL << 32;
            from = (inNew ? ref _cells : ref _old).Scan(from, end, wanted, ref cellsLeft, into);
            if (into.Count >= wanted || cellsLeft <= 0) break;
        }
        return from >= 1UL << 32 ? 0 : (uint)from;
    }

    /// <summary>
    /// Appends every entry with a hash from <paramref name="from"/> up to, but not including, <paramref name="end"/>,
    /// which is at most 2^32.
    /// </summary>
    public void Range(ulong from, ulong end, List<object> into)
    {
        long cellsLeft = long.MaxValue;
        while (from < end)
        {
            bool inNew = from < _boundary;
            from = (inNew ? ref _cells : ref _old).Scan(from, inNew ? Math.Min(end, _boundary) : end, int.MaxValue, ref cellsLeft, into);
        }
    }

    /// <summary>Scans from a cursor given by a client. One beyond all hashes is at the end.</summary>
    public uint ScanFrom(ulong cursor, int atLeast, List<object> into) => cursor > uint.MaxValue ? 0 : Scan((uint)cursor, atLeast, into);

    /// <summary>Enumerates all entries, in no particular order. The table must not change meanwhile.</summary>
    public Enumerator GetEnumerator() => new(this);

    private static int LengthFor(int count) => Math.Max(SmallestLength, (int)Math.Min(Array.MaxLength, (count * 4L / 3) + 2));

    private void Resize(int length)
    {
        Debug.Assert(_old.Length == 0);
        _old = _cells;
        _cells = Cells.Create(length);
        _oldNext = 0;
        _boundary = 0;
        if (_old.Length <= IncrementalFrom) FinishResize();
        else Step();
    }

    private void FinishResize()
    {
        while (_old.Length != 0) Step();
    }

    /// <summary>
    /// Moves the next few runs of cells from old to new. A run is moved as a whole, so the boundary is always at a home
    /// that no run crosses.
    /// </summary>
    private void Step()
    {
        int limit = _oldNext + CellsPerStep;
        Cell[] cells = _old.All;
        int index = _oldNext;
        while (index < cells.Length)
        {
            object? entry = cells[index].Entry;
            if (entry is null)
            {
                index++;
                if (index >= limit) break;
                continue;
            }
            if (!_cells.TryAdd(entry, cells[index].Hash))
            {
                // Rare: the new cells have run out of room behind their last home. Start again with larger ones.
                Restart(_cells.Length + (_cells.Length / 2));
                return;
            }
            cells[index].Entry = null;
            index++;
        }
        if (index >= cells.Length)
        {
            _old = default;
            _boundary = 1UL << 32;
        }
        else
        {
            _oldNext = index;
            _boundary = _old.LowestHashOf(index);
        }
    }

    private void Restart(int length)
    {
        Cells partial = _cells, old = _old;
        while (true)
        {
            var larger = Cells.Create(length);
            if (MoveAll(partial, larger) && MoveAll(old, larger))
            {
                _cells = larger;
                _old = default;
                _boundary = 1UL << 32;
                return;
            }
            length += length / 2;
        }

        static bool MoveAll(Cells from, Cells to)
        {
            for (int i = 0; i < from.Length; i++)
            {
                if (from.All[i].Entry is { } entry && !to.TryAdd(entry, from.All[i].Hash)) return false;
            }
            return true;
        }
    }

    /// <summary>Walks all cells; see <see cref="ByteTable{TKeyOf}.GetEnumerator"/>.</summary>
    public struct Enumerator(ByteTable<TKeyOf> table)
    {
        private int _index = -1;
        private Cell[] _current = table._cells.All;
        private Cell[]? _next = table._old.Length == 0 ? null : table._old.All;
        private readonly uint _unmixer = table._unmixer;

        /// <summary>The entry that the last MoveNext reached.</summary>
        public readonly object Current => _current[_index].Entry!;

        /// <summary>The hash of that entry's key, for looking it up in another table.</summary>
        public readonly uint CurrentHash => _current[_index].Hash * _unmixer;

        /// <summary>Steps to the next entry.</summary>
        public bool MoveNext()
        {
            while (true)
            {
                while (++_index < _current.Length)
                {
                    if (_current[_index].Entry is not null) return true;
                }
                if (_next is null) return false;
                _current = _next;
                _next = null;
                _index = -1;
            }
        }
    }

    private struct Cell
    {
        public object? Entry;
        public uint Hash;
    }

    private struct Cells
    {
        public Cell[] All;
        private uint _homes;

        public readonly int Length => All is null ? 0 : All.Length;

        /// <summary>
        /// 13/16 full: a search then looks at about three cells if it succeeds and at fourteen if it fails, side by
        /// side in memory.
        /// </summary>
        public readonly int MaxCount => (int)(_homes * 13L / 16);

        public static Cells Create(int length) => new()
        {
            All = new Cell[length],
            _homes = (uint)(length - Math.Min(64, 2 + (length / 32))),
        };

        public readonly Cells Copy() => new() { All = (Cell[])All.Clone(), _homes = _homes };

        public readonly int HomeOf(uint hash) => (int)(((ulong)hash * _homes) >> 32);

        /// <summary>The lowest hash whose home is this cell or a later one.</summary>
        public readonly ulong LowestHashOf(int home) => home >= _homes ? 1UL << 32 : (((ulong)home << 32) + _homes - 1) / _homes;

        public readonly ref object? Find(scoped ReadOnlySpan<byte> key, uint hash)
        {
            Cell[] all = All;
            for (int i = HomeOf(hash); (uint)i < (uint)all.Length; i++)
            {
                ref Cell cell = ref all[i];
                object? entry = cell.Entry;
                if (entry is null) break;
                if (cell.Hash == hash && TKeyOf.KeyOf(entry).SequenceEqual(key)) return ref cell.Entry;
            }
            return ref Unsafe.NullRef<object?>();
        }

        public readonly bool TryAdd(object entry, uint hash)
        {
            for (int i = HomeOf(hash); i < All.Length; i++)
            {
                if (All[i].Entry is not null) continue;
                All[i] = new() { Entry = entry, Hash = hash };
                return true;
            }
            return false;
        }

        public readonly object? Remove(ReadOnlySpan<byte> key, uint hash)
        {
            int index = HomeOf(hash);
            object? entry;
            while (true)
            {
                if (index >= All.Length || (entry = All[index].Entry) is null) return null;
                if (All[index].Hash == hash && TKeyOf.KeyOf(entry).SequenceEqual(key)) break;
                index++;
            }
            // Close the gap: an entry further on moves into it unless its home lies behind the gap.
            int gap = index;
            for (int i = index + 1; i < All.Length && All[i].Entry is not null; i++)
            {
                if (HomeOf(All[i].Hash) > gap) continue;
                All[gap] = All[i];
                gap = i;
            }
            All[gap].Entry = null;
            return entry;
        }

        /// <summary>
        /// Appends the entries with hashes from <paramref name="from"/> up to <paramref name="end"/>. Returns the first
        /// hash not covered.
        /// </summary>
        public readonly ulong Scan(ulong from, ulong end, int wanted, ref long cellsLeft, List<object> into)
        {
            int index = HomeOf((uint)from);
            while (true)
            {
                ulong upTo = Math.Min(LowestHashOf(index + 1), end);
                // Entries whose home is this cell lie between it and the next empty cell.
                for (int i = index; i < All.Length && All[i].Entry is { } entry; i++)
                {
                    if (All[i].Hash >= from && All[i].Hash < upTo) into.Add(entry);
                }
                from = upTo;
                cellsLeft--;
                if (from >= end || into.Count >= wanted || cellsLeft <= 0) return from;
                index++;
            }
        }
    }
}
