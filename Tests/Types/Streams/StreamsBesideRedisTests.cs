using System.Globalization;
using OrleansRedis.Tests.Harness;
using Xunit;

namespace OrleansRedis.Tests;

[Trait("Needs", "servers")]
public class StreamsBesideRedisTests
{
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public async Task Random_stream_commands_reply_as_redis_does(int seed)
    {
        await using SideBySide both = await SideBySide.StartAsync(
            options => (options.StreamNodeMaxEntries, options.RdbCompression) = (7, false), "--stream-node-max-entries", "7", "--rdbcompression", "no");
        var random = TestSeed.Random(seed);
        int count = int.Parse(Environment.GetEnvironmentVariable("RANDOM_COMMANDS") ?? "3000", CultureInfo.InvariantCulture);
        for (int i = 0; i < count; i++)
        {
            string[] command = Command(random);
            if (command is ["XGROUP", "CREATECONSUMER", ..])
            {
                // Since 7.2 a read that finds nothing creates the consumer too.
                both.Theirs(command);
                both.Ours.Run(command);
                continue;
            }
            both.Same(command);
            if (i % 100 == 0) both.Same("XINFO", "STREAM", Key(random));
        }
        for (int i = 0; i < 3; i++)
        {
            both.Same("XINFO", "STREAM", $"s{i}");
            both.Same("XRANGE", $"s{i}", "-", "+");
            both.Same("XREVRANGE", $"s{i}", "+", "-");
            both.Same("XPENDING", $"s{i}", "g0");
            // Groups store the times at which consumers were seen, by each server's clock. Without the groups all bytes
            // must be the same.
            both.Same("XGROUP", "DESTROY", $"s{i}", "g0");
            both.Same("XGROUP", "DESTROY", $"s{i}", "g1");
            both.Same("DUMP", $"s{i}");
        }
    }

