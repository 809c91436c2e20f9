using System.Collections.Concurrent;
using System.Diagnostics;
using System.Net;
using Microsoft.Extensions.Logging;
using OrleansRedis.Cluster;
using OrleansRedis.Engine;

namespace OrleansRedis.Grains.ClusterStores.Raft;

/// <summary>Where the members of a store are, and where this one is.</summary>
/// <param name="Directory">Where this machine keeps its log; the store's own.</param>
/// <param name="Self">This machine's address, as others know it.</param>
/// <param name="Listen">Where it listens.</param>
/// <param name="Seeds">The machines that make the cluster when there is none, and that lead to it when there is one.</param>
/// <param name="Secret">What members know, and nobody else.</param>
/// <param name="Name">The cluster's name.</param>
internal sealed record RaftSettings(string Directory, IPEndPoint Self, IPEndPoint Listen, IReadOnlyList<IPEndPoint> Seeds, string Secret, string Name)
{
    public RaftTimes Times { get; init; } = RaftTimes.Default;
}

/// <summary>
/// The cluster's store in the silos themselves: a Raft log that every member has on its disk.
/// <para>
/// <b>The first start.</b> A machine with an empty disk asks the seeds. If one of them has a cluster, it joins that. If
/// more than half of them, itself included, are as new as it is, it begins with the seeds as the members, and so do they.
/// Otherwise it waits: those who do not answer may have a cluster.
/// </para>
/// <para>
/// <b>A lost disk.</b> A member without its log has forgotten what it has acknowledged and whom it has voted for, and must
/// not vote on. It looks like a new machine, so it joins like one: the leader removes the member of that address first,
/// then brings it up to date, then adds it.
/// </para>
/// </summary>
internal sealed partial class RaftClusterStore : IClusterStore
{
    private static readonly TimeSpan s_pause = TimeSpan.FromMilliseconds(100);

    private readonly RaftSettings _settings;
    private readonly ILoggerFactory _loggers;
    private readonly ILogger _logger;
    private readonly FileStream _lock;
    private readonly RaftPort _port;
    private readonly RaftRequests _requests;
    private readonly CancellationTokenSource _stopping = new();
    private readonly ConcurrentDictionary<Guid, TaskCompletionSource<RaftOutcome>> _waiting = new();
    private readonly SemaphoreSlim _membership = new(1, 1);
    private volatile RaftNode? _node;
    private Task _running = Task.CompletedTask;
    private Guid _joined;
    private string _trouble = "it has only just been started";

