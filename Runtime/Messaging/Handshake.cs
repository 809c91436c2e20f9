using System.Buffers;
using System.Buffers.Binary;
using System.IO.Pipelines;
using Orleans.Serialization;

namespace Orleans.Runtime.Messaging;

/// <summary>The first frame of who connects.</summary>
/// <param name="ProtocolVersion">The version of the frames that follow.</param>
/// <param name="ClusterId">The cluster it belongs to.</param>
/// <param name="Silo">The silo that connects; null for a client.</param>
/// <param name="Client">The client that connects; default for a silo.</param>
/// <param name="Expected">The silo it wants; null for whichever is there. Generation 0 means any life of it.</param>
[GenerateSerializer, Immutable]
internal sealed record Hello(
    [property: Id(0)] int ProtocolVersion,
    [property: Id(1)] string ClusterId,
    [property: Id(2)] SiloAddress? Silo,
    [property: Id(3)] GrainId Client,
    [property: Id(4)] SiloAddress? Expected)
{
    public const int CurrentVersion = 1;
}

/// <summary>The answer to <see cref="Hello"/>.</summary>
/// <param name="Refusal">Why the connection is refused; null when it is not.</param>
/// <param name="Silo">The silo that answers.</param>
/// <param name="GrainTypes">For clients: interface name to grain type.</param>
[GenerateSerializer, Immutable]
internal sealed record Welcome([property: Id(0)] string? Refusal, [property: Id(1)] SiloAddress Silo, [property: Id(2)] Dictionary<string, string> GrainTypes);

/// <summary>Frames: a 32-bit little-endian length and that many bytes.</summary>
internal static class Frames
{
    public static async ValueTask Write<T>(PipeWriter output, T value, CancellationToken cancellation)
    {
        var writer = new WireWriter();
        int start = writer.BeginLength();
        CodecProvider.Get<T>().Write(writer, value);
        writer.EndLength(start);
        await output.WriteAsync(writer.Written.ToArray(), cancellation).ConfigureAwait(false);
    }

    public static async ValueTask<T> Read<T>(PipeReader input, int maxSizeBytes, CancellationToken cancellation)
    {
        while (true)
        {
            ReadResult result = await input.ReadAsync(cancellation).ConfigureAwait(false);
            ReadOnlySequence<byte> buffer = result.Buffer;
            if (TryRead(ref buffer, maxSizeBytes, out ReadOnlySequence<byte> frame))
            {
                T value = CodecProvider.Get<T>().Read(new WireReader(frame.ToArray(), null));
                input.AdvanceTo(frame.End);
                return value;
            }

            input.AdvanceTo(buffer.Start, buffer.End);
            if (result.IsCompleted) throw new ConnectionFailedException("The connection was closed during the handshake");
        }
    }

    public static bool TryRead(ref ReadOnlySequence<byte> buffer, int maxSizeBytes, out ReadOnlySequence<byte> frame)
    {
        frame = default;
        if (buffer.Length < 4) return false;
        Span<byte> header = stackalloc byte[4];
        buffer.Slice(0, 4).CopyTo(header);
        uint length = BinaryPrimitives.ReadUInt32LittleEndian(header);
        if (length > (uint)maxSizeBytes) throw new OrleansException($"A message of {length} bytes is larger than the limit of {maxSizeBytes}");
        if (buffer.Length < 4 + (long)length) return false;
        frame = buffer.Slice(4, length);
        buffer = buffer.Slice(frame.End);
        return true;
    }
}
