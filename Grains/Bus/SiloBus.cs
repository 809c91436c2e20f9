using System.Net;
using System.Net.Sockets;
using Microsoft.Extensions.Logging;
using OrleansRedis.Cluster;
using OrleansRedis.Grains.ClusterStores;

namespace OrleansRedis.Grains.Bus;

/// <summary>
/// The bus between silos on TCP. There is one connection to every other silo, made by the one with the lower number of a
/// node, or by the other if it does not come: a silo that joins is not known to those that are in, so it has to call.
/// Whoever connects, and whoever is connected to, shows that he knows the cluster's secret
/// (<see cref="ClusterHandshake"/>).
/// </summary>
public sealed partial class SiloBus : ISiloBus, IDisposable
{
    /// <summary>Beside those of the other ports, so that no connection is taken for one of theirs.</summary>
    private const byte Purpose = 32;

    /// <summary>How many connections may be there at once whose secret has not been seen yet.</summary>
    private const int MostStrangers = 64;

    private const int PatienceMs = 5000;

    /// <summary>For how long the other one is left to call first; and the pauses between calls that fail.</summary>
    private const int CourtesyMs = 250, FirstRetryMs = 100, LongestRetryMs = 1000;

    /// <summary>A connection that is younger is not given up for one that the other silo has made at the same time.</summary>
    private const int YoungMs = 1000;

    private readonly IPEndPoint _announced;
    private readonly ClusterHandshake _handshake;
    private readonly TimeSpan _silence;
    private readonly ILogger _logger;
    private readonly Complaints _complaints = new();
    private readonly Socket _listener;
    private readonly Lock _lock = new();
    private readonly BusHandler?[] _handlers = new BusHandler?[256];
    private readonly ManualResetEventSlim _stopping = new();
    // Replaced when it changes, so that senders need no lock.
    private volatile Dictionary<long, Peer> _peers = [];
    private int _strangers;

