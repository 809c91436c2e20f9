using Xunit;

namespace OrleansRedis.Tests.Scripts;

/// <summary>Scripts are written in Lua 5.1, and what runs them is Lua 5.4: nobody must notice.</summary>
public sealed class LuaNumberTests : IDisposable
{
    private readonly EngineHarness _redis = new();

    public void Dispose() => _redis.Dispose();

    [Theory]
    [InlineData("3 .. ''", "3")]
    [InlineData("10 / 2 .. ''", "5")]
    [InlineData("2 ^ 53 .. ''", "9.007199254741e+15")]
    [InlineData("1e14 .. '|' .. 99999999999999", "1e+14|99999999999999")]
    [InlineData("0.1 .. '|' .. 1/3", "0.1|0.33333333333333")]
    [InlineData("1/0 .. '|' .. -1/0", "inf|-inf")]
    [InlineData("0x10 .. '|' .. 0xffffffffffffffff", "16|1.844674407371e+19")]
    [InlineData("9007199254740993 .. '|' .. 2^63", "9.007199254741e+15|9.2233720368548e+18")]
    [InlineData("tostring(7) .. tostring(7.5)", "77.5")]
    [InlineData("#'abc' .. '|' .. #{1, 2} * 1e300", "3|2e+300")]
    [InlineData("7 % 3 .. '|' .. -7 % 3 .. '|' .. 5.5 % 2", "1|2|1.5")]
    [InlineData("-10 % 5 .. '|' .. '-10' % 5 .. '|' .. 2 * -5 % 5 * 3", "0|0|0")]
    [InlineData("0.3 % 0.1 .. '|' .. 2^53 % 3 .. '|' .. 1e15 % 7 .. '|' .. -0.5 % 1", "0.1|2|6|0.5")]
    [InlineData("tostring(-0) .. '|' .. math.floor(-0) .. '|' .. math.ceil(-0.5) .. '|' .. tostring(0/0)", "-0|-0|-0|-nan")]
    [InlineData("tonumber('-1', 16) .. '|' .. tonumber('0xff', 16) .. '|' .. tonumber('zz', 36)", "1.844674407371e+19|255|1295")]
    [InlineData("string.format('%u|%x|%d|%c|%5u', -1, -1, 2^63, 0, -2)", "18446744073709551615|ffffffffffffffff|-9223372036854775808||18446744073709551614")]
    [InlineData("('abc'):sub(2^63) .. '|' .. ('abc'):sub(-1/0, 1/0) .. '|' .. math.ldexp(3, 2^53)", "abc||3")]
    [InlineData("bit.tobit(1e100) .. '|' .. bit.bswap(2.638485681330005e+17)", "630506365|-360673025")]
    [InlineData("'10' + 5 .. '|' .. '3' * '4' .. '|' .. 10 .. 20", "15|12|1020")]
    [InlineData("tostring('10' == 10) .. tostring('0x10' + 0)", "false16")]
    [InlineData("math.floor(3.7) .. '|' .. math.ceil(3.2) .. '|' .. math.floor(-3.5)", "3|4|-4")]
    [InlineData("math.max(1, 5.5, 2) .. '|' .. math.min('3', 4) .. '|' .. math.abs(-3)", "5.5|3|3")]
    [InlineData("math.pow(2, 10) .. '|' .. math.mod(7, 3) .. '|' .. math.fmod(-7, 3)", "1024|1|-1")]
    [InlineData("math.log10(1000) .. '|' .. math.ldexp(1, 4) .. '|' .. math.frexp(8)", "3|16|0.5")]
    [InlineData("(select('#', 1, 2)) .. '|' .. string.find('hello', 'l') .. '|' .. string.len('abc')", "2|3|3")]
    [InlineData("string.format('%d|%s|%5.1f|%x|%c', 3.7, 12, 2.25, 255, 65)", "3|12|  2.2|ff|A")]
    [InlineData("string.format('%q', 'a\"b\\n')", "\"a\\\"b\\\n\"")]
    [InlineData("string.format('%u|%i', 42, -1)", "42|-1")]
    [InlineData("table.concat({1, 2.5, 'x', 1e15}, ',')", "1,2.5,x,1e+15")]
    [InlineData("string.rep('x', 2.9) .. string.sub('hello', 2.9, '4')", "xxell")]
    [InlineData("string.gsub('hello', 'l', 1) .. ''", "he11o")]
    [InlineData("(string.gsub('hello', 'l', {l = 5}))", "he55o")]
    [InlineData("(string.gsub('hello', 'l', function() return 2 / 2 end))", "he11o")]
    [InlineData("(string.gsub('abc', '%w*', 'x'))", "xx")]
    [InlineData("(string.gsub('hello', '(l)', '<%1%%>'))", "he<l%><l%>o")]
    [InlineData("tonumber('10') .. '|' .. tonumber('  0x1F ') .. '|' .. tonumber('ff', 16) .. '|' .. tostring(tonumber('abc'))", "10|31|255|nil")]
    [InlineData("tonumber('inf') .. '|' .. tonumber('-inf') .. '|' .. tonumber('1e1')", "inf|-inf|10")]
    [InlineData("table.getn({1, 2, 3}) .. '|' .. table.maxn({[1] = 1, [10] = 1})", "3|10")]
    [InlineData("unpack({1, 2, 3}) .. ''", "1")]
    [InlineData("loadstring('return 1 + 1')() .. ''", "2")]
    [InlineData("bit.band(255, 15) .. '|' .. bit.bnot(0) .. '|' .. bit.lshift(1, 31) .. '|' .. bit.tohex(65535, 4)", "15|-1|-2147483648|ffff")]
    [InlineData("bit.tobit(2^32 + 5) .. '|' .. bit.rshift(-1, 28) .. '|' .. bit.arshift(-8, 1) .. '|' .. bit.bswap(1)", "5|15|-4|16777216")]
    [InlineData("cjson.encode({1, 2.5, 'a/b', {x = 1e20}})", "[1,2.5,\"a\\/b\",{\"x\":1e+20}]")]
    [InlineData("cjson.decode('{\"a\":[1,2.5,null,true]}').a[2] .. ''", "2.5")]
    [InlineData("#cmsgpack.pack(1, 2.5, 'abc', {1, 2}) .. ''", "13")]
    [InlineData("struct.unpack('<i', struct.pack('<i', 70000)) .. ''", "70000")]
    public void An_expression_has_its_value_of_Lua_5_1(string expression, string expected) =>
        Assert.Equal(expected, _redis.Run("EVAL", $"return {expression}", "0"));

