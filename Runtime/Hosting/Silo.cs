using System.Diagnostics;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using Orleans.Configuration;
using Orleans.Runtime.Messaging;

namespace Orleans.Runtime;

/// <summary>A silo's life: start, stop, and the stages between.</summary>
public sealed partial class Silo : IAsyncDisposable
{
    private static readonly TimeSpan Farewell = TimeSpan.FromSeconds(2);
    private static readonly TimeSpan LastWords = TimeSpan.FromMilliseconds(100);
    private readonly SiloRuntime _runtime;
    private readonly SiloLifecycleSubject _lifecycle;
    private readonly MembershipAgent _agent;
    private readonly Listener _silos;
    private readonly Listener _clients;
    private readonly EndpointOptions _endpoints;
    private readonly ILogger _logger;
    private int _stopped;

    internal Silo(SiloRuntime runtime, SiloLifecycleSubject lifecycle, IOptions<EndpointOptions> endpoints, ILoggerFactory loggers)
    {
        _runtime = runtime;
        _lifecycle = lifecycle;
        _endpoints = endpoints.Value;
        _logger = loggers.CreateLogger<Silo>();
        _agent = new MembershipAgent(runtime, loggers.CreateLogger<MembershipAgent>());
        _silos = new Listener(runtime, forClients: false, _logger);
        _clients = new Listener(runtime, forClients: true, _logger);
        foreach (ILifecycleParticipant<ISiloLifecycle> participant in runtime.Services.GetServices<ILifecycleParticipant<ISiloLifecycle>>()) participant.Participate(lifecycle);
        Participate();
    }

    /// <summary>The silo.</summary>
    public SiloAddress SiloAddress => _runtime.Silo;

    /// <summary>Completes when the silo has stopped, or has been declared dead.</summary>
    public Task SiloTerminated => _runtime.Died.Task;

    internal SiloRuntime Runtime => _runtime;

    /// <summary>Starts the silo, stage by stage, and joins the cluster.</summary>
    public async Task StartAsync(CancellationToken cancellationToken)
    {
        long start = Stopwatch.GetTimestamp();
        await _lifecycle.OnStart(cancellationToken).ConfigureAwait(false);
        LogStarted(SiloAddress, Stopwatch.GetElapsedTime(start).TotalMilliseconds);
    }

    /// <summary>Leaves the cluster: grains are deactivated, others hear of it, connections are closed. When <paramref name="cancellationToken"/> is cancelled, less orderly.</summary>
    public async Task StopAsync(CancellationToken cancellationToken)
    {
        if (Interlocked.Exchange(ref _stopped, 1) != 0) return;
        await _lifecycle.OnStop(cancellationToken).ConfigureAwait(false);
        await DisposeAsync().ConfigureAwait(false);
        LogStopped(SiloAddress);
    }

    /// <summary>Stops at once.</summary>
    public async ValueTask DisposeAsync()
    {
        _runtime.Kill();
        await _silos.DisposeAsync().ConfigureAwait(false);
        await _clients.DisposeAsync().ConfigureAwait(false);
        _agent.Dispose();
    }

    /// <inheritdoc/>
    public override string ToString() => SiloAddress.ToString();

    private void Participate()
    {
        _lifecycle.Subscribe<Silo>(ServiceLifecycleStage.RuntimeInitialize, StartListening, _ => Leave());
        _lifecycle.Subscribe<Silo>(ServiceLifecycleStage.RuntimeGrainServices, _agent.Join, null);
        _lifecycle.Subscribe<Silo>(ServiceLifecycleStage.ValidateInitialConnectivity, _agent.ValidateConnectivity, null);
        _lifecycle.Subscribe<Silo>(ServiceLifecycleStage.GrainDeactivation, _ => Task.CompletedTask, DeactivateGrains);
        _lifecycle.Subscribe<Silo>(ServiceLifecycleStage.BecomeActive, BecomeActive, _ => _runtime.IsDead ? Task.CompletedTask : _agent.StartLeaving());
    }

    private async Task StartListening(CancellationToken cancellation)
    {
        _ = _runtime.Died.Task.ContinueWith(
            _ =>
            {
                _agent.Dispose();
                _silos.Abort();
                _clients.Abort();
            },
            CancellationToken.None,
            TaskContinuationOptions.ExecuteSynchronously,
            TaskScheduler.Default);
        await _silos.Start(_endpoints.SiloListeningEndpoint ?? SiloAddress.Endpoint, cancellation).ConfigureAwait(false);
    }

    private async Task BecomeActive(CancellationToken cancellation)
    {
        _ = _runtime.Catalog;
        await _agent.BecomeActive(cancellation).ConfigureAwait(false);
        if (_endpoints.GatewayPort != 0 && _runtime.Details.GatewayAddress is { } gateway)
            await _clients.Start(_endpoints.GatewayListeningEndpoint ?? gateway.Endpoint, cancellation).ConfigureAwait(false);
    }

    private async Task DeactivateGrains(CancellationToken cancellation)
    {
        if (_runtime.IsDead) return;
        await _runtime.Catalog.DeactivateAll(cancellation).ConfigureAwait(false);
        await _runtime.SayEmpty(Farewell).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
    }

    private async Task Leave()
    {
        if (_runtime.IsDead) return;
        await _agent.Leave().ConfigureAwait(false);
        // Others that have not heard yet get their rejections until they have.
        await Task.Delay(LastWords, _runtime.Clock).ConfigureAwait(false);
        await _runtime.DrainLinks(Farewell).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
    }

    [LoggerMessage(1501, LogLevel.Information, "Silo {Silo} started in {DurationMs:0} ms")]
    private partial void LogStarted(SiloAddress silo, double durationMs);

    [LoggerMessage(1502, LogLevel.Information, "Silo {Silo} stopped")]
    private partial void LogStopped(SiloAddress silo);
}

/// <summary>Runs the silo as a service of its host.</summary>
internal sealed class SiloHostedService(Silo silo) : IHostedService
{
    public Task StartAsync(CancellationToken cancellationToken) => silo.StartAsync(cancellationToken);

    public Task StopAsync(CancellationToken cancellationToken) => silo.StopAsync(cancellationToken);
}

/// <summary>Stops the host: a silo declared dead must not go on as if it were part of the cluster.</summary>
internal sealed class StopHostOnFatalError(IHostApplicationLifetime? lifetime) : IFatalErrorHandler
{
    public bool IsUnexpected(Exception exception) => exception is not (OperationCanceledException or OrleansException);

    public void OnFatalException(object? sender = null, string? context = null, Exception? exception = null)
    {
        Environment.ExitCode = 1;
        lifetime?.StopApplication();
    }
}
