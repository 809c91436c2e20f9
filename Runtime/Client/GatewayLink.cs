using System.Net;
using System.Threading.Channels;
using Microsoft.AspNetCore.Connections;

namespace Orleans.Runtime.Messaging;

/// <summary>A client's way to one gateway: connects, and again after the connection broke. Any thread may post.</summary>
internal sealed class GatewayLink
{
    private readonly ClientRuntime _runtime;
    private readonly CancellationTokenSource _closed = new();
    private readonly TaskCompletionSource _firstAttempt = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private Channel<Message>? _outbox; // of the present connection; null without one
    private TaskCompletionSource _tryAgain = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public GatewayLink(ClientRuntime runtime, IPEndPoint endpoint)
    {
        _runtime = runtime;
        Endpoint = endpoint;
        _ = Run();
    }

    public IPEndPoint Endpoint { get; }

    public bool IsConnected => Volatile.Read(ref _outbox) is not null;

    /// <summary>Completes when the first attempt to connect has succeeded or failed.</summary>
    public Task FirstAttempt => _firstAttempt.Task;

    public bool TryPost(Message message)
    {
        if (Volatile.Read(ref _outbox) is not { } outbox) return false;
        if (message.Call is { } call) call.Via = this;
        return outbox.Writer.TryWrite(message);
    }

    /// <summary>Ends the pause before the next attempt.</summary>
    public void TryAgain() => Interlocked.Exchange(ref _tryAgain, new(TaskCreationOptions.RunContinuationsAsynchronously)).TrySetResult();

    public void Close() => _closed.Cancel();

    private async Task Run()
    {
        await Task.CompletedTask.ConfigureAwait(ConfigureAwaitOptions.ForceYielding);
        while (!_closed.IsCancellationRequested)
        {
            try
            {
                await RunOnce().ConfigureAwait(false);
            }
            catch (Exception exception)
            {
                _runtime.LinkFailed(exception);
            }

            _firstAttempt.TrySetResult();
            await Task.WhenAny(Task.Delay(_runtime.ConnectionOptions.ConnectionRetryDelay, _runtime.Clock, _closed.Token), _tryAgain.Task).ConfigureAwait(false);
        }
    }

    private async Task RunOnce()
    {
        ConnectionContext transport;
        Welcome welcome;
        using (var timeout = new CancellationTokenSource(_runtime.ConnectionOptions.OpenConnectionTimeout, _runtime.Clock))
        using (var either = CancellationTokenSource.CreateLinkedTokenSource(timeout.Token, _closed.Token))
        {
            transport = await _runtime.Transport.Connect(Endpoint, either.Token).ConfigureAwait(false);
            try
            {
                await Frames.Write(transport.Transport.Output, new Hello(Hello.CurrentVersion, _runtime.ClusterId, null, _runtime.NodeId, null), either.Token).ConfigureAwait(false);
                welcome = await Frames.Read<Welcome>(transport.Transport.Input, 1 << 24, either.Token).ConfigureAwait(false);
                if (welcome.Refusal is not null) throw new ConnectionFailedException($"The gateway {Endpoint} refused the connection: {welcome.Refusal}");
            }
            catch
            {
                transport.Abort();
                await transport.DisposeAsync().ConfigureAwait(false);
                throw;
            }
        }

        Channel<Message> outbox = Channel.CreateUnbounded<Message>(new UnboundedChannelOptions { SingleReader = true });
        var connection = new Connection(_runtime, transport, outbox.Reader, (_, message) => _runtime.Receive(message, this), Undeliverable);
        await using CancellationTokenRegistration closing = _closed.Token.UnsafeRegister(static connection => ((Connection)connection!).Abort(), connection);
        Volatile.Write(ref _outbox, outbox);
        _runtime.LinkConnected(welcome);
        _firstAttempt.TrySetResult();
        await connection.Run().ConfigureAwait(false);
        Volatile.Write(ref _outbox, null);
        outbox.Writer.TryComplete();
        // What was never sent goes by another gateway; what was sent is lost.
        while (outbox.Reader.TryRead(out Message? unsent))
        {
            if (unsent.Call is not { } call) continue;
            call.Via = null;
            _runtime.Undelivered(call, new SiloUnavailableException($"The connection to the gateway {Endpoint} was lost"));
        }

        if (!_closed.IsCancellationRequested) _runtime.LinkBroken(this);
    }

    private void Undeliverable(Message message, Exception exception) => message.Call?.Fail(exception);
}