    /// <param name="self">This silo.</param>
    /// <param name="listen">Where it listens; port 0 for any.</param>
    /// <param name="announced">Where others find it, apart from the port if that is any.</param>
    /// <param name="handshake">Who is let in.</param>
    /// <param name="silence">After how long without a byte a connection counts as broken.</param>
    /// <param name="logger">Where connections are named that come, go and are refused.</param>
    /// <exception cref="SocketException">The port is not to be had.</exception>
    public SiloBus(SiloId self, IPEndPoint listen, IPEndPoint announced, ClusterHandshake handshake, TimeSpan silence, ILogger logger)
    {
        Self = self;
        _handshake = handshake;
        _silence = silence;
        _logger = logger;
        _listener = new(listen.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
        try
        {
            _listener.Bind(listen);
            _listener.Listen();
        }
        catch
        {
            _listener.Dispose();
            throw;
        }
        _announced = new(announced.Address, ((IPEndPoint)_listener.LocalEndPoint!).Port);
    }

    /// <inheritdoc/>
    public event Action<SiloId>? Connected;

    /// <inheritdoc/>
    public event Action<SiloId>? Broken;

    /// <inheritdoc/>
    public SiloId Self { get; }

    /// <summary>Where others find this bus.</summary>
    public IPEndPoint Address => _announced;

    /// <summary>Who is connected at present: with how many bytes waiting, sent and received.</summary>
    public IEnumerable<(SiloId Silo, int Pending, long BytesOut, long BytesIn)> Connections =>
        from peer in _peers.Values
        let connection = peer.Current
        where connection is not null
        select (connection.Peer, connection.PendingBytes, connection.BytesOut, connection.BytesIn);

    /// <inheritdoc/>
    public void Handle(byte kind, BusHandler handler) => _handlers[kind] = handler;

    /// <summary>Begins to let others in. Handlers are there by now.</summary>
    public void Start() => Begin("bus listener", Accept);

    /// <summary>Tells where a silo is to be found. From now on the bus looks for it.</summary>
    public void Know(SiloId silo, IPEndPoint address)
    {
        if (silo.Node == Self.Node) return;
        Peer peer = PeerOf(silo);
        lock (peer)
        {
            if (silo.Incarnation < peer.Silo.Incarnation) return;
            (peer.Silo, peer.Address, peer.IsWanted) = (silo, address, true);
            Monitor.PulseAll(peer);
            if (peer.Caller is not null) return;
            peer.Caller = Begin($"bus {silo}", () => Call(peer));
        }
    }

    /// <summary>A silo is gone for good: the bus does not look for it any more. It may still come by itself.</summary>
    public void Forget(SiloId silo)
    {
        if (!_peers.TryGetValue(silo.Node, out Peer? peer)) return;
        lock (peer)
        {
            if (peer.Silo.Incarnation > silo.Incarnation) return;
            peer.IsWanted = false;
            Monitor.PulseAll(peer);
        }
    }

    /// <inheritdoc/>
    public bool TrySend(SiloId to, byte kind, ReadOnlySpan<byte> payload) =>
        _peers.TryGetValue(to.Node, out Peer? peer) && peer.Current is { } connection && connection.Peer == to && connection.TrySend(kind, payload);

    /// <summary>Like <see cref="TrySend(SiloId, byte, ReadOnlySpan{byte})"/>, to whichever silo lives on a node.</summary>
    public bool TrySendToNode(long node, byte kind, ReadOnlySpan<byte> payload) =>
        _peers.TryGetValue(node, out Peer? peer) && peer.Current is { } connection && connection.TrySend(kind, payload);

    /// <inheritdoc/>
    public async Task WhenReady(SiloId to, BusLane lane)
    {
        Peer peer = PeerOf(to);
        while (true)
        {
            Task changed = peer.WhenChanged();
            if (peer.Current is { IsClosed: false } connection && connection.Peer == to)
            {
                Task room = connection.WhenRoom(lane);
                await room.ConfigureAwait(false);
                if (peer.Current == connection) return;
            }
            else await changed.ConfigureAwait(false);
        }
    }

    /// <summary>Ends all connections.</summary>
    public void Dispose()
    {
        if (_stopping.IsSet) return;
        _stopping.Set();
        _listener.Dispose();
        foreach (Peer peer in _peers.Values)
        {
            peer.Current?.Close("this silo is ending");
            lock (peer) Monitor.PulseAll(peer);
        }
    }

    private Peer PeerOf(SiloId silo)
    {
        if (_peers.TryGetValue(silo.Node, out Peer? known)) return known;
        lock (_lock)
        {
            if (_peers.TryGetValue(silo.Node, out known)) return known;
            var peer = new Peer(silo);
            _peers = new(_peers) { [silo.Node] = peer };
            return peer;
        }
    }

    private static Thread Begin(string name, Action run)
    {
        var thread = new Thread(() => run()) { IsBackground = true, Name = name };
        thread.Start();
        return thread;
    }

    private void Accept()
    {
        while (!_stopping.IsSet)
        {
            Socket accepted;
            try
            {
                accepted = _listener.Accept();
            }
            catch (Exception e) when (e is SocketException or ObjectDisposedException)
            {
                // Too many open files, say: someone else may close one.
                _stopping.Wait(100);
                continue;
            }
            if (Interlocked.Increment(ref _strangers) <= MostStrangers)
            {
                Begin("bus in", () => Welcome(accepted));
                continue;
            }
            Interlocked.Decrement(ref _strangers);
            accepted.Dispose();
        }
    }

    private void Welcome(Socket accepted)
    {
        EndPoint? from = null;
        Peer peer;
        BusConnection connection;
        try
        {
            from = accepted.RemoteEndPoint;
            accepted.NoDelay = true;
            accepted.SendTimeout = accepted.ReceiveTimeout = PatienceMs;
            var stream = new BlockingStream(accepted);
            if (_handshake.WelcomeAsync(stream, default, default).AsTask().GetAwaiter().GetResult() != Purpose) throw new IOException("it wants another port");
            BusHello hello = BusHello.Read(stream);
            if (hello.Silo.Node == Self.Node) throw new IOException("it has the node number of this silo: its directory seems to be a copy of this one's");
            peer = PeerOf(hello.Silo);
            bool isWelcome;
            lock (peer)
            {
                isWelcome = hello.Silo.Incarnation >= peer.Silo.Incarnation && !IsCallingItself(peer, hello.Silo);
                if (isWelcome)
                {
                    peer.Silo = hello.Silo;
                    peer.Address ??= hello.Address;
                }
            }
            new BusHello(Self, _announced, isWelcome).Write(stream);
            if (!isWelcome) throw new IOException("it has been called, or is an earlier life of its node");
            connection = new(accepted, hello.Silo, isDialed: false, _silence);
        }
        catch (Exception e) when (e is IOException or SocketException or ObjectDisposedException)
        {
            LogRefused(_logger, _stopping.IsSet ? LogLevel.Trace : _complaints.NextLevel(), from, e.Message);
            accepted.Dispose();
            return;
        }
        finally
        {
            Interlocked.Decrement(ref _strangers);
        }
        Serve(peer, connection);
    }

    /// <summary>Whether this silo's own call, which goes first, has just got through.</summary>
    private bool IsCallingItself(Peer peer, SiloId silo) =>
        Self < silo && peer.Current is { IsDialed: true } current && current.Peer == silo && Environment.TickCount64 - current.EstablishedAtMs < YoungMs;

    /// <summary>Keeps a connection to a silo, as long as it is wanted.</summary>
    private void Call(Peer peer)
    {
        int retryMs = FirstRetryMs;
        bool isNews = true;
        while (true)
        {
            IPEndPoint address;
            lock (peer)
            {
                bool isConnected = peer.Current is not null;
                while (peer.IsWanted && !_stopping.IsSet && peer.Current is not null) Monitor.Wait(peer);
                // The other one goes first, if it can.
                if (isConnected && Self > peer.Silo && peer.IsWanted && !_stopping.IsSet) Monitor.Wait(peer, CourtesyMs);
                if (!peer.IsWanted || _stopping.IsSet)
                {
                    peer.Caller = null;
                    return;
                }
                if (peer.Current is not null) continue;
                address = peer.Address!;
            }
            try
            {
                BusConnection connection = Connect(address, peer.Silo);
                (retryMs, isNews) = (FirstRetryMs, true);
                Serve(peer, connection);
            }
            catch (Exception e) when (e is IOException or SocketException or ObjectDisposedException)
            {
                if (isNews) LogUnreachable(_logger, peer.Silo, address, e.Message);
                isNews = false;
                lock (peer)
                {
                    if (peer.IsWanted && !_stopping.IsSet && peer.Current is null) Monitor.Wait(peer, retryMs);
                }
                retryMs = Math.Min(retryMs * 2, LongestRetryMs);
            }
        }
    }

    private BusConnection Connect(IPEndPoint address, SiloId expected)
    {
        Socket socket = new(address.AddressFamily, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        // The system would try for minutes.
        using var patience = new Timer(static socket => ((Socket)socket!).Dispose(), socket, PatienceMs, Timeout.Infinite);
        try
        {
            socket.SendTimeout = socket.ReceiveTimeout = PatienceMs;
            socket.Connect(address);
            var stream = new BlockingStream(socket);
            _handshake.IntroduceAsync(stream, address, Purpose, default, default).AsTask().GetAwaiter().GetResult();
            new BusHello(Self, _announced).Write(stream);
            BusHello hello = BusHello.Read(stream);
            if (!hello.IsWelcome) throw new IOException("it has called itself, or knows a later life of this node");
            if (hello.Silo.Node != expected.Node || hello.Silo.Incarnation < expected.Incarnation) throw new IOException($"silo {hello.Silo} is there instead");
            return new(socket, hello.Silo, isDialed: true, _silence);
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    /// <summary>Makes a connection the one to its silo, and stays with it until its end.</summary>
    private void Serve(Peer peer, BusConnection connection)
    {
        SiloId silo = connection.Peer;
        lock (peer.Turn)
        {
            // What came over the one before is dealt with first.
            if (peer.Current is { } former)
            {
                former.Close("there is a newer connection");
                former.Ended.Wait();
            }
            lock (peer)
            {
                peer.Current = connection;
                if (silo.Incarnation > peer.Silo.Incarnation) peer.Silo = silo;
            }
        }
        peer.HasChanged();
        LogConnected(_logger, silo, connection.IsDialed ? "called" : "has called");
        Connected?.Invoke(silo);
        if (_stopping.IsSet) connection.Close("this silo is ending");
        connection.Run((kind, payload) => _handlers[kind]?.Invoke(silo, payload));
        // In this order: whoever finds no connection any more knows that all of this has been dealt with.
        Broken?.Invoke(silo);
        if (!_stopping.IsSet) LogBroken(_logger, silo, connection.Why);
        lock (peer)
        {
            peer.Current = null;
            Monitor.PulseAll(peer);
        }
        connection.HasEnded();
        peer.HasChanged();
    }

    [LoggerMessage(LogLevel.Debug, "The bus to silo {Silo} is there ({How})")]
    private static partial void LogConnected(ILogger logger, SiloId silo, string how);

    [LoggerMessage(LogLevel.Information, "The bus to silo {Silo} has broken: {Reason}")]
    private static partial void LogBroken(ILogger logger, SiloId silo, string reason);

    [LoggerMessage(LogLevel.Debug, "Silo {Silo} cannot be reached at {Address} and is called again: {Reason}")]
    private static partial void LogUnreachable(ILogger logger, SiloId silo, IPEndPoint address, string reason);

    [LoggerMessage("A connection from {Peer} to the bus is refused: {Reason}")]
    private static partial void LogRefused(ILogger logger, LogLevel level, EndPoint? peer, string reason);

    /// <summary>Another node. Its own lock guards what can be set.</summary>
    private sealed class Peer(SiloId silo)
    {
        private volatile BusConnection? _current;
        private TaskCompletionSource _changed = new(TaskCreationOptions.RunContinuationsAsynchronously);

        /// <summary>Held by whoever makes his connection the current one.</summary>
        public Lock Turn { get; } = new();

        /// <summary>The latest silo heard of there.</summary>
        public SiloId Silo { get; set; } = silo;

        public IPEndPoint? Address { get; set; }

        /// <summary>Whether to look for it.</summary>
        public bool IsWanted { get; set; }

        /// <summary>The thread that does so.</summary>
        public Thread? Caller { get; set; }

        public BusConnection? Current
        {
            get => _current;
            set => _current = value;
        }

        /// <summary>Completes when there is a connection, or none any more.</summary>
        public Task WhenChanged() => Volatile.Read(ref _changed).Task;

        public void HasChanged() =>
            Interlocked.Exchange(ref _changed, new(TaskCreationOptions.RunContinuationsAsynchronously)).TrySetResult();
    }
}
