using System.Net;
using System.Net.Sockets;
using System.Text;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Connections.Features;
using Microsoft.AspNetCore.Server.Kestrel.Transport.Sockets;
using OrleansRedis.Engine;

namespace OrleansRedis.Gateway;

/// <summary>
/// Listens where bind, port, tls-port and unixsocket say, and gives every connection to a <see cref="ClientConnection"/>.
/// Requests are read, run and answered on the I/O thread that saw them arrive (see docs/architecture.md, "inline").
/// </summary>
public sealed class RedisListener(RedisServer server) : IAsyncDisposable
{
    private const string Denied =
        "-DENIED Redis is running in protected mode because protected mode is enabled and no password is set for the default user. "
        + "In this mode connections are only accepted from the loopback interface. "
        + "If you want to connect from external computers to Redis you may adopt one of the following solutions: "
        + "1) Just disable protected mode sending the command 'CONFIG SET protected-mode no' from the loopback interface by connecting to Redis "
        + "from the same host the server is running, however MAKE SURE Redis is not publicly accessible from internet if you do so. "
        + "Use CONFIG REWRITE to make this change permanent. "
        + "2) Alternatively you can just disable the protected mode by editing the Redis configuration file, and setting the protected mode "
        + "option to 'no', and then restarting the server. "
        + "3) If you started the server manually just for testing, restart it with the '--protected-mode no' option. "
        + "4) Set up an authentication password for the default user. "
        + "NOTE: You only need to do one of the above things in order for the server to start accepting connections from the outside.\r\n";

    private readonly List<(IConnectionListener Listener, Task Accepting)> _listeners = [];
    private readonly TlsDoor _tls = new(server);
    private IConnectionListenerFactory? _transport;
    private (int, int) _ports; // those in force: if a change fails though they stay the same, the addresses are at fault
    private int _serving; // connections accepted and not refused, counted from that moment on

    private ServerOptions Options => server.Options;

    private (int, int) Ports => (Options.Port, Options.TlsPort);

    /// <summary>The addresses it listens on.</summary>
    public IEnumerable<EndPoint> EndPoints => _listeners.Select(listening => listening.Listener.EndPoint);

    /// <summary>
    /// Starts to listen on everything configured; fails if an address that is not optional cannot be bound. From then
    /// on follows CONFIG SET port and bind.
    /// </summary>
    public async Task StartAsync(CancellationToken cancellation)
    {
        _tls.Open(); // before the ports: a change of certificates and port together needs the certificates first
        await BindTcpAsync(cancellation).ConfigureAwait(false);
        _ports = Ports;
        if (Options.UnixSocket.Length != 0) await BindUnixAsync(cancellation).ConfigureAwait(false);
        var limit = new ClientLimit(server);
        limit.Reduce();
        server.Shutdown.StopListening = () => UnbindAsync(_ => true);
        server.Files.Configuration.OnChange(["port", "tls-port", "bind"], RebindAsync);
        server.Files.Configuration.OnChange(["maxclients"], limit.CheckAsync);
        server.Files.Configuration.OnChange(["maxmemory-clients", "maxmemory"], server.ClientMemory.LimitChangedAsync);
    }

    /// <summary>Stops listening; existing connections stay.</summary>
    public async ValueTask DisposeAsync()
    {
        await UnbindAsync(_ => true).ConfigureAwait(false);
        _tls.Dispose();
        (_transport as IDisposable)?.Dispose();
    }

    private async Task BindTcpAsync(CancellationToken cancellation)
    {
        await BindTcpAsync(Options.Port, isTls: false, cancellation).ConfigureAwait(false);
        await BindTcpAsync(Options.TlsPort, isTls: true, cancellation).ConfigureAwait(false);
    }

    private async Task BindTcpAsync(int port, bool isTls, CancellationToken cancellation)
    {
        if (port == 0 || Options.Bind.Count == 0) return;
        foreach (string address in Options.Bind) await BindTcpAsync(address, port, isTls, cancellation).ConfigureAwait(false);
        if (!_listeners.Exists(listening => listening.Listener.EndPoint is IPEndPoint bound && bound.Port == port))
            throw new InvalidOperationException($"Could not listen on port {port} of any address of bind.");
    }

    private async ValueTask UnbindAsync(Func<EndPoint, bool> which)
    {
        foreach ((IConnectionListener listener, Task accepting) in _listeners.ToArray())
        {
            if (!which(listener.EndPoint)) continue;
            await listener.UnbindAsync().ConfigureAwait(false);
            await accepting.ConfigureAwait(false);
            await listener.DisposeAsync().ConfigureAwait(false);
            _listeners.Remove((listener, accepting));
        }
    }

