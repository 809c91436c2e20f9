using System.Collections.Concurrent;
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
/// Finds the commands in a file of the log, and where their keys will be looked for. If the file has more than a few, it
/// does so on a thread of its own, ahead of the one that runs them. A transaction is never divided between batches, so
/// none runs before its EXEC is read.
/// </summary>
internal sealed class AofReader : IDisposable
{
    /// <summary>How many batches there are: being filled, waiting, or being run.</summary>
    private const int Batches = 4;

    private const int FewBytes = 64 * 1024;

    private readonly CommandTable _commands;
    private readonly Stream _file;
    private readonly string _name;
    private readonly CancellationToken _cancellation;
    private readonly BlockingCollection<AofBatch> _free = [];
    private readonly BlockingCollection<AofBatch> _full = [];
    private readonly Thread? _thread;

    // The thread's own, as long as it runs.
    private AofBatch _batch = new();
    private int _read;              // everything before this in the batch's bytes has been parsed
    private int _end;
    private long _offset;           // of the batch's bytes in the file
    private long _inTransactionFrom = -1;
    private int _beforeTransaction; // number of the batch's commands that come before it

    /// <summary>Starts to read at the stream's position.</summary>
    /// <param name="commands">The commands that there are.</param>
    /// <param name="file">The file.</param>
    /// <param name="name">What messages call it.</param>
    /// <param name="cancellation">Ends the reading with an <see cref="OperationCanceledException"/>.</param>
    public AofReader(CommandTable commands, Stream file, string name, CancellationToken cancellation)
    {
        _commands = commands;
        _file = file;
        _name = name;
        _cancellation = cancellation;
        Begin = SoundUpTo = _offset = file.Position;
        if (file.Length - file.Position <= FewBytes) return;
        for (int i = 0; i < Batches; i++) _free.Add(i == 0 ? _batch : new(), CancellationToken.None);
        _thread = new(ReadAll) { IsBackground = true, Name = "aof-read" };
        _thread.Start();
    }

    /// <summary>Where in the file it began.</summary>
    public long Begin { get; }

    /// <summary>Roughly how many bytes of the file have been read; for other threads to ask.</summary>
    public long Progress { get; private set; }

    /// <summary>
    /// Once all is read: where in the file the sound part ends, after the last whole command outside an unfinished
    /// transaction.
    /// </summary>
    public long SoundUpTo { get; private set; }

    /// <summary>Once all is read: whether the incomplete part is a transaction.</summary>
    public bool IsInTransaction => _inTransactionFrom >= 0;

    private long ReadOffset => _offset + _read;

    /// <summary>The next commands. After a batch that has an <see cref="AofBatch.End"/> or a failure there is none.</summary>
    public AofBatch Take()
    {
        if (_thread is not null) return _full.Take();
        ReadInto(_batch);
        return _batch;
    }

    /// <summary>The batch's commands have been run.</summary>
    public void GiveBack(AofBatch batch)
    {
        if (_thread is not null) _free.Add(batch);
    }

