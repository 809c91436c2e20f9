using System.Buffers.Binary;
using System.Text;
using Orleans.Runtime;

namespace Orleans.Serialization;

/// <summary>Reads what <see cref="WireWriter"/> wrote. Running past the end throws <see cref="SerializerException"/>. Used by one thread at a time.</summary>
internal sealed class WireReader(ReadOnlyMemory<byte> buffer, NodeRuntime? runtime)
{
    private int _position;

    /// <summary>What grain references read become part of; null in storage, where they cannot be.</summary>
    public NodeRuntime? Runtime { get; } = runtime;

    public int Position => _position;

    public bool AtEnd => _position >= buffer.Length;

    public ReadOnlySpan<byte> Raw(int length)
    {
        if (length < 0 || length > buffer.Length - _position)
            throw new SerializerException($"A value of {length} bytes is longer than the {buffer.Length - _position} bytes left");
        ReadOnlySpan<byte> span = buffer.Span.Slice(_position, length);
        _position += length;
        return span;
    }

    public byte Byte() => Raw(1)[0];

    public bool Bool() => Byte() != 0;

    public uint Fixed32() => BinaryPrimitives.ReadUInt32LittleEndian(Raw(4));

    public ulong Fixed64() => BinaryPrimitives.ReadUInt64LittleEndian(Raw(8));

    public ulong VarUInt()
    {
        ulong value = 0;
        for (int shift = 0; shift < 64; shift += 7)
        {
            byte b = Byte();
            value |= (ulong)(b & 0x7F) << shift;
            if (b < 0x80) return value;
        }

        throw new SerializerException("A variable-length integer is too long");
    }

    public long VarInt()
    {
        ulong value = VarUInt();
        return (long)(value >> 1) ^ -(long)(value & 1);
    }

    /// <summary>A count of elements, each of at least one byte unless told otherwise: a corrupt count must not become a huge allocation.</summary>
    public int Count()
    {
        ulong count = VarUInt();
        if (count > (ulong)(buffer.Length - _position))
            throw new SerializerException($"A collection of {count} elements does not fit in the {buffer.Length - _position} bytes left");
        return (int)count;
    }

    public byte[] Bytes() => Raw(Count()).ToArray();

    public string? String()
    {
        ulong length = VarUInt();
        return length == 0 ? null : Encoding.UTF8.GetString(Raw(checked((int)(length - 1))));
    }

    public void SkipTo(int position) => _position = position;
}