    /// <summary>
    /// CONFIG SET port, tls-port or bind: the old addresses are released first, since some of them may be among the new ones.
    /// </summary>
    private async ValueTask<string?> RebindAsync()
    {
        await UnbindAsync(endPoint => endPoint is IPEndPoint).ConfigureAwait(false);
        try
        {
            await BindTcpAsync(CancellationToken.None).ConfigureAwait(false);
            _ports = Ports;
            return null;
        }
        catch (Exception e) when (e is SocketException or IOException or InvalidOperationException)
        {
            await UnbindAsync(endPoint => endPoint is IPEndPoint).ConfigureAwait(false);
            Log.CannotListen(server.Logger, e);
            return Ports == _ports ? "Failed to bind to specified addresses." : "Unable to listen on this port. Check server logs.";
        }
    }

    private async Task BindTcpAsync(string address, int port, bool isTls, CancellationToken cancellation)
    {
        bool optional = address.StartsWith('-');
        string name = optional ? address[1..] : address;
        try
        {
            foreach (IPAddress ip in await ResolveAsync(name, cancellation).ConfigureAwait(false))
                await ListenAsync(new IPEndPoint(ip, port), isTls, cancellation).ConfigureAwait(false);
        }
        catch (Exception e) when (optional
            && e is SocketException { SocketErrorCode: SocketError.AddressNotAvailable or SocketError.AddressFamilyNotSupported })
        {
            // A leading '-' means that this address need not exist.
        }
    }

    private static async Task<IPAddress[]> ResolveAsync(string name, CancellationToken cancellation) => name switch
    {
        "*" => [IPAddress.Any],
        "::*" => [IPAddress.IPv6Any],
        _ when IPAddress.TryParse(name, out IPAddress? ip) => [ip],
        _ => await Dns.GetHostAddressesAsync(name, cancellation).ConfigureAwait(false),
    };

    private async Task BindUnixAsync(CancellationToken cancellation)
    {
        File.Delete(Options.UnixSocket); // a socket left behind by a previous run, as redis-server does
        await ListenAsync(new UnixDomainSocketEndPoint(Options.UnixSocket), isTls: false, cancellation).ConfigureAwait(false);
        if (Options.UnixSocketPermissions != 0 && !OperatingSystem.IsWindows())
            File.SetUnixFileMode(Options.UnixSocket, (UnixFileMode)Options.UnixSocketPermissions);
    }

    private async Task ListenAsync(EndPoint endPoint, bool isTls, CancellationToken cancellation)
    {
        _transport ??= MakeTransport();
        IConnectionListener listener = await _transport.BindAsync(endPoint, cancellation).ConfigureAwait(false);
        _listeners.Add((listener, AcceptAsync(listener, isTls)));
    }

    /// <summary>Our own event loops on Linux; Kestrel's sockets on other systems, or to compare the two.</summary>
    private IConnectionListenerFactory MakeTransport()
    {
        if (EpollTransport.IsSupported && Environment.GetEnvironmentVariable("ORLEANSREDIS_TRANSPORT") != "kestrel")
        {
            server.Store.Threads = new LoopThreads();
            var transport = new EpollTransport(
                Options.IoThreads == 0 ? Environment.ProcessorCount : Options.IoThreads, Options.TcpBacklog, BindSocket, server.Logger);
            transport.Group.ThreadEnds = () => server.Store.Scripts?.Leave();
            server.Loops = transport.Group;
            return transport;
        }
        var options = new SocketTransportOptions
        {
            Backlog = Options.TcpBacklog,
            NoDelay = true,
            UnsafePreferInlineScheduling = true,
            WaitForDataBeforeAllocatingBuffer = false,
            CreateBoundListenSocket = BindSocket,
        };
        return new SocketTransportFactory(Microsoft.Extensions.Options.Options.Create(options), server.Loggers);
    }

    /// <summary>
    /// As Kestrel does it, except that an IPv6 socket takes IPv6 only: "bind * -::*" means two sockets on one port.
    /// </summary>
    private static Socket BindSocket(EndPoint endPoint)
    {
        if (endPoint is not IPEndPoint { AddressFamily: AddressFamily.InterNetworkV6 })
            return SocketTransportOptions.CreateDefaultBoundListenSocket(endPoint);
        var socket = new Socket(AddressFamily.InterNetworkV6, SocketType.Stream, ProtocolType.Tcp) { DualMode = false };
        socket.Bind(endPoint);
        return socket;
    }

