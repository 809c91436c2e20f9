using OrleansRedis.Tests.Harness;
using Xunit;

namespace OrleansRedis.Tests;

[Trait("Needs", "servers")]
public class SortBesideRedisTests
{
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public async Task Random_sorts_reply_as_redis_does(int seed)
    {
        await using SideBySide both = await SideBySide.StartAsync();
        var random = TestSeed.Random(seed);
        // A set's own order is not defined, so nothing that depends on it is asked for.
        foreach (string key in (string[])["list", "zset", "set"])
        {
            string[] members = [.. Enumerable.Range(0, 60).Select(_ => Element(random)).Distinct()];
            both.Same(key switch
            {
                "list" => ["RPUSH", key, .. members, .. members[..5]],
                "set" => ["SADD", key, .. members],
                _ => (string[])["ZADD", key, .. members.SelectMany(member => new[] { $"{random.Next(20)}", member })]
            });
            foreach (string member in members)
            {
                if (random.Next(4) != 0) both.Same("SET", $"w_{member}", $"{random.Next(10)}");
                if (random.Next(4) != 0) both.Same("HSET", $"h_{member}", "weight", $"{random.NextDouble()}", "name", Element(random));
            }
        }
        for (int i = 0; i < 600; i++)
        {
            string key = random.Next(3) switch { 0 => "list", 1 => "zset", _ => "set" };
            var words = new List<string> { random.Next(6) == 0 ? "SORT_RO" : "SORT", key };
            string[] bys = ["w_*", "h_*->weight", "h_*->name", "missing_*", "nosort"];
            bool stores = words[0] == "SORT" && random.Next(4) == 0, unordered = false;
            if (random.Next(2) == 0)
            {
                string by = bys[random.Next(5)];
                words.AddRange(["BY", by]);
                unordered = by == "nosort" && key == "set" && !stores;
                // With equal texts the order depends on the algorithm.
                if (by == "h_*->name") words.AddRange(["GET", by]);
            }
            if (random.Next(2) == 0) words.Add("ALPHA");
            if (words.Contains("ALPHA") && words.Contains("BY") && words[3] is not "nosort") continue;
            if (random.Next(2) == 0) words.AddRange(["LIMIT", $"{random.Next(-5, 70)}", $"{random.Next(-2, 70)}"]);
            if (random.Next(2) == 0) words.Add(random.Next(2) == 0 ? "DESC" : "ASC");
            for (int gets = random.Next(3); gets > 0; gets--)
                words.AddRange(["GET", random.Next(4) switch { 0 => "#", 1 => "w_*", 2 => "h_*->name", _ => "constant" }]);
            if (unordered) continue;
            if (stores) words.AddRange(["STORE", "target"]);
            both.Same([.. words]);
            if (stores) both.Same("LRANGE", "target", "0", "-1");
        }
    }

    [Fact]
    public async Task Wrong_arguments_get_the_errors_of_redis()
    {
        await using SideBySide both = await SideBySide.StartAsync();
        both.Same("RPUSH", "l", "3", "a", "1");
        both.Same("RPUSH", "n", "3", "", "nan", "inf", "0x10");
        both.Same("RPUSH", "ok", "3", "", "-inf", "inf", "0x10", "1e3", " 7");
        both.Same("SET", "s", "x");
        foreach (string line in (string[])
            [
                "SORT l", "SORT n", "SORT ok", "SORT s", "SORT none", "SORT none STORE target", "SORT l LIMIT 0", "SORT l LIMIT x 1", "SORT l FOO", "SORT l BY",
                "SORT l GET", "SORT_RO l STORE t",
                "SORT l ALPHA STORE target", "SORT none STORE target", "EXISTS target", "SORT l ALPHA STORE l", "LRANGE l 0 -1",
                "SORT l BY nosort GET # GET x*y GET x*->", "SORT l LIMIT 1 1 ALPHA",
            ])
            both.Same(line);
    }

    [Fact]
    public void A_stored_sort_gives_its_result_as_the_effect()
    {
        using var redis = new EngineHarness();
        redis.Run("RPUSH", "l", "3", "1", "2");
        redis.Run("SET", "w_1", "9");
        redis.Run("SORT", "l", "BY", "w_*", "STORE", "target");
        using EngineHarness copy = redis.Replay();
        Assert.Equal("[2, 3, 1]", copy.Show("LRANGE target 0 -1"));
    }

    private static string Element(Random random) => random.Next(3) switch
    {
        0 => $"{random.Next(-100, 100)}",
        1 => $"{random.Next(1000) / 8.0:R}",
        _ => $"{random.NextInt64()}",
    };
}
