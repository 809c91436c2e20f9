using System.Buffers.Binary;
using System.Text;
using OrleansRedis.Engine;
using Xunit;

namespace OrleansRedis.Tests.Persistence;

public sealed class RdbFileWriterTests
{
    [Fact]
    public void A_file_is_of_version_10_and_ends_with_its_CRC()
    {
        byte[] file = Write(new(), writer => writer.Append(Chunk(RdbType.String)));
        Assert.Equal("REDIS0010", Encoding.ASCII.GetString(file.AsSpan(0, 9)));
        Assert.Equal(0xff, file[^9]);
        Assert.Equal(Crc64.Append(0, file.AsSpan(..^8)), BinaryPrimitives.ReadUInt64LittleEndian(file.AsSpan(^8)));
    }

    [Fact]
    public void Something_newer_raises_the_version_and_the_CRC_is_right()
    {
        byte[] file = Write(new(), writer =>
        {
            writer.Append(new byte[3_000_000], 10);
            writer.Append(Chunk(RdbType.HashMetadata));
        });
        Assert.Equal("REDIS0012", Encoding.ASCII.GetString(file.AsSpan(0, 9)));
        Assert.Equal(Crc64.Append(0, file.AsSpan(..^8)), BinaryPrimitives.ReadUInt64LittleEndian(file.AsSpan(^8)));
    }

    [Fact]
    public void Without_checksums_the_CRC_is_zero()
    {
        byte[] file = Write(new() { RdbChecksum = false }, writer => writer.Append(Chunk(RdbType.HashMetadata)));
        Assert.Equal("REDIS0012", Encoding.ASCII.GetString(file.AsSpan(0, 9)));
        Assert.Equal(0UL, BinaryPrimitives.ReadUInt64LittleEndian(file.AsSpan(^8)));
    }

    private static RdbWriter Chunk(RdbType type)
    {
        var chunk = new RdbWriter(compress: true);
        chunk.Type(type);
        return chunk;
    }

    private static byte[] Write(ServerOptions options, Action<RdbFileWriter> content)
    {
        var stream = new MemoryStream();
        stream.Write("before"u8);
        var writer = new RdbFileWriter(stream, options);
        writer.Begin(nowMs: 0, usedMemory: 1, isAofBase: false, libraries: []);
        content(writer);
        writer.Finish();
        Assert.Equal(stream.Length - 6, writer.Length);
        Assert.Equal(stream.Length, stream.Position);
        return stream.ToArray()[6..];
    }
}
