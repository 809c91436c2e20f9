using Microsoft.Extensions.Logging;
using Orleans.Configuration;

namespace Orleans.Runtime;

/// <summary>Takes this silo into the cluster and out again, and meanwhile says that it is alive, reads the table, and probes its neighbours.</summary>
internal sealed partial class MembershipAgent(SiloRuntime runtime, ILogger<MembershipAgent> logger) : IDisposable
{
    private readonly CancellationTokenSource _stopping = new();
    private readonly List<Task> _loops = [];

    private ClusterMembership Membership => runtime.Membership;

    private ClusterMembershipOptions Options => runtime.Membership.Options;

    public async Task Join(CancellationToken cancellation)
    {
        await Membership.Table.InitializeMembershipTable(true).WaitAsync(cancellation).ConfigureAwait(false);
        await Membership.UpdateStatus(SiloStatus.Joining).WaitAsync(cancellation).ConfigureAwait(false);
    }

    public async Task ValidateConnectivity(CancellationToken cancellation)
    {
        DateTimeOffset giveUp = runtime.Clock.GetUtcNow() + Options.MaxJoinAttemptTime;
        while (true)
        {
            SiloAddress[] unreachable = await FindUnreachable(cancellation).ConfigureAwait(false);
            if (unreachable.Length == 0) return;
            LogUnreachable(string.Join(", ", unreachable.AsEnumerable()));
            if (runtime.Clock.GetUtcNow() >= giveUp) throw new OrleansException($"Cannot join: no connection to {string.Join(", ", unreachable.AsEnumerable())}");
            await Task.Delay(TimeSpan.FromSeconds(1), runtime.Clock, cancellation).ConfigureAwait(false);
            await Membership.Refresh(default, cancellation).ConfigureAwait(false);
        }
    }

    public async Task BecomeActive(CancellationToken cancellation)
    {
        await Membership.UpdateStatus(SiloStatus.Active).WaitAsync(cancellation).ConfigureAwait(false);
        _loops.Add(Repeat(Options.IAmAliveTablePublishTimeout, Membership.SayAlive));
        _loops.Add(Repeat(Options.TableRefreshTimeout, () => Membership.Refresh().AsTask()));
        if (Options.DefunctSiloCleanupPeriod is { } period)
            _loops.Add(Repeat(period, () => Membership.Table.CleanupDefunctSiloEntries(runtime.Clock.GetUtcNow() - Options.DefunctSiloExpiration)));
        if (Options.LivenessEnabled) _loops.Add(new HealthMonitor(runtime, logger).Run(_stopping.Token));
    }

    /// <summary>Says that the silo is on its way out, so that nobody places grains here any more.</summary>
    public Task StartLeaving() => Membership.UpdateStatus(SiloStatus.ShuttingDown);

    public async Task Leave()
    {
        await _stopping.CancelAsync().ConfigureAwait(false);
        await Task.WhenAll(_loops).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        if (Membership.LocalStatus != SiloStatus.Dead) await Membership.UpdateStatus(SiloStatus.Dead).ConfigureAwait(false);
    }

    public void Dispose() => _stopping.Cancel();

    private async Task<SiloAddress[]> FindUnreachable(CancellationToken cancellation)
    {
        DateTime now = runtime.Clock.GetUtcNow().UtcDateTime;
        IEnumerable<SiloAddress> others = (Membership.TableData?.Members ?? [])
            .Where(row => row.Item1.Status == SiloStatus.Active && !row.Item1.SiloAddress.Equals(runtime.Silo) && !Membership.IsStale(row.Item1, now))
            .Select(row => row.Item1.SiloAddress);
        (SiloAddress Silo, bool Reached)[] answers = await Task.WhenAll(others.Select(async silo => (silo, await HealthMonitor.Probe(runtime, silo, Options.ProbeTimeout, cancellation).ConfigureAwait(false)))).ConfigureAwait(false);
        return [.. answers.Where(answer => !answer.Reached).Select(answer => answer.Silo)];
    }

    private async Task Repeat(TimeSpan period, Func<Task> work)
    {
        while (!_stopping.IsCancellationRequested)
        {
            try
            {
                await Task.Delay(period, runtime.Clock, _stopping.Token).ConfigureAwait(false);
                await work().ConfigureAwait(false);
            }
            catch (OperationCanceledException) when (_stopping.IsCancellationRequested)
            {
                return;
            }
            catch (Exception exception)
            {
                LogTableFailed(exception);
            }
        }
    }

    [LoggerMessage(1011, LogLevel.Warning, "Waiting to join: no connection to {Silos} yet")]
    private partial void LogUnreachable(string silos);

    [LoggerMessage(1012, LogLevel.Warning, "The membership table could not be used; trying again later")]
    private partial void LogTableFailed(Exception exception);
}