    private async Task AcceptAsync(IConnectionListener listener, bool isTls)
    {
        while (true)
        {
            try
            {
                ConnectionContext? connection = await listener.AcceptAsync().ConfigureAwait(false);
                if (connection is null) return; // unbound
                // A refused connection is gone before the next one is accepted: many at once could use up all the files
                // that the process may have open.
                if (Refusal(connection, isTls) is { } refusal)
                {
                    await RefuseAsync(connection, refusal).ConfigureAwait(false);
                    continue;
                }
                Interlocked.Increment(ref _serving);
                _ = Task.Run(() => ServeAsync(connection, isTls));
            }
            catch (Exception e) when (e is SocketException or IOException)
            {
                // Out of file descriptors, for example. Existing connections continue; the peer may try again.
                Log.AcceptFailed(server.Logger, e, listener.EndPoint.ToString() ?? "");
                await Task.Delay(TimeSpan.FromMilliseconds(100)).ConfigureAwait(false);
            }
        }
    }

    /// <summary>Completes when the socket is closed, which is up to the connection's loop.</summary>
    private async Task RefuseAsync(ConnectionContext connection, string refusal)
    {
        var closed = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        using CancellationTokenRegistration closing = connection.ConnectionClosed.Register(closed.SetResult);
        await using (connection.ConfigureAwait(false)) await TellAsync(connection, refusal).ConfigureAwait(false);
        await closed.Task.WaitAsync(TimeSpan.FromSeconds(1)).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
    }

    private async Task TellAsync(ConnectionContext connection, string refusal)
    {
        server.Clients.CountRejected();
        try
        {
            await connection.Transport.Output.WriteAsync(Encoding.ASCII.GetBytes(refusal)).ConfigureAwait(false);
            await connection.Transport.Output.CompleteAsync().ConfigureAwait(false);
        }
        catch (Exception e)
        {
            Log.ConnectionFailed(server.Logger, e, 0);
        }
    }

    private async Task ServeAsync(ConnectionContext connection, bool isTls)
    {
        await using (connection.ConfigureAwait(false))
        {
            try
            {
                SetKeepalive(connection);
                if (!isTls)
                    await new ClientConnection(server, connection).RunAsync().ConfigureAwait(false);
                else if (await _tls.TryLetInAsync(connection).ConfigureAwait(false))
                    await (IsDenied(connection) ? TellAsync(connection, Denied) : ServeTlsAsync(connection)).ConfigureAwait(false);
            }
            catch (Exception e)
            {
                Log.ConnectionFailed(server.Logger, e, 0);
            }
        }
        Interlocked.Decrement(ref _serving);
    }

    private Task ServeTlsAsync(ConnectionContext connection)
    {
        var client = new ClientConnection(server, connection);
        if (Options.TlsAuthClientsUser && ((TlsTransport)connection.Transport).ClientName is { } name) client.ActAs(name);
        return client.RunAsync();
    }

    /// <summary>
    /// Why a connection is refused, or null. With TLS there has been no handshake yet, so the client can be told nothing;
    /// what else there is against it, it is told after that.
    /// </summary>
    private string? Refusal(ConnectionContext connection, bool isTls)
    {
        if (Volatile.Read(ref _serving) >= Options.MaxClients) return isTls ? "" : "-ERR max number of clients reached\r\n";
        return !isTls && IsDenied(connection) ? Denied : null;
    }

    private bool IsDenied(ConnectionContext connection)
    {
        bool local = connection.RemoteEndPoint is not IPEndPoint remote || IPAddress.IsLoopback(remote.Address);
        return !local && Options.ProtectedMode && server.Store.Acl.Default.Rules.NeedsNoPassword;
    }

    private void SetKeepalive(ConnectionContext connection)
    {
        if (Options.TcpKeepalive == 0 || connection.RemoteEndPoint is not IPEndPoint) return;
        if (connection.Features.Get<IConnectionSocketFeature>()?.Socket is not { } socket) return;
        socket.SetSocketOption(SocketOptionLevel.Socket, SocketOptionName.KeepAlive, true);
        socket.SetSocketOption(SocketOptionLevel.Tcp, SocketOptionName.TcpKeepAliveTime, Options.TcpKeepalive);
        socket.SetSocketOption(SocketOptionLevel.Tcp, SocketOptionName.TcpKeepAliveInterval, Math.Max(1, Options.TcpKeepalive / 3));
        socket.SetSocketOption(SocketOptionLevel.Tcp, SocketOptionName.TcpKeepAliveRetryCount, 3);
    }
}
