using OrleansRedis.Engine;
using Xunit;

namespace OrleansRedis.Tests.Scripts;

/// <summary>No script gets out of its sandbox, changes it for others, or harms the process.</summary>
public sealed class SandboxTests : IDisposable
{
    private readonly EngineHarness _redis = new(options => options.OrleansScriptMemory = 32 << 20);

    public void Dispose() => _redis.Dispose();

    /// <summary>What hostile scripts do, and a part of the error that they get; none if they merely achieve nothing.</summary>
    public static TheoryData<string, string> Attempts => new()
    {
        // Replacing what others use (CVE-2022-24735, CVE-2025-46818)
        { "redis = nil", "Attempt to modify a readonly table" },
        { "redis = function() return 1 end", "Attempt to modify a readonly table" },
        { "function redis() end", "Attempt to modify a readonly table" },
        { "local a; a, string = 1, {}", "Attempt to modify a readonly table" },
        { "_G.redis = nil", "Attempt to modify a readonly table" },
        { "_G._G.x = 1", "Attempt to modify a readonly table" },
        { "x = 1", "Attempt to modify a readonly table" },
        { "function x() end", "Attempt to modify a readonly table" },
        { "string.rep = nil", "Attempt to modify a readonly table" },
        { "redis.call = nil", "Attempt to modify a readonly table" },
        { "cjson.encode = nil", "Attempt to modify a readonly table" },
        { "rawset(_G, 'x', 1)", "Attempt to modify a readonly table" },
        { "rawset(redis, 'call', 1)", "Attempt to modify a readonly table" },
        { "setmetatable(_G, {})", "Attempt to modify a readonly table" },
        { "setmetatable(string, {})", "Attempt to modify a readonly table" },
        { "getmetatable(_G).__index = 1", "Attempt to modify a readonly table" },
        { "getmetatable('').__index = 1", "Attempt to modify a readonly table" },
        { "getmetatable('').__index.rep = 1", "Attempt to modify a readonly table" },
        { "getmetatable('').__concat = function() return 1 end", "Attempt to modify a readonly table" },
        { "rawset(getmetatable(''), '__index', 1)", "Attempt to modify a readonly table" },
        { "table.insert(redis, 1)", "Attempt to modify a readonly table" },
        { "table.remove(_G)", "Attempt to modify a readonly table" },
        { "table.sort(_G)", "Attempt to modify a readonly table" },
        { "getmetatable(1).__add = 1", "attempt to index a nil value" },
        { "getmetatable(nil).__add = 1", "attempt to index a nil value" },
        { "getmetatable(print)", "nonexistent global variable 'print'" },
        { "getmetatable(redis.call).__add = 1", "attempt to index a nil value" },
        { "getmetatable(true).__index = 1", "attempt to index a nil value" },
        { "getmetatable(coroutine.create(function() end)).__index = 1", "attempt to index a nil value" },
        { "getmetatable(cjson.null).__index = 1", "attempt to index a nil value" },
        { "setmetatable('', {})", "bad argument #1 to 'setmetatable'" },
        { "setmetatable(redis.call, {})", "bad argument #1 to 'setmetatable'" },
        { "setfenv(0, {})", "'setfenv' cannot change environment" },
        { "setfenv(redis.call, {})", "'setfenv' cannot change environment" },
        { "setfenv(string.rep, {})", "'setfenv' cannot change environment" },
        { "setfenv(1, getfenv(redis.call)) redis = nil", "Attempt to modify a readonly table" },
        { "setfenv(1, _G) x = 1", "Attempt to modify a readonly table" },
        { "getfenv(0).redis = nil", "Attempt to modify a readonly table" },
        { "local f = loadstring('redis = nil') f()", "Attempt to modify a readonly table" },
        { "for k in pairs(getfenv(cjson.encode)) do if k == 'native' then error('out') end end", "" },

        // Getting out
        { "return io.open('/etc/passwd')", "nonexistent global variable 'io'" },
        { "return os.execute('true')", "attempt to call field 'execute' (a nil value)" },
        { "return os.getenv('HOME')", "attempt to call field 'getenv' (a nil value)" },
        { "return debug.getregistry()", "nonexistent global variable 'debug'" },
        { "return package.loadlib('x', 'y')", "nonexistent global variable 'package'" },
        { "return require('io')", "nonexistent global variable 'require'" },
        { "return dofile('/etc/passwd')", "nonexistent global variable 'dofile'" },
        { "return loadfile('/etc/passwd')", "nonexistent global variable 'loadfile'" },
        { "return module('x')", "nonexistent global variable 'module'" },
        { "return utf8.char(65)", "nonexistent global variable 'utf8'" },
        { "return coroutine.close(coroutine.create(error))", "attempt to call field 'close' (a nil value)" },
        { "return table.move({}, 1, 2, 3)", "attempt to call field 'move' (a nil value)" },
        { "local _ENV = {} return string.rep('x', 2)", "" },
        { "_ENV = {}", "Attempt to modify a readonly table" },
        { "return _ENV.native", "nonexistent global variable" },
        { "local x <close> = setmetatable({}, {__close = error})", "Error compiling script" },
        { "local x <const> = 1", "Error compiling script" },
        { "return 1 // 0", "Error compiling script" },
        { "return 1 & 0", "Error compiling script" },
        { "goto a ::a::", "Error compiling script" },
        { "return '\\u{41}'", "" },

        // Bytecode
        { "return loadstring('\\27Lua')()", "attempt to call a nil value" },
        { "return loadstring(string.dump(function() end))()", "attempt to call a nil value" },
        { "local done return load(function() if not done then done = true return '\\27LuaT' end end)()", "attempt to call a nil value" },

        // Finalizers, which would run after the script (CVE-2024-46981)
        { "for i = 1, 100 do setmetatable({}, {__gc = function() error('finalized') end}) end collectgarbage() collectgarbage()", "" },
        { "local p = newproxy(true) getmetatable(p).__gc = function() redis.call('set', 'x', 1) end p = nil collectgarbage()", "" },
        { "local m = {__gc = true} setmetatable({}, m) m.__gc = function() redis.call('set', 'x', 1) end collectgarbage()", "" },

        // Numbers that overflow (CVE-2024-31449, CVE-2025-46817)
        { "return bit.tohex(1, -2147483648)", "" },
        { "return bit.tohex(1, 2147483648)", "" },
        { "return bit.tohex(2^70, -2^70)", "" },
        { "return unpack({}, 0, 2147483647)", "too many results to unpack" },
        { "return unpack({1}, -2147483648, 2147483647)", "too many results to unpack" },
        { "return unpack({1}, -2^63, 2^63)", "too many results to unpack" },
        { "return string.byte(('x'):rep(1000000), 1, -1)", "" },
        { "return ('x'):sub(2^63, -2^63)", "" },
        { "return ('x'):rep(-1)", "" },
        { "return ('x'):rep(2^53)", "" },
        { "return ('x'):rep(1e8)", "not enough memory" },
        { "return string.char(256)", "invalid value" },
        { "return string.format('%99999d', 1)", "invalid format" },
        { "return string.format('%.999f', 1)", "invalid format" },
        { "return string.format('%1$d', 1)", "invalid option" },
        { "return string.format('%a %p', 1, {})", "invalid option" },
        { "return select(-2147483648, 1)", "index out of range" },
        { "return table.concat({}, ',', 1, 2^53)", "invalid value (nil) at index 1" },
        { "table.insert({}, 2^53, 1)", "" },

        // Memory, depth and time
        { "local s = 'x' while true do s = s .. s end", "not enough memory" },
        { "local t = {} for i = 1, 1e9 do t[i] = {i} end", "not enough memory" },
        { "local function f() return f() + 1 end return f()", "" },
        { "local t = setmetatable({}, {__index = function(t, k) return t[k] end}) return t.x", "stack overflow" },
        { "local f = function(f) return pcall(f, f) end return f(f)", "" },
        { "local s = ('a'):rep(300) return s:gsub('.', function(c) return (s:gsub('.', function() error('deep') end)) end)", "deep" },
        { "return string.find(('a'):rep(300), ('a?'):rep(300) .. 'b')", "pattern too complex" },
        { "return string.find('x', '(' .. ('()'):rep(40) .. ')')", "too many captures" },
        { "return string.find('x', '%')", "malformed pattern (ends with '%')" },
        { "return string.find('x', '[')", "malformed pattern (missing ']')" },
        { "return string.find('x', '%1')", "invalid capture index" },
        { "return string.find('x', '(')", "unfinished capture" },
        { "return string.find('x', '%b')", "unbalanced pattern" },
        { "return string.find('x', '%f')", "missing '['" },
        { "return loadstring(('('):rep(100000) .. '1' .. (')'):rep(100000))()", "attempt to call a nil value" },
        { "return loadstring(('{'):rep(100000))()", "attempt to call a nil value" },
        { "return loadstring(('a='):rep(100000))()", "attempt to call a nil value" },
        { "return loadstring('return ' .. ('-'):rep(100000) .. ' 1')()", "" },
        { "return loadstring('return ' .. ('not '):rep(100000) .. ' 1')()", "attempt to call a nil value" },
        { "return loadstring('return 1' .. ('..1'):rep(100000))()", "attempt to call a nil value" },
        { "return loadstring('local a' .. (',a'):rep(300))()", "attempt to call a nil value" },

        // What is made in C#, where Lua's allocator refuses nothing
        { "return #cjson.decode('[' .. ('{},'):rep(2000000) .. '1]')", "not enough memory" },
        { "return #cmsgpack.unpack('\\221\\0\\30\\132\\128' .. ('\\128'):rep(2000000))", "not enough memory" },
        { "local t = {} for i = 1, 25 do t = {t, t} end cjson.encode_max_depth(100) return #cjson.encode(t)", "not enough memory" },
        { "return #(('x'):rep(10000):gsub('', ('y'):rep(10000)))", "not enough memory" },
        { "local s, t = ('\\1'):rep(1000000), {} for i = 1, 4000 do t[i] = s end return #cjson.encode(t)", "not enough memory" },
        { "local s, t = ('x'):rep(1000000), {} for i = 1, 4000 do t[i] = s end return #cmsgpack.pack(t)", "not enough memory" },
        { "return loadstring(('a=1 '):rep(2000000))()", "attempt to call a nil value" },
        { "for i = 1, 1000 do string.format('%d' .. ('x'):rep(100000) .. i, 1) end", "" },
        { "local t = setmetatable({}, {__len = function() return 2^53 end}) table.sort(t) return 1", "" },
        { "local n = 0 local t = setmetatable({}, {__index = function(_, k) n = n + 1 return k end}) table.sort(t) return n", "" },

        // The lexer and the names of chunks (CVE-2025-46819, CVE-2025-49844)
        { "return loadstring('return [' .. ('='):rep(100000))()", "attempt to call a nil value" },
        { "return loadstring('return [' .. ('='):rep(100000) .. '[')()", "attempt to call a nil value" },
        { "return loadstring('return \"\\\\')()", "attempt to call a nil value" },
        { "return loadstring('--[==[')()", "" },
        { "for i = 1, 500 do loadstring('return ' .. i, ('x'):rep(i * 10)) collectgarbage('step') end", "" },
        { "for i = 1, 100 do loadstring('x', ('\\0\\n'):rep(i)) end", "" },

        // Modules (CVE-2018-11218, CVE-2018-11219, CVE-2020-14147, CVE-2022-24834)
        { "local t = {} for i = 1, 7900 do t[i] = i end return #cmsgpack.pack(unpack(t))", "" },
        { "return cmsgpack.unpack(('\\1'):rep(9000))", "" },
        { "return struct.pack('>I2147483648', '10')", "integral size" },
        { "return struct.unpack('>I2147483648', '10')", "integral size" },
        { "return struct.pack('>I18446744073709551617', '10')", "integral size" },
        { "return struct.unpack('!2147483648i', 'xxxx')", "" },
        { "return struct.size('!99999999999i')", "" },
        { "return #cjson.encode(('\\1'):rep(3000000))", "" },
        { "return #cjson.encode({('\\\"'):rep(4000000)})", "" },
        { "cjson.encode_keep_buffer(false) return #cjson.encode({('/'):rep(4000000), ('/'):rep(4000000)})", "" },
        { "return cjson.decode(('['):rep(100000))", "Found too many nested data structures (1001)" },
        { "cjson.decode_max_depth(2147483647) return cjson.decode(('['):rep(1000000))", "Found too many nested data structures" },
        { "cjson.encode_max_depth(2147483647) local t = {} for i = 1, 1e5 do t = {t} end return #cjson.encode(t)", "" },
        { "local t = {} t[1] = t return cjson.encode(t)", "Cannot serialise, excessive depth (1001)" },
        { "return cjson.encode({[1e9] = 1})", "Cannot serialise table: excessively sparse array" },
        { "return cjson.encode(redis.call)", "Cannot serialise function: type not supported" },
        { "return cjson.decode('[1,2')", "Expected comma or array end but found T_END at character 5" },
        { "return cjson.decode('\"\\\\ud800\"')", "invalid unicode escape code" },
        { "cjson.encode_max_depth(0)", "expected integer between 1 and 2147483647" },
        { "return cmsgpack.unpack(('\\145'):rep(100000))", "too many return values" },
        { "return cmsgpack.unpack('\\221\\255\\255\\255\\255')", "Missing bytes in input." },
        { "return cmsgpack.unpack('\\219\\255\\255\\255\\255')", "Missing bytes in input." },
        { "return cmsgpack.unpack('\\129\\192\\1')", "table index is nil" },
        { "return cmsgpack.unpack('\\193')", "Bad data format in input." },
        { "return cmsgpack.unpack_limit('\\1', -1)", "Invalid request to unpack" },
        { "return cmsgpack.unpack_one('\\1', 2^31)", "Start offset" },
        { "return cmsgpack.pack()", "MessagePack pack needs input." },
        { "local t = {} t[1] = t return cmsgpack.pack(t)", "" },
        { "return struct.pack('i33', 1)", "integral size 33 is larger than limit of 32" },
        { "return struct.pack('i99999999999', 1)", "integral size overflow" },
        { "return struct.unpack('c2147483647', 'x')", "data string too short" },
        { "return struct.unpack('Ic0', '\\255\\255\\255\\255')", "data string too short" },
        { "return struct.unpack('c0', 'x')", "format 'c0' needs a previous size" },
        { "return struct.unpack('i', 'xxxx', -5)", "offset must be 1 or greater" },
        { "return struct.unpack('i', 'xxxx', 2^53)", "data string too short" },
        { "return struct.pack('!3i', 1)", "alignment 3 is not a power of 2" },
        { "return struct.size('c2147483647c2147483647')", "format result too large" },

        // redis
        { "redis.call()", "Please specify at least one argument" },
        { "redis.call({})", "arguments must be strings or integers" },
        { "redis.call('get', {})", "arguments must be strings or integers" },
        { "redis.call('eval', 'return 1', 0)", "not allowed from script" },
        { "redis.call('multi')", "not allowed from script" },
        { "redis.call('script', 'kill')", "not allowed from script" },
        { "redis.log()", "redis.log() requires two arguments or more." },
        { "redis.log(10, 'x')", "Invalid log level." },
        { "redis.sha1hex()", "wrong number of arguments" },
        { "redis.setresp(4)", "RESP version must be 2 or 3." },
        { "redis.set_repl(64)", "Invalid replication flags." },
        { "return redis.error_reply({})", "wrong number or type of arguments" },
        { "local a = {} local b = {a} a[1] = b return a", "reached lua stack limit" },
        { "local a = {} local b = a for i = 1, 10000 do b[1] = {} b = b[1] end return a", "reached lua stack limit" }, // CVE-2021-32626
        { "return coroutine.wrap(function() return redis.call('nosuch') end)()", "Unknown Redis command called from script" },
        { "error({err = setmetatable({}, {__tostring = error})})", "" },
        { "error(setmetatable({}, {__index = error}))", "" },
        { "error()", "nil" },
        { "return {err = 'My\\r\\nError'}", "My  Error" },
    };

