using System.Text;
using OrleansRedis.Engine;
using Xunit;

namespace OrleansRedis.Tests;

public sealed class StringsTests : IDisposable
{
    private readonly EngineHarness _redis = new();

    public void Dispose() => _redis.Dispose();

    [Theory]
    [InlineData("SET k v NX", "OK", "SET k v", "set k")]
    [InlineData("SET k v EX 10", "OK", "SET k v PXAT 1735689610000", "set k,expire k")]
    [InlineData("SET k v px 10", "OK", "SET k v PXAT 1735689600010", "set k,expire k")]
    [InlineData("SET k v EX 5 EX 10", "OK", "SET k v PXAT 1735689610000", "set k,expire k")]
    [InlineData("SET k v EXAT 1735689610", "OK", "SET k v PXAT 1735689610000", "set k,expire k")]
    [InlineData("SET k v PXAT 1735689610000", "OK", "SET k v PXAT 1735689610000", "set k,expire k")]
    [InlineData("SET k v KEEPTTL", "OK", "SET k v", "set k")]
    [InlineData("SET k v GET", "(nil)", "SET k v", "set k")]
    [InlineData("SET k v NX GET", "(nil)", "SET k v", "set k")]
    [InlineData("SETNX k v", "1", "SET k v", "set k")]
    [InlineData("SETEX k 10 v", "OK", "SET k v PXAT 1735689610000", "set k,expire k")]
    [InlineData("PSETEX k 10 v", "OK", "SET k v PXAT 1735689600010", "set k,expire k")]
    [InlineData("GETSET k v", "(nil)", "SET k v", "set k")]
    [InlineData("APPEND k v", "1", "APPEND k v", "append k")]
    [InlineData("SETRANGE k 1 v", "2", "SETRANGE k 1 v", "setrange k")]
    [InlineData("INCR k", "1", "INCR k", "incrby k")]
    [InlineData("DECRBY k 3", "-3", "DECRBY k 3", "incrby k")]
    [InlineData("INCRBYFLOAT k 1.50", "1.5", "SET k 1.5 KEEPTTL", "incrbyfloat k")]
    [InlineData("MSET k v k w", "OK", "SET k v,SET k w", "set k,set k")]
    [InlineData("MSETNX k v k2 w", "1", "SET k v,SET k2 w", "set k,set k2")]
    public void Writes_to_a_missing_key(string line, string reply, string effects, string events)
    {
        Assert.Equal(reply, _redis.Show(line));
        Assert.Equal(effects.Split(','), _redis.TakeEffects());
        Assert.Equal(events.Split(','), _redis.TakeEvents());
    }

