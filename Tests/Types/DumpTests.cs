using System.Buffers.Binary;
using System.Text;
using OrleansRedis.Engine;
using OrleansRedis.Tests.Harness;
using OrleansRedis.Tests.Persistence;
using Xunit;

namespace OrleansRedis.Tests;

/// <summary>DUMP and RESTORE, within this engine, and to redis-server and back.</summary>
public class DumpTests
{
    /// <summary>Keys of every type and encoding: the name, and the commands that make it.</summary>
    private static readonly Dictionary<string, string[][]> s_keys = new()
    {
        ["text"] = [["SET", "text", "hello"]],
        ["int"] = [["SET", "int", "12345"]],
        ["negative"] = [["SET", "negative", "-1"]],
        ["big"] = [["SET", "big", "9223372036854775807"]],
        ["binary"] = [["SET", "binary", "\0\u0001\u00ff\r\n"]],
        ["long"] = [["SET", "long", new string('x', 100_000) + "end"]],
        ["raw"] = [["SETRANGE", "raw", "10", "x"]],
        ["list"] = [["RPUSH", "list", "a", "1", "-5000", "70000", "5000000000", new string('b', 100)]],
        ["quicklist"] = [.. Enumerable.Range(0, 40).Select(i => (string[])["RPUSH", "quicklist", new string((char)('a' + (i % 26)), 700), $"{i}"])],
        ["plain"] = [["RPUSH", "plain", "a", new string('x', 20_000), "b"]],
        ["intset16"] = [["SADD", "intset16", "1", "-2", "300"]],
        ["intset64"] = [["SADD", "intset64", "1", "5000000000", "-70000"]],
        ["set"] = [["SADD", "set", "one", "two", "3"]],
        ["bigset"] = [["SADD", "bigset", .. Enumerable.Range(0, 600).Select(i => $"m{i}")]],
        ["zset"] = [["ZADD", "zset", "1", "a", "2.5", "b", "-inf", "c", "inf", "d", "0.1", "e"]],
        ["bigzset"] = [["ZADD", "bigzset", .. Enumerable.Range(0, 300).SelectMany(i => (string[])[$"{i * 0.25}", $"m{i}"])]],
        ["hash"] = [["HSET", "hash", "f", "v", "n", "17", "empty", ""]],
        ["bighash"] = [["HSET", "bighash", .. Enumerable.Range(0, 700).SelectMany(i => (string[])[$"f{i}", $"v{i}"])]],
        ["stream"] =
        [
            .. Enumerable.Range(1, 230)
                .Select(i => (string[])["XADD", "stream", $"{i}-{i % 3}", "field", $"{i}", .. i % 5 == 0 ? (string[])["other", "x"] : []]),
            ["XDEL", "stream", "7-1", "230-2"],
            ["XGROUP", "CREATE", "stream", "g", "5-2"],
            ["XGROUP", "CREATE", "stream", "empty", "$"],
        ],
        ["emptystream"] = [["XGROUP", "CREATE", "emptystream", "g", "0", "MKSTREAM"]],
    };

    public static TheoryData<string> Names => [.. s_keys.Keys];

    [Theory]
    [MemberData(nameof(Names))]
    public void What_was_dumped_is_restored(string name)
    {
        using var redis = new EngineHarness();
        Make(redis, name);
        string payload = Dump(redis, name), encoding = (string)redis.Run("OBJECT", "ENCODING", name)!;
        Assert.Equal("OK", redis.Run("RESTORE", "copy", "0", payload));
        // Every table has an order of its own.
        if (name == "bigset") Assert.Equal(Sorted(redis, "SMEMBERS", name), Sorted(redis, "SMEMBERS", "copy"));
        else if (name == "bighash") Assert.Equal(Sorted(redis, "HGETALL", name), Sorted(redis, "HGETALL", "copy"));
        else Assert.Equal(payload, Dump(redis, "copy"));
        // Redis too keeps a computed string raw only until it is loaded again.
        if (name != "raw") Assert.Equal(encoding, redis.Run("OBJECT", "ENCODING", "copy"));
    }

