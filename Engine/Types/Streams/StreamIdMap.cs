namespace OrleansRedis.Engine;

/// <summary>A running sum of bytes that several parts of one value add to.</summary>
internal sealed class ByteCount
{
    public long Bytes { get; private set; }

    public void Add(long difference) => Bytes += difference;
}

/// <summary>
/// An ordered map by stream ID: a sorted array of small sorted chunks. Streams and their pending lists grow at the end
/// and shrink at the front. That costs nothing here: the outer array has room at both ends, and chunks filled in order
/// are full. Any other change moves at most one chunk and, once per chunk of changes, the pointers in the outer array.
/// </summary>
/// <remarks>
/// Redis keeps these in radix trees. A chunk of <see cref="ChunkCapacity"/> takes 24 bytes per entry, with no node per
/// entry, and finding an entry costs two binary searches.
/// </remarks>
/// <param name="bytes">Counts the bytes of the arrays, together with those of other parts.</param>
internal sealed class StreamIdMap<T>(ByteCount bytes) where T : class
{
    private const int ChunkCapacity = 64;
    private const int FirstCapacity = 2;

    private Chunk?[] _chunks = [];
    private int _start;
    private int _chunkCount;

    public int Count { get; private set; }

    /// <summary>Bytes of the arrays.</summary>
    public long ArrayBytes { get; private set; }

    /// <summary>Bytes of this object itself.</summary>
    public const int ObjectBytes = 56;

    /// <summary>The value with this ID, or null.</summary>
    public T? Find(StreamId id)
    {
        int at = ChunkFor(id);
        if (at < 0) return null;
        Chunk chunk = _chunks[_start + at]!;
        int index = chunk.IndexOf(id);
        return index < 0 ? null : chunk.Values[index];
    }

