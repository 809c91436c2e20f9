using OrleansRedis.Tests.Harness;
using Xunit;

namespace OrleansRedis.Tests.Scripts;

/// <summary>A script that does not end, as the server's other clients see it.</summary>
[Trait("Needs", "servers")]
public sealed class BusyScriptTests
{
    [Fact]
    public async Task A_script_that_never_ends_does_not_keep_the_other_clients_of_its_thread_waiting()
    {
        await using RedisProcess server = await RedisProcess.StartAsync("--io-threads", "2", "--busy-reply-threshold", "50");
        await using RespConnection looping = await server.ConnectAsync(), other = await server.ConnectAsync();
        const string Script = "if ARGV[1] == 'loop' then while true do end end return 1";
        // Scripts that have been quick so far run on their client's I/O thread.
        for (int i = 0; i < 20; i++) Assert.Equal(":1", (await looping.CallAsync("EVAL", Script, "0", "no")).ToString());
        Task<RespValue> running = looping.CallAsync("EVAL", Script, "0", "loop");
        await Eventually.TrueAsync(async () => (await other.CallAsync("PING")).ToString().Contains("BUSY", StringComparison.Ordinal));
        await using RespConnection third = await server.ConnectAsync();
        Assert.Contains("BUSY", (await third.CallAsync("FLUSHALL")).ToString(), StringComparison.Ordinal);
        Assert.Equal("+OK", (await other.CallAsync("SCRIPT", "KILL")).ToString());
        Assert.Contains("Script killed by user", (await running).ToString(), StringComparison.Ordinal);
        Assert.Equal("+PONG", (await other.CallAsync("PING")).ToString());
    }
}
