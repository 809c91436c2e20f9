using System.Buffers.Binary;
using System.Globalization;
using System.Runtime.CompilerServices;

namespace OrleansRedis.Engine;

/// <summary>
/// Reads the primitives of the RDB format from memory, or from a stream through a buffer. Malformed bytes throw
/// <see cref="RdbFormatException"/>, and bytes that end too soon throw <see cref="RdbTruncatedException"/>. A length
/// alone never makes it allocate more than the bytes left can account for.
/// </summary>
internal sealed class RdbReader
{
    /// <summary>LZF expands three bytes to at most 264, so a length beyond that ratio is false.</summary>
    private const int MostExpansion = 264;

    /// <summary>From this length on, a string is read straight into its array, not through the buffer.</summary>
    private const int Large = 32 * 1024;

    private readonly Stream? _source;
    private readonly long _length = -1; // the number of bytes to read; -1 if the stream cannot tell
    private readonly bool _checksums;
    private byte[] _buffer;
    private int _at;
    private int _end;
    private long _consumedBefore;
    private ulong _crc;
    private int _crcFrom;       // the CRC covers everything before this place in the buffer
    private byte[] _scratch = new byte[256];

    // Of LargeBuffers: what the last large string was read into, and its compressed form.
    private byte[] _large = [], _largeCompressed = [];
    private long _progress;

    public RdbReader(ReadOnlySpan<byte> bytes)
    {
        _buffer = bytes.Length >= Large ? LargeBuffers.Rent(bytes.Length) : GC.AllocateUninitializedArray<byte>(bytes.Length);
        bytes.CopyTo(_buffer);
        _end = bytes.Length;
        _length = _end;
    }

    /// <param name="source">Where to read from, starting at its current position.</param>
    /// <param name="checksums">Whether <see cref="Checksum"/> will be used.</param>
    /// <param name="bufferLength">How many bytes are read from the stream at once.</param>
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

    /// <summary>About how many bytes have been read; other threads may read it.</summary>
    public long Progress => Volatile.Read(ref _progress);

    /// <summary>
    /// What had to be put right in the value read last, for the log; null if nothing. Whoever logs it sets it to null.
    /// </summary>
    public string? Repair { get; set; }

    /// <summary>Whether all bytes have been read. Only meaningful when reading from memory.</summary>
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

    /// <summary>Reads a byte.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public byte Byte()
    {
        if (_at == _end) Fill(1);
        return _buffer[_at++];
    }

    /// <summary>The next bytes; valid until the next read.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public ReadOnlySpan<byte> Take(int count)
    {
        if (_end - _at < count) Fill(count);
        ReadOnlySpan<byte> taken = _buffer.AsSpan(_at, count);
        _at += count;
        return taken;
    }

    public RdbType Type() => (RdbType)Byte();

    /// <summary>Gives back what large buffers this has. There must be nothing to read any more.</summary>
    public void ReturnBuffers()
    {
        GiveBack(ref _large);
        GiveBack(ref _largeCompressed);
        if (_source is null && _length >= Large) GiveBack(ref _buffer);
    }

    /// <summary>Reads a length, or any other unsigned number.</summary>
    public ulong Length() => TryLength(out ulong length, out _) ? length : throw new RdbFormatException("A string's encoding stands where a length should.");

    /// <summary>Reads the number of elements that follow. It may be false: see <see cref="Plausible"/>.</summary>
    public long Count()
    {
        ulong count = Length();
        return count <= long.MaxValue ? (long)count : throw new RdbTruncatedException();
    }

    /// <summary>
    /// How many elements it is reasonable to make room for, if <paramref name="count"/> are announced and each takes at
    /// least <paramref name="leastBytesEach"/> bytes.
    /// </summary>
    public int Plausible(long count, int leastBytesEach) => (int)Math.Min(Math.Min(count, (BytesLeft() ?? (1 << 20)) / leastBytesEach), Array.MaxLength / 2);

    /// <summary>Reads a string into a new array.</summary>
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

    /// <summary>Reads a string without copying it, if possible. It is valid until the next read.</summary>
    public ReadOnlySpan<byte> StringSpan()
    {
        if (TryLength(out ulong length, out int encoding)) return Bytes(length, ref _large);
        if (encoding != RdbWriter.Compressed) return _scratch.AsSpan(0, Numbers.FormatInt64(Integer(encoding), _scratch));
        ReadOnlySpan<byte> compressed = Compressed(out int original);
        Span<byte> room = original >= Large ? LargeRoom(ref _large, original) : Room(ref _scratch, original);
        Decompress(compressed, room);
        return room;
    }

    /// <summary>
    /// Reads a string into <paramref name="room"/>, which is replaced by a larger array if necessary.
    /// </summary>
    public ReadOnlySpan<byte> String(ref byte[] room)
    {
        ReadOnlySpan<byte> value = StringSpan();
        Span<byte> copy = Room(ref room, value.Length);
        value.CopyTo(copy);
        return copy;
    }

