using Xunit;

namespace OrleansRedis.Tests.Types.Sets;

public class SetTests
{
    [Fact]
    public void Sadd_counts_new_members_once_and_tells_of_them()
    {
        using var redis = new EngineHarness();
        Assert.Equal("3", redis.Show("SADD s a b a c"));
        Assert.Equal("1", redis.Show("SADD s c d"));
        Assert.Equal(["SADD s a b a c", "SADD s c d"], redis.TakeEffects());
        Assert.Equal(["sadd s", "sadd s"], redis.TakeEvents());
        Assert.Equal("0", redis.Show("SADD s a"));
        Assert.Empty(redis.TakeEffects());
        Assert.Empty(redis.TakeEvents());
        Assert.Equal("4", redis.Show("SCARD s"));
        Assert.Equal("[1, 0, 1]", redis.Show("SMISMEMBER s a x d"));
        Assert.Equal("[0, 0]", redis.Show("SMISMEMBER none a b"));
        Assert.Equal("0", redis.Show("SISMEMBER none a"));
        Assert.Equal("~4\r\n", redis.NewClient(resp3: true).Raw("SMEMBERS", "s")[..4]);
        Assert.Equal("*0\r\n", redis.Raw("SMEMBERS", "none"));
    }

    [Fact]
    public void Encodings_follow_the_thresholds()
    {
        using var redis = new EngineHarness(options => (options.SetMaxIntsetEntries, options.SetMaxListpackEntries, options.SetMaxListpackValue) = (4, 3, 5));
        redis.Show("SADD ints 1 2 3 4");
        Assert.Equal("intset", Encoding(redis, "ints"));
        redis.Show("SADD ints 5");
        Assert.Equal("hashtable", Encoding(redis, "ints"));
        redis.Show("SADD many 1 2 3 4 5");
        Assert.Equal("hashtable", Encoding(redis, "many"));
        redis.Show("SADD words a b c");
        Assert.Equal("listpack", Encoding(redis, "words"));
        redis.Show("SADD words d");
        Assert.Equal("hashtable", Encoding(redis, "words"));
        redis.Show("SADD long a");
        redis.Show("SADD long abcdef");
        Assert.Equal("hashtable", Encoding(redis, "long"));
        redis.Show("SADD mixed 1 2");
        redis.Show("SADD mixed a");
        Assert.Equal("listpack", Encoding(redis, "mixed"));
        redis.Show("SADD full 1 2 3");
        redis.Show("SADD full a");
        Assert.Equal("hashtable", Encoding(redis, "full"));
        redis.Show("SADD wide 1234567");
        redis.Show("SADD wide a");
        Assert.Equal("hashtable", Encoding(redis, "wide"));
        Assert.Equal("[1, 1]", redis.Show("SMISMEMBER wide 1234567 a"));
        // A table remains a table, however small the set becomes.
        redis.Show("SREM many 1 2 3 4");
        Assert.Equal("hashtable", Encoding(redis, "many"));
    }

    [Fact]
    public void No_listpacks_with_a_threshold_of_0()
    {
        using var redis = new EngineHarness(options => options.SetMaxListpackEntries = 0);
        redis.Show("SADD s a");
        Assert.Equal("hashtable", Encoding(redis, "s"));
        redis.Show("SADD i 1");
        redis.Show("SADD i a");
        Assert.Equal("hashtable", Encoding(redis, "i"));
    }

    [Fact]
    public void A_growing_set_keeps_its_expiry_and_its_count_of_bytes()
    {
        using var redis = new EngineHarness();
        redis.Show("SADD s 1");
        OrleansRedis.Engine.Slot slot = redis.Store.Slots[OrleansRedis.Engine.KeySlot.Of("s"u8)]!;
        OrleansRedis.Engine.Keyspace keyspace = slot.Keyspace(0);
        OrleansRedis.Engine.Keyspace.SetExpiry(keyspace.Find("s"u8), redis.NowMs + 1000);
        for (int i = 0; i < 700; i++)
        {
            redis.Show($"SADD s {(i < 100 ? i * i : 0)} member{i}");
            OrleansRedis.Engine.KeyEntry entry = keyspace.Find("s"u8).Found;
            Assert.Equal(redis.NowMs + 1000, entry.ExpiresAtMs);
            Assert.Equal(entry.Bytes, slot.Bytes);
        }
        for (int i = 0; i < 700; i++) redis.Show($"SREM s {i * i} member{i}");
        Assert.Equal("0", redis.Show("SCARD s"));
        Assert.Equal(0, slot.Bytes);
    }

