using System.Buffers.Text;

namespace OrleansRedis.Engine;

/// <summary>An effect in the <see cref="ReplicationLog"/>.</summary>
/// <param name="Slot">The slot that it changes; <see cref="Effect.NoSlot"/> if it belongs to no slot.</param>
/// <param name="Epoch">The slot's epoch.</param>
/// <param name="Sequence">Its number within slot and epoch.</param>
/// <param name="Database">The logical database; <see cref="Effect.AnyDatabase"/> if that does not matter.</param>
/// <param name="IsShare">
/// Whether it is another slot's share of the command before it, and refers to the same bytes; see <see cref="Effect"/>.
/// </param>
/// <param name="Position">The position of its RESP frame.</param>
/// <param name="Length">The length of that frame in bytes.</param>
/// <param name="UnitEnd">
/// The position after the unit that it is part of: the same for all effects of one unit, and for no others.
/// </param>
public readonly record struct LoggedEffect(int Slot, long Epoch, long Sequence, int Database, bool IsShare, long Position, int Length, long UnitEnd);

/// <summary>
/// What this silo's writes do, in memory and in one order: the stream of commands that a replica is sent and an
/// append-only file holds. Every unit of effects is appended once, under the gates of its slots. Whatever makes it
/// durable or passes it on reads it from here, with a cursor of its own (<see cref="LogReader"/>).
/// <para>
/// <b>Positions.</b> A place in the log is the number of bytes appended before it since the process began: the
/// replication offset. Fsync waits, commits of a shared store and the instants of snapshots are positions too. So, as
/// in Redis, every byte of the stream counts: SELECT where the database changes, MULTI and EXEC around a unit of
/// several commands. With SELECT in the stream, any file or replica may begin at a position that
/// <see cref="BeginPart"/> has returned, its bytes need no rewriting on the way, and equal offsets mean equal bytes.
/// What only a file contains (aof-timestamp-enabled) is not in the stream; see <see cref="LogReader.Collect"/>.
/// </para>
/// <para>
/// <b>Memory.</b> Bytes stay while a reader holds them or <see cref="Retain"/> keeps them. A reader that lags further
/// behind than it may is dropped, and told so. Without a reader and without anything to retain, nothing is appended,
/// positions stand still, and a write pays only for one look at <see cref="EffectStream.HasConsumers"/>.
/// </para>
/// </summary>
public sealed class ReplicationLog(ServerOptions options, Clock clock)
{
    internal const int ChunkBytes = 256 * 1024;

    /// <summary>How many effects one block of the index describes.</summary>
    private const int BlockEffects = 1024;

    /// <summary>
    /// The most chunks kept for reuse. Under load they amount to about a second of the log; <see cref="Trim"/> shrinks
    /// them afterwards.
    /// </summary>
    private const int MostSpare = 512;

    private SlotGate _gate;                          // guards everything here; held for a few copies
    private readonly Queue<Chunk> _chunks = new();
    private readonly Stack<byte[]> _spare = new();
    private readonly Queue<Block> _index = new();    // of the effects, while a reader asks for them
    private readonly Queue<(long Position, byte[] Line)> _times = new();
    private Chunk? _last;                            // of _chunks
    private Block? _lastBlock;                       // of _index
    // the readers of what is appended from now on; replaced, never changed
    private LogReader[] _followers = [];
    // the readers that hold bytes back: the followers, and those that still read up to their end
    private LogReader[] _holders = [];
    private bool _isOpen;
    private bool _isIndexed;
    private bool _isSuspended;
    private bool _wakes;                             // a reader has asked to be woken
    private long _appended;
    private long _retainedBytes;
    private long _retainedFrom;                      // a reader that comes back gets nothing before it
    private int _database = Effect.AnyDatabase;      // that the stream is in; AnyDatabase: not known
    private int _leastSpare;
    private long _timestamp;

    /// <summary>
    /// Is told whether effects are appended, and so worth recording. Called when that changes, under the log's gate.
    /// </summary>
    internal Action<bool>? OpenChanged { get; set; }

    /// <summary>The position after everything appended so far. It only grows.</summary>
    public long Appended => Volatile.Read(ref _appended);

    /// <summary>
    /// The first position at which a reader can begin to follow; <see cref="Appended"/> if nothing is retained.
    /// </summary>
    public long RetainedFrom
    {
        get
        {
            _gate.EnterAfterOthers();
            long from = Oldest;
            _gate.Exit();
            return from;
        }
    }

    private long Oldest => _retainedBytes == 0 || !_chunks.TryPeek(out Chunk? first) ? _appended : Math.Max(_retainedFrom, first.Start);

