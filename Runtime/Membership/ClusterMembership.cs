using System.Collections.Immutable;
using System.Runtime.CompilerServices;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using Orleans.Configuration;

namespace Orleans.Runtime;

/// <summary>This silo's view of the membership table, and its writes to it. Any thread: <see cref="CurrentSnapshot"/> is replaced as a whole, and only by a later
/// version; changes are told to the rest of the silo one after the other, under <see cref="_applying"/>.</summary>
internal sealed partial class ClusterMembership : IClusterMembershipService, ISiloStatusOracle
{
    private const int MaxWriteAttempts = 30;
    private readonly SiloRuntime _runtime;
    private readonly ClusterMembershipOptions _options;
    private readonly ILogger _logger;
    private readonly Lazy<IMembershipTable> _table;
    private readonly Lock _applying = new();
    private readonly SemaphoreSlim _writing = new(1); // one write at a time, else this silo would fight itself over the version
    private readonly HashSet<ISiloStatusListener> _listeners = []; // under its own lock
    private readonly DateTime _startTime;
    private volatile Update _latest;
    private volatile MembershipTableData? _tableData;
    private volatile SiloStatus _localStatus = SiloStatus.Created;

    public ClusterMembership(SiloRuntime runtime)
    {
        _runtime = runtime;
        _options = runtime.Services.GetRequiredService<IOptions<ClusterMembershipOptions>>().Value;
        _logger = runtime.Services.GetRequiredService<ILogger<ClusterMembership>>();
        _table = new(() => runtime.Services.GetRequiredService<IMembershipTable>());
        _startTime = runtime.Clock.GetUtcNow().UtcDateTime;
        var self = new ClusterMember(runtime.Silo, SiloStatus.Created, runtime.Details.Name);
        _latest = new Update(new ClusterMembershipSnapshot(ImmutableDictionary<SiloAddress, ClusterMember>.Empty.Add(runtime.Silo, self), MembershipVersion.MinValue));
    }

    /// <summary>Called with the view before and after each change, one at a time.</summary>
    public event Action<ClusterMembershipSnapshot, ClusterMembershipSnapshot>? Changed;

    public ClusterMembershipOptions Options => _options;

    public IMembershipTable Table => _table.Value;

    public MembershipTableData? TableData => _tableData;

    public ClusterMembershipSnapshot CurrentSnapshot => _latest.Snapshot;

    public SiloStatus LocalStatus => _localStatus;

    public IAsyncEnumerable<ClusterMembershipSnapshot> MembershipUpdates => ReadUpdates();

    public SiloStatus CurrentStatus => _localStatus;

    public string SiloName => _runtime.Details.Name;

    public SiloAddress SiloAddress => _runtime.Silo;

    public async ValueTask Refresh(MembershipVersion minimumVersion = default, CancellationToken cancellationToken = default)
    {
        bool once = minimumVersion == default;
        while (once || CurrentSnapshot.Version < minimumVersion)
        {
            cancellationToken.ThrowIfCancellationRequested();
            Apply(await Table.ReadAll().WaitAsync(cancellationToken).ConfigureAwait(false));
            if (once || CurrentSnapshot.Version >= minimumVersion) return;
            await Task.Delay(TimeSpan.FromMilliseconds(20), _runtime.Clock, cancellationToken).ConfigureAwait(false);
        }
    }

    public async Task<bool> TryKill(SiloAddress siloAddress) =>
        await Write(siloAddress, static (entry, _, _) =>
        {
            if (entry.Status == SiloStatus.Dead) return false;
            entry.Status = SiloStatus.Dead;
            return true;
        }).ConfigureAwait(false);

    /// <summary>Votes for declaring <paramref name="silo"/> dead, and declares it dead when there are votes enough.</summary>
    public async Task<bool> Suspect(SiloAddress silo, SiloAddress? witness)
    {
        LogSuspect(silo, witness);
        return await Write(silo, (entry, table, now) =>
        {
            if (entry.Status == SiloStatus.Dead) return false;
            entry.AddOrUpdateSuspector(_runtime.Silo, now, _options.NumVotesForDeathDeclaration);
            if (witness is not null) entry.AddOrUpdateSuspector(witness, now, _options.NumVotesForDeathDeclaration);
            int active = table.Members.Count(row => row.Item1.Status == SiloStatus.Active && !IsStale(row.Item1, now));
            // In a cluster of two, the other's vote is the only one there can be.
            int needed = Math.Max(1, Math.Min(_options.NumVotesForDeathDeclaration, (active + 1) / 2));
            if (entry.CountFreshVotes(now, _options.DeathVoteExpirationTimeout) >= needed)
            {
                LogDeclareDead(silo);
                entry.Status = SiloStatus.Dead;
            }

            return true;
        }).ConfigureAwait(false);
    }

