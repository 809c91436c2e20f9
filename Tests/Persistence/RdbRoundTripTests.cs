using System.Globalization;
using System.Runtime;
using System.Text;
using FsCheck;
using FsCheck.Fluent;
using OrleansRedis.Engine;
using OrleansRedis.Tests.Harness;
using Xunit;

namespace OrleansRedis.Tests.Persistence;

/// <summary>What one engine writes, another reads.</summary>
public sealed class RdbRoundTripTests
{
    [Fact]
    public void Random_data_sets_are_the_same_afterwards()
    {
        using EngineHarness from = new(Small), to = new(Small);
        Prop.ForAll(Commands().ListOf().Resize(60).ToArbitrary(), commands =>
        {
            from.Run("FLUSHALL");
            to.Run("FLUSHALL");
            foreach ((int database, string[] command) in commands)
            {
                from.Client.Session.Database = database;
                from.Run(command); // some have the wrong type for the key, and change nothing
            }
            long keys = RdbFiles.Load(to, RdbFiles.Save(from.Store)).KeysLoaded;
            Assert.Equal(KeyspaceDigest.OfAll(from.Store.Slots), KeyspaceDigest.OfAll(to.Store.Slots));
            foreach ((int database, string key) in commands.Select(command => (command.Database, command.Command[1])).Distinct())
            {
                from.Client.Session.Database = to.Client.Session.Database = database;
                foreach (string[] question in (string[][])[["TYPE", key], ["PEXPIRETIME", key], ["OBJECT", "ENCODING", key]])
                {
                    // A string that was changed in place is no longer raw after loading.
                    if (question[0] == "OBJECT" && from.Run(question) is "raw") continue;
                    if (question[0] == "OBJECT" && IsShrunkList(from, database, key)) Assert.Equal("listpack", to.Run(question));
                    else Assert.Equal(from.Raw(question), to.Raw(question));
                }
            }
            Assert.Equal(Enumerable.Range(0, 16).Sum(from.Store.Slots.KeyCount), keys);
        }).Check();
    }

    /// <summary>
    /// A list that shrinks to one node becomes a listpack at half of list-max-listpack-size. A list that is loaded
    /// becomes one at the full size (in Redis 7.4, rdbLoadObject calls listTypeTryConversion with LIST_CONV_AUTO).
    /// </summary>
    [Fact]
    public void A_list_that_shrank_to_one_full_node_is_a_listpack_afterwards()
    {
        using EngineHarness from = new(options => options.ListMaxListpackSize = 8), to = new(options => options.ListMaxListpackSize = 8);
        from.Run("RPUSH", "one node", "1", "2", "3", "4", "5", "6", "7", "8", "9");
        from.Run("RPUSH", "two nodes", "1", "2", "3", "4", "5", "6", "7", "8", "9");
        from.Run("RPOP", "one node");
        RdbFiles.Load(to, RdbFiles.Save(from.Store));
        Assert.Equal("quicklist", from.Run("OBJECT", "ENCODING", "one node"));
        Assert.Equal("listpack", to.Run("OBJECT", "ENCODING", "one node"));
        Assert.Equal("quicklist", to.Run("OBJECT", "ENCODING", "two nodes"));
        Assert.Equal(KeyspaceDigest.OfAll(from.Store.Slots), KeyspaceDigest.OfAll(to.Store.Slots));
    }

    [Fact]
    public void Strings_of_every_kind_are_the_same_afterwards()
    {
        Gen<byte[]> bytes = Gen.OneOf(
            Gen.Choose(0, 255).Select(value => (byte)value).ListOf().Select(list => list.ToArray()),
            from letter in Gen.Choose(0, 255)
            from length in Gen.Elements(0, 1, 20, 21, 63, 64, 16383, 16384, 32767, 32768, 65535, 65536, 70000, 2_100_000)
            select Enumerable.Repeat((byte)letter, length).ToArray(),
            from bits in Gen.Choose(0, 63)
            from off in Gen.Choose(-1, 1)
            from sign in Gen.Elements(1L, -1L)
            select Encoding.ASCII.GetBytes((((1L << bits) + off) * sign).ToString(CultureInfo.InvariantCulture)));
        Prop.ForAll(bytes.ToArbitrary(), Gen.Elements(true, false).ToArbitrary(), (value, compress) =>
        {
            var writer = new RdbWriter(compress);
            for (int i = 0; i < 3; i++) writer.String(value);
            foreach (RdbReader reader in (RdbReader[])[new(writer.Written), new(new MemoryStream(writer.Written.ToArray()), checksums: true),
                new(new Trickle(writer.Written.ToArray()), checksums: true)])
            {
                Assert.Equal(value, reader.String());
                Assert.Equal(value, reader.StringSpan().ToArray());
                KeyEntry entry = reader.StringEntry("key"u8, 7);
                Assert.Equal(value, StringEntry.Read(entry, new byte[StringEntry.ScratchLength]).ToArray());
                Assert.Equal(7, entry.ExpiresAtMs);
                Assert.Equal(writer.Written.Length, reader.Position);
                if (reader.AtEnd) continue; // the reader in memory has no checksum
                Assert.Equal(Crc64.Append(0, writer.Written), reader.Checksum);
            }
        }).Check();
    }

