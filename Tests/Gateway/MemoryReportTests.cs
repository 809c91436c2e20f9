using OrleansRedis.Gateway;
using Xunit;

namespace OrleansRedis.Tests.Gateway;

public sealed class MemoryReportTests
{
    private const long Mebibyte = 1 << 20;

    [Theory]
    [InlineData(8, 0, 20, 90, 0, "is empty or is using very little memory")]
    [InlineData(100, 0, 120, 200, 0, "can't find any memory issue")]
    [InlineData(99, 100, 120, 200, 0, "takes 99% of maxmemory")]
    [InlineData(100, 0, 200, 250, 0, "holds 200 MB for 100 MB of data")]
    [InlineData(100, 0, 110, 300, 0, "has 300 MB, but its heap only 110 MB")]
    [InlineData(100, 0, 110, 200, 50, "10 clients hold 50 MB")]
    public void Every_issue_is_told_when_there_is_one(long used, long limit, long managed, long resident, long buffers, string told) =>
        Assert.Contains(told, MemoryReport.Of(used * Mebibyte, limit * Mebibyte, managed * Mebibyte, resident * Mebibyte, 10, buffers * Mebibyte),
            StringComparison.Ordinal);
}