    /// <summary>
    /// Keeps at least the last <paramref name="bytes"/> bytes, whether or not anyone reads them (repl-backlog-size),
    /// for readers that went away and come back with the position that they had reached. 0 ends that. Bytes appended
    /// before this was called are not offered, because nobody could rely on them.
    /// </summary>
    public void Retain(long bytes)
    {
        _gate.EnterAfterOthers();
        if (_retainedBytes == 0) _retainedFrom = _appended;
        _retainedBytes = bytes;
        Reconsider();
        TrimChunks();
        _gate.Exit();
    }

    /// <summary>
    /// Copies bytes from a position on, as many as fit and exist. False if that position is no longer in memory, or not
    /// yet appended.
    /// </summary>
    public bool TryReadAt(long position, Span<byte> into, out int count)
    {
        _gate.EnterAfterOthers();
        bool isHere = position >= Oldest && position <= _appended;
        count = 0;
        if (isHere)
        {
            long end = Math.Min(_appended, position + into.Length);
            foreach (Chunk chunk in _chunks)
            {
                ReadOnlySpan<byte> part = chunk.Between(position, end).Span;
                part.CopyTo(into[count..]);
                count += part.Length;
            }
        }
        _gate.Exit();
        return isHere;
    }

    /// <summary>
    /// Makes what is appended from here on stand by itself, in a file of its own or with a replica that has loaded a
    /// snapshot: it begins with SELECT. Returns the position. With the silo gate held exclusively this is an instant:
    /// everything done so far lies before the position, and everything else after it.
    /// </summary>
    public long BeginPart()
    {
        _gate.EnterAfterOthers();
        long position = BeginPartHere();
        _gate.Exit();
        return position;
    }

    /// <summary>
    /// Appends a PING, which changes nothing, and returns the position after it. If the log is open, no earlier reading
    /// of <see cref="Appended"/> has returned that position. Redis's own stream contains such PINGs too.
    /// </summary>
    public long AppendPing()
    {
        ReadOnlySpan<byte> ping = "*1\r\n$4\r\nPING\r\n"u8;
        return Append([new(Effect.NoSlot, 0, 0, Effect.AnyDatabase, 0, ping.Length)], ping);
    }

    /// <summary>
    /// Appends a unit: its effects in order, between MULTI and EXEC if they are several commands, with SELECT where the
    /// database changes. The caller holds the gates of all its slots, so the effects of a slot are appended in their
    /// order. Units of different slots may be appended by different threads.
    /// </summary>
    /// <returns>The position after it.</returns>
    internal long Append(ReadOnlySpan<Effect> effects, ReadOnlySpan<byte> bytes)
    {
        int commands = 0;
        foreach (ref readonly Effect effect in effects) commands += effect.IsShare ? 0 : 1;
        bool wakes;
        long appended;
        _gate.EnterAfterOthers();
        try
        {
            if (!_isOpen) return _appended;
            appended = _appended;
            int database = _database;
            if (options.AofTimestampEnabled) NoteTime();
            if (effects[0].Database != _database) appended += Select(effects[0].Database);
            if (commands > 1) appended += Put(Multi);
            foreach (ref readonly Effect effect in effects)
            {
                if (effect.IsShare) continue;
                if (effect.Database != _database) appended += Select(effect.Database);
                appended += Put(bytes.Slice(effect.Start, effect.Length));
            }
            if (commands > 1) appended += Put("*1\r\n$4\r\nEXEC\r\n"u8);
            _last!.WholeUpTo = appended;
            if (_isIndexed) Index(effects, database, commands > 1, appended);
            Volatile.Write(ref _appended, appended);
            wakes = _wakes;
            _wakes = false;
        }
        finally
        {
            _gate.Exit();
        }
        foreach (LogReader reader in Volatile.Read(ref _followers))
        {
            if (wakes && reader.Disarm()) reader.OnAppended();
            if (appended - reader.Done > reader.MostPending) reader.OnBehind();
        }
        return appended;
    }

    /// <summary>
    /// Stops appending while a log is loaded: what that does has been logged before.
    /// </summary>
    internal void Suspend()
    {
        _gate.EnterAfterOthers();
        _isSuspended = true;
        Reconsider();
        _gate.Exit();
    }

    /// <summary>Ends <see cref="Suspend"/>.</summary>
    internal void Resume()
    {
        _gate.EnterAfterOthers();
        _isSuspended = false;
        Reconsider();
        _gate.Exit();
    }

    /// <summary>
    /// To be called regularly: gives up half of the spare room that has not been needed since the last call.
    /// </summary>
    internal void Trim()
    {
        _gate.EnterAfterOthers();
        for (int i = (_leastSpare + 1) / 2; i > 0; i--) _spare.Pop();
        _leastSpare = _spare.Count;
        _gate.Exit();
    }