    [Fact]
    public void Lengths_are_the_same_afterwards()
    {
        Gen<ulong> lengths = from bits in Gen.Choose(0, 63) from off in Gen.Choose(-1, 1) select (1UL << bits) + (ulong)off;
        Prop.ForAll(lengths.ToArbitrary(), length =>
        {
            var writer = new RdbWriter(compress: false);
            writer.Length(length);
            Assert.Equal(length, new RdbReader(writer.Written).Length());
        }).Check();
    }

    [Fact]
    public void Fields_that_expire_make_a_file_of_version_12()
    {
        using EngineHarness from = new(options => options.HashMaxListpackEntries = 4), to = new(options => options.HashMaxListpackEntries = 4);
        from.Run("HSET", "small", "f", "1", "g", "2", "h", "3");
        from.Run("HPEXPIREAT", "small", "4102444800002", "FIELDS", "1", "g");
        from.Run("HPEXPIREAT", "small", "4102444800001", "FIELDS", "1", "h");
        from.Run("HSET", "large", "a", "1", "b", "2", "c", "3", "d", "4", "e", "5");
        from.Run("HPEXPIREAT", "large", "4102444800002", "FIELDS", "2", "b", "d");
        from.Run("HSET", "no longer", "f", "1");
        from.Run("HPEXPIREAT", "no longer", "4102444800002", "FIELDS", "1", "f");
        from.Run("HPERSIST", "no longer", "FIELDS", "1", "f");
        byte[] file = RdbFiles.Save(from.Store);
        Assert.Equal("REDIS0012", Encoding.ASCII.GetString(file.AsSpan(0, 9)));
        RdbFiles.Load(to, file);
        Assert.Equal(KeyspaceDigest.OfAll(from.Store.Slots), KeyspaceDigest.OfAll(to.Store.Slots));
        foreach (string question in (string[])["HPEXPIRETIME small FIELDS 3 f g h", "HPEXPIRETIME large FIELDS 5 a b c d e", "HGETALL small",
            "OBJECT ENCODING small", "OBJECT ENCODING large"])
            Assert.Equal(from.Show(question), to.Show(question));
        Assert.Equal("listpack", to.Run("OBJECT", "ENCODING", "no longer"));

        from.Run("DEL", "small", "large");
        Assert.Equal("REDIS0010", Encoding.ASCII.GetString(RdbFiles.Save(from.Store).AsSpan(0, 9)));
    }

    [Fact]
    public void How_long_and_how_often_keys_were_used_is_kept_under_the_policies_that_ask_for_it()
    {
        foreach (MaxMemoryPolicy policy in (MaxMemoryPolicy[])[MaxMemoryPolicy.AllkeysLru, MaxMemoryPolicy.VolatileLfu, MaxMemoryPolicy.Noeviction])
        {
            using EngineHarness from = new(options => options.MaxMemoryPolicy = policy), to = new(options => options.MaxMemoryPolicy = policy);
            from.Run("SET", "k", "v");
            byte[] frequent = [.. DumpPayload.Of(StringEntry.Create("f"u8, "v"u8, Expiry.Never), from.Store.Options)];
            from.Run("RESTORE", "f", "0", Encoding.Latin1.GetString(frequent), "FREQ", "100");
            from.Time.Advance(50_000);
            to.Time.Advance(50_000);
            RdbFiles.Load(to, RdbFiles.Save(from.Store));
            if (policy == MaxMemoryPolicy.VolatileLfu) Assert.Equal(100L, to.Run("OBJECT", "FREQ", "f"));
            else Assert.Equal(policy == MaxMemoryPolicy.AllkeysLru ? 50L : 0L, to.Run("OBJECT", "IDLETIME", "k"));
        }
    }

    [Fact]
    public void A_key_that_is_there_is_replaced_if_that_is_asked_for()
    {
        using var redis = new EngineHarness();
        redis.Run("SET", "k", "in the file");
        byte[] file = RdbFiles.Save(redis.Store);
        redis.Run("RPUSH", "other", "stays");
        redis.Run("SET", "k", "changed");
        Assert.Throws<RdbFileException>(() => RdbFiles.Load(redis, file));
        RdbLoader loader = redis.Files.CreateLoader(replacesKeys: true);
        loader.Load(new MemoryStream(file));
        Assert.Equal("in the file", redis.Run("GET", "k"));
        Assert.Equal(2L, redis.Run("DBSIZE"));
    }

