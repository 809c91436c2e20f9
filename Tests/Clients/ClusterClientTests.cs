using System.Globalization;
using OrleansRedis.Tests.Harness;
using StackExchange.Redis;
using Xunit;

namespace OrleansRedis.Tests.Clients;

/// <summary>A node of Redis Cluster that is alone and owns all slots.</summary>
public sealed class ClusterNodeServer : IAsyncLifetime
{
    public RedisProcess Process { get; private set; } = null!;

    public string Port => Process.Port.ToString(CultureInfo.InvariantCulture);

    public async Task InitializeAsync()
    {
        // Without an announced address redis-server tells clients none before it is met; this server, the one they have used.
        Process = await RedisProcess.StartAsync("--cluster-enabled", "yes");
        await using RespConnection redis = await Process.ConnectAsync();
        if (Process.Kind == ServerKind.Redis) await redis.CallAsync("CONFIG", "SET", "cluster-announce-ip", "127.0.0.1");
        Assert.Equal("+OK", (await redis.CallAsync("CLUSTER", "ADDSLOTSRANGE", "0", "16383")).ToString());
        await Eventually.TrueAsync(async () => (await redis.CallAsync("CLUSTER", "INFO")).Text.StartsWith("cluster_state:ok", StringComparison.Ordinal),
            () => "the cluster never was ok");
    }

    public async Task DisposeAsync() => await Process.DisposeAsync();
}

/// <summary>Clients that expect Redis Cluster, with one node.</summary>
public sealed class ClusterClientTests(ClusterNodeServer server) : IClassFixture<ClusterNodeServer>, IAsyncLifetime
{
    private static readonly string here = Path.Combine(RedisProcess.RepositoryRoot, "Tests", "Clients");

    public async Task InitializeAsync()
    {
        await using RespConnection redis = await server.Process.ConnectAsync();
        await redis.CallAsync("FLUSHALL");
    }

    public Task DisposeAsync() => Task.CompletedTask;

    [Theory]
    [InlineData("node", "node/session.js", "ioredis", "cluster")]
    [InlineData("node", "node/session.js", "node-redis", "cluster")]
    [InlineData("/usr/bin/python3", "python/session.py", "cluster")]
    public async Task A_client_of_the_cluster_finds_its_keys(string program, string script, params string[] arguments)
    {
        await using ClientProgram session = ClientProgram.Start(program, [Path.Combine(here, script), .. arguments, server.Port]);
        Assert.True(await session.WaitForExitAsync() == 0, session.Output + server.Process.Describe());
    }

    [Fact]
    public async Task StackExchange_sees_a_cluster()
    {
        using ConnectionMultiplexer redis = await ConnectionMultiplexer.ConnectAsync($"127.0.0.1:{server.Port},allowAdmin=true");
        IServer node = redis.GetServers().Single();
        Assert.Equal(ServerType.Cluster, node.ServerType);
        Assert.Equal(new SlotRange(0, 16383), Assert.Single((await node.ClusterNodesAsync())!.Nodes.Single().Slots));
        IDatabase db = redis.GetDatabase();
        Task<bool>[] writes = [.. Enumerable.Range(0, 1000).Select(i => db.StringSetAsync($"k:{i}", i))];
        Assert.All(await Task.WhenAll(writes), Assert.True);
        Assert.Equal(999, (int)await db.StringGetAsync("k:999"));
        await Assert.ThrowsAsync<RedisCommandException>(() => db.StringGetAsync(["a", "b"])); // the client itself knows better
        Assert.Equal(1, (int)await db.ScriptEvaluateAsync("return redis.call('incr', KEYS[1])", ["n"]));
        ITransaction transaction = db.CreateTransaction();
        transaction.AddCondition(Condition.KeyExists("n"));
        Task<long> incremented = transaction.StringIncrementAsync("n");
        Assert.True(await transaction.ExecuteAsync());
        Assert.Equal(2, await incremented);
    }

    /// <summary>Without its option --cluster, with which it wants two nodes.</summary>
    [Fact]
    public async Task Redis_benchmark_runs_against_the_node()
    {
        string report = await ClientProgram.RunAsync("redis-benchmark",
            "-p", server.Port, "-t", "set,get,lpush", "-n", "2000", "-c", "10", "-r", "1000", "-P", "8", "--csv");
        Assert.Contains("\"GET\",", report, StringComparison.Ordinal);
        Assert.DoesNotContain("rror", report, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Redis_cli_follows_redirections_and_manages_the_node()
    {
        Assert.Equal("OK", await CliAsync("-c", "SET", "foo", "bar"));
        Assert.Equal("bar", await CliAsync("-c", "GET", "foo"));
        string at = $"127.0.0.1:{server.Port}";
        Assert.Contains("[OK] All 16384 slots covered.", await CliAsync("--cluster", "check", at), StringComparison.Ordinal);
        Assert.Contains("1 keys | 16384 slots | 0 slaves.", await CliAsync("--cluster", "info", at), StringComparison.Ordinal);
        Assert.Contains("[OK] All 16384 slots covered.", await CliAsync("--cluster", "fix", at), StringComparison.Ordinal);
        Assert.Contains($"{at}: PONG", await CliAsync("--cluster", "call", at, "PING"), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Redis_cli_gives_slots_back_that_nobody_owns()
    {
        await CliAsync("CLUSTER", "DELSLOTSRANGE", "0", "99");
        await using ClientProgram fix = ClientProgram.Start("redis-cli", "--cluster", "fix", $"127.0.0.1:{server.Port}");
        await fix.WriteAsync("yes\n");
        Assert.True(await fix.WaitForExitAsync() == 0, fix.Output);
        Assert.Contains("cluster_state:ok", await CliAsync("CLUSTER", "INFO"), StringComparison.Ordinal);
    }

    private Task<string> CliAsync(params string[] arguments) => ClientProgram.RunAsync("redis-cli", ["-p", server.Port, .. arguments]);
}
