using System.Diagnostics;
using System.Runtime.CompilerServices;

namespace OrleansRedis.Engine;

/// <summary>An entry of a <see cref="ByteTable{TEntry}"/>: one word, of which 0 means that there is none.</summary>
internal interface ITableEntry
{
    bool IsNone { get; }

    /// <summary>The address of its block, which is then the word that it is; null if it is something else.</summary>
    unsafe byte* Block { get; }

    /// <summary>The key. It never changes while the entry is in a table.</summary>
    ReadOnlySpan<byte> Key { get; }

    /// <summary>Gives back the entry's memory at once.</summary>
    void Free();
}

/// <summary>
/// A hash table of entries that carry their own key bytes: open addressing, linear probing, 16 bytes a cell. The cells
/// are native memory, which belongs to the table; so do the entries, unless a method says otherwise.
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
internal unsafe class ByteTable<TEntry> where TEntry : unmanaged, ITableEntry
{
    /// <summary>
    /// Tables of more cells than this are resized step by step. Moving this many at once takes well under a
    /// millisecond.
    /// </summary>
    private const int IncrementalFrom = 1 << 15;
    private const int CellsPerStep = 64;
    private const int SmallestLength = 8;
    private const int MostForeseen = 16;

    private Cells _cells;           // none while the table is empty: many keyspaces are
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
        if (expectedCount > 0) _cells = Cells.Create(LengthFor(expectedCount));
        _boundary = 1UL << 32;
        if (commonOrder) return;
        _mixer = (uint)System.Random.Shared.NextInt64(1L << 32) | 1;
        _unmixer = _mixer;
        for (int i = 0; i < 4; i++) _unmixer *= 2 - (_mixer * _unmixer); // Newton's method for the inverse modulo 2^32
    }

    /// <summary>A copy of another table. Each entry is to be replaced by a copy of its own.</summary>
    public ByteTable(ByteTable<TEntry> other)
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

    /// <summary>The bytes of the cells, for memory accounting.</summary>
    public long CellBytes => _cells.AllocatedBytes + _old.AllocatedBytes;

    /// <summary>Counts how the cells are used.</summary>
    /// <param name="main">For the cells; while a resize is under way, for those that have not been moved yet.</param>
    /// <param name="target">While a resize is under way, for those that have.</param>
    /// <param name="inFull">Whether to look at every cell, and count homes, too.</param>
    public void CountCells(TableStatistics main, TableStatistics target, bool inFull)
    {
        if (_old.Length == 0)
        {
            main.Add(_cells.Length, _count);
            if (inFull) _cells.CountHomes(main);
            return;
        }
        int moved = _cells.CountEntries();
        main.Add(_old.Length, _count - moved);
        target.Add(_cells.Length, moved);
        if (!inFull) return;
        _old.CountHomes(main);
        _cells.CountHomes(target);
    }

    /// <summary>
    /// The cell that holds the entry with this key, or a null reference. Valid until the next Add or Remove.
    /// </summary>
    public ref TEntry Find(scoped ReadOnlySpan<byte> key, uint hash)
    {
        hash *= _mixer;
        if (hash < _boundary) return ref _cells.Find(key, hash);
        return ref _old.Find(key, hash);
    }

    /// <summary>
    /// Touches the cell where a search for this hash begins, to bring it into the cache. Like <see cref="Foresee"/> it
    /// may be called without the gate. The cells may then be others' memory by now, and what is found there anything;
    /// but it can be read, since everything that was ever in the heap stays mapped.
    /// </summary>
    public uint ForeseeHome(uint hash)
    {
        Cells cells = _cells;
        Cell* home = cells.All + cells.HomeOf(hash * _mixer);
        return Granules.IsMapped(home) ? home->Hash : 0;
    }

    /// <summary>The entry that a search for this hash will most probably end at, if any.</summary>
    public TEntry Foresee(uint hash)
    {
        hash *= _mixer;
        Cells cells = _cells;
        Cell* cell = cells.All + cells.HomeOf(hash);
        for (int i = 0; i < MostForeseen && Granules.IsMapped(cell + 1); i++, cell++)
        {
            if (cell->Entry.IsNone) break;
            if (cell->Hash == hash) return cell->Entry;
        }
        return default;
    }

    /// <summary>
    /// The entries whose keys have this hash, one after the other: <paramref name="place"/> is 0 at first, and the
    /// answer is none after the last.
    /// </summary>
    public TEntry NextWithHash(uint hash, ref int place)
    {
        hash *= _mixer;
        Cells cells = hash < _boundary ? _cells : _old;
        for (int i = cells.HomeOf(hash) + place; i < cells.Length && !cells.All[i].Entry.IsNone; i++)
        {
            place++;
            if (cells.All[i].Hash == hash) return cells.All[i].Entry;
        }
        return default;
    }

    /// <summary>The cell that holds this very entry, of the given hash, or a null reference.</summary>
    public ref TEntry CellOf(TEntry entry, uint hash)
    {
        hash *= _mixer;
        Cells cells = hash < _boundary ? _cells : _old;
        for (int i = cells.HomeOf(hash); i < cells.Length && !cells.All[i].Entry.IsNone; i++)
        {
            if (cells.All[i].Entry.Block == entry.Block) return ref cells.All[i].Entry;
        }
        return ref Unsafe.NullRef<TEntry>();
    }

    /// <summary>The entry with this key; none if there is none.</summary>
    public TEntry Get(ReadOnlySpan<byte> key)
    {
        ref TEntry cell = ref Find(key, KeyHash.Of(key));
        return Unsafe.IsNullRef(ref cell) ? default : cell;
    }

    /// <summary>Adds an entry whose key is known to be absent.</summary>
    public void Add(TEntry entry) => Add(entry, KeyHash.Of(entry.Key));

    /// <summary>Adds an entry whose key, of the given hash, is known to be absent.</summary>
    public void Add(TEntry entry, uint hash)
    {
        hash *= _mixer;
        if (_old.Length != 0) Step();
        else if (_count >= _cells.MaxCount) Resize(LengthAfter(_cells.Length));
        while (!(hash < _boundary ? _cells.TryAdd(entry, hash) : _old.TryAdd(entry, hash)))
        {
            FinishResize();
            Resize(LengthAfter(_cells.Length));
            FinishResize();
        }
        _count++;
    }

    /// <summary>Removes the entry with this key and returns it, none if there is none. It belongs to the caller.</summary>
    public TEntry Remove(ReadOnlySpan<byte> key) => Remove(key, KeyHash.Of(key));

    /// <inheritdoc cref="Remove(ReadOnlySpan{byte})"/>
    public TEntry Remove(ReadOnlySpan<byte> key, uint hash)
    {
        hash *= _mixer;
        if (_old.Length != 0) Step();
        TEntry entry = hash < _boundary ? _cells.Remove(key, hash) : _old.Remove(key, hash);
        if (entry.IsNone) return default;
        _count--;
        if (_count == 0) RetireCells();
        else if (_old.Length == 0 && _cells.Length > SmallestLength && _count < _cells.Length / 8) Resize(LengthFor(_count * 2));
        return entry;
    }

    /// <summary>Gives back the memory of all entries and of the cells. The table must not be used any more.</summary>
    public void Free()
    {
        _cells.FreeEntries();
        _old.FreeEntries();
        FreeCells();
    }

    /// <summary>
    /// Gives back the memory of the cells, but not of the entries, which belong to others. The table must not be used
    /// any more.
    /// </summary>
    public void FreeCells()
    {
        _cells.Free();
        _old.Free();
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

    /// <summary>An entry chosen at random, each with the same probability; none if there is none.</summary>
    public TEntry Random(Random random)
    {
        if (_count == 0) return default;
        int oldCells = _old.Length - (_old.Length == 0 ? 0 : _oldNext);
        while (true)
        {
            // After removals at least an eighth of the cells stay in use, so this takes only a few tries.
            int index = random.Next(_cells.Length + oldCells);
            TEntry entry = (index < _cells.Length ? _cells.All[index] : _old.All[_oldNext + index - _cells.Length]).Entry;
            if (!entry.IsNone) return entry;
        }
    }

    /// <summary>
    /// Appends to <paramref name="into"/> the entries in hash order from <paramref name="cursor"/> on, at least
    /// <paramref name="atLeast"/> of them unless the table ends first. Returns the cursor to continue from, 0 at the
    /// end. Stops after looking at ten times as many cells even if they were empty, so one call is always short.
    /// </summary>
    public uint Scan(uint cursor, int atLeast, List<TEntry> into)
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
    public void Range(ulong from, ulong end, List<TEntry> into)
    {
        long cellsLeft = long.MaxValue;
        while (from < end)
        {
            bool inNew = from < _boundary;
            from = (inNew ? ref _cells : ref _old).Scan(from, inNew ? Math.Min(end, _boundary) : end, int.MaxValue, ref cellsLeft, into);
        }
    }

    /// <summary>Moves the cells, if they lie where memory is to become free; they are empty where a resize has passed.</summary>
    public void DefragmentCells(BlockMover mover)
    {
        _cells.All = (Cell*)mover.Move((byte*)_cells.All);
        _old.All = (Cell*)mover.Move((byte*)_old.All);
    }

    /// <summary>
    /// Moves entries that lie where memory is to become free, in hash order from <paramref name="cursor"/> on, until the
    /// mover has enough. Returns the cursor to continue from, 0 at the end. Like that of a scan it stays valid whatever
    /// happens to the table.
    /// </summary>
    /// <param name="cursor">0 at first.</param>
    /// <param name="mover">Moves them.</param>
    /// <param name="others">Gets the entries that are no blocks.</param>
    public uint Defragment(uint cursor, BlockMover mover, List<TEntry>? others = null)
    {
        ulong from = cursor;
        do
        {
            bool inNew = from < _boundary;
            from = (inNew ? ref _cells : ref _old).Defragment(from, inNew ? _boundary : 1UL << 32, mover, others);
        }
        while (from < 1UL << 32 && !mover.IsOver);
        return from >= 1UL << 32 ? 0 : (uint)from;
    }

    /// <summary>Scans from a cursor given by a client. One beyond all hashes is at the end.</summary>
    public uint ScanFrom(ulong cursor, int atLeast, List<TEntry> into) => cursor > uint.MaxValue ? 0 : Scan((uint)cursor, atLeast, into);

    /// <summary>Enumerates all entries, in no particular order. The table must not change meanwhile.</summary>
    public Enumerator GetEnumerator() => new(this);

    private static int LengthFor(int count) => Math.Max(SmallestLength, (int)Math.Min(Array.MaxLength, (count * 4L / 3) + 2));

    private static int LengthAfter(int length) => length + Math.Max(length == 0 ? SmallestLength : SmallestLength / 2, length / 2);

    /// <summary>
    /// An empty table has no cells. The tables of 16,384 keyspaces that have lost their keys would lie scattered over all
    /// the memory that has become free, and keep it from going back to the system.
    /// </summary>
    private void RetireCells()
    {
        _cells.Retire();
        _old.Retire();
        _cells = _old = default;
        _boundary = 1UL << 32;
    }

    private void Resize(int length)
    {
        Debug.Assert(_old.Length == 0);
        // First of all, since it may fail: the table must then be as it was.
        var cells = Cells.Create(length);
        Cells before = _cells;
        _cells = cells;
        if (before.Length == 0) return;
        _old = before;
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
        Cell* cells = _old.All;
        int index = _oldNext;
        while (index < _old.Length)
        {
            TEntry entry = cells[index].Entry;
            if (entry.IsNone)
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
            cells[index].Entry = default;
            index++;
        }
        if (index >= _old.Length)
        {
            _old.Retire();
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
                partial.Retire();
                old.Retire();
                return;
            }
            larger.Free();
            length += length / 2;
        }

        static bool MoveAll(Cells from, Cells to)
        {
            for (int i = 0; i < from.Length; i++)
            {
                if (!from.All[i].Entry.IsNone && !to.TryAdd(from.All[i].Entry, from.All[i].Hash)) return false;
            }
            return true;
        }
    }

    /// <summary>Walks all cells; see <see cref="ByteTable{TEntry}.GetEnumerator"/>.</summary>
    public struct Enumerator(ByteTable<TEntry> table)
    {
        private int _index = -1;
        private Cells _current = table._cells;
        private Cells _next = table._old;
        private readonly uint _unmixer = table._unmixer;

        /// <summary>The entry that the last MoveNext reached.</summary>
        public readonly TEntry Current => _current.All[_index].Entry;

        /// <summary>The place of that entry, for putting another one with the same key there.</summary>
        public readonly ref TEntry CurrentCell => ref _current.All[_index].Entry;

        /// <summary>The hash of that entry's key, for looking it up in another table.</summary>
        public readonly uint CurrentHash => _current.All[_index].Hash * _unmixer;

        /// <summary>Steps to the next entry.</summary>
        public bool MoveNext()
        {
            while (true)
            {
                while (++_index < _current.Length)
                {
                    if (!_current.All[_index].Entry.IsNone) return true;
                }
                if (_next.Length == 0) return false;
                _current = _next;
                _next = default;
                _index = -1;
            }
        }
    }

    private struct Cell
    {
        public TEntry Entry;
        public uint Hash;
    }

    private struct Cells
    {
        public Cell* All;
        private uint _homes;

        public int Length { get; private init; }

        public readonly long AllocatedBytes => All == null ? 0 : Heap.AllocatedBytes((byte*)All);

        /// <summary>
        /// 13/16 full: a search then looks at about three cells if it succeeds and at fourteen if it fails, side by
        /// side in memory.
        /// </summary>
        public readonly int MaxCount => (int)(_homes * 13L / 16);

        public static Cells Create(int length) => new()
        {
            All = (Cell*)Heap.AllocateZeroed(checked(length * sizeof(Cell))),
            Length = length,
            _homes = (uint)(length - Math.Min(64, 2 + (length / 32))),
        };

        public readonly Cells Copy()
        {
            if (Length == 0) return default;
            Cells copy = Create(Length);
            new ReadOnlySpan<Cell>(All, Length).CopyTo(new(copy.All, Length));
            return copy;
        }

        public readonly void Free()
        {
            if (All != null) Heap.Free((byte*)All);
        }

        public readonly void Retire()
        {
            if (All != null) Retirement.Retire((byte*)All);
        }

        public readonly void FreeEntries()
        {
            for (int i = 0; i < Length; i++)
            {
                if (!All[i].Entry.IsNone) All[i].Entry.Free();
            }
        }

        public readonly int CountEntries()
        {
            int count = 0;
            for (int i = 0; i < Length; i++) count += All[i].Entry.IsNone ? 0 : 1;
            return count;
        }

        public readonly void CountHomes(TableStatistics into)
        {
            var homes = new HashSet<int>();
            for (int start = 0, end; start < Length; start = end + 1)
            {
                // Between two empty cells are the entries whose home is there, roughly in order.
                homes.Clear();
                for (end = start; end < Length && !All[end].Entry.IsNone; end++) homes.Add(HomeOf(All[end].Hash));
                foreach (int home in homes) into.AddHome(end - home);
            }
        }

        public readonly int HomeOf(uint hash) => (int)(((ulong)hash * _homes) >> 32);

        /// <summary>The lowest hash whose home is this cell or a later one.</summary>
        public readonly ulong LowestHashOf(int home) => home >= _homes ? 1UL << 32 : (((ulong)home << 32) + _homes - 1) / _homes;

        public readonly ref TEntry Find(scoped ReadOnlySpan<byte> key, uint hash)
        {
            Cell* end = All + Length;
            for (Cell* cell = All + HomeOf(hash); cell < end && !cell->Entry.IsNone; cell++)
            {
                if (cell->Hash == hash && cell->Entry.Key.SequenceEqual(key)) return ref cell->Entry;
            }
            return ref Unsafe.NullRef<TEntry>();
        }

        public readonly bool TryAdd(TEntry entry, uint hash)
        {
            for (int i = HomeOf(hash); i < Length; i++)
            {
                if (!All[i].Entry.IsNone) continue;
                All[i] = new() { Entry = entry, Hash = hash };
                return true;
            }
            return false;
        }

        public readonly TEntry Remove(ReadOnlySpan<byte> key, uint hash)
        {
            int index = HomeOf(hash);
            TEntry entry;
            while (true)
            {
                if (index >= Length || (entry = All[index].Entry).IsNone) return default;
                if (All[index].Hash == hash && entry.Key.SequenceEqual(key)) break;
                index++;
            }
            // Close the gap: an entry further on moves into it unless its home lies behind the gap.
            int gap = index;
            for (int i = index + 1; i < Length && !All[i].Entry.IsNone; i++)
            {
                if (HomeOf(All[i].Hash) > gap) continue;
                All[gap] = All[i];
                gap = i;
            }
            All[gap].Entry = default;
            return entry;
        }

        /// <summary>
        /// Moves entries with hashes from <paramref name="from"/> up to <paramref name="end"/>, whole runs of them. Returns
        /// the first hash not covered.
        /// </summary>
        public readonly ulong Defragment(ulong from, ulong end, BlockMover mover, List<TEntry>? others)
        {
            for (int i = HomeOf((uint)from); i < Length; i++)
            {
                TEntry entry = All[i].Entry;
                if (entry.IsNone)
                {
                    mover.Pass();
                    // No run goes beyond an empty cell, so every entry with an earlier home has been met.
                    ulong next = LowestHashOf(i + 1);
                    if (next >= end) return end;
                    if (mover.IsOver) return next;
                }
                else if (entry.Block != null)
                {
                    *(byte**)&All[i].Entry = mover.Move(entry.Block);
                }
                else
                {
                    mover.Pass();
                    others?.Add(entry);
                }
            }
            return end;
        }

        /// <summary>
        /// Appends the entries with hashes from <paramref name="from"/> up to <paramref name="end"/>. Returns the first
        /// hash not covered.
        /// </summary>
        public readonly ulong Scan(ulong from, ulong end, int wanted, ref long cellsLeft, List<TEntry> into)
        {
            int index = HomeOf((uint)from);
            while (true)
            {
                ulong upTo = Math.Min(LowestHashOf(index + 1), end);
                // Entries whose home is this cell lie between it and the next empty cell.
                for (int i = index; i < Length && !All[i].Entry.IsNone; i++)
                {
                    if (All[i].Hash >= from && All[i].Hash < upTo) into.Add(All[i].Entry);
                }
                from = upTo;
                cellsLeft--;
                if (from >= end || into.Count >= wanted || cellsLeft <= 0) return from;
                index++;
            }
        }
    }
}
