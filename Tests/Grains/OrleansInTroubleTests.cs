using System.Globalization;
using System.Net;
using System.Net.Sockets;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging.Abstractions;
using OrleansRedis.Engine;
using OrleansRedis.Grains;
using OrleansRedis.Grains.Storage;
using OrleansRedis.Silo;
using OrleansRedis.Tests.Gateway;
using OrleansRedis.Tests.Harness;
using Xunit;

namespace OrleansRedis.Tests.Grains;

/// <summary>What Orleans does in trouble must not end the process, nor keep it from ending in order.</summary>
public sealed class OrleansInTroubleTests
{
    private static readonly TimeSpan s_long = TimeSpan.FromMinutes(5); // Orleans does a lot to start, and some of it by the clock

    [Theory]
    [InlineData(0)]
    [InlineData(30)]
    [InlineData(100)]
    [InlineData(200)]
    [InlineData(250)]
    [InlineData(300)]
    [InlineData(400)]
    public async Task A_server_that_is_told_to_stop_while_its_silo_starts_saves_and_ends_in_order(int delayMs)
    {
        await using RedisProcess server = await RedisProcess.StartAsync(ServerKind.OrleansRedis, "--save", "3600 1");
        await using RespConnection redis = await server.ConnectAsync();
        await redis.CallAsync("SET", "key", "value");
        await Task.Delay(delayMs); // some moment of the silo's start, each time another one
        await server.TerminateAsync();
        Assert.Equal(0, server.ExitCode);
        Assert.True(File.Exists(Path.Combine(server.Directory, "dump.rdb")), server.Describe());
        Assert.DoesNotContain(server.Log, line => line.Contains("exception", StringComparison.OrdinalIgnoreCase));
    }

    [Fact]
    public async Task A_start_that_gets_next_to_no_processor_time_ends_in_a_working_silo()
    {
        int gatewayPort = RedisProcess.FreePort();
        await using RedisProcess server =
            await RedisProcess.StartAsync(ServerKind.OrleansRedis, "--orleans-gateway-port", gatewayPort.ToString(CultureInfo.InvariantCulture));
        for (int i = 0; i < 20; i++)
        {
            server.Suspend();
            await Task.Delay(400); // the starvation itself: the process runs for a tenth of the time
            server.Resume();
            await Task.Delay(40);
        }
        await server.WaitForLogAsync("Orleans clients find the grains", s_long);
        Assert.DoesNotContain(server.Log, line => line.Contains("ServerGC", StringComparison.Ordinal)); // not the operator's business
        await using var console = new StringWriter();
        await ReadmeSample.RunAsync(gatewayPort, console);
        Assert.StartsWith("hello from a grain client", console.ToString(), StringComparison.Ordinal);
        await server.TerminateAsync();
        Assert.Equal(0, server.ExitCode);
    }

    [Fact]
    public async Task A_port_that_is_taken_is_named_clients_are_served_and_the_silo_starts_once_it_is_free()
    {
        using var other = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        other.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        other.Listen();
        string port = ((IPEndPoint)other.LocalEndPoint!).Port.ToString(CultureInfo.InvariantCulture);
        await using RedisProcess server = await RedisProcess.StartAsync(ServerKind.OrleansRedis, "--orleans-gateway-port", port);
        string line = await server.WaitForLogAsync("could not start", s_long);
        Assert.Contains($"orleans-gateway-port {port} of 127.0.0.1: Address already in use", line, StringComparison.Ordinal);
        await using RespConnection redis = await server.ConnectAsync();
        Assert.Equal("PONG", (await redis.CallAsync("PING")).Text);
        other.Close();
        await server.WaitForLogAsync($"Orleans clients find the grains at port {port}", s_long);
    }

    [Fact]
    public async Task Of_servers_that_start_at_the_same_moment_one_has_the_port_and_the_others_say_which_it_is()
    {
        string port = RedisProcess.FreePort().ToString(CultureInfo.InvariantCulture);
        List<RedisProcess> servers =
            [.. await Task.WhenAll(Enumerable.Range(0, 3).Select(_ => RedisProcess.StartAsync(ServerKind.OrleansRedis, "--orleans-gateway-port", port)))];
        try
        {
            while (servers.Count > 1)
            {
                // Whoever has the port goes, and somebody else gets it.
                RedisProcess? owner = null;
                await Eventually.TrueAsync(() => (owner = servers.Find(HasPort)) is not null, () => "nobody has the port", s_long);
                servers.Remove(owner!);
                foreach (RedisProcess other in servers)
                {
                    await other.WaitForLogAsync($"orleans-gateway-port {port} of 127.0.0.1: Address already in use", s_long);
                    Assert.False(HasPort(other));
                }
                await owner!.DisposeAsync();
            }
            await servers[0].WaitForLogAsync($"Orleans clients find the grains at port {port}", s_long);
        }
        finally
        {
            foreach (RedisProcess server in servers) await server.DisposeAsync();
        }

        static bool HasPort(RedisProcess server) =>
            server.Log.Any(line => line.Contains("Orleans clients find the grains at port", StringComparison.Ordinal));
    }

    [Fact]
    public async Task A_silo_that_learns_that_it_is_dead_has_the_server_end_in_order()
    {
        await using InProcessServer server = await InProcessServer.StartAsync(options => options.Save = SavePoints.Default);
        var asked = new TaskCompletionSource();
        server.Server.StopRequested = asked.SetResult;
        await using var storage = new MemorySlotStorage();
        await using var stored = new StoredSlots(server.Store, storage, EngineHarness.Commands);
        using var slots = new SlotHost(server.Store, stored);
        using var orleans = new OrleansHost(
            server.Server, slots, server.Server.Runner, NullLoggerFactory.Instance, NullLogger<OrleansHost>.Instance);
        await orleans.StartAsync(default);
        await Eventually.TrueAsync(() => orleans.Services is not null, timeout: s_long);
        await using RespConnection redis = await server.ConnectAsync();
        await redis.CallAsync("SET", "key", "value");

        // What the others do to a silo that does not answer them.
        IMembershipTable table = orleans.Services!.GetRequiredService<IMembershipTable>();
        SiloAddress silo = orleans.Services!.GetRequiredService<ILocalSiloDetails>().SiloAddress;
        MembershipTableData read = await table.ReadAllAsync(default);
        (MembershipEntry entry, string etag) = read.Members.Single(member => member.Item1.SiloAddress.Equals(silo));
        entry.Status = SiloStatus.Dead;
        Assert.True(await table.UpdateRowAsync(entry, etag, read.Version.Next(), default));
        await orleans.Services!.GetRequiredService<IClusterMembershipService>().Refresh();

        await asked.Task.WaitAsync(s_long);
        Assert.True(orleans.HasFailed);
        Assert.True(File.Exists(Path.Combine(server.Store.Options.Dir, "dump.rdb")));
        await orleans.StopAsync(default);
    }
}
