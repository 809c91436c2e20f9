using System.Net;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Orleans.Configuration;

namespace OrleansRedis.Tests.Runtime;

/// <summary>A whole cluster in this process: silos and clients over a network in memory, under a virtual clock, with a membership table that they share.</summary>
public sealed class TestCluster : IAsyncDisposable
{
    private readonly InMemoryMembershipTable _table = new();
    private readonly List<IHost> _clients = [];
    private int _lastPort = 1000;

    public TestCluster() => Network = new InMemoryNetwork(Clock);

    public VirtualClock Clock { get; } = new();

    public InMemoryNetwork Network { get; }

    public List<TestSilo> Silos { get; } = [];

    /// <summary>Configures each silo.</summary>
    public Action<ISiloBuilder>? ConfigureSilo { get; set; }

    public Action<ILoggingBuilder>? ConfigureLogging { get; set; }

    public static async Task<TestCluster> Start(int silos, Action<ISiloBuilder>? configure = null)
    {
        var cluster = new TestCluster { ConfigureSilo = configure };
        for (int i = 0; i < silos; i++) await cluster.StartSilo();
        await cluster.Until(() => cluster.Silos.TrueForAll(silo => silo.Membership.CurrentSnapshot.Members.Values.Count(member => member.Status == SiloStatus.Active) == silos));
        return cluster;
    }

    public async Task<TestSilo> StartSilo()
    {
        int port = ++_lastPort;
        string name = $"silo{port}";
        HostApplicationBuilder builder = Host.CreateEmptyApplicationBuilder(null);
        ConfigureLogging?.Invoke(builder.Logging);
        builder.UseOrleans(silo =>
        {
            silo.ConfigureEndpoints(IPAddress.Loopback, port, port + 1000);
            silo.Configure<SiloOptions>(options => options.SiloName = name);
            silo.Services.AddSingleton<TimeProvider>(Clock);
            silo.Services.AddSingleton(Network.For(name));
            silo.Services.AddSingleton<IMembershipTable>(_table);
            ConfigureSilo?.Invoke(silo);
        });
        var started = new TestSilo(name, builder.Build(), new IPEndPoint(IPAddress.Loopback, port + 1000));
        Silos.Add(started);
        await Do(started.Host.StartAsync());
        return started;
    }

    /// <summary>A client of all gateways there are now.</summary>
    public async Task<IClusterClient> StartClient(params TestSilo[] gateways)
    {
        HostApplicationBuilder builder = Host.CreateEmptyApplicationBuilder(null);
        builder.UseOrleansClient(client =>
        {
            client.UseStaticClustering([.. (gateways.Length > 0 ? gateways : [.. Silos]).Select(silo => silo.Gateway)]);
            client.Services.AddSingleton<TimeProvider>(Clock);
            client.Services.AddSingleton(Network.For("client"));
        });
        IHost host = builder.Build();
        _clients.Add(host);
        await Do(host.StartAsync());
        return host.Services.GetRequiredService<IClusterClient>();
    }

    /// <summary>Ends a silo as a crash would: without a word to anyone.</summary>
    public async Task Kill(TestSilo silo)
    {
        Silos.Remove(silo);
        await Do(silo.Host.Services.GetRequiredService<Orleans.Runtime.Silo>().DisposeAsync().AsTask());
        Network.Drop(silo.Name);
    }

    /// <summary>Ends a silo in order.</summary>
    public async Task Stop(TestSilo silo)
    {
        Silos.Remove(silo);
        await Do(silo.Host.StopAsync());
    }

    /// <summary>Lets time pass until a task has completed.</summary>
    public async Task<T> Do<T>(Task<T> task)
    {
        await Do((Task)task);
        return await task;
    }

    /// <summary>Lets time pass until a task has completed.</summary>
    public async Task Do(Task task)
    {
        await Until(() => task.IsCompleted, stepMs: 10);
        await task;
    }

    /// <summary>Lets time pass, in steps, until a condition holds. A step is taken only when nothing is left to do without it.</summary>
    public async Task Until(Func<bool> condition, int stepMs = 100, int limitSeconds = 300)
    {
        DateTimeOffset limit = Clock.GetUtcNow().AddSeconds(limitSeconds);
        int steps = 0;
        while (true)
        {
            for (int quiet = 0; quiet < 3;)
            {
                if (condition()) return;
                await Task.Delay(1); // real time, for other threads to run; how much does not matter
                quiet = ThreadPool.PendingWorkItemCount == 0 ? quiet + 1 : 0;
            }

            if (Clock.GetUtcNow() > limit) throw new TimeoutException($"Not even after {limitSeconds} s of virtual time");
            Clock.Advance(TimeSpan.FromMilliseconds(stepMs));
            // What takes longer than a second waits for some timeout, so that larger steps do.
            if (++steps == 100 && stepMs == 10) stepMs = 100;
        }
    }

    public async ValueTask DisposeAsync()
    {
        foreach (IHost client in _clients)
        {
            await Do(client.StopAsync());
            client.Dispose();
        }

        foreach (TestSilo silo in Silos) await silo.Host.Services.GetRequiredService<Orleans.Runtime.Silo>().DisposeAsync();
    }
}

/// <summary>A silo of a <see cref="TestCluster"/>.</summary>
public sealed record TestSilo(string Name, IHost Host, IPEndPoint Gateway)
{
    public IGrainFactory Grains => Host.Services.GetRequiredService<IGrainFactory>();

    public SiloAddress Address => Host.Services.GetRequiredService<ILocalSiloDetails>().SiloAddress;

    public IClusterMembershipService Membership => Host.Services.GetRequiredService<IClusterMembershipService>();

    internal SiloRuntime Runtime => Host.Services.GetRequiredService<SiloRuntime>();
}
