using OrleansRedis.Tests.Harness;
using Xunit;

namespace OrleansRedis.Tests;

/// <summary>What INFO says about keys, beside what the keys themselves say.</summary>
public sealed class KeyCountTests
{
    [Theory, InlineData(true), InlineData(false)]
    public void Times_of_expiry_and_hashes_with_expiring_fields_are_counted_whatever_happens_to_them(bool tables)
    {
        using var redis = new EngineHarness(options => options.HashMaxListpackEntries = tables ? 0 : 3);
        Random random = TestSeed.Random(tables ? 1 : 0);
        string dump = redis.Raw("DUMP", "none");
        for (int i = 0; i < 3000; i++)
        {
            string key = Key(), other = Key(), field = Field();
            string[] line = random.Next(28) switch
            {
                0 or 1 or 2 or 3 => ["HSET", key, field, Word(), Field(), Word()],
                4 or 5 or 6 or 7 => ["HPEXPIRE", key, Ms(), "FIELDS", "2", field, Field()],
                8 => ["HPEXPIRE", key, "0", "FIELDS", "1", field],
                9 or 10 => ["HPERSIST", key, "FIELDS", "2", field, Field()],
                11 => ["HDEL", key, field, Field()],
                12 => ["HSETEX", key, "PX", Ms(), "FIELDS", "1", field, Word()],
                13 => ["HGETEX", key, random.Next(2) == 0 ? "PERSIST" : "KEEPTTL", "FIELDS", "1", field],
                14 => ["HGETDEL", key, "FIELDS", "1", field],
                15 => ["HINCRBY", key, field, "1"],
                16 => ["SET", key, Word(), "PX", Ms()],
                17 => ["SET", key, Word()],
                18 => ["PEXPIRE", key, Ms()],
                19 => ["PERSIST", key],
                20 => ["RENAME", key, other],
                21 => ["COPY", key, other, "REPLACE"],
                22 => ["MOVE", key, "1"],
                23 => ["SELECT", random.Next(2) == 0 ? "0" : "1"],
                24 => random.Next(10) == 0 ? ["SWAPDB", "0", "1"] : random.Next(20) == 0 ? ["FLUSHDB"] : ["DEL", key],
                25 => ["SET", key, Word(), "KEEPTTL"],
                26 => ["RESTORE", other, random.Next(2) == 0 ? "0" : Ms(), dump, "REPLACE"],
                _ => ["HSETNX", key, field, Word()],
            };
            redis.Run(line);
            if (random.Next(5) == 0) redis.Time.Advance(random.Next(40));
            if (redis.Raw("DUMP", key) is ['$', not '-', ..] reply) dump = reply[(reply.IndexOf('\n') + 1)..^2];
            if (i % 10 == 0) Check(redis, string.Join(' ', line));
        }

        string Key() => $"k{random.Next(6)}";

        string Field() => $"f{random.Next(4)}";

        string Word() => new('x', random.Next(30));

        string Ms() => $"{1 + random.Next(100)}";
    }

    [Fact]
    public void Times_of_expiry_at_the_end_of_the_world_do_not_overflow_the_sum()
    {
        using var redis = new EngineHarness();
        for (int i = 0; i < 1000; i++) redis.Run("SET", $"{{slot}}{i}", "x", "PXAT", "9223372036854775806");
        (long meanTtlMs, _, _) = redis.Store.Slots.SumKeys(0, redis.NowMs);
        Assert.InRange(meanTtlMs, 1L << 45, 1L << 46);
        for (int i = 0; i < 1000; i++) redis.Run("PEXPIRE", $"{{slot}}{i}", "5000");
        (meanTtlMs, _, _) = redis.Store.Slots.SumKeys(0, redis.NowMs);
        Assert.Equal(5000, meanTtlMs);
    }

    [Fact]
    public async Task Watched_and_awaited_keys_are_counted_once_however_many_watch_them()
    {
        using var redis = new EngineHarness();
        EngineClient a = redis.NewClient(), b = redis.NewClient(), c = redis.NewClient(), d = redis.NewClient();
        Assert.Equal((0, 0, 0), redis.Store.Slots.SumWatchers());
        a.Run("WATCH", "k", "l", "k");
        b.Run("WATCH", "k");
        redis.Run("XGROUP", "CREATE", "s", "g", "$", "MKSTREAM");
        Task<object?> first = c.RunAsync("BLPOP", "k", "list", "0"), second = d.RunAsync("BLPOP", "list", "100");
        EngineClient e = redis.NewClient(), f = redis.NewClient();
        Task<object?> reader = e.RunAsync("XREADGROUP", "GROUP", "g", "x", "BLOCK", "0", "STREAMS", "s", ">");
        Task<object?> another = f.RunAsync("XREADGROUP", "GROUP", "g", "y", "BLOCK", "0", "STREAMS", "s", ">");
        Assert.Equal((2, 3, 1), redis.Store.Slots.SumWatchers());
        Assert.False(c.Session.Blocked!.HasDeadline);
        Assert.True(d.Session.Blocked!.HasDeadline);
        b.Run("UNWATCH");
        Assert.Equal((2, 3, 1), redis.Store.Slots.SumWatchers());
        a.Run("UNWATCH");
        Assert.Equal((0, 3, 1), redis.Store.Slots.SumWatchers());
        redis.Run("RPUSH", "list", "1");
        await first.WaitAsync(Eventually.Deadline);
        Assert.Equal((0, 2, 1), redis.Store.Slots.SumWatchers());
        redis.Run("DEL", "s");
        await Task.WhenAll(reader, another).WaitAsync(Eventually.Deadline);
        redis.Run("RPUSH", "list", "1");
        await second.WaitAsync(Eventually.Deadline);
        Assert.Equal((0, 0, 0), redis.Store.Slots.SumWatchers());
    }

    private static void Check(EngineHarness redis, string after)
    {
        long database = redis.Client.Session.Database;
        for (int number = 0; number < 2; number++)
        {
            redis.Run("SELECT", $"{number}");
            for (int i = 0; i < 6; i++) redis.Run("EXISTS", $"k{i}"); // whoever has expired is gone now
            var times = new List<long>();
            int withFields = 0;
            foreach (string key in ((object?[])redis.Run("KEYS", "*")!).Cast<string>())
            {
                if (redis.Run("PEXPIRETIME", key) is long time and > 0) times.Add(time);
                if (redis.Run("TYPE", key) is not "hash") continue;
                if (((object?[])redis.Run("HPTTL", key, "FIELDS", "4", "f0", "f1", "f2", "f3")!).Any(ttl => ttl is long and > 0)) withFields++;
            }
            (long meanTtlMs, long withExpiringFields, long tableBytes) = redis.Store.Slots.SumKeys(number, redis.NowMs);
            long mean = times.Count == 0 ? 0 : (times.Sum() / times.Count) - redis.NowMs;
            Assert.True((mean, withFields) == (meanTtlMs, withExpiringFields),
                $"After {after} database {number} has {withFields} hashes with expiring fields and {mean} ms left, "
                + $"but counts {withExpiringFields} and {meanTtlMs}.");
            Assert.True(tableBytes > 0 || times.Count == 0);
        }
        redis.Run("SELECT", $"{database}");
    }
}
