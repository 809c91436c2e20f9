using System.Buffers.Text;

namespace OrleansRedis.Engine;

/// <summary>
/// The end of the log that is not safely on the disk yet, in memory. Commands append to it under their gates; <see cref="LogWriter"/> takes from it
/// and says what is not needed any more. A place in the log is a <em>position</em>: how many bytes were appended before it since the process began, whatever file they are in.
/// </summary>
internal sealed class LogBuffer(ServerOptions options, Clock clock)
{
    internal const int ChunkBytes = 256 * 1024;

    /// <summary>Chunks kept for use again. Under load a second's worth of the log is here; see <see cref="Trim"/> for the time after that.</summary>
    private const int MostSpare = 512;

    private readonly Queue<Chunk> _chunks = new();
    private readonly Stack<byte[]> _spare = new();
    private SlotGate _gate; // guards everything here; held for a few copies
    private Chunk? _last;   // of _chunks
    private long _appended;
    private int _database = -1;
    private int _leastSpare;
    private long _timestamp;
    private bool _wakes;

    /// <summary>The position after everything appended so far.</summary>
    public long Appended => Volatile.Read(ref _appended);

    /// <summary>The position of the first byte that is still here.</summary>
    public long HeldFrom { get; private set; }

    /// <summary>
    /// Appends a unit: its effects in order, between MULTI and EXEC if they are several, with SELECT where the database changes. True if the writer
    /// has gone to sleep and is to be woken.
    /// </summary>
    public bool Append(ReadOnlySpan<Effect> effects, ReadOnlySpan<byte> bytes)
    {
        bool wakes;
        int commands = 0;
        foreach (Effect effect in effects) commands += effect.IsShare ? 0 : 1;
        _gate.Enter();
        long appended = _appended;
        try
        {
            if (options.AofTimestampEnabled) appended += PutTimestamp();
            if (effects[0].Database != _database) appended += PutSelect(effects[0].Database);
            if (commands > 1) appended += Put("*1\r\n$5\r\nMULTI\r\n"u8);
            foreach (Effect effect in effects)
            {
                if (effect.IsShare) continue;
                if (effect.Database != _database) appended += PutSelect(effect.Database);
                appended += Put(bytes.Slice(effect.Start, effect.Length));
            }
            if (commands > 1) appended += Put("*1\r\n$4\r\nEXEC\r\n"u8);
        }
        finally
        {
            if (_last is not null) _last.WholeUpTo = appended;
            Volatile.Write(ref _appended, appended);
            wakes = _wakes;
            _wakes = false;
            _gate.Exit();
        }
        return wakes;
    }

    /// <summary>What is appended from here on stands by itself, in a file of its own: it begins with SELECT. Returns the position.</summary>
    public long BeginPart()
    {
        _gate.Enter();
        _database = -1;
        _timestamp = 0;
        long position = _appended;
        _gate.Exit();
        return position;
    }

    /// <summary>Has the next <see cref="Append"/> return true, unless something was appended since <paramref name="position"/>: then this is false.</summary>
    public bool TryArm(long position)
    {
        _gate.Enter();
        bool armed = _wakes = _appended <= position;
        _gate.Exit();
        return armed;
    }

    /// <summary>The bytes between two positions, which must be here still; they do not change any more.</summary>
    public void Collect(long from, long to, List<ReadOnlyMemory<byte>> into)
    {
        into.Clear();
        _gate.Enter();
        foreach (Chunk chunk in _chunks)
        {
            long begin = Math.Max(from, chunk.Start), end = Math.Min(to, chunk.Start + chunk.Length);
            if (begin < end) into.Add(chunk.Bytes.AsMemory((int)(begin - chunk.Start), (int)(end - begin)));
        }
        _gate.Exit();
    }

    /// <summary>The last position, not after this one, at which a unit ends, as far as is known; at least <paramref name="least"/>.</summary>
    public long WholeBefore(long position, long least)
    {
        _gate.Enter();
        foreach (Chunk chunk in _chunks)
        {
            if (chunk.WholeUpTo <= position) least = Math.Max(least, chunk.WholeUpTo);
        }
        _gate.Exit();
        return least;
    }

    /// <summary>What lies before this position is not needed any more.</summary>
    public void Release(long upTo)
    {
        _gate.Enter();
        while (_chunks.TryPeek(out Chunk? first) && !ReferenceEquals(first, _last) && first.Start + first.Length <= upTo)
        {
            _chunks.Dequeue();
            if (_spare.Count < MostSpare) _spare.Push(first.Bytes);
        }
        HeldFrom = Math.Max(HeldFrom, upTo);
        _gate.Exit();
    }

    /// <summary>To be called now and then: gives up half of the room that was not needed since the last time.</summary>
    public void Trim()
    {
        _gate.Enter();
        for (int i = (_leastSpare + 1) / 2; i > 0; i--) _spare.Pop();
        _leastSpare = _spare.Count;
        _gate.Exit();
    }

    private int PutTimestamp()
    {
        long now = clock.NowMs / 1000;
        if (now <= _timestamp) return 0;
        _timestamp = now;
        Span<byte> line = stackalloc byte[32];
        "#TS:"u8.CopyTo(line);
        Utf8Formatter.TryFormat(now, line[4..], out int digits);
        "\r\n"u8.CopyTo(line[(4 + digits)..]);
        return Put(line[..(6 + digits)]);
    }

    private int PutSelect(int database)
    {
        _database = database;
        Span<byte> digits = stackalloc byte[12], command = stackalloc byte[48];
        Utf8Formatter.TryFormat(database, digits, out int count);
        ReadOnlySpan<byte> head = "*2\r\n$6\r\nSELECT\r\n$"u8;
        head.CopyTo(command);
        int at = head.Length;
        Utf8Formatter.TryFormat(count, command[at..], out int written);
        at += written;
        "\r\n"u8.CopyTo(command[at..]);
        digits[..count].CopyTo(command[(at + 2)..]);
        "\r\n"u8.CopyTo(command[(at + 2 + count)..]);
        return Put(command[..(at + 4 + count)]);
    }

    private int Put(ReadOnlySpan<byte> bytes)
    {
        int length = bytes.Length;
        while (true)
        {
            if (_last is null || _last.Length == ChunkBytes) AddChunk();
            Chunk last = _last!;
            int fits = Math.Min(bytes.Length, ChunkBytes - last.Length);
            bytes[..fits].CopyTo(last.Bytes.AsSpan(last.Length));
            last.Length += fits;
            if (fits == bytes.Length) return length;
            bytes = bytes[fits..];
        }
    }

    private void AddChunk()
    {
        byte[] bytes = _spare.TryPop(out byte[]? spare) ? spare : GC.AllocateUninitializedArray<byte>(ChunkBytes);
        _leastSpare = Math.Min(_leastSpare, _spare.Count);
        long start = _last is null ? _appended : _last.Start + _last.Length;
        _last = new(bytes, start) { WholeUpTo = _last?.WholeUpTo ?? start };
        _chunks.Enqueue(_last);
    }

    /// <summary>A run of the log's bytes.</summary>
    /// <param name="bytes">Room for them.</param>
    /// <param name="start">The position of the first.</param>
    private sealed class Chunk(byte[] bytes, long start)
    {
        public byte[] Bytes { get; } = bytes;

        public long Start { get; } = start;

        public int Length { get; set; }

        /// <summary>The end of the last unit that ends here, or else before.</summary>
        public long WholeUpTo { get; set; }
    }
}
