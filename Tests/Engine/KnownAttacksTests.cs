using OrleansRedis.Engine;
using Xunit;

namespace OrleansRedis.Tests;

/// <summary>
/// Requests by which versions of Redis could be made to crash, hang, or read and write where they should not. Those in
/// scripts are in <see cref="Scripts.SandboxTests"/>. Here they are errors, or do what they say.
/// </summary>
public sealed class KnownAttacksTests : IDisposable
{
    private readonly EngineHarness _redis = new();

    public KnownAttacksTests()
    {
        _redis.Run("SET", "sentinel", "stands");
        _redis.Run("SET", "k1", "value");
        _redis.Run("SET", "n", "1");
        _redis.Run("RPUSH", "l", "3", "1", "2");
        _redis.Run("SADD", "s", "a", "b", "c");
        _redis.Run("HSET", "h", "f", "1", "g", "2");
        _redis.Run("ZADD", "z", "1", "a", "2", "b");
        _redis.Run("XADD", "x", "1-1", "f", "v");
        _redis.Run("XADD", "x", "2-1", "f", "v");
        _redis.Run("XGROUP", "CREATE", "x", "g", "0");
        _redis.Run("XREADGROUP", "GROUP", "g", "c", "STREAMS", "x", ">");
        _redis.Run("XDEL", "x", "1-1");
        // Registers beyond the last one, by runs of zeros and of values.
        _redis.Run("SET", "hll", "HYLL\x01\0\0\0\0\0\0\0\0\0\0\x80" + string.Concat(Enumerable.Repeat("\x7f\xff", 20)) + "\x83");
        _redis.Run("SET", "hll2", "HYLL\x01\0\0\0\0\0\0\0\0\0\0\x80" + string.Concat(Enumerable.Repeat("\xff", 6000)));
        _redis.Run("SET", "hll3", "HYLL\0\0\0\0\0\0\0\0\0\0\0\x80short");
        _redis.Run("PFADD", "good", "a", "b");
        _redis.Run("SET", new string('a', 3000), "");
    }

    public void Dispose() => _redis.Dispose();

    private static readonly string[] s_lines =
    [
        "INCRBY n ?", "SET ? ?", "EXPIRE n ?", "ZADD z ? ?", "ZRANGEBYSCORE z ? ?", "ZRANGEBYLEX z [? +", "XADD x ? f v", "XRANGE x ? +", "HSET h ? ?",
        "OBJECT ? n", "CONFIG GET ?", "CONFIG SET ? ?", "ACL CAT ?", "ACL SETUSER u ?", "SORT l BY ? GET ?", "BITFIELD n GET ? ?", "GEOADD d ? ? a",
        "EVALSHA ? 0", "EVAL return'?' 0", "SCAN ?", "PFADD ? ?", "LCS ? ?",
    ];

    private const string OutOfRange = "-ERR value is out of range", NoNumber = "-ERR value is not an integer or out of range", BadHll = "-INVALIDOBJ ";

