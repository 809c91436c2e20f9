using Xunit;

namespace OrleansRedis.Tests.Types.Sets;

public class SetRandomTests
{
    public static TheoryData<string[]> Representations() => new()
    {
        Enumerable.Range(0, 100).Select(i => $"{i}").ToArray(),
        Enumerable.Range(0, 100).Select(i => $"m{i}").ToArray(),
        Enumerable.Range(0, 300).Select(i => $"m{i}").ToArray(),
    };

    [Theory, MemberData(nameof(Representations))]
    public void Every_member_is_as_likely_as_every_other(string[] members)
    {
        using var redis = new EngineHarness();
        redis.Run(["SADD", "s", .. members]);
        foreach (int count in new[] { -50, 5, members.Length / 2, 1 })
        {
            var times = members.ToDictionary(member => member, _ => 0);
            int draws = 0;
            while (draws < members.Length * 100)
            {
                foreach (object? member in (object?[])redis.Run("SRANDMEMBER", "s", $"{count}")!)
                {
                    times[(string)member!]++;
                    draws++;
                }
            }
            // Chi-square, with about as many degrees of freedom as members: at most six standard deviations above its
            // mean.
            double expected = (double)draws / members.Length, chi = times.Values.Sum(n => (n - expected) * (n - expected) / expected);
            Assert.InRange(chi, 0, members.Length + (6 * Math.Sqrt(2 * members.Length)));
        }
    }

    [Theory, MemberData(nameof(Representations))]
    public void Counts_are_kept(string[] members)
    {
        using var redis = new EngineHarness();
        redis.Run(["SADD", "s", .. members]);
        foreach (int count in new[] { 0, 1, 2, 30, 60, 99, 100, 299, 300, 1000 })
        {
            string[] drawn = [.. ((object?[])redis.Run("SRANDMEMBER", "s", $"{count}")!).Select(member => (string)member!)];
            Assert.Equal(Math.Min(count, members.Length), drawn.Length);
            Assert.Equal(drawn.Length, drawn.Distinct().Count());
            Assert.Equal(count, ((object?[])redis.Run("SRANDMEMBER", "s", $"{-count}")!).Length);
        }
        Assert.Contains((string)redis.Run("SRANDMEMBER", "s")!, members);
    }

    [Theory, MemberData(nameof(Representations))]
    public void Spop_removes_what_it_replies_and_says_so_as_srem(string[] members)
    {
        using var redis = new EngineHarness();
        redis.Run(["SADD", "s", .. members]);
        redis.TakeEffects();
        redis.TakeEvents();
        var left = members.ToHashSet();
        string one = (string)redis.Run("SPOP", "s")!;
        Assert.True(left.Remove(one));
        Assert.Equal([$"SREM s {one}"], redis.TakeEffects());
        foreach (int count in new[] { 1, 20, 60 })
        {
            string[] popped = [.. ((object?[])redis.Run("SPOP", "s", $"{count}")!).Select(member => (string)member!)];
            Assert.Equal(count, popped.Length);
            foreach (string member in popped) Assert.True(left.Remove(member));
            Assert.Equal(["SREM s " + string.Join(' ', popped)], redis.TakeEffects());
            Assert.Equal((long)left.Count, redis.Run("SCARD", "s"));
        }
        Assert.Equal(left.Count, ((object?[])redis.Run("SPOP", "s", "1000")!).Length);
        Assert.Equal(["DEL s"], redis.TakeEffects());
        Assert.Equal(["spop s", "spop s", "spop s", "spop s", "spop s", "del s"], redis.TakeEvents());
        Assert.Null(redis.Run("SPOP", "s"));
    }

    [Fact]
    public void Popping_the_last_member_one_by_one_removes_the_key()
    {
        using var redis = new EngineHarness();
        redis.Show("SADD s a");
        redis.TakeEvents();
        Assert.Equal("a", redis.Show("SPOP s"));
        Assert.Equal(["spop s", "del s"], redis.TakeEvents());
        Assert.Equal(["SADD s a", "SREM s a"], redis.TakeEffects());
        Assert.Equal(0, redis.Store.Slots.KeyCount(0));
    }

    [Fact]
    public void A_large_pop_is_logged_in_pieces()
    {
        using var redis = new EngineHarness();
        redis.Run(["SADD", "s", .. Enumerable.Range(0, 5000).Select(i => $"m{i}")]);
        redis.TakeEffects();
        redis.Run("SPOP", "s", "3000");
        Assert.Equal([1026, 1026, 954], redis.Effects.Select(effect => effect.Words.Length));
        Assert.Equal("2000", redis.Show("SCARD s"));
    }

    [Fact]
    public void Arguments_are_checked()
    {
        using var redis = new EngineHarness();
        Assert.Equal("-ERR syntax error", redis.Show("SPOP s 1 2"));
        Assert.Equal("-ERR value is out of range, must be positive", redis.Show("SPOP s -1"));
        Assert.Equal("-ERR value is out of range, must be positive", redis.Show("SPOP s x"));
        Assert.Equal("-ERR syntax error", redis.Show("SRANDMEMBER s 1 2"));
        Assert.Equal("-ERR value is not an integer or out of range", redis.Show("SRANDMEMBER s x"));
        Assert.Equal("-ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807",
            redis.Show("SRANDMEMBER s -9223372036854775808"));
        Assert.Equal("*0\r\n", redis.Raw("SRANDMEMBER", "s", "3"));
        Assert.Equal("$-1\r\n", redis.Raw("SRANDMEMBER", "s"));
        Assert.Equal("~0\r\n", redis.NewClient(resp3: true).Raw("SPOP", "s", "3"));
        Assert.Equal("*0\r\n", redis.NewClient(resp3: true).Raw("SRANDMEMBER", "s", "3"));
    }
}
