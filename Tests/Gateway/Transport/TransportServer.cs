using System.Net;
using System.Net.Sockets;
using Microsoft.AspNetCore.Connections;
using Microsoft.Extensions.Logging.Abstractions;
using OrleansRedis.Gateway;
using OrleansRedis.Tests.Harness;

namespace OrleansRedis.Tests.Gateway;

/// <summary>Event loops with a listener on them, and a test's code that serves each connection.</summary>
internal sealed class TransportServer : IAsyncDisposable
{
    private readonly DirectoryInfo _directory = Directory.CreateTempSubdirectory("orleansredis");
    private readonly EpollTransport _transport;
    private readonly IConnectionListener _listener;
    private readonly Task _accepting;
    private readonly Func<EpollConnection, Task> _serve;

    private TransportServer(bool unix, int threads, Func<EpollConnection, Task> serve)
    {
        _serve = serve;
        EndPoint at = unix ? new UnixDomainSocketEndPoint(Path.Combine(_directory.FullName, "socket")) : new IPEndPoint(IPAddress.Loopback, 0);
        _transport = new(threads, backlog: 100, Bind, NullLogger.Instance);
        _listener = _transport.BindAsync(at).AsTask().Result;
        _accepting = AcceptAsync();
    }

    internal EpollTransport Transport => _transport;

    internal static TransportServer Start(Func<EpollConnection, Task> serve, bool unix = false, int threads = 1) => new(unix, threads, serve);

    internal async Task<Socket> ConnectAsync()
    {
        var socket = new Socket(_listener.EndPoint.AddressFamily, SocketType.Stream, ProtocolType.Unspecified);
        await socket.ConnectAsync(_listener.EndPoint);
        return socket;
    }

    public async ValueTask DisposeAsync()
    {
        await _listener.DisposeAsync();
        await _accepting.WaitAsync(Eventually.Deadline);
        _transport.Dispose();
        _directory.Delete(recursive: true);
    }

    private static Socket Bind(EndPoint at)
    {
        var socket = new Socket(at.AddressFamily, SocketType.Stream, ProtocolType.Unspecified);
        socket.Bind(at);
        return socket;
    }

    private async Task AcceptAsync()
    {
        while (await _listener.AcceptAsync() is EpollConnection connection) _ = Task.Run(() => ServeAsync(connection));
    }

    private async Task ServeAsync(EpollConnection connection)
    {
        await using (connection)
        {
            try
            {
                await _serve(connection);
            }
            catch (Exception e) when (e is ConnectionResetException or ConnectionAbortedException)
            {
                // Caused by the client, or by the test.
            }
        }
    }
}
