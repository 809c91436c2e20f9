using System.Diagnostics.CodeAnalysis;
using System.IO.Pipelines;
using System.Net;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Connections.Features;
using Microsoft.AspNetCore.Http.Features;
using OrleansRedis.Engine;

namespace OrleansRedis.Gateway;

/// <summary>
/// A connection served by an <see cref="EventLoop"/>. Only the loop's thread receives, changes the epoll set and
/// closes. Otherwise a descriptor could be closed, and reused for another connection, in the middle of one of these
/// calls. Sending and shutting down are done on any thread; closing excludes them.
/// </summary>
internal sealed class EpollConnection : ConnectionContext, IDuplexPipe, IConnectionSocketFeature
{
    private readonly Socket _socket;
    private readonly EpollReader _reader;
    private readonly EpollWriter _writer;
    private readonly CancellationTokenSource _closed = new();
    private volatile EventLoop _loop = null!;
    private volatile Exception? _abortReason;
    private HeldReply? _held;       // on its way from the connection's code to the loop
    private volatile bool _isDisposed;
    private int _isPosted;
    private int _isClosedFired;
    private bool _isEnded;
    private bool _isGone;

    /// <summary>To be followed by <see cref="MoveTo"/>.</summary>
    /// <exception cref="SocketException">The peer is gone already.</exception>
    internal EpollConnection(Socket socket)
    {
        _socket = socket;
        Descriptor = (int)socket.Handle;
        _reader = new(this);
        _writer = new(this);
        Transport = this;
        LocalEndPoint = socket.LocalEndPoint;
        RemoteEndPoint = socket.RemoteEndPoint;
        ConnectionClosed = _closed.Token;
        Features.Set<IConnectionSocketFeature>(this);
    }

    [AllowNull]
    public override string ConnectionId
    {
        get => field ??= Guid.NewGuid().ToString("N");
        set;
    }

    public override IFeatureCollection Features { get; } = new FeatureCollection();

    [AllowNull]
    public override IDictionary<object, object?> Items
    {
        get => field ??= new Dictionary<object, object?>();
        set;
    }

    public override IDuplexPipe Transport { get; set; }

    public override EndPoint? LocalEndPoint { get; set; }

    public override EndPoint? RemoteEndPoint { get; set; }

    public override CancellationToken ConnectionClosed { get; set; }

    public PipeReader Input => _reader;

    public PipeWriter Output => _writer;

    public Socket Socket => _socket;

    internal int Descriptor { get; }

    /// <summary>Held while the descriptor is used off the loop's thread, and while it is closed.</summary>
    internal Lock Sync { get; } = new();

    /// <summary>Whether the caller is on the thread of the connection's loop.</summary>
    internal bool IsOnLoop => _loop.IsCurrent;

    /// <summary>Whether epoll also watches for room in the socket. For the loop alone.</summary>
    internal bool AwaitsRoom { get; set; }

    /// <summary>Whether it is in its loop's epoll set. For the loop alone.</summary>
    internal bool IsRegistered { get; set; }

    /// <summary>The loop's window in which the connection was last active. For the loop alone.</summary>
    internal int LastWindow { get; set; }

    /// <summary>Whether it is closed. For the loop alone.</summary>
    internal bool IsGone => _isGone;

    /// <summary>
    /// Whether it waits for input and nothing else is pending, so that it can be handed over to another loop. For the
    /// loop alone.
    /// </summary>
    internal bool IsIdle => _reader.IsParked && !_writer.IsWaiting && !_writer.IsHeld && !AwaitsRoom && Volatile.Read(ref _isPosted) == 0;

    /// <summary>The loop that serves it.</summary>
    internal EventLoop Loop => _loop;

    public override void Abort(ConnectionAbortedException abortReason) => Abandon(abortReason);

    /// <summary>
    /// Ends the connection from any thread. Its peer notices at once, its own code when the loop gets to it.
    /// </summary>
    internal void Abandon(Exception reason)
    {
        if (Interlocked.CompareExchange(ref _abortReason, reason, null) is not null) return;
        lock (Sync)
        {
            if (!_isGone) _ = Libc.Shutdown(Descriptor, Libc.ShutdownBoth);
        }
        Post();
    }

    /// <summary>The connection's code has ended; the loop closes the socket a moment later.</summary>
    public override ValueTask DisposeAsync()
    {
        _isDisposed = true;
        Post();
        return base.DisposeAsync();
    }

    /// <summary>Has the loop look at this connection soon. Any thread.</summary>
    internal void Post()
    {
        if (Interlocked.Exchange(ref _isPosted, 1) == 0) _loop.Post(this);
    }

