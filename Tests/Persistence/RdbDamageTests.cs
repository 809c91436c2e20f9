using System.Buffers.Binary;
using OrleansRedis.Engine;
using OrleansRedis.Tests.Harness;
using Xunit;

namespace OrleansRedis.Tests.Persistence;

/// <summary>
/// Files that are damaged, cut short, or contain what cannot be loaded always give an error that says so, never a wrong
/// data set.
/// </summary>
[Trait("Needs", "time")]
public sealed class RdbDamageTests
{
    [Fact]
    public void A_flipped_bit_anywhere_is_an_error_or_changes_nothing()
    {
        using EngineHarness whole = Small(options => options.RdbCompression = false);
        byte[] file = RdbFiles.Save(whole.Store);
        string digest = KeyspaceDigest.OfAll(whole.Store.Slots);
        using var redis = new EngineHarness();
        var random = TestSeed.Random();
        for (int at = 0; at < file.Length; at++)
        {
            byte[] damaged = (byte[])file.Clone();
            damaged[at] ^= (byte)(1 << random.Next(8));
            if (TryLoad(redis, damaged, out string? loaded) && loaded != digest) Assert.Fail($"Byte {at} was flipped and nobody noticed.");
        }
    }

    [Fact]
    public void A_file_that_ends_too_soon_is_an_error_wherever()
    {
        using EngineHarness whole = Small();
        byte[] file = RdbFiles.Save(whole.Store);
        using var redis = new EngineHarness();
        for (int length = 0; length < file.Length; length++)
        {
            redis.Run("FLUSHALL");
            RdbFileException failure = Assert.Throws<RdbFileException>(() => RdbFiles.Load(redis, file[..length]));
            Assert.Equal("Short read or OOM loading DB. Unrecoverable error, aborting now.", failure.Message);
            Assert.Contains("Unexpected EOF reading RDB file", failure.Report, StringComparison.Ordinal);
            Assert.InRange(failure.Offset, 0, length);
        }
    }

    [Fact]
    public void Without_checksum_damage_is_an_error_or_a_data_set_that_can_be_used()
    {
        using EngineHarness whole = Small(options => (options.RdbChecksum, options.RdbCompression) = (false, false));
        byte[] file = RdbFiles.Save(whole.Store);
        using var redis = new EngineHarness(options => options.RdbChecksum = false);
        var random = TestSeed.Random();
        for (int i = 0; i < 1500; i++)
        {
            redis.Run("FLUSHALL");
            redis.Store.Options.SanitizeDumpPayload = (SanitizeDumpPayload)(i % 2);
            byte[] damaged = (byte[])file.Clone();
            for (int flips = random.Next(1, 4); flips > 0; flips--) damaged[random.Next(9, damaged.Length)] = (byte)random.Next(256);
            try
            {
                RdbFiles.Load(redis, damaged);
            }
            catch (RdbFileException)
            {
                continue;
            }
            catch (InvalidOperationException e) when (e.Message.Contains("bytes of", StringComparison.Ordinal))
            {
                // A byte has become the end-of-file opcode.
            }
            KeyspaceDigest.OfAll(redis.Store.Slots);
            RdbFiles.Save(redis.Store);
        }
    }

    [Fact]
    public void A_wrong_checksum_is_told_as_Redis_tells_it()
    {
        RdbFileException failure = Refused(new RdbFileBuilder(10).Key(RdbType.String, "k").Text("v").Build(checksum: 1));
        Assert.Matches("^Wrong RDB checksum expected: \\(1\\) but got \\([0-9a-f]+\\)\\. Aborting now\\.$", failure.Message);
        Assert.Equal("RDB CRC error", failure.Reason);
    }

    [Fact]
    public void A_checksum_of_zero_means_that_there_is_none() => Load(new RdbFileBuilder(10).Key(RdbType.String, "k").Text("v").Build(checksum: 0));

