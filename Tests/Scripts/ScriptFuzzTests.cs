using System.Globalization;
using System.Text;
using System.Text.RegularExpressions;
using OrleansRedis.Tests.Harness;
using Xunit;
using Xunit.Abstractions;

namespace OrleansRedis.Tests.Scripts;

/// <summary>
/// Random hostile scripts, several at a time, to a server of which everything is asked that a script can reach, with
/// arguments that nobody expects; those of <see cref="SandboxTests"/>, which are known attacks, in all variations; and a
/// debugger's commands that make no sense. It answers each of them, stays as large as it was, and what others find in the
/// sandbox is what had been there. HOSTILE_SECONDS says for how long (<see cref="HostileTime"/>).
/// </summary>
[Trait("Needs", "servers")]
public sealed partial class ScriptFuzzTests(ITestOutputHelper output)
{
    private const int Clients = 4;
    private const long MostBytes = 2L << 30;

    private static readonly string[] s_functions =
    [
        "string.rep", "string.sub", "string.byte", "string.char", "string.find", "string.match", "string.gsub", "string.gmatch", "string.format",
        "string.len", "string.upper", "string.reverse", "string.dump", "table.concat", "table.insert", "table.remove", "table.sort", "table.maxn",
        "table.getn", "table.foreach", "table.foreachi", "unpack", "select", "next", "pairs", "ipairs", "rawget", "rawset", "rawequal", "setmetatable",
        "getmetatable", "setfenv", "getfenv", "loadstring", "load", "pcall", "xpcall", "error", "assert", "type", "tostring", "tonumber", "newproxy",
        "collectgarbage", "gcinfo", "coroutine.create", "coroutine.resume", "coroutine.wrap", "coroutine.yield", "coroutine.status", "coroutine.running",
        "math.floor", "math.fmod", "math.frexp", "math.ldexp", "math.random", "math.randomseed", "math.max", "math.min", "math.modf", "math.pow",
        "bit.tobit", "bit.tohex", "bit.lshift", "bit.rol", "bit.band", "bit.bswap", "cjson.encode", "cjson.decode", "cjson.encode_max_depth",
        "cjson.decode_max_depth", "cjson.encode_sparse_array", "cjson.encode_number_precision", "cjson.encode_keep_buffer", "cjson.encode_invalid_numbers",
        "cmsgpack.pack", "cmsgpack.unpack", "cmsgpack.unpack_one", "cmsgpack.unpack_limit", "struct.pack", "struct.unpack", "struct.size", "redis.call",
        "redis.pcall", "redis.log", "redis.sha1hex", "redis.error_reply", "redis.status_reply", "redis.setresp", "redis.set_repl", "redis.breakpoint",
        "redis.debug", "redis.replicate_commands", "redis.acl_check_cmd", "redis.register_function", "os.clock", "__redis__err__handler",
    ];

    private static readonly string[] s_values =
    [
        "nil", "true", "false", "0", "1", "-1", "2", "3.5", "-0.0", "1/0", "-1/0", "0/0", "2^31", "-2^31", "2^32", "2^53", "-2^53", "2^63", "-2^63", "2^64",
        "1e308", "1e-320", "''", "'a'", "'%'", "'%b'", "'[^'", "'(()'", "'%1'", "'a*a*a*a*b'", "('a'):rep(3000)", "('(a*)'):rep(20)", "('%b()'):rep(5)",
        "'\\0\\255'", "('x'):rep(100000)", "'[1,[2,{\"a\":3}]]'", "('['):rep(2000)", "'\\221\\255\\255\\255\\255'", "'>i8s!16c0'", "'i33'", "'c2147483647'",
        "'%99.99f'", "'%q%s%d%c'", "'return 1'", "'return ...'", "'while true do end'", "'x ='", "{}", "{1, 2, 3}", "{a = 1}", "{{{}}}",
        "setmetatable({}, {__index = error})", "setmetatable({}, {__tostring = error, __len = error, __call = error, __concat = error})",
        "setmetatable({}, {__mode = 'kv'})", "function() end", "function(...) return ... end", "error", "coroutine.yield", "function() error({}) end",
        "_G", "redis", "string", "getmetatable('')", "newproxy(true)", "coroutine.create(function(...) coroutine.yield(...) end)", "cjson.null", "KEYS",
        "ARGV", "t", "f", "s", "n",
        "'get'", "'set'", "'k'", "'incr'", "'lrange'", "'eval'", "'flushall'", "'script'", "'config'", "'multi'", "'xadd'", "'sort'", "'zadd'",
    ];