    [Theory]
    [InlineData("SET k v XX", "(nil)")]
    [InlineData("SET k v XX GET", "(nil)")]
    [InlineData("SET k v NX XX", "-ERR syntax error")]
    [InlineData("SET k v EX", "-ERR syntax error")]
    [InlineData("SET k v EX 10 PX 10", "-ERR syntax error")]
    [InlineData("SET k v EX 10 KEEPTTL", "-ERR syntax error")]
    [InlineData("SET k v KEEPTTL EX 10", "-ERR syntax error")]
    [InlineData("SET k v EX x FOO", "-ERR syntax error")]
    [InlineData("SET k v EX x", "-ERR value is not an integer or out of range")]
    [InlineData("SET k v EX 0", "-ERR invalid expire time in 'set' command")]
    [InlineData("SET k v PX -1", "-ERR invalid expire time in 'set' command")]
    [InlineData("SET k v EX 9223372036854775807", "-ERR invalid expire time in 'set' command")]
    [InlineData("SET k v PX 9223372036854775807", "-ERR invalid expire time in 'set' command")]
    [InlineData("SETEX k 0 v", "-ERR invalid expire time in 'setex' command")]
    [InlineData("PSETEX k x v", "-ERR value is not an integer or out of range")]
    [InlineData("GETEX k", "(nil)")]
    [InlineData("GETEX k EX 0", "(nil)")]
    [InlineData("GETEX k EX 10 PERSIST", "-ERR syntax error")]
    [InlineData("GETEX k PERSIST EX 10", "-ERR syntax error")]
    [InlineData("GETEX k KEEPTTL", "-ERR syntax error")]
    [InlineData("GETDEL k", "(nil)")]
    [InlineData("STRLEN k", "0")]
    [InlineData("GETRANGE k 0 -1", "")]
    [InlineData("SETRANGE k 0 ", "-ERR wrong number of arguments for 'setrange' command")]
    [InlineData("SETRANGE k -1 x", "-ERR offset is out of range")]
    [InlineData("SETRANGE k x x", "-ERR value is not an integer or out of range")]
    [InlineData("SETRANGE k 536870912 x", "-ERR string exceeds maximum allowed size (proto-max-bulk-len)")]
    [InlineData("SETRANGE k 9223372036854775807 x", "-ERR string exceeds maximum allowed size (proto-max-bulk-len)")]
    [InlineData("INCRBY k x", "-ERR value is not an integer or out of range")]
    [InlineData("DECRBY k -9223372036854775808", "-ERR decrement would overflow")]
    [InlineData("INCRBYFLOAT k x", "-ERR value is not a valid float")]
    [InlineData("INCRBYFLOAT k nan", "-ERR value is not a valid float")]
    [InlineData("INCRBYFLOAT k inf", "-ERR increment would produce NaN or Infinity")]
    [InlineData("MSET k v k2", "-ERR wrong number of arguments for 'mset' command")]
    [InlineData("MSETNX k v k2", "-ERR wrong number of arguments for 'msetnx' command")]
    [InlineData("LCS k k2", "")]
    [InlineData("LCS k k2 LEN IDX", "-ERR If you want both the length and indexes, please just use IDX.")]
    [InlineData("LCS k k2 FOO", "-ERR syntax error")]
    [InlineData("LCS k k2 IDX", "[matches, [], len, 0]")]
    public void What_changes_nothing_leaves_no_trace(string line, string reply)
    {
        Assert.Equal(reply, _redis.Show(line));
        Assert.Empty(_redis.TakeEffects());
        Assert.Empty(_redis.TakeEvents());
        Assert.Equal(0L, _redis.Run("DBSIZE"));
    }

    [Fact]
    public void Setrange_with_nothing_does_nothing()
    {
        Assert.Equal(0L, _redis.Run("SETRANGE", "k", "10", ""));
        Assert.Equal(0L, _redis.Run("DBSIZE"));
        _redis.Run("SET", "k", "abc");
        _redis.TakeEffects();
        Assert.Equal(3L, _redis.Run("SETRANGE", "k", "10", ""));
        Assert.Empty(_redis.TakeEffects());
    }

    [Fact]
    public void Set_keeps_the_expiry_only_if_told_to()
    {
        _redis.Run("SET", "k", "v", "PX", "5000");
        _redis.TakeEffects();
        _redis.Run("SET", "k", "w", "KEEPTTL");
        Assert.Equal([$"SET k w PXAT {_redis.NowMs + 5000}"], _redis.TakeEffects());
        Assert.Equal(5000L, _redis.Run("PTTL", "k"));
        _redis.Run("SET", "k", "x");
        Assert.Equal(-1L, _redis.Run("PTTL", "k"));
        Assert.Equal("x", _redis.Run("SET", "k", "y", "GET", "XX"));
        Assert.Equal("y", _redis.Run("SET", "k", "z", "GET", "NX"));
        Assert.Equal("y", _redis.Run("GETSET", "k", "a"));
    }

    [Fact]
    public void Set_get_on_another_type_is_refused_and_plain_set_is_not()
    {
        AddStream("k");
        foreach (string line in new[] { "SET k v GET", "GET k", "GETSET k v", "GETDEL k", "GETEX k", "APPEND k v", "STRLEN k", "SETRANGE k 0 v",
            "GETRANGE k 0 1", "INCR k", "INCRBYFLOAT k 1" })
            Assert.Equal("-WRONGTYPE Operation against a key holding the wrong kind of value", _redis.Show(line));
        Assert.Equal("-ERR The specified keys must contain string values", _redis.Show("LCS k other"));
        Assert.Equal("[(nil)]", _redis.Show("MGET k"));
        Assert.Equal("0", _redis.Show("SETNX k v"));
        Assert.Equal("OK", _redis.Show("SET k v"));
    }

    [Fact]
    public void Set_in_the_past_makes_a_key_that_nobody_meets()
    {
        Assert.Equal("OK", _redis.Run("SET", "k", "v", "PXAT", "1"));
        Assert.Null(_redis.Run("GET", "k"));
        Assert.Equal(["SET k v PXAT 1", "DEL k"], _redis.TakeEffects());
    }

