using System.Threading.Channels;
using Microsoft.AspNetCore.Connections;
using Microsoft.Extensions.Logging;

namespace Orleans.Runtime.Messaging;

/// <summary>The way to another silo: connects when there is something to send, and again after the connection broke. Any thread may post.</summary>
internal sealed partial class SiloLink
{
    private readonly SiloRuntime _runtime;
    private readonly SiloAddress _silo;
    private readonly ILogger _logger;
    private readonly Channel<Message> _outbox = Channel.CreateUnbounded<Message>(new UnboundedChannelOptions { SingleReader = true });
    private readonly CancellationTokenSource _closed = new();
    private readonly Task _running;
    private Connection? _connection;

    public SiloLink(SiloRuntime runtime, SiloAddress silo, ILogger logger)
    {
        _runtime = runtime;
        _silo = silo;
        _logger = logger;
        _running = Run();
    }

    public void Post(Message message)
    {
        if (!_outbox.Writer.TryWrite(message)) _runtime.Undeliverable(message, new SiloUnavailableException($"The silo {_silo} is gone"));
    }

    /// <summary>Sends what there is to send, and closes.</summary>
    public Task Drain()
    {
        _outbox.Writer.TryComplete();
        return _running;
    }

    /// <summary>The silo is gone: nothing is sent any more.</summary>
    public void Close()
    {
        _outbox.Writer.TryComplete();
        _closed.Cancel();
        Volatile.Read(ref _connection)?.Abort();
    }

    private async Task Run()
    {
        // Not on the thread, nor in the context, of whoever sent the first message.
        await Task.CompletedTask.ConfigureAwait(ConfigureAwaitOptions.ForceYielding);
        while (await _outbox.Reader.WaitToReadAsync().ConfigureAwait(false))
        {
            if (_closed.IsCancellationRequested)
            {
                RejectAll(new SiloUnavailableException($"The silo {_silo} is gone"));
                continue;
            }

            try
            {
                ConnectionContext transport = await Connect().ConfigureAwait(false);
                var connection = new Connection(_runtime, transport, _outbox.Reader, (_, message) => _runtime.Receive(message), _runtime.Undeliverable);
                Volatile.Write(ref _connection, connection);
                if (_closed.IsCancellationRequested) connection.Abort();
                await connection.Run().ConfigureAwait(false);
                LogClosed(_silo);
            }
            catch (Exception exception)
            {
                if (!_closed.IsCancellationRequested) LogFailed(exception, _silo);
                RejectAll(new SiloUnavailableException($"No connection to the silo {_silo}", exception));
                await Task.Delay(_runtime.ConnectionOptions.ConnectionRetryDelay, _runtime.Clock, _closed.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            }
        }
    }

    private async Task<ConnectionContext> Connect()
    {
        using var timeout = new CancellationTokenSource(_runtime.ConnectionOptions.OpenConnectionTimeout, _runtime.Clock);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(timeout.Token, _closed.Token);
        ConnectionContext transport = await _runtime.Transport.Connect(_silo.Endpoint, either.Token).ConfigureAwait(false);
        try
        {
            var hello = new Hello(Hello.CurrentVersion, _runtime.Details.ClusterId, _runtime.Silo, default, _silo);
            await Frames.Write(transport.Transport.Output, hello, either.Token).ConfigureAwait(false);
            Welcome welcome = await Frames.Read<Welcome>(transport.Transport.Input, 1 << 20, either.Token).ConfigureAwait(false);
            if (welcome.Refusal is not null) throw new ConnectionFailedException($"{_silo} refused the connection: {welcome.Refusal}");
            return transport;
        }
        catch
        {
            transport.Abort();
            await transport.DisposeAsync().ConfigureAwait(false);
            throw;
        }
    }

    private void RejectAll(Exception reason)
    {
        while (_outbox.Reader.TryRead(out Message? message)) _runtime.Undeliverable(message, reason);
    }

    [LoggerMessage(1201, LogLevel.Information, "The connection to silo {Silo} was closed")]
    private partial void LogClosed(SiloAddress silo);

    [LoggerMessage(1202, LogLevel.Warning, "No connection to silo {Silo}")]
    private partial void LogFailed(Exception exception, SiloAddress silo);
}