    /// <summary>Known attacks. Those that write do not, so that they can be ended.</summary>
    private static readonly string[] s_attacks =
    [
        .. SandboxTests.Attempts.Select(attempt => ((string)attempt[0]).Replace("'set'", "'get'", StringComparison.Ordinal)),
    ];

    /// <summary>What a part of a script can be put into: "?" stands for it.</summary>
    private static readonly string[] s_frames =
    [
        "pcall(function() ? end)", "return pcall(function() ? end)", "xpcall(function() ? end, function(e) return e end)",
        "coroutine.wrap(function() ? end)()", "for _ in coroutine.wrap(function() ? end) do end", "loadstring([=====[?]=====])()",
        "load(function() local s = t or [=====[?]=====] t = '' return s end)", "setfenv(function() ? end, setmetatable({}, {__index = _G}))()",
        "setfenv(function() ? end, {})()", "string.gsub('abc', '.', function() ? end)", "table.sort({3, 1, 2}, function(a, b) ? end)",
        "setmetatable({}, {__index = function() ? end}).x = nil", "local x = setmetatable({}, {__index = function() ? end}).x",
        "setmetatable({}, {__newindex = function() ? end}).x = 1", "local x = setmetatable({}, {__call = function() ? end})()",
        "local x = #setmetatable({}, {__len = function() ? end})", "tostring(setmetatable({}, {__tostring = function() ? end}))",
        "setmetatable({}, {__gc = function() ? end}) collectgarbage()",
        "local p = newproxy(true) getmetatable(p).__gc = function() ? end p = nil collectgarbage()", "for i = 1, 3 do pcall(function() ? end) end",
        "while true do pcall(function() ? end) end", "do local function f() ? end f() end", "local f = function(...) ? end return f(f, f, f)",
        "table.foreach({1, 2}, function() ? end)",
    ];

    private static readonly string[] s_numbers =
    [
        "0", "1", "-1", "2147483647", "2147483648", "-2147483648", "4294967295", "4294967296", "2^53", "-2^53", "2^63", "2^64", "1e308", "1/0", "-1/0", "0/0",
        "0.5", "1e5",
    ];

    private static readonly string[] s_debugging =
    [
        "s", "step", "n", "c", "continue", "l", "list 5 10", "whole", "p", "print x", "print KEYS", "b", "break 1", "break -1 0", "t", "trace", "e",
        "eval x = 1", "eval return redis.call('get', 'k')", "eval while true do end", "r", "redis get k", "redis eval x 0", "m", "maxlen 0", "maxlen -5", "a",
        "abort", "h", "nonsense",
    ];

    private static readonly string[] s_writes = ["'set'", "'incr'", "'xadd'", "'sort'", "'zadd'", "'flushall'"];

    private StringBuilder _script = new();
    private Random _random = new(0);

    [Fact]
    public async Task Hostile_scripts_are_answered_and_leave_the_server_as_it_was()
    {
        output.WriteLine($"TEST_SEED={TestSeed.Value}");
        await using RedisProcess server = await RedisProcess.StartAsync(
            ServerKind.OrleansRedis, "--busy-reply-threshold", "20", "--orleans-script-memory", "16mb");
        string sandbox = await SandboxAsync(server);
        var time = new HostileTime();
        bool isOver = false;
        Task killer = KillAsync(server, () => Volatile.Read(ref isOver));
        IEnumerable<Task> attacks = Enumerable.Range(0, Clients).Select(number => AttackAsync(server, number, () => time.IsOver));
        Task attack = Task.WhenAll([DebugAsync(server, () => time.IsOver), .. attacks]);
        await Task.WhenAny(attack, killer);
        Volatile.Write(ref isOver, true);
        await killer;
        await attack;
        // On whichever thread a connection is served.
        for (int i = 0; i < 8; i++) Assert.Equal(sandbox, await SandboxAsync(server));
        await using RespConnection last = await server.ConnectAsync();
        Assert.Equal("\"xxxxx\"", (await last.CallAsync("EVAL", "return string.rep('x', #redis.sha1hex('') / 8)", "0")).ToString());
        Assert.DoesNotContain(server.Log, line => line.Contains("please report this", StringComparison.Ordinal));
        Assert.True(await last.InfoAsync("used_memory_rss") < MostBytes, "the server has become too large");
    }

    private static async Task<string> SandboxAsync(RedisProcess server)
    {
        await using RespConnection redis = await server.ConnectAsync();
        return (await redis.CallAsync("EVAL", SandboxTests.Fingerprint, "0")).Text;
    }