    [Theory]
    [InlineData("local s = '' for k, v in pairs({5, 6, [3.0] = 7, x = 8}) do s = s .. k .. '=' .. v .. ';' end return s", "1=5;2=6;3=7;x=8;")]
    [InlineData("local s = '' for k, v in ipairs({5, 6}) do s = s .. k .. '=' .. v .. ';' end return s", "1=5;2=6;")]
    [InlineData("local t = {} t[2^53] = 1 for k in pairs(t) do return k * k .. '' end", "8.1129638414607e+31")]
    [InlineData("local k = next({[4294967296] = 1}) return k * k .. ''", "1.844674407371e+19")]
    [InlineData("local s = '' for i = 1, 3 do s = s .. i end for i = 1, 2, 0.5 do s = s .. ',' .. i end return s", "123,1,1.5,2")]
    [InlineData("local s = '' for i = '1', '3' do s = s .. i end for i = 3, 1, '-1' do s = s .. i end return s", "123321")]
    [InlineData("local s = '' for i = 1, 0/0 do s = s .. i end for i = 9e-9, 0.1, 2^32 do s = s .. i end return s", "0")]
    [InlineData("local s = '' for i = 1, 10, 0 do s = s .. i end for i = 2, 1, 0 do s = s .. i if #s > 5 then break end end return s", "222222")]
    [InlineData("local n = 0\nfor\n i\n =\n 1,\n 2 + 1 do n = n + i end\nreturn n .. ''", "6")]
    [InlineData("local function f(...) return arg.n .. arg[1] end return f('a', 'b')", "2a")]
    [InlineData("local function f() return y end setfenv(f, {y = 'env'}) return f() .. tostring(getfenv(f).y)", "envenv")]
    [InlineData("setfenv(1, {tostring = tostring}) z = 5 return tostring(z)", "5")]
    [InlineData("local goto = 1 local t = {goto = 2} return goto .. t.goto", "12")]
    [InlineData("return '\\x41\\q\\z'", "x41qz")]
    [InlineData("for a, b, c in (function() return nil end), 1, 2, 3 do end return 'ok'", "ok")]
    [InlineData("local t = {5, 3, 8, 1} table.sort(t, function(a, b) return a > b end) return table.concat(t, ' ')", "8 5 3 1")]
    [InlineData("local t = {} table.insert(t, 'a') table.insert(t, 1, 'b') table.insert(t, 10, 'c') return t[1] .. t[2] .. t[10]", "bac")]
    [InlineData("local t = {1, 2, 3} table.remove(t, 1) table.remove(t) return table.concat(t, ',') .. #t", "21")]
    [InlineData("local s = '' for w in string.gmatch('one two', '%a+') do s = s .. w .. '.' end return s", "one.two.")]
    [InlineData("local s = '' for k, v in string.gfind('a=1, b=2', '(%w+)=(%w+)') do s = s .. k .. v end return s", "a1b2")]
    [InlineData("local ok, e = pcall(error, 'x') return tostring(ok) .. e", "falsex")]
    [InlineData("local ok, e = pcall(function() local x; return x.y end) return e", "user_script:1: attempt to index local 'x' (a nil value)")]
    [InlineData("local ok, e = pcall(function() return 1 + {} end) return e", "user_script:1: attempt to perform arithmetic on a table value")]
    [InlineData("local ok, e = pcall(function() return 'a' + 1 end) return e", "user_script:1: attempt to perform arithmetic on a string value")]
    [InlineData("local ok, e = pcall(function() return 1 < 'x' end) return e", "user_script:1: attempt to compare number with string")]
    [InlineData("local ok, e = pcall(function() for i = 1, {} do end end) return e", "user_script:1: 'for' limit must be a number")]
    [InlineData("local ok, e = pcall(function() return nil % 2 end) return e", "user_script:1: attempt to perform arithmetic on a nil value")]
    [InlineData("return setmetatable({}, {__mod = function(a, b) return 'mod' .. b end}) % 3", "mod3")]
    [InlineData("local ok, e = pcall(redis.call, 'get') return e", "ERR Wrong number of args calling Redis command from script")]
    [InlineData("local t = setmetatable({}, {__add = function(a, b) return 'sum' end}) return ('1' + t) .. (t + 1)", "sumsum")]
    [InlineData("local t = setmetatable({}, {__concat = function() return 'cat' end}) return (1 .. t) .. (t .. 'x')", "catcat")]
    [InlineData("local co = coroutine.wrap(function(a) local b = coroutine.yield(a + 1) return b * 2 end) return co(1) .. co(10)", "220")]
    public void A_script_does_what_it_does_in_Lua_5_1(string script, string expected) => Assert.Equal(expected, _redis.Run("EVAL", script, "0"));

