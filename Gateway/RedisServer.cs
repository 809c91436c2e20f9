using Microsoft.Extensions.Logging;
using OrleansRedis.Cluster;
using OrleansRedis.Engine;

namespace OrleansRedis.Gateway;

/// <summary>
/// What the connections of one silo share: the store, the commands, the clients, and what INFO reports about them.
/// </summary>
public sealed class RedisServer : IDisposable
{
    private readonly KeyspaceEvents _keyspaceEvents;
    private long _attackToldAtMs;

    public RedisServer(ServerFiles files, CommandRunner runner, ILoggerFactory loggers)
    {
        Files = files;
        Runner = runner;
        Store = runner.Store;
        Commands = Store.Commands;
        Loggers = loggers;
        Logger = loggers.CreateLogger("OrleansRedis.Gateway");
        StartedAt = Store.Clock.Time.GetUtcNow();
        ClientMemory = new(this);
        Housekeeping = new(this);
        Shutdown = new(this);
        Store.PubSub = PubSub;
        Store.Peers = Peers = new(Store.Clock);
        _keyspaceEvents = new(Store.Effects, PubSub);
        _keyspaceEvents.Listen(Options.NotifyKeyspaceEvents);
        files.Configuration.OnChange(["notify-keyspace-events"], ListenToKeysAsync);
        files.Configuration.OnChange(["tracking-table-max-keys"], LimitTrackingAsync);
        Store.StatisticsReset += ResetStatistics;
        Store.Acl.Changed += EndSessions;
    }

    /// <summary>The way to the keys of other silos; null if this silo is the only one.</summary>
    public RemoteRequests? Remote { get; internal set; }

    /// <summary>Runs the commands.</summary>
    public CommandRunner Runner { get; }

    public Store Store { get; }

    /// <summary>The server's files: configuration, dump and append-only log.</summary>
    public ServerFiles Files { get; }

    public ServerOptions Options => Store.Options;

    public ILoggerFactory Loggers { get; }

    /// <summary>The gateway's own log.</summary>
    public ILogger Logger { get; }

    public CommandTable Commands { get; }

    public CommandStatistics CommandStatistics => Runner.Observer.Statistics;

    /// <summary>The error replies sent, by code.</summary>
    public ErrorStatistics ErrorStatistics => Runner.Observer.Errors;

    public ClientRegistry Clients { get; } = new();

    /// <summary>maxmemory-clients</summary>
    public ClientMemory ClientMemory { get; }

    /// <summary>Connections to other Redis servers.</summary>
    internal PeerConnections Peers { get; }

    /// <summary>The channels that clients have subscribed to.</summary>
    public PubSub PubSub { get; } = new();

    /// <summary>The event loops that serve the clients; null while it does not listen, or if it has none.</summary>
    internal LoopGroup? Loops { get; set; }

    /// <summary>The cluster that this silo belongs to; null if it is alone.</summary>
    public IClusterOperations? Cluster { get; set; }

    /// <summary>CLIENT PAUSE.</summary>
    public ClientPause Pause => Runner.Pause;

    /// <summary>What is done at regular intervals.</summary>
    public Housekeeping Housekeeping { get; }

    /// <summary>How the server ends.</summary>
    public Shutdown Shutdown { get; }

    public DateTimeOffset StartedAt { get; }

    /// <summary>A random name of this run of the server.</summary>
    public string RunId { get; } = RandomName();

    /// <summary>A random name for the history of this run's data.</summary>
    public string ReplicationId { get; private set; } = RandomName();

    /// <summary>DEBUG CHANGE-REPL-ID: begins another history, so that whoever has followed this one starts over.</summary>
    internal void ChangeReplicationId() => ReplicationId = RandomName();

    /// <summary>
    /// Called when the server has decided to end and everything is saved; the host then stops the process.
    /// </summary>
    public Action? StopRequested { get; set; }

    /// <summary>All that INFO knows.</summary>
    public string DescribeEverything() => new ServerInfo(this, Store.Clock.NowMs).Show(["everything"]);

    /// <summary>
    /// Tells the operator, at most once a minute, of a client that seems to speak HTTP.
    /// </summary>
    internal void TellOfAttack(ClientConnection client)
    {
        long nowMs = Store.Clock.NowMs, toldAtMs = Volatile.Read(ref _attackToldAtMs);
        if (nowMs - toldAtMs > 60_000 && Interlocked.CompareExchange(ref _attackToldAtMs, nowMs, toldAtMs) == toldAtMs)
            Log.CrossProtocol(Logger, client.Address);
    }

    public void Dispose()
    {
        Store.StatisticsReset -= ResetStatistics;
        Store.Acl.Changed -= EndSessions;
        Housekeeping.Dispose();
        Peers.Dispose();
    }

    private ValueTask<string?> ListenToKeysAsync()
    {
        _keyspaceEvents.Listen(Options.NotifyKeyspaceEvents);
        return default;
    }

    private ValueTask<string?> LimitTrackingAsync()
    {
        Store.KeyTracking.Limit();
        return default;
    }

    private void ResetStatistics()
    {
        Clients.ResetStatistics();
        ClientMemory.ResetStatistics();
        Loops?.ResetStatistics();
    }

    /// <summary>
    /// Ends the connections of a user who has been deleted, and of one who is subscribed to what the rules no longer allow.
    /// Whoever has asked for it still gets the reply.
    /// </summary>
    private void EndSessions(AclUser user, Session? by)
    {
        if (!user.IsDeleted)
        {
            PubSub.Disconnect(client => client.User == user, user.Rules.AllowChannel, by as ClientConnection);
            return;
        }
        foreach (ClientConnection client in Clients.All)
        {
            if (client.User != user) continue;
            if (client == by) client.CloseAfterReply = true;
            else client.Kill();
        }
    }

    private static string RandomName() =>
        Convert.ToHexStringLower(System.Security.Cryptography.RandomNumberGenerator.GetBytes(20));
}
