using System.Diagnostics;
using System.Globalization;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using OrleansRedis.Engine;
using OrleansRedis.Gateway;
using OrleansRedis.Grains.Storage;

namespace OrleansRedis.Silo;

/// <summary>
/// The door for Redis clients. If there is data to load, it opens before everything else, so that clients that come
/// meanwhile are told. Otherwise it opens once the slots and the data are there, so that no client is told of
/// loading when there is none. It closes first. "Ready" is logged when everything behind the door is ready.
/// </summary>
internal sealed class RedisHost(RedisServer server, RedisListener listener, StoredSlots slots, ILogger<RedisHost> logger) : IHostedLifecycleService
{
    private const string UsualPidFile = "/var/run/redis.pid";

    private bool _isOpen;

    /// <summary>
    /// When the program began, as a Stopwatch timestamp. The system's start time of the process would not do: with
    /// ./run, which builds first, that is when the build began.
    /// </summary>
    internal static long Began { get; set; }

    private ServerOptions Options => server.Options;

    private bool HasDataToLoad => slots.Storage.Scope == StorageScope.Slot || server.Files.HasFilesToLoad;

    public Task StartingAsync(CancellationToken cancellationToken) => HasDataToLoad ? OpenAsync(cancellationToken) : Task.CompletedTask;

    private async Task OpenAsync(CancellationToken cancellationToken)
    {
        _isOpen = true;
        await listener.StartAsync(cancellationToken);
        await WritePidFileAsync();
        foreach (System.Net.EndPoint endPoint in listener.EndPoints) SiloLog.Listening(logger, endPoint.ToString()!);
    }

    /// <summary>pidfile; in the background there is one, even if none was asked for.</summary>
    private async Task WritePidFileAsync()
    {
        if (Options.PidFile.Length == 0 && Options.Daemonize && Options.SupervisedBy == Supervision.No) Options.PidFile = UsualPidFile;
        if (Options.PidFile.Length == 0) return;
        Options.PidFile = Path.GetFullPath(Options.PidFile);
        try
        {
            await File.WriteAllTextAsync(Options.PidFile, Environment.ProcessId.ToString(CultureInfo.InvariantCulture) + "\n");
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
        {
            server.Store.Log.Warning($"Failed to write PID file: {failure.Message}");
        }
    }

    public async Task StartAsync(CancellationToken cancellationToken)
    {
        if (!_isOpen) await OpenAsync(cancellationToken);
        SiloLog.Started(
            logger, ServerVersion.Product, ServerVersion.Own, ServerVersion.Redis, Environment.ProcessId,
            Stopwatch.GetElapsedTime(Began).TotalSeconds);
        SiloLog.Ready(logger);
    }

    public Task StartedAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public async Task StoppingAsync(CancellationToken cancellationToken)
    {
        await listener.DisposeAsync();
        foreach (ClientConnection client in server.Clients.All) client.Close();
        // Clients that wait in a blocking command, or do not read their replies, are cut off.
        for (int i = 0; i < 20 && server.Clients.Count != 0; i++)
            await Task.Delay(TimeSpan.FromMilliseconds(10), CancellationToken.None);
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
