using OrleansRedis.Engine;
using Xunit;

namespace OrleansRedis.Tests.Types.SortedSets;

/// <summary>Sorted sets in the engine: what comparing replies with Redis 7.0 does not show.</summary>
public class SortedSetTests
{
    [Fact]
    public void Effects_are_the_requests_or_what_they_came_to()
    {
        using var redis = new EngineHarness();
        redis.Run("ZADD", "{k}a", "1", "x", "2", "y", "3", "z");
        redis.Run("ZADD", "{k}a", "1", "x");
        redis.Run("ZPOPMIN", "{k}a");
        redis.Run("ZMPOP", "2", "none", "{k}a", "MAX", "COUNT", "5");
        Assert.Equal(["ZADD {k}a 1 x 2 y 3 z", "ZPOPMIN {k}a", "ZPOPMAX {k}a 2"], redis.TakeEffects());
        Assert.Equal(["zadd {k}a", "zpopmin {k}a", "zpopmax {k}a", "del {k}a"], redis.TakeEvents());
    }

    [Fact]
    public void A_result_stored_in_another_slot_is_logged_there_as_its_members()
    {
        using var redis = new EngineHarness();
        redis.Run("ZADD", "a", "1", "x", "2.5", "y");
        redis.Run("ZADD", "b", "3", "x");
        redis.Run("SET", "d", "old");
        redis.TakeEffects();
        Assert.Equal("2", redis.Show("ZUNIONSTORE d 2 a b"));
        Assert.Equal(["DEL d", "ZADD d 2.5 y 4 x"], redis.TakeEffects());
        Assert.Equal("0", redis.Show("ZINTERSTORE d 2 a none"));
        Assert.Equal("0", redis.Show("ZRANGESTORE d a 5 10"));
        Assert.Equal(["DEL d"], redis.TakeEffects());
        redis.Run("ZADD", "{s}a", "1", "x");
        redis.Run("ZRANGESTORE", "{s}b", "{s}a", "0", "-1");
        Assert.Equal(["ZADD {s}a 1 x", "ZRANGESTORE {s}b {s}a 0 -1"], redis.TakeEffects());
    }

    [Fact]
    public void A_geo_result_is_logged_as_its_members_even_in_one_slot()
    {
        using var redis = new EngineHarness();
        redis.Run("GEOADD", "{g}a", "13.361389", "38.115556", "Palermo", "15.087269", "37.502669", "Catania");
        redis.TakeEffects();
        Assert.Equal("1", redis.Show("GEOSEARCHSTORE {g}b {g}a FROMLONLAT 15 37 BYRADIUS 100 km"));
        Assert.Equal(["ZADD {g}b 3479447370796909 Catania"], redis.TakeEffects());
        Assert.Equal(["geosearchstore {g}b"], redis.TakeEvents()[^1..]);
    }

    [Fact]
    public void Scores_are_spelled_with_as_few_digits_as_will_do()
    {
        using var redis = new EngineHarness();
        redis.Run("ZADD", "k", "0.1", "a", "3.3", "b", "1e300", "c", "-inf", "d",
            "123456.789012345", "e", "1e-10", "f", "4611686018427387904", "g", "1e22", "h");
        Assert.Equal("[-inf, 1e-10, 0.1, 3.3, 1.23456789012345e+5, 4611686018427387904, 1e+22, 1e+300]", redis.Show("ZMSCORE k d f a b e g h c"));
        Assert.Equal("*2\r\n$1\r\na\r\n$3\r\n0.1\r\n", redis.Raw("ZRANGE", "k", "0.1", "0.1", "BYSCORE", "WITHSCORES"));
        Assert.Equal("*1\r\n*2\r\n$1\r\na\r\n,0.1\r\n", redis.NewClient(resp3: true).Raw("ZRANGE", "k", "0.1", "0.1", "BYSCORE", "WITHSCORES"));
    }

    [Fact]
    public void Rank_comes_with_the_score_if_asked()
    {
        using var redis = new EngineHarness();
        redis.Run("ZADD", "k", "1", "a", "2.5", "b");
        Assert.Equal("*2\r\n:1\r\n$3\r\n2.5\r\n", redis.Raw("ZRANK", "k", "b", "WITHSCORE"));
        Assert.Equal("*2\r\n:0\r\n,2.5\r\n", redis.NewClient(resp3: true).Raw("ZREVRANK", "k", "b", "withscore"));
        Assert.Equal("*-1\r\n", redis.Raw("ZRANK", "k", "c", "WITHSCORE"));
        Assert.Equal("$-1\r\n", redis.Raw("ZRANK", "k", "c"));
        Assert.Equal("-ERR syntax error\r\n", redis.Raw("ZRANK", "k", "b", "WITHSCORES"));
        Assert.Equal("-ERR wrong number of arguments for 'zrank' command\r\n", redis.Raw("ZRANK", "k", "b", "WITHSCORE", "x"));
    }

