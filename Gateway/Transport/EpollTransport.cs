using System.Net;
using System.Net.Sockets;
using Microsoft.AspNetCore.Connections;
using Microsoft.Extensions.Logging;

namespace OrleansRedis.Gateway;

/// <summary>
/// Connections served by our own event loops (Linux), in place of Kestrel's socket transport and .NET's socket engine
/// below it: see docs/architecture.md, "Transport". Listening and accepting are not hot, so they are left to
/// <see cref="Socket"/>.
/// </summary>
internal sealed class EpollTransport : IConnectionListenerFactory, IDisposable
{
    private readonly int _backlog;
    private readonly Func<EndPoint, Socket> _bind;

    /// <summary>Starts the loops.</summary>
    /// <param name="threads">Number of loops.</param>
    /// <param name="backlog">How many connections may wait to be accepted.</param>
    /// <param name="bind">Makes a socket that is bound to an address.</param>
    /// <param name="logger">Where connections that fail in an unforeseen way are reported.</param>
    internal EpollTransport(int threads, int backlog, Func<EndPoint, Socket> bind, ILogger logger)
    {
        _backlog = backlog;
        _bind = bind;
        Group = new(threads, logger);
    }

    /// <summary>Whether this system has epoll.</summary>
    internal static bool IsSupported => OperatingSystem.IsLinux();

    /// <summary>The loops.</summary>
    internal LoopGroup Group { get; }

    internal ReadOnlySpan<EventLoop> Loops => Group.Loops;

    /// <summary>Listens on an address.</summary>
    /// <exception cref="SocketException">The address is not available.</exception>
    public ValueTask<IConnectionListener> BindAsync(EndPoint endpoint, CancellationToken cancellationToken = default)
    {
        Socket socket = _bind(endpoint);
        try
        {
            socket.Listen(_backlog);
        }
        catch (SocketException)
        {
            socket.Dispose();
            throw;
        }
        return new(new EpollListener(this, socket));
    }

    /// <summary>The loops end once their last connections are closed.</summary>
    public void Dispose() => Group.Stop();

    /// <summary>Takes over a connection.</summary>
    internal EpollConnection Serve(Socket socket)
    {
        var connection = new EpollConnection(socket);
        connection.MoveTo(Group.Enter());
        return connection;
    }
}
