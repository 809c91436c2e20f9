using System.IO.Pipelines;
using System.Net;
using System.Net.Sockets;
using System.Threading.Channels;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.Extensions.Logging;

namespace OrleansRedis.Grains.ClusterStores.Raft;

/// <summary>What a connection to the port of the cluster's store is for.</summary>
internal enum RaftPurpose : byte
{
    /// <summary>DotNext's protocol.</summary>
    Raft = 1,

    /// <summary>Our own requests: <see cref="RaftRequests"/>.</summary>
    Requests = 2,
}

/// <summary>
/// The TCP port of the cluster's store, for Raft's messages and our own, which lets in who knows the secret
/// (<see cref="ClusterHandshake"/>).
/// </summary>
internal sealed partial class RaftPort : IConnectionListenerFactory, IConnectionFactory, IAsyncDisposable
{
    /// <summary>How many connections may be there at once whose secret has not been seen yet.</summary>
    private const int MaxStrangers = 64;

    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(5);

    private readonly Socket _socket;
    private readonly ClusterHandshake _handshake;
    private readonly Func<Guid> _cluster;
    private readonly Func<Stream, CancellationToken, Task> _serve;
    private readonly ILogger _logger;
    private readonly Complaints _complaints = new();
    private readonly CancellationTokenSource _closing = new();
    private readonly Channel<ConnectionContext> _raft = Channel.CreateBounded<ConnectionContext>(
        new BoundedChannelOptions(16) { FullMode = BoundedChannelFullMode.DropOldest }, static dropped => dropped.Abort());
    private Task _accepting = Task.CompletedTask;
    private int _strangers;

