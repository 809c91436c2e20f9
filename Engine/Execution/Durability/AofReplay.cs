using System.Globalization;
using System.Text;

namespace OrleansRedis.Engine;

/// <summary>How reading a file of the log ended, if it is not damaged.</summary>
internal enum AofReplayEnd
{
    /// <summary>It was read to its end.</summary>
    Whole,

    /// <summary>There is nothing in it.</summary>
    Empty,

    /// <summary>Its last command or transaction is incomplete.</summary>
    CutOff,
}

/// <summary>
/// Runs the commands in a file of the log. Commands between MULTI and EXEC run only once EXEC has been read. Commands
/// are read a few at a time, so that the keys they will look up can be prefetched together (<see cref="Foresight"/>).
/// </summary>
internal sealed class AofReplay
{
    private const int BufferLength = 1 << 20;
    private const int MostErrorsLogged = 10;

    private readonly Store _store;
    private readonly CommandTable _commands;
    private readonly Stream _file;
    private readonly string _name;
    private readonly CancellationToken _cancellation;
    private readonly Session _session = new();
    private readonly RespWriter _reply = new();
    private readonly List<Pending> _pending = [];       // read, but not run yet
    private ArgumentList _arguments = new();            // of _pending; positions in the buffer, relative to _start
    private readonly ForeseenKey[] _keys = new ForeseenKey[Store.MostForeseen];
    private byte[] _buffer = GC.AllocateUninitializedArray<byte>(BufferLength);
    private int _start;                                 // of the first of _pending
    private int _read;                                  // everything before this has been parsed
    private int _end;
    private long _startOffset;                          // position of _start in the file
    private long _inTransactionFrom = -1;
    private int _errors;

    public AofReplay(ServerFiles files, CommandTable commands, Stream file, string name, CancellationToken cancellation)
    {
        _store = files.Store;
        _commands = commands;
        _file = file;
        _name = name;
        _cancellation = cancellation;
        _startOffset = file.Position;
    }

    /// <summary>
    /// Where in the file the sound part ends: after the last whole command outside an unfinished transaction.
    /// </summary>
    public long SoundUpTo { get; private set; }

    /// <summary>Roughly how many bytes of the file have been read; for other threads to ask.</summary>
    public long Progress { get; private set; }

    /// <summary>How many commands were run.</summary>
    public long Commands { get; private set; }

    /// <summary>Whether the incomplete part is a transaction.</summary>
    public bool IsInTransaction => _inTransactionFrom >= 0;

    private long ReadOffset => _startOffset + _read - _start;

    /// <summary>Runs the whole file, from the stream's position on.</summary>
    /// <exception cref="AofDamageException">Part of the file is not a command.</exception>
    public AofReplayEnd Run()
    {
        SoundUpTo = _startOffset;
        long begin = _startOffset;
        while (true)
        {
            ReadOnlySpan<byte> rest = _buffer.AsSpan(_read, _end - _read);
            int first = _arguments.Count;
            AofFrame frame = AofFrameReader.Read(rest, _read - _start, ref _arguments, out long length);
            switch (frame)
            {
                case AofFrame.Command:
                    Take(first, (int)length);
                    break;
                case AofFrame.Annotation:
                    _read += (int)length;
                    if (!IsInTransaction) SoundUpTo = ReadOffset;
                    break;
                case AofFrame.Malformed:
                    RunPending();
                    throw new AofDamageException(_name, ReadOffset + length, "that is no command");
                default:
                    if (Fill(length)) continue;
                    if (!IsInTransaction) RunPending();
                    if (_read < _end || IsInTransaction) return AofReplayEnd.CutOff;
                    return ReadOffset == begin && begin == 0 ? AofReplayEnd.Empty : AofReplayEnd.Whole;
            }
        }
    }

    /// <summary>
    /// Whether what looks like sound commands comes after the place where the file seems to be cut off. If so, it is
    /// not a torn end but a wrong length somewhere, and cutting there would throw away everything after it.
    /// </summary>
    public bool HasCommandsBehind()
    {
        if (IsInTransaction) return false; // every command of it was whole
        ReadOnlySpan<byte> rest = _buffer.AsSpan(_read, _end - _read);
        var arguments = new ArgumentList();
        for (int from = 1; from < rest.Length; from++)
        {
            int found = rest[from..].IndexOf("\r\n*"u8);
            if (found < 0) return false;
            from += found + 2;
            arguments.Clear();
            if (AofFrameReader.Read(rest[from..], from, ref arguments, out _) != AofFrame.Command) continue;
            var request = new Request(rest, arguments.Slice(0, arguments.Count), []);
            if (_commands.ResolveLogged(request) is { Method: not null } command && command.AcceptsCount(request.Count)) return true;
        }
        return false;
    }

    private void Take(int first, int length)
    {
        var request = new Request(_buffer.AsSpan(_start), _arguments.Slice(first, _arguments.Count - first), []);
        long offset = ReadOffset;
        if (_commands.ResolveLogged(request) is not { Method: not null } command
            || command.Is(CommandFlags.NeedsConnection) || !command.AcceptsCount(request.Count))
        {
            // A PING marks a place in the stream and does nothing.
            if (!request[0].Is("PING"u8)) throw Unknown(request);
            _arguments.Count = first;
            _read += length;
            return;
        }
        _read += length;
        switch (command.Name)
        {
            case "multi" when !IsInTransaction:
                RunPending();
                SoundUpTo = _inTransactionFrom = offset;
                return;
            case "exec" when IsInTransaction:
                _inTransactionFrom = -1;
                RunPending();
                return;
            case "multi" or "exec":
                throw new AofDamageException(_name, offset, $"{command.Name.ToUpperInvariant()} is not expected there");
        }
        _pending.Add(new(command, first, request.Count, offset));
        if (IsInTransaction) return;
        if (_pending.Count == Store.MostForeseen) RunPending();
    }