    [Fact]
    public void The_encoding_changes_at_the_thresholds_and_not_back()
    {
        using var redis = new EngineHarness(options => options.ZsetMaxListpackEntries = 3);
        for (int i = 0; i < 3; i++) redis.Run("ZADD", "k", $"{i}", $"m{i}");
        Assert.Equal("listpack", redis.Run("OBJECT", "ENCODING", "k"));
        redis.Run("PEXPIRE", "k", "100000");
        redis.Run("ZADD", "k", "9", "m9");
        Assert.Equal("skiplist", redis.Run("OBJECT", "ENCODING", "k"));
        Assert.Equal("100000", redis.Show("PTTL k"));
        redis.Run("ZREMRANGEBYRANK", "k", "0", "2");
        Assert.Equal("skiplist", redis.Run("OBJECT", "ENCODING", "k"));
        redis.Run("ZADD", "long", "1", new string('x', 65));
        Assert.Equal("skiplist", redis.Run("OBJECT", "ENCODING", "long"));
        redis.Run("ZRANGESTORE", "stored", "k", "0", "-1");
        Assert.Equal("listpack", redis.Run("OBJECT", "ENCODING", "stored"));
    }

    [Theory]
    [InlineData(10)]
    [InlineData(1000)]
    public void Random_members_are_members_and_all_of_them_come_up(int size)
    {
        using var redis = new EngineHarness();
        for (int i = 0; i < size; i++) redis.Run("ZADD", "k", $"{i}", $"m{i}");
        foreach (int count in (int[])[1, size / 5, size / 2, size - 1, size, size + 5])
        {
            object?[] drawn = (object?[])redis.Run("ZRANDMEMBER", "k", $"{count}", "WITHSCORES")!;
            Assert.Equal(Math.Min(count, size) * 2, drawn.Length);
            Assert.Equal(Math.Min(count, size), drawn.Where((_, i) => i % 2 == 0).Distinct().Count());
            for (int i = 0; i < drawn.Length; i += 2) Assert.Equal($"m{drawn[i + 1]}", drawn[i]);
        }
        Assert.Equal(size * 30, ((object?[])redis.Run("ZRANDMEMBER", "k", $"-{size * 30}")!).Length);
        Assert.Equal(10, ((object?[])redis.Run("ZRANDMEMBER", "k", "-500")!).Distinct().Take(10).Count());
        Assert.Equal("-ERR value is out of range\r\n", redis.Raw("ZRANDMEMBER", "k", "-9223372036854775807", "WITHSCORES"));
    }

    [Fact]
    public void A_scan_meets_every_member_that_stays_once()
    {
        using var redis = new EngineHarness();
        for (int i = 0; i < 3000; i++) redis.Run("ZADD", "k", $"{i}", $"m{i}");
        var met = new List<string>();
        string cursor = "0";
        int round = 0;
        do
        {
            var reply = (object?[])redis.Run("ZSCAN", "k", cursor, "COUNT", "50")!;
            cursor = (string)reply[0]!;
            var members = (object?[])reply[1]!;
            for (int i = 0; i < members.Length; i += 2)
            {
                met.Add((string)members[i]!);
                if (((string)members[i]!)[0] == 'm') Assert.Equal(members[i], $"m{members[i + 1]}");
            }
            // Members come and go meanwhile, so the table grows and shrinks.
            for (int i = 0; i < 60; i++) redis.Run(round % 2 == 0 ? ["ZADD", "k", "1", $"n{i}"] : ["ZREM", "k", $"n{i}"]);
            round++;
        }
        while (cursor != "0");
        Assert.Equal(Enumerable.Range(0, 3000).Select(i => $"m{i}").Order(), met.Where(member => member[0] == 'm').Order());
    }

    [Fact]
    public void Bytes_are_counted_as_they_come_and_go()
    {
        using var redis = new EngineHarness();
        Keyspace keyspace = redis.Store.Slots[KeySlot.Of("k"u8)]!.Keyspace(0);
        for (int i = 0; i < 1000; i++) redis.Run("ZADD", "k", $"{i % 17}", $"member:{i}");
        long full = keyspace.EntryBytes;
        Assert.InRange(full, 1000 * 60, 1000 * 130);
        redis.Run("ZREMRANGEBYRANK", "k", "0", "989");
        Assert.InRange(keyspace.EntryBytes, 1, full / 10);
        redis.Run("ZPOPMAX", "k", "100");
        Assert.Equal(0, keyspace.EntryBytes);
    }
}
