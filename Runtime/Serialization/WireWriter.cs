using System.Buffers;
using System.Buffers.Binary;
using System.Text;

namespace Orleans.Serialization;

/// <summary>Writes values into a growing buffer. Integers are little-endian or LEB128. Used by one thread at a time.</summary>
internal sealed class WireWriter : IBufferWriter<byte>
{
    private byte[] _buffer = new byte[256];
    private int _position;

    public int Length => _position;

    public ReadOnlySpan<byte> Written => _buffer.AsSpan(0, _position);

    /// <summary>How many values are being written inside of each other; guards against cycles.</summary>
    public int Depth { get; set; }

    public void Reset()
    {
        // A buffer grown by one huge message is not kept for the small ones that follow.
        if (_buffer.Length > 1 << 20) _buffer = new byte[256];
        _position = 0;
        Depth = 0;
    }

    /// <summary>Takes back all that was written from <paramref name="position"/> on.</summary>
    public void Truncate(int position) => _position = position;

    public Span<byte> GetSpan(int sizeHint = 0)
    {
        int needed = Math.Max(sizeHint, 1);
        if (_buffer.Length - _position < needed)
            Array.Resize(ref _buffer, Math.Max(_buffer.Length * 2, _position + needed));
        return _buffer.AsSpan(_position);
    }

    public Memory<byte> GetMemory(int sizeHint = 0)
    {
        GetSpan(sizeHint);
        return _buffer.AsMemory(_position);
    }

    public void Advance(int count) => _position += count;

    public void Byte(byte value)
    {
        GetSpan(1)[0] = value;
        _position++;
    }

    public void Bool(bool value) => Byte(value ? (byte)1 : (byte)0);

    public void Fixed32(uint value)
    {
        BinaryPrimitives.WriteUInt32LittleEndian(GetSpan(4), value);
        _position += 4;
    }

    public void Fixed64(ulong value)
    {
        BinaryPrimitives.WriteUInt64LittleEndian(GetSpan(8), value);
        _position += 8;
    }

    public void VarUInt(ulong value)
    {
        Span<byte> span = GetSpan(10);
        int length = 0;
        for (; value >= 0x80; value >>= 7) span[length++] = (byte)(value | 0x80);
        span[length++] = (byte)value;
        _position += length;
    }

    public void VarInt(long value) => VarUInt((ulong)((value << 1) ^ (value >> 63)));

    public void Bytes(ReadOnlySpan<byte> value)
    {
        VarUInt((uint)value.Length);
        Raw(value);
    }

    public void Raw(ReadOnlySpan<byte> value)
    {
        value.CopyTo(GetSpan(value.Length));
        _position += value.Length;
    }

    /// <summary>A string; null is told from empty.</summary>
    public void String(string? value)
    {
        if (value is null)
        {
            VarUInt(0);
            return;
        }

        int length = Encoding.UTF8.GetByteCount(value);
        VarUInt((uint)length + 1);
        Encoding.UTF8.GetBytes(value, GetSpan(length));
        _position += length;
    }

    /// <summary>Leaves room for a 32-bit length of what follows; <see cref="EndLength"/> fills it in.</summary>
    public int BeginLength()
    {
        Fixed32(0);
        return _position;
    }

    public void EndLength(int start) => BinaryPrimitives.WriteUInt32LittleEndian(_buffer.AsSpan(start - 4), (uint)(_position - start));
}
