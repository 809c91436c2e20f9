using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using OrleansRedis.Engine;

namespace OrleansRedis.Silo;

/// <summary>Runs active expiry while the silo has slots.</summary>
internal sealed class ActiveExpiryHost(Store store, ILogger<ActiveExpiryHost> logger) : IHostedService
{
    public Task StartAsync(CancellationToken cancellationToken)
    {
        store.ActiveExpiry.OnFailure = error => SiloLog.ActiveExpiryFailed(logger, error);
        store.ActiveExpiry.Start();
        return Task.CompletedTask;
    }

    public Task StopAsync(CancellationToken cancellationToken) => store.ActiveExpiry.DisposeAsync().AsTask();
}
