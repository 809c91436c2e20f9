using System.Globalization;
using System.Text;
using OrleansRedis.Tests.Harness;
using OrleansRedis.Tests.Types.SortedSets;
using Xunit;

namespace OrleansRedis.Tests.Scripts;

/// <summary>Random scripts to this engine and to a real redis-server: the replies must be the same, byte for byte.</summary>
[Trait("Needs", "servers")]
public sealed class ScriptDifferentialTests
{
    private readonly StringBuilder _script = new();
    private Random _random = new(0);

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public async Task Random_expressions_have_the_value_that_redis_gives_them(int stream)
    {
        await using ReferenceRedis redis = await ReferenceRedis.StartAsync();
        using var ours = new EngineHarness();
        _random = TestSeed.Random(stream);
        for (int i = 0; i < 1500; i++)
        {
            string script = Script();
            string expected = redis.Raw("EVAL", script, "1", "key", "12", "abc", "-3.5"),
                actual = ours.Raw("EVAL", script, "1", "key", "12", "abc", "-3.5");
            Assert.True(Normal(expected) == Normal(actual), $"{script}\nredis: {expected}\nours:  {actual}");
            if (i % 300 == 0)
            {
                redis.Raw("SCRIPT", "FLUSH");
                ours.Run("SCRIPT", "FLUSH");
            }
        }
    }

    /// <summary>
    /// An error's text may differ where 5.4 knows less of a variable's name ("a nil value" instead of "local 'x' (a nil
    /// value)").
    /// </summary>
    private static string Normal(string reply) => reply.StartsWith('-') ? "error" : reply;

    private string Script()
    {
        _script.Clear();
        _script.Append("local a, b, c, t = 7, 'x1', 2.5, {1, 2, 'z', k = 3}\n");
        int statements = _random.Next(1, 4);
        for (int i = 0; i < statements; i++)
        {
            switch (_random.Next(4))
            {
                case 0:
                    _script.Append(CultureInfo.InvariantCulture, $"{Pick("a", "b", "c", "t.k", "t[1]")} = {Expression(3)}\n");
                    break;
                case 1:
                    _script.Append(CultureInfo.InvariantCulture, $"for i = {Number()}, {Number()} do a = {Expression(2)} if i > 20 then break end end\n");
                    break;
                case 2:
                    _script.Append(CultureInfo.InvariantCulture, $"for i, v in ipairs(t) do b = b .. tostring({Expression(2)}) end\n");
                    break;
                default:
                    _script.Append(CultureInfo.InvariantCulture, $"if {Expression(2)} then a = {Expression(2)} else c = {Expression(2)} end\n");
                    break;
            }
        }
        _script.Append(CultureInfo.InvariantCulture, $"return {{tostring({Expression(3)}), tostring(a), tostring(b), tostring(c), {Expression(3)}}}");
        return _script.ToString();
    }

    private string Pick(params ReadOnlySpan<string> choices) => choices[_random.Next(choices.Length)];

    private string Number() => Pick("0", "1", "2", "10", "-3", "0.5", "1e3", "7.25", "100");

    private string Text() => Pick("'abc'", "'10'", "'hello world'", "''", "'0x1f'", "' 5 '", "'a,b,c'", "ARGV[1]", "ARGV[2]", "ARGV[3]", "KEYS[1]", "b");

    private string Pattern() => Pick("'%w'", "'l+'", "'(.)(.)'", "'%s*'", "'o'", "'[a-c]'", "'^h'");

    private string Expression(int depth)
    {
        if (depth == 0) return Pick("a", "b", "c", "t[1]", "t[3]", "t.k", "#t", "#ARGV", "true", "false", Number(), Text());
        string x = Expression(depth - 1), y = Expression(depth - 1);
        return _random.Next(30) switch
        {
            0 or 1 => $"({x} + {y})",
            2 or 3 => $"({x} - {y})",
            4 or 5 => $"({x} * {y})",
            6 => $"({x} / {Number()})",
            7 => $"({Pick("#ARGV", "#t", "17", "-17", "'-10'")} % {Pick("3", "5", "7", "2")})",
            8 => $"({x} ^ {Pick("2", "0.5", "3")})",
            9 or 10 or 11 => $"({x} .. {y})",
            12 => $"({x} == {y})",
            13 => $"({x} < {y})",
            14 => $"({x} and {y})",
            15 => $"({x} or {y})",
            16 => $"(not {x})",
            17 => $"(-{x})",
            18 => $"tostring({x})",
            19 => $"tonumber({x})",
            20 => $"math.floor({x})",
            21 => $"string.format('%d %s %5.2f', {Number()}, {Text()}, {Number()})",
            22 => $"string.sub({Text()}, {Number()}, {Number()})",
            23 => $"string.rep({Text()}, {Pick("0", "1", "2", "3")})",
            24 => $"(string.gsub({Text()}, {Pattern()}, {Pick("'<%0>'", "'x'", "string.upper", "t")}))",
            25 => $"string.find({Text()}, {Pick("'l'", "'%d+'", "'(%w)(%w)'", "'b,'", "'$'", "'()o'")})",
            26 => $"table.concat({{{Number()}, {Text()}, {Number()}}}, {Text()})",
            27 => $"bit.{Pick("band", "bor", "bxor", "lshift", "rshift")}({Number()}, {Pick("1", "3", "255", "31")})",
            28 => $"cjson.encode({{{x}, {Number()}, {Text()}}})",
            _ => $"select({Pick("'#'", "1", "2")}, {x}, {y})",
        };
    }
}