    [Fact]
    [Trait("Needs", "servers")]
    public async Task Redis_restores_ours_and_we_restore_those_of_redis()
    {
        await using SideBySide both = await SideBySide.StartAsync();
        foreach ((string name, string[][] commands) in s_keys)
        {
            foreach (string[] command in commands)
            {
                both.Theirs(command);
                both.Ours.Run(command);
            }
            string theirs = SideBySide.Payload(both.Theirs("DUMP", name)), ours = Dump(both.Ours, name);
            Assert.Equal("OK", both.Ours.Run("RESTORE", "fromtheirs", "0", theirs, "REPLACE"));
            Assert.Equal("+OK\r\n", both.Theirs("RESTORE", "fromours", "0", ours, "REPLACE"));
            Assert.Equal(both.Theirs("DEBUG", "DIGEST-VALUE", name), both.Theirs("DEBUG", "DIGEST-VALUE", "fromours"));
            // And back: redis-server restores what we made of its value.
            Assert.Equal("+OK\r\n", both.Theirs("RESTORE", "fromours", "0", Dump(both.Ours, "fromtheirs"), "REPLACE"));
            Assert.Equal(both.Theirs("DEBUG", "DIGEST-VALUE", name), both.Theirs("DEBUG", "DIGEST-VALUE", "fromours"));
        }
    }

    [Fact]
    [Trait("Needs", "servers")]
    public async Task Without_compression_the_bytes_are_those_of_redis()
    {
        await using SideBySide both = await SideBySide.StartAsync(options => options.RdbCompression = false, "--rdbcompression", "no");
        foreach (string name in (string[])["text", "int", "negative", "big", "binary", "long", "quicklist", "intset16", "intset64", "bigzset", "hash", "stream",
            "emptystream"])
        {
            foreach (string[] command in s_keys[name])
            {
                both.Theirs(command);
                both.Ours.Run(command);
            }
            both.Same("DUMP", name);
        }
    }

    [Fact]
    [Trait("Needs", "servers")]
    public async Task A_group_with_its_pending_entries_crosses_over()
    {
        await using SideBySide both = await SideBySide.StartAsync();
        foreach (string line in (string[])
            [
                "XADD s 1-1 a 1", "XADD s 2-1 a 2", "XADD s 3-1 b 3", "XGROUP CREATE s g 0", "XGROUP CREATECONSUMER s g idle",
                "XREADGROUP GROUP g alice COUNT 2 STREAMS s >",
                "XREADGROUP GROUP g bob STREAMS s >", "XACK s g 1-1", "XCLAIM s g alice 0 3-1 TIME 1000 RETRYCOUNT 7",
            ])
            both.Theirs(line.Split(' '));
        Assert.Equal("OK", both.Ours.Run("RESTORE", "s", "0", SideBySide.Payload(both.Theirs("DUMP", "s"))));
        both.Same("XPENDING s g");
        both.Same("XRANGE s - +");
        both.Same("XINFO STREAM s");
        Assert.Equal("[[3-1, alice, " + (both.Ours.NowMs - 1000) + ", 7]]", both.Ours.Show("XPENDING s g 3 + 10"));
        Assert.Equal("+OK\r\n", both.Theirs("RESTORE", "t", "0", Dump(both.Ours, "s")));
        Assert.Equal(both.Theirs("DUMP", "s"), both.Theirs("DUMP", "t"));
    }