    /// <exception cref="System.Net.Sockets.SocketException">The port is not to be had.</exception>
    /// <exception cref="IOException">The directory is not to be had: another process has it, say.</exception>
    public RaftClusterStore(RaftSettings settings, ILoggerFactory loggers)
    {
        _settings = settings;
        _loggers = loggers;
        _logger = loggers.CreateLogger<RaftClusterStore>();
        Directory.CreateDirectory(settings.Directory);
        _lock = new(LockFile, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
        try
        {
            if (File.Exists(IdentityFile)) _joined = Guid.Parse(File.ReadAllText(IdentityFile));
            _port = new(settings.Listen, new(settings.Secret, settings.Name), () => ClusterId, ServeAsync, _logger);
        }
        catch
        {
            _lock.Dispose();
            throw;
        }
        _requests = new(_port);
    }

    /// <summary>Which cluster this machine belongs to; empty while it does not know.</summary>
    public Guid ClusterId => _node?.Machine.Documents.ClusterId is { } id && id != Guid.Empty ? id : _joined;

    /// <summary>Who votes, as far as this machine knows.</summary>
    public IReadOnlyList<IPEndPoint> Members => _node?.Members ?? [];

    /// <summary>Whom this machine takes for the leader.</summary>
    public IPEndPoint? Leader => _node?.Leader;

    /// <summary>How much of its log this machine has cut off.</summary>
    internal long SnapshotIndex => _node?.Machine.SnapshotIndex ?? 0;

    // Its being there says that this machine has a log, or will have: everything else in the directory is made before.
    private string IdentityFile => Path.Combine(_settings.Directory, "cluster");

    // Locked by the process that has the directory, and never deleted.
    private string LockFile => Path.Combine(_settings.Directory, "lock");

    private string MembersFile => Path.Combine(_settings.Directory, "members");

    public string Name => "raft";

    /// <summary>
    /// Begins. Whoever asks for a document waits until there is a leader, for as long as a request may take.
    /// </summary>
    public Task OpenAsync(CancellationToken cancellation)
    {
        _port.Start();
        _running = Task.Run(RunAsync, CancellationToken.None);
        return Task.CompletedTask;
    }

    public async Task<StoredDocument> ReadAsync(string document, CancellationToken cancellation)
    {
        cancellation.ThrowIfCancellationRequested();
        using CancellationTokenSource deadline = Deadline(cancellation);
        while (true)
        {
            (RaftReply reply, byte[] body) = await AskLeaderAsync(RaftRequest.Read, RaftRequests.Text(document), deadline.Token).ConfigureAwait(false);
            if (reply == RaftReply.Ok) return new(BitConverter.ToInt64(body), body.AsMemory(8));
            await PauseAsync(deadline, cancellation).ConfigureAwait(false);
        }
    }

    public async Task<bool> TryWriteAsync(string document, long expected, ReadOnlyMemory<byte> bytes, CancellationToken cancellation)
    {
        cancellation.ThrowIfCancellationRequested();
        // The command has an identity, so asking again does not write it twice, and tells whether it was written before.
        byte[] command = new RaftCommand(RaftCommandKind.Write, Guid.NewGuid(), document, expected, bytes).Encode();
        bool mayBeWritten = false;
        using CancellationTokenSource deadline = Deadline(cancellation);
        while (true)
        {
            (RaftReply reply, byte[] body) = await AskLeaderAsync(RaftRequest.Write, command, deadline.Token).ConfigureAwait(false);
            if (reply == RaftReply.Ok)
            {
                switch ((RaftOutcome)body[0])
                {
                    case RaftOutcome.Written:
                        return true;
                    case RaftOutcome.Changed:
                    case RaftOutcome.Forgotten when !mayBeWritten:
                        return false;
                    default:
                        throw new ClusterStoreException("So much has been written meanwhile that the cluster's store does not know whether this was.");
                }
            }
            mayBeWritten |= reply == RaftReply.Unknown;
            await PauseAsync(deadline, cancellation).ConfigureAwait(false);
        }
    }

    /// <summary>
    /// Makes a machine no member any more; it has to be stopped, or be about to. If it is started again it joins again.
    /// </summary>
    /// <exception cref="ClusterStoreException">That could not be done in time.</exception>
    public async Task RemoveAsync(IPEndPoint member, CancellationToken cancellation)
    {
        using CancellationTokenSource deadline = Deadline(cancellation);
        while ((await AskLeaderAsync(RaftRequest.Forget, RaftRequests.Text(member.ToString()), deadline.Token).ConfigureAwait(false)).Reply != RaftReply.Ok)
            await PauseAsync(deadline, cancellation).ConfigureAwait(false);
    }

    public async ValueTask DisposeAsync()
    {
        await _stopping.CancelAsync().ConfigureAwait(false);
        await _running.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        _requests.Dispose();
        await _port.DisposeAsync().ConfigureAwait(false);
        await _lock.DisposeAsync().ConfigureAwait(false);
    }

    private CancellationTokenSource Deadline(CancellationToken cancellation)
    {
        var deadline = CancellationTokenSource.CreateLinkedTokenSource(cancellation, _stopping.Token);
        deadline.CancelAfter(_settings.Times.Request);
        return deadline;
    }

    private async Task PauseAsync(CancellationTokenSource deadline, CancellationToken cancellation)
    {
        await Task.Delay(s_pause, deadline.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        if (!deadline.IsCancellationRequested) return;
        cancellation.ThrowIfCancellationRequested();
        throw new ClusterStoreException($"The cluster's store does not answer: {_trouble}");
    }

    /// <summary>Asks the leader, once. Failures come as replies.</summary>
    private async Task<(RaftReply Reply, byte[] Body)> AskLeaderAsync(RaftRequest request, byte[] body, CancellationToken cancellation)
    {
        RaftNode? node = _node;
        IPEndPoint? leader = node?.Leader;
        if (node is null || leader is null)
        {
            if (node is not null) _trouble = $"it has no leader at present ({string.Join(", ", node.Members)} are its members)";
            return (RaftReply.NotLeader, []);
        }
        (RaftReply reply, byte[] answer) = leader.Equals(_settings.Self)
            ? await AnswerAsync(request, body, cancellation).ConfigureAwait(false)
            : await AskAsync(leader, request, body, cancellation).ConfigureAwait(false);
        if (reply is RaftReply.Failed or RaftReply.Unknown) _trouble = $"{leader}, its leader: {RaftRequests.Text(answer)}";
        return (reply, answer);
    }

    /// <summary>Asks a machine, once. Failures come as replies.</summary>
    private async Task<(RaftReply Reply, byte[] Body)> AskAsync(IPEndPoint peer, RaftRequest request, byte[] body, CancellationToken cancellation)
    {
        try
        {
            return await _requests.AskAsync(peer, request, body, cancellation).ConfigureAwait(false);
        }
        catch (RaftUnsentException e)
        {
            return (RaftReply.Failed, RaftRequests.Text(e.Message));
        }
        catch (Exception e) when (e is IOException or OperationCanceledException or ObjectDisposedException)
        {
            return (RaftReply.Unknown, RaftRequests.Text("it does not answer"));
        }
    }

    private Task ServeAsync(Stream stream, CancellationToken cancellation) => RaftRequests.ServeAsync(stream, AnswerAsync, cancellation);

    private async Task<(RaftReply Reply, byte[] Body)> AnswerAsync(RaftRequest request, byte[] body, CancellationToken cancellation)
    {
        RaftNode? node = _node;
        if (request == RaftRequest.Hello)
            return (RaftReply.Ok, new RaftHello(ClusterId, node is { HasLog: true }, node?.Leader, node?.Members ?? [], _settings.Seeds).Encode());
        if (node is null || !node.TryGetLeadership(out CancellationToken leadership))
            return (RaftReply.NotLeader, RaftRequests.Text(node?.Leader?.ToString() ?? ""));

        using var deadline = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        deadline.CancelAfter(_settings.Times.Request);
        try
        {
            switch (request)
            {
                case RaftRequest.Read:
                    await node.ConfirmAsync(leadership, deadline.Token).ConfigureAwait(false);
                    RaftDocument document = node.Machine.Documents[RaftRequests.Text(body)];
                    leadership.ThrowIfCancellationRequested();
                    return (RaftReply.Ok, [.. BitConverter.GetBytes(document.Version), .. document.Bytes.Span]);
                case RaftRequest.Write:
                    RaftCommand command = RaftCommand.Decode(body);
                    return (RaftReply.Ok, [(byte)await ReplicateAsync(node, command, leadership, deadline.Token).ConfigureAwait(false)]);
                case RaftRequest.Forget:
                    return await ForgetAsync(node, IPEndPoint.Parse(RaftRequests.Text(body)), deadline.Token).ConfigureAwait(false);
                case RaftRequest.Join:
                    return await AddAsync(node, IPEndPoint.Parse(RaftRequests.Text(body)), deadline.Token).ConfigureAwait(false);
                default:
                    return (RaftReply.Failed, RaftRequests.Text($"request {(byte)request} is not known"));
            }
        }
        catch (Exception e)
        {
            return (RaftReply.Unknown, RaftRequests.Text(leadership.IsCancellationRequested ? "the leader has changed meanwhile" : e.Message));
        }
    }

    private async Task<RaftOutcome> ReplicateAsync(
        RaftNode node, RaftCommand command, CancellationToken leadership, CancellationToken cancellation)
    {
        var applied = new TaskCompletionSource<RaftOutcome>(TaskCreationOptions.RunContinuationsAsynchronously);
        // The same command may be here twice, if its writer has asked again.
        TaskCompletionSource<RaftOutcome> waiting = _waiting.GetOrAdd(command.Id, applied);
        try
        {
            await node.ReplicateAsync(command, leadership, cancellation).ConfigureAwait(false);
            // That an entry at this place is applied does not say that it is this one. This does.
            return await waiting.Task.WaitAsync(cancellation).ConfigureAwait(false);
        }
        finally
        {
            _waiting.TryRemove(new(command.Id, applied));
        }
    }

    private async Task<(RaftReply Reply, byte[] Body)> ForgetAsync(RaftNode node, IPEndPoint member, CancellationToken cancellation)
    {
        await _membership.WaitAsync(cancellation).ConfigureAwait(false);
        try
        {
            if (!node.Members.Contains(member)) return (RaftReply.Ok, []);
            if (member.Equals(_settings.Self))
            {
                // Whoever leads without this machine then removes it.
                await node.ResignAsync(cancellation).ConfigureAwait(false);
                return (RaftReply.Failed, RaftRequests.Text("the leader was to be removed, and has resigned first"));
            }
            await node.RemoveAsync(member, cancellation).ConfigureAwait(false);
            LogRemoved(_logger, member);
            return node.Members.Contains(member) ? (RaftReply.Failed, RaftRequests.Text("it is still a member")) : (RaftReply.Ok, []);
        }
        finally
        {
            _membership.Release();
        }
    }

    private async Task<(RaftReply Reply, byte[] Body)> AddAsync(RaftNode node, IPEndPoint member, CancellationToken cancellation)
    {
        await _membership.WaitAsync(cancellation).ConfigureAwait(false);
        try
        {
            if (node.Members.Contains(member)) return (RaftReply.Ok, []);
            if (!await node.AddAsync(member, cancellation).ConfigureAwait(false))
                return (RaftReply.Failed, RaftRequests.Text("it could not be brought up to date"));
            LogAdded(_logger, member);
            return (RaftReply.Ok, []);
        }
        finally
        {
            _membership.Release();
        }
    }

    private async Task RunAsync()
    {
        CancellationToken stop = _stopping.Token;
        try
        {
            if (!File.Exists(IdentityFile)) await BeginAsync(stop).ConfigureAwait(false);
            while (!stop.IsCancellationRequested)
            {
                try
                {
                    RaftNode node = await RaftNode.StartAsync(_settings, _port, Listen, _loggers, stop).ConfigureAwait(false);
                    _node = node;
                    try
                    {
                        await SuperviseAsync(node, stop).ConfigureAwait(false);
                    }
                    finally
                    {
                        _node = null;
                        await node.DisposeAsync().ConfigureAwait(false);
                    }
                }
                catch (Exception e) when (!stop.IsCancellationRequested)
                {
                    _trouble = $"this machine's part of it, in {_settings.Directory}, is in trouble: {e.Message}";
                    LogTrouble(_logger, _settings.Directory, e.Message);
                }
                await Task.Delay(TimeSpan.FromSeconds(1), stop).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            }
        }
        catch (OperationCanceledException) when (stop.IsCancellationRequested)
        {
            // Stopped before there was anything to stop.
        }
    }

    private void Listen(RaftStateMachine machine)
    {
        machine.Applied = (command, outcome) =>
        {
            if (_waiting.TryGetValue(command.Id, out TaskCompletionSource<RaftOutcome>? waiting)) waiting.TrySetResult(outcome);
        };
    }

    /// <summary>Does what has to be done beside Raft, as long as it runs.</summary>
    private async Task SuperviseAsync(RaftNode node, CancellationToken stop)
    {
        IPEndPoint? leader = null;
        bool wasMember = false;
        long leaderless = Stopwatch.GetTimestamp();
        while (!stop.IsCancellationRequested)
        {
            if (node.Failure is { } failure) throw new IOException(failure);
            if (node.Machine.Documents.ClusterId is var cluster && cluster != Guid.Empty && cluster != _joined)
            {
                AtomicFile.Replace(IdentityFile, RaftRequests.Text(cluster.ToString()));
                _joined = cluster;
            }
            if (cluster == Guid.Empty && node.TryGetLeadership(out CancellationToken leadership))
                await FoundAsync(node, leadership, stop).ConfigureAwait(false);

            if (node.Leader is { } now)
            {
                leaderless = Stopwatch.GetTimestamp();
                if (!now.Equals(leader)) LogLeader(_logger, now, node.Members.Count);
                leader = now;
            }
            bool isMember = node.Members.Contains(_settings.Self);
            if (isMember && leader is not null) wasMember = true;
            // One that was a member in this run and is none any more has been removed, and stays outside.
            if (!wasMember && (!isMember || Stopwatch.GetElapsedTime(leaderless) > 5 * _settings.Times.Election))
            {
                await JoinAsync(node, stop).ConfigureAwait(false);
                leaderless = Stopwatch.GetTimestamp();
            }
            await Task.Delay(s_pause, stop).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }

    private async Task FoundAsync(RaftNode node, CancellationToken leadership, CancellationToken stop)
    {
        try
        {
            await ReplicateAsync(node, new(RaftCommandKind.Found, Guid.NewGuid(), "", 0, default), leadership, stop).ConfigureAwait(false);
        }
        catch (Exception e) when (!stop.IsCancellationRequested)
        {
            // The next leader does it, or this one, in a moment.
            _trouble = $"it has no identity yet: {e.Message}";
        }
    }

    /// <summary>Asks to become a member, if the others do not take this machine for one.</summary>
    private async Task JoinAsync(RaftNode node, CancellationToken stop)
    {
        foreach (IPEndPoint peer in Others(node))
        {
            if (await HelloAsync(peer, stop).ConfigureAwait(false) is not { Leader: { } leader } hello || hello.Cluster == Guid.Empty) continue;
            if (hello.Members.Contains(_settings.Self)) return;
            _trouble = $"{leader} has not made this machine a member yet";
            await AskInTimeAsync(leader, RaftRequest.Join, stop).ConfigureAwait(false);
            return;
        }
    }

    private IEnumerable<IPEndPoint> Others(RaftNode? node) =>
        _settings.Seeds.Concat(node?.Members ?? []).Distinct().Where(peer => !peer.Equals(_settings.Self));

    private async Task<RaftHello?> HelloAsync(IPEndPoint peer, CancellationToken stop)
    {
        using var deadline = CancellationTokenSource.CreateLinkedTokenSource(stop);
        deadline.CancelAfter(_settings.Times.Election * 2);
        (RaftReply reply, byte[] body) = await AskAsync(peer, RaftRequest.Hello, [], deadline.Token).ConfigureAwait(false);
        return reply == RaftReply.Ok ? RaftHello.Decode(body) : null;
    }

    private async Task<RaftReply> AskInTimeAsync(IPEndPoint leader, RaftRequest request, CancellationToken stop)
    {
        using CancellationTokenSource deadline = Deadline(stop);
        return (await AskAsync(leader, request, RaftRequests.Text(_settings.Self.ToString()), deadline.Token).ConfigureAwait(false)).Reply;
    }

    /// <summary>Finds out what an empty disk means, and prepares it accordingly.</summary>
    private async Task BeginAsync(CancellationToken stop)
    {
        IReadOnlyList<IPEndPoint> seeds = _settings.Seeds;
        bool isSeed = seeds.Contains(_settings.Self), hasSaid = false;
        while (true)
        {
            RaftHello?[] answers = await Task.WhenAll(Others(null).Select(peer => HelloAsync(peer, stop))).ConfigureAwait(false);
            stop.ThrowIfCancellationRequested();
            RaftHello[] hellos = [.. answers.OfType<RaftHello>()];
            foreach (RaftHello hello in hellos)
            {
                if (hello.Seeds.ToHashSet().SetEquals(seeds) || !isSeed || hello.HasLog) continue;
                _trouble = $"the seeds are not the same everywhere: here {string.Join(',', seeds)}, elsewhere {string.Join(',', hello.Seeds)}";
                LogSeedsDiffer(_logger, string.Join(',', seeds), string.Join(',', hello.Seeds));
            }
            if (hellos.FirstOrDefault(hello => hello.Cluster != Guid.Empty && hello.Leader is not null) is { } known)
            {
                // Whoever was here under this address before has lost its disk, and must not vote any more.
                if (await AskInTimeAsync(known.Leader!, RaftRequest.Forget, stop).ConfigureAwait(false) == RaftReply.Ok)
                {
                    LogJoins(_logger, known.Cluster, known.Leader!);
                    Prepare([], known.Cluster);
                    return;
                }
            }
            else if (isSeed && hellos.All(hello => !hello.HasLog && hello.Cluster == Guid.Empty && hello.Seeds.ToHashSet().SetEquals(seeds))
                && hellos.Length + 1 > seeds.Count / 2)
            {
                LogBegins(_logger, string.Join(", ", seeds));
                Prepare(seeds, Guid.Empty);
                return;
            }
            else
            {
                string others = string.Join(", ", Others(null));
                _trouble = $"this machine has no part of it yet, and waits for its seeds, of which {hellos.Length} answer: {others}";
                if (!hasSaid) LogWaits(_logger, _settings.Self, others);
                hasSaid = true;
            }
            await Task.Delay(s_pause, stop).ConfigureAwait(false);
        }
    }

    private void Prepare(IReadOnlyList<IPEndPoint> members, Guid cluster)
    {
        // Left by an attempt that was cut off.
        foreach (string file in Directory.EnumerateFiles(_settings.Directory).Where(file => file != LockFile)) File.Delete(file);
        foreach (string directory in Directory.EnumerateDirectories(_settings.Directory)) Directory.Delete(directory, recursive: true);
        RaftMembers.Create(MembersFile, members);
        AtomicFile.Replace(IdentityFile, RaftRequests.Text(cluster.ToString()));
        _joined = cluster;
    }

    [LoggerMessage(LogLevel.Information, "The cluster's store begins on {Members}")]
    private static partial void LogBegins(ILogger logger, string members);

    [LoggerMessage(LogLevel.Information, "This machine joins the store of cluster {Cluster}, which {Leader} leads")]
    private static partial void LogJoins(ILogger logger, Guid cluster, IPEndPoint leader);

    [LoggerMessage(LogLevel.Information, "This machine ({Self}) has no part of the cluster's store yet, and waits for its seeds: {Peers}")]
    private static partial void LogWaits(ILogger logger, IPEndPoint self, string peers);

    [LoggerMessage(LogLevel.Information, "{Leader} leads the cluster's store; it has {Count} members")]
    private static partial void LogLeader(ILogger logger, IPEndPoint leader, int count);

    [LoggerMessage(LogLevel.Information, "{Member} is a member of the cluster's store now")]
    private static partial void LogAdded(ILogger logger, IPEndPoint member);

    [LoggerMessage(LogLevel.Information, "{Member} is no member of the cluster's store any more")]
    private static partial void LogRemoved(ILogger logger, IPEndPoint member);

    [LoggerMessage(LogLevel.Warning, "The seeds of the cluster's store are not the same everywhere: here {Here}, elsewhere {Elsewhere}")]
    private static partial void LogSeedsDiffer(ILogger logger, string here, string elsewhere);

    [LoggerMessage(LogLevel.Error, "The part of the cluster's store in {Directory} is in trouble, and begins anew in a second: {Reason}. If that does not "
        + "help, stop this silo and delete the directory: it then gets everything from the others.")]
    private static partial void LogTrouble(ILogger logger, string directory, string reason);
}
