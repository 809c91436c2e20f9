using OrleansRedis.Engine;
using Xunit;

namespace OrleansRedis.Tests;

public sealed class DefragmentationEffortTests
{
    private static readonly DefragmentationEffort s_effort =
        new(IgnoreBytes: 100 << 20, ThresholdLower: 10, ThresholdUpper: 100, CycleMin: 1, CycleMax: 25);

    [Theory]
    [InlineData(2000, 100, 0, 0)] // less than the lower threshold
    [InlineData(500, 90, 0, 0)] // fewer bytes than are to be ignored
    [InlineData(1000, 100, 0, 1)]
    [InlineData(1000, 550, 0, 13)]
    [InlineData(1000, 1000, 0, 25)]
    [InlineData(100, 1000, 0, 25)]
    [InlineData(2000, 100, 13, 13)] // a pass is not abandoned, nor slowed down
    [InlineData(1000, 1000, 13, 25)]
    public void The_worse_it_is_the_more_time_it_gets(long liveMb, long freeMb, int percentNow, int percent) =>
        Assert.Equal(percent, s_effort.PercentOfTime(new(liveMb << 20, 0, 0, freeMb << 20), percentNow));

    [Fact]
    public void Equal_thresholds_mean_all_or_nothing()
    {
        DefragmentationEffort effort = s_effort with { ThresholdLower = 50, ThresholdUpper = 50 };
        Assert.Equal(25, effort.PercentOfTime(new(1L << 30, 0, 0, 1L << 30), 0));
        Assert.Equal(0, effort.PercentOfTime(new(1L << 30, 0, 0, 1L << 28), 0));
    }
}
