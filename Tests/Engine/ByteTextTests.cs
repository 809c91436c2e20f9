using System.Text;
using OrleansRedis.Engine;
using OrleansRedis.Tests.Harness;
using Xunit;

namespace OrleansRedis.Tests;

public class ByteTextTests
{
    [Fact]
    public void Any_bytes_come_back_as_they_were()
    {
        var random = TestSeed.Random();
        byte[][] pieces =
        [
            "a"u8.ToArray(), "\u00e9"u8.ToArray(), "\u20ac"u8.ToArray(), "\U0001f600"u8.ToArray(),
            [0xed, 0xb2, 0x80], [0xff], [0xc3], [0xf0, 0x9f], [0], [0xe9],
        ];
        for (int round = 0; round < 2000; round++)
        {
            byte[] bytes = round % 2 == 0 ? new byte[random.Next(12)] : [];
            random.NextBytes(bytes);
            for (int i = random.Next(6); round % 2 != 0 && i > 0; i--) bytes = [.. bytes, .. pieces[random.Next(pieces.Length)]];
            Assert.Equal(bytes, ByteText.Encode(ByteText.Decode(bytes)));
        }
    }

    [Theory]
    [InlineData("")]
    [InlineData("plain")]
    [InlineData("\u00e9\u20ac\U0001f600")]
    public void Text_is_utf_8(string text)
    {
        Assert.Equal(text, ByteText.Decode(Encoding.UTF8.GetBytes(text)));
        Assert.Equal(Encoding.UTF8.GetBytes(text), ByteText.Encode(text));
    }
}