    /// <summary>
    /// Whether what looks like sound commands comes after the place where the file seems to be cut off. If so, it is
    /// not a torn end but a wrong length somewhere, and cutting there would throw away everything after it.
    /// </summary>
    public bool HasCommandsBehind()
    {
        if (IsInTransaction) return false; // every command of it was whole
        ReadOnlySpan<byte> rest = _batch.Bytes.AsSpan(_read, _end - _read);
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

    /// <summary>Stops reading.</summary>
    public void Dispose()
    {
        _free.CompleteAdding();
        _thread?.Join();
        _free.Dispose();
        _full.Dispose();
    }

    private void ReadAll()
    {
        foreach (AofBatch batch in _free.GetConsumingEnumerable())
        {
            ReadInto(batch);
            bool isLast = batch.IsLast; // not to be asked once it is another thread's
            _full.Add(batch);
            if (isLast) return;
        }
    }

    private void ReadInto(AofBatch batch)
    {
        try
        {
            batch.Clear();
            TakeOver(batch);
            Read();
        }
        catch (Exception e)
        {
            batch.Failure = e;
        }
        if (IsInTransaction) batch.Commands.RemoveRange(_beforeTransaction, batch.Commands.Count - _beforeTransaction);
    }

    /// <summary>What the last batch's bytes have behind its commands is the beginning of this one's.</summary>
    private void TakeOver(AofBatch batch)
    {
        int rest = _end - _read;
        if (batch != _batch) batch.Shrink();
        batch.MakeRoom(rest, used: 0);
        _batch.Bytes.AsSpan(_read, rest).CopyTo(batch.Bytes);
        _offset += _read;
        (_batch, _read, _end) = (batch, 0, rest);
    }

    /// <summary>Reads until there are commands and the rest of the bytes is none, or to the end of the file.</summary>
    private void Read()
    {
        while (true)
        {
            int first = _batch.Arguments.Count;
            AofFrame frame = AofFrameReader.Read(_batch.Bytes.AsSpan(_read, _end - _read), _read, ref _batch.Arguments, out long length);
            switch (frame)
            {
                case AofFrame.Command:
                    Add(first, (int)length);
                    break;
                case AofFrame.Annotation:
                    _read += (int)length;
                    break;
                case AofFrame.Malformed:
                    throw new AofDamageException(_name, ReadOffset + length, "that is no command");
                default:
                    if (!IsInTransaction && _batch.Commands.Count != 0) return;
                    if (Fill(length)) continue;
                    _batch.End = _read < _end || IsInTransaction ? AofReplayEnd.CutOff
                        : ReadOffset == Begin && Begin == 0 ? AofReplayEnd.Empty : AofReplayEnd.Whole;
                    return;
            }
            if (!IsInTransaction) SoundUpTo = ReadOffset;
        }
    }

    private void Add(int first, int length)
    {
        var request = new Request(_batch.Bytes, _batch.Arguments.Slice(first, _batch.Arguments.Count - first), []);
        long offset = ReadOffset;
        if (_commands.ResolveLogged(request) is not { Method: not null } command
            || command.Is(CommandFlags.NeedsConnection) || !command.AcceptsCount(request.Count))
        {
            // A PING marks a place in the stream and does nothing.
            if (!request[0].Is("PING"u8)) throw Unknown(request);
            _batch.Arguments.Count = first;
            _read += length;
            return;
        }
        _read += length;
        switch (command.Name)
        {
            case "multi" when !IsInTransaction:
                (_inTransactionFrom, _beforeTransaction) = (offset, _batch.Commands.Count);
                return;
            case "exec" when IsInTransaction:
                _inTransactionFrom = -1;
                return;
            case "multi" or "exec":
                throw new AofDamageException(_name, offset, $"{command.Name.ToUpperInvariant()} is not expected there");
        }
        _batch.Add(new(command, first, request.Count, offset), Store.Foresee(command, request));
    }

    private Exception Unknown(in Request request)
    {
        string name = Encoding.UTF8.GetString(request[0][..Math.Min(request[0].Length, 128)]);
        return new LoadException(string.Create(
            CultureInfo.InvariantCulture, $"Unknown command '{name}' reading the append only file {_name} at byte {ReadOffset}"));
    }

    /// <summary>
    /// Reads on, until at least <paramref name="least"/> unparsed bytes are there, or as many as the file has. False at
    /// the file's end.
    /// </summary>
    private bool Fill(long least)
    {
        long needed = _read + least, left = _file.Length - _file.Position;
        // A wrong length must not cost more memory than the file can fill.
        bool isThere = _end + left >= needed;
        if (isThere) _batch.MakeRoom(needed, _end);
        int count = _end == _batch.Bytes.Length ? 0 : _file.Read(_batch.Bytes.AsSpan(_end));
        _end += count;
        Progress = _offset + _end;
        _cancellation.ThrowIfCancellationRequested();
        return isThere && count > 0;
    }
}

/// <summary>A command of the log: its arguments, and where it is in the file.</summary>
internal readonly record struct LoggedCommand(CommandInfo Command, int First, int Count, long Offset);

/// <summary>Commands of the log, and their bytes. Belongs to one thread at a time.</summary>
internal sealed class AofBatch
{
    private const int Length = 256 * 1024, MostKept = 16 * Length;

    /// <summary>The commands' arguments; positions in <see cref="Bytes"/>.</summary>
    public ArgumentList Arguments = new();

    private ForeseenKey[] _keys = new ForeseenKey[Length / 64];

    public byte[] Bytes { get; private set; } = GC.AllocateUninitializedArray<byte>(Length);

    public List<LoggedCommand> Commands { get; } = new(Length / 64);

    /// <summary>Where each command's key is looked for.</summary>
    public ReadOnlySpan<ForeseenKey> Keys => _keys.AsSpan(0, Commands.Count);

    /// <summary>If these are the last commands of a file that is not damaged: how it ends.</summary>
    public AofReplayEnd? End { get; set; }

    /// <summary>If no commands can be read after these: why.</summary>
    public Exception? Failure { get; set; }

    public bool IsLast => End is not null || Failure is not null;

    public Request Request(LoggedCommand command) => new(Bytes, Arguments.Slice(command.First, command.Count), []);

    public void Add(in LoggedCommand command, in ForeseenKey key)
    {
        if (Commands.Count == _keys.Length) Array.Resize(ref _keys, _keys.Length * 2);
        _keys[Commands.Count] = key;
        Commands.Add(command);
    }

    /// <summary>Sees to it that there is room for so many bytes, of which some are in use.</summary>
    public void MakeRoom(long bytes, int used)
    {
        if (bytes <= Bytes.Length) return;
        byte[] larger = GC.AllocateUninitializedArray<byte>((int)Math.Min(Array.MaxLength, Math.Max(bytes, Bytes.Length * 2L)));
        Bytes.AsSpan(0, used).CopyTo(larger);
        Bytes = larger;
    }

    /// <summary>Gives back what it has grown to.</summary>
    public void Shrink()
    {
        if (Bytes.Length > MostKept) Bytes = GC.AllocateUninitializedArray<byte>(Length);
    }

    public void Clear()
    {
        Arguments.Clear();
        Commands.Clear();
        (End, Failure) = (null, null);
    }
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
