using System.Text.RegularExpressions;
using OrleansRedis.Tests.Harness;
using Xunit;

namespace OrleansRedis.Tests.Scripts;

/// <summary>SCRIPT DEBUG, and redis-cli's step debugger.</summary>
[Trait("Needs", "servers")]
public sealed partial class ScriptDebuggerTests
{
    private const string Script = """
        local a = 1
        local t = {1, 2, {x = "y"}}
        local function double(n)
          local m = n * 2
          return m
        end
        redis.call('set', KEYS[1], ARGV[1])
        a = double(21)
        redis.debug('hello', a, t, nil, true)
        redis.breakpoint()
        local v = redis.call('get', KEYS[1])
        redis.call('rpush', KEYS[2], 'a', 'b', string.rep('c', 300))
        redis.call('lrange', KEYS[2], 0, -1)
        return {a, v, "end"}
        """;

    /// <summary>Everything that the debugger can do that a user may type.</summary>
    private const string Session = """
        help
        list
        l 7 2
        l 0 1
        p
        s
        n
        next
        print t
        p nosuch
        p KEYS
        p ARGV
        break 4
        b 4
        b 12 100 x -3
        c
        trace
        print n
        p
        e 1+1
        e error('x')
        e local q = 5 return q
        e )
        e redis.call('get', 'k')
        r ping
        r set k{1} 5
        r get k{1}
        r nosuchcommand
        r lrange l 0 -1 1 2 3 4 5 6 7 8
        maxlen
        maxlen 0
        m 10
        b
        b -12
        b 0
        c
        w
        p v
        n
        s
        redis
        xyz
        s
        """;

    [Theory]
    [InlineData("--ldb")]
    [InlineData("--ldb-sync-mode")]
    public async Task Redis_cli_debugs_a_script_as_with_redis(string mode)
    {
        await using RedisProcess ours = await RedisProcess.StartAsync(ServerKind.OrleansRedis);
        await using RedisProcess redis = await RedisProcess.StartAsync(ServerKind.Redis);
        Assert.Equal(await DebugAsync(redis, mode, Script, Session), await DebugAsync(ours, mode, Script, Session));
    }

    [Theory]
    [InlineData("return (", "")]
    [InlineData("while true do end", "c\ntrace\nabort")]
    [InlineData("redis.call('set', KEYS[1], 1)\nredis.call('nosuch')\nreturn 1", "s\ns\ns\ns")]
    [InlineData("return 1", "abort")]
    [InlineData("return redis.sha1hex('')", "continue")]
    public async Task Scripts_that_fail_or_are_ended_do_so_as_with_redis(string script, string session)
    {
        string[] quick = ["--busy-reply-threshold", "200"];
        await using RedisProcess ours = await RedisProcess.StartAsync(ServerKind.OrleansRedis, quick);
        await using RedisProcess redis = await RedisProcess.StartAsync(ServerKind.Redis, quick);
        Assert.Equal(await DebugAsync(redis, "--ldb", script, session), await DebugAsync(ours, "--ldb", script, session));
    }

    /// <summary>What redis-cli says, and what becomes of the data.</summary>
    private static async Task<string> DebugAsync(RedisProcess server, string mode, string script, string session)
    {
        await using RespConnection redis = await server.ConnectAsync();
        await redis.PipelineAsync(["SET", "k", "before"], ["RPUSH", "l", "old"], ["PEXPIREAT", "l", "99999999999999"]);
        string file = Path.Combine(server.Directory, "script.lua");
        await File.WriteAllTextAsync(file, script);
        await using ClientProgram client = ClientProgram.Start("redis-cli", "-p", $"{server.Port}", mode, "--eval", file, "k", "l", ",", "after");
        await client.WriteAsync(session + "\n");
        client.CloseInput();
        await client.WaitForExitAsync();
        string data = $"{await redis.CallAsync("GET", "k")} {await redis.CallAsync("LRANGE", "l", "0", "-1")} {await redis.CallAsync("PEXPIRETIME", "l")}";
        return Normal().Replace($"{client.Output}\n{data}", "");
    }

    /// <summary>Colours, the time that a slow reply took, and what 7.4 says of an error beyond 7.0.</summary>
    [GeneratedRegex(@"\x1b\[[0-9;]*m|\(\d+\.\d+s\)\n|, on @user_script:\d+")]
    private static partial Regex Normal();

    [Fact]
    public async Task Copies_are_no_more_than_the_keys_that_commands_name()
    {
        await using RedisProcess server = await RedisProcess.StartAsync(ServerKind.OrleansRedis);
        await using RespConnection redis = await server.ConnectAsync(), other = await server.ConnectAsync();
        await other.PipelineAsync(
            ["SET", "a", "1"], ["HSET", "h", "f", "v"], ["HPEXPIRE", "h", "1000000", "FIELDS", "1", "f"], ["SET", "e", "1", "EX", "1000"]);
        await redis.CallAsync("SCRIPT", "DEBUG", "YES");
        await redis.CallAsync("EVAL", "return 1", "0");
        async Task<string> RedisAsync(string line) => (await redis.LineAsync($"redis {line}")).Items[^1].Text;
        Assert.Equal("<reply> 2", await RedisAsync("incr a"));
        Assert.Equal("<reply> \"v\"", await RedisAsync("hget h f"));
        Assert.Matches("<reply> \\[[1-9]", await RedisAsync("hpttl h fields 1 f"));
        Assert.Matches("<reply> [1-9]", await RedisAsync("pttl e"));
        Assert.Equal("<reply> 1", await RedisAsync("del h"));
        Assert.Equal("<reply> 0", await RedisAsync("exists h"));
        foreach (string line in (string[])["keys *", "flushall", "scan 0", "dbsize", "randomkey"])
        {
            RespValue refusal = await redis.LineAsync($"eval return redis.pcall('{line.Replace(" ", "','")}').err");
            Assert.Contains("Use SCRIPT DEBUG SYNC", refusal.ToString(), StringComparison.Ordinal);
        }
        Assert.Equal("1", (await other.CallAsync("GET", "a")).Text);
        Assert.Equal(":1", (await other.CallAsync("EXISTS", "h")).ToString());
        RespValue end = await redis.CallAsync("abort");
        Assert.Equal("[+<endsession>]", end.ToString());
        Assert.StartsWith("-ERR script aborted for user request", (await redis.ReadAsync()).ToString(), StringComparison.Ordinal);
        Assert.True(await redis.IsClosedByServerAsync());
    }

