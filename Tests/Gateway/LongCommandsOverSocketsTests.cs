using OrleansRedis.Tests.Harness;
using Xunit;
using Xunit.Abstractions;

namespace OrleansRedis.Tests.Gateway;

/// <summary>
/// One I/O thread serves all connections here, so a command that keeps it busy keeps every client waiting.
/// </summary>
public sealed class LongCommandsOverSocketsTests(ITestOutputHelper output) : IAsyncLifetime
{
    private const int Elements = 1_000_000, InOneRequest = 2_000;

    private RedisProcess server = null!;
    private RespConnection busy = null!, other = null!;

    public async Task InitializeAsync()
    {
        server = await RedisProcess.StartAsync(ServerKind.OrleansRedis, "--io-threads", "1");
        busy = await server.ConnectAsync();
        other = await server.ConnectAsync();
        // Two sets that share half of their members.
        await busy.PipelineAsync([.. Enumerable.Range(0, 2 * Elements / InOneRequest).Select(batch => (RespArgument[])
            ["SADD", batch % 2 == 0 ? "one" : "two",
                .. Enumerable.Range(batch / 2 * InOneRequest + (batch % 2 * Elements / 2), InOneRequest).Select(i => (RespArgument)$"member:{i}")])]);
    }

    public async Task DisposeAsync()
    {
        await busy.DisposeAsync();
        await other.DisposeAsync();
        await server.DisposeAsync();
    }

    [Fact]
    public async Task Other_connections_are_answered_while_a_command_goes_through_millions_of_elements()
    {
        Assert.Equal($":{Elements * 3 / 2}", await Meanwhile("SUNIONSTORE", "union", "one", "two"));
        Assert.Equal($":{Elements / 2}", await Meanwhile("SINTERCARD", "2", "one", "two"));
        Assert.Equal($":{Elements}", await Meanwhile("SORT", "one", "ALPHA", "DESC", "STORE", "sorted"));
    }

    [Fact]
    public async Task Other_connections_are_answered_while_KEYS_goes_through_a_million_keys()
    {
        Assert.Equal("+OK", (await busy.CallAsync("DEBUG", "POPULATE", Elements)).ToString());
        Assert.Equal("[]", await Meanwhile("KEYS", "*:no[a-z]*such*key*at*all"));
    }

    /// <summary>
    /// Runs a command on one connection and uses the other until the command is answered: again and again until the
    /// machine has let the other one come in twice. If it had to wait for the end of the command, it never would.
    /// </summary>
    private async Task<string> Meanwhile(params RespArgument[] command)
    {
        const int Tries = 50;
        for (int turn = 0; turn < Tries; turn++)
        {
            await busy.SendAsync(command);
            Task<RespValue> reply = busy.ReadAsync();
            int answered = 0;
            while (!reply.IsCompleted)
            {
                Assert.Equal("+PONG", (await other.CallAsync("PING")).ToString());
                Assert.Equal("+OK", (await other.CallAsync("MSET", "elsewhere", answered, "somewhere", answered)).ToString());
                if (!reply.IsCompleted) answered++;
            }
            string text = (await reply).ToString();
            output.WriteLine($"{command[0]}: {answered} times two commands were answered meanwhile");
            if (answered >= 2) return text;
        }
        Assert.Fail($"while {command[0]} runs, nobody is answered");
        return "";
    }
}
