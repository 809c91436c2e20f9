using OrleansRedis.Tests.Harness;
using Xunit;

namespace OrleansRedis.Tests.Scripts;

/// <summary>A script that does not end, as the server's other clients see it.</summary>
[Trait("Needs", "servers")]
public sealed class BusyScriptTests
{
    private const string Quick = "if ARGV[1] == 'loop' then while true do end end return 1";

    private const string Library = """
        #!lua name=lib
        redis.register_function('f', function(keys, args) if args[1] == 'loop' then while true do end end return 1 end)
        """;

    /// <summary>Ways to a script that does not end: what precedes it, the last command, and its kind.</summary>
    public static TheoryData<int, string, string[], string[], string> Scripts
    {
        get
        {
            var cases = new TheoryData<int, string, string[], string[], string>();
            foreach (int threads in (int[])[1, 2])
            {
                cases.Add(threads, "one that has been quick so far", ["EVAL", Quick, "0", "no"], ["EVAL", Quick, "0", "loop"], "SCRIPT");
                cases.Add(threads, "one that is new", ["PING"], ["EVAL", "while true do end", "0"], "SCRIPT");
                cases.Add(threads, "one that runs alone", ["PING"], ["EVAL", "redis.call('keys', '*') while true do end", "0"], "SCRIPT");
                cases.Add(threads, "one that catches its end", ["PING"], ["EVAL", "while true do pcall(function() while true do end end) end", "0"], "SCRIPT");
                cases.Add(threads, "a function", ["FCALL", "f", "0", "no"], ["FCALL", "f", "0", "loop"], "FUNCTION");
                cases.Add(threads, "a pattern", ["PING"], ["EVAL", "return (('a'):rep(300)):find(('a*'):rep(50) .. 'b')", "0"], "SCRIPT");
            }
            return cases;
        }
    }

