using OrleansRedis.Engine;

namespace OrleansRedis.Gateway;

/// <summary>How an attempt to read a request ended.</summary>
internal enum ReadOutcome
{
    /// <summary>A request was read (with no arguments, an empty line to be ignored).</summary>
    Request,

    /// <summary>The bytes end inside a request.</summary>
    Incomplete,

    /// <summary>The bytes are not a request; <see cref="RequestReader.Error"/> says why.</summary>
    Malformed,
}

/// <summary>
/// Reads requests out of the bytes of one connection: RESP arrays of bulk strings, and inline commands. It remembers
/// how far it got in an incomplete request, so that no byte is looked at twice, however slowly a request arrives. The
/// caller keeps the bytes of an incomplete request, from its first byte on, and passes them again together with what
/// follows.
/// </summary>
internal sealed class RequestReader
{
    private const int LongestLine = 64 * 1024;

    /// <summary>Room for more arguments than this is given back after a request that needed it.</summary>
    private const int MostKeptArguments = 4096;

    private const int UsualArguments = 16;

    private ArgumentRange[] _arguments = new ArgumentRange[UsualArguments];
    private int _first;             // where the arguments of the request being read begin, after those of kept requests
    private int _count;             // how many of its arguments have been read so far
    private int _expected = -1;     // how many arguments the array announces; -1: its header is not read yet
    private int _bulkLength = -1;   // bytes of the bulk string being read; -1: its header is not read yet
    private int _position;          // how far the incomplete request has been parsed
    private byte[] _inline = [];    // an inline command's arguments, with quotes and escapes resolved
    private bool _isInline;

    /// <summary>The largest bulk string accepted (proto-max-bulk-len).</summary>
    public long LargestBulk { get; set; } = 512L * 1024 * 1024;

    /// <summary>
    /// Set until the client has authenticated, so that strangers cannot make the server allocate much.
    /// </summary>
    public bool Unauthenticated { get; set; }

    /// <summary>What was wrong, in Redis's words.</summary>
    public string Error { get; private set; } = "";

    /// <summary>Number of bytes that the request took.</summary>
    public int Consumed { get; private set; }

    /// <summary>Number of arguments read; 0 for an empty line or an empty array.</summary>
    public int Count => _count;

    /// <summary>
    /// The least number of bytes that the incomplete request will have, so that its buffer can be made large enough at
    /// once.
    /// </summary>
    public long LeastLength => _bulkLength < 0 ? _position : (long)_position + _bulkLength + 2;

    /// <summary>How many bytes of the incomplete request need not be looked at again.</summary>
    public int ParsedLength => _expected < 0 ? 0 : _position;

    /// <summary>Reads one request from the start of <paramref name="bytes"/>.</summary>
    public ReadOutcome Read(ReadOnlySpan<byte> bytes)
    {
        if (_expected < 0)
        {
            if (bytes.IsEmpty) return ReadOutcome.Incomplete;
            _isInline = bytes[0] != '*';
            if (_isInline) return ReadInline(bytes);
            _count = 0;
            _position = 1;
            ReadOutcome header = ReadHeader(bytes, out long expected);
            if (header == ReadOutcome.Incomplete)
            {
                _position = 0;
                return bytes.Length > LongestLine ? Malformed("Protocol error: too big mbulk count string") : header;
            }
            if (header == ReadOutcome.Malformed || expected > int.MaxValue)
                return Malformed("Protocol error: invalid multibulk length");
            if (expected > 10 && Unauthenticated) return Malformed("Protocol error: unauthenticated multibulk length");
            if (expected <= 0) return Complete();
            _expected = (int)expected;
        }
        while (_count < _expected)
        {
            if (_bulkLength < 0)
            {
                if (_position >= bytes.Length) return ReadOutcome.Incomplete;
                if (bytes[_position] != '$') return Malformed($"Protocol error: expected '$', got '{(char)bytes[_position]}'");
                int start = _position++;
                ReadOutcome header = ReadHeader(bytes, out long length);
                if (header == ReadOutcome.Incomplete)
                {
                    _position = start;
                    return bytes.Length - start > LongestLine ? Malformed("Protocol error: too big bulk count string") : header;
                }
                if (header == ReadOutcome.Malformed || length < 0 || length > LargestBulk || length > int.MaxValue - 64)
                    return Malformed("Protocol error: invalid bulk length");
                if (length > 16384 && Unauthenticated) return Malformed("Protocol error: unauthenticated bulk length");
                _bulkLength = (int)length;
            }
            if (bytes.Length - _position < _bulkLength + 2) return ReadOutcome.Incomplete;
            if (_first + _count == _arguments.Length)
                Array.Resize(ref _arguments, (int)Math.Min((long)_first + _expected + 16, _arguments.Length * 2L));
            _arguments[_first + _count++] = new(_position, _bulkLength);
            _position += _bulkLength + 2; // what stands in place of CR LF is not checked, as in Redis
            _bulkLength = -1;
        }
        return Complete();
    }

    /// <summary>How many arguments the requests have that are set aside.</summary>
    public int KeptArguments => _first;