    /// <summary>Adds a value under an ID that is not there yet.</summary>
    public void Add(StreamId id, T value)
    {
        int at = ChunkFor(id);
        if (at < 0)
        {
            if (_chunkCount == 0) InsertChunk(0, NewChunk(FirstCapacity));
            at = 0;
        }
        Chunk chunk = _chunks[_start + at]!;
        int index = ~chunk.IndexOf(id);
        if (chunk.Count == ChunkCapacity)
        {
            Chunk next = NewChunk(ChunkCapacity);
            InsertChunk(at + 1, next);
            if (at + 2 < _chunkCount || index < ChunkCapacity)
            {
                chunk.MoveTail(ChunkCapacity / 2, next);
                if (index > chunk.Count)
                {
                    index -= chunk.Count;
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
        else if (chunk.Count == chunk.Ids.Length)
        {
            CountBytes(-chunk.Bytes);
            chunk.Grow(Math.Min(ChunkCapacity, chunk.Ids.Length * 2));
            CountBytes(chunk.Bytes);
        }
        chunk.Insert(index, id, value);
        Count++;
    }

    /// <summary>Replaces the value of an ID that is present.</summary>
    public void Replace(StreamId id, T value)
    {
        Chunk chunk = _chunks[_start + ChunkFor(id)]!;
        chunk.Values[chunk.IndexOf(id)] = value;
    }

    /// <summary>Removes an ID; returns its value, or null if it was not there.</summary>
    public T? Remove(StreamId id)
    {
        int at = ChunkFor(id);
        if (at < 0) return null;
        Chunk chunk = _chunks[_start + at]!;
        int index = chunk.IndexOf(id);
        if (index < 0) return null;
        T value = chunk.Values[index];
        chunk.RemoveAt(index);
        Count--;
        if (chunk.Count == 0) RemoveChunk(at);
        return value;
    }

    /// <summary>
    /// The position of the first ID that is not smaller; step forward with <see cref="Position.Next"/>.
    /// </summary>
    public Position Seek(StreamId id)
    {
        int at = Math.Max(0, ChunkFor(id));
        if (_chunkCount == 0) return new(this, 0, 0);
        int index = _chunks[_start + at]!.IndexOf(id);
        if (index < 0) index = ~index;
        return index < _chunks[_start + at]!.Count ? new(this, at, index) : new(this, at + 1, 0);
    }

    /// <summary>
    /// The position of the last ID that is not larger; step back with <see cref="Position.Previous"/>.
    /// </summary>
    public Position SeekLast(StreamId id)
    {
        int at = ChunkFor(id);
        if (at < 0) return new(this, -1, 0);
        int index = _chunks[_start + at]!.IndexOf(id);
        if (index < 0) index = ~index - 1;
        return new(this, at, index);
    }

    public Position First => Seek(StreamId.Min);

    public Position Last => SeekLast(StreamId.Max);

    /// <summary>The last chunk whose first ID is not larger than this; -1 if there is none.</summary>
    private int ChunkFor(StreamId id)
    {
        int low = 0, high = _chunkCount - 1;
        // Most look-ups are at the end.
        if (high >= 0 && _chunks[_start + high]!.Ids[0] <= id) return high;
        while (low <= high)
        {
            int middle = (int)(((uint)low + (uint)high) >> 1);
            if (_chunks[_start + middle]!.Ids[0] <= id) low = middle + 1;
            else high = middle - 1;
        }
        return low - 1;
    }

    private void CountBytes(long difference)
    {
        ArrayBytes += difference;
        bytes.Add(difference);
    }

    private Chunk NewChunk(int capacity)
    {
        var chunk = new Chunk(capacity);
        CountBytes(chunk.Bytes);
        return chunk;
    }

    private void InsertChunk(int at, Chunk chunk)
    {
        if (_start + _chunkCount == _chunks.Length)
        {
            // Room in front is used before the array grows, provided there is enough of it that this stays rare.
            if (_start > _chunks.Length / 2)
            {
                Array.Copy(_chunks, _start, _chunks, 0, _chunkCount);
                Array.Clear(_chunks, _chunkCount, _start);
            }
            else
            {
                var larger = new Chunk?[Math.Max(1, _chunkCount + (_chunkCount / 4) + 1)];
                CountBytes(8L * (larger.Length - _chunks.Length));
                Array.Copy(_chunks, _start, larger, 0, _chunkCount);
                _chunks = larger;
            }
            _start = 0;
        }
        Array.Copy(_chunks, _start + at, _chunks, _start + at + 1, _chunkCount - at);
        _chunks[_start + at] = chunk;
        _chunkCount++;
    }

    private void RemoveChunk(int at)
    {
        CountBytes(-_chunks[_start + at]!.Bytes);
        if (at < _chunkCount / 2)
        {
            Array.Copy(_chunks, _start, _chunks, _start + 1, at);
            _chunks[_start++] = null;
        }
        else
        {
            Array.Copy(_chunks, _start + at + 1, _chunks, _start + at, _chunkCount - at - 1);
            _chunks[_start + _chunkCount - 1] = null;
        }
        _chunkCount--;
        if (_chunks.Length > 16 && _chunkCount < _chunks.Length / 4)
        {
            var smaller = new Chunk?[_chunkCount * 2];
            CountBytes(8L * (smaller.Length - _chunks.Length));
            Array.Copy(_chunks, _start, smaller, 0, _chunkCount);
            _chunks = smaller;
            _start = 0;
        }
    }

    /// <summary>
    /// A position in the map, possibly before the first entry or after the last. Valid until the map changes.
    /// </summary>
    public struct Position(StreamIdMap<T> map, int chunk, int index)
    {
        public readonly bool IsValid => (uint)chunk < (uint)map._chunkCount;

        public readonly StreamId Id => map._chunks[map._start + chunk]!.Ids[index];

        public readonly T Value => map._chunks[map._start + chunk]!.Values[index];

        public void Next()
        {
            if (++index < map._chunks[map._start + chunk]!.Count) return;
            chunk++;
            index = 0;
        }

        public void Previous()
        {
            if (--index >= 0) return;
            if (--chunk >= 0) index = map._chunks[map._start + chunk]!.Count - 1;
        }
    }

    private sealed class Chunk(int capacity)
    {
        public StreamId[] Ids = new StreamId[capacity];
        public T[] Values = new T[capacity];
        public int Count;

        public long Bytes => 40 + 24 + (16L * Ids.Length) + 24 + (8L * Values.Length);

        /// <summary>The index of this ID, or the complement of where it would be.</summary>
        public int IndexOf(StreamId id)
        {
            int low = 0, high = Count - 1;
            if (high >= 0 && Ids[high] < id) return ~Count;
            while (low <= high)
            {
                int middle = (low + high) >> 1;
                if (Ids[middle] == id) return middle;
                if (Ids[middle] < id) low = middle + 1;
                else high = middle - 1;
            }
            return ~low;
        }

        public void Insert(int index, StreamId id, T value)
        {
            Array.Copy(Ids, index, Ids, index + 1, Count - index);
            Array.Copy(Values, index, Values, index + 1, Count - index);
            Ids[index] = id;
            Values[index] = value;
            Count++;
        }

        public void RemoveAt(int index)
        {
            Count--;
            Array.Copy(Ids, index + 1, Ids, index, Count - index);
            Array.Copy(Values, index + 1, Values, index, Count - index);
            Values[Count] = null!;
        }

        public void Grow(int capacity)
        {
            Array.Resize(ref Ids, capacity);
            Array.Resize(ref Values, capacity);
        }

        public void MoveTail(int from, Chunk next)
        {
            int count = Count - from;
            Array.Copy(Ids, from, next.Ids, 0, count);
            Array.Copy(Values, from, next.Values, 0, count);
            Array.Clear(Values, from, count);
            next.Count = count;
            Count = from;
        }
    }
}
