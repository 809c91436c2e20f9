using OrleansRedis.Tests.Harness;
using Xunit;

namespace OrleansRedis.Tests.Gateway;

/// <summary>What only a whole process can show about its configuration.</summary>
public sealed class ConfigurationProcessTests
{
    [Fact]
    public async Task A_directive_that_does_not_exist_ends_the_start_with_its_line()
    {
        (int exitCode, string output) = await RedisProcess.RunToExitAsync("--no-such-directive", "5");
        Assert.Equal(1, exitCode);
        Assert.Contains("*** FATAL CONFIG FILE ERROR (", output);
        Assert.Contains("Reading the configuration file, at line ", output);
        Assert.Contains("\n>>> 'no-such-directive \"5\"'\nBad directive or wrong number of arguments", output);
    }

    [Fact]
    public async Task The_port_can_be_changed_while_clients_stay_connected()
    {
        await using RedisProcess server = await RedisProcess.StartAsync();
        await using RespConnection redis = await server.ConnectAsync();
        int free = RedisProcess.FreePort();
        Assert.Equal("+OK", (await redis.CallAsync("CONFIG", "SET", "port", free)).ToString());
        Assert.Equal("+PONG", (await redis.LineAsync("PING")).ToString());
        await using RespConnection there = await RespConnection.ConnectAsync("127.0.0.1", free, server);
        Assert.Equal("+PONG", (await there.LineAsync("PING")).ToString());
        await Assert.ThrowsAnyAsync<Exception>(server.ConnectAsync);

        await using RedisProcess other = await RedisProcess.StartAsync();
        Assert.StartsWith("-ERR CONFIG SET failed (possibly related to argument 'port') - Unable to listen on this port",
            (await redis.CallAsync("CONFIG", "SET", "port", other.Port)).ToString());
        Assert.Equal(free.ToString(), (await redis.LineAsync("CONFIG GET port"))[1].Text);
        await using RespConnection again = await RespConnection.ConnectAsync("127.0.0.1", free, server);
        Assert.Equal("+PONG", (await again.LineAsync("PING")).ToString());
    }

    [Fact]
    public async Task An_address_that_is_not_there_is_refused_and_the_old_one_stays()
    {
        await using RedisProcess server = await RedisProcess.StartAsync();
        await using RespConnection redis = await server.ConnectAsync();
        foreach (string address in (string[])["192.0.2.1", "999.999.999.999"])
        {
            Assert.Equal("-ERR CONFIG SET failed (possibly related to argument 'bind') - Failed to bind to specified addresses.",
                (await redis.CallAsync("CONFIG", "SET", "bind", address)).ToString());
            await using RespConnection other = await server.ConnectAsync();
            Assert.Equal("+PONG", (await other.LineAsync("PING")).ToString());
        }
    }

    [Fact]
    public async Task Maxclients_refuses_the_next_one()
    {
        await using RedisProcess server = await RedisProcess.StartAsync();
        await using RespConnection redis = await server.ConnectAsync();
        Assert.Equal("+OK", (await redis.LineAsync("CONFIG SET maxclients 1")).ToString());
        await using RespConnection one = await server.ConnectAsync();
        Assert.Equal("-ERR max number of clients reached", (await one.ReadAsync()).ToString());
        Assert.Contains("rejected_connections:1\r\n", (await redis.LineAsync("INFO stats")).Text);
    }

    [Fact]
    public async Task No_more_clients_are_let_in_than_the_process_can_have_files_open()
    {
        await using RedisProcess server = await RedisProcess.StartWithOpenFilesAsync(400);
        Assert.Contains(server.Log, line => line.Contains("You requested maxclients of 10000 requiring at least ", StringComparison.Ordinal));
        Assert.Contains(server.Log, line => line.Contains("Current maximum open files is 400. maxclients has been reduced to ", StringComparison.Ordinal));
        await using RespConnection redis = await server.ConnectAsync();
        int most = int.Parse((await redis.LineAsync("CONFIG GET maxclients"))[1].Text, System.Globalization.CultureInfo.InvariantCulture);
        Assert.InRange(most, 50, 272);
        Assert.StartsWith("-ERR CONFIG SET failed (possibly related to argument 'maxclients') - "
            + "The operating system is not able to handle the specified number of clients, try with ",
            (await redis.LineAsync("CONFIG SET maxclients 500")).ToString());
        List<RespConnection> clients = [];
        for (int i = 1; i < 600; i++)
        {
            RespConnection client = await server.ConnectAsync();
            clients.Add(client);
            if (i < most) Assert.Equal("+PONG", (await client.LineAsync("PING")).ToString());
            else Assert.Equal("-ERR max number of clients reached", (await client.ReadAsync()).ToString());
        }
        Assert.Equal("+PONG", (await redis.LineAsync("PING")).ToString());
        foreach (RespConnection client in clients) await client.DisposeAsync();
        Assert.DoesNotContain(server.Log, line => line.Contains("Could not accept", StringComparison.Ordinal));
    }

    [Fact]
    public async Task Shutdown_ends_the_process()
    {
        await using RedisProcess server = await RedisProcess.StartAsync();
        await using RespConnection redis = await server.ConnectAsync();
        await redis.SendAsync("SHUTDOWN", "NOSAVE");
        await server.WaitForExitAsync(Eventually.Deadline);
        Assert.Equal(0, server.ExitCode);
    }
}
