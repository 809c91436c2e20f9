using System.Globalization;
using System.Net;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging.Abstractions;
using Orleans.Configuration;
using OrleansRedis.Cluster;
using OrleansRedis.Grains.ClusterStores;
using OrleansRedis.Grains.ClusterStores.Raft;
using OrleansRedis.Grains.Membership;
using OrleansRedis.Tests.Harness;

namespace OrleansRedis.Tests.Storage;

/// <summary>
/// A real silo of Orleans in a process of its own, with its membership in a store of ours. It writes a line for every
/// version of the membership that it learns of.
/// </summary>
internal sealed class MemberSilo : IAsyncDisposable
{
    private readonly ClientProgram _program;

    private MemberSilo(ClientProgram program, int port)
    {
        _program = program;
        Port = port;
    }

    /// <summary>The silo's port, by which the others know it.</summary>
    public int Port { get; }

    public string Output => _program.Output;

    /// <summary>A silo that is a member of a Raft store, too.</summary>
    public static MemberSilo Start(RaftCluster cluster, int member, int port)
    {
        RaftSettings settings = cluster.SettingsOf(member);
        return new(
            OwnProcess.Start(
                Serve, Variable(port), $"RAFT_DIRECTORY={settings.Directory}", $"RAFT_SELF={settings.Self}", $"RAFT_SEEDS={string.Join(' ', settings.Seeds)}",
                $"RAFT_SECRET={settings.Secret}"),
            port);
    }

    /// <summary>A silo with its membership in PostgreSQL.</summary>
    public static MemberSilo Start(string database, int port) => new(OwnProcess.Start(Serve, Variable(port), $"ADONET={database}"), port);

    /// <summary>A silo with its membership in Azure Tables.</summary>
    public static MemberSilo StartOnAzure(string account, int port) => new(OwnProcess.Start(Serve, Variable(port), $"AZURE={account}"), port);

    /// <summary>Waits until this silo takes another one, in its newest life, for what the test says.</summary>
    public Task SeesAsync(MemberSilo other, SiloStatus status) => Eventually.TrueAsync(
        () => Output.Split('\n').LastOrDefault(line => line.StartsWith("view ", StringComparison.Ordinal)) is { } view
            && view.Split(' ').LastOrDefault(word => word.StartsWith($"{other.Port}@", StringComparison.Ordinal)) is { } seen
            && seen.EndsWith($"={status}", StringComparison.Ordinal),
        () => $"{Port} does not see {other.Port} {status}:\n{Output}");

    /// <summary>Ends it in order.</summary>
    public async Task StopAsync()
    {
        _program.CloseInput();
        await _program.WaitForExitAsync();
    }

    /// <summary>Kills it.</summary>
    public ValueTask DisposeAsync() => _program.DisposeAsync();

    private static string Variable(int port) => string.Create(CultureInfo.InvariantCulture, $"SILO_PORT={port}");

    private static void Serve() => ServeAsync().GetAwaiter().GetResult();

    private static async Task ServeAsync()
    {
        string Of(string variable) => Environment.GetEnvironmentVariable(variable) ?? "";
        string database = Of("ADONET"), account = Of("AZURE");
        IClusterStore store;
        if (database.Length != 0)
        {
            store = new PostgresClusterStore(database, "test");
        }
        else if (account.Length != 0)
        {
            store = new AzureClusterStore(account, "test");
        }
        else
        {
            IPEndPoint self = IPEndPoint.Parse(Of("RAFT_SELF"));
            store = new RaftClusterStore(
                new(Of("RAFT_DIRECTORY"), self, self, [.. Of("RAFT_SEEDS").Split(' ').Select(IPEndPoint.Parse)], Of("RAFT_SECRET"), "test")
                {
                    Times = RaftCluster.Times,
                },
                NullLoggerFactory.Instance);
        }
        await using IClusterStore closing = store;
        await store.OpenAsync(CancellationToken.None);

        HostApplicationBuilder builder = Host.CreateEmptyApplicationBuilder(new() { DisableDefaults = true });
        builder.UseOrleans(silo =>
        {
            silo.Configure<ClusterOptions>(cluster => cluster.ClusterId = cluster.ServiceId = "test");
            silo.Configure<EndpointOptions>(endpoints =>
            {
                endpoints.AdvertisedIPAddress = IPAddress.Loopback;
                endpoints.SiloPort = int.Parse(Of("SILO_PORT"), CultureInfo.InvariantCulture);
                endpoints.GatewayPort = 0;
            });
            if (account.Length != 0) silo.UseAzureStorageClustering(options => options.TableServiceClient = new(account));
            else if (database.Length == 0) silo.UseClusterStore(store);
            else silo.UseAdoNetClustering(options => (options.Invariant, options.ConnectionString) = ("Npgsql", database));
        });
        using IHost host = builder.Build();
        await host.StartAsync();
        IClusterMembershipService members = host.Services.GetRequiredService<IClusterMembershipService>();
        _ = Task.Run(async () =>
        {
            await foreach (ClusterMembershipSnapshot view in members.MembershipUpdates)
            {
                IEnumerable<string> silos =
                    from silo in view.Members.Values
                    orderby silo.SiloAddress.Generation
                    select $"{silo.SiloAddress.Endpoint.Port}@{silo.SiloAddress.Generation}={silo.Status}";
                Console.WriteLine($"view {string.Join(' ', silos)}");
            }
        });
        while (Console.ReadLine() is not null)
        {
        }
        await host.StopAsync();
    }
}
