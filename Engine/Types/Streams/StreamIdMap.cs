using System.Runtime.CompilerServices;

namespace OrleansRedis.Engine;

/// <summary>A running sum of bytes that several parts of one value add to.</summary>
internal sealed class ByteCount
{
    public long Bytes { get; private set; }

    public void Add(long difference) => Bytes += difference;

    /// <summary>The bytes that the runtime allocates for the bytes of a name.</summary>
    public static int OfName(byte[] name) => (24 + name.Length + 7) & ~7;
}

/// <summary>What a map has for values that is only a set of IDs. It takes no bytes there.</summary>
internal readonly struct NoValue;

/// <summary>
/// An ordered map by stream ID: a sorted array of small sorted chunks. Streams and their pending lists grow at the end
/// and shrink at the front. That costs nothing here: the outer array has room at both ends, and chunks filled in order
/// are full, and give up entries at the front. Any other change moves at most one chunk and, once per chunk of changes,
/// the pointers in the outer array.
/// </summary>
/// <remarks>
/// Redis keeps these in radix trees. A chunk here takes 16 bytes per entry besides the value, with no node per entry,
/// and finding an entry costs two binary searches. Chunks and the outer array are blocks of the <see cref="Heap"/>; a
/// chunk that is replaced or removed is retired. If the values are addresses, what they lead to is not the map's.
/// </remarks>
/// <param name="bytes">Counts the bytes of the blocks, together with those of other parts.</param>
internal sealed unsafe class StreamIdMap<T>(ByteCount bytes) : IFreeable where T : unmanaged
{
    /// <summary>Bytes of this object itself.</summary>
    public const int ObjectBytes = 64;

    /// <summary>Bytes of a full chunk.</summary>
    private const int LargestChunk = 2048;
    private const int FirstCapacity = 2;
    private const int SmallOuter = 16;

    private Chunk** _chunks;
    private int _length;
    private int _start;
    private int _chunkCount;

    public int Count { get; private set; }

    /// <summary>Bytes of the blocks.</summary>
    public long AllocatedBytes { get; private set; }

    /// <summary>How many blocks there are.</summary>
    public long FreeEffort => _chunkCount + (_length != 0 ? 1 : 0);

    public Position First => Seek(StreamId.Min);

    public Position Last => SeekLast(StreamId.Max);

    private static int EntryBytes => sizeof(StreamId) + (typeof(T) == typeof(NoValue) ? 0 : sizeof(T));

    private static int MostEntries => (LargestChunk - sizeof(Chunk)) / EntryBytes;

    /// <summary>Where the value of this ID is, until the map changes; null if the ID is not there.</summary>
    public T* Find(StreamId id)
    {
        int at = ChunkFor(id);
        if (at < 0) return null;
        Chunk* chunk = _chunks[_start + at];
        int index = chunk->IndexOf(id);
        return index < 0 ? null : chunk->ValueAt(index);
    }

    /// <summary>
    /// Adds an ID that is not there yet. Returns where its value is to be put, which is valid until the map changes.
    /// </summary>
    public T* Add(StreamId id)
    {
        int at = ChunkFor(id);
        if (at < 0)
        {
            if (_chunkCount == 0) InsertChunk(0, NewChunk(FirstCapacity));
            at = 0;
        }
        Chunk* chunk = _chunks[_start + at];
        int index = ~chunk->IndexOf(id);
        if (chunk->Count == MostEntries)
        {
            Chunk* next = NewChunk(MostEntries);
            InsertChunk(at + 1, next);
            if (at + 2 < _chunkCount || index < MostEntries)
            {
                chunk->MoveTail(MostEntries / 2, next);
                if (index > chunk->Count)
                {
                    index -= chunk->Count;
                    chunk = next;
                }
            }
            else
            {
                // Appending at the very end: leave the full chunk full.
                chunk = next;
                index = 0;
            }
        }
        else if (chunk->Count == chunk->Capacity)
        {
            Chunk* larger = NewChunk(chunk->Capacity * 2);
            chunk->MoveTail(0, larger);
            _chunks[_start + at] = larger;
            Retire(chunk);
            chunk = larger;
        }
        chunk->Insert(index, id);
        Count++;
        return chunk->ValueAt(index);
    }

    /// <summary>Removes an ID; false if it was not there.</summary>
    public bool Remove(StreamId id) => Remove(id, out _);

