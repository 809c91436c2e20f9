using Microsoft.Extensions.Logging;
using OrleansRedis.Engine;
using OrleansRedis.Gateway;

Environment.SetEnvironmentVariable("DOTNET_SYSTEM_NET_SOCKETS_INLINE_COMPLETIONS", "1");
using ILoggerFactory loggers = LoggerFactory.Create(logging => logging.AddSimpleConsole());
using var store = new Store(new ServerOptions { Port = args.Length > 1 ? int.Parse(args[1]) : 6379 }, TimeProvider.System);
for (int slot = 0; slot < KeySlot.Count; slot++) store.Slots.Publish(store.Slots.Create(slot, 1));
using var server = new RedisServer(store, new Nowhere(), loggers);
var listener = new RedisListener(server);
await listener.StartAsync(default);
Console.WriteLine("* Ready to accept connections");
await Task.Delay(-1);

internal sealed class Nowhere : ISlotRouter
{
    public ValueTask<bool> EnsureHereAsync(int slot, CancellationToken cancellation) => new(false);
}
