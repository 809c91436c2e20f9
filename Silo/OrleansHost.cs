using System.Net.Sockets;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Orleans.Configuration;
using Orleans.Statistics;
using OrleansRedis.Cluster;
using OrleansRedis.Engine;
using OrleansRedis.Gateway;
using OrleansRedis.Grains;
using OrleansRedis.Grains.Clustering;

namespace OrleansRedis.Silo;

/// <summary>
/// Orleans in this process: the silo, in a host of its own, started alongside everything else. Redis clients do not
/// wait for it, since their commands reach the slots without it; Orleans clients do. Nor does trouble in the silo kill
/// the process. A start that fails, for lack of a port or of processor time, is retried. A silo that cannot go on asks
/// for an orderly shutdown, which saves, instead of failing fast.
/// </summary>
internal sealed partial class OrleansHost(
    RedisServer server, SlotHost slots, CommandRunner runner, ILoggerFactory loggers, ILogger<OrleansHost> logger, IClusterStore? cluster = null,
    ClusterDriver? driver = null)
    : IHostedService, IDisposable
{
    /// <summary>The pause after a start that failed: after the first failure, and at most.</summary>
    private static readonly TimeSpan s_firstRetry = TimeSpan.FromMilliseconds(500), s_longestRetry = TimeSpan.FromSeconds(30);

    private static readonly TimeSpan s_longestFarewell = TimeSpan.FromSeconds(3);

    private readonly CancellationTokenSource _stopping = new();
    private Task _starting = Task.CompletedTask;
    // Written by the start, and by the stop, which comes after it.
    private Attempt? _running;

    private ServerOptions Options => server.Options;

    /// <summary>Whether the process ends because its silo could not go on. Its exit code must then not be 0.</summary>
    public bool HasFailed { get; private set; }

    /// <summary>The silo's services while it runs; null before its start and after its end.</summary>
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
        if (_running is { } silo)
        {
            Task ending = EndAsync(silo, cancellationToken);
            // To leave in order takes the cluster's store, which is not there any more if the other silos are ending as well;
            // and Orleans tries for longer than it is told to. It ends with the process then.
            if (driver is not null) await Task.WhenAny(ending, Task.Delay(s_longestFarewell, CancellationToken.None)).ConfigureAwait(false);
            else await ending.ConfigureAwait(false);
        }
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
                silo.Build(Options, slots, runner, cluster, driver, new SiloLogs(loggers, _stopping.Token));
                await silo.Host!.StartAsync(giveUp.Token).ConfigureAwait(false);
                silo.Runs();
                Volatile.Write(ref _running, silo);
                if (Options.OrleansGatewayPort != 0) LogListening(logger, Options.OrleansGatewayPort);
                else LogRuns(logger);
                if (cluster is not null) BelongToCluster(silo.Host.Services);
                return;
            }
            catch (Exception failure)
            {
                await EndAsync(silo, new(canceled: true)).ConfigureAwait(false);
                if (_stopping.IsCancellationRequested) return;
                LogStartFailed(logger, retry.TotalSeconds, silo.Trouble ?? Reason(failure));
            }
            await Task.Delay(retry, _stopping.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            retry = retry * 2 < s_longestRetry ? retry * 2 : s_longestRetry;
        }
    }

    /// <summary>Tells the other silos where this one's grains are, and Orleans which silos are gone.</summary>
    private void BelongToCluster(IServiceProvider services)
    {
        var membership = services.GetRequiredService<IClusterMembershipService>();
        _ = TellOfMembersAsync(membership);
        if (driver is null) return;
        string address = services.GetRequiredService<ILocalSiloDetails>().SiloAddress.ToParsableString();
        driver.Describe(self => SiloEndpoints.Parse(self.Endpoint) is { } endpoints
            ? self with { Endpoint = (endpoints with { Orleans = address }).ToString() }
            : self);
        driver.Departed += member => _ = DeclareDeadAsync(membership, member);
    }

    /// <summary>The bus notices sooner than Orleans does when a silo is gone.</summary>
    private async Task DeclareDeadAsync(IClusterMembershipService membership, Member member)
    {
        if (ClusterSlotMap.AddressOf(member) is not { } address) return;
        try
        {
            await membership.TryKill(address).ConfigureAwait(false);
        }
        catch (Exception e)
        {
            LogNotDeclared(logger, address.ToParsableString(), Reason(e));
        }
    }

    /// <summary>A line in the log for each change of the membership.</summary>
    private async Task TellOfMembersAsync(IClusterMembershipService membership)
    {
        ClusterMembershipSnapshot? last = null;
        await foreach (ClusterMembershipSnapshot now in membership.MembershipUpdates.WithCancellation(_stopping.Token).ConfigureAwait(false))
        {
            int active = now.Members.Values.Count(silo => silo.Status == SiloStatus.Active);
            foreach (ClusterMember silo in now.Members.Values)
            {
                SiloStatus before = last?.GetSiloStatus(silo.SiloAddress) ?? SiloStatus.None;
                bool isNews = before != silo.Status && (silo.Status != SiloStatus.Dead || before != SiloStatus.None);
                if (isNews) LogMember(logger, silo.SiloAddress.ToParsableString(), silo.Status, active);
            }
            last = now;
        }
    }

    private async Task EndProcessAsync(string reason)
    {
        LogFatal(logger, reason);
        HasFailed = true;
        // As on SIGTERM: first saves what has to be saved. If that fails, the process carries on without its silo.
        if (!await server.Shutdown.RunAsync(Options.ShutdownOnSigterm).ConfigureAwait(false)) HasFailed = false;
    }

    /// <summary>
    /// Ends a silo, whatever state it is in. If it cannot be ended in order, that is logged, and nothing more.
    /// </summary>
    private async Task EndAsync(Attempt silo, CancellationToken cancellation)
    {
        silo.Ends();
        if (silo.Host is { } host) await EndAsync(host, cancellation).ConfigureAwait(false);
        await silo.ReleaseAsync().ConfigureAwait(false);
    }

    private async Task EndAsync(IHost host, CancellationToken cancellation)
    {
        try
        {
            await host.StopAsync(cancellation).ConfigureAwait(false);
        }
        catch (Exception e)
        {
            // For example, a silo that has not quite started refuses to be stopped (InvalidOperationException).
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

    [LoggerMessage(LogLevel.Information, "The Orleans silo runs. Nothing listens for Orleans clients (orleans-gateway-port 0)")]
    private static partial void LogRuns(ILogger logger);

    [LoggerMessage(LogLevel.Information, "Silo {Silo} is {Status}; of the cluster's silos {Active} are active")]
    private static partial void LogMember(ILogger logger, string silo, SiloStatus status, int active);

    [LoggerMessage(LogLevel.Warning, "The Orleans silo could not start, and is tried again in {Seconds} seconds; Redis clients are served meanwhile. "
        + "{Reason}")]
    private static partial void LogStartFailed(ILogger logger, double seconds, string reason);

    [LoggerMessage(LogLevel.Information, "Orleans could not be told that silo {Silo} is gone, and will find out by itself. {Reason}")]
    private static partial void LogNotDeclared(ILogger logger, string silo, string reason);

    [LoggerMessage(LogLevel.Debug, "The Orleans silo could not be stopped in order. {Reason}")]
    private static partial void LogStopFailed(ILogger logger, string reason);

    [LoggerMessage(LogLevel.Critical, "The Orleans silo cannot go on: {Reason}. Shutting down.")]
    private static partial void LogFatal(ILogger logger, string reason);

    /// <summary>
    /// One silo, from its construction to its end. Also receives the errors on which Orleans would otherwise end the
    /// process at once.
    /// </summary>
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

        private OrleansPorts? _ports;

        /// <summary>Why the start was given up, if a fatal error was the reason.</summary>
        public string? Trouble { get; private set; }

        public void Build(
            ServerOptions options, SlotHost slots, CommandRunner runner, IClusterStore? cluster, IClusterState? state, ILoggerFactory loggers)
        {
            HostApplicationBuilder builder =
                Microsoft.Extensions.Hosting.Host.CreateEmptyApplicationBuilder(new() { DisableDefaults = true });
            // The container does not dispose of what it is given as an instance.
            builder.Services.AddSingleton(loggers);
            builder.Services.AddSingleton(options);
            builder.Services.AddSingleton(slots);
            builder.Services.AddSingleton(runner);
            builder.Services.AddSingleton<IFatalErrorHandler>(this);
            builder.Services.AddSingleton<IHostLifetime>(this);
            if (state is not null) builder.Services.AddSingleton<ISlotMap>(new ClusterSlotMap(state));
            builder.UseOrleans(silo =>
            {
                silo.AddHashSlots();
                silo.AddClustering(options, cluster);
                _ports = new(options, runner.Store.Acl, loggers);
                _ports.AddTo(silo);
                // Room for every slot's grain, not for a million grains: that was 9 MB.
                silo.Configure<GrainDirectoryOptions>(directory => directory.CacheSize = 2 * KeySlot.Count);
                // Orleans's own grains (its management, its storage in memory) are for nobody here.
                silo.Services.PostConfigure<GrainTypeOptions>(types => types.Classes.RemoveWhere(type => type.Assembly != typeof(SlotHost).Assembly));
                silo.Services.Replace(ServiceDescriptor.Singleton<IEnvironmentStatisticsProvider, UnmeasuredEnvironment>());
            });
            Host = builder.Build();
            if (cluster is not null) _ports!.Membership = Host.Services.GetRequiredService<IClusterMembershipService>();
        }

        /// <summary>Lets others have the ports.</summary>
        public ValueTask ReleaseAsync() => _ports?.CloseAsync() ?? default;

        public void Runs()
        {
            lock (_lock) _state = State.Running;
            // A fatal error may have come between the last step of the start and now.
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
                // On other threads, since what follows may have to wait for Orleans's own.
                if (_state == State.Starting) _ = giveUp.CancelAsync();
                else _ = Task.Run(() => owner.EndProcessAsync(reason));
            }
        }

        // Signals to the process are handled by the host around this one.
        Task IHostLifetime.WaitForStartAsync(CancellationToken cancellationToken) => Task.CompletedTask;

        Task IHostLifetime.StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;
    }
}
