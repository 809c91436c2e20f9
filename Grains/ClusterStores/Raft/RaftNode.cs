using System.Diagnostics;
using System.Net;
using DotNext.Net.Cluster;
using DotNext.Net.Cluster.Consensus.Raft;
using DotNext.Net.Cluster.Consensus.Raft.StateMachine;
using Microsoft.Extensions.Logging;

namespace OrleansRedis.Grains.ClusterStores.Raft;

/// <summary>
/// One run of Raft on this machine: DotNext's cluster with our log, our state and our port. When DotNext gives up (its
/// log could not be written, say), this is thrown away and another one begins with what is on disk.
/// </summary>
internal sealed class RaftNode : IAsyncDisposable
{
    private readonly RaftCluster _cluster;
    private readonly RaftLog _log;

    private RaftNode(RaftCluster cluster, RaftLog log, RaftStateMachine machine)
    {
        _cluster = cluster;
        _log = log;
        Machine = machine;
    }

    public RaftStateMachine Machine { get; }

    /// <summary>Who votes, as far as this machine knows.</summary>
    public IReadOnlyList<IPEndPoint> Members => [.. _cluster.Members.Select(member => (IPEndPoint)member.EndPoint)];

    /// <summary>Whom this machine takes for the leader.</summary>
    public IPEndPoint? Leader => _cluster.Leader?.EndPoint as IPEndPoint;

    /// <summary>Whether there is anything in the log.</summary>
    public bool HasLog => _log.LastEntryIndex > 0;

    /// <summary>Why this run is over; null while it is not.</summary>
    public string? Failure
    {
        get
        {
            try
            {
                _ = _cluster.ConsensusToken;
                ValueTask applied = _log.WaitForApplyAsync(0);
                if (applied.IsFaulted) applied.GetAwaiter().GetResult();
                return null;
            }
            catch (Exception e) when (e is not OperationCanceledException)
            {
                return e.GetBaseException().Message;
            }
        }
    }

    /// <summary>Begins with what is in a directory, which <see cref="RaftMembers.Create"/> has prepared.</summary>
    public static async Task<RaftNode> StartAsync(
        RaftSettings settings, RaftPort port, Action<RaftStateMachine> prepare, ILoggerFactory loggers, CancellationToken cancellation)
    {
        string directory = settings.Directory;
        int electionMs = (int)settings.Times.Election.TotalMilliseconds;
        var machine = new RaftStateMachine(directory, loggers.CreateLogger<RaftStateMachine>());
        prepare(machine);
        var log = new RaftLog(
            new WriteAheadLog.Options
            {
                Location = Path.Combine(directory, "log"),
                ChunkSize = 1024 * 1024,
                HashAlgorithm = WriteAheadLog.IntegrityHashAlgorithm.Crc64,
            },
            machine);
        try
        {
            var cluster = new RaftCluster(new RaftCluster.CustomTransportConfiguration(settings.Self, port, port)
            {
                ConfigurationStorage = new RaftMembers(Path.Combine(directory, "members")),
                LowerElectionTimeout = electionMs,
                UpperElectionTimeout = electionMs * 2,
                ColdStart = false,
                LoggerFactory = new Chatter(loggers),
            })
            {
                AuditTrail = log,
            };
            try
            {
                await cluster.StartAsync(cancellation).ConfigureAwait(false);
                return new(cluster, log, machine);
            }
            catch
            {
                await cluster.DisposeAsync().ConfigureAwait(false);
                throw;
            }
        }
        catch
        {
            await log.DisposeAsync().ConfigureAwait(false);
            throw;
        }
    }

    /// <summary>Whether this machine leads, and has brought what it found into its log to an end.</summary>
    public bool TryGetLeadership(out CancellationToken leadership)
    {
        leadership = new(canceled: true);
        try
        {
            leadership = _cluster.LeadershipToken;
        }
        catch (UnreachableException)
        {
            // DotNext has given up.
        }
        return !leadership.IsCancellationRequested;
    }

