using Microsoft.Extensions.Logging;
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
        Housekeeping = new(this);
        Shutdown = new(this);
        Store.PubSub = PubSub;
        _keyspaceEvents = new(Store.Effects, PubSub);
        _keyspaceEvents.Listen(Options.NotifyKeyspaceEvents);
        files.Configuration.OnChange(["notify-keyspace-events"], ListenToKeysAsync);
        files.Configuration.OnChange(["tracking-table-max-keys"], LimitTrackingAsync);
        Store.StatisticsReset += ResetStatistics;
    }

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

    /// <summary>The channels that clients have subscribed to.</summary>
    public PubSub PubSub { get; } = new();

    /// <summary>The event loops that serve the clients; null while it does not listen, or if it has none.</summary>
    internal LoopGroup? Loops { get; set; }

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
        Housekeeping.Dispose();
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
        Loops?.ResetStatistics();
    }

    private static string RandomName() =>
        Convert.ToHexStringLower(System.Security.Cryptography.RandomNumberGenerator.GetBytes(20));
}
