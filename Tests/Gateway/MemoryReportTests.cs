using OrleansRedis.Engine;
using OrleansRedis.Gateway;
using Xunit;

namespace OrleansRedis.Tests.Gateway;

public sealed class MemoryReportTests
{
    private const long Mebibyte = 1 << 20;

    [Theory]
    [InlineData(4, 0, 0, 0, 90, 0, "is empty or is using very little memory")]
    [InlineData(100, 0, 5, 5, 180, 0, "can't find any memory issue")]
    [InlineData(99, 100, 5, 5, 180, 0, "takes 99% of maxmemory")]
    [InlineData(100, 0, 20, 0, 180, 0, "20 MB are free between 100 MB in use")]
    [InlineData(100, 0, 0, 20, 180, 0, "20 MB were freed lately")]
    [InlineData(100, 0, 0, 0, 300, 0, "takes 200 MB beside its data")]
    [InlineData(100, 0, 5, 5, 180, 50, "10 clients hold 50 MB")]
    public void Every_issue_is_told_when_there_is_one(long used, long limit, long free, long kept, long resident, long buffers, string told)
    {
        HeapStatistics heap = new(used * Mebibyte, (used + free) * Mebibyte, (used + free + kept) * Mebibyte, free * Mebibyte);
        MemoryFigures memory = new(used * Mebibyte, used * Mebibyte, 0, used * Mebibyte, resident * Mebibyte, heap, 20 * Mebibyte, buffers * Mebibyte, 10);
        Assert.Contains(told, MemoryReport.Of(memory, limit * Mebibyte), StringComparison.Ordinal);
    }
}
