using OrleansRedis.Tests.Harness;
using Xunit;

namespace OrleansRedis.Tests;

/// <summary>Conditions on the present value, MSETEX and DIGEST, as in Redis 8.4.</summary>
public sealed class StringComparisonsTests : IDisposable
{
    private readonly EngineHarness _redis = new();

    public void Dispose() => _redis.Dispose();

    [Theory]
    [InlineData("hello", "9555e8555c62dcfd")]
    [InlineData("", "2d06800538d394c2")]
    public void A_digest_is_the_xxh3_hash_of_the_value(string value, string digest)
    {
        _redis.Run("SET", "k", value);
        Assert.Equal(digest, _redis.Run("DIGEST", "k"));
    }

    [Fact]
    public void Equal_values_have_equal_digests_whatever_their_representation()
    {
        _redis.Run("SET", "integer", "12345");
        _redis.Run("APPEND", "raw", "123");
        _redis.Run("APPEND", "raw", "45");
        Assert.Equal(_redis.Run("DIGEST", "raw"), _redis.Run("DIGEST", "integer"));
        string large = new('x', 100_000);
        _redis.Run("SET", "large", large);
        _redis.Run("SETRANGE", "grown", "99999", "x");
        _redis.Run("SETRANGE", "grown", "0", large[1..]);
        Assert.Equal(_redis.Run("DIGEST", "large"), _redis.Run("DIGEST", "grown"));
        Assert.Equal("(nil)", _redis.Show("DIGEST none"));
        _redis.Run("RPUSH", "list", "a");
        Assert.StartsWith("-WRONGTYPE", _redis.Show("DIGEST list"), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("SET k new IFEQ old", "OK", "SET k new")]
    [InlineData("SET k new IFEQ Old", "(nil)", null)]
    [InlineData("SET k new IFNE other", "OK", "SET k new")]
    [InlineData("SET k new IFNE old", "(nil)", null)]
    [InlineData("SET k new IFDEQ {digest}", "OK", "SET k new")]
    [InlineData("SET k new IFDEQ {DIGEST}", "OK", "SET k new")]
    [InlineData("SET k new IFDNE {digest}", "(nil)", null)]
    [InlineData("SET k new IFDNE 0123456789abcdef", "OK", "SET k new")]
    [InlineData("SET k new IFDEQ zzzzzzzzzzzzzzzz", "(nil)", null)]
    [InlineData("SET k new IFDEQ 123", "-ERR must be exactly 16 hexadecimal characters", null)]
    [InlineData("SET k new IFDEQ 123 GET", "-ERR must be exactly 16 hexadecimal characters", null)]
    [InlineData("SET k new ifeq old GET", "old", "SET k new")]
    [InlineData("SET k new IFEQ other GET", "old", null)]
    [InlineData("SET k new IFEQ old PXAT 1735689610000", "OK", "SET k new PXAT 1735689610000")]
    [InlineData("SET k new IFEQ wrong IFEQ old", "OK", "SET k new")]
    [InlineData("SET none new IFEQ old", "(nil)", null)]
    [InlineData("SET none new IFDEQ 123", "(nil)", null)]
    [InlineData("SET none new IFNE old", "OK", "SET none new")]
    [InlineData("SET none new IFDNE 123", "OK", "SET none new")]
    [InlineData("SET list new IFEQ old", "-WRONGTYPE Operation against a key holding the wrong kind of value", null)]
    [InlineData("SET list new IFDNE 123", "-WRONGTYPE Operation against a key holding the wrong kind of value", null)]
    [InlineData("SET k new IFEQ", "-ERR syntax error", null)]
    [InlineData("SET k new IFEQ old NX", "-ERR syntax error", null)]
    [InlineData("SET k new XX IFEQ old", "-ERR syntax error", null)]
    [InlineData("SET k new IFEQ old IFNE old", "-ERR syntax error", null)]
    [InlineData("DELEX k", "1", "DEL k")]
    [InlineData("DELEX list", "1", "DEL list")]
    [InlineData("DELEX none", "0", null)]
    [InlineData("DELEX k IFEQ old", "1", "DEL k")]
    [InlineData("DELEX k IFEQ new", "0", null)]
    [InlineData("DELEX k IFNE old", "0", null)]
    [InlineData("DELEX k ifne new", "1", "DEL k")]
    [InlineData("DELEX k IFDEQ {DIGEST}", "1", "DEL k")]
    [InlineData("DELEX k IFDNE {digest}", "0", null)]
    [InlineData("DELEX k IFDNE {digest}0", "-ERR must be exactly 16 hexadecimal characters", null)]
    [InlineData("DELEX k FOO old", "-ERR Invalid condition. Use IFEQ, IFNE, IFDEQ, or IFDNE", null)]
    [InlineData("DELEX none FOO old", "0", null)]
    [InlineData("DELEX list IFEQ old", "-ERR Key should be of string type if conditions are specified", null)]
    [InlineData("DELEX k IFEQ", "-ERR wrong number of arguments for 'delex' command", null)]
    [InlineData("DELEX none IFEQ a b", "-ERR wrong number of arguments for 'delex' command", null)]
    public void A_condition_on_the_value_decides_whether_it_changes(string line, string reply, string? effect)
    {
        _redis.Show("SET k old");
        _redis.Show("RPUSH list a");
        string digest = (string)_redis.Run("DIGEST", "k")!;
        _redis.TakeEffects();
        Assert.Equal(reply, _redis.Show(line.Replace("{digest}", digest, StringComparison.Ordinal)
            .Replace("{DIGEST}", digest.ToUpperInvariant(), StringComparison.Ordinal)));
        Assert.Equal(effect is null ? [] : [effect], _redis.TakeEffects());
    }

    [Theory]
    [InlineData("MSETEX 2 a 1 b 2", "1", "SET a 1;SET b 2")]
    [InlineData("MSETEX 1 a 1 PX 5000", "1", "SET a 1 PXAT 1735689605000")]
    [InlineData("MSETEX 2 a 1 b 2 EXAT 1735689610 NX", "1", "SET a 1 PXAT 1735689610000;SET b 2 PXAT 1735689610000")]
    [InlineData("MSETEX 2 a 1 k 2 NX", "0", "")]
    [InlineData("MSETEX 2 k 1 a 2 xx ex 10", "0", "")]
    [InlineData("MSETEX 1 k 1 XX", "1", "SET k 1")]
    [InlineData("MSETEX 2 expiring 1 k 2 KEEPTTL", "1", "SET expiring 1 PXAT 1735689700000;SET k 2")]
    [InlineData("MSETEX 1 list 1", "1", "SET list 1")]
    [InlineData("MSETEX 0 a 1", "-ERR invalid numkeys value", "")]
    [InlineData("MSETEX x a 1", "-ERR invalid numkeys value", "")]
    [InlineData("MSETEX 2147483648 a 1", "-ERR invalid numkeys value", "")]
    [InlineData("MSETEX 2 a 1 b", "-ERR wrong number of key-value pairs", "")]
    [InlineData("MSETEX 2147483647 a 1", "-ERR wrong number of key-value pairs", "")]
    [InlineData("MSETEX 1 a 1 b 2", "-ERR syntax error", "")]
    [InlineData("MSETEX 1 a 1 NX XX", "-ERR syntax error", "")]
    [InlineData("MSETEX 1 a 1 EX 1 KEEPTTL", "-ERR syntax error", "")]
    [InlineData("MSETEX 1 a 1 EX 1 PX 1", "-ERR syntax error", "")]
    [InlineData("MSETEX 1 a 1 GET", "-ERR syntax error", "")]
    [InlineData("MSETEX 1 a 1 EX 0", "-ERR invalid expire time in 'msetex' command", "")]
    [InlineData("MSETEX 1 a 1 EX x", "-ERR value is not an integer or out of range", "")]
    public void Msetex_sets_all_keys_or_none(string line, string reply, string effects)
    {
        _redis.Show("SET k old");
        _redis.Show("SET expiring old PXAT 1735689700000");
        _redis.Show("RPUSH list a");
        _redis.TakeEffects();
        Assert.Equal(reply, _redis.Show(line));
        Assert.Equal(effects, string.Join(';', _redis.TakeEffects()));
    }

    [Theory]
    [InlineData("COMMAND GETKEYS MSETEX 2 a 1 b 2 EX 5", "[a, b]")]
    [InlineData("COMMAND GETKEYS MSETEX 3 a 1 b 2", "-ERR Invalid arguments specified for command")]
    [InlineData("COMMAND GETKEYSANDFLAGS MSETEX 1 a 1", "[[a, [OW, update]]]")]
    [InlineData("COMMAND GETKEYSANDFLAGS SET a 1 IFEQ 2", "[[a, [RW, access, update]]]")]
    [InlineData("COMMAND GETKEYSANDFLAGS DELEX a", "[[a, [RM, delete]]]")]
    [InlineData("COMMAND GETKEYSANDFLAGS DELEX a IFEQ 1", "[[a, [RW, access, delete]]]")]
    public void Their_keys_are_known(string line, string reply) => Assert.Equal(reply, _redis.Show(line));

    /// <summary>Every operation of BITOP, beside what it means for one bit.</summary>
    [Fact]
    public void Bitop_does_to_every_bit_what_its_operation_says()
    {
        Random random = TestSeed.Random();
        (string Name, Func<bool[], bool> Means)[] operations =
        [
            ("AND", bits => bits.All(bit => bit)), ("OR", bits => bits.Any(bit => bit)), ("XOR", bits => (bits.Count(bit => bit) & 1) != 0),
            ("DIFF", bits => bits[0] && !bits[1..].Any(bit => bit)), ("DIFF1", bits => !bits[0] && bits[1..].Any(bit => bit)),
            ("ANDOR", bits => bits[0] && bits[1..].Any(bit => bit)), ("ONE", bits => bits.Count(bit => bit) == 1),
        ];
        for (int i = 0; i < 300; i++)
        {
            (string name, Func<bool[], bool> means) = operations[random.Next(operations.Length)];
            byte[][] sources = new byte[random.Next(2, 6)][];
            for (int j = 0; j < sources.Length; j++)
            {
                sources[j] = new byte[random.Next(4) == 0 ? 0 : random.Next(100)];
                random.NextBytes(sources[j]);
                _redis.Run("DEL", $"s{j}");
                if (sources[j].Length > 0) _redis.Run("SET", $"s{j}", System.Text.Encoding.Latin1.GetString(sources[j]));
            }
            int length = sources.Max(source => source.Length);
            byte[] expected = new byte[length];
            for (int bit = 0; bit < length * 8; bit++)
            {
                if (means([.. sources.Select(source => bit / 8 < source.Length && (source[bit / 8] & (0x80 >> (bit % 8))) != 0)]))
                    expected[bit / 8] |= (byte)(0x80 >> (bit % 8));
            }
            string target = random.Next(3) == 0 ? "s1" : "d"; // which may be one of the sources
            object? reply = _redis.Run(["BITOP", name, target, .. Enumerable.Range(0, sources.Length).Select(j => $"s{j}")]);
            Assert.Equal((long)length, reply);
            Assert.Equal(System.Text.Encoding.Latin1.GetString(expected), _redis.Run("GET", target) ?? "");
        }
    }

    [Theory]
    [InlineData("BITOP DIFF d a", "-ERR BITOP DIFF must be called with at least two source keys.")]
    [InlineData("BITOP diff1 d a", "-ERR BITOP DIFF1 must be called with at least two source keys.")]
    [InlineData("BITOP andor d a", "-ERR BITOP ANDOR must be called with at least two source keys.")]
    [InlineData("BITOP ONE d a", "3")]
    [InlineData("BITOP NONE d a", "-ERR syntax error")]
    [InlineData("BITOP 4 d a b", "-ERR syntax error")]
    [InlineData("BITCOUNT a 1", "7")]
    [InlineData("BITCOUNT a -1", "4")]
    [InlineData("BITCOUNT a 7", "0")]
    [InlineData("BITCOUNT a x", "-ERR value is not an integer or out of range")]
    [InlineData("BITCOUNT a 0 -1 BYTE x", "-ERR syntax error")]
    [InlineData("ZSCAN z 0 NOSCORES", "[0, [a, b]]")]
    [InlineData("ZSCAN z 0 noscores MATCH b", "[0, [b]]")]
    [InlineData("SCAN 0 TYPE Hash", "[0, []]")]
    [InlineData("SCAN 0 TYPE String1", "-ERR unknown type name 'String1'")]
    [InlineData("SCAN 0 TYPE none COUNT x", "-ERR unknown type name 'none'")]
    [InlineData("ZSCAN z 0 TYPE none", "-ERR syntax error")]
    [InlineData("ZSCAN z 0", "[0, [a, 1, b, 2]]")]
    [InlineData("SSCAN s 0 NOSCORES", "-ERR NOSCORES option can only be used in ZSCAN")]
    [InlineData("ZSCAN z 0 NOVALUES", "-ERR NOVALUES option can only be used in HSCAN")]
    public void Newer_forms_of_old_commands(string line, string reply)
    {
        _redis.Show("SET a abc");
        _redis.Show("ZADD z 1 a 2 b");
        _redis.Show("SADD s a");
        Assert.Equal(reply, _redis.Show(line));
    }
}