    [Fact]
    [Trait("Needs", "servers")]
    public async Task Packed_encodings_of_old_versions_are_read()
    {
        await using SideBySide both = await SideBySide.StartAsync();
        string[] elements =
        [
            "a", "1", "12", "-1", "13", "-128", "300", "-32768", "70000", "-8388608", "100000000", "5000000000", new string('x', 300), "",
            new string('y', 70_000), "z"
        ];
        byte[] ziplist = Ziplist(elements), scores = Ziplist("a", "1", "b", "2.5", "c", "1000000"), pairs = Ziplist("f", "v", "g", "12345"),
            zipmap = Zipmap("f", "v", "g", new string('w', 300), "h", "");
        (string Key, byte Type, byte[][] Strings)[] old =
        [
            ("list", 10, [ziplist]), ("zset", 12, [scores]), ("hash", 13, [pairs]), ("zipmap", 9, [zipmap]),
        ];
        foreach ((string key, byte type, byte[][] strings) in old)
        {
            string payload = Payload(9, [type, .. strings.SelectMany(RdbString)]);
            both.Same("RESTORE", key, "0", payload);
        }
        both.Same("RESTORE", "quicklist", "0", Payload(9, [14, 2, .. RdbString(ziplist), .. RdbString(pairs)]));
        both.Same("RESTORE", "oldlist", "0", Payload(5, [1, 2, 1, (byte)'a', 0xc0, 7]));
        both.Same("RESTORE", "oldzset", "0", Payload(5, [3, 3, 1, (byte)'a', 3, (byte)'1', (byte)'.', (byte)'5', 1, (byte)'b', 254, 1, (byte)'c', 255]));
        both.Same("LRANGE list 0 -1");
        both.Same("LRANGE quicklist 0 -1");
        both.Same("LRANGE oldlist 0 -1");
        both.Same("ZRANGE zset 0 -1 WITHSCORES");
        both.Same("ZRANGE oldzset 0 -1 WITHSCORES");
        both.Same("HGETALL hash");
        both.Same("HMGET zipmap f g h none");
    }

    [Fact]
    [Trait("Needs", "servers")]
    public async Task Wrong_arguments_get_the_errors_of_redis()
    {
        await using SideBySide both = await SideBySide.StartAsync();
        both.Same("SET", "k", "v");
        string payload = SideBySide.Payload(both.Same("DUMP", "k"));
        both.Same("DUMP", "none");
        both.Same("RESTORE", "k", "0", payload);
        both.Same("RESTORE", "new", "-1", payload);
        both.Same("RESTORE", "new", "x", payload);
        both.Same("RESTORE", "new", "0", "");
        both.Same("RESTORE", "new", "0", payload[..^1] + "x");
        both.Same("RESTORE", "new", "0", payload, "FOO");
        both.Same("RESTORE", "new", "0", payload, "IDLETIME", "-1");
        both.Same("RESTORE", "new", "0", payload, "IDLETIME", "x");
        both.Same("RESTORE", "new", "0", payload, "FREQ", "256");
        both.Same("RESTORE", "new", "0", payload, "IDLETIME", "1", "FREQ", "1");
        both.Same("RESTORE", "new", "0", Payload(10, [99, 1, 1]));
        both.Same("RESTORE", "new", "0", Payload(99, [0, 1, (byte)'x']));
        both.Same("RESTORE", "new", "0", Payload(10, [2, 0]));
        both.Same("RESTORE", "new", "1", payload, "ABSTTL");
        both.Same("EXISTS", "new");
        both.Same("RESTORE", "k", "1", payload, "ABSTTL", "REPLACE");
        both.Same("EXISTS", "k");
        both.Same("RESTORE", "new", "0", payload, "IDLETIME", "1000");
        both.Same("RESTORE", "new", "100000", payload, "REPLACE");
    }

    [Fact]
    public void A_restore_gives_an_absolute_effect()
    {
        using var redis = new EngineHarness();
        redis.Run("SET", "k", "v");
        string payload = Dump(redis, "k");
        redis.TakeEffects();
        redis.Run("RESTORE", "k", "1000", payload, "REPLACE");
        Assert.Equal([$"RESTORE k {redis.NowMs + 1000} {payload} REPLACE ABSTTL"], redis.TakeEffects());
        Assert.Equal(1000L, redis.Run("PTTL", "k"));
        redis.Run("RESTORE", "k", "1", payload, "REPLACE", "ABSTTL");
        Assert.Equal(["DEL k"], redis.TakeEffects());
    }

    [Fact]
    public void A_value_is_read_from_a_stream_that_trickles()
    {
        using var redis = new EngineHarness();
        foreach (string name in s_keys.Keys)
        {
            Make(redis, name);
            byte[] payload = Encoding.Latin1.GetBytes(Dump(redis, name));
            using var trickle = new TrickleStream(payload);
            var reader = new RdbReader(trickle);
            byte[] key = Encoding.Latin1.GetBytes(name);
            KeyEntry entry = RdbObjectReader.Read(reader, reader.Type(), key, Expiry.Never, redis.Store.Options, checksDoubles: true);
            Assert.Equal(payload.Length - 10, reader.Position);
            if (name is not ("bigset" or "bighash")) Assert.Equal(payload, DumpPayload.Of(entry, redis.Store.Options).ToArray());
        }
    }

