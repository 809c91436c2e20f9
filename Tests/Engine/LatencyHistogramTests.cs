using OrleansRedis.Engine;
using Xunit;

namespace OrleansRedis.Tests;

public sealed class LatencyHistogramTests
{
    [Fact]
    public void Every_percentile_is_at_most_one_percent_too_high()
    {
        var random = Harness.TestSeed.Random();
        var histogram = new LatencyHistogram();
        long[] durations = [.. Enumerable.Range(0, 5000).Select(_ => 1 + (long)Math.Pow(10, random.NextDouble() * 9)).Order()];
        foreach (long duration in durations) histogram.Record(duration);
        Assert.Equal(durations.Length, histogram.Total);
        foreach (double percentile in new[] { 1, 25, 50, 75, 90, 99, 99.9, 100 })
        {
            long exact = Math.Min(durations[Math.Max(1, (int)((percentile / 100 * durations.Length) + 0.5)) - 1], 1_000_000_000);
            Assert.InRange(histogram.AtPercentile(percentile), exact, exact + (exact / 100) + 1);
        }
    }

    [Fact]
    public void Durations_outside_the_range_count_at_its_ends()
    {
        var histogram = new LatencyHistogram();
        histogram.Record(0);
        histogram.Record(-5);
        histogram.Record(long.MaxValue);
        Assert.Equal(3, histogram.Total);
        Assert.Equal(1, histogram.AtPercentile(50));
        Assert.InRange(histogram.AtPercentile(100), 1_000_000_000, 1_010_000_000);
    }

    /// <summary>The limits are those that redis-server shows: the end of the bucket that a power of two of ns is in.</summary>
    [Fact]
    public void The_cumulative_counts_double_their_limit_and_leave_out_what_adds_nothing()
    {
        var histogram = new LatencyHistogram();
        foreach (long microseconds in new[] { 0, 1, 2, 3, 30, 30, 1000, 2_000_000 }) histogram.Record(microseconds * 1000);
        Assert.Equal([(1L, 2L), (2, 3), (4, 4), (33, 6), (1056, 7), (1_082_130, 8)], histogram.Cumulative());
    }

    [Fact]
    public void Sums_add_up()
    {
        var one = new LatencyHistogram();
        var other = new LatencyHistogram();
        one.Record(1000);
        other.Record(3000);
        other.Record(5000);
        one.Add(other);
        Assert.Equal(3, one.Total);
        Assert.InRange(one.AtPercentile(50), 3000, 3030);
    }
}