    [Theory]
    [MemberData(nameof(Attempts))]
    public void Hostile_scripts_achieve_nothing(string script, string error)
    {
        object? before = _redis.Run("EVAL", Fingerprint, "0");
        string reply = _redis.Raw("EVAL", script, "0");
        if (error.Length != 0) Assert.Contains(error, reply, StringComparison.Ordinal);
        else Assert.DoesNotContain("internal error", reply, StringComparison.Ordinal);
        Assert.Equal(before, _redis.Run("EVAL", Fingerprint, "0"));
        Assert.Equal(0L, _redis.Run("EXISTS", "x"));
        // Whatever the script had: memory can be had again.
        Assert.Equal(5_000_000L, _redis.Run("EVAL", "return #string.rep('x', 5000000)", "0"));
    }

    /// <summary>What takes very long in the library, where no instruction ends: it must be possible to end it all the same.</summary>
    [Theory]
    [InlineData("return (('a'):rep(300)):find(('a*'):rep(50) .. 'b')")]
    [InlineData("return (('a'):rep(300)):match(('a-'):rep(50) .. 'b')")]
    [InlineData("return (('a'):rep(300)):gsub(('(a*)'):rep(30) .. 'b', '')")]
    [InlineData("for _ in (('a'):rep(40)):gmatch(('a?'):rep(40) .. ('a'):rep(41)) do end")]
    [InlineData("return (('('):rep(5000000)):find('%b()')")]
    [InlineData("return (('a'):rep(5000000)):find('[' .. ('b'):rep(5000000) .. ']*c')")]
    [InlineData("return (('ab'):rep(4000000)):find(('ab'):rep(1000000) .. 'bb', 1, true)")]
    [InlineData("local t = {} for i = 1, 700000 do t[i] = -i end while true do table.sort(t) for i = 1, #t do t[i] = -t[i] end end")]
    [InlineData("local t = {} for i = 1, 20 do t = {t, t, t} end cjson.encode_max_depth(100) while true do pcall(cjson.encode, t) end")]
    [InlineData("while true do pcall(string.rep, 'x', 1e9) end")]
    [InlineData("while true do coroutine.wrap(function() while true do end end)() end")]
    [InlineData("local function f() return pcall(f) end while true do f() end")]
    [InlineData("while true do xpcall(function() while true do end end, function() while true do end end) end")]
    [InlineData("setmetatable(_G and {}, {__index = function() while true do end end}).x = 1 while true do end")]
    public async Task What_takes_for_ever_can_be_ended(string script)
    {
        using var redis = new EngineHarness(options => (options.BusyReplyThreshold, options.OrleansScriptMemory) = (1, 64 << 20));
        Task<object?> running = Task.Run(() => redis.NewClient().RunAsync("EVAL", script, "0"));
        while (!running.IsCompleted)
        {
            redis.NewClient().Run("SCRIPT", "KILL");
            await Task.WhenAny(running, Task.Delay(5));
        }
        Assert.Contains("Script killed by user", ((RespError)(await running)!).ToString(), StringComparison.Ordinal);
        Assert.Equal(1L, redis.Run("EVAL", "return 1", "0"));
    }

