using OrleansRedis.Engine;
using OrleansRedis.Tests.Harness;
using Xunit;

namespace OrleansRedis.Tests.Persistence;

public sealed class Crc64Tests
{
    [Fact]
    public void The_check_value_is_Redis_s() => Assert.Equal(0xe9c6d914c4b8d9caUL, Crc64.Append(0, "123456789"u8));

    [Fact]
    public void Folding_and_tables_agree_at_every_length_and_start()
    {
        byte[] bytes = new byte[700];
        TestSeed.Random().NextBytes(bytes);
        for (int length = 0; length < 600; length++)
        {
            ReadOnlySpan<byte> data = bytes.AsSpan(length % 37, length);
            Assert.Equal(Crc64.AppendByTables(17, data), Crc64.Append(17, data));
        }
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(8)]
    [InlineData(1000)]
    [InlineData(65537)]
    public void Zeros_can_be_appended_without_being_there(int count) =>
        Assert.Equal(Crc64.AppendByTables(0x1234567890abcdef, new byte[count]), Crc64.AppendZeros(0x1234567890abcdef, count));
}