    internal long Follow(LogReader reader)
    {
        _gate.EnterAfterOthers();
        long position = BeginPartHere();
        Add(reader, position);
        _gate.Exit();
        return position;
    }

    internal bool TryFollow(LogReader reader, long from)
    {
        _gate.EnterAfterOthers();
        bool isHere = from >= Oldest && from <= _appended;
        if (isHere) Add(reader, from);
        _gate.Exit();
        return isHere;
    }

    internal void Stop(LogReader reader)
    {
        _gate.EnterAfterOthers();
        if (_followers.Contains(reader))
        {
            reader.End = _appended;
            Volatile.Write(ref _followers, [.. _followers.Where(other => other != reader)]);
            Reconsider();
        }
        _gate.Exit();
    }

    internal void Detach(LogReader reader)
    {
        Stop(reader);
        _gate.EnterAfterOthers();
        _holders = [.. _holders.Where(other => other != reader)];
        reader.HeldFrom = reader.End;
        TrimChunks();
        _gate.Exit();
    }

    internal bool TryArm(LogReader reader, long position)
    {
        _gate.EnterAfterOthers();
        bool arms = _appended <= position;
        if (arms) reader.IsArmed = _wakes = true;
        _gate.Exit();
        return arms;
    }

    internal void Release(LogReader reader, long upTo)
    {
        _gate.EnterAfterOthers();
        if (upTo > reader.HeldFrom)
        {
            reader.HeldFrom = upTo;
            TrimChunks();
        }
        _gate.Exit();
    }

    internal void Collect(long from, long to, List<ReadOnlyMemory<byte>> into, bool withTimes)
    {
        into.Clear();
        _gate.EnterAfterOthers();
        if (withTimes)
        {
            foreach ((long position, byte[] line) in _times)
            {
                if (position < from || position >= to) continue;
                CollectBytes(from, position, into);
                into.Add(line);
                from = position;
            }
        }
        CollectBytes(from, to, into);
        _gate.Exit();
    }

    internal long TimesLength(long from, long to)
    {
        long length = 0;
        _gate.EnterAfterOthers();
        foreach ((long position, byte[] line) in _times)
        {
            if (position >= from && position < to) length += line.Length;
        }
        _gate.Exit();
        return length;
    }

    internal void CollectEffects(long from, int least, List<ReadOnlyMemory<LoggedEffect>> into)
    {
        into.Clear();
        _gate.EnterAfterOthers();
        long end = from;
        foreach (Block block in _index)
        {
            if (least <= 0 && block.Effects[0].UnitEnd != end) break;
            end = block.Effects[block.Count - 1].UnitEnd;
            if (end <= from) continue;
            int first = 0;
            while (block.Effects[first].UnitEnd <= from) first++;
            into.Add(block.Effects.AsMemory(first, block.Count - first));
            least -= block.Count - first;
        }
        _gate.Exit();
    }

    /// <summary>
    /// The last position at which a unit is known to end, not after <paramref name="position"/>; at least
    /// <paramref name="least"/>.
    /// </summary>
    internal long WholeBefore(long position, long least)
    {
        _gate.EnterAfterOthers();
        foreach (Chunk chunk in _chunks)
        {
            if (chunk.WholeUpTo <= position) least = Math.Max(least, chunk.WholeUpTo);
        }
        _gate.Exit();
        return least;
    }

    private static ReadOnlySpan<byte> Multi => "*1\r\n$5\r\nMULTI\r\n"u8;

    private long BeginPartHere()
    {
        _database = Effect.AnyDatabase;
        _timestamp = 0;
        return _appended;
    }

    private void Add(LogReader reader, long from)
    {
        reader.Begin(from);
        _holders = [.. _holders, reader];
        Volatile.Write(ref _followers, [.. _followers, reader]);
        Reconsider();
    }

    /// <summary>To be called when the readers, or what is retained, have changed.</summary>
    private void Reconsider()
    {
        bool wasOpen = _isOpen;
        _isOpen = !_isSuspended && (_followers.Length != 0 || _retainedBytes != 0);
        _isIndexed = _followers.Any(static reader => reader.ReadsEffects);
        if (_isOpen == wasOpen) return;
        if (_isOpen) _retainedFrom = _appended; // what was done while it was closed is missing
        OpenChanged?.Invoke(_isOpen);
    }

    /// <summary>Notes that this second has begun, for files that record the time.</summary>
    private void NoteTime()
    {
        long now = clock.NowMs / 1000;
        if (now <= _timestamp) return;
        _timestamp = now;
        Span<byte> line = stackalloc byte[32];
        "#TS:"u8.CopyTo(line);
        Utf8Formatter.TryFormat(now, line[4..], out int digits);
        "\r\n"u8.CopyTo(line[(4 + digits)..]);
        _times.Enqueue((_appended, line[..(6 + digits)].ToArray()));
    }