    private sealed class TrickleStream(byte[] bytes) : MemoryStream(bytes)
    {
        public override int Read(byte[] buffer, int offset, int count) => base.Read(buffer, offset, Math.Min(count, 7));
    }

    /// <summary>
    /// Bytes are flipped, added and dropped at random, with the checksum correct. The answer is OK or an error, and
    /// nothing fails afterwards.
    /// </summary>
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public void Damaged_payloads_are_refused_or_harmless(int seed)
    {
        var random = TestSeed.Random(seed);
        using var redis = new EngineHarness(options => options.RdbCompression = seed % 2 == 0);
        foreach (string name in s_keys.Keys.Where(name => name is not ("long" or "plain" or "quicklist")))
        {
            Make(redis, name);
            string type = (string)redis.Run("TYPE", name)!;
            byte[] sound = Encoding.Latin1.GetBytes(Dump(redis, name))[..^10];
            for (int i = 0; i < 150; i++)
            {
                List<byte> bytes = [.. sound];
                for (int changes = random.Next(1, 4); changes > 0; changes--)
                {
                    int at = random.Next(random.Next(2) == 0 ? Math.Min(40, bytes.Count) : bytes.Count);
                    switch (random.Next(6))
                    {
                        case 0: bytes.RemoveAt(at); break;
                        case 1: bytes.Insert(at, (byte)random.Next(256)); break;
                        case 2: bytes[at] = 0xff; break;
                        default: bytes[at] ^= (byte)(1 << random.Next(8)); break;
                    }
                    if (bytes.Count == 0) bytes.Add(0);
                }
                object? reply = redis.Run("RESTORE", "damaged", "0", Payload(12, [.. bytes]), "REPLACE");
                if (reply is RespError error)
                {
                    Assert.Equal("ERR Bad data format", error.Text);
                    continue;
                }
                Use(redis, (string)redis.Run("TYPE", "damaged")!);
            }
            redis.Run("DEL", name);
            Assert.NotEqual("none", type);
        }
    }

    /// <summary>
    /// Every byte of a hash with field expiries is replaced by every other one, and then several at random. Whatever
    /// RESTORE takes is a hash as HSET and HPEXPIREAT could have made it.
    /// </summary>
    [Theory]
    [InlineData(512)]
    [InlineData(4)] // so that the listpack becomes a table
    public void A_damaged_hash_with_field_expiries_is_refused_or_sound(int mostEntries)
    {
        using var redis = new EngineHarness(options =>
            (options.SanitizeDumpPayload, options.RdbCompression, options.HashMaxListpackEntries) = (SanitizeDumpPayload.Yes, false, mostEntries));
        byte[] listpack = RdbFileBuilder.Listpack("long", new string('x', 64), $"{redis.NowMs + 4_000_000}", "f", "v", $"{redis.NowMs + 5_000_000}",
            "17", "-5000", $"{redis.NowMs + 5_000_000}", "n", "70000", "0", "empty", "", "0", "last", "1", "0");
        byte[] sound = [(byte)RdbType.HashListpackEx, .. BitConverter.GetBytes(redis.NowMs + 4_000_000), .. RdbString(listpack)];
        Assert.Equal("OK", redis.Run("RESTORE", "damaged", "0", Payload(12, sound), "REPLACE"));
        int taken = 0;
        void Try(byte[] bytes)
        {
            object? reply = redis.Run("RESTORE", "damaged", "0", Payload(12, bytes), "REPLACE");
            if (reply is RespError error)
            {
                Assert.Equal("ERR Bad data format", error.Text);
                return;
            }
            taken++;
            if ((string)redis.Run("TYPE", "damaged")! == "hash") BeSound(redis, bytes);
        }
        for (int at = 0; at < sound.Length; at++)
        {
            for (int value = 0; value < 256; value++)
            {
                byte[] bytes = [.. sound];
                bytes[at] = (byte)value;
                Try(bytes);
            }
        }
        Random random = TestSeed.Random(mostEntries);
        for (int i = 0; i < 5000; i++)
        {
            List<byte> bytes = [.. sound];
            for (int changes = random.Next(2, 6); changes > 0; changes--)
            {
                int at = random.Next(bytes.Count);
                switch (random.Next(5))
                {
                    case 0: bytes.RemoveAt(at); break;
                    case 1: bytes.Insert(at, bytes[random.Next(bytes.Count)]); break;
                    default: bytes[at] = random.Next(3) == 0 ? bytes[random.Next(bytes.Count)] : (byte)random.Next(256); break;
                }
            }
            Try([.. bytes]);
        }
        Assert.InRange(taken, 256, sound.Length * 256); // letters of fields and values may be any
    }