    [Fact]
    public void Getdel_deletes()
    {
        _redis.Run("SET", "k", "v");
        _redis.TakeEffects();
        Assert.Equal("v", _redis.Run("GETDEL", "k"));
        Assert.Equal(["DEL k"], _redis.TakeEffects());
        Assert.Equal(["set k", "del k"], _redis.TakeEvents());
    }

    [Fact]
    public void Getex_changes_the_expiry()
    {
        _redis.Run("SET", "k", "v");
        _redis.TakeEffects();
        Assert.Equal("v", _redis.Run("GETEX", "k"));
        Assert.Equal("v", _redis.Run("GETEX", "k", "PERSIST"));
        Assert.Empty(_redis.TakeEffects());
        Assert.Equal("-ERR invalid expire time in 'getex' command", _redis.Show("GETEX k EX 0"));
        Assert.Equal("v", _redis.Run("GETEX", "k", "EX", "10"));
        Assert.Equal([$"PEXPIREAT k {_redis.NowMs + 10_000}"], _redis.TakeEffects());
        Assert.Equal("v", _redis.Run("GETEX", "k", "PERSIST"));
        Assert.Equal(["PERSIST k"], _redis.TakeEffects());
        Assert.Equal("v", _redis.Run("GETEX", "k", "EXAT", "5"));
        Assert.Equal(["DEL k"], _redis.TakeEffects());
        Assert.Equal(["set k", "expire k", "persist k", "del k"], _redis.TakeEvents());
    }

    [Theory]
    [InlineData("SET k 12", "int")]
    [InlineData("SET k 012", "embstr")]
    [InlineData("SET k -0", "embstr")]
    [InlineData("SET k 9223372036854775807", "int")]
    [InlineData("SET k 9223372036854775808", "embstr")]
    [InlineData("APPEND k 12", "int")]
    [InlineData("SET k 1;APPEND k 2", "raw")]
    [InlineData("SET k a;APPEND k 2", "raw")]
    [InlineData("SET k 12;SETRANGE k 0 9", "raw")]
    [InlineData("SET k ab;SETRANGE k 0 9", "raw")]
    [InlineData("SETRANGE k 0 9", "raw")]
    [InlineData("SET k 1;APPEND k 2;INCR k", "int")]
    [InlineData("SET k 1;INCRBYFLOAT k 1", "embstr")]
    [InlineData("SET k 1;APPEND k 2;SET k 3", "int")]
    [InlineData("SET k 1;APPEND k 2;SET k ab", "embstr")]
    [InlineData("SET k 1;APPEND k 2;COPY k {k}2;RENAME {k}2 k", "raw")]
    public void Encoding_after(string lines, string encoding)
    {
        foreach (string line in lines.Split(';')) Assert.DoesNotContain("ERR", _redis.Show(line));
        Assert.Equal(encoding, _redis.Run("OBJECT", "ENCODING", "k"));
        AssertReplays("k");
    }

    [Fact]
    public void Appending_grows_through_every_representation()
    {
        var expected = new StringBuilder();
        for (int i = 0; i < 3000; i++)
        {
            string part = new((char)('a' + (i % 26)), i % 7);
            expected.Append(part);
            Assert.Equal((long)expected.Length, _redis.Run("APPEND", "k", part));
        }
        Assert.Equal(expected.ToString(), _redis.Run("GET", "k"));
        Assert.Equal((long)expected.Length, _redis.Run("STRLEN", "k"));
        AssertReplays("k");
        Assert.Equal(CountedBytes(), _redis.Store.Slots[KeySlot.Of("k"u8)]!.Bytes);
        _redis.Run("DEL", "k");
        Assert.Equal(0, _redis.Store.Slots[KeySlot.Of("k"u8)]!.Bytes);

        long CountedBytes() => _redis.Store.Slots[KeySlot.Of("k"u8)]!.Keyspace(0).Find("k"u8).Found.Bytes;
    }

