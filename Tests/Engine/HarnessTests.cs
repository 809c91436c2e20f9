using Xunit;

namespace OrleansRedis.Tests;

public class HarnessTests
{
    [Fact]
    public void Runs_commands_and_records_what_they_do()
    {
        using var redis = new EngineHarness();
        Assert.Equal("OK", redis.Run("SET", "k", "v"));
        Assert.Equal("v", redis.Run("GET", "k"));
        Assert.Equal("$1\r\nv\r\n", redis.Raw("GET", "k"));
        Assert.Null(redis.Run("GET", "other"));
        Assert.Equal("_\r\n", redis.NewClient(resp3: true).Raw("GET", "other"));
        Assert.Equal("-ERR value is not an integer or out of range", redis.Show("INCR k"));
        Assert.Equal("[v, (nil)]", redis.Show("MGET k other"));
        Assert.Equal(["SET k v"], redis.TakeEffects());
        Assert.Equal(["set k"], redis.TakeEvents());
    }

    [Fact]
    public void Keys_expire_when_the_clock_is_turned()
    {
        using var redis = new EngineHarness();
        redis.Run("SET", "k", "v", "PX", "100");
        redis.Time.Advance(100);
        Assert.Null(redis.Run("GET", "k"));
    }
}