    /// <summary>Checks that a hash is consistent, and that all that is done to hashes works on it.</summary>
    private static void BeSound(EngineHarness redis, byte[] payload)
    {
        string because = Convert.ToHexString(payload);
        string[] pairs = [.. ((object?[])redis.Run("HGETALL", "damaged")!).Cast<string>()];
        string[] fields = [.. pairs.Where((_, i) => i % 2 == 0)];
        Assert.True(fields.Length > 0 && fields.Distinct().Count() == fields.Length, because);
        Assert.Equal((long)fields.Length, redis.Run("HLEN", "damaged"));
        long[] expiries = [.. ((object?[])redis.Run(["HPEXPIRETIME", "damaged", "FIELDS", $"{fields.Length}", .. fields])!).Cast<long>()];
        Assert.All(expiries, expiry => Assert.True(expiry == -1 || (expiry > redis.NowMs && expiry <= (1L << 46) - 1), because));
        string encoding = (string)redis.Run("OBJECT", "ENCODING", "damaged")!;
        if (encoding == "listpackex")
        {
            // In the listpack, fields come in the order in which they expire, and those that never do come last.
            long[] order = [.. expiries.Select(expiry => expiry == -1 ? long.MaxValue : expiry)];
            Assert.Equal(order.Order(), order);
        }
        for (int i = 0; i < pairs.Length; i += 2) Assert.Equal(pairs[i + 1], redis.Run("HGET", "damaged", pairs[i]));
        Assert.Equal("OK", redis.Run("RESTORE", "again", "0", Dump(redis, "damaged"), "REPLACE"));
        Assert.Equal(expiries, ((object?[])redis.Run(["HPEXPIRETIME", "again", "FIELDS", $"{fields.Length}", .. fields])!).Cast<long>());
        Assert.Equal(Sorted(redis, "HGETALL", "damaged"), Sorted(redis, "HGETALL", "again"));
        for (int i = 0; i < fields.Length; i++)
        {
            redis.Run("HSET", "damaged", fields[i], "new");
            if (i % 2 == 0) redis.Run("HPEXPIREAT", "damaged", $"{redis.NowMs + 1000 - i}", "FIELDS", "1", fields[i]);
            else redis.Run("HPERSIST", "damaged", "FIELDS", "1", fields[i]);
            Assert.Equal((long)fields.Length, redis.Run("HLEN", "damaged"));
        }
        foreach (string field in fields) Assert.Equal(1L, redis.Run("HDEL", "damaged", field));
        Assert.Equal(0L, redis.Run("EXISTS", "damaged"));
    }

    private static void Use(EngineHarness redis, string type)
    {
        string[][] commands = type switch
        {
            "string" => [["GET", "damaged"], ["APPEND", "damaged", "x"]],
            "list" => [["LRANGE", "damaged", "0", "-1"], ["LPUSH", "damaged", "x"], ["LREM", "damaged", "0", "x"], ["RPOP", "damaged"]],
            "set" => [["SMEMBERS", "damaged"], ["SADD", "damaged", "new"], ["SPOP", "damaged"]],
            "zset" => [["ZRANGE", "damaged", "0", "-1", "WITHSCORES"], ["ZADD", "damaged", "1", "new"], ["ZPOPMIN", "damaged"]],
            "hash" => [["HGETALL", "damaged"], ["HSET", "damaged", "new", "x"], ["HDEL", "damaged", "f1"]],
            "stream" =>
            [
                ["XRANGE", "damaged", "-", "+"], ["XREVRANGE", "damaged", "+", "-"], ["XADD", "damaged", "*", "a", "b"],
                ["XTRIM", "damaged", "MAXLEN", "3"], ["XINFO", "STREAM", "damaged", "FULL"]
            ],
            _ => [],
        };
        foreach (string[] command in commands) redis.Run(command);
        redis.Run("DUMP", "damaged");
    }