    /// <summary>Whether a silo has not said that it is alive for so long that it probably is not.</summary>
    public bool IsStale(MembershipEntry entry, DateTime now) =>
        now - entry.EffectiveIAmAliveTime > _options.IAmAliveTablePublishTimeout * _options.NumMissedTableIAmAliveLimit;

    /// <summary>Writes this silo's status; the first time, its row, and the deaths of earlier lives at its endpoint.</summary>
    public async Task UpdateStatus(SiloStatus status)
    {
        if (_localStatus == SiloStatus.Dead) throw new OrleansException($"{_runtime.Silo} has been declared dead");
        if (status == SiloStatus.Joining)
        {
            await Refresh().ConfigureAwait(false);
            foreach (ClusterMember member in CurrentSnapshot.Members.Values)
            {
                if (member.SiloAddress.IsPredecessorOf(_runtime.Silo) && member.Status != SiloStatus.Dead) await TryKill(member.SiloAddress).ConfigureAwait(false);
            }
        }

        if (!await Write(_runtime.Silo, (entry, _, now) =>
        {
            if (entry.Status == SiloStatus.Dead) return false;
            entry.Status = status;
            entry.IAmAliveTime = now;
            return true;
        }).ConfigureAwait(false)) throw new OrleansException($"{_runtime.Silo} could not write its status {status} to the membership table");
        _localStatus = status;
    }

    public Task SayAlive() => Table.UpdateIAmAlive(NewEntry(_runtime.Clock.GetUtcNow().UtcDateTime));

    /// <summary>The silo is dead for itself, whatever the table says.</summary>
    public void Die() => _localStatus = SiloStatus.Dead;

    public SiloAddress[] GetActiveSilos() => [.. CurrentSnapshot.Members.Values.Where(member => member.Status == SiloStatus.Active).Select(member => member.SiloAddress)];

    public SiloStatus GetApproximateSiloStatus(SiloAddress siloAddress) => siloAddress.Equals(_runtime.Silo) ? _localStatus : CurrentSnapshot.GetSiloStatus(siloAddress);

    public Dictionary<SiloAddress, SiloStatus> GetApproximateSiloStatuses(bool onlyActive = false) =>
        CurrentSnapshot.Members.Values.Where(member => !onlyActive || member.Status == SiloStatus.Active).ToDictionary(member => member.SiloAddress, member => member.Status);

    public bool TryGetSiloName(SiloAddress siloAddress, out string? siloName)
    {
        bool found = CurrentSnapshot.Members.TryGetValue(siloAddress, out ClusterMember? member);
        siloName = member?.Name;
        return found;
    }

    public bool IsFunctionalDirectory(SiloAddress siloAddress) => !GetApproximateSiloStatus(siloAddress).IsTerminating();

    // Generation 0 is whichever life there is, of the primary of a development cluster.
    public bool IsDeadSilo(SiloAddress silo) => silo.Generation != 0 && !silo.Equals(_runtime.Silo) && CurrentSnapshot.GetSiloStatus(silo) == SiloStatus.Dead;

    public bool SubscribeToSiloStatusEvents(ISiloStatusListener observer)
    {
        lock (_listeners) return _listeners.Add(observer);
    }

    public bool UnSubscribeFromSiloStatusEvents(ISiloStatusListener observer)
    {
        lock (_listeners) return _listeners.Remove(observer);
    }

    /// <summary>Changes a row by compare-and-swap until it is written; false when <paramref name="change"/> declines, or the row is not there.</summary>
    private async Task<bool> Write(SiloAddress silo, Func<MembershipEntry, MembershipTableData, DateTime, bool> change)
    {
        await _writing.WaitAsync().ConfigureAwait(false);
        try
        {
            for (int attempt = 1; attempt <= MaxWriteAttempts; attempt++)
            {
                MembershipTableData table = await Table.ReadAll().ConfigureAwait(false);
                Apply(table);
                DateTime now = _runtime.Clock.GetUtcNow().UtcDateTime;
                Tuple<MembershipEntry, string>? row = table.TryGet(silo);
                if (row is null && !silo.Equals(_runtime.Silo)) return false;
                MembershipEntry entry = row?.Item1.Copy() ?? NewEntry(now);
                if (!change(entry, table, now)) return false;
                bool written = row is null
                    ? await Table.InsertRow(entry, table.Version.Next()).ConfigureAwait(false)
                    : await Table.UpdateRow(entry, row.Item2, table.Version.Next()).ConfigureAwait(false);
                if (written)
                {
                    if (silo.Equals(_runtime.Silo)) _localStatus = entry.Status;
                    Apply(await Table.ReadAll().ConfigureAwait(false));
                    Gossip();
                    return true;
                }

                // Someone else wrote; the larger the cluster, the more there are.
                await Task.Delay(TimeSpan.FromMilliseconds(Random.Shared.Next(5, 10 + (10 * attempt))), _runtime.Clock).ConfigureAwait(false);
            }

            return false;
        }
        finally
        {
            _writing.Release();
        }
    }

