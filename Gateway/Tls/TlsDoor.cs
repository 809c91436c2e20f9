using System.Net.Security;
using Microsoft.AspNetCore.Connections;
using OrleansRedis.Engine;

namespace OrleansRedis.Gateway;

/// <summary>
/// Lets TLS clients in: keeps what the tls-… directives say, and makes the handshakes. These must not hold up the event
/// loops, so they compute on the thread pool, and on no more than half of the processors, however many clients come at
/// once. Who does not finish in time (orleans-tls-handshake-timeout) is closed.
/// </summary>
internal sealed class TlsDoor(RedisServer server) : IDisposable
{
    private static readonly string[] s_directives =
        [.. Directive.All.Select(directive => directive.Name).Where(name => name.StartsWith("tls-", StringComparison.Ordinal))];

    private readonly SemaphoreSlim _turns = new(Math.Max(1, Environment.ProcessorCount / 2));
    private readonly CancellationTokenSource _closing = new();
    private volatile SslServerAuthenticationOptions? _authentication;

    private ServerOptions Options => server.Options;

    private bool IsNeeded => Options.TlsPort != 0;

    /// <summary>Reads certificates and keys, if TLS is asked for. From then on follows CONFIG SET.</summary>
    /// <exception cref="InvalidOperationException">They are not in order.</exception>
    public void Open()
    {
        if (IsNeeded && !TryConfigure()) throw new InvalidOperationException("Failed to configure TLS. Check logs for more info.");
        server.Files.Configuration.OnChange(s_directives, ReconfigureAsync);
    }

    /// <summary>Ends the handshakes that are under way.</summary>
    public void Dispose() => _closing.Cancel();

    /// <summary>
    /// Makes the handshake with a client. If that is well, the connection's transport is the decrypted one from then on;
    /// if not, the connection is to be closed.
    /// </summary>
    public async Task<bool> TryLetInAsync(ConnectionContext connection)
    {
        using var patience = CancellationTokenSource.CreateLinkedTokenSource(_closing.Token);
        patience.CancelAfter(TimeSpan.FromSeconds(Options.OrleansTlsHandshakeTimeout));
        using CancellationTokenRegistration end = patience.Token.UnsafeRegister(
            static connection => ((ConnectionContext)connection!).Abort(new ConnectionAbortedException("The handshake took too long.")), connection);
        var tls = new TlsTransport(connection.Transport, _turns, server.Logger);
        try
        {
            // One that is in force now; the next client may find another.
            await tls.AuthenticateAsync(_authentication!, patience.Token).ConfigureAwait(false);
            connection.Transport = tls;
            return true;
        }
        catch (Exception e)
        {
            if (!_closing.IsCancellationRequested) Tell(connection, patience.IsCancellationRequested ? "handshake timeout" : e.GetBaseException().Message);
            await tls.Stream.DisposeAsync().ConfigureAwait(false);
            await connection.Transport.Input.CompleteAsync().ConfigureAwait(false);
            await connection.Transport.Output.CompleteAsync().ConfigureAwait(false); // sends the alert, if there is one
            return false;
        }
    }

    private void Tell(ConnectionContext connection, string reason) =>
        Log.NotAccepted(server.Logger, reason, ClientConnection.Show(connection.RemoteEndPoint), ClientConnection.Show(connection.LocalEndPoint));

    private ValueTask<string?> ReconfigureAsync() =>
        new(!IsNeeded || TryConfigure() ? null : "Unable to update TLS configuration. Check server logs.");

    /// <summary>If something is not in order, what was in force before stays so.</summary>
    private bool TryConfigure()
    {
        try
        {
            _authentication = TlsConfiguration.Load(Options);
            return true;
        }
        catch (TlsConfigurationException e)
        {
            server.Store.Log.Warning(e.Message);
            return false;
        }
    }
}