    /// <summary>The requests, and how their replies begin; nothing if that does not matter.</summary>
    public static TheoryData<string, string> Attempts => new()
    {
        // Counts and lengths that overflow (CVE-2022-35951, CVE-2022-35977, CVE-2023-22458, CVE-2023-25155, CVE-2023-36824,
        // CVE-2025-62507)
        { "SRANDMEMBER s -9223372036854775808", OutOfRange },
        { "EVAL return(redis.call('srandmember','s','-9223372036854775807')) 0", "-ERR the reply takes more memory" },
        { "EVAL return(redis.pcall('hrandfield','h','-1000000000000')) 0", "-ERR the reply takes more memory" },
        { "EVAL return(redis.call('zrandmember','z','-4000000000000000000')) 0", "-ERR the reply takes more memory" },
        { "HRANDFIELD h -9223372036854775808", OutOfRange },
        { "HRANDFIELD h -9223372036854775807 WITHVALUES", OutOfRange },
        { "ZRANDMEMBER z -9223372036854775808", OutOfRange },
        { "ZRANDMEMBER z -4611686018427387904 WITHSCORES", OutOfRange },
        { "SPOP s 9223372036854775807", "*3" },
        { "LPOP l 9223372036854775807", "*3" },
        { "SETRANGE k1 4294967295 x", "-ERR string exceeds maximum allowed size" },
        { "SETRANGE k1 9223372036854775807 x", "-ERR string exceeds maximum allowed size" },
        { "SORT l LIMIT 0 9223372036854775807", "*3" },
        { "SORT l LIMIT 9223372036854775807 9223372036854775807", "*0" },
        { "SORT l LIMIT -9223372036854775808 -9223372036854775808", "*3" },
        { "LPOS l 1 RANK -9223372036854775808", "-ERR value is out of range" },
        { "LPOS l 1 COUNT 9223372036854775807 MAXLEN 9223372036854775807", "*1" },
        { "LRANGE l -9223372036854775808 9223372036854775807", "*3" },
        { "LTRIM l -9223372036854775808 9223372036854775807", "+OK" },
        { "LREM l -9223372036854775808 x", "" },
        { "XAUTOCLAIM x g c 0 - COUNT 9223372036854775807", "-ERR COUNT must be > 0" },
        { "XAUTOCLAIM x g c 0 - COUNT 1152921504606846976", "-ERR COUNT must be > 0" },
        { "XAUTOCLAIM x g c 0 -", "*3" },
        { "XRANGE x - + COUNT 9223372036854775807", "*1" },
        { "XREADGROUP GROUP g c COUNT 9223372036854775807 STREAMS x 0", "*1" },
        { "XACKDEL x g IDS 2147483647 1-1", "-ERR " },
        { "XDELEX x IDS 9223372036854775807 1-1", "-ERR " },
        { "XTRIM x MAXLEN 9223372036854775808", NoNumber },
        { "XADD x MAXLEN ~ 1 LIMIT 9223372036854775807 * f v", "$" },
        { "SINTERCARD 9223372036854775807 s", "-ERR Number of keys can't be greater than number of args" },
        { "ZMPOP 9223372036854775807 z MIN", "-ERR " },
        { "LMPOP 4294967297 l LEFT", "-ERR " },
        { "ZUNIONSTORE d 2147483647 z", "-ERR " },
        { "ZUNION 4294967297 z", "-ERR " },
        { "EVAL return{} 9223372036854775807 k", "-ERR Number of keys can't be greater than number of args" },
        { "EVAL return{} -1", "-ERR Number of keys can't be negative" },
        { "COMMAND GETKEYS ZUNIONSTORE d 2147483647 z", "-ERR " },
        { "COMMAND GETKEYSANDFLAGS EVAL x 99999999 k", "*0" },
        { "COMMAND GETKEYS EVAL x -1 k", "*0" },
        { "COMMAND GETKEYS XREAD STREAMS", "-ERR " },
        { "COMMAND GETKEYS XREADGROUP GROUP STREAMS STREAMS STREAMS STREAMS STREAMS", "" },
        { "COMMAND GETKEYS MIGRATE h 1 k 0 1 KEYS", "-ERR " },
        { "HSCAN h 18446744073709551615", "*2" },
        { "SSCAN s 18446744073709551616", "-ERR invalid cursor" },
        { "HEXPIRE h 9223372036854775807 FIELDS 1 f", "-ERR invalid expire time" },
        { "HEXPIRE h 1 FIELDS 2147483647 f", "-ERR " },
        { "EXPIRE k1 9223372036854775807", "-ERR invalid expire time" },
        { "EXPIRE k1 -9223372036854775808", "-ERR invalid expire time" },
        { "RESTORE d 9223372036854775807 bogus ABSTTL", "-ERR " },
        { "RESTORE d 0 bogus", "-ERR DUMP payload version or checksum are wrong" },

        // Bits (CVE-2021-32761)
        { "SETBIT k1 4294967296 1", "-ERR bit offset is not an integer or out of range" },
        { "SETBIT k1 -1 1", "-ERR bit offset is not an integer or out of range" },
        { "GETBIT k1 9223372036854775807", "-ERR bit offset is not an integer or out of range" },
        { "BITFIELD k1 GET i64 9223372036854775807", "-ERR bit offset is not an integer or out of range" },
        { "BITFIELD k1 SET u8 #4611686018427387904 1", "-ERR bit offset is not an integer or out of range" },
        { "BITFIELD k1 INCRBY i64 0 9223372036854775807 INCRBY i64 0 9223372036854775807", "*2" },
        { "BITFIELD k1 OVERFLOW SAT INCRBY i64 0 -9223372036854775808 INCRBY i64 0 -9223372036854775808", "*2" },
        { "BITCOUNT k1 -9223372036854775808 9223372036854775807 BIT", ":" },
        { "BITPOS k1 0 9223372036854775807 -9223372036854775808 BIT", ":-1" },

        // Values that a type cannot have (CVE-2023-28425, CVE-2023-28856, CVE-2025-32023)
        { "HINCRBYFLOAT h f inf", "-ERR value is NaN or Infinity" },
        { "HINCRBYFLOAT h f nan", "-ERR value is not a valid float" },
        { "HINCRBYFLOAT h f 1e5000", "-ERR " },
        { "INCRBYFLOAT n 1.7976931348623157e+4932", "-ERR " },
        { "HINCRBY h f 9223372036854775807", "-ERR increment or decrement would overflow" },
        { "INCRBY n 9223372036854775807", "-ERR increment or decrement would overflow" },
        { "DECRBY n -9223372036854775808", "-ERR decrement would overflow" },
        { "MSETNX new 1 new 2", ":1" },
        { "ZADD z nan a", "-ERR value is not a valid float" },
        { "ZINCRBY z nan a", "-ERR value is not a valid float" },
        { "GEOADD d nan nan a", "-ERR " },
        { "GEOSEARCH z FROMLONLAT 0 0 BYRADIUS inf m", "" },
        { "GEOSEARCH z FROMLONLAT 0 0 BYBOX 1e308 1e308 km ASC COUNT 9223372036854775807", "" },
        { "GEORADIUS z 180 85.05112878 6378137000 m STORE d", "" },
        { "XADD x 18446744073709551615-18446744073709551615 f v", "$" },
        { "XSETID x 18446744073709551615-18446744073709551615 ENTRIESADDED -1", "-ERR " },
        { "PFCOUNT hll", BadHll },
        { "PFCOUNT hll2", BadHll },
        { "PFCOUNT hll3", "-WRONGTYPE Key is not a valid HyperLogLog string value." },
        { "PFMERGE good hll", BadHll },
        { "PFMERGE good hll2", BadHll },
        { "PFADD hll a", "" },
        { "PFADD hll2 b", "" },
        { "PFCOUNT good hll", BadHll },

        // Patterns that take for ever (CVE-2022-36021, CVE-2024-31228)
        { "KEYS a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*b", "*0" },
        { "SCAN 0 COUNT 100 MATCH a*?a*?a*?a*?a*?a*?a*?a*?a*?a*?a*?a*?a*?b", "*2" },
        { "KEYS [a-[a-[a-[a-", "" },
        { "KEYS \\", "*0" },
        { "KEYS [^", "" },
        { "CONFIG GET a*a*a*a*a*a*a*a*a*a*a*a*b", "*0" },
        { "SORT l BY **************** GET ****->****", "" },

        // Rules (CVE-2024-31227, CVE-2024-51741)
        { "ACL SETUSER u %", "-ERR Error in ACL SETUSER modifier '%': Syntax error" },
        { "ACL SETUSER u %~", "-ERR Error in ACL SETUSER modifier '%~': Syntax error" },
        { "ACL SETUSER u %RWRW~x", "-ERR Error in ACL SETUSER modifier '%RWRW~x': Syntax error" },
        { "ACL SETUSER u (%~)", "-ERR Error in ACL SETUSER modifier '(%~)': Syntax error" },
        { "ACL SETUSER u (", "-ERR Unmatched parenthesis" },
        { "ACL SETUSER u ()", "+OK" },
        { "ACL SETUSER u (()", "-ERR " },
        { "ACL SETUSER u (+get (~x)", "-ERR " },
        { "ACL SETUSER u +@", "-ERR " },
        { "ACL SETUSER u +|", "-ERR " },
        { "ACL SETUSER u +config|", "-ERR " },
        { "ACL SETUSER u #", "-ERR " },
        { "ACL GENPASS 9223372036854775807", "-ERR " },
        { "ACL LOG -9223372036854775808", "" },
        { "ACL DRYRUN default XREAD STREAMS", "-ERR " },
        { "ACL DRYRUN default EVAL x 9223372036854775807", "" },
    };

