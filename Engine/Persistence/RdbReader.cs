using System.Buffers.Binary;
using System.Globalization;
using System.Runtime.CompilerServices;

namespace OrleansRedis.Engine;

/// <summary>
/// Reads the primitives of the RDB format from memory, or from a stream through a buffer. What is not well-formed throws
/// <see cref="RdbFormatException"/>, and what ends too soon <see cref="RdbTruncatedException"/>; nothing is allocated on the word of a length
/// that the bytes cannot bear out.
/// </summary>
internal sealed class RdbReader
{
    /// <summary>LZF makes of three bytes 264 at most; a length beyond that is a lie.</summary>
    private const int MostExpansion = 264;

    /// <summary>A string is not read through the buffer from this length on, but straight into its array.</summary>
    private const int Large = 32 * 1024;

    private readonly Stream? _source;
    private readonly long _length = -1; // of all there is to read; -1 if the stream cannot say
    private readonly bool _checksums;
    private byte[] _buffer;
    private int _at;
    private int _end;
    private long _consumedBefore;
    private ulong _crc;
    private int _crcFrom;       // the CRC covers what was read before this place in the buffer
    private byte[] _scratch = new byte[256];
    private long _progress;

    public RdbReader(ReadOnlySpan<byte> bytes)
    {
        _buffer = bytes.ToArray();
        _end = _buffer.Length;
        _length = _end;
    }

    /// <param name="source">Where from, from its position on.</param>
    /// <param name="checksums">Whether <see cref="Checksum"/> will be asked for.</param>
    /// <param name="bufferLength">How much is read from the stream at once.</param>
    public RdbReader(Stream source, bool checksums = false, int bufferLength = 2 * Large)
    {
        _source = source;
        _checksums = checksums;
        if (source.CanSeek) _length = source.Length - source.Position;
        if (_length >= 0) bufferLength = (int)Math.Min(bufferLength, _length);
        _buffer = GC.AllocateUninitializedArray<byte>(Math.Max(bufferLength, 2 * Large));
    }

    /// <summary>How many bytes have been read.</summary>
    public long Position => _consumedBefore + _at;

    /// <summary>About how many bytes have been read; for other threads to ask.</summary>
    public long Progress => Volatile.Read(ref _progress);

    /// <summary>Whether all bytes have been read; for memory only.</summary>
    public bool AtEnd => _at == _end && _source is null;

    /// <summary>The CRC-64 of everything read so far.</summary>
    public ulong Checksum
    {
        get
        {
            TakeIntoChecksum();
            return _crc;
        }
    }

    /// <summary>A byte.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public byte Byte()
    {
        if (_at == _end) Fill(1);
        return _buffer[_at++];
    }

    /// <summary>The next bytes, valid until the next read.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
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

    /// <summary>A number of elements that are still to come. It may be a lie: see <see cref="Plausible"/>.</summary>
    public long Count()
    {
        ulong count = Length();
        return count <= long.MaxValue ? (long)count : throw new RdbTruncatedException();
    }

    /// <summary>For how many of so many announced things, each of so many bytes at least, it is right to make room beforehand.</summary>
    public int Plausible(long count, int leastBytesEach) => (int)Math.Min(Math.Min(count, (BytesLeft() ?? (1 << 20)) / leastBytesEach), Array.MaxLength / 2);

    /// <summary>A string as an array of its own.</summary>
    public byte[] String()
    {
        if (TryLength(out ulong length, out int encoding)) return OwnBytes(length);
        if (encoding != RdbWriter.Compressed)
        {
            Span<byte> digits = stackalloc byte[20];
            return digits[..Numbers.FormatInt64(Integer(encoding), digits)].ToArray();
        }
        ReadOnlySpan<byte> compressed = Compressed(out int original);
        byte[] result = GC.AllocateUninitializedArray<byte>(original);
        Decompress(compressed, result);
        return result;
    }

    /// <summary>A string where it lies, valid until the next read.</summary>
    public ReadOnlySpan<byte> StringSpan()
    {
        if (TryLength(out ulong length, out int encoding)) return length >= Large ? OwnBytes(length) : Take((int)length);
        if (encoding != RdbWriter.Compressed) return _scratch.AsSpan(0, Numbers.FormatInt64(Integer(encoding), _scratch));
        ReadOnlySpan<byte> compressed = Compressed(out int original);
        Span<byte> room = original >= Large ? GC.AllocateUninitializedArray<byte>(original) : Room(ref _scratch, original);
        Decompress(compressed, room);
        return room;
    }

    /// <summary>A string, copied to <paramref name="room"/>, which is made larger if need be.</summary>
    public ReadOnlySpan<byte> String(ref byte[] room)
    {
        ReadOnlySpan<byte> value = StringSpan();
        Span<byte> copy = Room(ref room, value.Length);
        value.CopyTo(copy);
        return copy;
    }