    [Fact]
    public void What_cannot_be_loaded_is_named()
    {
        static string Message(RdbFileBuilder file) => Refused(file.Build()).Message;

        Assert.Equal("Wrong signature trying to load DB from file", Refused("RUBBISH, and more of it"u8.ToArray()).Message);
        Assert.Equal("Can't handle RDB format version 13", Message(new RdbFileBuilder(13)));
        Assert.Equal("Can't handle RDB format version 0", Message(new RdbFileBuilder(0)));
        Assert.Equal("FATAL: Data file was created with a Redis server configured to handle more than 16 databases. Exiting",
            Message(new RdbFileBuilder(10).Opcode(RdbOpcode.SelectDb).Length(16)));
        Assert.Equal("Pre-release function format not supported.", Message(new RdbFileBuilder(10).Opcode(RdbOpcode.FunctionPreGa).Text("x")));
        Assert.Equal("Invalid object type: 8", Message(new RdbFileBuilder(10).Key((RdbType)8, "k")));
        Assert.Equal("RDB has duplicated key 'k' in DB 0",
            Message(new RdbFileBuilder(10).Key(RdbType.String, "k").Text("v").Key(RdbType.String, "k").Text("w")));
        Assert.Equal("Hash listpack integrity check failed.",
            Message(new RdbFileBuilder(10).Key(RdbType.HashListpack, "k").Text(RdbFileBuilder.Listpack("odd"))));
        Assert.Equal("Duplicate set members detected", Message(new RdbFileBuilder(10).Key(RdbType.Set, "k").Length(2).Text("a").Text("a")));
        Assert.Equal("Zset with NAN score detected", Message(new RdbFileBuilder(10).Key(RdbType.ZSet2, "k").Length(1).Text("a").Double(double.NaN)));
    }

    [Fact]
    public void Data_of_modules_is_refused_by_the_module_s_name()
    {
        byte[] id = ModuleId("tairhash-", 1);
        Assert.Equal("The RDB file contains module data I can't load: no matching module type 'tairhash-'",
            Refused(new RdbFileBuilder(9).Key(RdbType.Module2, "k").Add(id).Length(0).Build()).Message);
        Assert.Equal("The RDB file contains AUX module data I can't load: no matching module 'tairhash-'",
            Refused(new RdbFileBuilder(9).Opcode(RdbOpcode.ModuleAux).Add(id).Length(2).Length(1).Length(0).Build()).Message);
        Assert.Equal("Pre-release module format not supported", Refused(new RdbFileBuilder(9).Key(RdbType.ModulePreGa, "k").Build()).Message);
    }

    [Fact]
    public void The_error_says_where_and_of_which_key()
    {
        byte[] file = new RdbFileBuilder(10).Key(RdbType.String, "first").Text("v").Key(RdbType.SetIntset, "second").Text("no intset").Build();
        RdbFileException failure = Refused(file);
        Assert.Equal(9 + 9 + 8 + 10, failure.Offset);
        Assert.Equal("Internal error in RDB reading offset 36, doing read-object-value of key 'second' -> Intset integrity check failed.", failure.Report);
    }

    [Fact]
    public void Doubles_in_packed_collections_are_found_if_that_is_asked_for()
    {
        Sanitized("Set listpack integrity check failed.",
            new RdbFileBuilder(11).Key(RdbType.SetListpack, "k").Text(RdbFileBuilder.Listpack("a", "b", "a")).Build());
    }

    [Theory]
    [InlineData(4102444800001, 4102444800000)]
    [InlineData(0, 4102444800000)] // what never expires comes last
    public void Fields_that_are_not_in_the_order_of_their_expiry_are_refused_if_that_is_asked_for(long first, long second)
    {
        Sanitized("Hash listpack integrity check failed.", new RdbFileBuilder(12)
            .Key(RdbType.HashListpackEx, "k").Milliseconds(4102444800000).Text(RdbFileBuilder.Listpack("f", "v", $"{first}", "g", "v", $"{second}")).Build());
    }

    [Fact]
    public void Wrong_counts_in_a_stream_s_nodes_are_refused_if_that_is_asked_for()
    {
        byte[] node = RdbFileBuilder.Listpack("2", "0", "1", "f", "0", "2", "0", "0", "v", "4");
        byte[] id = new byte[16];
        new StreamId(5, 1).Encode(id);
        Sanitized("Stream listpack integrity check failed.",
            new RdbFileBuilder(11).Key(RdbType.StreamListpacks, "k").Length(1).Text(id).Text(node).Length(1).Length(5).Length(1).Length(0).Build());
    }

