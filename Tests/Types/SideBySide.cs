using System.Globalization;
using System.Net.Sockets;
using System.Text;
using OrleansRedis.Engine;
using OrleansRedis.Tests.Harness;
using Xunit;

namespace OrleansRedis.Tests;

/// <summary>
/// The engine in this process beside Debian's redis-server. Both get the same commands, and their replies are compared
/// byte for byte.
/// </summary>
internal sealed class SideBySide : IAsyncDisposable
{
    private readonly RedisProcess _process;
    private readonly Socket _socket;
    private readonly byte[] _buffer = new byte[1 << 16];
    private readonly List<byte> _reply = [];
    private int _start, _end;
    private string[] _last = [], _now = [];

    private SideBySide(RedisProcess process, EngineHarness ours)
    {
        _process = process;
        Ours = ours;
        _socket = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified) { ReceiveTimeout = 20_000 };
        _socket.Connect(new UnixDomainSocketEndPoint(process.UnixSocket));
    }

    public EngineHarness Ours { get; }

    /// <summary>redis-server's <c>dir</c>.</summary>
    public string Directory => _process.Directory;

    /// <summary>Starts a redis-server with directives, and an engine to be configured alike.</summary>
    public static async Task<SideBySide> StartAsync(Action<ServerOptions>? configure = null, params string[] directives) =>
        new(await RedisProcess.StartAsync(ServerKind.Redis, directives), new EngineHarness(configure));

    /// <summary>Runs a command on both, requires the same reply, and returns it.</summary>
    public string Same(params string[] words)
    {
        (_last, _now) = (_now, words);
        string theirs = Theirs(words), ours = Ours.Raw(words);
        if (theirs != ours) Assert.Fail($"{Quote(_last)} then {Quote(words)}\nredis-server: {Escape(theirs)}\nours:         {Escape(ours)}");
        return ours;
    }

    /// <summary>Runs a command, given as a line of words, on both, requires the same reply, and returns it.</summary>
    public string Same(string line) => Same(line.Split(' ', StringSplitOptions.RemoveEmptyEntries));

    /// <summary>Runs a command on redis-server and returns its reply's bytes as Latin-1.</summary>
    public string Theirs(params string[] words)
    {
        var request = new StringBuilder();
        request.Append(CultureInfo.InvariantCulture, $"*{words.Length}\r\n");
        foreach (string word in words) request.Append(CultureInfo.InvariantCulture, $"${word.Length}\r\n{word}\r\n");
        byte[] bytes = Encoding.Latin1.GetBytes(request.ToString());
        for (int sent = 0; sent < bytes.Length;) sent += _socket.Send(bytes, sent, bytes.Length - sent, SocketFlags.None);
        _reply.Clear();
        ReadValue();
        return Encoding.Latin1.GetString([.. _reply]);
    }

    /// <summary>The payload of a bulk string reply.</summary>
    public static string Payload(string reply)
    {
        Assert.StartsWith("$", reply, StringComparison.Ordinal);
        return reply[(reply.IndexOf('\n', StringComparison.Ordinal) + 1)..^2];
    }

    public async ValueTask DisposeAsync()
    {
        _socket.Dispose();
        Ours.Dispose();
        await _process.DisposeAsync();
    }

    public static string Quote(params string[] words) =>
        string.Join(' ', words.Select(word => word.Length == 0 || word.Any(c => c is <= ' ' or > '~') ? $"\"{Escape(word)}\"" : word));

    private static string Escape(string text)
    {
        var escaped = new StringBuilder();
        foreach (char c in text)
        {
            if (c is >= ' ' and <= '~' and not '"' and not '\\') escaped.Append(c);
            else escaped.Append(CultureInfo.InvariantCulture, $"\\x{(int)c:x2}");
        }
        return escaped.ToString();
    }

    private void ReadValue()
    {
        int at = _reply.Count;
        while (_reply.Count < at + 2 || _reply[^1] != '\n') _reply.Add(ReadByte());
        string line = Encoding.Latin1.GetString([.. _reply.Skip(at)])[..^2];
        switch (line[0])
        {
            case '$' or '=' when line != "$-1":
                for (int left = int.Parse(line[1..], CultureInfo.InvariantCulture) + 2; left > 0; left--) _reply.Add(ReadByte());
                break;
            case '*' or '~' or '>' when line != "*-1":
                for (int left = int.Parse(line[1..], CultureInfo.InvariantCulture); left > 0; left--) ReadValue();
                break;
            case '%':
                for (int left = 2 * int.Parse(line[1..], CultureInfo.InvariantCulture); left > 0; left--) ReadValue();
                break;
            default:
                break;
        }
    }

    private byte ReadByte()
    {
        if (_start == _end)
        {
            _start = 0;
            _end = _socket.Receive(_buffer);
            if (_end == 0) throw new EndOfStreamException("redis-server closed the connection.");
        }
        return _buffer[_start++];
    }
}