    /// <summary>
    /// Debugs scripts, with commands that make sense and that do not, in frames that are whole and that are not. The server
    /// hangs up once nothing more comes.
    /// </summary>
    private static async Task DebugAsync(RedisProcess server, Func<bool> isOver)
    {
        var scripts = new ScriptFuzzTests(null!) { _random = TestSeed.Random(1000) };
        Random random = scripts._random;
        while (!isOver())
        {
            await using RespConnection redis = await server.ConnectAsync();
            await redis.LineAsync("SCRIPT DEBUG YES");
            var bytes = new MemoryStream();
            string script = random.Next(2) == 0 ? scripts.Mutant() : "local x = 1\nx = x + 1\nfor i = 1, 3 do x = x * i end\nreturn x";
            bytes.Write(RespConnection.Frame("EVAL", script, "1", "k", "v"));
            for (int i = random.Next(20); i > 0; i--)
            {
                byte[] frame = RespConnection.Frame([.. scripts.Pick(s_debugging).Split(' ').Select(word => (RespArgument)word)]);
                if (random.Next(6) == 0) frame[random.Next(frame.Length)] = (byte)random.Next(256);
                bytes.Write(frame);
            }
            try
            {
                await redis.SendRawAsync(bytes.ToArray());
                await Task.Delay(random.Next(30)); // it leaves at some moment, and any is right
                redis.Socket.Shutdown(System.Net.Sockets.SocketShutdown.Send);
            }
            catch (Exception e) when (e is RespException or System.Net.Sockets.SocketException)
            {
                // It has hung up already.
            }
            try
            {
                await redis.ReadToEndAsync();
            }
            catch (OperationCanceledException e)
            {
                throw new InvalidOperationException($"The debugger does not end, with the script\n{script}{server.Describe()}", e);
            }
        }
    }

    private static async Task AttackAsync(RedisProcess server, int number, Func<bool> isOver)
    {
        var scripts = new ScriptFuzzTests(null!) { _random = TestSeed.Random(number) };
        await using RespConnection redis = await server.ConnectAsync();
        while (!isOver())
        {
            string script = scripts._random.Next(2) == 0 ? scripts.Script() : scripts.Mutant();
            try
            {
                RespValue reply = await redis.CallAsync("EVAL", script, "1", "k", "v", "10");
                Assert.DoesNotContain("internal error", reply.ToString(), StringComparison.Ordinal);
            }
            catch (Exception e) when (e is not Xunit.Sdk.XunitException)
            {
                throw new InvalidOperationException($"There was no answer to this script:\n{script}\n{string.Join('\n', server.Log.TakeLast(30))}", e);
            }
        }
    }

    /// <summary>Whatever does not end, or takes long, is ended.</summary>
    private static async Task KillAsync(RedisProcess server, Func<bool> isOver)
    {
        await using RespConnection redis = await server.ConnectAsync();
        while (!isOver())
        {
            string reply = (await redis.CallAsync("SCRIPT", "KILL")).ToString();
            Assert.Matches("^(\\+OK|-NOTBUSY|-UNKILLABLE)", reply);
            await Task.Delay(10);
        }
    }

    /// <summary>A known attack with something in it changed, or several in one.</summary>
    private string Mutant()
    {
        string script = Pick(s_attacks);
        for (int changes = _random.Next(1, 5); changes > 0; changes--)
        {
            script = _random.Next(8) switch
            {
                0 or 1 => Pick(s_frames).Replace("?", script, StringComparison.Ordinal),
                2 => $"pcall(function() {Pick(s_attacks)} end) {script}",
                3 => Replaced(script, Numbers(), () => Pick(s_numbers)),
                4 => Replaced(script, Functions(), () => Pick(s_functions)),
                5 => Replaced(script, Literals(), () => Value(1, mayWrite: false)),
                6 => Swapped(script),
                _ => $"local t, s, n = {{1, 'a', x = {{}}}}, 'abc', 3 local function f(...) return ... end pcall({Arguments(mayWrite: false)}) {script}",
            };
            if (script.Length > 20_000) break;
        }
        return script;
    }

    /// <summary>Replaces one of the matches.</summary>
    private string Replaced(string script, Regex what, Func<string> by)
    {
        MatchCollection matches = what.Matches(script);
        if (matches.Count == 0) return script;
        Match match = matches[_random.Next(matches.Count)];
        return string.Concat(script.AsSpan(0, match.Index), by(), script.AsSpan(match.Index + match.Length));
    }