    [Theory]
    [MemberData(nameof(Attempts))]
    public void What_brought_others_down_is_an_error_or_harmless(string line, string reply)
    {
        string actual = _redis.Raw(line.Split(' '));
        Assert.StartsWith(reply, actual, StringComparison.Ordinal);
        Assert.DoesNotContain("internal error", actual, StringComparison.Ordinal);
        Assert.Equal("stands", _redis.Run("GET", "sentinel"));
        // Whatever is there now can be read, kept and used.
        KeyspaceDigest.OfAll(_redis.Store.Slots);
        foreach (string key in (string[])["k1", "n", "l", "s", "h", "z", "x", "good", "hll", "hll2", "d", "new"])
        {
            if (_redis.Run("DUMP", key) is string dump) Assert.Equal("OK", _redis.Run("RESTORE", "copy", "0", dump, "REPLACE"));
        }
        Assert.Equal(1L, _redis.Run("EVAL", "return 1", "0"));
    }

    /// <summary>Numbers with very many digits, names of every length: nothing is written behind a buffer.</summary>
    [Fact]
    public void Words_may_have_any_length()
    {
        foreach (int length in (int[])[0, 1, 20, 21, 43, 44, 45, 63, 64, 127, 128, 129, 255, 256, 4095, 4096, 65_535, 65_536])
        {
            foreach (char letter in "1x\0%-")
            {
                string word = new(letter, length);
                foreach (string line in s_lines)
                {
                    string[] words = [.. line.Split(' ').Select(part => part.Replace("?", word, StringComparison.Ordinal))];
                    Assert.DoesNotContain("internal error", _redis.Raw(words), StringComparison.Ordinal);
                }
            }
            _redis.Run("DEL", "d", "n", "h");
        }
        Assert.Equal("stands", _redis.Run("GET", "sentinel"));
    }
}
