using System.Buffers;
using System.IO.Pipelines;
using System.Net;
using Microsoft.AspNetCore.Connections;
using OrleansRedis.Engine;

namespace OrleansRedis.Gateway;

/// <summary>
/// One client: reads requests, runs them in order, writes replies in order. All of its state is touched only by its own
/// loop (<see cref="RunAsync"/>), whatever thread that runs on at the moment. Other threads may read the properties,
/// for CLIENT LIST, and <see cref="Post"/> what they want done. While a command waits, its continuation shares the
/// state with the loop: see ClientConnection.Waiting.cs.
/// </summary>
public sealed partial class ClientConnection : Session
{
    /// <summary>A client that has nothing to do may keep a buffer of so many bytes for its requests.</summary>
    private const int MostIdleBytes = 8 * 1024;

    private readonly RedisServer _server;
    private readonly ConnectionContext _transport;
    private readonly PipeReader _input;
    private readonly PipeWriter _output;
    private readonly RequestReader _requests = new();
    private readonly RespWriter _reply;
    private readonly InputBuffer _pending = new();
    private readonly Mailbox _mailbox = new();
    // Belongs to the thread that the loop runs on; fetched again wherever that may have changed.
    private CommandStatistics.Stripe _statistics;
    private volatile bool _killed;
    private long _bytesIn;

    public ClientConnection(RedisServer server, ConnectionContext transport)
    {
        _server = server;
        _transport = transport;
        _input = transport.Transport.Input;
        _output = transport.Transport.Output;
        _reply = new() { Overflow = RefuseReply };
        _statistics = server.CommandStatistics.Mine;
        Id = server.Clients.NextId();
        _replyPeak = _replyRoom = _reply.Capacity;
        _replyPeakSinceMs = server.Store.Clock.NowMs;
        ConnectedAtMs = LastUsedMs = server.Store.Clock.NowMs;
        IsLocal = IsUnix || (RemoteEndPoint is IPEndPoint remote && IPAddress.IsLoopback(remote.Address));
        User = server.Store.Acl.Default;
        IsAuthenticated = User.IsOpen;
    }

    /// <summary>CLIENT ID: increasing, never reused by this process.</summary>
    public long Id { get; }

    public RedisServer Server => _server;

    public EndPoint? RemoteEndPoint => _transport.RemoteEndPoint;

    public EndPoint? LocalEndPoint => _transport.LocalEndPoint;

    /// <summary>Cancelled when the peer closes the connection or it is killed; for commands that wait.</summary>
    public CancellationToken Disconnected => _transport.ConnectionClosed;

    /// <summary>Unix time in ms of the connection's start.</summary>
    public long ConnectedAtMs { get; }

    /// <summary>Unix time in ms of the last request.</summary>
    public long LastUsedMs { get; private set; }

    /// <summary>The command that ran last, for CLIENT LIST.</summary>
    public CommandInfo? LastCommand { get; private set; }

    /// <summary>2 or 3.</summary>
    public int Protocol
    {
        get => _reply.Resp3 ? 3 : 2;
        set
        {
            _reply.Resp3 = value == 3;
            SubscriptionsChanged();
        }
    }

    /// <summary>Bytes of requests that are not complete yet.</summary>
    public int PendingInputBytes => _pending.Length;

    /// <summary>
    /// Bytes of replies and pushes that the client has not taken yet. Looked at against the direction in which they move, so
    /// that another thread may miss some of them, but counts none twice.
    /// </summary>
    public long PendingOutputBytes => SendingBytes + (_meanwhile?.Length ?? 0) + _reply.Length + QueuedPushBytes;

    /// <summary>
    /// Those of them that count against client-output-buffer-limit: all but what fits into redis-server's fixed buffer.
    /// </summary>
    public long LimitedOutputBytes => Math.Max(0, PendingOutputBytes - UnlimitedBytes);

    /// <summary>Set to close the connection once the replies so far are sent (QUIT, protocol errors).</summary>
    public bool CloseAfterReply { get; set; }

    /// <summary>Whether <see cref="Kill"/> was called; what is left of the connection ends soon.</summary>
    internal bool IsKilled => _killed;

    /// <summary>Ends the connection from any thread, without waiting for replies to be sent.</summary>
    public void Kill()
    {
        _killed = true;
        _transport.Abort(new ConnectionAbortedException("The client was killed."));
        _mailbox.Ring();
        Wake();
    }

    /// <summary>
    /// Ends the connection from any thread once its current command is answered; at once if that command merely waits.
    /// </summary>
    public void Close() => Post(static client => client.CloseOnceAnswered());

    /// <summary>
    /// Gives back what the buffer for requests has grown to, from any thread, unless it is in use: for a client that
    /// sends nothing.
    /// </summary>
    internal void TrimInput()
    {
        if (!IsBlocked && (_pending.Capacity > MostIdleBytes || _requests.IsLarge)) Post(static client => client.ShrinkInput());
    }