    /// <summary>Removes an ID and hands over its value; false if it was not there.</summary>
    public bool Remove(StreamId id, out T value)
    {
        value = default;
        int at = ChunkFor(id);
        if (at < 0) return false;
        Chunk* chunk = _chunks[_start + at];
        int index = chunk->IndexOf(id);
        if (index < 0) return false;
        if (typeof(T) != typeof(NoValue)) value = *chunk->ValueAt(index);
        chunk->RemoveAt(index);
        Count--;
        if (chunk->Count == 0) RemoveChunk(at);
        return true;
    }

    /// <summary>
    /// The position of the first ID that is not smaller; step forward with <see cref="Position.Next"/>.
    /// </summary>
    public Position Seek(StreamId id)
    {
        int at = Math.Max(0, ChunkFor(id));
        if (_chunkCount == 0) return new(this, 0, 0);
        Chunk* chunk = _chunks[_start + at];
        int index = chunk->IndexOf(id);
        if (index < 0) index = ~index;
        return index < chunk->Count ? new(this, at, index) : new(this, at + 1, 0);
    }

    /// <summary>
    /// The position of the last ID that is not larger; step back with <see cref="Position.Previous"/>.
    /// </summary>
    public Position SeekLast(StreamId id)
    {
        int at = ChunkFor(id);
        if (at < 0) return new(this, -1, 0);
        int index = _chunks[_start + at]->IndexOf(id);
        if (index < 0) index = ~index - 1;
        return new(this, at, index);
    }

    /// <summary>
    /// Gives all blocks back. That changes no count of bytes, because it may happen in the background, when the value
    /// that the map was part of has long gone on without it.
    /// </summary>
    public void Free()
    {
        for (int i = 0; i < _chunkCount; i++) Heap.Free((byte*)_chunks[_start + i]);
        if (_chunks != null) Heap.Free((byte*)_chunks);
        _chunks = null;
        _length = _start = _chunkCount = Count = 0;
    }

    /// <summary>
    /// Moves chunks that lie where memory is to become free, and the nodes of a stream that they lead to, until the mover
    /// has enough. True at the end.
    /// </summary>
    /// <param name="mover">Moves them.</param>
    /// <param name="from"><see cref="StreamId.Min"/> at first; then where to continue.</param>
    public bool Defragment(BlockMover mover, ref StreamId from)
    {
        if (from == StreamId.Min) _chunks = (Chunk**)mover.Move((byte*)_chunks);
        for (int at = Math.Max(0, ChunkFor(from)); at < _chunkCount; at++)
        {
            if (mover.IsOver)
            {
                from = _chunks[_start + at]->IdAt(0);
                return false;
            }
            var chunk = (Chunk*)mover.Move((byte*)_chunks[_start + at]);
            _chunks[_start + at] = chunk;
            if (typeof(T) != typeof(StreamNodeBlock)) continue;
            for (int i = 0; i < chunk->Count; i++)
            {
                var node = (StreamNodeBlock*)chunk->ValueAt(i);
                node->Block = mover.Move(node->Block);
            }
        }
        return true;
    }

    /// <summary>The last chunk whose first ID is not larger than this; -1 if there is none.</summary>
    private int ChunkFor(StreamId id)
    {
        int low = 0, high = _chunkCount - 1;
        // Most look-ups are at the end, and most others at the front.
        if (high >= 0 && _chunks[_start + high]->IdAt(0) <= id) return high;
        if (high > 0 && id < _chunks[_start + 1]->IdAt(0)) high = 0;
        while (low <= high)
        {
            int middle = (int)(((uint)low + (uint)high) >> 1);
            if (_chunks[_start + middle]->IdAt(0) <= id) low = middle + 1;
            else high = middle - 1;
        }
        return low - 1;
    }

    private void CountBytes(long difference)
    {
        AllocatedBytes += difference;
        bytes.Add(difference);
    }

    private byte* Allocate(int length)
    {
        byte* block = Heap.Allocate(length);
        CountBytes(Heap.AllocatedBytes(block));
        return block;
    }

    private void Retire(void* block)
    {
        CountBytes(-Heap.AllocatedBytes((byte*)block));
        Retirement.Retire((byte*)block);
    }

    private Chunk* NewChunk(int capacity)
    {
        byte* block = Allocate(sizeof(Chunk) + (Math.Min(capacity, MostEntries) * EntryBytes));
        var chunk = (Chunk*)block;
        chunk->Start = 0;
        chunk->Count = 0;
        chunk->Capacity = (ushort)Math.Min((Heap.SizeOf(block) - sizeof(Chunk)) / EntryBytes, MostEntries);
        return chunk;
    }