    /// <summary>Reads a string that is the value of a key, and makes the key's entry.</summary>
    public KeyEntry StringEntry(ReadOnlySpan<byte> key, long expiresAtMs)
    {
        if (TryLength(out ulong length, out int encoding))
        {
            if (length < Large) return Engine.StringEntry.Create(key, Take((int)length), expiresAtMs);
            return new StringValue(key.ToArray(), Bytes(length, ref _large)) { ExpiresAtMs = expiresAtMs };
        }
        if (encoding != RdbWriter.Compressed) return Blob.CreateInteger(key, Integer(encoding), expiresAtMs);
        ReadOnlySpan<byte> compressed = Compressed(out int original);
        if (original <= Engine.StringEntry.ScratchLength)
        {
            // No writer compresses a string this short, but if one did, it may hold an integer's digits.
            Span<byte> digits = stackalloc byte[original];
            Decompress(compressed, digits);
            return Engine.StringEntry.Create(key, digits, expiresAtMs);
        }
        if (key.Length + original > Blob.LargestString)
        {
            Span<byte> value = LargeRoom(ref _large, original);
            Decompress(compressed, value);
            return new StringValue(key.ToArray(), value) { ExpiresAtMs = expiresAtMs };
        }
        var blob = Blob.CreateText(BlobKind.String, key, original, expiresAtMs, out Span<byte> text);
        try
        {
            Decompress(compressed, text);
        }
        catch
        {
            blob.Retire();
            throw;
        }
        return blob;
    }

    /// <summary>Reads a double of 8 bytes.</summary>
    public double Double() => BinaryPrimitives.ReadDoubleLittleEndian(Take(8));

    /// <summary>Reads a double as decimal text, the form of scores before version 8.</summary>
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

    /// <summary>Reads a time as Unix ms in 8 bytes.</summary>
    public long Milliseconds() => BinaryPrimitives.ReadInt64LittleEndian(Take(8));

    /// <summary>Reads a time as Unix seconds in 4 bytes.</summary>
    public int Seconds() => BinaryPrimitives.ReadInt32LittleEndian(Take(4));

    private static Span<byte> Room(ref byte[] room, int length)
    {
        if (room.Length < length) room = GC.AllocateUninitializedArray<byte>(Math.Max(length, room.Length * 2));
        return room.AsSpan(0, length);
    }

    private static Span<byte> LargeRoom(ref byte[] room, int length)
    {
        if (room.Length < length)
        {
            GiveBack(ref room);
            room = LargeBuffers.Rent(length);
        }
        return room.AsSpan(0, length);
    }

    private static void GiveBack(ref byte[] room)
    {
        if (room.Length != 0) LargeBuffers.Return(room);
        room = [];
    }

    private static void Decompress(ReadOnlySpan<byte> compressed, Span<byte> into)
    {
        if (!Lzf.TryDecompress(compressed, into)) throw new RdbFormatException("Invalid LZF compressed string");
    }

    /// <summary>Reads a length. False if a special encoding of a string is there instead.</summary>
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
        return Bytes(compressed, ref _largeCompressed);
    }

    /// <summary>Reads this many bytes into a new array.</summary>
    private byte[] OwnBytes(ulong length) => Bytes(length, ref _large).ToArray();

    /// <summary>
    /// Reads this many bytes, without copying them if possible, otherwise into <paramref name="room"/>. They are valid until
    /// the next read.
    /// </summary>
    private ReadOnlySpan<byte> Bytes(ulong length, ref byte[] room)
    {
        if (length > (ulong)(BytesLeft() ?? long.MaxValue)) throw new RdbTruncatedException();
        if (length > (ulong)Array.MaxLength) throw new RdbFormatException($"A string of {length} bytes, which is more than can be held.");
        return length < Large || _source is null ? Take((int)length) : LargeBytes((int)length, ref room);
    }

    /// <summary>Takes what is in the buffer, and reads the rest straight from the stream.</summary>
    private ReadOnlySpan<byte> LargeBytes(int length, ref byte[] room)
    {
        // If the stream cannot tell how much is left, the buffer grows only as bytes really arrive.
        Span<byte> result = LargeRoom(ref room, BytesLeft() is null ? Math.Min(length, 1 << 20) : length);
        int filled = Math.Min(length, _end - _at);
        Take(filled).CopyTo(result);
        TakeIntoChecksum();
        while (filled < length)
        {
            if (filled == result.Length)
            {
                byte[] full = room;
                room = [];
                result = LargeRoom(ref room, (int)Math.Min(length, result.Length * 2L));
                full.AsSpan(0, filled).CopyTo(result);
                LargeBuffers.Return(full);
            }
            int read = _source!.Read(result[filled..]);
            if (read == 0) throw new RdbTruncatedException();
            if (_checksums) _crc = Crc64.Append(_crc, result.Slice(filled, read));
            filled += read;
            _consumedBefore += read;
            Volatile.Write(ref _progress, Position);
        }
        return result;
    }

    /// <summary>How many bytes are left; null if the stream cannot tell.</summary>
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