    /// <summary>Everything that can be reached from the globals, by name and type.</summary>
    internal const string Fingerprint = """
        local found = {}
        local function visit(path, value, depth)
            found[#found + 1] = path .. ':' .. type(value)
            if type(value) ~= 'table' or depth == 0 or path == 'KEYS' or path == 'ARGV' then return end
            for k, v in pairs(value) do visit(path .. '.' .. tostring(k), v, depth - 1) end
        end
        for k, v in pairs(_G) do if k ~= '_G' then visit(k, v, 1) end end
        table.sort(found)
        return table.concat(found, ' ') .. tostring(getmetatable('').__index == string) .. ('x'):rep(2) .. #redis.sha1hex('')
        """;

    [Fact]
    public void The_globals_are_those_that_the_translator_protects()
    {
        var names = (object?[])_redis.Run("EVAL", "local t = {} for k in pairs(_G) do t[#t + 1] = k end return t", "0")!;
        Assert.Equal(LuaTranslator.Globals.Order(StringComparer.Ordinal), names.Select(name => (string)name!).Order(StringComparer.Ordinal));
    }

    [Fact]
    public void The_library_is_the_one_that_the_translator_knows()
    {
        Assert.Equal(LuaTranslator.Libraries.Order(StringComparer.Ordinal), Sorted("_G", "type(v) == 'table' and k ~= '_G' and k ~= 'KEYS' and k ~= 'ARGV'"));
        Assert.Equal(LuaTranslator.StringMethods.Order(StringComparer.Ordinal), Sorted("string", "true"));

        IEnumerable<string> Sorted(string table, string condition) =>
            ((object?[])_redis.Run("EVAL", $"local t = {{}} for k, v in pairs({table}) do if {condition} then t[#t + 1] = k end end return t", "0")!)
                .Select(name => (string)name!).Order(StringComparer.Ordinal);
    }

