using Microsoft.Extensions.Logging;
using OrleansRedis.Engine;

namespace OrleansRedis.Gateway;

/// <summary>What the connections of one silo share: the store, the commands, the clients, and what INFO tells of them.</summary>
public sealed class RedisServer : IDisposable
{
    public RedisServer(ServerFiles files, ISlotRouter router, ILoggerFactory loggers)
    {
        Store store = files.Store;
        Store = store;
        Files = files;
        Router = router;
        Loggers = loggers;
        Logger = loggers.CreateLogger("OrleansRedis.Gateway");
        Commands = new(typeof(Store).Assembly, typeof(RedisServer).Assembly);
        CommandStatistics = new(Commands);
        Pause = new(store);
        StartedAt = store.Clock.Time.GetUtcNow();
        Housekeeping = new(this);
        Shutdown = new(this);
        store.StatisticsReset += ResetStatistics;
        store.NestedCommandRan = CountNested;
    }

    public Store Store { get; }

    /// <summary>What the server keeps in files.</summary>
    public ServerFiles Files { get; }

    public ServerOptions Options => Store.Options;

    /// <summary>Where slots are that are not here.</summary>
    public ISlotRouter Router { get; }

    public ILoggerFactory Loggers { get; }

    /// <summary>The gateway's own log.</summary>
    public ILogger Logger { get; }

    public CommandTable Commands { get; }

    public CommandStatistics CommandStatistics { get; }

    /// <summary>The error replies sent, by code.</summary>
    public ErrorStatistics ErrorStatistics { get; } = new();

    public ClientRegistry Clients { get; } = new();

    /// <summary>CLIENT PAUSE.</summary>
    public ClientPause Pause { get; }

    /// <summary>What is done at regular times.</summary>
    public Housekeeping Housekeeping { get; }

    /// <summary>How the server ends.</summary>
    public Shutdown Shutdown { get; }

    public DateTimeOffset StartedAt { get; }

    /// <summary>A random name of this run of the server.</summary>
    public string RunId { get; } = RandomName();

    /// <summary>A random name of the history that the data of this run has.</summary>
    public string ReplicationId { get; } = RandomName();

    /// <summary>Called once it is decided that the server ends, and everything is saved; the host stops the process.</summary>
    public Action? StopRequested { get; set; }

    public void Dispose()
    {
        Store.StatisticsReset -= ResetStatistics;
        Housekeeping.Dispose();
        Pause.Dispose();
        CommandStatistics.Dispose();
    }

    private static string RandomName() => Convert.ToHexStringLower(System.Security.Cryptography.RandomNumberGenerator.GetBytes(20));

    private void CountNested(CommandInfo command, long ticks, ReadOnlySpan<byte> reply)
    {
        bool failed = !reply.IsEmpty && reply[0] == '-';
        CommandStatistics.Mine.CountCall(command, ticks, failed);
        if (failed) ErrorStatistics.Count(reply);
    }

    private void ResetStatistics()
    {
        CommandStatistics.Reset();
        ErrorStatistics.Reset();
        Clients.ResetStatistics();
    }
}
