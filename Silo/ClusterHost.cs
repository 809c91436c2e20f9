using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using OrleansRedis.Engine;
using OrleansRedis.Gateway;
using OrleansRedis.Grains;
using OrleansRedis.Grains.Bus;
using OrleansRedis.Grains.Clustering;

namespace OrleansRedis.Silo;

/// <summary>
/// This silo's part in its cluster: the bus and the driver, which opens the slots that are this silo's and loads what its
/// files have of them. Nothing here waits for that: clients are told meanwhile.
/// </summary>
internal sealed class ClusterHost(
    ClusterDriver driver, ClusterSlots slots, SiloBus bus, SlotHost host, RedisServer server, ActiveExpiryHost expiry, NodeIdentity identity,
    ILogger<ClusterHost> logger) : IHostedService
{
    private int _hasFailed;

    /// <summary>Whether the process ends because the cluster goes on without it. Its exit code must then not be 0.</summary>
    public bool HasFailed => Volatile.Read(ref _hasFailed) != 0;

    private ServerFiles Files => server.Files;

    public Task StartAsync(CancellationToken cancellationToken)
    {
        server.Cluster = driver;
        // Long enough for the slots of a silo that dies to be taken over.
        _ = new RemoteRequests(server, bus, driver) { PatienceMs = 5L * server.Options.ClusterNodeTimeout };
        _ = new ForwardedRequests(server, bus, driver);
        driver.Excluded = reason => _ = Task.Run(() => EndProcessAsync(reason));
        server.Shutdown.BeforeEnd = isQuick => driver.LeaveAsync(isQuick ? TimeSpan.Zero : TimeSpan.FromSeconds(server.Options.ShutdownTimeout));
        server.Shutdown.CarriesOn = driver.ComeBack;
        slots.Loaded = () => expiry.StartAsync(CancellationToken.None);
        driver.Start();
        return Task.CompletedTask;
    }

    public async Task StopAsync(CancellationToken cancellationToken)
    {
        driver.Stop();
        slots.Stop();
        bus.Dispose();
        await expiry.StopAsync(cancellationToken);
        Files.Dump.Dispose();
        await Files.Dump.AbortAsync();
        await Files.Aof.CloseAsync();
        await host.CloseAllAsync(cancellationToken);
        identity.Dispose();
    }

    private async Task EndProcessAsync(string reason)
    {
        if (Interlocked.Exchange(ref _hasFailed, 1) != 0) return;
        SiloLog.CannotGoOn(logger, reason);
        // As on SIGTERM: first saves what has to be saved. It serves nothing any more, whether or not that works.
        if (!await server.Shutdown.RunAsync(server.Options.ShutdownOnSigterm | ShutdownModes.Force | ShutdownModes.Now)) server.StopRequested?.Invoke();
    }
}