    [Fact]
    public async Task Wrong_arguments_get_the_errors_of_redis()
    {
        await using SideBySide both = await SideBySide.StartAsync();
        both.Same("XADD s 5-5 a 1");
        both.Same("XGROUP CREATE s g $");
        both.Theirs("SET", "str", "x");
        both.Ours.Run("SET", "str", "x");
        foreach (string line in (string[])
            [
                "XADD s 0-0 a 1", "XADD s 5-5 a 1", "XADD s 5-4 a 1", "XADD s 4 a 1", "XADD s bad a 1", "XADD s 1-1-1 a 1", "XADD s - a 1", "XADD s + a 1",
                "XADD s * a", "XADD s * a 1 b", "XADD str * a 1", "XADD s MAXLEN -1 * a 1", "XADD s MAXLEN x * a 1", "XADD s MAXLEN 5 MINID 5 * a 1",
                "XADD s LIMIT 5 * a 1", "XADD s MAXLEN = 5 LIMIT 5 * a 1", "XADD s MAXLEN 5 LIMIT -5 * a 1", "XADD s MINID ~ x * a 1", "XADD s 5-* a",
                "XADD s -*  a 1",
                "XADD s 18446744073709551616-0 a 1", "XADD s NOMKSTREAM 18446744073709551616-0 a 1", "XADD none NOMKSTREAM * a 1", "XADD s 4-* a 1",
                "XTRIM s MAXLEN", "XTRIM s FOO 5", "XTRIM s LIMIT 10", "XTRIM s MAXLEN ~ 5 LIMIT x", "XTRIM str MAXLEN 5", "XTRIM none MAXLEN 5",
                "XTRIM s MAXLEN 1 foo",
                "XLEN str", "XLEN none", "XDEL s x", "XDEL s 1-1 x", "XDEL none 1-1", "XDEL str 1-1", "XSETID s 1-1", "XSETID none 1-1", "XSETID s x",
                "XSETID s 9-9 ENTRIESADDED -1",
                "XSETID s 9-9 ENTRIESADDED 0", "XSETID s 9-9 MAXDELETEDID 10-0", "XSETID s 9-9 FOO", "XSETID s 9-9 ENTRIESADDED 10 MAXDELETEDID 3-0",
                "XRANGE s x +", "XRANGE s (+ +", "XRANGE s (18446744073709551615-18446744073709551615 +", "XRANGE s - (0-0", "XRANGE s - + COUNT",
                "XRANGE s - + COUNT x",
                "XRANGE s - + FOO 1", "XRANGE s - + COUNT 0", "XRANGE s - + COUNT -1", "XRANGE none - +", "XRANGE str - +", "XREVRANGE s + ( ", "XRANGE s ( +",
                "XREAD COUNT 1 STREAMS s", "XREAD STREAMS s 0", "XREAD FOO STREAMS s 0", "XREAD COUNT x STREAMS s 0", "XREAD BLOCK -1 STREAMS s 0",
                "XREAD BLOCK x STREAMS s 0",
                "XREAD GROUP g c STREAMS s 0", "XREAD NOACK STREAMS s 0", "XREAD STREAMS s >", "XREAD STREAMS str 0", "XREAD STREAMS none s 0 0",
                "XREAD STREAMS s x", "XREAD STREAMS s $",
                "XREADGROUP GROUP g c STREAMS none >", "XREADGROUP GROUP none c STREAMS s >", "XREADGROUP GROUP g c STREAMS s $",
                "XREADGROUP COUNT 1 NOACK STREAMS s x >", "XREADGROUP COUNT 1 NOACK STREAMS s >",
                "XREADGROUP GROUP g c COUNT 1 STREAMS s x", "XREADGROUP GROUP g c STREAMS s s >",
                "XGROUP CREATE none g $", "XGROUP CREATE s g $", "XGROUP CREATE s h x", "XGROUP CREATE s h $ FOO", "XGROUP CREATE s h $ ENTRIESREAD x",
                "XGROUP CREATE s h $ ENTRIESREAD -2", "XGROUP CREATE str h $", "XGROUP SETID s none $", "XGROUP SETID none g $", "XGROUP SETID s g x",
                "XGROUP SETID s g - ENTRIESREAD 3",
                "XGROUP DESTROY none g", "XGROUP DESTROY s none", "XGROUP DESTROY str g", "XGROUP CREATECONSUMER none g c", "XGROUP CREATECONSUMER s none c",
                "XGROUP CREATECONSUMER s g c2", "XGROUP CREATECONSUMER s g c2", "XGROUP DELCONSUMER s none c", "XGROUP DELCONSUMER s g nobody",
                "XGROUP DELCONSUMER s g c2",
                "XACK s g x", "XACK none g 1-1", "XACK s none 1-1", "XACK str g 1-1", "XACK s g 1-1",
                "XPENDING none g", "XPENDING s none", "XPENDING s g - +", "XPENDING s g - + x", "XPENDING s g x + 1", "XPENDING s g IDLE x - + 1",
                "XPENDING s g IDLE 1 - +",
                "XPENDING s g - + 10 nobody", "XPENDING str g", "XPENDING s g", "XPENDING s g - + -1", "XPENDING s g (+ + 5", "XPENDING s g - (0 5",
                "XPENDING s g a b c d e f g",
                "XCLAIM none g c 0 1-1", "XCLAIM s none c 0 1-1", "XCLAIM s g c x 1-1", "XCLAIM s g c 0 1-1 FOO", "XCLAIM s g c 0 1-1 IDLE x",
                "XCLAIM s g c 0 1-1 TIME x",
                "XCLAIM s g c 0 1-1 RETRYCOUNT x", "XCLAIM s g c 0 1-1 LASTID x", "XCLAIM str g c 0 1-1", "XCLAIM s g c 0 1-1 IDLE",
                "XAUTOCLAIM none g c 0 -", "XAUTOCLAIM s none c 0 -", "XAUTOCLAIM s g c x -", "XAUTOCLAIM s g c 0 x", "XAUTOCLAIM s g c 0 - COUNT 0",
                "XAUTOCLAIM s g c 0 - COUNT x",
                "XAUTOCLAIM s g c 0 - FOO", "XAUTOCLAIM s g c 0 (+", "XAUTOCLAIM str g c 0 -",
                "XINFO STREAM none", "XINFO STREAM str", "XINFO STREAM s FOO", "XINFO STREAM s FULL COUNT", "XINFO STREAM s FULL COUNT x", "XINFO GROUPS none",
                "XINFO GROUPS str",
                "XINFO CONSUMERS none g", "XINFO CONSUMERS s none", "XINFO CONSUMERS str g",
            ])
        {
            // 7.4 words these errors differently.
            if (line is "XREAD COUNT 1 STREAMS s" or "XREADGROUP COUNT 1 NOACK STREAMS s x >" or "XREADGROUP GROUP g c STREAMS s s >")
                Assert.StartsWith("-ERR Unbalanced", both.Ours.Raw(line.Split(' ')), StringComparison.Ordinal);
            else both.Same(line);
        }
    }

