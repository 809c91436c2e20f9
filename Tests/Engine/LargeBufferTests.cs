using OrleansRedis.Engine;
using Xunit;

namespace OrleansRedis.Tests;

public class LargeBufferTests
{
    private const int Kibibyte = 1024, Mebibyte = 1024 * Kibibyte;

    [Fact]
    public void What_is_too_large_for_the_pool_leaves_memory_at_once()
    {
        for (int round = 0; round < 3; round++)
        {
            byte[] buffer = LargeBuffers.Rent((40 * Mebibyte) + round);
            buffer.AsSpan().Fill(1);
            LargeBuffers.Return(buffer);
            AssertGivenUp(buffer);
            buffer.AsSpan().Fill(2);
            GC.Collect();
            Assert.Equal(2, buffer[^1]);
        }
    }

    [Theory]
    [InlineData(1)]
    [InlineData(5000)]
    [InlineData(64 * Kibibyte)]
    [InlineData((64 * Kibibyte) + 1)]
    [InlineData(128 * Kibibyte)]
    [InlineData((128 * Kibibyte) + 1)]
    [InlineData(Mebibyte)]
    [InlineData(4 * Mebibyte)]
    [InlineData((4 * Mebibyte) + 1)]
    public void A_buffer_is_large_enough_and_not_much_larger(int size)
    {
        byte[] buffer = LargeBuffers.Rent(size);
        Assert.InRange(buffer.Length, size, Math.Max(16, (2 * size) - 1));
        LargeBuffers.Return(buffer);
    }

    [Fact]
    public Task The_pool_keeps_sixteen_megabytes_and_in_the_end_only_what_is_needed() => Harness.OwnProcess.RunAsync(KeepAndTrim);

    private static void KeepAndTrim()
    {
        byte[][] buffers = [.. Enumerable.Range(0, 40).Select(i => LargeBuffers.Rent((i % 2 == 0 ? 1 : 3) * Mebibyte))];
        foreach (byte[] buffer in buffers)
        {
            buffer.AsSpan().Fill(1);
            LargeBuffers.Return(buffer);
        }
        Assert.InRange(LargeBuffers.KeptBytes, 12 * Mebibyte, 16 * Mebibyte);
        byte[][] left = [.. buffers.Where(buffer => buffer[buffer.Length / 2] == 0)];
        Assert.InRange(left.Sum(buffer => (long)buffer.Length), buffers.Sum(buffer => (long)buffer.Length) - (16 * Mebibyte), long.MaxValue);
        foreach (byte[] buffer in left) AssertGivenUp(buffer);

        LargeBuffers.Trim();
        byte[] needed = LargeBuffers.Rent(Mebibyte);
        Assert.Contains(needed, buffers);
        LargeBuffers.Return(needed);
        LargeBuffers.Trim();
        Assert.Equal(needed.Length, LargeBuffers.KeptBytes);
        Assert.Equal(1, needed[needed.Length / 2]);
        LargeBuffers.Trim();
        Assert.Equal(0, LargeBuffers.KeptBytes);
        foreach (byte[] buffer in buffers) AssertGivenUp(buffer);
    }

    /// <summary>
    /// The system gives pages that it has taken back as zeros. The first and the last are not the array's alone.
    /// </summary>
    private static void AssertGivenUp(byte[] buffer)
    {
        int page = Environment.SystemPageSize;
        Assert.Equal(OperatingSystem.IsLinux(), !buffer.AsSpan(page..^page).ContainsAnyExcept((byte)0));
    }
}
