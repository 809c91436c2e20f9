using System.Runtime.InteropServices;
using Microsoft.Extensions.Hosting;
using OrleansRedis.Gateway;

namespace OrleansRedis.Silo;

/// <summary>
/// Handles SIGTERM and SIGINT from before anything is started: the data is saved first, and only then does the host
/// stop.
/// </summary>
internal sealed class Signals(RedisServer server, IHostApplicationLifetime lifetime) : IHostLifetime, IDisposable
{
    private readonly List<PosixSignalRegistration> _registrations = [];

    public Task WaitForStartAsync(CancellationToken cancellationToken)
    {
        server.StopRequested = lifetime.StopApplication;
        _registrations.Add(PosixSignalRegistration.Create(PosixSignal.SIGINT, signal => Handle(signal, "SIGINT")));
        _registrations.Add(PosixSignalRegistration.Create(PosixSignal.SIGTERM, signal => Handle(signal, "SIGTERM")));
        return Task.CompletedTask;
    }

    public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public void Dispose()
    {
        foreach (PosixSignalRegistration registration in _registrations) registration.Dispose();
    }

    private void Handle(PosixSignalContext signal, string name)
    {
        signal.Cancel = true; // keeps the process from ending at once
        if (!server.Shutdown.OnSignal(name)) Environment.Exit(1);
    }
}
