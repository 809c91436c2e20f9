using System.Net;
using Microsoft.Extensions.Logging.Abstractions;
using OrleansRedis.Engine;
using OrleansRedis.Grains.ClusterStores;
using OrleansRedis.Grains.ClusterStores.Raft;
using OrleansRedis.Tests.Harness;
using Xunit;

namespace OrleansRedis.Tests.Storage;

/// <summary>What the directives about clustering say together.</summary>
public sealed class ClusterStoresTests
{
    [Fact]
    public void A_lone_silo_has_no_store() => Assert.Null(ClusterStores.Create(new(), NullLoggerFactory.Instance));

    [Fact]
    public void Seeds_name_silo_ports_and_rafts_are_ten_thousand_higher()
    {
        RaftSettings settings = ClusterStores.RaftSettingsOf(Raft("127.0.0.1:11111,localhost:11112, 127.0.0.1:11113"));
        Assert.Equal(new IPEndPoint(IPAddress.Loopback, 21112), settings.Self);
        Assert.Equal([21111, 21112, 21113], settings.Seeds.Select(seed => seed.Port));
        Assert.All(settings.Seeds, seed => Assert.Equal(IPAddress.Loopback, seed.Address));
        Assert.Equal(Path.Combine("somewhere", "raft"), settings.Directory);
    }

    [Fact]
    public void A_machine_that_listens_everywhere_is_known_by_what_it_announces()
    {
        ServerOptions options = Raft("10.0.0.1:11111,10.0.0.2:11112");
        (options.OrleansBind, options.OrleansAnnounceIp, options.OrleansClusterSecret) = ("*", "10.0.0.2", "secret");
        RaftSettings settings = ClusterStores.RaftSettingsOf(options);
        Assert.Equal(IPEndPoint.Parse("10.0.0.2:21112"), settings.Self);
        Assert.Equal(IPEndPoint.Parse("0.0.0.0:21112"), settings.Listen);
        Assert.Contains(settings.Self, settings.Seeds);
    }

    [Theory]
    [InlineData("orleans-seeds is for orleans-clustering raft", "orleans-seeds", "127.0.0.1:11111")]
    [InlineData("are for orleans-clustering adonet", "orleans-adonet-invariant", "Npgsql")]
    [InlineData("needs orleans-silo-port", "orleans-clustering", "raft", "orleans-seeds", "127.0.0.1:11111")]
    [InlineData("needs orleans-seeds", "orleans-clustering", "raft", "orleans-silo-port", "11111")]
    [InlineData("'127.0.0.1' is not the address", "orleans-clustering", "raft", "orleans-silo-port", "11111", "orleans-seeds", "127.0.0.1")]
    [InlineData("'127.0.0.1:x' is not the address", "orleans-clustering", "raft", "orleans-silo-port", "11111", "orleans-seeds", "127.0.0.1:x")]
    [InlineData("twice", "orleans-clustering", "raft", "orleans-silo-port", "11111", "orleans-seeds", "127.0.0.1:11111,localhost:11111")]
    [InlineData("has no address", "orleans-clustering", "raft", "orleans-silo-port", "11111", "orleans-seeds", "nowhere.invalid:11111")]
    [InlineData("silo ports below 55536", "orleans-clustering", "raft", "orleans-silo-port", "60000", "orleans-seeds", "127.0.0.1:60000")]
    [InlineData("cannot reach this one", "orleans-clustering", "raft", "orleans-silo-port", "11111", "orleans-seeds", "127.0.0.1:11111,10.0.0.2:11111")]
    [InlineData("needs orleans-announce-ip", "orleans-clustering", "raft", "orleans-silo-port", "11111", "orleans-seeds", "10.0.0.1:1",
        "orleans-bind", "*")]
    [InlineData("needs orleans-cluster-secret", "orleans-clustering", "raft", "orleans-silo-port", "11111", "orleans-seeds", "10.0.0.1:1",
        "orleans-announce-ip", "10.0.0.1")]
    [InlineData("needs orleans-adonet-invariant Npgsql", "orleans-clustering", "adonet", "orleans-silo-port", "11111")]
    [InlineData("is for orleans-clustering azure", "orleans-azure-connection-string", "UseDevelopmentStorage=true")]
    [InlineData("needs orleans-azure-connection-string", "orleans-clustering", "azure", "orleans-silo-port", "11111")]
    [InlineData("orleans-azure-connection-string", "orleans-clustering", "azure", "orleans-silo-port", "11111",
        "orleans-azure-connection-string", "nonsense")]
    [InlineData("needs orleans-adonet-invariant Npgsql", "orleans-clustering", "adonet", "orleans-silo-port", "11111",
        "orleans-adonet-invariant", "MySql.Data.MySqlClient", "orleans-adonet-connection-string", "Host=x")]
    [InlineData("orleans-adonet-connection-string", "orleans-clustering", "adonet", "orleans-silo-port", "11111",
        "orleans-adonet-invariant", "Npgsql", "orleans-adonet-connection-string", "no such setting=1")]
    public void What_does_not_fit_together_is_named(string message, params string[] directives)
    {
        string[] arguments = [.. directives.Select((word, i) => i % 2 == 0 ? $"--{word}" : word)];
        ServerOptions options = ServerConfiguration.Load(arguments).Options;
        ArgumentException refused = Assert.ThrowsAny<ArgumentException>(() => ClusterStores.Create(options, NullLoggerFactory.Instance));
        Assert.Contains(message, refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_directory_and_a_port_have_one_owner()
    {
        await using var cluster = new RaftCluster(1);
        await cluster.StartAsync(0);
        RaftSettings settings = cluster.SettingsOf(0);
        Assert.Throws<IOException>(() => new RaftClusterStore(
            settings with { Listen = new(IPAddress.Loopback, RedisProcess.FreePort()) }, NullLoggerFactory.Instance));
        Assert.Throws<System.Net.Sockets.SocketException>(() => new RaftClusterStore(
            settings with { Directory = cluster.DirectoryOf(1) }, NullLoggerFactory.Instance));
    }

    private static ServerOptions Raft(string seeds) => new()
    {
        OrleansClustering = OrleansClustering.Raft,
        OrleansSiloPort = 11112,
        OrleansSeeds = seeds,
        Dir = "somewhere",
    };
}