    [Theory]
    [MemberData(nameof(Scripts))]
    public async Task Others_are_told_that_a_script_does_not_end_and_can_end_it(int threads, string what, string[] before, string[] script, string kind)
    {
        _ = what;
        await using RedisProcess server = await StartAsync(threads);
        await using RespConnection running = await server.ConnectAsync(), other = await server.ConnectAsync();
        if (kind == "FUNCTION") Assert.Equal("lib", (await other.CallAsync("FUNCTION", "LOAD", Library)).Text);
        // Scripts that have been quick so far run on their client's I/O thread.
        for (int i = 0; i < 20; i++) Assert.False((await running.CallAsync(Words(before))).IsError);
        Task<RespValue> reply = running.CallAsync(Words(script));
        await BusyAsync(other);
        await using RespConnection third = await server.ConnectAsync();
        foreach (string line in (string[])["GET a", "SET a 1", "FLUSHALL", "KEYS *", "EVAL return 0", "MSET a 1 b 2", "SHUTDOWN"])
            Assert.StartsWith("-BUSY", (await third.LineAsync(line)).ToString(), StringComparison.Ordinal);
        string wrong = kind == "SCRIPT" ? "FUNCTION" : "SCRIPT";
        Assert.StartsWith("-BUSY", (await third.CallAsync(wrong, "KILL")).ToString(), StringComparison.Ordinal);
        Assert.Equal("+OK", (await other.CallAsync(kind, "KILL")).ToString());
        Assert.Contains("Script killed by user", (await reply).ToString(), StringComparison.Ordinal);
        Assert.Equal("+PONG", (await other.CallAsync("PING")).ToString());
        Assert.Equal("+PONG", (await running.CallAsync("PING")).ToString());
        Assert.StartsWith("-NOTBUSY", (await other.CallAsync(kind, "KILL")).ToString(), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public async Task Others_are_told_when_a_transaction_runs_a_script_that_does_not_end(int threads)
    {
        await using RedisProcess server = await StartAsync(threads);
        await using RespConnection running = await server.ConnectAsync(), other = await server.ConnectAsync();
        Task<RespValue[]> replies = running.PipelineAsync(["MULTI"], ["INCR", "a"], ["EVAL", "while true do end", "0"], ["INCR", "a"], ["EXEC"]);
        await BusyAsync(other);
        Assert.Equal("+OK", (await other.CallAsync("SCRIPT", "KILL")).ToString());
        RespValue exec = (await replies)[^1];
        Assert.Equal(":1", exec.Items[0].ToString());
        Assert.Contains("Script killed by user", exec.Items[1].ToString(), StringComparison.Ordinal);
        Assert.Equal(":2", exec.Items[2].ToString());
        Assert.Equal("2", (await other.CallAsync("GET", "a")).Text);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public async Task Many_clients_with_scripts_that_do_not_end_leave_somebody_to_answer(int threads)
    {
        await using RedisProcess server = await StartAsync(threads);
        await using RespConnection other = await server.ConnectAsync();
        for (int i = 0; i < 20; i++) await other.CallAsync("EVAL", Quick, "0", "no");
        RespConnection[] clients = new RespConnection[40];
        for (int i = 0; i < clients.Length; i++) clients[i] = await server.ConnectAsync();
        Task<RespValue[]> replies = Task.WhenAll(clients.Select(client => client.CallAsync("EVAL", Quick, "0", "loop")));
        // Those that wait for their turn are refused when the first one is found not to end.
        while (!replies.IsCompleted)
        {
            RespValue killed = await other.CallAsync("SCRIPT", "KILL");
            if (killed.IsError) Assert.StartsWith("-NOTBUSY", killed.ToString(), StringComparison.Ordinal);
            await Task.WhenAny(replies, Task.Delay(10));
        }
        foreach (RespValue reply in await replies)
            Assert.Matches("BUSY Redis is busy|Script killed by user", reply.ToString());
        foreach (RespConnection client in clients)
        {
            Assert.Equal("+PONG", (await client.CallAsync("PING")).ToString());
            await client.DisposeAsync();
        }
    }

    [Fact]
    public async Task Who_waits_for_what_a_script_holds_is_told_when_it_is_found_not_to_end()
    {
        await using RedisProcess server = await StartAsync(1, busyAfterMs: 1000);
        await using RespConnection running = await server.ConnectAsync(), other = await server.ConnectAsync();
        Task<RespValue> reply = running.CallAsync("EVAL", "while true do end", "1", "a");
        RespConnection[] clients = new RespConnection[5];
        for (int i = 0; i < clients.Length; i++) clients[i] = await server.ConnectAsync();
        string[] lines = ["GET a", "FLUSHALL", "KEYS *", "EVAL return 0", "SET a 1"];
        RespValue[] replies = await Task.WhenAll(clients.Select((client, i) => client.LineAsync(lines[i])));
        // Whoever came before the script, or does not need its key, got an answer.
        Assert.All(replies, waited => Assert.DoesNotContain("killed", waited.ToString(), StringComparison.Ordinal));
        await BusyAsync(other);
        Assert.Equal("+OK", (await other.CallAsync("SCRIPT", "KILL")).ToString());
        Assert.Contains("Script killed by user", (await reply).ToString(), StringComparison.Ordinal);
        foreach (RespConnection client in clients) await client.DisposeAsync();
    }

    [Theory]
    [InlineData("redis.call('set', KEYS[1], 1) while true do end")]
    [InlineData("redis.call('set', KEYS[1], 1) redis.call('keys', '*') while true do end")]
    [InlineData("redis.call('flushall') redis.call('set', KEYS[1], 1) while true do end")]
    public async Task A_script_that_has_written_ends_with_the_server_and_leaves_nothing_behind(string script)
    {
        string directory = System.IO.Directory.CreateTempSubdirectory("redis-").FullName;
        try
        {
            await using (RedisProcess server = await StartAsync(1, directory: directory))
            {
                await using RespConnection running = await server.ConnectAsync(), other = await server.ConnectAsync();
                Assert.Equal("+OK", (await other.CallAsync("SET", "before", "1")).ToString());
                Task reply = running.CallAsync("EVAL", script, "1", "a");
                await BusyAsync(other);
                Assert.StartsWith("-UNKILLABLE", (await other.CallAsync("SCRIPT", "KILL")).ToString(), StringComparison.Ordinal);
                Assert.StartsWith("-BUSY", (await other.CallAsync("SHUTDOWN", "SAVE")).ToString(), StringComparison.Ordinal);
                await other.SendAsync("SHUTDOWN", "NOSAVE");
                await Eventually.TrueAsync(() => server.HasExited, () => "it does not end");
                Assert.Equal(0, server.ExitCode);
                await Task.WhenAny(reply); // whatever it is
            }
            await using RedisProcess again = await StartAsync(1, directory: directory);
            await using RespConnection redis = await again.ConnectAsync();
            Assert.Equal(":1", (await redis.CallAsync("EXISTS", "before")).ToString());
            Assert.Equal(":0", (await redis.CallAsync("EXISTS", "a")).ToString());
        }
        finally
        {
            System.IO.Directory.Delete(directory, recursive: true);
        }
    }

    private static Task<RedisProcess> StartAsync(int threads, int busyAfterMs = 50, string? directory = null) => RedisProcess.StartAsync(
        ServerKind.OrleansRedis, directory, 0, "--io-threads", $"{threads}", "--busy-reply-threshold", $"{busyAfterMs}", "--appendonly",
        directory is null ? "no" : "yes");

    private static Task BusyAsync(RespConnection other) =>
        Eventually.TrueAsync(async () => (await other.CallAsync("PING")).ToString().Contains("BUSY", StringComparison.Ordinal));

    private static RespArgument[] Words(string[] words) => [.. words.Select(word => (RespArgument)word)];
}