    [Fact]
    public void Setrange_pads_with_zeros()
    {
        Assert.Equal(8L, _redis.Run("SETRANGE", "k", "5", "abc"));
        Assert.Equal("\0\0\0\0\0abc", _redis.Run("GET", "k"));
        Assert.Equal(300L, _redis.Run("SETRANGE", "k", "299", "z"));
        Assert.Equal("\0\0\0\0\0abc" + new string('\0', 291) + "z", _redis.Run("GET", "k"));
        _redis.Run("SET", "n", "1234", "EX", "100");
        Assert.Equal(4L, _redis.Run("SETRANGE", "n", "1", "x"));
        Assert.Equal("1x34", _redis.Run("GET", "n"));
        Assert.Equal(100L, _redis.Run("TTL", "n"));
    }

    [Theory]
    [InlineData(0, 3, "This")]
    [InlineData(0, -1, "This is a string")]
    [InlineData(-3, -1, "ing")]
    [InlineData(5, 3, "")]
    [InlineData(-1, -3, "")]
    [InlineData(-100, -99, "T")]
    [InlineData(-99, -100, "")]
    [InlineData(-100, 3, "This")]
    [InlineData(10, 100, "string")]
    [InlineData(100, 200, "")]
    [InlineData(long.MinValue, long.MaxValue, "This is a string")]
    public void Getrange_and_substr(long start, long end, string expected)
    {
        _redis.Run("SET", "k", "This is a string");
        Assert.Equal(expected, _redis.Run("GETRANGE", "k", start.ToString(), end.ToString()));
        Assert.Equal(expected, _redis.Run("SUBSTR", "k", start.ToString(), end.ToString()));
    }

    [Fact]
    public void Getrange_of_an_integer()
    {
        _redis.Run("SET", "k", "123456");
        Assert.Equal("345", _redis.Run("GETRANGE", "k", "2", "4"));
        Assert.Equal(6L, _redis.Run("STRLEN", "k"));
    }

    [Fact]
    public void Counters_stop_at_their_limits()
    {
        _redis.Run("SET", "k", "9223372036854775806");
        Assert.Equal(long.MaxValue, _redis.Run("INCR", "k"));
        Assert.Equal("-ERR increment or decrement would overflow", _redis.Show("INCR k"));
        Assert.Equal("-ERR increment or decrement would overflow", _redis.Show("INCRBY k 1"));
        Assert.Equal(0L, _redis.Run("DECRBY", "k", "9223372036854775807"));
        Assert.Equal(long.MinValue, _redis.Run("INCRBY", "k", "-9223372036854775808"));
        Assert.Equal("-ERR increment or decrement would overflow", _redis.Show("DECR k"));
        foreach (string text in new[] { "abc", " 1", "1 ", "1.0", "", "0x1", "+1" })
        {
            _redis.Run("SET", "k", text);
            Assert.Equal("-ERR value is not an integer or out of range", _redis.Show("INCR k"));
        }
    }

    [Fact]
    public void Incr_keeps_the_expiry()
    {
        _redis.Run("SET", "k", "5", "EX", "10");
        _redis.Run("INCR", "k");
        Assert.Equal(10L, _redis.Run("TTL", "k"));
        _redis.Run("INCRBYFLOAT", "k", "0.5");
        Assert.Equal(10L, _redis.Run("TTL", "k"));
        Assert.Equal("6.5", _redis.Run("GET", "k"));
        AssertReplays("k");
    }

    [Theory]
    [InlineData("10.50", "0.1", "10.6")]
    [InlineData("10.6", "-5", "5.6")]
    [InlineData("5.0e3", "2.0e2", "5200")]
    [InlineData("1", "1", "2")]
    [InlineData("3", "1.23", "4.23")]
    [InlineData("17179869184", "1.5", "17179869185.5")]
    [InlineData("0.1", "0.2", "0.3")]
    [InlineData("1e20", "1", "100000000000000000000")]
    [InlineData("1e300", "1", "1000000000000000000052504760255204420248704468581108159154915854115111802457988908195786371375080447854045104")]
    [InlineData("0", "1e-17", "0.00000000000000001")]
    [InlineData("0", "1e-18", "0")]
    [InlineData("0", "-1e-18", "0")]
    [InlineData("0", "-0.5", "-0.5")]
    [InlineData("1.123456789012345678", "0", "1.12345678901234568")]
    [InlineData("0", "0x1p-3", "0.125")]
    [InlineData("0", "0x1.8", "1.5")]
    [InlineData("0", "+.5", "0.5")]
    [InlineData("0", "5.", "5")]
    [InlineData("9223372036854775807", "1", "9223372036854775808")]
    public void Incrbyfloat_prints_what_an_extended_double_holds(string before, string increment, string expected)
    {
        _redis.Run("SET", "k", before);
        string result = (string)_redis.Run("INCRBYFLOAT", "k", increment)!;
        if (before == "1e300") Assert.StartsWith("1000000000000000000", result);
        else Assert.Equal(expected, result);
    }