    /// <summary>Runs the commands that have been read, and forgets them.</summary>
    private void RunPending()
    {
        if (_pending.Count > 0)
        {
            int stripe = _store.SiloGate.EnterShared();
            try
            {
                var call = new CommandContext(_store, _session, _reply) { NowMs = _store.Clock.NowMs, MayBlock = false };
                for (int from = 0; from < _pending.Count; from += Store.MostForeseen)
                    RunSome(ref call, from, Math.Min(Store.MostForeseen, _pending.Count - from), ref stripe);
            }
            finally
            {
                _store.SiloGate.ExitShared(stripe);
            }
            Commands += _pending.Count;
            _pending.Clear();
        }
        _arguments.Clear();
        _startOffset = ReadOffset;
        _start = _read;
        if (!IsInTransaction) SoundUpTo = _startOffset;
    }

    private void RunSome(ref CommandContext call, int from, int count, ref int stripe)
    {
        Span<ForeseenKey> keys = _keys;
        ReadOnlySpan<byte> bytes = _buffer.AsSpan(_start);
        for (int i = 0; i < count; i++)
        {
            Pending next = _pending[from + i];
            keys[i] = Store.Foresee(next.Command, new Request(bytes, _arguments.Slice(next.First, next.Count), []));
        }
        _store.Foresee(keys[..count], _session.Database);
        for (int i = 0; i < count; i++)
        {
            Pending next = _pending[from + i];
            call.Request = new(bytes, _arguments.Slice(next.First, next.Count), []);
            call.Command = next.Command;
            call.SlotHint = keys[i].Slot;
            call.Continuation = null;
            Attempt attempt = _store.Execute(ref call);
            if (attempt.Outcome != Outcome.Done) RunAlone(ref call, attempt, next, ref stripe);
            if (_reply.Written is [(byte)'-', ..]) Refused(next);
            _reply.Clear();
        }
    }

    /// <summary>Runs a command that must run alone, takes long, or found a gate taken.</summary>
    private void RunAlone(ref CommandContext call, Attempt attempt, Pending pending, ref int stripe)
    {
        if (attempt.Outcome != Outcome.SlotNotHere)
        {
            _store.SiloGate.ExitShared(stripe);
            _store.SiloGate.EnterExclusiveAsync().AsTask().GetAwaiter().GetResult();
            try
            {
                attempt = _store.ExecuteExclusively(ref call);
            }
            finally
            {
                _store.SiloGate.ExitExclusive();
                stripe = _store.SiloGate.EnterShared();
            }
        }
        if (attempt.Outcome == Outcome.SlotNotHere)
            throw new AofDamageException(_name, pending.Offset, $"it is for a key of slot {attempt.Slot}, which is not on this silo");
    }

    /// <summary>
    /// Only commands that succeeded were logged, so a command that fails now finds different data than it did then.
    /// </summary>
    private void Refused(Pending pending)
    {
        string error = Encoding.UTF8.GetString(_reply.Written[1..^2]);
        if (pending.Command.Name == "select") throw new AofDamageException(_name, pending.Offset, $"{error}; see the directive 'databases'");
        if (++_errors > MostErrorsLogged) return;
        _store.Log.Warning(string.Create(CultureInfo.InvariantCulture,
            $"The command '{pending.Command.Name}' at byte {pending.Offset} of the append only file {_name} could not be applied: {error}"));
    }

    private Exception Unknown(in Request request)
    {
        long offset = ReadOffset;
        string name = Encoding.UTF8.GetString(request[0][..Math.Min(request[0].Length, 128)]);
        RunPending();
        return new LoadException(string.Create(
            CultureInfo.InvariantCulture, $"Unknown command '{name}' reading the append only file {_name} at byte {offset}"));
    }

    /// <summary>
    /// Reads on, until at least <paramref name="least"/> unparsed bytes are there, or as many as the file has. False at
    /// the file's end.
    /// </summary>
    private bool Fill(long least)
    {
        if (!IsInTransaction) RunPending();
        if (_start > 0)
        {
            _buffer.AsSpan(_start, _end - _start).CopyTo(_buffer);
            _end -= _start;
            _read -= _start;
            _start = 0;
        }
        long needed = _read + least, left = _file.Length - _file.Position;
        // A wrong length must not cost more memory than the file can fill.
        bool isThere = _end + left >= needed;
        if (isThere && needed > _buffer.Length) Array.Resize(ref _buffer, (int)Math.Min(Array.MaxLength, Math.Max(needed, _buffer.Length * 2L)));
        int count = _end == _buffer.Length ? 0 : _file.Read(_buffer.AsSpan(_end));
        _end += count;
        Progress = _startOffset + _end;
        _cancellation.ThrowIfCancellationRequested();
        return isThere && count > 0;
    }

    private readonly record struct Pending(CommandInfo Command, int First, int Count, long Offset);
}

/// <summary>A file of the log contains something that no log contains. The message is what to log.</summary>
/// <param name="file">The file.</param>
/// <param name="offset">The position in it.</param>
/// <param name="reason">What is wrong.</param>
internal sealed class AofDamageException(string file, long offset, string reason) : Exception(reason)
{
    public string File { get; } = file;

    public long Offset { get; } = offset;
}
