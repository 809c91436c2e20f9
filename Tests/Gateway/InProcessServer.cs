using System.Net.Sockets;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using OrleansRedis.Engine;
using OrleansRedis.Gateway;
using OrleansRedis.Tests.Harness;

namespace OrleansRedis.Tests.Gateway;

/// <summary>
/// The gateway with all slots in this process, behind a Unix domain socket: real sockets, and a store that a test can
/// look into.
/// </summary>
internal sealed class InProcessServer : ISlotRouter, IAsyncDisposable
{
    private readonly DirectoryInfo _directory = Directory.CreateTempSubdirectory("orleansredis");
    private static readonly CommandTable s_commands = new(typeof(Store).Assembly, typeof(RedisServer).Assembly);

    private readonly CommandRunner _runner;
    private readonly RedisListener _listener;

    private InProcessServer(Action<ServerOptions>? configure, ILoggerFactory loggers, RoutedSilo? silo)
    {
        var options = new ServerOptions { Port = 0, Save = new(), Dir = _directory.FullName, UnixSocket = Path.Combine(_directory.FullName, "socket") };
        configure?.Invoke(options);
        Store = new Store(options, TimeProvider.System, s_commands);
        for (int number = 0; number < KeySlot.Count; number++)
        {
            if (silo?.Owns(number) != false) Store.Slots.Publish(Store.Slots.Create(number, epoch: 1));
        }
        Files = new ServerFiles(Store, new ServerConfiguration(options));
        _runner = new CommandRunner(Store, (ISlotRouter?)silo ?? this);
        Server = new RedisServer(Files, _runner, loggers);
        if (silo is not null)
        {
            _ = new RemoteRequests(Server, silo, silo);
            _ = new ForwardedRequests(Server, silo, silo);
        }
        _listener = new RedisListener(Server);
    }

    public Store Store { get; }

    public ServerFiles Files { get; }

    public RedisServer Server { get; }

    public static async Task<InProcessServer> StartAsync(
        Action<ServerOptions>? configure = null, Action<ServerFiles>? prepare = null, ILoggerFactory? loggers = null, RoutedSilo? silo = null)
    {
        var server = new InProcessServer(configure, loggers ?? NullLoggerFactory.Instance, silo);
        prepare?.Invoke(server.Files);
        await server._listener.StartAsync(CancellationToken.None);
        return server;
    }

    public Task<RespConnection> ConnectAsync() => RespConnection.ConnectAsync(new UnixDomainSocketEndPoint(Store.Options.UnixSocket));

    /// <summary>Waits until this many clients are blocked, and the others have left their queues.</summary>
    public Task BlockedAsync(int count) =>
        Eventually.TrueAsync(() => Store.BlockedCommands == count, () => $"{Store.BlockedCommands} clients are blocked, not {count}");

    /// <summary>Whether no key of any slot is watched or waited for.</summary>
    public bool NobodyWatches => Enumerable.Range(0, KeySlot.Count).All(number => Store.Slots[number]!.Watchers?.IsEmpty != false);

    public SlotRoute Locate(int slot) => new(Store.Slots[slot] is null ? SlotPlace.Nowhere : SlotPlace.Here);

    public ValueTask<SlotRoute> ResolveAsync(int slot, CancellationToken cancellation) => new(Locate(slot));

    public async ValueTask DisposeAsync()
    {
        await _listener.DisposeAsync();
        foreach (ClientConnection client in Server.Clients.All) client.Kill();
        Server.Dispose();
        _runner.Dispose();
        Files.Dispose();
        Store.Dispose();
        _directory.Delete(recursive: true);
    }
}