    /// <summary>Two of its tokens change places, or one is lost or doubled.</summary>
    private string Swapped(string script)
    {
        string[] tokens = Tokens().Split(script);
        int a = _random.Next(tokens.Length), b = _random.Next(tokens.Length);
        switch (_random.Next(3))
        {
            case 0: (tokens[a], tokens[b]) = (tokens[b], tokens[a]); break;
            case 1: tokens[a] = ""; break;
            default: tokens[a] += " " + tokens[a]; break;
        }
        return string.Concat(tokens);
    }

    [GeneratedRegex(@"\b[0-9][0-9.e^]*\b")]
    private static partial Regex Numbers();

    [GeneratedRegex(@"\b(string|table|redis|cjson|cmsgpack|struct|bit|math|coroutine)\.[a-z_0-9]+\b|\b(load|set|get|p|x)(string|metatable|fenv|call)\b")]
    private static partial Regex Functions();

    [GeneratedRegex(@"'[^']*'|\{[^{}]*\}")]
    private static partial Regex Literals();

    [GeneratedRegex(@"(?<=[^A-Za-z0-9_])|(?=[^A-Za-z0-9_])")]
    private static partial Regex Tokens();

    private string Script()
    {
        _script = new("local t, s, n = {1, 'a', x = {}}, 'abc', 3\nlocal function f(...) return ... end\n");
        // What has written cannot be ended, so it must end by itself.
        bool mayWrite = _random.Next(2) == 0;
        for (int i = _random.Next(1, 6); i > 0; i--) Statement(2, mayWrite);
        _script.Append(CultureInfo.InvariantCulture, $"return {Value(2, mayWrite)}");
        return _script.ToString();
    }

    private void Statement(int depth, bool mayWrite)
    {
        switch (depth == 0 ? 0 : _random.Next(12))
        {
            case 0 or 1 or 2 or 3:
                _script.Append(CultureInfo.InvariantCulture, $"pcall({Arguments(mayWrite)})\n");
                break;
            case 4:
                _script.Append(CultureInfo.InvariantCulture, $"{Pick("t", "s", "n", "t[1]", "t.x", "x", "redis")} = {Value(2, mayWrite)}\n");
                break;
            case 5:
                _script.Append(CultureInfo.InvariantCulture, $"for i = {Pick("1", "-5", "2^52")}, {Pick("3", "-6", "2^52 + 2")} do\n");
                Statement(depth - 1, mayWrite);
                _script.Append("end\n");
                break;
            case 6:
                string iterator = Pick("pairs", "ipairs", "next,", "string.gmatch");
                _script.Append(CultureInfo.InvariantCulture, $"pcall(function() for a, b in {iterator}({Values(mayWrite)}) do break end end)\n");
                break;
            case 7:
                _script.Append("pcall(coroutine.wrap(function()\n");
                Statement(depth - 1, mayWrite);
                _script.Append("end))\n");
                break;
            case 8:
                string metamethod = Pick("__index", "__newindex", "__call", "__gc", "__eq", "__lt", "__concat");
                _script.Append(CultureInfo.InvariantCulture, $"pcall(setmetatable, t, {{{metamethod} = {Value(1, mayWrite)}}})\n");
                break;
            case 9 when !mayWrite:
                _script.Append(Pick("while true do pcall(f) end\n", "local function r() return r() end r()\n", "repeat s = s .. s until false\n"));
                break;
            default:
                _script.Append(CultureInfo.InvariantCulture, $"local ok = pcall(function() t.y = {Value(2, mayWrite)} end)\n");
                break;
        }
    }

    /// <summary>A function and its arguments.</summary>
    private string Arguments(bool mayWrite) => Pick(s_functions) + (Values(mayWrite) is { Length: > 0 } values ? ", " + values : "");

    private string Values(bool mayWrite) => string.Join(", ", Enumerable.Range(0, _random.Next(5)).Select(_ => Value(1, mayWrite)));

    private string Value(int depth, bool mayWrite)
    {
        // Only reads, where a script may have to be ended.
        string Plain() => Pick(s_values) is var value && !mayWrite && s_writes.Contains(value) ? "'get'" : value;
        if (depth == 0) return Plain();
        return _random.Next(8) switch
        {
            0 => $"({Value(depth - 1, mayWrite)} {Pick("+", "-", "*", "/", "%", "^", "..", "==", "<", "<=", "and", "or")} {Value(depth - 1, mayWrite)})",
            1 => $"{{{Value(depth - 1, mayWrite)}, {Value(depth - 1, mayWrite)}}}",
            2 => $"select(2, pcall({Arguments(mayWrite)}))",
            3 => $"({Pick("-", "#", "not ")}{Value(depth - 1, mayWrite)})",
            _ => Plain(),
        };
    }

    private string Pick(params ReadOnlySpan<string> choices) => choices[_random.Next(choices.Length)];
}
