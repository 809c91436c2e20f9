using FsCheck;
using FsCheck.Fluent;
using OrleansRedis.Tests.Harness;
using Xunit;

namespace OrleansRedis.Tests.Types.Sets;

public class SetAlgebraTests
{
    /// <summary>Sets in all representations, of sizes up to some hundreds, with members in common.</summary>
    private static Gen<string[]> Members() =>
        from kind in Gen.Choose(0, 3)
        from size in Gen.Frequency((3, Gen.Choose(0, 10)), (2, Gen.Choose(0, 140)), (1, Gen.Choose(100, 700)))
        from numbers in Gen.Choose(0, size * 2).ArrayOf(size)
        select numbers.Select(number => kind switch
        {
            0 => number.ToString(),
            1 => $"m{number}",
            2 => number % 2 == 0 ? number.ToString() : $"m{number}",
            _ => (number * 100_000L).ToString()
        }).ToArray();

    [Fact]
    public void Agrees_with_sets_of_the_language()
    {
        Gen<string[][]> sets = from count in Gen.Choose(1, 6) from members in Members().ArrayOf(count) select members;
        using EngineHarness redis = new(), copy = new();
        Prop.ForAll(sets.ToArbitrary(), members =>
        {
            foreach (bool oneSlot in new[] { true, false })
            {
                redis.Run("FLUSHALL");
                copy.Run("FLUSHALL");
                redis.TakeEffects();
                string[] keys = [.. members.Select((_, i) => oneSlot ? $"{{t}}{i}" : $"k{i}")];
                for (int i = 0; i < keys.Length; i++)
                {
                    if (members[i].Length > 0) redis.Run(["SADD", keys[i], .. members[i]]);
                }
                string into = oneSlot ? "{t}d" : "d";
                redis.Run("SADD", into, "old");
                Check(redis, copy, "SINTER", keys, into, members.Skip(1).Aggregate(members[0].ToHashSet(), (all, next) => [.. all.Intersect(next)]));
                Check(redis, copy, "SUNION", keys, into, [.. members.SelectMany(m => m)]);
                Check(redis, copy, "SDIFF", keys, into, members.Skip(1).Aggregate(members[0].ToHashSet(), (all, next) => [.. all.Except(next)]));
            }
        }).Check();
    }

    private static void Check(EngineHarness redis, EngineHarness copy, string name, string[] keys, string into, HashSet<string> expected)
    {
        string[] sorted = [.. expected.Order(StringComparer.Ordinal)];
        Assert.Equal(sorted, Sorted(redis.Run([name, .. keys])));
        if (name == "SINTER")
        {
            Assert.Equal((long)expected.Count, redis.Run(["SINTERCARD", $"{keys.Length}", .. keys]));
            Assert.Equal((long)Math.Min(3, expected.Count), redis.Run(["SINTERCARD", $"{keys.Length}", .. keys, "LIMIT", "3"]));
        }
        Assert.Equal((long)expected.Count, redis.Run([name + "STORE", into, .. keys]));
        Assert.Equal(sorted, Sorted(redis.Run("SMEMBERS", into)));
        if (expected.Count > 0)
        {
            bool integers = expected.All(member => long.TryParse(member, out _));
            Assert.Equal(integers && expected.Count <= 512 ? "intset" : expected.Count <= 128 ? "listpack" : "hashtable", SetTests.Encoding(redis, into));
        }
        redis.ReplayInto(copy);
        redis.TakeEffects();
        Assert.Equal(sorted, Sorted(copy.Run("SMEMBERS", into)));
    }

    private static string[] Sorted(object? reply) => [.. ((object?[])reply!).Select(member => (string)member!).Order(StringComparer.Ordinal)];

    [Fact]
    public void A_set_filled_in_the_order_of_another_is_not_slow()
    {
        // Members added in hash order to a table that is still growing would all be put at its low end, and this would
        // take minutes.
        var first = new OrleansRedis.Engine.SetValue("a"u8.ToArray(), 0);
        for (int i = 0; i < 300_000; i++) first.Add(BitConverter.GetBytes(i));
        var second = new OrleansRedis.Engine.SetValue("b"u8.ToArray(), 0);
        foreach (OrleansRedis.Engine.StoredMember member in first.Members) second.Add(member.Key);
        Assert.Equal(300_000, second.Count);
    }

    [Fact]
    public void Store_replaces_whatever_was_there()
    {
        using var redis = new EngineHarness();
        redis.Show("SET d v PX 1000");
        redis.Show("SADD a 1 2 3");
        redis.Show("SADD b 2 3 4");
        redis.TakeEffects();
        redis.TakeEvents();
        Assert.Equal("2", redis.Show("SINTERSTORE d a b"));
        Assert.Equal(["DEL d", "SADD d 2 3"], redis.TakeEffects());
        Assert.Equal(["sinterstore d"], redis.TakeEvents());
        redis.Time.Advance(2000);
        Assert.Equal("[2, 3]", redis.Show("SMEMBERS d"));
        Assert.Equal("0", redis.Show("SINTERSTORE d a none"));
        Assert.Equal(["DEL d"], redis.TakeEffects());
        Assert.Equal(["del d"], redis.TakeEvents());
        Assert.Equal("0", redis.Show("SDIFFSTORE d none a"));
        Assert.Empty(redis.TakeEffects());
        Assert.Equal("4", redis.Show("SUNIONSTORE a a b"));
        Assert.Equal("[1, 2, 3, 4]", redis.Show("SMEMBERS a"));
        redis.TakeEffects();
        redis.Show("SADD {t}a x");
        redis.Show("SUNIONSTORE {t}b {t}a");
        Assert.Equal(["SADD {t}a x", "SUNIONSTORE {t}b {t}a"], redis.TakeEffects());
    }

    [Fact]
    public void Sintercard_checks_its_arguments()
    {
        using var redis = new EngineHarness();
        Assert.Equal("-ERR numkeys should be greater than 0", redis.Show("SINTERCARD 0 a"));
        Assert.Equal("-ERR numkeys should be greater than 0", redis.Show("SINTERCARD x a"));
        Assert.Equal("-ERR Number of keys can't be greater than number of args", redis.Show("SINTERCARD 2 a"));
        Assert.Equal("-ERR syntax error", redis.Show("SINTERCARD 1 a b"));
        Assert.Equal("-ERR syntax error", redis.Show("SINTERCARD 1 a LIMIT"));
        Assert.Equal("-ERR LIMIT can't be negative", redis.Show("SINTERCARD 1 a LIMIT -1"));
        Assert.Equal("-ERR LIMIT can't be negative", redis.Show("SINTERCARD 1 a LIMIT x"));
        redis.Show("SADD a 1 2 3");
        Assert.Equal("3", redis.Show("SINTERCARD 1 a LIMIT 0"));
        Assert.Equal("2", redis.Show("SINTERCARD 1 a LIMIT 2"));
    }

    [Fact]
    public void Replies_are_sets()
    {
        using var redis = new EngineHarness();
        EngineClient three = redis.NewClient(resp3: true);
        Assert.Equal("~0\r\n", three.Raw("SINTER", "none", "none2"));
        Assert.Equal("~0\r\n", three.Raw("SDIFF", "none"));
        Assert.Equal("~0\r\n", three.Raw("SUNION", "none"));
        redis.Show("SADD a 1");
        Assert.Equal("~1\r\n$1\r\n1\r\n", three.Raw("SINTER", "a"));
        Assert.Equal("~1\r\n$1\r\n1\r\n", three.Raw("SUNION", "a", "none"));
    }
}
