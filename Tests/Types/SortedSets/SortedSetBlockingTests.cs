using OrleansRedis.Tests.Harness;
using Xunit;

namespace OrleansRedis.Tests.Types.SortedSets;

/// <summary>BZPOPMIN, BZPOPMAX and BZMPOP in the engine.</summary>
public class SortedSetBlockingTests
{
    private static Task<object?> Begin(EngineHarness redis, params string[] command)
    {
        Task<object?> waiting = redis.NewClient().RunAsync(command);
        Assert.False(waiting.IsCompleted);
        return waiting;
    }

    private static async Task<string> Show(Task<object?> waiting) => Replies.Show(await waiting.WaitAsync(Eventually.Deadline));

    [Fact]
    public void What_is_there_is_popped_at_once()
    {
        using var redis = new EngineHarness();
        redis.Run("ZADD", "b", "1", "p", "2", "q", "3.5", "r", "4", "s");
        redis.TakeEffects();
        Assert.Equal("[b, p, 1]", redis.Show("BZPOPMIN a b 0"));
        Assert.Equal("*3\r\n$1\r\nb\r\n$1\r\ns\r\n,4\r\n", redis.NewClient(resp3: true).Raw("BZPOPMAX", "a", "b", "0"));
        Assert.Equal("[b, [[r, 3.5], [q, 2]]]", redis.Show("BZMPOP 0 2 a b MAX COUNT 5"));
        Assert.Equal(["ZPOPMIN b", "ZPOPMAX b", "ZPOPMAX b 2"], redis.TakeEffects());
        redis.Run("SET", "a", "x");
        Assert.StartsWith("-WRONGTYPE", redis.Raw("BZPOPMIN", "a", "b", "0"));
    }

    [Fact]
    public async Task Waiters_are_served_by_every_way_a_sorted_set_appears()
    {
        using var redis = new EngineHarness();
        Task<object?> first = Begin(redis, "BZPOPMIN", "k", "0"), second = Begin(redis, "BZMPOP", "0", "2", "j", "k", "MAX");
        redis.Run("ZADD", "k", "1", "a", "2", "b");
        Assert.Equal("[k, a, 1]", await Show(first));
        Assert.Equal("[k, [[b, 2]]]", await Show(second));
        Assert.Equal(["ZADD k 1 a 2 b", "ZPOPMIN k", "ZPOPMAX k 1"], redis.TakeEffects());

        redis.Run("ZADD", "{k}source", "7", "x");
        Task<object?> third = Begin(redis, "BZPOPMAX", "k", "0");
        redis.Run("ZUNIONSTORE", "k", "1", "{k}source");
        Assert.Equal("[k, x, 7]", await Show(third));
        Task<object?> fourth = Begin(redis, "BZPOPMAX", "k", "0");
        redis.Run("RENAME", "{k}source", "k");
        Assert.Equal("[k, x, 7]", await Show(fourth));
        Task<object?> fifth = Begin(redis, "BZPOPMIN", "k", "0");
        redis.Run("LPUSH", "k", "a list does not count");
        redis.Run("DEL", "k");
        redis.Run("GEOADD", "k", "0", "0", "origin");
        Assert.Equal("[k, origin, 3377699720527872]", await Show(fifth));
    }

    [Fact]
    public async Task A_wait_ends_at_its_timeout()
    {
        using var redis = new EngineHarness();
        Task<object?> waiting = Begin(redis, "BZMPOP", "0.5", "1", "k", "MIN");
        redis.Time.Advance(501);
        Assert.Equal("(nil)", await Show(waiting));
        Assert.Equal("-ERR timeout is negative", redis.Show("BZPOPMIN k -1"));
        Assert.Equal("-ERR timeout is not a float or out of range", redis.Show("BZPOPMIN k x"));
        Assert.Equal("-ERR numkeys should be greater than 0", redis.Show("BZMPOP x 0 k MIN"));
        Assert.Equal("-ERR timeout is not a float or out of range", redis.Show("BZMPOP x 1 k MIN"));
    }
}