    private static string Key(Random random) => $"s{random.Next(3)}";

    private static string Id(Random random) => random.Next(6) switch
    {
        0 => "-",
        1 => "+",
        2 => $"{random.Next(40)}",
        3 => $"({random.Next(40)}-{random.Next(3)}",
        _ => $"{random.Next(40)}-{random.Next(3)}",
    };

    private static string StrictId(Random random) => random.Next(3) == 0 ? $"{random.Next(40)}" : $"{random.Next(40)}-{random.Next(3)}";

    private static string[] Command(Random random)
    {
        string key = Key(random), group = $"g{random.Next(2)}", consumer = $"c{random.Next(3)}";
        switch (random.Next(22))
        {
            case 0 or 1 or 2 or 3 or 4 or 5:
                var add = new List<string> { "XADD", key };
                if (random.Next(5) == 0) add.Add("NOMKSTREAM");
                switch (random.Next(8))
                {
                    case 0: add.AddRange(["MAXLEN", random.Next(2) == 0 ? "~" : "=", $"{random.Next(30)}"]); break;
                    case 1: add.AddRange(["MINID", random.Next(2) == 0 ? "~" : "=", StrictId(random)]); break;
                    case 2: add.AddRange(["MAXLEN", "~", $"{random.Next(30)}", "LIMIT", $"{random.Next(20)}"]); break;
                    default: break;
                }
                add.Add(random.Next(4) == 0 ? $"{random.Next(40)}-*" : StrictId(random));
                int fields = random.Next(1, 4);
                for (int i = 0; i < fields; i++)
                    add.AddRange([
                        random.Next(3) == 0 ? "f" : $"f{i}",
                        random.Next(2) == 0 ? $"{random.Next(100000) - 50000}" : new string('x', random.Next(70))]);
                return [.. add];
            case 6: return ["XDEL", key, StrictId(random), StrictId(random)];
            case 7: return ["XTRIM", key, "MAXLEN", random.Next(2) == 0 ? "~" : "=", $"{random.Next(25)}"];
            case 8: return ["XTRIM", key, "MINID", random.Next(2) == 0 ? "~" : "=", StrictId(random)];
            case 9: return ["XRANGE", key, Id(random), Id(random), "COUNT", $"{random.Next(-1, 10)}"];
            case 10: return ["XREVRANGE", key, Id(random), Id(random)];
            case 11: return ["XREAD", "COUNT", $"{random.Next(4)}", "STREAMS", "s0", "s1", StrictId(random), "$"];
            case 12: return ["XGROUP", "CREATE", key, group, random.Next(2) == 0 ? "$" : StrictId(random), "MKSTREAM"];
            case 13 or 14: return ["XREADGROUP", "GROUP", group, consumer, "COUNT", $"{random.Next(1, 5)}", "STREAMS", key, ">"];
            case 15: return ["XREADGROUP", "GROUP", group, consumer, "NOACK", "STREAMS", key, random.Next(2) == 0 ? ">" : StrictId(random)];
            case 16: return ["XACK", key, group, StrictId(random), StrictId(random)];
            case 17: return ["XCLAIM", key, group, consumer, "0", StrictId(random), StrictId(random), random.Next(2) == 0 ? "FORCE" : "JUSTID"];
            case 18: return ["XAUTOCLAIM", key, group, consumer, "0", random.Next(2) == 0 ? "-" : StrictId(random), "COUNT", $"{random.Next(1, 5)}"];
            case 19: return ["XPENDING", key, group];
            // IDs only rise, so now and then a stream starts from nothing again.
            case 20 when random.Next(6) == 0: return ["DEL", key];
            case 20:
                return random.Next(4) != 0
                    ? ["XLEN", key]
                    : ["XGROUP", random.Next(2) == 0 ? "DESTROY" : "SETID", key, group, .. random.Next(2) == 0 ? [] : (string[])["$"]];
            default: return random.Next(2) == 0 ? ["XGROUP", "DELCONSUMER", key, group, consumer] : ["XGROUP", "CREATECONSUMER", key, group, consumer];
        }
    }
}
