using System.Text;
using OrleansRedis.Engine;
using Xunit;

namespace OrleansRedis.Tests.Persistence;

/// <summary>Files as servers have written them since 2009, made by hand.</summary>
public sealed class RdbOldFilesTests
{
    private static readonly string s_long = new('x', 300);

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(4)]
    [InlineData(5)]
    [InlineData(6)]
    [InlineData(7)]
    [InlineData(8)]
    [InlineData(9)]
    [InlineData(10)]
    [InlineData(11)]
    [InlineData(12)]
    public void The_types_of_version_1_are_read_in_every_version(int version)
    {
        using var redis = new EngineHarness();
        Load(redis, new RdbFileBuilder(version)
            .Opcode(RdbOpcode.SelectDb).Length(0)
            .Key(RdbType.String, "string").Text("value")
            .Key(RdbType.String, "int8").Add(0xc0, 0x85)
            .Key(RdbType.String, "int16").Add(0xc1, 0x39, 0x30)
            .Key(RdbType.String, "int32").Add(0xc2, 0x00, 0xca, 0x9a, 0x3b)
            .Key(RdbType.String, "compressed").Add(0xc3, 6, 20, 0x01, (byte)'a', (byte)'b', 0xe0, 9, 1)
            .Key(RdbType.List, "list").Length(3).Text("a").Text("1").Text(s_long)
            .Key(RdbType.Set, "set").Length(2).Text("a").Text("b")
            .Key(RdbType.ZSet, "zset").Length(4).Text("a").TextDouble("1.5").Text("b").Add(254).Text("c").Add(255).Text("d").TextDouble("17179869184")
            .Key(RdbType.Hash, "hash").Length(1).Text("f").Text("v")
            .Opcode(RdbOpcode.SelectDb).Length(15)
            .Key(RdbType.String, "string").Text("other"), expectedVersion: version);
        Assert.Equal("value", redis.Run("GET", "string"));
        Assert.Equal("-123", redis.Run("GET", "int8"));
        Assert.Equal("12345", redis.Run("GET", "int16"));
        Assert.Equal("1000000000", redis.Run("GET", "int32"));
        Assert.Equal("abababababababababab", redis.Run("GET", "compressed"));
        Assert.Equal("int", redis.Run("OBJECT", "ENCODING", "int8"));
        Assert.Equal($"[a, 1, {s_long}]", redis.Show("LRANGE list 0 -1"));
        Assert.Equal("[a, b]", redis.Show("SMEMBERS set"));
        Assert.Equal("[c, -inf, a, 1.5, d, 17179869184, b, inf]", redis.Show("ZRANGE zset 0 -1 WITHSCORES"));
        Assert.Equal("[f, v]", redis.Show("HGETALL hash"));
        redis.Client.Session.Database = 15;
        Assert.Equal("other", redis.Run("GET", "string"));
    }

    [Fact]
    public void Expiries_in_seconds_and_in_milliseconds_are_for_the_next_key_only()
    {
        using var redis = new EngineHarness();
        int soon = (int)(redis.NowMs / 1000) + 1000;
        RdbLoader loader = Load(redis, new RdbFileBuilder(4)
            .Opcode(RdbOpcode.ExpireTime).Seconds(soon).Key(RdbType.String, "seconds").Text("v")
            .Key(RdbType.String, "never").Text("v")
            .Opcode(RdbOpcode.ExpireTimeMs).Milliseconds((soon * 1000L) + 5).Key(RdbType.List, "ms").Length(1).Text("v")
            .Opcode(RdbOpcode.ExpireTimeMs).Milliseconds(redis.NowMs - 1).Key(RdbType.String, "past").Text("v")
            .Opcode(RdbOpcode.ExpireTime).Seconds(1).Key(RdbType.Hash, "long past").Length(1).Text("f").Text("v"));
        Assert.Equal(soon * 1000L, redis.Run("PEXPIRETIME", "seconds"));
        Assert.Equal(-1L, redis.Run("PEXPIRETIME", "never"));
        Assert.Equal((soon * 1000L) + 5, redis.Run("PEXPIRETIME", "ms"));
        Assert.Equal(3L, redis.Run("DBSIZE"));
        Assert.Equal((3, 2), (loader.KeysLoaded, loader.KeysExpired));
    }

    [Fact]
    public void An_append_only_log_s_preamble_keeps_what_has_expired()
    {
        using var redis = new EngineHarness();
        byte[] file = new RdbFileBuilder(10).Opcode(RdbOpcode.ExpireTimeMs).Milliseconds(redis.NowMs - 1).Key(RdbType.String, "past").Text("v").Build();
        RdbLoader loader = redis.Files.CreateLoader(keepsExpired: true);
        loader.Load(new MemoryStream(file));
        Assert.Equal(1, loader.KeysLoaded);
    }

    [Fact]
    public void Something_may_follow_the_file()
    {
        using var redis = new EngineHarness();
        byte[] file = new RdbFileBuilder(10).Key(RdbType.String, "k").Text("v").Build();
        using var stream = new MemoryStream([.. "before"u8, .. file, .. "*1\r\n$4\r\nPING\r\n"u8]) { Position = 6 };
        Assert.Equal(file.Length, redis.Files.CreateLoader().Load(stream));
        Assert.Equal(6 + file.Length, stream.Position);
    }

    [Fact]
    public void Ziplists_and_zipmaps_become_listpacks()
    {
        using var redis = new EngineHarness();
        Load(redis, new RdbFileBuilder(6)
            .Key(RdbType.ListZiplist, "list").Text(RdbFileBuilder.Ziplist("a", ("int4", 12L), ("int8", -5L), ("int16", 300L), ("int24", -70000L),
                ("int32", 1L << 30), ("int64", 1L << 60), s_long, "z"))
            .Key(RdbType.HashZiplist, "hash").Text(RdbFileBuilder.Ziplist("f", "v", "n", ("int8", 7L)))
            .Key(RdbType.ZSetZiplist, "zset").Text(RdbFileBuilder.Ziplist("low", "-1.5", ("int8", 50L), ("int4", 2L)))
            .Key(RdbType.HashZipmap, "zipmap").Text(RdbFileBuilder.Zipmap(2, "f", "v", "long", s_long))
            .Key(RdbType.HashZipmap, "small zipmap").Text(RdbFileBuilder.Zipmap(0, "f", "v", "g", ""))
            .Key(RdbType.ListQuicklist, "quicklist").Length(2).Text(RdbFileBuilder.Ziplist("a", "b")).Text(RdbFileBuilder.Ziplist("c")));
        Assert.Equal($"[a, 12, -5, 300, -70000, 1073741824, 1152921504606846976, {s_long}, z]", redis.Show("LRANGE list 0 -1"));
        Assert.Equal("[f, v, n, 7]", redis.Show("HGETALL hash"));
        Assert.Equal("[low, -1.5, 50, 2]", redis.Show("ZRANGE zset 0 -1 WITHSCORES"));
        Assert.Equal(s_long, redis.Run("HGET", "zipmap", "long"));
        Assert.Equal("hashtable", redis.Run("OBJECT", "ENCODING", "zipmap"));
        Assert.Equal("", redis.Run("HGET", "small zipmap", "g"));
        Assert.Equal("listpack", redis.Run("OBJECT", "ENCODING", "small zipmap"));
        Assert.Equal("[a, b, c]", redis.Show("LRANGE quicklist 0 -1"));
        Assert.Equal("listpack", redis.Run("OBJECT", "ENCODING", "hash"));
        Assert.Equal("listpack", redis.Run("OBJECT", "ENCODING", "zset"));
    }

    [Fact]
    public void Packed_encodings_of_every_version_are_read()
    {
        using var redis = new EngineHarness();
        Load(redis, new RdbFileBuilder(11)
            .Key(RdbType.SetIntset, "16").Text(RdbFileBuilder.Intset(2, -3, 5))
            .Key(RdbType.SetIntset, "32").Text(RdbFileBuilder.Intset(4, -70000, 5))
            .Key(RdbType.SetIntset, "64").Text(RdbFileBuilder.Intset(8, -3, 1L << 40))
            .Key(RdbType.SetListpack, "set").Text(RdbFileBuilder.Listpack("a", "1", "b"))
            .Key(RdbType.HashListpack, "hash").Text(RdbFileBuilder.Listpack("f", "v"))
            .Key(RdbType.ZSetListpack, "zset").Text(RdbFileBuilder.Listpack("a", "1", "b", "2.5"))
            .Key(RdbType.ZSet2, "zset2").Length(2).Text("b").Double(2).Text("a").Double(double.NegativeInfinity)
            .Key(RdbType.ListQuicklist2, "list").Length(2).Length(2).Text(RdbFileBuilder.Listpack("a", "b")).Length(1).Text(s_long));
        Assert.Equal("[-3, 5]", redis.Show("SMEMBERS 16"));
        Assert.Equal("[-70000, 5]", redis.Show("SMEMBERS 32"));
        Assert.Equal("[-3, 1099511627776]", redis.Show("SMEMBERS 64"));
        Assert.Equal("[a, 1, b]", redis.Show("SMEMBERS set"));
        Assert.Equal("[f, v]", redis.Show("HGETALL hash"));
        Assert.Equal("[a, 1, b, 2.5]", redis.Show("ZRANGE zset 0 -1 WITHSCORES"));
        Assert.Equal("[a, -inf, b, 2]", redis.Show("ZRANGE zset2 0 -1 WITHSCORES"));
        Assert.Equal($"[a, b, {s_long}]", redis.Show("LRANGE list 0 -1"));
    }

    [Fact]
    public void Packed_encodings_beyond_the_thresholds_of_today_are_unpacked()
    {
        using var redis = new EngineHarness(options =>
            (options.HashMaxListpackEntries, options.SetMaxListpackEntries, options.ZsetMaxListpackEntries, options.SetMaxIntsetEntries) = (1, 1, 1, 1));
        Load(redis, new RdbFileBuilder(11)
            .Key(RdbType.SetIntset, "intset").Text(RdbFileBuilder.Intset(2, -3, 5))
            .Key(RdbType.SetListpack, "set").Text(RdbFileBuilder.Listpack("a", "1"))
            .Key(RdbType.HashListpack, "hash").Text(RdbFileBuilder.Listpack("f", "v", "g", "w"))
            .Key(RdbType.ZSetListpack, "zset").Text(RdbFileBuilder.Listpack("a", "1", "b", "2")));
        foreach (string key in (string[])["intset", "set", "hash"]) Assert.Equal("hashtable", redis.Run("OBJECT", "ENCODING", key));
        Assert.Equal("skiplist", redis.Run("OBJECT", "ENCODING", "zset"));
        Assert.Equal("[a, 1, b, 2]", redis.Show("ZRANGE zset 0 -1 WITHSCORES"));
        Assert.Equal("w", redis.Run("HGET", "hash", "g"));
    }

    [Fact]
    public void A_listpack_that_is_written_otherwise_than_we_would_is_written_anew()
    {
        // "7" as a string of one letter, 5 in 16 bits, and a string with a 12-bit length.
        byte[] odd = [0, 0, 0, 0, 3, 0, 0x81, (byte)'7', 2, 0xf1, 5, 0, 3, 0xe0, 1, (byte)'x', 3, 0xff];
        odd[0] = (byte)odd.Length;
        using var redis = new EngineHarness();
        Load(redis, new RdbFileBuilder(11)
            .Key(RdbType.SetListpack, "set").Text(odd)
            .Key(RdbType.ListQuicklist2, "list").Length(1).Length(2).Text(odd));
        Assert.Equal("[1, 1, 1, 0]", redis.Show("SMISMEMBER set 7 5 x y"));
        Assert.Equal("[7, 5, x]", redis.Show("LRANGE list 0 -1"));
        Assert.Equal(1L, redis.Run("LPOS", "list", "5"));
    }

    [Fact]
    public void Streams_of_versions_9_and_11_are_read()
    {
        using var redis = new EngineHarness();
        byte[] node = RdbFileBuilder.Listpack("1", "0", "1", "f", "0", "2", "0", "0", "v", "4");
        byte[] id = new byte[16];
        new StreamId(5, 1).Encode(id);
        RdbFileBuilder Stream(RdbFileBuilder file, RdbType type, string key)
        {
            file.Key(type, key).Length(1).Text(id).Text(node).Length(1).Length(5).Length(1);
            if (type != RdbType.StreamListpacks) file.Length(5).Length(1).Length(3).Length(0).Length(2);
            file.Length(1).Text("group").Length(5).Length(1);
            if (type != RdbType.StreamListpacks) file.Length(2);
            file.Length(1).Add(id).Milliseconds(1000).Length(3);
            file.Length(1).Text("alice").Milliseconds(2000);
            if (type == RdbType.StreamListpacks3) file.Milliseconds(1500);
            return file.Length(1).Add(id);
        }

        Load(redis,
            Stream(Stream(Stream(new RdbFileBuilder(11), RdbType.StreamListpacks, "v1"), RdbType.StreamListpacks2, "v2"), RdbType.StreamListpacks3, "v3"));
        foreach (string key in (string[])["v1", "v2", "v3"])
        {
            Assert.Equal("[[5-1, [f, v]]]", redis.Show($"XRANGE {key} - +"));
            Assert.Contains("alice", redis.Show($"XPENDING {key} group - + 10"), StringComparison.Ordinal);
        }
        Assert.Equal(1L, redis.Run("XLEN", "v3"));
        Assert.Contains("entries-added, 2", redis.Show("XINFO STREAM v3"), StringComparison.Ordinal);
        Assert.Contains("entries-added, 1", redis.Show("XINFO STREAM v1"), StringComparison.Ordinal);
    }

    /// <summary>As 7.4 does, except that there the wrong numbers stay.</summary>
    [Theory]
    [InlineData("1 1", 9, 5, 2, 3, "length 1 (was 9)")]
    [InlineData("1 1", 1, 0, 2, 3, "last ID 5-2 (was 0-2)")]
    [InlineData("1 1", 1, 5, 0, 0, "entries added 1 (was 0)")]
    [InlineData("7 9", 1, 5, 2, 3, "1 nodes")]
    [InlineData("0 0", 1, 5, 2, 3, "1 nodes")]
    [InlineData("300 0", 70, 1, 9, 0, "1 nodes, length 1 (was 70), last ID 5-2 (was 1-9), entries added 1 (was 0)")]
    public void Counters_of_a_stream_that_its_entries_contradict_are_counted_anew(
        string counts, int length, int lastMs, int lastSequence, int added, string repair)
    {
        using var redis = new EngineHarness();
        List<string> log = [];
        redis.Store.Log.Writer = (_, line) => log.Add(line);
        byte[] id = new byte[16];
        new StreamId(5, 1).Encode(id);
        // 5-1 has been deleted, 5-2 is there.
        byte[] node = RdbFileBuilder.Listpack([.. counts.Split(' '), "1", "f", "0", "3", "0", "0", "gone", "4", "2", "0", "1", "v", "4"]);
        byte[] file = new RdbFileBuilder(11).Opcode(RdbOpcode.SelectDb).Length(0).Key(RdbType.StreamListpacks2, "s").Length(1).Text(id).Text(node)
            .Length(length).Length(lastMs).Length(lastSequence).Length(5).Length(2).Length(0).Length(0).Length(added).Length(0).Build();
        RdbFiles.Load(redis, file);
        Assert.Contains(log, line => line.EndsWith(repair, StringComparison.Ordinal) && line.Contains("key 's'", StringComparison.Ordinal));
        Assert.Equal(1L, redis.Run("XLEN", "s"));
        Assert.Equal("[[5-2, [f, v]]]", redis.Show("XREVRANGE s + -"));
        Assert.StartsWith("-ERR The ID specified in XADD is equal or smaller", redis.Show("XADD s 5-2 f v"), StringComparison.Ordinal);
        Assert.Equal(1L, redis.Run("XDEL", "s", "5-2"));
        Assert.Equal("OK", redis.Run("XSETID", "s", "5-2"));
        Assert.Equal("6-1", redis.Run("XADD", "s", "6-1", "f", "w"));
        Assert.Equal("[[6-1, [f, w]]]", redis.Show("XRANGE s - +"));
        Assert.Equal(1L, redis.Run("XTRIM", "s", "MAXLEN", "0"));
        using var again = new EngineHarness();
        again.Store.Log.Writer = (_, line) => Assert.DoesNotContain("anew", line, StringComparison.Ordinal);
        RdbFiles.Load(again, RdbFiles.Save(redis.Store));
    }

    [Fact]
    public void A_stream_s_node_without_entries_is_passed_over_and_one_whose_nodes_are_missing_is_refused()
    {
        using var redis = new EngineHarness();
        byte[] id = new byte[16];
        new StreamId(5, 1).Encode(id);
        RdbFileBuilder Stream(string key, bool hasNode, int length)
        {
            RdbFileBuilder file = new RdbFileBuilder(11).Key(RdbType.StreamListpacks, key).Length(hasNode ? 1 : 0);
            if (hasNode) file.Text(id).Text(RdbFileBuilder.Listpack("0", "0", "1", "f", "0"));
            return file.Length(length).Length(5).Length(1).Length(0);
        }

        Load(redis, Stream("empty", hasNode: true, length: 0));
        Assert.Equal(0L, redis.Run("XLEN", "empty"));
        Assert.Equal("5-2", redis.Run("XADD", "empty", "5-*", "f", "v"));
        Assert.Equal("Stream length inconsistent with rax entries",
            Assert.Throws<RdbFileException>(() => Load(redis, Stream("lost", hasNode: false, length: 3))).Message);
    }

    [Fact]
    public void Empty_collections_are_passed_over()
    {
        using var redis = new EngineHarness();
        RdbLoader loader = Load(redis, new RdbFileBuilder(11)
            .Key(RdbType.Set, "a").Length(0).Key(RdbType.List, "b").Length(0).Key(RdbType.ZSet2, "c").Length(0).Key(RdbType.Hash, "d").Length(0)
            .Key(RdbType.HashListpack, "e").Text(RdbFileBuilder.Listpack()).Key(RdbType.ZSetListpack, "f").Text(RdbFileBuilder.Listpack())
            .Key(RdbType.ListZiplist, "g").Text(RdbFileBuilder.Ziplist()).Key(RdbType.ListQuicklist, "h").Length(1).Text(RdbFileBuilder.Ziplist())
            .Key(RdbType.SetListpack, "i").Text(RdbFileBuilder.Listpack()).Key(RdbType.String, "j").Text(""));
        Assert.Equal((1, 9), (loader.KeysLoaded, loader.EmptyKeysSkipped));
        Assert.Equal(1L, redis.Run("DBSIZE"));
    }

    [Fact]
    public void Hints_and_libraries_are_taken_and_libraries_written_again()
    {
        using var redis = new EngineHarness();
        RdbLoader loader = Load(redis, new RdbFileBuilder(12)
            .Opcode(RdbOpcode.Aux).Text("redis-ver").Text("7.4.0").Opcode(RdbOpcode.Aux).Text("odd").Text("thing")
            .Opcode(RdbOpcode.Function2).Text("#!lua name=l\ncode")
            .Opcode(RdbOpcode.SelectDb).Length(0).Opcode(RdbOpcode.ResizeDb).Length(16000).Length(3)
            .Opcode(RdbOpcode.SlotInfo).Length(1).Length(2).Length(3)
            .Key(RdbType.String, "k").Text("v"));
        Assert.Equal("7.4.0", loader.Aux["redis-ver"]);
        Assert.Equal("#!lua name=l\ncode", Encoding.ASCII.GetString(Assert.Single(redis.Files.Functions.Codes)));
        using var again = new EngineHarness();
        RdbFiles.Load(again, RdbFiles.Save(redis.Store));
        Assert.Equal(redis.Files.Functions.Codes[0], Assert.Single(again.Files.Functions.Codes));
        byte[] other = new RdbFileBuilder(12).Opcode(RdbOpcode.Function2).Text("#!lua name=l\nother code").Build();
        Assert.Throws<RdbFileException>(() => RdbFiles.Load(again, other));
        redis.Run("FUNCTION", "FLUSH");
        Assert.Empty(redis.Files.Functions.Codes);
    }

    private static RdbLoader Load(EngineHarness redis, RdbFileBuilder file, int? expectedVersion = null)
    {
        byte[] bytes = file.Build();
        if (expectedVersion is { } version)
            Assert.Equal(version, int.Parse(Encoding.ASCII.GetString(bytes.AsSpan(5, 4)), System.Globalization.CultureInfo.InvariantCulture));
        return RdbFiles.Load(redis, bytes);
    }
}