    /// <summary>A string that is the value of a key, as its entry.</summary>
    public object StringEntry(ReadOnlySpan<byte> key, long expiresAtMs)
    {
        if (TryLength(out ulong length, out int encoding))
        {
            if (length < Large) return Engine.StringEntry.Create(key, Take((int)length), expiresAtMs);
            byte[] value = OwnBytes(length);
            return new StringValue(key.ToArray(), value, value.Length) { ExpiresAtMs = expiresAtMs };
        }
        if (encoding != RdbWriter.Compressed) return Engine.StringEntry.Create(key, Integer(encoding), expiresAtMs);
        ReadOnlySpan<byte> compressed = Compressed(out int original);
        if (original <= Engine.StringEntry.ScratchLength)
        {
            // Nobody compresses so little, but it may be an integer's digits.
            Span<byte> digits = stackalloc byte[original];
            Decompress(compressed, digits);
            return Engine.StringEntry.Create(key, digits, expiresAtMs);
        }
        if (key.Length + original > Blob.LargestPayload)
        {
            byte[] value = GC.AllocateUninitializedArray<byte>(original);
            Decompress(compressed, value);
            return new StringValue(key.ToArray(), value, original) { ExpiresAtMs = expiresAtMs };
        }
        byte[] blob = Blob.Create(BlobKind.String, key, original, expiresAtMs, out Span<byte> payload);
        Decompress(compressed, payload);
        return blob;
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

    /// <summary>A time as Unix seconds in 4 bytes.</summary>
    public int Seconds() => BinaryPrimitives.ReadInt32LittleEndian(Take(4));

    private static Span<byte> Room(ref byte[] room, int length)
    {
        if (room.Length < length) room = GC.AllocateUninitializedArray<byte>(Math.Max(length, room.Length * 2));
        return room.AsSpan(0, length);
    }

    private static void Decompress(ReadOnlySpan<byte> compressed, Span<byte> into)
    {
        if (!Lzf.TryDecompress(compressed, into)) throw new RdbFormatException("Invalid LZF compressed string");
    }

    /// <summary>False if it is a string's special encoding instead.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private bool TryLength(out ulong length, out int encoding)
    {
        byte first = Byte();
        encoding = 0;
        length = first;
        return first < RdbWriter.Length14Bits || TryLongLength(first, out length, out encoding);
    }

    private bool TryLongLength(byte first, out ulong length, out int encoding)
    {
        encoding = first & 63;
        switch (first & 0xc0)
        {
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
            case RdbWriter.Special:
                throw new RdbFormatException($"Unknown RDB string encoding type {encoding}");
            default:
                throw new RdbFormatException($"Unknown length encoding {first} in rdbLoadLen()");
        }
    }

    private long Integer(int encoding) => encoding switch
    {
        RdbWriter.Int8 => (sbyte)Byte(),
        RdbWriter.Int16 => BinaryPrimitives.ReadInt16LittleEndian(Take(2)),
        _ => BinaryPrimitives.ReadInt32LittleEndian(Take(4)),
    };

    private ReadOnlySpan<byte> Compressed(out int original)
    {
        ulong compressed = Length(), length = Length();
        if (length == 0 || compressed > (ulong)Array.MaxLength || length > compressed * MostExpansion || length > (ulong)Array.MaxLength)
            throw new RdbFormatException("Invalid LZF compressed string");
        original = (int)length;
        return compressed >= Large ? OwnBytes(compressed) : Take((int)compressed);
    }

    /// <summary>So many bytes as an array of their own.</summary>
    private byte[] OwnBytes(ulong length)
    {
        if (length > (ulong)(BytesLeft() ?? long.MaxValue)) throw new RdbTruncatedException();
        if (length > (ulong)Array.MaxLength) throw new RdbFormatException($"A string of {length} bytes, which is more than can be held.");
        if (length < Large || _source is null) return Take((int)length).ToArray();
        return LargeArray((int)length);
    }

    /// <summary>What the buffer has of it, then the rest straight from the stream.</summary>
    private byte[] LargeArray(int length)
    {
        // If the stream cannot say how much is left, the array grows as bytes really come.
        byte[] result = GC.AllocateUninitializedArray<byte>(BytesLeft() is null ? Math.Min(length, 1 << 20) : length);
        int filled = Math.Min(length, _end - _at);
        Take(filled).CopyTo(result);
        TakeIntoChecksum();
        while (filled < length)
        {
            if (filled == result.Length) Array.Resize(ref result, (int)Math.Min(length, result.Length * 2L));
            int read = _source!.Read(result, filled, result.Length - filled);
            if (read == 0) throw new RdbTruncatedException();
            if (_checksums) _crc = Crc64.Append(_crc, result.AsSpan(filled, read));
            filled += read;
            _consumedBefore += read;
            Volatile.Write(ref _progress, Position);
        }
        return result;
    }

    /// <summary>How many bytes there are yet; null if the stream cannot say.</summary>
    private long? BytesLeft() => _length < 0 ? null : _length - Position;

    private void TakeIntoChecksum()
    {
        if (_checksums) _crc = Crc64.Append(_crc, _buffer.AsSpan(_crcFrom, _at - _crcFrom));
        _crcFrom = _at;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private void Fill(int count)
    {
        if (_source is null) throw new RdbTruncatedException();
        int kept = _end - _at;
        while (kept < count)
        {
            TakeIntoChecksum();
            _consumedBefore += _at;
            if (_at > 0) _buffer.AsSpan(_at, kept).CopyTo(_buffer);
            _at = _crcFrom = 0;
            _end = kept;
            int read = _source.Read(_buffer, kept, _buffer.Length - kept);
            if (read == 0) throw new RdbTruncatedException();
            kept += read;
            _end = kept;
            Volatile.Write(ref _progress, _consumedBefore);
        }
    }
}
