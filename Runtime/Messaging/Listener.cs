using System.Collections.Concurrent;
using System.Net;
using System.Threading.Channels;
using Microsoft.AspNetCore.Connections;
using Microsoft.Extensions.Logging;

namespace Orleans.Runtime.Messaging;

/// <summary>Accepts connections of silos, or of clients, and runs them. Connections of silos are only read: each silo sends over those that it made.</summary>
internal sealed partial class Listener(SiloRuntime runtime, bool forClients, ILogger logger) : IAsyncDisposable
{
    private readonly ConcurrentDictionary<ConnectionContext, Task> _connections = new();
    private IConnectionListener? _listener;
    private volatile bool _stopped;

    public async Task Start(IPEndPoint endpoint, CancellationToken cancellation)
    {
        _listener = await runtime.Transport.Listen(endpoint, cancellation).ConfigureAwait(false);
        _ = Accept(_listener);
    }

    public async ValueTask DisposeAsync()
    {
        _stopped = true;
        if (_listener is not null)
        {
            await _listener.UnbindAsync().ConfigureAwait(false);
            await _listener.DisposeAsync().ConfigureAwait(false);
        }

        Abort();
        await Task.WhenAll(_connections.Values).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
    }

    /// <summary>Drops all connections.</summary>
    public void Abort()
    {
        _stopped = true;
        foreach (ConnectionContext connection in _connections.Keys) connection.Abort();
    }

    private async Task Accept(IConnectionListener listener)
    {
        await Task.CompletedTask.ConfigureAwait(ConfigureAwaitOptions.ForceYielding);
        try
        {
            while (await listener.AcceptAsync().ConfigureAwait(false) is { } connection)
            {
                Task serving = Serve(connection);
                _connections[connection] = serving;
                if (_stopped) connection.Abort();
                _ = serving.ContinueWith(_ => _connections.TryRemove(connection, out Task? _), TaskScheduler.Default);
            }
        }
        catch (Exception exception) when (_stopped)
        {
            LogStopped(exception.Message);
        }
    }

    private async Task Serve(ConnectionContext transport)
    {
        await Task.CompletedTask.ConfigureAwait(ConfigureAwaitOptions.ForceYielding);
        try
        {
            using var timeout = new CancellationTokenSource(runtime.ConnectionOptions.OpenConnectionTimeout, runtime.Clock);
            Hello hello = await Frames.Read<Hello>(transport.Transport.Input, 1 << 16, timeout.Token).ConfigureAwait(false);
            string? refusal = Refusal(hello);
            await Frames.Write(
                transport.Transport.Output, new Welcome(refusal, runtime.Silo, forClients ? new(runtime.GrainTypes.Entries) : []), timeout.Token).ConfigureAwait(false);
            if (refusal is not null)
            {
                LogRefused(refusal);
                await transport.Transport.Output.CompleteAsync().ConfigureAwait(false);
                await transport.DisposeAsync().ConfigureAwait(false);
                return;
            }

            Channel<Message> outbox = Channel.CreateUnbounded<Message>(new UnboundedChannelOptions { SingleReader = true });
            if (hello.Silo is not null)
            {
                await new Connection(runtime, transport, outbox.Reader, (_, message) => runtime.ReceiveFromSilo(message), runtime.Undeliverable).Run().ConfigureAwait(false);
                return;
            }

            runtime.Clients.Connected(hello.Client, outbox.Writer);
            try
            {
                await new Connection(runtime, transport, outbox.Reader, (_, message) => runtime.ReceiveFromClient(message), runtime.Undeliverable).Run().ConfigureAwait(false);
            }
            finally
            {
                runtime.Clients.Disconnected(hello.Client, outbox.Writer);
            }
        }
        catch (Exception exception)
        {
            LogFailed(exception.Message);
            transport.Abort();
            await transport.DisposeAsync().ConfigureAwait(false);
        }
    }

    private string? Refusal(Hello hello)
    {
        if (hello.ProtocolVersion != Hello.CurrentVersion) return $"protocol version {hello.ProtocolVersion} is not {Hello.CurrentVersion}";
        if (hello.ClusterId != runtime.Details.ClusterId) return $"this is cluster \"{runtime.Details.ClusterId}\", not \"{hello.ClusterId}\"";
        if (hello.Silo is null != forClients) return forClients ? "this is a gateway, for clients only" : "this is for silos only";
        if (hello.Expected is { Generation: not 0 } expected && !expected.Equals(runtime.Silo)) return $"this is {runtime.Silo}, not {expected}";
        if (hello.Silo is not null && runtime.Membership.IsDeadSilo(hello.Silo)) return $"{hello.Silo} has been declared dead";
        return runtime.IsDead ? "this silo is dead" : null;
    }

    [LoggerMessage(1211, LogLevel.Debug, "Stopped listening: {Reason}")]
    private partial void LogStopped(string reason);

    [LoggerMessage(1212, LogLevel.Warning, "Refused a connection: {Reason}")]
    private partial void LogRefused(string reason);

    [LoggerMessage(1213, LogLevel.Debug, "A connection failed: {Reason}")]
    private partial void LogFailed(string reason);
}
