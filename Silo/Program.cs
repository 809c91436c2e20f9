using System.Diagnostics;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using OrleansRedis.Engine;
using OrleansRedis.Gateway;
using OrleansRedis.Grains;
using OrleansRedis.Grains.ClusterStores;
using OrleansRedis.Grains.Storage;
using OrleansRedis.Silo;

RedisHost.Began = Stopwatch.GetTimestamp();
if (args is ["--version" or "-v"])
{
    Console.WriteLine($"{ServerVersion.Product} server v={ServerVersion.Own} (Redis {ServerVersion.Redis}) bits=64");
    return 0;
}
if (args is ["--help" or "-h"])
{
    Console.WriteLine(CommandLineHelp.Text);
    return 0;
}

ServerConfiguration configuration;
try
{
    configuration = ServerConfiguration.Load(args);
}
catch (ConfigurationException e)
{
    await Console.Error.WriteLineAsync(e.Message);
    return 1;
}

ServerOptions options = configuration.Options;
try
{
    if (Daemon.TryLeave(options, args)) return 0;
    if (RedisLog.WhyNotWritable(options) is { } reason) throw new ConfigurationException($"Can't open the log file: {reason}");
}
catch (ConfigurationException e)
{
    await Console.Error.WriteLineAsync(e.Message);
    return 1;
}
IoThreads.Configure(options);
HostApplicationBuilder builder = Host.CreateEmptyApplicationBuilder(new() { DisableDefaults = true });
builder.Logging.AddRedisLog(options);
// Made once: everything that counts commands uses the numbers that this table gives them.
var commands = new CommandTable(typeof(Store).Assembly, typeof(RedisServer).Assembly);
foreach (string[] line in options.RenamedCommands.All)
{
    if (commands.Rename(line[0], line[1]) is not { } error) continue;
    await Console.Error.WriteLineAsync(
        $"*** FATAL CONFIG ERROR ({ServerVersion.Product} {ServerVersion.Own}) ***\nrename-command {line[0]} \"{line[1]}\": {error}");
    return 1;
}
using var store = new Store(options, TimeProvider.System, commands);
using var files = new ServerFiles(store, configuration);
ISlotStorage storage;
ClusterServices? cluster = null;
try
{
    storage = SlotStorages.Create(options);
    ClusterStores.Check(options);
    if (options.ClusterEnabled && options.OrleansClustering != OrleansClustering.Localhost)
        throw new ArgumentException("cluster-enabled yes needs orleans-clustering localhost: several silos do not speak Redis Cluster's protocol yet.");
    if (options.OrleansClustering != OrleansClustering.Localhost) cluster = ClusterServices.Take(options, files);
}
catch (ArgumentException e)
{
    await Console.Error.WriteLineAsync($"*** FATAL CONFIG ERROR ({ServerVersion.Product} {ServerVersion.Own}) ***\n{e.Message}");
    return 1;
}
store.Restrict(Restrictions.Loading);
NodesFile? nodes = null;
builder.Services.AddSingleton(store);
builder.Services.AddSingleton(files);
builder.Services.AddSingleton(options);
builder.Services.AddSingleton(storage);
builder.Services.AddSingleton(commands);
builder.Services.AddSingleton<StoredSlots>();
builder.Services.AddSingleton<SlotHost>();
builder.Services.AddSingleton<CommandRunner>();
builder.Services.AddSingleton<RedisServer>();
builder.Services.AddSingleton<RedisListener>();
builder.Services.AddSingleton<IHostLifetime, Signals>();
builder.Services.AddSingleton<OrleansHost>();
// Hosted services start in this order and stop in reverse: the slots' store, the slots, the data in them, active
// expiry, the door for clients, and the silo, which answers grain calls. RedisHost does its part outside this order: it
// closes the door before any service stops, and if there is data to load it opens the door before any service starts.
builder.Services.AddHostedService<StorageHost>();
if (cluster is null)
{
    builder.Services.AddSingleton<ISlotRouter>(services => new SlotRouter(services.GetRequiredService<SlotHost>()));
    builder.Services.AddHostedService<SlotsHost>();
    builder.Services.AddHostedService<DataHost>();
    if (options.ClusterEnabled) builder.Services.AddHostedService(_ => new NodesHost(nodes!));
    builder.Services.AddHostedService<ActiveExpiryHost>();
}
else cluster.AddTo(builder.Services);
builder.Services.AddHostedService<RedisHost>();
builder.Services.AddHostedService(services => services.GetRequiredService<OrleansHost>());
builder.Services.Configure<HostOptions>(host => host.ShutdownTimeout = TimeSpan.FromSeconds(10));

IHost host;
try
{
    host = builder.Build();
}
catch (ArgumentException e)
{
    // A port of the cluster, say, is not to be had.
    await Console.Error.WriteLineAsync($"*** FATAL CONFIG ERROR ({ServerVersion.Product} {ServerVersion.Own}) ***\n{e.Message}");
    return 1;
}
await using var hostDisposal = (IAsyncDisposable)host; // some services can only be disposed of asynchronously
ILogger logger = host.Services.GetRequiredService<ILoggerFactory>().CreateLogger("OrleansRedis");
store.Log.Writer = (severity, line) => SiloLog.Engine(logger, severity switch
{
    Severity.Verbose => LogLevel.Debug,
    Severity.Notice => LogLevel.Information,
    _ => LogLevel.Warning,
}, line);
if (configuration.DescribeWithoutEffect() is { } foreign) SiloLog.Engine(logger, LogLevel.Information, foreign);
var supervisor = new Supervisor(
    options, store.Log, Environment.GetEnvironmentVariable("NOTIFY_SOCKET"), Environment.GetEnvironmentVariable("UPSTART_JOB"));
CrashReport.Enable(host.Services.GetRequiredService<RedisServer>(), logger);
new OomScore(options, store.Log).Follow(configuration);
new ProcessTitle(configuration).Follow();
IHostApplicationLifetime lifetime = host.Services.GetRequiredService<IHostApplicationLifetime>();
lifetime.ApplicationStopping.Register(supervisor.Stopping);
try
{
    supervisor.Starting();
    store.Acl.LoadAtStart();
    if (options.ClusterEnabled)
    {
        nodes = NodesFile.Open(store, configuration);
        _ = new ClusterFace(store, configuration, nodes, nodes);
    }
    await host.StartAsync();
    supervisor.Ready();
    await host.WaitForShutdownAsync();
    bool hasFailed = host.Services.GetRequiredService<OrleansHost>().HasFailed || host.Services.GetService<ClusterHost>() is { HasFailed: true };
    return hasFailed ? 1 : 0;
}
catch (OperationCanceledException) when (lifetime.ApplicationStopping.IsCancellationRequested)
{
    await host.StopAsync(); // told to stop before the start was complete
    return 0;
}
catch (LoadException e)
{
    SiloLog.Engine(logger, LogLevel.Critical, e.Message);
    return 1;
}
catch (Exception e) when (e is not OperationCanceledException)
{
    SiloLog.CannotStart(logger, e.GetBaseException().Message);
    return 1;
}
finally
{
    nodes?.Dispose();
}
