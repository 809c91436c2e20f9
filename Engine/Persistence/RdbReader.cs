using System.Buffers.Binary;
using System.Globalization;

namespace OrleansRedis.Engine;

/// <summary>
/// Reads the primitives of the RDB format from memory, or from a stream through a buffer. What is not well-formed, or ends too soon,
/// throws <see cref="RdbFormatException"/>; nothing is allocated on the word of a length that the bytes cannot bear out.
/// </summary>
internal sealed class RdbReader
{
    /// <summary>LZF makes of three bytes 264 at most; a length beyond that is a lie.</summary>
    private const int MostExpansion = 264;

    private readonly Stream? _source;
    private byte[] _buffer;
    private int _at;
    private int _end;
    private long _consumedBefore;

    public RdbReader(ReadOnlySpan<byte> bytes)
    {
        _buffer = bytes.ToArray();
        _end = _buffer.Length;
    }

    public RdbReader(Stream source)
    {
        _source = source;
        _buffer = new byte[64 * 1024];
    }

    /// <summary>How many bytes have been read.</summary>
    public long Position => _consumedBefore + _at;

    /// <summary>Whether all bytes have been read; for memory only.</summary>
    public bool AtEnd => _at == _end && _source is null;

    public byte Byte() => Take(1)[0];

    /// <summary>The next bytes, valid until the next read.</summary>
    public ReadOnlySpan<byte> Take(int count)
    {
        if (_end - _at < count) Fill(count);
        ReadOnlySpan<byte> taken = _buffer.AsSpan(_at, count);
        _at += count;
        return taken;
    }

    public RdbType Type() => (RdbType)Byte();

    /// <summary>A length, or any unsigned number.</summary>
    public ulong Length() => TryLength(out ulong length, out _) ? length : throw new RdbFormatException("A string's encoding stands where a length should.");

    /// <summary>A number of elements that are still to come, each at least a byte long.</summary>
    public long Count()
    {
        ulong count = Length();
        if (count > long.MaxValue || (_source is null && count > (ulong)(_end - _at))) throw new RdbFormatException($"{count} elements in fewer bytes.");
        return (long)count;
    }

    /// <summary>A string as an array of its own.</summary>
    public byte[] String()
    {
        if (TryLength(out ulong length, out int encoding)) return Take(Checked(length)).ToArray();
        if (encoding == RdbWriter.Compressed) return Decompress();
        Span<byte> digits = stackalloc byte[20];
        return digits[..Numbers.FormatInt64(Integer(encoding), digits)].ToArray();
    }

    /// <summary>A double as 8 bytes.</summary>
    public double Double() => BinaryPrimitives.ReadDoubleLittleEndian(Take(8));

    /// <summary>A double as decimal text, as versions before 8 wrote scores.</summary>
    public double TextDouble()
    {
        byte length = Byte();
        switch (length)
        {
            case 255: return double.NegativeInfinity;
            case 254: return double.PositiveInfinity;
            case 253: return double.NaN;
            default:
                if (double.TryParse(Take(length), NumberStyles.Float, CultureInfo.InvariantCulture, out double value)) return value;
                throw new RdbFormatException("A score that is no number.");
        }
    }

    /// <summary>A time as Unix ms in 8 bytes.</summary>
    public long Milliseconds() => BinaryPrimitives.ReadInt64LittleEndian(Take(8));

    /// <summary>False if it is a string's special encoding instead.</summary>
    private bool TryLength(out ulong length, out int encoding)
    {
        byte first = Byte();
        encoding = first & 63;
        switch (first & 0xc0)
        {
            case 0:
                length = first;
                return true;
            case RdbWriter.Length14Bits:
                length = ((ulong)(first & 63) << 8) | Byte();
                return true;
            case RdbWriter.Length32Bits when first == RdbWriter.Length32Bits:
                length = BinaryPrimitives.ReadUInt32BigEndian(Take(4));
                return true;
            case RdbWriter.Length32Bits when first == RdbWriter.Length64Bits:
                length = BinaryPrimitives.ReadUInt64BigEndian(Take(8));
                return true;
            case RdbWriter.Special when encoding <= RdbWriter.Compressed:
                length = 0;
                return false;
            default:
                throw new RdbFormatException($"A length that begins with {first}.");
        }
    }

    private long Integer(int encoding) => encoding switch
    {
        RdbWriter.Int8 => (sbyte)Byte(),
        RdbWriter.Int16 => BinaryPrimitives.ReadInt16LittleEndian(Take(2)),
        _ => BinaryPrimitives.ReadInt32LittleEndian(Take(4)),
    };

    private byte[] Decompress()
    {
        int compressed = Checked(Length());
        ulong length = Length();
        if (length == 0 || length > (ulong)compressed * MostExpansion || length > (ulong)Array.MaxLength) throw new RdbFormatException($"{compressed} bytes that would be {length}.");
        ReadOnlySpan<byte> bytes = Take(compressed);
        byte[] result = GC.AllocateUninitializedArray<byte>((int)length);
        if (!Lzf.TryDecompress(bytes, result)) throw new RdbFormatException("A compressed string is damaged.");
        return result;
    }

    private int Checked(ulong length)
    {
        if (length > (ulong)Array.MaxLength || (_source is null && length > (ulong)(_end - _at))) throw new RdbFormatException($"A string of {length} bytes goes beyond the end.");
        return (int)length;
    }

    private void Fill(int count)
    {
        if (_source is null) throw new RdbFormatException("The bytes end too soon.");
        int kept = _end - _at;
        // The buffer grows as bytes really come, not on the word of a length.
        while (kept < count)
        {
            _consumedBefore += _at;
            if (_at > 0) _buffer.AsSpan(_at, kept).CopyTo(_buffer);
            _at = 0;
            if (kept == _buffer.Length) Array.Resize(ref _buffer, (int)Math.Min(Array.MaxLength, Math.Min(Math.Max((long)count, _buffer.Length), _buffer.Length * 4L)));
            int read = _source.Read(_buffer, kept, _buffer.Length - kept);
            if (read == 0) throw new RdbFormatException("The bytes end too soon.");
            kept += read;
            _end = kept;
        }
    }
}
