using System.Net;
using System.Net.Sockets;
using System.Text;
using OrleansRedis.Tests.Harness;

namespace OrleansRedis.Tests.Types.SortedSets;

/// <summary>A real redis-server to compare with, whose replies are read byte by byte.</summary>
internal sealed class ReferenceRedis : IAsyncDisposable
{
    private static readonly byte[] s_marker = "$9\r\n--end----\r\n"u8.ToArray();

    private readonly RedisProcess _process;
    private readonly Socket _socket;
    private readonly byte[] _buffer = new byte[1 << 20];

    private ReferenceRedis(RedisProcess process, Socket socket)
    {
        _process = process;
        _socket = socket;
    }

    public static async Task<ReferenceRedis> StartAsync(params string[] directives)
    {
        RedisProcess process = await RedisProcess.StartAsync(ServerKind.Redis, directives);
        var socket = new Socket(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        await socket.ConnectAsync(IPAddress.Loopback, process.Port);
        return new(process, socket);
    }

    /// <summary>Runs a command and returns the bytes of its reply, as Latin-1.</summary>
    public string Raw(params string[] arguments)
    {
        var request = new StringBuilder();
        request.Append('*').Append(arguments.Length).Append("\r\n");
        foreach (string argument in arguments) request.Append('$').Append(argument.Length).Append("\r\n").Append(argument).Append("\r\n");
        // A second command shows where the reply to the first one ends.
        request.Append("*2\r\n$4\r\nECHO\r\n$9\r\n--end----\r\n");
        _socket.Send(Encoding.Latin1.GetBytes(request.ToString()));
        int length = 0;
        while (true)
        {
            int received = _socket.Receive(_buffer.AsSpan(length));
            if (received == 0) throw new IOException("redis-server closed the connection.");
            length += received;
            if (_buffer.AsSpan(0, length).EndsWith(s_marker)) return Encoding.Latin1.GetString(_buffer, 0, length - s_marker.Length);
        }
    }

    public async ValueTask DisposeAsync()
    {
        _socket.Dispose();
        await _process.DisposeAsync();
    }
}
