using OrleansRedis.Engine;
using OrleansRedis.Tests.Harness;
using Xunit;

namespace OrleansRedis.Tests;

/// <summary>
/// Commands on very many elements hold the slots of their keys and nothing else, and hold up no other client.
/// </summary>
public class LongCommandTests
{
    private const int Many = Store.MostElementsOnTheSpot + 1;

    [Theory]
    [InlineData("SUNIONSTORE dst big small", "60001")]
    [InlineData("SUNIONSTORE {big}dst big", "50001")]
    [InlineData("SDIFFSTORE dst big small", "50000")]
    [InlineData("SINTERSTORE dst big bigger", "50001")]
    [InlineData("SINTERCARD 2 big bigger", "50001")]
    [InlineData("ZUNIONSTORE dst 2 big small", "60001")]
    [InlineData("ZINTERCARD 2 big bigger", "50001")]
    [InlineData("SORT big STORE dst", "50001")]
    [InlineData("SORT big BY w_* LIMIT 0 10 STORE dst", "10")]
    public void What_takes_long_is_not_done_on_the_spot_and_does_the_same(string line, string reply)
    {
        using var redis = new EngineHarness();
        Fill(redis, "big", 0, Many);
        Fill(redis, "bigger", 0, Many + 1);
        Fill(redis, "small", 50_000, 10_001);
        redis.Run("SET", "dst", "old");
        string[] words = line.Split(' ');
        Assert.Equal(Outcome.Long, redis.Client.Try(words));
        Assert.Equal(reply, redis.Show(line).TrimStart(':'));
        using EngineHarness copy = redis.Replay();
        foreach (string key in (string[])["dst", "{big}dst"])
            Assert.Equal(DigestOf(redis, key), DigestOf(copy, key));
    }

    [Theory]
    [InlineData("SUNIONSTORE dst small small")]
    [InlineData("SINTER big small")]
    [InlineData("SINTERSTORE big small missing")]
    [InlineData("SMEMBERS small")]
    [InlineData("KEYS *")]
    public void What_is_small_is_done_on_the_spot(string line)
    {
        using var redis = new EngineHarness();
        Fill(redis, "big", 0, Many);
        Fill(redis, "small", 0, 1000);
        Assert.Equal(Outcome.Done, redis.Client.Try(line.Split(' ')));
    }

    [Fact]
    public void Long_strings_take_long_too()
    {
        using var redis = new EngineHarness();
        redis.Run("SETRANGE", "a", "10000000", "x");
        redis.Run("SET", "b", new string('b', 2000));
        redis.Run("SET", "c", new string('b', 1000));
        Assert.Equal(Outcome.Long, redis.Client.Try("BITOP", "OR", "dst", "a", "b"));
        Assert.Equal("10000001", redis.Show("BITOP OR dst a b").TrimStart(':'));
        Assert.Equal(Outcome.Done, redis.Client.Try("BITOP", "OR", "dst", "b", "b"));
        Assert.Equal(Outcome.Long, redis.Client.Try("LCS", "b", "b", "LEN"));
        Assert.Equal("2000", redis.Show("LCS b b LEN").TrimStart(':'));
        Assert.Equal(Outcome.Done, redis.Client.Try("LCS", "c", "c"));
        Assert.Equal(Outcome.Done, redis.Client.Try("LCS", "a", "missing"));
    }

    [Fact]
    public void A_transaction_is_as_long_as_what_it_holds()
    {
        using var redis = new EngineHarness();
        Fill(redis, "big", 0, Many);
        redis.Run("MULTI");
        redis.Run("SET", "elsewhere", "v");
        redis.Run("SUNIONSTORE", "dst", "big");
        redis.Run("GET", "elsewhere");
        Assert.Equal(Outcome.Long, redis.Client.Try("EXEC"));
        Assert.Equal($"[OK, {Many}, v]", redis.Show("EXEC"));
        redis.Run("MULTI");
        redis.Run("SCARD", "dst");
        Assert.Equal(Outcome.Done, redis.Client.Try("EXEC"));
    }

    [Fact]
    public void KEYS_of_a_large_database_goes_from_slot_to_slot()
    {
        using var redis = new EngineHarness();
        for (int i = 0; i < Many; i++) redis.Client.Try("SET", $"key:{i}", "v");
        Assert.Equal(Outcome.Long, redis.Client.Try("KEYS", "*"));
        Assert.Equal(Outcome.Done, redis.Client.Try("KEYS", "{one}*"));
        Assert.Equal(Many, ((object?[])redis.Run("KEYS", "*")!).Length);
    }

    [Fact]
    public async Task Others_run_meanwhile_and_only_the_slots_of_its_keys_are_taken()
    {
        using var redis = new EngineHarness();
        Fill(redis, "{a}big", 0, Many);
        redis.Run("SET", "elsewhere", "1");
        var pausing = new PausingConsumer();
        redis.Store.Effects.KeyEvents = pausing;
        Task<object?> union = Task.Run(() => redis.NewClient().RunAsync("SUNIONSTORE", "dst", "{a}big", "{b}missing"));
        await pausing.Entered.Task.WaitAsync(Eventually.Deadline);

        EngineClient other = redis.NewClient();
        // It takes several slots, although another command holds several too.
        Assert.Equal("OK", other.Run("MSET", "elsewhere", "2", "x", "3"));
        Assert.Equal(Outcome.Busy, other.Try("GET", "dst"));
        Assert.Equal(Outcome.Busy, other.Try("GET", "{b}missing"));
        Assert.Equal(Outcome.Busy, other.Try("SCAN", "0", "COUNT", "100000"));
        // A command that needs all slots waits, and lets the others go on.
        Task<object?> flush = Task.Run(() => redis.NewClient().RunAsync("FLUSHALL"));
        for (int i = 0; i < 1000; i++) Assert.Equal("2", other.Run("GET", "elsewhere"));
        Assert.False(flush.IsCompleted);

        pausing.GoOn.SetResult();
        Assert.Equal((long)Many, await union);
        Assert.Equal("OK", await flush);
        Assert.Equal(0L, redis.Run("DBSIZE"));
    }

    private static string DigestOf(EngineHarness redis, string key)
    {
        byte[] bytes = System.Text.Encoding.ASCII.GetBytes(key);
        return KeyspaceDigest.OfKey(redis.Store.Slots[KeySlot.Of(bytes)], bytes, 0);
    }

    private static void Fill(EngineHarness redis, string key, int first, int count)
    {
        for (int begin = first; begin < first + count; begin += 10_000)
            redis.Run(["SADD", key, .. Enumerable.Range(begin, Math.Min(10_000, first + count - begin)).Select(i => $"{i}")]);
    }

    /// <summary>Keeps a command that changes a key inside its gates.</summary>
    private sealed class PausingConsumer : IKeyEventConsumer
    {
        public TaskCompletionSource Entered { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public TaskCompletionSource GoOn { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public void OnKeyEvent(KeyEvents kind, ReadOnlySpan<byte> name, ReadOnlySpan<byte> key, int database)
        {
            if (!name.SequenceEqual("sunionstore"u8) || !Entered.TrySetResult()) return;
            GoOn.Task.Wait();
        }
    }
}
