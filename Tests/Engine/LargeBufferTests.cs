using OrleansRedis.Engine;
using Xunit;

namespace OrleansRedis.Tests;

public class LargeBufferTests
{
    [Fact]
    public void What_is_too_large_for_the_pool_leaves_memory_at_once()
    {
        for (int round = 0; round < 3; round++)
        {
            byte[] buffer = LargeBuffers.Rent((40 * 1024 * 1024) + round);
            buffer.AsSpan().Fill(1);
            LargeBuffers.Return(buffer);
            // The system gives pages that it has taken back as zeros. The first and the last are not the array's alone.
            int page = Environment.SystemPageSize;
            Assert.Equal(OperatingSystem.IsLinux(), !buffer.AsSpan(page..^page).ContainsAnyExcept((byte)0));
            buffer.AsSpan().Fill(2);
            GC.Collect();
            Assert.Equal(2, buffer[^1]);
        }
    }

    [Theory]
    [InlineData(1)]
    [InlineData(5000)]
    [InlineData(32 * 1024 * 1024)]
    public void What_the_pool_takes_comes_from_there(int size)
    {
        byte[] buffer = LargeBuffers.Rent(size);
        Assert.InRange(buffer.Length, size, Math.Max(16, 2 * size));
        LargeBuffers.Return(buffer);
    }
}
