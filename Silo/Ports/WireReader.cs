using System.Buffers;
using System.Numerics;

namespace OrleansRedis.Silo;

/// <summary>How a field's value is written (Orleans.Serialization.WireProtocol.WireType, shifted).</summary>
internal enum WireKind
{
    VarInt,

    /// <summary>Fields, up to an end tag.</summary>
    Object,

    LengthPrefixed,
    Fixed32,
    Fixed64,

    /// <summary>The number of an object that has been read before.</summary>
    Reference = 6,

    /// <summary>Not a field, but the end of an object, or of its base type's fields.</summary>
    End = 7,
}

/// <summary>What stands before a value.</summary>
/// <param name="Kind">How the value is written.</param>
/// <param name="Delta">The field's number, as the difference from the one before.</param>
/// <param name="IsEndOfObject">For an end: whether it ends the whole object.</param>
internal readonly record struct WireField(WireKind Kind, uint Delta, bool IsEndOfObject);

/// <summary>
/// Walks through what Orleans has serialized, without making any object of it, and in constant stack. The format
/// (github.com/dotnet/orleans, src/Orleans.Serialization/WireProtocol and Buffers) says of every value how long it is, so
/// its types need not be known. Fails with <see cref="RefusedException"/> on whatever is cut off, or not allowed.
/// </summary>
internal ref struct WireReader(ReadOnlySequence<byte> bytes, AllowedCalls allowed)
{
    /// <summary>How deep values may be within each other. A call of ours has four levels.</summary>
    private const int MaxDepth = 16;

    private const int WellKnown = 1, Encoded = 2, Extended = 7;

    private SequenceReader<byte> _reader = new(bytes);

    /// <summary>Whether everything has been read.</summary>
    public readonly bool IsAtEnd => _reader.End;

    public byte ReadByte() => _reader.TryRead(out byte value) ? value : throw new RefusedException("the message is cut off");

    public uint ReadUInt32() => _reader.TryReadLittleEndian(out int value) ? (uint)value : throw new RefusedException("the message is cut off");

    /// <summary>The number of low zero bits in the first byte says how many bytes follow.</summary>
    public uint ReadVarInt()
    {
        byte first = ReadByte();
        int more = BitOperations.TrailingZeroCount(first | 0x100);
        if (more > 4) throw new RefusedException("a length is out of range");
        ulong value = first;
        for (int i = 1; i <= more; i++) value |= (ulong)ReadByte() << (8 * i);
        value >>= more + 1;
        return value <= uint.MaxValue ? (uint)value : throw new RefusedException("a length is out of range");
    }

    /// <summary>Bytes with their length before them.</summary>
    public ReadOnlySequence<byte> ReadPayload() => ReadBytes(ReadVarInt());

    public ReadOnlySequence<byte> ReadBytes(uint count)
    {
        if (count > _reader.Remaining) throw new RefusedException("a length is greater than the message");
        ReadOnlySequence<byte> payload = _reader.UnreadSequence.Slice(0, count);
        _reader.Advance(count);
        return payload;
    }

    /// <summary>A grain's type or key, an interface: a length and, unless that is 0, a hash and bytes.</summary>
    public ReadOnlySequence<byte> ReadId()
    {
        uint length = ReadVarInt();
        if (length == 0) return default;
        _ = ReadUInt32();
        return ReadBytes(length);
    }

    /// <summary>
    /// What stands before a value. Its type may be the one that is expected in its place or a simple one; only the root
    /// of a message may name another, and that must be one of our calls.
    /// </summary>
    public WireField ReadField(bool isCall = false)
    {
        byte tag = ReadByte();
        var kind = (WireKind)(tag >> 5);
        int schema = (tag >> 3) & 3;
        if (kind == WireKind.End) return new(kind, 0, schema == 0);
        uint delta = (uint)tag & 7;
        if (delta == Extended) delta = ReadVarInt();
        bool isAllowed = schema switch
        {
            0 => !isCall,
            WellKnown => !isCall && allowed.IsSimple(ReadVarInt()),
            Encoded => isCall && allowed.TryReadCall(ref _reader),
            _ => false,
        };
        return isAllowed ? new(kind, delta, false) : throw new RefusedException("it has a type that is not expected from clients");
    }

    /// <summary>Reads the value of a field that is no object, and returns its bytes if it has a length.</summary>
    public ReadOnlySequence<byte> ReadSimple(WireKind kind)
    {
        switch (kind)
        {
            case WireKind.VarInt:
                SkipVarInt64();
                return default;
            case WireKind.LengthPrefixed:
                return ReadPayload();
            case WireKind.Fixed32:
                return ReadBytes(4);
            case WireKind.Fixed64:
                return ReadBytes(8);
            case WireKind.Reference:
                _ = ReadVarInt();
                return default;
            default:
                throw new RefusedException("it has a value of no known kind");
        }
    }

    /// <summary>Reads what is left of an object whose field has been read.</summary>
    public void SkipObject()
    {
        for (int depth = 1; depth > 0;)
        {
            WireField field = ReadField();
            if (field.Kind == WireKind.End) depth -= field.IsEndOfObject ? 1 : 0;
            else if (field.Kind == WireKind.Object) depth = Deeper(depth);
            else _ = ReadSimple(field.Kind);
        }
    }

    /// <summary>One level deeper.</summary>
    /// <exception cref="RefusedException">That is too deep: reading it would use up the stack.</exception>
    public static int Deeper(int depth) => depth < MaxDepth ? depth + 1 : throw new RefusedException("it is nested too deeply");

    // Up to 10 bytes, whose number is in the low bits of the first two.
    private void SkipVarInt64()
    {
        byte first = ReadByte();
        int more = BitOperations.TrailingZeroCount(first | 0x100);
        if (more == 8)
        {
            int zeros = BitOperations.TrailingZeroCount(ReadByte() | 0x100);
            if (zeros > 1) throw new RefusedException("a number is out of range");
            more = 7 + zeros;
        }
        _ = ReadBytes((uint)more);
    }
}

/// <summary>What a connection has sent is not what a client of this server sends; the message completes "it is refused: ".</summary>
internal sealed class RefusedException(string reason) : Exception(reason);
