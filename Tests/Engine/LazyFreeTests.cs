using Xunit;

namespace OrleansRedis.Tests;

/// <summary>lazyfreed_objects counts what Redis 7.4 frees in another thread, though here everything is freed so.</summary>
public class LazyFreeTests
{
    [Theory]
    [InlineData(1, "UNLINK set hash zset string small", 3)]
    [InlineData(1, "DEL set hash zset", 0)]
    [InlineData(1, "SET set x", 0)]
    [InlineData(1, "RENAME small set", 0)]
    [InlineData(1, "SPOP set 600", 0)]
    [InlineData(1, "FLUSHALL", 5)]
    [InlineData(1, "FLUSHDB SYNC", 5)]
    [InlineData(2, "FLUSHALL", 0)]
    [InlineData(2, "FLUSHALL SYNC", 0)]
    [InlineData(2, "FLUSHDB ASYNC", 5)]
    [InlineData(2, "UNLINK set", 1)]
    public void What_another_thread_would_free_is_counted(int how, string line, long count)
    {
        using var redis = new EngineHarness();
        for (int i = 0; i < 600; i++)
        {
            redis.Run("SADD", "set", $"member {i}");
            redis.Run("HSET", "hash", $"field {i}", "v");
            redis.Run("ZADD", "zset", $"{i}", $"member {i}");
        }
        redis.Run("SET", "string", new string('x', 100_000));
        redis.Run("SADD", "small", "x");
        if (how == 2) redis.Run("MULTI");
        redis.Show(line);
        if (how == 2) redis.Show("EXEC");
        Assert.Equal(count, redis.Store.Statistics.LazyFreed);
    }
}