    [Fact]
    public void Many_keys_go_through_two_threads_and_are_counted_right()
    {
        using EngineHarness from = new(), to = new();
        for (int i = 0; i < 20_000; i++)
        {
            from.Client.Session.Database = i % 3;
            from.Run("SET", $"key:{i}", $"value {i}");
        }
        byte[] file = RdbFiles.Save(from.Store);
        Assert.Equal(20_000, RdbFiles.Load(to, file).KeysLoaded);
        Assert.Equal(KeyspaceDigest.OfAll(from.Store.Slots), KeyspaceDigest.OfAll(to.Store.Slots));
        for (int database = 0; database < 3; database++) Assert.Equal(from.Store.Slots.KeyCount(database), to.Store.Slots.KeyCount(database));
        Assert.Throws<RdbFileException>(() => RdbFiles.Load(to, file));
    }

    [Fact]
    public void The_collector_works_again_after_a_load_and_after_one_that_failed()
    {
        using EngineHarness from = new(), to = new();
        var noise = new byte[100_000];
        for (int i = 0; i < 80; i++)
        {
            TestSeed.Random(i).NextBytes(noise);
            from.Run("SET", $"key:{i}", Encoding.Latin1.GetString(noise));
        }
        byte[] file = RdbFiles.Save(from.Store);
        RdbFiles.Load(to, file);
        Assert.NotEqual(GCLatencyMode.NoGCRegion, GCSettings.LatencyMode);
        Assert.Equal(KeyspaceDigest.OfAll(from.Store.Slots), KeyspaceDigest.OfAll(to.Store.Slots));
        Assert.Throws<RdbFileException>(() => RdbFiles.Load(to, file));
        Assert.NotEqual(GCLatencyMode.NoGCRegion, GCSettings.LatencyMode);
    }

    /// <summary>Whether a key is a quicklist of one node that a new listpack could hold.</summary>
    private static unsafe bool IsShrunkList(EngineHarness redis, int database, string key)
    {
        byte[] name = Encoding.Latin1.GetBytes(key);
        Entry entry = redis.Store.Slots[KeySlot.Of(name)]!.Keyspace(database).Find(name);
        if (entry.IsMissing || entry.IsBlob) return false;
        QuicklistNode* only = ListEntry.ElementsOf(entry.Found).OnlyListpack;
        return only != null && only->Count <= redis.Store.Options.ListMaxListpackSize;
    }

    private static void Small(ServerOptions options)
    {
        (options.HashMaxListpackEntries, options.SetMaxListpackEntries, options.ZsetMaxListpackEntries, options.SetMaxIntsetEntries) = (4, 4, 4, 4);
        (options.ListMaxListpackSize, options.StreamNodeMaxEntries) = (3, 3);
    }

    private static Gen<(int Database, string[] Command)> Commands()
    {
        Gen<string> word = Gen.Frequency(
            (4, Gen.Choose(-9, 9).Select(number => number.ToString(CultureInfo.InvariantCulture))),
            (2, Gen.Choose(-2_000_000_000, 2_000_000_000).Select(number => number.ToString(CultureInfo.InvariantCulture))),
            (3, Gen.Choose('a', 'h').Select(letter => ((char)letter).ToString())),
            (1, Gen.Choose(0, 200).Select(length => new string('l', length))),
            (1, Gen.Choose(0, 255).ListOf().Select(letters => string.Concat(letters.Select(letter => (char)letter)))));
        Gen<string> key = Gen.Choose(0, 12).Select(number => $"key{number}");
        Gen<string> score = Gen.Elements("0", "1", "-1.5", "inf", "-inf", "1e100", "0.1", "3");
        Gen<string[]> command =
            from k in key
            from a in word
            from b in word
            from s in score
            from what in Gen.Choose(0, 15)
            select (string[])(what switch
            {
                0 => ["SET", k, a],
                1 => ["APPEND", k, a],
                2 => ["RPUSH", k, a, b],
                3 => ["LPUSH", k, a],
                4 => ["SADD", k, a, b],
                5 => ["ZADD", k, s, a],
                6 => ["HSET", k, a, b],
                7 => ["HSET", k, b, a, a, b],
                8 => ["XADD", k, "*", $"f{a}", b],
                9 => ["XADD", k, "*", "f", a],
                10 => ["PEXPIREAT", k, (4102444800000L + a.Length).ToString(CultureInfo.InvariantCulture)],
                11 => ["DEL", k],
                12 => ["LPOP", k],
                13 => ["HPEXPIREAT", k, "4102444800000", "FIELDS", "1", a],
                14 => ["XGROUP", "CREATE", k, $"g{a}", "0"],
                _ => ["ZADD", k, s, a, "2", b],
            });
        return from database in Gen.Frequency((3, Gen.Constant(0)), (1, Gen.Choose(0, 15))) from words in command select (database, words);
    }

    private sealed class Trickle(byte[] bytes) : MemoryStream(bytes)
    {
        public override bool CanSeek => false;

        public override int Read(byte[] buffer, int offset, int count) => base.Read(buffer, offset, Math.Min(count, 999));
    }
}