    /// <summary>Whether there is room for more arguments than most requests have.</summary>
    public bool IsLarge => _arguments.Length > 4 * UsualArguments;

    /// <summary>Whether the last request read is an inline command; it must be run before another is read.</summary>
    public bool IsInline => _isInline;

    /// <summary>Sets aside the last request read, so that another can be read before it is run.</summary>
    /// <param name="start">Where it starts in the caller's bytes.</param>
    public KeptRequest Keep(int start)
    {
        var kept = new KeptRequest(start, Consumed, _first, _count, _isInline);
        _first += _count;
        return kept;
    }

    /// <summary>A request that was set aside.</summary>
    public Request Request(in KeptRequest kept, ReadOnlySpan<byte> bytes)
    {
        ReadOnlySpan<ArgumentRange> arguments = _arguments.AsSpan(kept.FirstArgument, kept.Count);
        if (kept.IsInline) return new(_inline, arguments, []);
        ReadOnlySpan<byte> frame = bytes.Slice(kept.Start, kept.Length);
        return new(frame, arguments, frame);
    }

    /// <summary>
    /// The requests set aside have been run. What has been parsed of an incomplete one after them stays known if the
    /// caller comes back with its bytes, which it does unless <paramref name="startAnew"/> says otherwise.
    /// </summary>
    public void Release(bool startAnew)
    {
        if (startAnew)
        {
            _expected = _bulkLength = -1;
            _position = _count = 0;
        }
        int first = _first;
        _first = 0;
        if (_expected >= 0)
        {
            _arguments.AsSpan(first, _count).CopyTo(_arguments);
            return;
        }
        _count = 0;
        // A large request is over: release its memory.
        if (_arguments.Length > MostKeptArguments) _arguments = new ArgumentRange[UsualArguments];
        if (_inline.Length > 4096) _inline = [];
    }

    /// <summary>Gives back the room that only requests with many arguments need, unless one is being read.</summary>
    public void Shrink()
    {
        if (_expected < 0 && _first == 0) _arguments = new ArgumentRange[UsualArguments];
    }

    private ReadOutcome Complete()
    {
        Consumed = _position;
        _position = 0;
        _expected = -1;
        _bulkLength = -1;
        return ReadOutcome.Request;
    }

    private ReadOutcome Malformed(string error)
    {
        Error = error;
        return ReadOutcome.Malformed;
    }

    /// <summary>Reads a decimal number and CR LF at the position.</summary>
    private ReadOutcome ReadHeader(ReadOnlySpan<byte> bytes, out long value)
    {
        // The usual header has one or two digits.
        value = 0;
        int at = _position;
        while (at < bytes.Length && (uint)(bytes[at] - '0') <= 9 && at - _position < 9)
            value = (value * 10) + bytes[at++] - '0';
        if (at > _position && at + 1 < bytes.Length && bytes[at] == '\r' && (bytes[_position] != '0' || at == _position + 1))
        {
            _position = at + 2;
            return ReadOutcome.Request;
        }
        return ReadUnusualHeader(bytes, out value);
    }

    private ReadOutcome ReadUnusualHeader(ReadOnlySpan<byte> bytes, out long value)
    {
        value = 0;
        int end = bytes[_position..].IndexOfAny((byte)'\r', (byte)0);
        // As in Redis, a NUL hides what follows it, so the number never ends.
        if (end < 0 || bytes[_position + end] == 0 || _position + end + 1 >= bytes.Length) return ReadOutcome.Incomplete;
        ReadOnlySpan<byte> digits = bytes.Slice(_position, end);
        _position += end + 2;
        return Numbers.TryParseInt64(digits, out value) ? ReadOutcome.Request : ReadOutcome.Malformed;
    }

    private ReadOutcome ReadInline(ReadOnlySpan<byte> bytes)
    {
        int end = bytes[_position..].IndexOfAny((byte)'\n', (byte)0);
        end = end < 0 ? bytes.Length : end + _position;
        // However much of it arrives at once.
        if (end > LongestLine) return Malformed("Protocol error: too big inline request");
        if (end == bytes.Length || bytes[end] == 0)
        {
            // As in Redis, a NUL hides what follows it, so the line never ends.
            _position = end;
            return bytes.Length > LongestLine ? Malformed("Protocol error: too big inline request") : ReadOutcome.Incomplete;
        }
        _position = end + 1;
        ReadOnlySpan<byte> line = bytes[..end];
        if (line.EndsWith("\r"u8)) line = line[..^1];
        if (_inline.Length < line.Length) _inline = new byte[Math.Max(256, line.Length)];
        // Never behind requests set aside: see IsInline.
        _count = InlineSplitter.Split(line, _inline, ref _arguments);
        return _count < 0 ? Malformed("Protocol error: unbalanced quotes in request") : Complete();
    }
}

/// <summary>A request that was read and waits to be run: where its frame and its arguments are.</summary>
internal readonly record struct KeptRequest(int Start, int Length, int FirstArgument, int Count, bool IsInline);
