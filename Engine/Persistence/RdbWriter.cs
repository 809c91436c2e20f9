using System.Buffers.Binary;

namespace OrleansRedis.Engine;

/// <summary>Writes the primitives of the RDB format into a buffer of its own.</summary>
internal sealed class RdbWriter(bool compress)
{
    internal const byte Length14Bits = 0x40;
    internal const byte Length32Bits = 0x80;
    internal const byte Length64Bits = 0x81;
    internal const byte Special = 0xc0;
    internal const int Int8 = 0, Int16 = 1, Int32 = 2, Compressed = 3;

    private const int LeastLength = 256;

    /// <summary>Shorter strings are not worth compressing.</summary>
    private const int ShortestCompressed = 21;

    /// <summary>Larger buffers than this are not kept.</summary>
    private const int MostKept = 1 << 20;

    private byte[] _buffer = [];        // of LargeBuffers
    private byte[] _compressed = [];    // the same
    private int _length;

    /// <summary>How many bytes of memory its buffers take.</summary>
    public int Capacity => _buffer.Length + _compressed.Length;

    public ReadOnlySpan<byte> Written => _buffer.AsSpan(0, _length);

    /// <summary>
    /// The version of the format that the content needs: <see cref="RdbVersion.Usual"/>, unless something newer was
    /// written.
    /// </summary>
    public int Newest { get; private set; } = RdbVersion.Usual;

    /// <summary>Discards what was written.</summary>
    public void Clear()
    {
        _length = 0;
        Newest = RdbVersion.Usual;
        GiveBack(ref _buffer, MostKept);
    }

    public void Byte(byte value) => Room(1)[0] = value;

    public void Bytes(ReadOnlySpan<byte> bytes) => bytes.CopyTo(Room(bytes.Length));

    public void Type(RdbType type)
    {
        Newest = Math.Max(Newest, RdbVersion.Of(type));
        Byte((byte)type);
    }

    public void Opcode(RdbOpcode opcode) => Byte((byte)opcode);

    /// <summary>Writes a length, or any other unsigned number.</summary>
    public void Length(ulong length)
    {
        switch (length)
        {
            case < 64:
                Byte((byte)length);
                break;
            case < 16384:
                Byte((byte)(Length14Bits | (length >> 8)));
                Byte((byte)length);
                break;
            case <= uint.MaxValue:
                Byte(Length32Bits);
                BinaryPrimitives.WriteUInt32BigEndian(Room(4), (uint)length);
                break;
            default:
                Byte(Length64Bits);
                BinaryPrimitives.WriteUInt64BigEndian(Room(8), length);
                break;
        }
    }

    /// <inheritdoc cref="Length(ulong)"/>
    public void Length(long length) => Length((ulong)length);

    /// <summary>
    /// Writes a string: in a few bytes if it is a small integer, compressed if that is shorter, otherwise as it is.
    /// </summary>
    public void String(ReadOnlySpan<byte> value)
    {
        if (value.Length <= 11 && Numbers.TryParseInt64(value, out long number) && TryInteger(number)) return;
        if (compress && value.Length >= ShortestCompressed && TryCompressed(value)) return;
        Length(value.Length);
        Bytes(value);
    }

    /// <summary>Writes the digits of an integer as a string.</summary>
    public void String(long number)
    {
        if (TryInteger(number)) return;
        Span<byte> digits = stackalloc byte[20];
        int length = Numbers.FormatInt64(number, digits);
        Length(length);
        Bytes(digits[..length]);
    }

    /// <summary>Writes a double in 8 bytes.</summary>
    public void Double(double value) => BinaryPrimitives.WriteDoubleLittleEndian(Room(8), value);

    /// <summary>Writes a time as Unix ms in 8 bytes.</summary>
    public void Milliseconds(long unixMs) => BinaryPrimitives.WriteInt64LittleEndian(Room(8), unixMs);

    private bool TryInteger(long number)
    {
        switch (number)
        {
            case >= sbyte.MinValue and <= sbyte.MaxValue:
                Byte(Special | Int8);
                Byte((byte)number);
                return true;
            case >= short.MinValue and <= short.MaxValue:
                Byte(Special | Int16);
                BinaryPrimitives.WriteInt16LittleEndian(Room(2), (short)number);
                return true;
            case >= int.MinValue and <= int.MaxValue:
                Byte(Special | Int32);
                BinaryPrimitives.WriteInt32LittleEndian(Room(4), (int)number);
                return true;
            default:
                return false;
        }
    }

    private bool TryCompressed(ReadOnlySpan<byte> value)
    {
        if (_compressed.Length < value.Length)
        {
            GiveBack(ref _compressed, 0);
            _compressed = LargeBuffers.Rent(Math.Max(value.Length, 1024));
        }
        int length = Lzf.Compress(value, _compressed.AsSpan(0, value.Length - 4));
        if (length != 0)
        {
            Byte(Special | Compressed);
            Length(length);
            Length(value.Length);
            Bytes(_compressed.AsSpan(0, length));
        }
        GiveBack(ref _compressed, MostKept);
        return length != 0;
    }

    private Span<byte> Room(int length)
    {
        if (_buffer.Length - _length < length)
        {
            long needed = (long)_length + length;
            if (needed > Array.MaxLength) throw new InsufficientMemoryException("A value of more than 2 GB cannot be written in one piece.");
            byte[] larger = LargeBuffers.Rent((int)Math.Min(Array.MaxLength, Math.Max(needed, Math.Max(LeastLength, _buffer.Length * 2L))));
            Written.CopyTo(larger);
            GiveBack(ref _buffer, 0);
            _buffer = larger;
        }
        Span<byte> room = _buffer.AsSpan(_length, length);
        _length += length;
        return room;
    }

    private static void GiveBack(ref byte[] buffer, int mostKept)
    {
        if (buffer.Length <= mostKept) return;
        LargeBuffers.Return(buffer);
        buffer = [];
    }
}
