using System.Net;
using System.Net.Sockets;
using Microsoft.AspNetCore.Connections;

namespace OrleansRedis.Gateway;

/// <summary>Accepts connections for the event loops.</summary>
internal sealed class EpollListener(EpollTransport transport, Socket socket) : IConnectionListener
{
    public EndPoint EndPoint { get; } = socket.LocalEndPoint!;

    /// <summary>The next connection, or null after <see cref="UnbindAsync"/>.</summary>
    /// <exception cref="SocketException">None can be accepted now, perhaps for lack of file descriptors.</exception>
    public async ValueTask<ConnectionContext?> AcceptAsync(CancellationToken cancellationToken = default)
    {
        while (true)
        {
            Socket? accepted = null;
            try
            {
                accepted = await socket.AcceptAsync(cancellationToken).ConfigureAwait(false);
                accepted.Blocking = false;
                if (EndPoint is IPEndPoint) accepted.NoDelay = true;
                return transport.Serve(accepted);
            }
            catch (ObjectDisposedException)
            {
                return null;
            }
            catch (SocketException e) when (e.SocketErrorCode == SocketError.OperationAborted)
            {
                return null;
            }
            catch (SocketException e) when (accepted is not null || e.SocketErrorCode is SocketError.ConnectionReset or SocketError.ConnectionAborted)
            {
                accepted?.Dispose(); // it is gone already; take the next one
            }
        }
    }

    public ValueTask UnbindAsync(CancellationToken cancellationToken = default)
    {
        socket.Dispose();
        return ValueTask.CompletedTask;
    }

    public ValueTask DisposeAsync() => UnbindAsync();
}