    [Fact]
    public void Flags_that_a_stream_s_node_holds_in_a_longer_form_than_ours_lead_no_trim_astray()
    {
        byte[] node = RdbFileBuilder.Listpack("4", "0", "1", "f", "0");
        for (int i = 0; i < 4; i++)
        {
            byte[] entry = [0xf1, 2, 0, 3, 0, 1, (byte)i, 1, 0x81, (byte)('a' + i), 2, 4, 1];
            node = [.. node[..^1], .. entry, 0xff];
        }
        BinaryPrimitives.WriteInt32LittleEndian(node, node.Length);
        BinaryPrimitives.WriteInt16LittleEndian(node.AsSpan(4), 5 + (4 * 5));
        byte[] id = new byte[16];
        new StreamId(5, 1).Encode(id);
        using var redis = new EngineHarness();
        RdbFiles.Load(redis,
            new RdbFileBuilder(11).Key(RdbType.StreamListpacks, "s").Length(1).Text(id).Text(node).Length(4).Length(5).Length(4).Length(0).Build());
        Assert.Equal(3L, redis.Run("XTRIM", "s", "MAXLEN", "1"));
        Assert.Equal("[[5-4, [f, d]]]", redis.Show("XRANGE s - +"));
    }

    private static void Sanitized(string error, byte[] file)
    {
        foreach (SanitizeDumpPayload sanitize in Enum.GetValues<SanitizeDumpPayload>())
        {
            using var redis = new EngineHarness(options => options.SanitizeDumpPayload = sanitize);
            if (sanitize == SanitizeDumpPayload.Yes)
                Assert.Equal(error, Assert.Throws<RdbFileException>(() => RdbFiles.Load(redis, file)).Message);
            else Assert.Equal(1, RdbFiles.Load(redis, file).KeysLoaded);
        }
    }

    [Fact]
    public void A_length_that_lies_allocates_nothing()
    {
        long before = GC.GetAllocatedBytesForCurrentThread();
        foreach (RdbType type in (RdbType[])[RdbType.String, RdbType.Set, RdbType.Hash, RdbType.ZSet2, RdbType.List, RdbType.HashMetadata,
            RdbType.StreamListpacks2])
            Assert.Throws<RdbFileException>(() => Load(new RdbFileBuilder(12).Key(type, "k").Add(0x81, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff, 0xff).Build()));
        Assert.Throws<RdbFileException>(() => Load(new RdbFileBuilder(12)
            .Opcode(RdbOpcode.ResizeDb).Add(0x81, 0, 0x7f, 0, 0, 0, 0, 0, 0).Length(0)
            .Key(RdbType.String, "k").Text("v").Key(RdbType.String, "k").Text("v").Build()));
        // Mostly the harnesses and the buffers.
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 200 << 20);
    }

    private static EngineHarness Small(Action<ServerOptions>? configure = null)
    {
        var redis = new EngineHarness(configure);
        redis.Run("SET", "string", new string('a', 50));
        redis.Run("SET", "number", "12345", "PXAT", "4102444800000");
        redis.Run("RPUSH", "list", "a", "b", "1");
        redis.Run("SADD", "intset", "1", "2");
        redis.Run("SADD", "set", "a", "b");
        redis.Run("HSET", "hash", "f", "v", "g", new string('x', 100));
        redis.Run("ZADD", "zset", "1", "a", "2.5", "b");
        redis.Run("XADD", "stream", "1-1", "f", "v");
        redis.Run("XGROUP", "CREATE", "stream", "g", "0");
        redis.Run("XREADGROUP", "GROUP", "g", "c", "STREAMS", "stream", ">");
        redis.Client.Session.Database = 3;
        redis.Run("HSET", "expiring", "f", "v", "g", "w");
        redis.Run("HPEXPIREAT", "expiring", "4102444800000", "FIELDS", "1", "f");
        return redis;
    }

    private static byte[] ModuleId(string name, int version)
    {
        const string Letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        ulong id = name.Aggregate(0UL, (bits, letter) => (bits << 6) | (uint)Letters.IndexOf(letter, StringComparison.Ordinal));
        return [0x81, .. BitConverter.GetBytes((id << 10) | (uint)version).Reverse()];
    }

    private static void Load(byte[] file)
    {
        using var redis = new EngineHarness();
        RdbFiles.Load(redis, file);
    }

    private static RdbFileException Refused(byte[] file) => Assert.Throws<RdbFileException>(() => Load(file));

    private static bool TryLoad(EngineHarness redis, byte[] file, out string? digest)
    {
        digest = null;
        redis.Run("FLUSHALL");
        try
        {
            // Damage may make the version one that has no checksum; then the checksum's bytes are what follows the file.
            redis.Files.CreateLoader().Load(new MemoryStream(file));
        }
        catch (RdbFileException)
        {
            return false;
        }
        digest = KeyspaceDigest.OfAll(redis.Store.Slots);
        return true;
    }
}