    /// <summary>
    /// Waits until a majority has confirmed that this machine leads, and what was committed before is applied. Whoever
    /// looks at the documents then, and finds the leadership still there, sees them as they are now.
    /// </summary>
    public async Task ConfirmAsync(CancellationToken leadership, CancellationToken cancellation)
    {
        using var either = CancellationTokenSource.CreateLinkedTokenSource(leadership, cancellation);
        await _cluster.ApplyReadBarrierAsync(ReadBarrierType.Strong, either.Token).ConfigureAwait(false);
        leadership.ThrowIfCancellationRequested();
    }

    /// <summary>Puts a command into the log and waits until it is applied here.</summary>
    /// <exception cref="OperationCanceledException">That may or may not happen.</exception>
    /// <exception cref="NotLeaderException">That may or may not happen.</exception>
    public async Task ReplicateAsync(RaftCommand command, CancellationToken leadership, CancellationToken cancellation)
    {
        // The term has to be that of the leadership. DotNext's Term may be the next one already: a leader that learns of
        // a higher term remembers it (and waits for the disk) before it steps down. The last entry of a leader's log is
        // its own; only one who is alone has not written one at once.
        long term = _cluster.Members.Count == 1 ? ((IPersistentState)_log).Term : await LastTermAsync(leadership).ConfigureAwait(false);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(leadership, cancellation);
        await _cluster.ReplicateAsync(new BinaryLogEntry { Content = command.Encode(), Term = term }, either.Token).ConfigureAwait(false);
    }

    /// <summary>Makes a machine a member, once it has caught up. For the leader.</summary>
    public Task<bool> AddAsync(IPEndPoint member, CancellationToken cancellation) => _cluster.AddMemberAsync(member, cancellation);

    /// <summary>Makes a machine no member any more. For the leader.</summary>
    public Task<bool> RemoveAsync(IPEndPoint member, CancellationToken cancellation) => _cluster.RemoveMemberAsync(member, cancellation);

    /// <summary>Gives the leadership up, if this machine has it.</summary>
    public async Task ResignAsync(CancellationToken cancellation) => await ((ICluster)_cluster).ResignAsync(cancellation).ConfigureAwait(false);

    public async ValueTask DisposeAsync()
    {
        await _cluster.StopAsync(CancellationToken.None).ConfigureAwait(false);
        await _cluster.DisposeAsync().ConfigureAwait(false);
        await _log.DisposeAsync().ConfigureAwait(false);
    }

    private async ValueTask<long> LastTermAsync(CancellationToken cancellation)
    {
        long last = _log.LastEntryIndex;
        using WriteAheadLog.LogEntryReader reader = await _log.ReadAsync(last, last, cancellation).ConfigureAwait(false);
        return reader[0].Term;
    }

    /// <summary>
    /// What DotNext says, which is for who looks for a fault: it warns of every message that a member does not answer.
    /// What an operator has to know is logged by <see cref="RaftClusterStore"/>.
    /// </summary>
    private sealed class Chatter(ILoggerFactory loggers) : ILoggerFactory
    {
        public ILogger CreateLogger(string categoryName) => new Category(loggers.CreateLogger(categoryName));

        public void AddProvider(ILoggerProvider provider) => throw new NotSupportedException("The server's log is configured before this.");

        // The server's log outlives this.
        public void Dispose()
        {
        }

        private sealed class Category(ILogger logger) : ILogger
        {
            public IDisposable? BeginScope<TState>(TState state)
                where TState : notnull => logger.BeginScope(state);

            public bool IsEnabled(LogLevel logLevel) => logLevel >= LogLevel.Information && logger.IsEnabled(LogLevel.Debug);

            public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
            {
                if (IsEnabled(logLevel)) logger.Log(LogLevel.Debug, eventId, state, exception, formatter);
            }
        }
    }
}

/// <summary>How patient the members of the cluster's store are.</summary>
/// <param name="Election">
/// For how long a leader must be silent before another one is sought: from this long to twice as long, drawn by each.
/// </param>
/// <param name="Request">For how long a read or a write is tried before it fails.</param>
internal sealed record RaftTimes(TimeSpan Election, TimeSpan Request)
{
    public static readonly RaftTimes Default = new(TimeSpan.FromSeconds(1), TimeSpan.FromSeconds(10));
}