    /// <summary>Ends a pending read soon, for something that is to be sent. Any thread.</summary>
    internal void PostPushed()
    {
        if (IsOnLoop) _loop.PostPushed(this);
        else _reader.CancelPendingRead();
    }

    /// <summary>
    /// Has the loop send this once the log is durable, after a round over its connections. Called by the connection's
    /// code, on any thread.
    /// </summary>
    internal Task Hold(HeldReply reply)
    {
        reply.Connection = this;
        if (IsOnLoop)
        {
            _loop.Held.Add(reply);
        }
        else
        {
            Volatile.Write(ref _held, reply);
            Post();
        }
        return reply.Task;
    }

    /// <summary>
    /// Has what is sent from now on leave once the log's bytes are with the operating system, after a round over the
    /// loop's connections. Called on the loop's thread.
    /// </summary>
    internal void Defer(ICommittingLog log) => _loop.Deferred.Add(_writer, log);

    /// <summary>
    /// Gives the connection to another loop. Called by the loop it has, or by any thread if it has none yet. The
    /// previous loop forwards what is posted to it by threads that have not seen the change.
    /// </summary>
    internal void MoveTo(EventLoop loop)
    {
        _loop = loop;
        Post();
    }

    /// <summary>The loop does whatever was asked for.</summary>
    internal void GoOn()
    {
        // Before looking: what is asked for after this posts again.
        Interlocked.Exchange(ref _isPosted, 0);
        if (Interlocked.Exchange(ref _held, null) is { } reply) _loop.Held.Add(reply);
        if (_abortReason is not null) EndAborted();
        if (_isDisposed) Close();
        if (_writer.IsWaiting && !AwaitsRoom && !_isGone) _loop.AwaitRoom(this, true);
        _writer.GoOn();
        _reader.GoOn();
    }

    /// <summary>The loop: epoll reports these events.</summary>
    internal void OnEvents(int events)
    {
        if ((events & (Libc.EpollOut | Libc.EpollHangUp | Libc.EpollError)) != 0) OnRoom();
        if ((events & ~Libc.EpollOut) != 0)
            _reader.OnReadable((events & (Libc.EpollReadHangUp | Libc.EpollHangUp | Libc.EpollError)) != 0);
    }

    /// <summary>
    /// Receives. Returns the number of bytes, 0 at the end of the stream, or a negative error number.
    /// </summary>
    internal unsafe nint Receive(byte* buffer, int length)
    {
        while (true)
        {
            nint received = Libc.Receive(Descriptor, buffer, length, 0);
            if (received >= 0) return received;
            int error = Marshal.GetLastSystemError();
            if (error != Libc.Interrupted) return -error;
        }
    }

    /// <summary>
    /// Sends as much as the socket takes now and returns how much that is. Also returns 0 if the connection is broken,
    /// which then ends soon. For the writer only, which does not call it after it was told of the end.
    /// </summary>
    internal unsafe int Send(ReadOnlySpan<byte> bytes)
    {
        while (true)
        {
            nint sent;
            fixed (byte* buffer = bytes) sent = Libc.Send(Descriptor, buffer, bytes.Length, Libc.NoSignal);
            if (sent >= 0) return (int)sent;
            int error = Marshal.GetLastSystemError();
            if (error == Libc.Interrupted) continue;
            if (error != Libc.TryAgain) Abandon(new ConnectionResetException($"Sending failed with error {error}."));
            return 0;
        }
    }

    /// <summary>
    /// Tells whatever waits that the peer is gone. Runs on the thread pool, since it runs the waiters' code.
    /// </summary>
    internal void FireClosed()
    {
        if (_isClosedFired != 0 || Interlocked.Exchange(ref _isClosedFired, 1) != 0) return;
        ThreadPool.UnsafeQueueUserWorkItem(static closed => closed.Cancel(), _closed, preferLocal: false);
    }

    private void OnRoom()
    {
        _writer.GoOn();
        if (AwaitsRoom && !_writer.IsWaiting) _loop.AwaitRoom(this, false);
    }

    private void EndAborted()
    {
        if (_isEnded || _isGone) return;
        _isEnded = true;
        FireClosed();
        _writer.End();
        _reader.End(_abortReason);
    }

    private void Close()
    {
        if (_isGone) return;
        _loop.Forget(this);
        lock (Sync) _isGone = true;
        _writer.End(); // before the socket is closed: nothing is sent after this
        // What was sent goes out, and then the end of the stream, even if another process has the socket open too.
        _ = Libc.Shutdown(Descriptor, Libc.ShutdownBoth);
        _socket.Dispose();
        FireClosed();
        _reader.End(new ConnectionAbortedException("The connection was disposed."));
    }
}