    [Fact]
    public async Task The_debugger_stops_in_a_coroutine_that_does_not_end_where_that_of_redis_hangs()
    {
        await using RedisProcess server = await RedisProcess.StartAsync(ServerKind.OrleansRedis, "--busy-reply-threshold", "200");
        const string Script = "local co = coroutine.wrap(function()\nlocal x = 5\nwhile true do end\nend)\nco()";
        string output = await DebugAsync(server, "--ldb", Script, "c\np x\nabort");
        Assert.Contains("* Stopped at 3, stop reason = timeout reached, infinite loop?", output, StringComparison.Ordinal);
        Assert.Contains("<value> 5", output, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("")]
    [InlineData("while true do end")]
    public async Task Others_can_end_a_session_that_holds_the_data(string evaluated)
    {
        await using RedisProcess server = await RedisProcess.StartAsync(ServerKind.OrleansRedis, "--io-threads", "1", "--busy-reply-threshold", "100");
        await using RespConnection redis = await server.ConnectAsync(), other = await server.ConnectAsync();
        await redis.CallAsync("SCRIPT", "DEBUG", "SYNC");
        await redis.CallAsync("EVAL", "return 1", "0");
        if (evaluated.Length != 0) await redis.SendAsync("eval", evaluated);
        await Eventually.TrueAsync(async () => (await other.CallAsync("PING")).ToString().Contains("BUSY", StringComparison.Ordinal));
        Assert.Equal("+OK", (await other.CallAsync("SCRIPT", "KILL")).ToString());
        await Eventually.TrueAsync(async () => (await other.CallAsync("PING")).ToString() == "+PONG");
    }

    [Theory]
    [InlineData("YES")]
    [InlineData("SYNC")]
    public async Task A_client_that_leaves_leaves_no_session_behind(string mode)
    {
        await using RedisProcess server = await RedisProcess.StartAsync(ServerKind.OrleansRedis);
        await using RespConnection other = await server.ConnectAsync();
        await using (RespConnection redis = await server.ConnectAsync())
        {
            await redis.CallAsync("SCRIPT", "DEBUG", mode);
            await redis.CallAsync("EVAL", "redis.call('set', KEYS[1], 1)\nredis.call('incr', KEYS[1])", "1", "a");
        }
        await Eventually.TrueAsync(async () => (await other.CallAsync("GET", "a")).ToString() == (mode == "SYNC" ? "\"2\"" : "nil"));
        Assert.Equal("+OK", (await other.CallAsync("FLUSHALL")).ToString());
    }

    [Theory]
    [InlineData("return 1", "eval while true do end")]
    [InlineData("while true do end", "continue")]
    public async Task What_never_ends_ends_when_its_client_has_left(string script, string command)
    {
        await using RedisProcess server = await RedisProcess.StartAsync(ServerKind.OrleansRedis, "--busy-reply-threshold", "0");
        await using RespConnection other = await server.ConnectAsync();
        await using (RespConnection redis = await server.ConnectAsync())
        {
            await redis.CallAsync("SCRIPT", "DEBUG", "YES");
            await redis.CallAsync("EVAL", script, "0");
            await redis.SendAsync([.. command.Split(' ').Select(word => (RespArgument)word)]);
        }
        await Eventually.TrueAsync(async () => await other.InfoAsync("connected_clients") == 1, () => $"the session is still there{server.Describe()}");
    }

    [Fact]
    public async Task What_cannot_be_debugged_is_refused()
    {
        await using RedisProcess server = await RedisProcess.StartAsync(ServerKind.OrleansRedis);
        await using RespConnection redis = await server.ConnectAsync();
        Assert.Equal("-ERR Use SCRIPT DEBUG YES/SYNC/NO", (await redis.LineAsync("SCRIPT DEBUG maybe")).ToString());
        Assert.Equal("+OK", (await redis.LineAsync("SCRIPT DEBUG YES")).ToString());
        Assert.Contains("Please use EVAL instead of EVALSHA", (await redis.LineAsync($"EVALSHA {new string('a', 40)} 0")).ToString(), StringComparison.Ordinal);
        RespValue[] replies = await redis.PipelineAsync(["MULTI"], ["EVAL", "return 1", "0"], ["EXEC"]);
        Assert.Contains("inside a transaction", replies[2].Items[0].ToString(), StringComparison.Ordinal);
        Assert.Equal("+OK", (await redis.LineAsync("SCRIPT DEBUG NO")).ToString());
        Assert.Equal(":1", (await redis.CallAsync("EVAL", "return 1", "0")).ToString());
        Assert.Equal("[nil]", (await redis.CallAsync("EVAL", "return {redis.breakpoint(), redis.debug('x')}", "0")).ToString());
    }
}