    [Theory]
    [InlineData("x", "syntax error near '<eof>'")]
    [InlineData("return 'a", "unfinished string near '<eof>'")]
    [InlineData("return 'a\nb'", "unfinished string near ''a'")]
    [InlineData("if true then\nreturn 1", "'end' expected (to close 'if' at line 1) near '<eof>'")]
    [InlineData("x x", "'=' expected near 'x'")]
    [InlineData("local function f()\n(g)()\nreturn ... end", "cannot use '...' outside a vararg function near '...'")]
    [InlineData("f\n(g)", "ambiguous syntax (function call x new statement) near '('")]
    [InlineData("return 1x", "malformed number near '1x'")]
    [InlineData("break", "no loop to break near '<eof>'")]
    [InlineData("a = b[1", "']' expected near '<eof>'")]
    [InlineData("return 5 $ 3", "unexpected symbol near '$'")]
    public void A_wrong_script_is_refused_in_the_words_of_Lua_5_1(string script, string error) =>
        Assert.EndsWith(error + "\r\n", _redis.Raw("EVAL", script, "0"), StringComparison.Ordinal);

    [Fact]
    public void Errors_name_the_line_of_the_script_as_it_was_written()
    {
        const string Script = "local a = [[\nx\n]] .. 'y'\n-- comment\nlocal b = {\n1,\n}\nlocal c = 'a\\\nb'\nerror('here')";
        Assert.StartsWith("-ERR user_script:10: here script: ", _redis.Raw("EVAL", Script, "0"), StringComparison.Ordinal);
        Assert.Contains("on @user_script:10.", _redis.Raw("EVAL", Script, "0"), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("local x = 1\nreturn redis.call('nosuch')", "ERR Unknown Redis command called from script", 2)]
    [InlineData("local call, x = redis.call, 1\nlocal function f()\nreturn call('get')\nend\nreturn {f()}",
        "ERR Wrong number of args calling Redis command from script", 3)]
    [InlineData("local s = string\nreturn string.rep(nil)", "ERR user_script:2: bad argument #1 to 'rep' (string expected, got nil)", 2)]
    [InlineData("local f = string.rep\nreturn\nf({})", "ERR user_script:3: bad argument #1 to 'f' (string expected, got table)", 3)]
    [InlineData("local s = 'x'\nreturn s:rep({})", "ERR user_script:2: bad argument #1 to 'rep' (number expected, got table)", 2)]
    [InlineData("local s = 'x'\nreturn tonumber('1', 99)", "ERR user_script:2: bad argument #2 to 'tonumber' (base out of range)", 2)]
    [InlineData("local s = 'x'\nreturn error(s)", "ERR user_script:2: x", 2)]
    public void What_returns_the_result_of_the_library_is_named_in_its_error(string script, string error, int line) =>
        Assert.Matches($"^-{System.Text.RegularExpressions.Regex.Escape(error)} script: [0-9a-f]{{40}}, on @user_script:{line}\\.\r\n$",
            _redis.Raw("EVAL", script, "0"));

    [Theory]
    [InlineData("local function f() return string.find('hello', 'l+') end local a, b = f() return a .. b", "34")]
    [InlineData("local find = string.find local function f(s) return find(s, '(l)(l)') end return select('#', f('hello')) .. ''", "4")]
    [InlineData("local function f(n) if n == 0 then return 'end' end return f(n - 1) end return f(1000000)", "end")]
    [InlineData("local t = {} function t.rep(n) if n == 0 then return 'end' end return t.rep(n - 1) end return t.rep(1000000)", "end")]
    [InlineData("local t = {n = 1000000} function t:go() self.n = self.n - 1 if self.n == 0 then return 'end' end return self:go() end return t:go()", "end")]
    public void What_is_returned_has_all_its_values_and_a_script_calls_itself_in_its_own_place(string script, string expected) =>
        Assert.Equal(expected, _redis.Run("EVAL", script, "0"));
}