    private void Gossip()
    {
        if (!_options.UseLivenessGossip) return;
        ClusterMembershipSnapshot snapshot = CurrentSnapshot;
        foreach (ClusterMember member in snapshot.Members.Values)
        {
            if (member.SiloAddress.Equals(_runtime.Silo) || member.Status is not (SiloStatus.Active or SiloStatus.Joining or SiloStatus.ShuttingDown or SiloStatus.Stopping)) continue;
            _ = _runtime.SystemTarget<ISiloControl>(member.SiloAddress).MembershipChanged(snapshot.Version);
        }
    }

    private MembershipEntry NewEntry(DateTime now) => new()
    {
        SiloAddress = _runtime.Silo,
        SiloName = _runtime.Details.Name,
        HostName = _runtime.Details.DnsHostName,
        ProxyPort = _runtime.Details.GatewayAddress?.Endpoint.Port ?? 0,
        Status = _localStatus,
        StartTime = _startTime,
        IAmAliveTime = now,
    };

    private void Apply(MembershipTableData table)
    {
        bool died;
        lock (_applying)
        {
            ClusterMembershipSnapshot before = CurrentSnapshot;
            var version = new MembershipVersion(table.Version.Version);
            if (version < before.Version) return;
            _tableData = table;
            if (version == before.Version) return;
            var after = new ClusterMembershipSnapshot(
                table.Members.ToImmutableDictionary(row => row.Item1.SiloAddress, row => new ClusterMember(row.Item1.SiloAddress, row.Item1.Status, row.Item1.SiloName)), version);
            died = IsOver(before, after) && _localStatus != SiloStatus.Dead;
            if (died) _localStatus = SiloStatus.Dead;
            LogChanged(after);
            Update next = new(after);
            Update previous = _latest;
            _latest = next;
            Changed?.Invoke(before, after);
            Tell(after.CreateUpdate(before));
            previous.Next.SetResult(next);
        }

        if (died) _runtime.DeclaredDead();
    }

    /// <summary>Whether the table has declared this silo dead, or forgotten it.</summary>
    private bool IsOver(ClusterMembershipSnapshot before, ClusterMembershipSnapshot after)
    {
        SiloStatus status = after.GetSiloStatus(_runtime.Silo);
        return status == SiloStatus.Dead || (status == SiloStatus.None && before.Version != MembershipVersion.MinValue && before.GetSiloStatus(_runtime.Silo) == SiloStatus.Active);
    }

    private void Tell(ClusterMembershipUpdate update)
    {
        ISiloStatusListener[] listeners;
        lock (_listeners) listeners = [.. _listeners];
        foreach (ClusterMember change in update.Changes)
        {
            foreach (ISiloStatusListener listener in listeners)
            {
                try
                {
                    listener.SiloStatusChangeNotification(change.SiloAddress, change.Status);
                }
                catch (Exception exception)
                {
                    LogListenerFailed(exception, change.SiloAddress);
                }
            }
        }
    }

    private async IAsyncEnumerable<ClusterMembershipSnapshot> ReadUpdates([EnumeratorCancellation] CancellationToken cancellation = default)
    {
        Update update = _latest;
        while (true)
        {
            yield return update.Snapshot;
            await update.Next.Task.WaitAsync(cancellation).ConfigureAwait(false);
            update = _latest;
        }
    }

    [LoggerMessage(1001, LogLevel.Information, "Cluster membership is now {Snapshot}")]
    private partial void LogChanged(ClusterMembershipSnapshot snapshot);

    [LoggerMessage(1002, LogLevel.Warning, "Suspecting silo {Silo}, with witness {Witness}")]
    private partial void LogSuspect(SiloAddress silo, SiloAddress? witness);

    [LoggerMessage(1003, LogLevel.Warning, "Declaring silo {Silo} dead")]
    private partial void LogDeclareDead(SiloAddress silo);

    [LoggerMessage(1004, LogLevel.Error, "A listener failed on the change of silo {Silo}")]
    private partial void LogListenerFailed(Exception exception, SiloAddress silo);

    /// <summary>A snapshot, and the promise of a later one.</summary>
    private sealed class Update(ClusterMembershipSnapshot snapshot)
    {
        public ClusterMembershipSnapshot Snapshot { get; } = snapshot;

        public TaskCompletionSource<Update> Next { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);
    }
}
