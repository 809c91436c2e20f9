using OrleansRedis.Engine;
using Xunit;

namespace OrleansRedis.Tests;

public sealed class SizeClassesTests
{
    [Fact]
    public void Every_length_has_the_smallest_class_that_it_fits_into()
    {
        for (int length = 0; length <= SizeClasses.LargestSmall; length++)
        {
            int sizeClass = SizeClasses.Of(length), size = SizeClasses.SizeOf(sizeClass);
            Assert.InRange(sizeClass, 1, SizeClasses.Count);
            Assert.True(size >= length, $"{length} bytes got {size}");
            Assert.True(sizeClass == 1 || SizeClasses.SizeOf(sizeClass - 1) < length, $"{length} bytes got {size}, and there is a smaller class");
            Assert.True(size - length <= Math.Max(8, length / 8), $"{length} bytes got {size}");
        }
    }

    [Fact]
    public void Blocks_lie_at_multiples_of_eight_and_their_sizes_are_classes()
    {
        for (int sizeClass = 1; sizeClass <= SizeClasses.Count; sizeClass++)
        {
            int size = SizeClasses.SizeOf(sizeClass);
            Assert.Equal(0, size % 8);
            Assert.Equal(sizeClass, SizeClasses.Of(size));
        }
        Assert.Equal(SizeClasses.LargestSmall, SizeClasses.SizeOf(SizeClasses.Count));
    }
}
