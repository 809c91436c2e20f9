using System.Diagnostics;
using System.Globalization;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using OrleansRedis.Engine;
using OrleansRedis.Gateway;

namespace OrleansRedis.Silo;

/// <summary>
/// The door for Redis clients. It opens before everything else, since who comes while the data is being loaded is told so, and closes first. "Ready" is
/// said when everything behind it is.
/// </summary>
internal sealed class RedisHost(RedisServer server, RedisListener listener, ILogger<RedisHost> logger) : IHostedLifecycleService
{
    private ServerOptions Options => server.Options;

    public async Task StartingAsync(CancellationToken cancellationToken)
    {
        await listener.StartAsync(cancellationToken);
        Options.PidFile = Options.PidFile.Length == 0 ? "" : Path.GetFullPath(Options.PidFile);
        if (Options.PidFile.Length != 0)
            await File.WriteAllTextAsync(Options.PidFile, Environment.ProcessId.ToString(CultureInfo.InvariantCulture) + "\n", cancellationToken);
        foreach (System.Net.EndPoint endPoint in listener.EndPoints) SiloLog.Listening(logger, endPoint.ToString()!);
    }

    public Task StartAsync(CancellationToken cancellationToken)
    {
        double seconds = (DateTime.Now - Process.GetCurrentProcess().StartTime).TotalSeconds;
        SiloLog.Started(logger, ServerVersion.Product, ServerVersion.Own, ServerVersion.Redis, Environment.ProcessId, seconds);
        SiloLog.OrleansListening(logger, Options.OrleansGatewayPort);
        SiloLog.Ready(logger);
        return Task.CompletedTask;
    }

    public Task StartedAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public async Task StoppingAsync(CancellationToken cancellationToken)
    {
        await listener.DisposeAsync();
        foreach (ClientConnection client in server.Clients.All) client.Close();
        // Whoever waits in a blocking command, or does not read its replies, is cut off.
        for (int i = 0; i < 20 && server.Clients.Count != 0; i++) await Task.Delay(TimeSpan.FromMilliseconds(10), CancellationToken.None);
        foreach (ClientConnection client in server.Clients.All) client.Kill();
    }

    public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StoppedAsync(CancellationToken cancellationToken)
    {
        if (Options.PidFile.Length != 0) File.Delete(Options.PidFile);
        if (Options.UnixSocket.Length != 0) File.Delete(Options.UnixSocket);
        SiloLog.Bye(logger);
        return Task.CompletedTask;
    }
}
