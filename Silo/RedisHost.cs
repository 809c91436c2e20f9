using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using OrleansRedis.Engine;
using OrleansRedis.Gateway;

namespace OrleansRedis.Silo;

/// <summary>Opens the door for Redis clients once everything behind it is ready, and closes it first.</summary>
internal sealed class RedisHost(
    RedisServer server, RedisListener listener, IHostApplicationLifetime lifetime, ILogger<RedisHost> logger) : IHostedService, IDisposable
{
    private readonly List<PosixSignalRegistration> _signals = [];

    private ServerOptions Options => server.Options;

    public async Task StartAsync(CancellationToken cancellationToken)
    {
        server.StopRequested = lifetime.StopApplication;
        _signals.Add(PosixSignalRegistration.Create(PosixSignal.SIGINT, signal => Stop(signal, "SIGINT")));
        _signals.Add(PosixSignalRegistration.Create(PosixSignal.SIGTERM, signal => Stop(signal, "SIGTERM")));
        await listener.StartAsync(cancellationToken);
        Options.PidFile = Options.PidFile.Length == 0 ? "" : Path.GetFullPath(Options.PidFile);
        if (Options.PidFile.Length != 0)
            await File.WriteAllTextAsync(Options.PidFile, Environment.ProcessId.ToString(CultureInfo.InvariantCulture) + "\n", cancellationToken);
        double seconds = (DateTime.Now - Process.GetCurrentProcess().StartTime).TotalSeconds;
        SiloLog.Started(logger, ServerVersion.Product, ServerVersion.Own, ServerVersion.Redis, Environment.ProcessId, seconds);
        foreach (System.Net.EndPoint endPoint in listener.EndPoints) SiloLog.Listening(logger, endPoint.ToString()!);
        SiloLog.OrleansListening(logger, Options.OrleansGatewayPort);
        SiloLog.Ready(logger);
    }

    public async Task StopAsync(CancellationToken cancellationToken)
    {
        await listener.DisposeAsync();
        foreach (ClientConnection client in server.Clients.All) client.Close();
        // Whoever waits in a blocking command, or does not read its replies, is cut off.
        for (int i = 0; i < 20 && server.Clients.Count != 0; i++) await Task.Delay(TimeSpan.FromMilliseconds(10), CancellationToken.None);
        foreach (ClientConnection client in server.Clients.All) client.Kill();
        if (Options.PidFile.Length != 0) File.Delete(Options.PidFile);
        if (Options.UnixSocket.Length != 0) File.Delete(Options.UnixSocket);
        SiloLog.Bye(logger);
    }

    public void Dispose()
    {
        foreach (PosixSignalRegistration signal in _signals) signal.Dispose();
    }

    private void Stop(PosixSignalContext signal, string name)
    {
        signal.Cancel = true; // the process ends when the host has stopped, not at once
        SiloLog.SignalReceived(logger, name);
        lifetime.StopApplication();
    }
}