    private static void Make(EngineHarness redis, string name)
    {
        foreach (string[] command in s_keys[name]) Assert.IsNotType<RespError>(redis.Run(command));
    }

    private static string[] Sorted(EngineHarness redis, params string[] command) => [.. ((object?[])redis.Run(command)!).Cast<string>().Order()];

    private static string Dump(EngineHarness redis, string key) => (string)redis.Run("DUMP", key)!;

    private static string Payload(ushort version, byte[] content)
    {
        byte[] payload = [.. content, (byte)version, (byte)(version >> 8), .. new byte[8]];
        BinaryPrimitives.WriteUInt64LittleEndian(payload.AsSpan(payload.Length - 8), Crc64.Append(0, payload.AsSpan(0, payload.Length - 8)));
        return Encoding.Latin1.GetString(payload);
    }

    private static byte[] RdbString(byte[] bytes)
    {
        var writer = new RdbWriter(compress: false);
        writer.String(bytes);
        return writer.Written.ToArray();
    }

    private static byte[] Ziplist(params string[] elements)
    {
        List<byte> bytes = [.. new byte[10]];
        int before = 0, last = 10;
        foreach (string element in elements)
        {
            last = bytes.Count;
            bytes.AddRange(before < 254 ? [(byte)before] : [0xfe, .. BitConverter.GetBytes(before)]);
            if (Numbers.TryParseInt64(Encoding.Latin1.GetBytes(element), out long number))
            {
                bytes.AddRange(number switch
                {
                    >= 0 and <= 12 => [(byte)(0xf1 + number)],
                    >= sbyte.MinValue and <= sbyte.MaxValue => [0xfe, (byte)number],
                    >= short.MinValue and <= short.MaxValue => [0xc0, .. BitConverter.GetBytes((short)number)],
                    >= -8388608 and <= 8388607 => [0xf0, .. BitConverter.GetBytes((int)number)[..3]],
                    >= int.MinValue and <= int.MaxValue => [0xd0, .. BitConverter.GetBytes((int)number)],
                    _ => (byte[])[0xe0, .. BitConverter.GetBytes(number)],
                });
            }
            else
            {
                int length = element.Length;
                bytes.AddRange(length < 64 ? [(byte)length] : length < 16384 ? [(byte)(0x40 | (length >> 8)), (byte)length]
                    : (byte[])[0x80, (byte)(length >> 24), (byte)(length >> 16), (byte)(length >> 8), (byte)length]);
                bytes.AddRange(Encoding.Latin1.GetBytes(element));
            }
            before = bytes.Count - last;
        }
        bytes.Add(0xff);
        byte[] ziplist = [.. bytes];
        BinaryPrimitives.WriteInt32LittleEndian(ziplist, ziplist.Length);
        BinaryPrimitives.WriteInt32LittleEndian(ziplist.AsSpan(4), last);
        BinaryPrimitives.WriteUInt16LittleEndian(ziplist.AsSpan(8), (ushort)elements.Length);
        return ziplist;
    }

    private static byte[] Zipmap(params string[] elements)
    {
        List<byte> bytes = [(byte)(elements.Length / 2)];
        for (int i = 0; i < elements.Length; i++)
        {
            int length = elements[i].Length;
            bytes.AddRange(length < 254 ? [(byte)length] : [0xfe, .. BitConverter.GetBytes(length)]);
            if (i % 2 == 1) bytes.Add(2);
            bytes.AddRange(Encoding.Latin1.GetBytes(elements[i]));
            if (i % 2 == 1) bytes.AddRange([0, 0]);
        }
        bytes.Add(0xff);
        return [.. bytes];
    }
}