    [Fact]
    public void The_last_srem_removes_the_key()
    {
        using var redis = new EngineHarness();
        redis.Show("SADD s 1 2");
        redis.TakeEvents();
        Assert.Equal("2", redis.Show("SREM s 2 1 2 3"));
        Assert.Equal(["srem s", "del s"], redis.TakeEvents());
        Assert.Equal("0", redis.Show("SREM s 1"));
        Assert.Equal(0, redis.Store.Slots.KeyCount(0));
    }

    [Fact]
    public void Other_types_are_refused()
    {
        using var redis = new EngineHarness();
        redis.Show("SET k v");
        redis.Show("SADD s a");
        const string wrong = "-WRONGTYPE Operation against a key holding the wrong kind of value";
        foreach (string line in new[]
        {
            "SADD k a", "SREM k a", "SMEMBERS k", "SISMEMBER k a", "SMISMEMBER k a", "SCARD k", "SMOVE k s a", "SMOVE s k a", "SPOP k", "SPOP k 2",
            "SRANDMEMBER k",
            "SRANDMEMBER k 2", "SINTER s k", "SINTER none k", "SINTERCARD 2 s k", "SINTERSTORE d none k", "SUNION s k", "SUNIONSTORE d k", "SDIFF none k",
            "SDIFFSTORE d s k", "SSCAN k 0",
        }) Assert.Equal(wrong, redis.Show(line));
    }

    [Fact]
    public void Smove_moves_between_slots_with_an_effect_in_each()
    {
        using var redis = new EngineHarness();
        redis.Show("SADD from a b");
        redis.TakeEffects();
        redis.TakeEvents();
        Assert.Equal("0", redis.Show("SMOVE from to x"));
        Assert.Equal("1", redis.Show("SMOVE from to a"));
        Assert.Equal(["SREM from a", "SADD to a"], redis.TakeEffects());
        Assert.Equal(["srem from", "sadd to"], redis.TakeEvents());
        redis.Show("SADD to b");
        Assert.Equal("1", redis.Show("SMOVE from to b"));
        Assert.Equal(["SADD to b", "SREM from b"], redis.TakeEffects());
        Assert.Equal(["sadd to", "srem from", "del from"], redis.TakeEvents());
        Assert.Equal("0", redis.Show("SMOVE from to b"));
        Assert.Equal("1", redis.Show("SMOVE to to b"));
        Assert.Equal("0", redis.Show("SMOVE to to x"));
        Assert.Empty(redis.TakeEffects());
        redis.Show("SADD {t}1 a");
        redis.Show("SMOVE {t}1 {t}2 a");
        Assert.Equal(["SADD {t}1 a", "SMOVE {t}1 {t}2 a"], redis.TakeEffects());
    }

    [Fact]
    public void Sscan_meets_every_member()
    {
        using var redis = new EngineHarness();
        Assert.Equal("[0, []]", redis.Show("SSCAN none 0"));
        Assert.Equal("-ERR invalid cursor", redis.Show("SSCAN none x"));
        redis.Show("SADD small a b 1");
        Assert.Equal("[0, [a, b, 1]]", redis.Show("SSCAN small 0 COUNT 1"));
        Assert.Equal("[0, [b]]", redis.Show("SSCAN small 0 MATCH b"));
        Assert.Equal("-ERR syntax error", redis.Show("SSCAN small 0 COUNT 0"));
        Assert.Equal("-ERR value is not an integer or out of range", redis.Show("SSCAN small 0 COUNT x"));
        Assert.Equal("-ERR syntax error", redis.Show("SSCAN small 0 MATCH"));
        Assert.Equal("-ERR syntax error", redis.Show("SSCAN small 0 TYPE set"));
        Assert.Equal("-ERR NOVALUES option can only be used in HSCAN", redis.Show("SSCAN small 0 NOVALUES"));
        for (int i = 0; i < 1000; i++) redis.Show($"SADD large m{i}");
        var met = new HashSet<string>();
        string cursor = "0";
        int calls = 0;
        do
        {
            var reply = (object?[])redis.Run("SSCAN", "large", cursor, "COUNT", "50")!;
            cursor = (string)reply[0]!;
            foreach (object? member in (object?[])reply[1]!) met.Add((string)member!);
            calls++;
        }
        while (cursor != "0");
        Assert.Equal(1000, met.Count);
        Assert.InRange(calls, 10, 40);
        Assert.Equal("[0, [m500]]", Scanned(redis, "m500"));
    }

    private static string Scanned(EngineHarness redis, string pattern)
    {
        var reply = (object?[])redis.Run("SSCAN", "large", "0", "COUNT", "100000", "MATCH", pattern)!;
        return Replies.Show(reply);
    }

    internal static string Encoding(EngineHarness redis, string key)
    {
        byte[] bytes = System.Text.Encoding.Latin1.GetBytes(key);
        return redis.Store.Slots[OrleansRedis.Engine.KeySlot.Of(bytes)]!.Keyspace(0).Find(bytes).Found.Encoding;
    }
}
