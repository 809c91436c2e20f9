using System.Collections.Concurrent;
using System.Net;
using System.Net.Sockets;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Server.Kestrel.Transport.Sockets;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Options;
using Orleans.Configuration;
using OrleansRedis.Engine;

namespace OrleansRedis.Silo;

/// <summary>
/// Orleans's ports, in the place of its own sockets: nothing listens unless a port is asked for, a port that another
/// process has is not shared with it (Orleans's own sockets say SO_REUSEPORT), and all connections together are limited.
/// <para>
/// A silo cannot do without an address, since that is its name, nor without a listener behind it. The silo port that was
/// not asked for is therefore a listener that never has a connection. That of a lone silo turns everyone away: it has no
/// peers, so whoever says he is one is not. For the same reason it connects to nobody, whatever address a client may
/// name; and one of several connects to those only who are in the membership.
/// </para>
/// </summary>
#pragma warning disable CA1001 // the ports are there as long as the process
internal sealed partial class OrleansPorts : IConnectionListenerFactory, IConnectionFactory
#pragma warning restore CA1001
{
    /// <summary>In the log, the limit is named again after this time at the earliest.</summary>
    private static readonly TimeSpan s_remindAfter = TimeSpan.FromMinutes(1);

    private readonly ServerOptions _options;
    private readonly AclUsers _users;
    private readonly ILogger _logger;
    private readonly SocketTransportFactory _sockets = new(Options.Create(new SocketTransportOptions()), NullLoggerFactory.Instance);
    private readonly SocketConnectionContextFactory _outbound = new(new SocketConnectionFactoryOptions(), NullLogger.Instance);
    private readonly ConcurrentQueue<IConnectionListener> _open = new();
    private int _connections;
    private long _nextReminderMs;

    public OrleansPorts(ServerOptions options, AclUsers users, ILoggerFactory loggers)
    {
        _options = options;
        _users = users;
        _logger = loggers.CreateLogger<OrleansPorts>();
    }

    /// <summary>Who is in the cluster, once the silo is there to be asked.</summary>
    public IClusterMembershipService? Membership { get; set; }

    private bool IsAlone => _options.OrleansClustering == OrleansClustering.Localhost;

    /// <summary>The address at which a port listens. With port 0, nothing does.</summary>
    public static IPEndPoint AddressOf(ServerOptions options, int port) =>
        new(options.OrleansBind == "*" ? IPAddress.Any : IPAddress.Parse(options.OrleansBind), port);

    /// <summary>Has a silo use these ports, and nothing else.</summary>
    public void AddTo(ISiloBuilder silo)
    {
        // Orleans asks for its listeners and its way out by keys that only it has.
        ServiceDescriptor[] own =
        [
            .. silo.Services.Where(service =>
                service.IsKeyedService && (service.ServiceType == typeof(IConnectionListenerFactory) || service.ServiceType == typeof(IConnectionFactory))),
        ];
        if (own.Count(service => service.ServiceType == typeof(IConnectionListenerFactory)) != 2
            || own.All(service => service.ServiceType != typeof(IConnectionFactory)))
            throw new InvalidOperationException("This version of Orleans opens its ports in another way, so that they cannot be guarded.");
        foreach (ServiceDescriptor service in own)
        {
            silo.Services.Remove(service);
            silo.Services.Add(new(service.ServiceType, service.ServiceKey, this));
        }
        silo.Services.AddSingleton<AllowedCalls>();
        silo.Services.AddSingleton<ClientDoor>();
        silo.Services.AddSingleton<SiloDoor>();
        silo.Services.Configure<SiloConnectionOptions>(connections => connections.ConfigureGatewayInboundConnection(builder =>
        {
            ClientDoor door = builder.ApplicationServices.GetRequiredService<ClientDoor>();
            builder.Use(next => connection => door.PassAsync(connection, next));
        }));
        silo.Services.Configure<SiloConnectionOptions>(connections =>
        {
            connections.ConfigureSiloInboundConnection(builder =>
            {
                SiloDoor door = builder.ApplicationServices.GetRequiredService<SiloDoor>();
                builder.Use(next => connection => door.ComeInAsync(connection, next));
            });
            connections.ConfigureSiloOutboundConnection(builder =>
            {
                SiloDoor door = builder.ApplicationServices.GetRequiredService<SiloDoor>();
                builder.Use(next => connection => door.GoOutAsync(connection, next));
            });
        });
    }

    /// <inheritdoc/>
    /// <exception cref="SocketException">The port is not to be had; the message says which.</exception>
    public async ValueTask<IConnectionListener> BindAsync(EndPoint endpoint, CancellationToken cancellationToken = default)
    {
        var address = (IPEndPoint)endpoint;
        if (address.Port == 0) return new Listener(this, address, sockets: null, isForSilos: true);
        bool isForSilos = address.Port == _options.OrleansSiloPort;
        try
        {
            IConnectionListener sockets = await _sockets.BindAsync(address, cancellationToken).ConfigureAwait(false);
            _open.Enqueue(sockets);
            return new Listener(this, address, sockets, isForSilos);
        }
        catch (Exception e) when (e.GetBaseException() is SocketException cause)
        {
            string directive = isForSilos ? "orleans-silo-port" : "orleans-gateway-port";
            throw new SocketException((int)cause.SocketErrorCode, $"{directive} {address.Port} of {address.Address}: {cause.Message}");
        }
    }

    /// <inheritdoc/>
    public async ValueTask<ConnectionContext> ConnectAsync(EndPoint endpoint, CancellationToken cancellationToken = default)
    {
        if (IsAlone) throw new ConnectionAbortedException("There are no other silos.");
        if (Membership?.CurrentSnapshot.Members.Keys.Any(silo => silo.Endpoint.Equals(endpoint)) != true)
            throw new ConnectionAbortedException($"{endpoint} is no silo of this cluster.");
        Socket socket = new(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        try
        {
            await socket.ConnectAsync(endpoint, cancellationToken).ConfigureAwait(false);
            return _outbound.Create(socket);
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    /// <summary>Closes what is still open, since a silo that has failed to start does not close everything.</summary>
    public async ValueTask CloseAsync()
    {
        while (_open.TryDequeue(out IConnectionListener? sockets)) await sockets.DisposeAsync().ConfigureAwait(false);
    }

    private bool Admits(ConnectionContext connection, bool isForSilos)
    {
        if (isForSilos)
        {
            if (!IsAlone) return true; // SiloDoor decides
            LogRefused(_logger, connection.RemoteEndPoint, "there are no other silos");
            return false;
        }
        bool local = connection.RemoteEndPoint is not IPEndPoint remote || IPAddress.IsLoopback(remote.Address);
        if (!local && _options.ProtectedMode && _users.Default.Rules.NeedsNoPassword)
        {
            LogRefused(_logger, connection.RemoteEndPoint, "protected-mode is on and there is no password");
            return false;
        }
        if (Interlocked.Increment(ref _connections) > _options.OrleansMaxClients)
        {
            Interlocked.Decrement(ref _connections);
            WarnOfLimit();
            return false;
        }
        connection.ConnectionClosed.UnsafeRegister(static ports => Interlocked.Decrement(ref ((OrleansPorts)ports!)._connections), this);
        return true;
    }

    private void WarnOfLimit()
    {
        long now = Environment.TickCount64, next = Volatile.Read(ref _nextReminderMs);
        if (now < next || Interlocked.CompareExchange(ref _nextReminderMs, now + (long)s_remindAfter.TotalMilliseconds, next) != next) return;
        LogLimit(_logger, _options.OrleansMaxClients);
    }

    [LoggerMessage(LogLevel.Debug, "A connection from {Peer} to a port of Orleans is refused: {Reason}")]
    private static partial void LogRefused(ILogger logger, EndPoint? peer, string reason);

    [LoggerMessage(LogLevel.Warning, "Orleans clients are refused, because {Limit} are connected (orleans-maxclients)")]
    private static partial void LogLimit(ILogger logger, int limit);

    /// <summary>A port, or what stands for a port that was not asked for.</summary>
    private sealed class Listener(OrleansPorts ports, IPEndPoint address, IConnectionListener? sockets, bool isForSilos) : IConnectionListener
    {
        private readonly TaskCompletionSource _closed = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public EndPoint EndPoint => sockets?.EndPoint ?? address;

        public async ValueTask<ConnectionContext?> AcceptAsync(CancellationToken cancellationToken = default)
        {
            if (sockets is null)
            {
                await _closed.Task.WaitAsync(cancellationToken).ConfigureAwait(false);
                return null;
            }
            while (await sockets.AcceptAsync(cancellationToken).ConfigureAwait(false) is { } connection)
            {
                if (ports.Admits(connection, isForSilos)) return connection;
                connection.Abort();
                await connection.DisposeAsync().ConfigureAwait(false);
            }
            return null;
        }

        public ValueTask UnbindAsync(CancellationToken cancellationToken = default)
        {
            _closed.TrySetResult();
            return sockets?.UnbindAsync(cancellationToken) ?? default;
        }

        public ValueTask DisposeAsync()
        {
            _closed.TrySetResult();
            return sockets?.DisposeAsync() ?? default;
        }
    }
}
