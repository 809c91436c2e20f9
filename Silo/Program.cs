using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using OrleansRedis.Engine;
using OrleansRedis.Gateway;
using OrleansRedis.Grains;
using OrleansRedis.Silo;

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

IoThreads.Configure(configuration.Options);
HostApplicationBuilder builder = Host.CreateEmptyApplicationBuilder(new() { DisableDefaults = true });
ServerOptions options = configuration.Options;
builder.Logging.AddRedisLog(options);
Clustering.ChoosePorts(options);
using var store = new Store(configuration, TimeProvider.System);
builder.UseOrleans(silo => silo.AddHashSlots(store).AddClustering(options));
builder.Services.AddSingleton<ISlotRouter, SlotRouter>();
builder.Services.AddSingleton<RedisServer>();
builder.Services.AddSingleton<RedisListener>();
// Hosted services start in this order and stop in the other: the silo (added above), its slots, the door for clients.
builder.Services.AddHostedService<SlotActivation>();
builder.Services.AddHostedService<ActiveExpiryHost>();
builder.Services.AddHostedService<RedisHost>();
builder.Services.Configure<HostOptions>(host => host.ShutdownTimeout = TimeSpan.FromSeconds(10));

using IHost host = builder.Build();
ILogger logger = host.Services.GetRequiredService<ILoggerFactory>().CreateLogger("OrleansRedis");
store.Log.Writer = (severity, line) => SiloLog.Engine(logger, severity switch
{
    Severity.Verbose => LogLevel.Debug,
    Severity.Notice => LogLevel.Information,
    _ => LogLevel.Warning,
}, line);
try
{
    await host.RunAsync();
    return 0;
}
catch (Exception e) when (e is not OperationCanceledException)
{
    SiloLog.CannotStart(logger, e.GetBaseException().Message);
    return 1;
}
