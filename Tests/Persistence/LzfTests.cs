using System.Text;
using FsCheck;
using FsCheck.Fluent;
using OrleansRedis.Engine;
using OrleansRedis.Tests.Harness;
using Xunit;

namespace OrleansRedis.Tests.Persistence;

public class LzfTests
{
    [Fact]
    public void What_is_compressed_is_restored()
    {
        Gen<byte[]> runs =
            from pieces in (from letter in Gen.Choose(0, 3) from length in Gen.Choose(1, 400) select (letter, length)).ListOf()
            select pieces.SelectMany(piece => Enumerable.Repeat((byte)piece.letter, piece.length)).ToArray();
        Gen<byte[]> noise = Gen.Choose(0, 255).Select(value => (byte)value).ListOf().Select(bytes => bytes.ToArray());
        Prop.ForAll(Gen.OneOf(runs, noise).ToArbitrary(), bytes =>
        {
            var output = new byte[bytes.Length + 32 + (bytes.Length / 16)];
            int length = Lzf.Compress(bytes, output);
            var restored = new byte[bytes.Length];
            Assert.True(Lzf.TryDecompress(output.AsSpan(0, length), restored));
            Assert.Equal(bytes, restored);
        }).Check();
    }

    [Fact]
    public void Far_repetitions_are_found_and_too_little_room_is_told()
    {
        byte[] once = Encoding.ASCII.GetBytes(string.Concat(Enumerable.Range(0, 1000).Select(i => i.ToString("x4"))));
        byte[] twice = [.. once, .. once];
        var output = new byte[twice.Length];
        int length = Lzf.Compress(twice, output);
        Assert.InRange(length, 1, once.Length * 5 / 4);
        var restored = new byte[twice.Length];
        Assert.True(Lzf.TryDecompress(output.AsSpan(0, length), restored));
        Assert.Equal(twice, restored);
        Assert.Equal(0, Lzf.Compress(twice, output.AsSpan(0, length - 1)));
    }

    [Theory]
    [InlineData("02414141", 3, true)]   // three literals
    [InlineData("0041e0f700", 257, true)] // one literal and a copy of 256 bytes
    [InlineData("204000", 3, false)]    // a copy from before the start
    [InlineData("0541", 6, false)]      // literals that are missing
    [InlineData("0041", 2, false)]      // too short
    [InlineData("0041e0", 20, false)]   // cut off in a copy
    public void Damaged_input_is_refused(string hex, int length, bool valid) =>
        Assert.Equal(valid, Lzf.TryDecompress(Convert.FromHexString(hex), new byte[length]));
}