    /// <summary>Adds a unit that begins at <see cref="_appended"/> to the index.</summary>
    /// <param name="effects">Its effects.</param>
    /// <param name="database">The database that the stream was in before it.</param>
    /// <param name="isTransaction">Whether it begins with MULTI.</param>
    /// <param name="end">The position after it.</param>
    private void Index(ReadOnlySpan<Effect> effects, int database, bool isTransaction, long end)
    {
        long at = _appended, frame = at;
        at += SelectLength(ref database, effects[0].Database) + (isTransaction ? Multi.Length : 0);
        foreach (ref readonly Effect effect in effects)
        {
            if (!effect.IsShare)
            {
                frame = at + SelectLength(ref database, effect.Database);
                at = frame + effect.Length;
            }
            if (_lastBlock is null || _lastBlock.Count == BlockEffects) _index.Enqueue(_lastBlock = new());
            _lastBlock.Effects[_lastBlock.Count++] =
                new(effect.Slot, effect.Epoch, effect.Sequence, effect.Database, effect.IsShare, frame, effect.Length, end);
        }
    }

    private static int SelectLength(ref int from, int to)
    {
        if (to == Effect.AnyDatabase || from == to) return 0;
        from = to;
        return SelectCommand.LengthOf(to);
    }

    private int Select(int database)
    {
        if (database == Effect.AnyDatabase) return 0;
        _database = database;
        Span<byte> command = stackalloc byte[SelectCommand.MostLength];
        return Put(command[..SelectCommand.Write(database, command)]);
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
        TrimChunks(); // applies the limits of what is retained, and of readers that lag too far
        byte[] bytes = _spare.TryPop(out byte[]? spare) ? spare : GC.AllocateUninitializedArray<byte>(ChunkBytes);
        _leastSpare = Math.Min(_leastSpare, _spare.Count);
        long start = _last is null ? _appended : _last.Start + _last.Length;
        _last = new(bytes, start) { WholeUpTo = _last?.WholeUpTo ?? start };
        _chunks.Enqueue(_last);
    }

    private void CollectBytes(long from, long to, List<ReadOnlyMemory<byte>> into)
    {
        if (from >= to) return;
        if (_last is { } last && from >= last.Start)
        {
            into.Add(last.Between(from, to)); // a reader that keeps up, while another keeps many chunks
            return;
        }
        foreach (Chunk chunk in _chunks)
        {
            ReadOnlyMemory<byte> part = chunk.Between(from, to);
            if (!part.IsEmpty) into.Add(part);
        }
    }

    /// <summary>Lets go of everything that is no longer needed.</summary>
    private void TrimChunks()
    {
        long needed = _retainedBytes == 0 ? _appended : Math.Max(_retainedFrom, _appended - _retainedBytes), indexed = _appended;
        foreach (LogReader reader in _holders)
        {
            if (_appended - reader.HeldFrom > reader.MostHeld) reader.IsDropped = true;
            if (reader.IsDropped) continue;
            needed = Math.Min(needed, reader.HeldFrom);
            if (reader.ReadsEffects) indexed = Math.Min(indexed, reader.HeldFrom);
        }
        while (_chunks.TryPeek(out Chunk? first) && !ReferenceEquals(first, _last) && first.Start + first.Length <= needed)
        {
            _chunks.Dequeue();
            if (_spare.Count < MostSpare) _spare.Push(first.Bytes);
        }
        while (_index.TryPeek(out Block? first) && first.Effects[first.Count - 1].UnitEnd <= indexed)
        {
            _index.Dequeue();
            if (first == _lastBlock) _lastBlock = null;
        }
        while (_times.TryPeek(out (long Position, byte[] Line) time) && time.Position < needed) _times.Dequeue();
    }

    /// <summary>A run of the log's bytes.</summary>
    /// <param name="bytes">Room for them.</param>
    /// <param name="start">The position of the first.</param>
    private sealed class Chunk(byte[] bytes, long start)
    {
        public byte[] Bytes { get; } = bytes;

        public long Start { get; } = start;

        public int Length { get; set; }

        /// <summary>The end of the last unit that ends in this chunk, or else in one before it.</summary>
        public long WholeUpTo { get; set; }

        public ReadOnlyMemory<byte> Between(long from, long to)
        {
            long begin = Math.Max(from, Start), end = Math.Min(to, Start + Length);
            return begin < end ? Bytes.AsMemory((int)(begin - Start), (int)(end - begin)) : default;
        }
    }

    /// <summary>A run of the index.</summary>
    private sealed class Block
    {
        public LoggedEffect[] Effects { get; } = new LoggedEffect[BlockEffects];

        public int Count { get; set; }
    }
}
