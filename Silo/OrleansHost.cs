using System.Net.Sockets;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using OrleansRedis.Engine;
using OrleansRedis.Gateway;
using OrleansRedis.Grains;

namespace OrleansRedis.Silo;

/// <summary>
/// Orleans in this process: the silo, in a host of its own, started beside the rest. Redis clients do not wait for it, as their commands
/// reach the slots without it; Orleans clients do. Nor does its trouble end the process: a start that fails, for want of a port or of
/// processor time, is tried again; and a silo that cannot go on asks for an orderly end, which saves, instead of failing fast.
/// </summary>
internal sealed partial class OrleansHost(
    RedisServer server, SlotHost slots, CommandRunner runner, ILoggerFactory loggers, ILogger<OrleansHost> logger) : IHostedService, IDisposable
{
    /// <summary>How long to wait after a start that failed: the first time, and at most.</summary>
    private static readonly TimeSpan s_firstRetry = TimeSpan.FromMilliseconds(500), s_longestRetry = TimeSpan.FromSeconds(30);

    private readonly CancellationTokenSource _stopping = new();
    private Task _starting = Task.CompletedTask;
    private Attempt? _running; // written by the start, and by the end, which comes after it

    private ServerOptions Options => server.Options;

    /// <summary>Whether the process ends because its silo could not go on; it must not end with 0 then.</summary>
    public bool HasFailed { get; private set; }

    /// <summary>The silo's services, once it has started; null before, and after its end.</summary>
    internal IServiceProvider? Services => Volatile.Read(ref _running)?.Host?.Services;

    /// <inheritdoc/>
    public Task StartAsync(CancellationToken cancellationToken)
    {
        _starting = Task.Run(StartSiloAsync, CancellationToken.None);
        return Task.CompletedTask;
    }

    /// <summary>Ends the silo: grain calls are refused from now on, and those under way are answered.</summary>
    public async Task StopAsync(CancellationToken cancellationToken)
    {
        await _stopping.CancelAsync().ConfigureAwait(false);
        await _starting.ConfigureAwait(false);
        if (_running is { } silo) await EndAsync(silo, cancellationToken).ConfigureAwait(false);
        Volatile.Write(ref _running, null);
    }

    /// <inheritdoc/>
    public void Dispose() => _stopping.Dispose();

    private async Task StartSiloAsync()
    {
        TimeSpan retry = s_firstRetry;
        while (!_stopping.IsCancellationRequested)
        {
            using var giveUp = CancellationTokenSource.CreateLinkedTokenSource(_stopping.Token);
            var silo = new Attempt(this, giveUp);
            try
            {
                silo.Build(Options, slots, runner, loggers);
                await silo.Host!.StartAsync(giveUp.Token).ConfigureAwait(false);
                silo.Runs();
                Volatile.Write(ref _running, silo);
                LogListening(logger, silo.GatewayPort);
                return;
            }
            catch (Exception failure)
            {
                await EndAsync(silo, new(canceled: true)).ConfigureAwait(false);
                if (_stopping.IsCancellationRequested) return;
                LogStartFailed(logger, retry.TotalSeconds, silo.SiloPort, silo.GatewayPort, silo.Trouble ?? Reason(failure));
            }
            await Task.Delay(retry, _stopping.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            retry = retry * 2 < s_longestRetry ? retry * 2 : s_longestRetry;
        }
    }

    private async Task EndProcessAsync(string reason)
    {
        LogFatal(logger, reason);
        HasFailed = true;
        // As on SIGTERM: what is to be saved is saved first, and if that fails the process goes on, without its silo.
        if (!await server.Shutdown.RunAsync(Options.ShutdownOnSigterm).ConfigureAwait(false)) HasFailed = false;
    }

    /// <summary>Ends a silo, whatever state it is in; that it could not be ended in order is worth a line, and no more.</summary>
    private async Task EndAsync(Attempt silo, CancellationToken cancellation)
    {
        silo.Ends();
        if (silo.Host is not { } host) return;
        try
        {
            await host.StopAsync(cancellation).ConfigureAwait(false);
        }
        catch (Exception e)
        {
            // A silo that is not quite started refuses to be stopped (InvalidOperationException), for one.
            LogStopFailed(logger, Reason(e));
        }
        try
        {
            await ((IAsyncDisposable)host).DisposeAsync().ConfigureAwait(false);
        }
        catch (Exception e)
        {
            LogStopFailed(logger, Reason(e));
        }
    }

    private static string Reason(Exception failure)
    {
        Exception cause = failure.GetBaseException();
        return cause is SocketException ? cause.Message : $"{cause.GetType().Name}: {cause.Message}";
    }

    [LoggerMessage(LogLevel.Information, "Orleans clients find the grains at port {Port}")]
    private static partial void LogListening(ILogger logger, int port);

    [LoggerMessage(LogLevel.Warning, "The Orleans silo (silo port {SiloPort}, gateway port {GatewayPort}) could not start, and is tried again in {Seconds} seconds; Redis clients are served meanwhile. {Reason}")]
    private static partial void LogStartFailed(ILogger logger, double seconds, int siloPort, int gatewayPort, string reason);

    [LoggerMessage(LogLevel.Debug, "The Orleans silo could not be stopped in order. {Reason}")]
    private static partial void LogStopFailed(ILogger logger, string reason);

    [LoggerMessage(LogLevel.Critical, "The Orleans silo cannot go on: {Reason}. Shutting down.")]
    private static partial void LogFatal(ILogger logger, string reason);

    /// <summary>One silo, from its making to its end; and what hears of errors after which Orleans would end the process at once.</summary>
    private sealed class Attempt(OrleansHost owner, CancellationTokenSource giveUp) : IFatalErrorHandler, IHostLifetime
    {
        private readonly Lock _lock = new();
        private State _state;

        private enum State
        {
            Starting,
            Running,
            Ending,
        }

        public IHost? Host { get; private set; }

        public int SiloPort { get; private set; }

        public int GatewayPort { get; private set; }

        /// <summary>Why the start was given up, if it was for a fatal error.</summary>
        public string? Trouble { get; private set; }

        public void Build(ServerOptions options, SlotHost slots, CommandRunner runner, ILoggerFactory loggers)
        {
            HostApplicationBuilder builder = Microsoft.Extensions.Hosting.Host.CreateEmptyApplicationBuilder(new() { DisableDefaults = true });
            // What is given as an instance is not disposed of with this container.
            builder.Services.AddSingleton(loggers);
            builder.Services.AddSingleton(slots);
            builder.Services.AddSingleton(runner);
            builder.Services.AddSingleton<IFatalErrorHandler>(this);
            builder.Services.AddSingleton<IHostLifetime>(this);
            builder.UseOrleans(silo =>
            {
                silo.AddHashSlots();
                (SiloPort, GatewayPort) = silo.AddClustering(options);
            });
            Host = builder.Build();
        }

        public void Runs()
        {
            lock (_lock) _state = State.Running;
            // One that has come between the last step of the start and now.
            if (Trouble is not null) throw new InvalidOperationException(Trouble);
        }

        public void Ends()
        {
            lock (_lock) _state = State.Ending;
        }

        bool IFatalErrorHandler.IsUnexpected(Exception exception) => true;

        void IFatalErrorHandler.OnFatalException(object? sender, string? context, Exception? exception)
        {
            string reason = exception is null ? context ?? "" : $"{context}: {Reason(exception)}";
            lock (_lock)
            {
                // The loops of a silo that is being taken down fail in many ways.
                if (_state == State.Ending || Trouble is not null) return;
                Trouble = reason;
                // On other threads, since Orleans's own may be what they have to wait for.
                if (_state == State.Starting) _ = giveUp.CancelAsync();
                else _ = Task.Run(() => owner.EndProcessAsync(reason));
            }
        }

        // The process's signals are for the host around this one.
        Task IHostLifetime.WaitForStartAsync(CancellationToken cancellationToken) => Task.CompletedTask;

        Task IHostLifetime.StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;
    }
}