    private void InsertChunk(int at, Chunk* chunk)
    {
        if (_start + _chunkCount == _length)
        {
            // Room in front is used before the array grows, provided there is enough of it that this stays rare.
            if (_start > _length / 2)
            {
                Move(_chunks + _start, _chunks, _chunkCount);
                _start = 0;
            }
            else
            {
                ResizeOuter(_chunkCount + (_chunkCount / 4) + 1);
            }
        }
        Move(_chunks + _start + at, _chunks + _start + at + 1, _chunkCount - at);
        _chunks[_start + at] = chunk;
        _chunkCount++;
    }

    private void RemoveChunk(int at)
    {
        Retire(_chunks[_start + at]);
        if (at < _chunkCount / 2)
        {
            Move(_chunks + _start, _chunks + _start + 1, at);
            _start++;
        }
        else
        {
            Move(_chunks + _start + at + 1, _chunks + _start + at, _chunkCount - at - 1);
        }
        _chunkCount--;
        if (_length > SmallOuter && _chunkCount < _length / 4) ResizeOuter(Math.Max(_chunkCount * 2, 1));
    }

    private void ResizeOuter(int length)
    {
        byte* block = Allocate(checked(length * sizeof(Chunk*)));
        Move(_chunks + _start, (Chunk**)block, _chunkCount);
        if (_chunks != null) Retire(_chunks);
        _chunks = (Chunk**)block;
        _length = Heap.SizeOf(block) / sizeof(Chunk*);
        _start = 0;
    }

    private static void Move(Chunk** from, Chunk** to, int count) => new ReadOnlySpan<nint>(from, count).CopyTo(new(to, count));

    /// <summary>
    /// A position in the map, possibly before the first entry or after the last. Valid until the map changes.
    /// </summary>
    public struct Position(StreamIdMap<T> map, int chunk, int index)
    {
        public readonly bool IsValid => (uint)chunk < (uint)map._chunkCount;

        public readonly StreamId Id => map._chunks[map._start + chunk]->IdAt(index);

        public readonly T* Value => map._chunks[map._start + chunk]->ValueAt(index);

        public void Next()
        {
            if (++index < map._chunks[map._start + chunk]->Count) return;
            chunk++;
            index = 0;
        }

        public void Previous()
        {
            if (--index >= 0) return;
            if (--chunk >= 0) index = map._chunks[map._start + chunk]->Count - 1;
        }
    }

    /// <summary>
    /// What a chunk begins with. The entries follow, each an ID and its value; there may be room before and behind them.
    /// </summary>
    private struct Chunk
    {
        public int Count;
        public ushort Capacity;
        public ushort Start;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public readonly StreamId IdAt(int index) => *(StreamId*)EntryAt(index);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public readonly T* ValueAt(int index) => (T*)(EntryAt(index) + sizeof(StreamId));

        /// <summary>The index of this ID, or the complement of where it would be.</summary>
        public readonly int IndexOf(StreamId id)
        {
            int low = 0, high = Count - 1;
            if (high >= 0 && IdAt(high) < id) return ~Count;
            if (high > 0 && id <= IdAt(0)) high = 0;
            while (low <= high)
            {
                int middle = (low + high) >> 1;
                StreamId found = IdAt(middle);
                if (found == id) return middle;
                if (found < id) low = middle + 1;
                else high = middle - 1;
            }
            return ~low;
        }

        public void Insert(int index, StreamId id)
        {
            if (Start + Count == Capacity)
            {
                byte* first = EntryAt(0);
                Start = 0;
                Move(first, EntryAt(0), Count);
            }
            Move(EntryAt(index), EntryAt(index + 1), Count - index);
            *(StreamId*)EntryAt(index) = id;
            Count++;
        }

        public void RemoveAt(int index)
        {
            Count--;
            if (index < Count / 2)
            {
                Move(EntryAt(0), EntryAt(1), index);
                Start++;
            }
            else
            {
                Move(EntryAt(index + 1), EntryAt(index), Count - index);
            }
        }

        /// <summary>Moves all entries from an index on to another chunk, which is empty.</summary>
        public void MoveTail(int from, Chunk* to)
        {
            to->Count = Count - from;
            Move(EntryAt(from), to->EntryAt(0), to->Count);
            Count = from;
        }

        private static void Move(byte* from, byte* to, int count) =>
            new ReadOnlySpan<byte>(from, count * EntryBytes).CopyTo(new(to, count * EntryBytes));

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private readonly byte* EntryAt(int index) => (byte*)Unsafe.AsPointer(ref Unsafe.AsRef(in this)) + sizeof(Chunk) + ((Start + index) * EntryBytes);
    }
}