    /// <param name="listen">Where to listen.</param>
    /// <param name="handshake">Who is let in.</param>
    /// <param name="cluster">The cluster's identity; empty while this machine does not know it.</param>
    /// <param name="serve">Answers the requests of one connection, until it ends.</param>
    /// <param name="logger">Where refused connections are named.</param>
    /// <exception cref="SocketException">The port is not to be had.</exception>
    public RaftPort(IPEndPoint listen, ClusterHandshake handshake, Func<Guid> cluster, Func<Stream, CancellationToken, Task> serve, ILogger logger)
    {
        _handshake = handshake;
        _cluster = cluster;
        _serve = serve;
        _logger = logger;
        _socket = new(listen.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
        try
        {
            _socket.Bind(listen);
            _socket.Listen();
        }
        catch
        {
            _socket.Dispose();
            throw;
        }
    }

    public void Start() => _accepting = AcceptAsync();

    /// <summary>Connects, and makes sure that the other side knows the secret and is of this cluster.</summary>
    /// <exception cref="IOException">It could not be reached, or is not who it should be.</exception>
    public async ValueTask<Stream> OpenAsync(EndPoint endpoint, RaftPurpose purpose, CancellationToken cancellation)
    {
        Socket socket = new(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        try
        {
            using var patience = CancellationTokenSource.CreateLinkedTokenSource(cancellation, _closing.Token);
            patience.CancelAfter(s_patience);
            await socket.ConnectAsync(endpoint, patience.Token).ConfigureAwait(false);
            var stream = new NetworkStream(socket, ownsSocket: true);
            await _handshake.IntroduceAsync(stream, endpoint, (byte)purpose, _cluster(), patience.Token).ConfigureAwait(false);
            return stream;
        }
        catch (Exception e)
        {
            socket.Dispose();
            if (e is IOException || cancellation.IsCancellationRequested) throw;
            throw new IOException($"{endpoint} cannot be reached: {(e is OperationCanceledException ? "it does not answer" : e.Message)}", e);
        }
    }

    /// <inheritdoc/>
    public async ValueTask<ConnectionContext> ConnectAsync(EndPoint endpoint, CancellationToken cancellationToken = default) =>
        new Connection(await OpenAsync(endpoint, RaftPurpose.Raft, cancellationToken).ConfigureAwait(false), endpoint);

    /// <summary>The connections that are for DotNext. The port itself listens all the time.</summary>
    public ValueTask<IConnectionListener> BindAsync(EndPoint endpoint, CancellationToken cancellationToken = default) =>
        new(new Listener(_raft.Reader, endpoint));

    public async ValueTask DisposeAsync()
    {
        await _closing.CancelAsync().ConfigureAwait(false);
        _socket.Dispose();
        await _accepting.ConfigureAwait(false);
        _raft.Writer.TryComplete();
        while (_raft.Reader.TryRead(out ConnectionContext? left)) left.Abort();
    }

    private async Task AcceptAsync()
    {
        while (!_closing.IsCancellationRequested)
        {
            try
            {
                Socket accepted = await _socket.AcceptAsync(_closing.Token).ConfigureAwait(false);
                if (Interlocked.Increment(ref _strangers) <= MaxStrangers)
                {
                    _ = Task.Run(() => WelcomeAsync(accepted));
                    continue;
                }
                Interlocked.Decrement(ref _strangers);
                accepted.Dispose();
            }
            catch (Exception e) when (e is SocketException or OperationCanceledException or ObjectDisposedException)
            {
                // Too many open files, say: someone else may close one.
                if (!_closing.IsCancellationRequested) await Task.Delay(100).ConfigureAwait(false);
            }
        }
    }

    private async Task WelcomeAsync(Socket accepted)
    {
        EndPoint? peer = null;
        NetworkStream? stream = null;
        RaftPurpose purpose = default;
        try
        {
            peer = accepted.RemoteEndPoint;
            accepted.NoDelay = true;
            stream = new(accepted, ownsSocket: true);
            using var patience = CancellationTokenSource.CreateLinkedTokenSource(_closing.Token);
            patience.CancelAfter(s_patience);
            purpose = (RaftPurpose)await _handshake.WelcomeAsync(stream, _cluster(), patience.Token).ConfigureAwait(false);
            if (!Enum.IsDefined(purpose)) throw new IOException("it wants something that this version does not know");
        }
        catch (Exception e) when (e is IOException or SocketException or OperationCanceledException or ObjectDisposedException)
        {
            string reason = e is OperationCanceledException ? "it says nothing" : e.Message;
            LogLevel level = _closing.IsCancellationRequested ? LogLevel.Trace : _complaints.NextLevel();
            LogRefused(_logger, level, peer, reason);
            accepted.Dispose();
            return;
        }
        finally
        {
            Interlocked.Decrement(ref _strangers);
        }

        if (purpose == RaftPurpose.Raft)
        {
            var connection = new Connection(stream, peer!);
            if (!_raft.Writer.TryWrite(connection)) connection.Abort();
            return;
        }
        try
        {
            await _serve(stream, _closing.Token).ConfigureAwait(false);
        }
        catch (Exception e) when (e is IOException or OperationCanceledException or ObjectDisposedException)
        {
            // The other side has gone, or we are going.
        }
        finally
        {
            await stream.DisposeAsync().ConfigureAwait(false);
        }
    }

    [LoggerMessage("A connection from {Peer} to the port of the cluster's store is refused: {Reason}")]
    private static partial void LogRefused(ILogger logger, LogLevel level, EndPoint? peer, string reason);

    private sealed class Listener(ChannelReader<ConnectionContext> connections, EndPoint endpoint) : IConnectionListener
    {
        public EndPoint EndPoint => endpoint;

        public async ValueTask<ConnectionContext?> AcceptAsync(CancellationToken cancellationToken = default)
        {
            try
            {
                return await connections.ReadAsync(cancellationToken).ConfigureAwait(false);
            }
            catch (ChannelClosedException)
            {
                return null;
            }
        }

        public ValueTask UnbindAsync(CancellationToken cancellationToken = default) => default;

        public ValueTask DisposeAsync() => default;
    }

    /// <summary>A connection as DotNext wants it.</summary>
    private sealed class Connection : ConnectionContext, IDuplexPipe
    {
        private readonly Stream _stream;

        public Connection(Stream stream, EndPoint peer)
        {
            _stream = stream;
            RemoteEndPoint = peer;
            Input = PipeReader.Create(stream, new StreamPipeReaderOptions(leaveOpen: true));
            Output = PipeWriter.Create(stream, new StreamPipeWriterOptions(minimumBufferSize: 16 * 1024, leaveOpen: true));
        }

        public PipeReader Input { get; }

        public PipeWriter Output { get; }

        public override string ConnectionId { get; set; } = "";

        public override IFeatureCollection Features { get; } = new FeatureCollection();

        public override IDictionary<object, object?> Items { get; set; } = new Dictionary<object, object?>();

        public override IDuplexPipe Transport
        {
            get => this;
            set => throw new NotSupportedException();
        }

        public override void Abort(ConnectionAbortedException abortReason) => _stream.Dispose();

        public override async ValueTask DisposeAsync()
        {
            await base.DisposeAsync().ConfigureAwait(false);
            await _stream.DisposeAsync().ConfigureAwait(false);
        }
    }
}