    /// <summary>
    /// Has the connection's own loop do something, between two of its commands or while one waits, but not while one
    /// uses the session. Callable from any thread. A letter writes to <see cref="OutOfBand"/>. It must not wait for
    /// anything, least of all a gate.
    /// </summary>
    public void Post(Action<ClientConnection> letter)
    {
        _mailbox.Post(letter);
        Wake();
    }

    /// <summary>
    /// Ends the loop's pending read, if there is one, though nothing has come in. The loop does not continue on this
    /// thread, as the caller may hold gates.
    /// </summary>
    private void Wake()
    {
        if (_transport is EpollConnection) _input.CancelPendingRead(); // continues on its event loop
        else ThreadPool.UnsafeQueueUserWorkItem(static input => input.CancelPendingRead(), _input, preferLocal: false);
    }

    /// <summary>Serves the client until it or we close the connection.</summary>
    public async Task RunAsync()
    {
        _server.Clients.Add(this);
        try
        {
            while (!_killed)
            {
                ValueTask<ReadResult> reading = _input.ReadAsync();
                ReadResult read = reading.IsCompletedSuccessfully || _reply.Length == 0
                    ? await reading.ConfigureAwait(false)
                    : await ReadWhileSendingAsync(reading.AsTask()).ConfigureAwait(false);
                ServeLetters();
                Func<Task>? wait = Receive(read.Buffer);
                while (wait is not null)
                {
                    await WaitAsync(wait).ConfigureAwait(false);
                    ServeLetters();
                    wait = TakeFollowing() ?? (_killed || CloseAfterReply ? null : DrainPending());
                }
                if (!CloseAfterReply) TakePushes(); // those that its own commands have given it
                if (_reply.Length != 0) Send();
                if (_server.ClientMemory.IsLimited) _server.ClientMemory.Count(this);
                if (CloseAfterReply || read.IsCompleted) break;
            }
            if (!_killed) await SendAllAsync().ConfigureAwait(false);
        }
        catch (Exception e) when (IsGone(e))
        {
            // No client is left to tell.
        }
        finally
        {
            _server.Clients.Remove(this);
            if (IsMonitor) IsMonitor = false;
            Subscriptions?.Clear();
            if (Tracking is not null) _server.Store.KeyTracking.Close(Tracking);
            Debugged?.Abandon();
            _server.Remote?.Forget(this);
            if (Blocked is { } blocked) await blocked.AbandonAsync().ConfigureAwait(false);
            if (Transaction is not null) await Transaction.CloseAsync(_server.Store).ConfigureAwait(false);
            await _input.CompleteAsync().ConfigureAwait(false);
            await _output.CompleteAsync().ConfigureAwait(false);
            _reply.Clear();
            _reply.ShrinkTo(0);
            _meanwhile?.Clear();
            _meanwhile?.ShrinkTo(0);
            _pending.Discard();
            _isGone = true;
            _server.ClientMemory.Forget(this);
        }
    }

    /// <summary>
    /// Runs the requests that have come in, and keeps what is incomplete. If it returns a wait, await it and then call
    /// <see cref="DrainPending"/>.
    /// </summary>
    private Func<Task>? Receive(in ReadOnlySequence<byte> received)
    {
        if (received.IsEmpty)
        {
            _input.AdvanceTo(received.End);
            return null;
        }
        Func<Task>? wait;
        _bytesIn += received.Length;
        _statistics = _server.CommandStatistics.Mine;
        if (_pending.Length == 0 && received.IsSingleSegment)
        {
            ReadOnlySpan<byte> bytes = received.FirstSpan;
            int used = Drain(bytes, out wait);
            _pending.Append(bytes[used..], _requests.LeastLength);
        }
        else
        {
            _pending.Append(received, _requests.LeastLength);
            // A large request counts as long as it is here, even if what comes now completes it.
            if (_server.ClientMemory.IsLimited) _server.ClientMemory.Count(this);
            wait = _killed ? null : DrainPending();
        }
        _statistics.InputBytes += received.Length;
        _statistics.Reads++;
        _input.AdvanceTo(received.End);
        long queryBytes = _pending.Length + (Transaction is { } transaction ? transaction.QueuedBytes : 0);
        if (queryBytes > _server.Options.ClientQueryBufferLimit) RefuseQueryBuffer(queryBytes);
        return wait;
    }

    /// <summary>What has come from other threads, between two commands.</summary>
    private void ServeLetters()
    {
        _mailbox.Empty(this);
        TakePushes();
    }

    private Func<Task>? DrainPending()
    {
        _statistics = _server.CommandStatistics.Mine;
        int used = Drain(_pending.Span, out Func<Task>? wait);
        _pending.Consume(used);
        return wait;
    }

    private void ShrinkInput()
    {
        if (_isWaiting) return; // the command that waits has it
        _pending.Shrink();
        _requests.Shrink();
    }

    private void RefuseQueryBuffer(long queryBytes)
    {
        Log.QueryBufferLimit(_server.Logger, Id, queryBytes);
        _server.Clients.CountQueryBufferKill();
        Kill();
    }
}