    [Fact]
    public void Random_programs_do_not_get_out()
    {
        string[] pieces =
        [
            "local", "function", "end", "if", "then", "else", "do", "for", "in", "return", "break", "nil", "not", "and", "or", "a", "b", "_G",
            "_ENV", "goto", "redis", "string", "getmetatable", "setmetatable", "pcall", "load", "loadstring", "(", ")", "{", "}", "[", "]", "=", "==", "..",
            "...", ",", ";", ":", ".", "#", "-", "+", "*", "/", "%", "^", "<", ">", "1", "0x1p4", "1e3", "'x'", "\"\\0\"", "[[", "]]", "[==[", "--", "\n",
            "\\", "~", "&", "|", "//", "::", "<const>", "\x1bLua", "'", "\"", "$", "@", "\0",
        ];
        Random random = Harness.TestSeed.Random();
        for (int i = 0; i < 2000; i++)
        {
            string script = string.Join(' ', Enumerable.Range(0, random.Next(1, 20)).Select(_ => pieces[random.Next(pieces.Length)]));
            Assert.DoesNotContain("internal error", _redis.Raw("EVAL", script, "0"), StringComparison.Ordinal);
            if (i % 100 == 0) _redis.Run("SCRIPT", "FLUSH");
        }
        Assert.Equal("OK", _redis.Run("EVAL", "return redis.call('set', 'k', 'v').ok", "0"));
    }
}
