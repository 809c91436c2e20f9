using System.Net;
using System.Net.Sockets;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Server.Kestrel.Transport.Sockets;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;

namespace Orleans.Runtime.Messaging;

/// <summary>How nodes reach each other: a factory of Kestrel's connections, at both ends. Tests have one in memory, with faults.</summary>
internal interface ITransport
{
    /// <summary>Connects to a node.</summary>
    ValueTask<ConnectionContext> Connect(EndPoint endPoint, CancellationToken cancellation);

    /// <summary>Listens for nodes that connect.</summary>
    ValueTask<IConnectionListener> Listen(EndPoint endPoint, CancellationToken cancellation);
}

/// <summary>TCP.</summary>
internal sealed class SocketTransport(ILoggerFactory loggers) : ITransport, IDisposable
{
    // A frame must fit in the read buffer before it can be parsed, so the buffer has no limit of its own; MaxMessageBodySize is the limit.
    private readonly SocketTransportFactory _listeners = new(Options.Create(new SocketTransportOptions { MaxReadBufferSize = null, NoDelay = true }), loggers);
    private readonly SocketConnectionContextFactory _connections = new(new SocketConnectionFactoryOptions { MaxReadBufferSize = null }, loggers.CreateLogger<SocketTransport>());

    public async ValueTask<ConnectionContext> Connect(EndPoint endPoint, CancellationToken cancellation)
    {
        var socket = new Socket(endPoint.AddressFamily, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        try
        {
            await socket.ConnectAsync(endPoint, cancellation).ConfigureAwait(false);
            return _connections.Create(socket);
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    public ValueTask<IConnectionListener> Listen(EndPoint endPoint, CancellationToken cancellation) => _listeners.BindAsync(endPoint, cancellation);

    public void Dispose() => _connections.Dispose();
}