    [Theory]
    [InlineData("")]
    [InlineData(" 1")]
    [InlineData("1 ")]
    [InlineData("1e")]
    [InlineData("e5")]
    [InlineData(".")]
    [InlineData("1.2.3")]
    [InlineData("0x")]
    [InlineData("0xg")]
    [InlineData("1\0")]
    [InlineData("--1")]
    [InlineData("nan")]
    [InlineData("1e5000")]
    [InlineData("1e-5000")]
    [InlineData("1e999999999999")]
    public void Incrbyfloat_refuses(string text) => Assert.Equal("ERR value is not a valid float", ((RespError)_redis.Run("INCRBYFLOAT", "k", text)!).Text);

    [Fact]
    public void Incrbyfloat_does_not_reach_infinity()
    {
        _redis.Run("SET", "k", "1.1e4932");
        Assert.Equal("-ERR increment would produce NaN or Infinity", _redis.Show("INCRBYFLOAT k 1.1e4932"));
    }

    [Fact]
    public void Lcs_finds_the_subsequence_and_its_runs()
    {
        _redis.Run("MSET", "key1", "ohmytext", "key2", "mynewtext");
        Assert.Equal("mytext", _redis.Run("LCS", "key1", "key2"));
        Assert.Equal(6L, _redis.Run("LCS", "key1", "key2", "LEN"));
        Assert.Equal("[matches, [[[4, 7], [5, 8]], [[2, 3], [0, 1]]], len, 6]", _redis.Show("LCS key1 key2 IDX"));
        Assert.Equal("[matches, [[[4, 7], [5, 8]]], len, 6]", _redis.Show("LCS key1 key2 IDX MINMATCHLEN 4"));
        Assert.Equal("[matches, [[[4, 7], [5, 8], 4]], len, 6]", _redis.Show("LCS key1 key2 IDX MINMATCHLEN 4 WITHMATCHLEN"));
        Assert.Equal("{matches: [[[4, 7], [5, 8]], [[2, 3], [0, 1]]], len: 6}", _redis.NewClient(resp3: true).Show("LCS key1 key2 IDX MINMATCHLEN -5"));
        Assert.Equal("ohmytext", _redis.Run("LCS", "key1", "key1"));
    }

    [Fact]
    public void Lcs_survives_that_looking_up_the_second_key_removes_it()
    {
        _redis.Run("SET", "{s}a", "abc");
        _redis.Run("SET", "{s}b", "abc", "PX", "1");
        _redis.Time.Advance(1);
        Assert.Equal("", _redis.Run("LCS", "{s}a", "{s}b"));
    }

    [Fact]
    public void Hits_and_misses_are_counted_for_reads_only()
    {
        Slot slot = _redis.Store.Slots[KeySlot.Of("k"u8)]!;
        _redis.Run("SET", "k", "v");
        _redis.Run("INCRBYFLOAT", "{k}n", "1");
        Assert.Equal((0L, 0L), (slot.Hits, slot.Misses));
        _redis.Run("GET", "k");
        _redis.Run("SET", "k", "w", "GET");
        _redis.Run("GETSET", "k", "x");
        _redis.Run("EXISTS", "k");
        _redis.Run("TTL", "k");
        Assert.Equal((5L, 0L), (slot.Hits, slot.Misses));
        _redis.Run("GET", "{k}nothing");
        _redis.Run("GETDEL", "{k}nothing");
        _redis.Run("TYPE", "{k}nothing");
        Assert.Equal((5L, 3L), (slot.Hits, slot.Misses));
    }

    private void AddStream(string key) => Assert.IsType<string>(_redis.Run("XADD", key, "*", "f", "v"));

    private void AssertReplays(string key)
    {
        using EngineHarness copy = _redis.Replay();
        Assert.Equal(_redis.Run("GET", key), copy.Run("GET", key));
        Assert.Equal(_redis.Run("PTTL", key), copy.Run("PTTL", key));
    }
}
