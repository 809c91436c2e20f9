using OrleansRedis.Engine;
using OrleansRedis.Tests.Harness;
using Xunit;

namespace OrleansRedis.Tests;

public class RespWriterTests
{
    [Fact]
    public void Whatever_is_written_beyond_the_most_nothing_larger_is_kept_and_it_is_told_once()
    {
        var random = TestSeed.Random();
        for (int round = 0; round < 200; round++)
        {
            int told = 0, most = random.Next(1, 200_000);
            long written = 0;
            var writer = new RespWriter { Most = most, Overflow = () => told++, Resp3 = random.Next(2) == 0 };
            while (written < 3 * most)
            {
                int mark = writer.Length, begin = writer.Begin(), length = random.Next(random.Next(4) == 0 ? 50_000 : 50);
                switch (random.Next(7))
                {
                    case 0:
                        writer.Error(new string('e', length) + "\n");
                        break;
                    case 1:
                        writer.Array(length);
                        break;
                    case 2:
                        writer.Double(length / 3.0);
                        break;
                    case 3:
                        writer.Verbatim("txt"u8, new byte[length]);
                        break;
                    case 4:
                        writer.BulkString(new byte[length]);
                        writer.Finish(begin, Aggregate.Map, 1);
                        break;
                    case 5:
                        writer.Raw(new byte[length]);
                        if (!writer.HasOverflowed) Assert.Equal(length, writer.WrittenSince(mark).Length);
                        writer.TruncateTo(mark);
                        break;
                    default:
                        writer.BulkString(new byte[length]);
                        break;
                }
                written += length + 1;
                // The buffer's size is a power of two.
                Assert.InRange(writer.Capacity, 0, 2 * Math.Max(most, 60_000));
                if (writer.HasOverflowed) Assert.InRange(writer.Capacity, 0, 256 * 1024);
            }
            Assert.Equal(writer.HasOverflowed ? 1 : 0, told);
        }
    }

    [Fact]
    public void Without_anyone_to_tell_it_fails_rather_than_drop_anything()
    {
        var writer = new RespWriter { Most = 10_000 };
        Assert.Throws<InsufficientMemoryException>(() => writer.Raw(new byte[10_001]));
        Assert.Equal(0, writer.Length);
        writer.Raw(new byte[10_000]);
        Assert.Equal(10_000, writer.Length);
    }
}
