using System.Globalization;
using OrleansRedis.Tests.Harness;
using Xunit;

namespace OrleansRedis.Tests.Storage;

/// <summary>Servers that are told to be a cluster.</summary>
[Trait("Needs", "servers")]
[Collection(PostgresServer.Collection)]
public sealed class ServerClusterTests(PostgresServer server)
{
    /// <summary>A machine that is busy must not cost a silo its place.</summary>
    private static readonly string[] s_patient = ["--cluster-node-timeout", "15000"];

    [Fact]
    public async Task Three_servers_with_the_same_seeds_are_a_cluster_and_notice_one_that_is_killed()
    {
        int[] ports = [.. Enumerable.Range(0, 3).Select(_ => RedisProcess.FreeSiloPort())];
        string seeds = string.Join(',', ports.Select(port => $"127.0.0.1:{port}"));
        await RunAsync(port => ["--orleans-clustering", "raft", "--orleans-seeds", seeds, "--orleans-silo-port", Text(port)], ports);
    }

    [SkippableFact]
    public async Task Servers_on_PostgreSQL_are_a_cluster()
    {
        PostgresServer.Require();
        string database = await server.CreateDatabaseAsync();
        await RunAsync(
            port =>
            [
                "--orleans-clustering", "adonet", "--orleans-adonet-invariant", "Npgsql", "--orleans-adonet-connection-string", database,
                "--orleans-silo-port", Text(port),
            ],
            [RedisProcess.FreeSiloPort(), RedisProcess.FreeSiloPort()]);
    }

    [Fact]
    public async Task A_server_without_the_secret_is_not_let_in()
    {
        int[] ports = [RedisProcess.FreeSiloPort(), RedisProcess.FreeSiloPort()];
        string[] common = ["--orleans-clustering", "raft", "--orleans-seeds", $"127.0.0.1:{ports[0]}", "--orleans-silo-port"];
        await using RedisProcess member =
            await RedisProcess.StartAsync(ServerKind.OrleansRedis, [.. common, Text(ports[0]), "--orleans-cluster-secret", "right"]);
        await member.WaitForLogAsync("leads the cluster's store", Eventually.Deadline);
        await using RedisProcess stranger =
            await RedisProcess.StartAsync(ServerKind.OrleansRedis, [.. common, Text(ports[1]), "--orleans-cluster-secret", "wrong"]);
        await member.WaitForLogAsync("it does not know the secret", Eventually.Deadline);
    }

    [Fact]
    public async Task Directives_that_do_not_fit_together_end_the_start()
    {
        (int code, string output) = await RedisProcess.RunToExitAsync("--orleans-clustering", "raft", "--orleans-silo-port", "11111");
        Assert.Equal(1, code);
        Assert.Contains("FATAL CONFIG ERROR", output, StringComparison.Ordinal);
        Assert.Contains("needs orleans-seeds", output, StringComparison.Ordinal);
    }

    private static string Text(int port) => port.ToString(CultureInfo.InvariantCulture);

    private static async Task RunAsync(Func<int, string[]> directives, int[] ports)
    {
        RedisProcess[] servers =
            await Task.WhenAll(ports.Select(port => RedisProcess.StartAsync(ServerKind.OrleansRedis, [.. directives(port), .. s_patient])));
        try
        {
            foreach (RedisProcess one in servers) await one.WaitForLogAsync($"of the cluster's silos {ports.Length} are active", Eventually.Deadline);

            // They share the slots.
            await Eventually.TrueAsync(
                async () =>
                {
                    await using RespConnection redis = await servers[0].ConnectAsync();
                    string info = (await redis.CallAsync("INFO", "cluster")).Text;
                    return info.Contains($"orleans_silos:{ports.Length}\r\n", StringComparison.Ordinal)
                        && info.Contains("orleans_slots_assigned:16384\r\n", StringComparison.Ordinal);
                },
                servers[0].Describe);

            await servers[^1].KillAsync();
            foreach (RedisProcess survivor in servers[..^1])
            {
                await Eventually.TrueAsync(
                    () => survivor.Log.Any(line =>
                        line.Contains($":{ports[^1]}@", StringComparison.Ordinal) && line.Contains(" is Dead", StringComparison.Ordinal)),
                    survivor.Describe);
            }
        }
        finally
        {
            foreach (RedisProcess one in servers) await one.DisposeAsync();
        }
    }
}
