using System.Buffers.Text;
using System.Runtime.CompilerServices;
using System.Text;

namespace OrleansRedis.Engine;

/// <summary>
/// Writes replies (and effects) as RESP2 or RESP3 (https://redis.io/docs/latest/develop/reference/protocol-spec/) into
/// a buffer of its own, which grows into <see cref="LargeBuffers"/> as needed. A type that RESP2 lacks is written as
/// Redis writes it for a RESP2 client: a map as a flat array, a double as a bulk string, a null as the null bulk
/// string.
/// </summary>
public sealed class RespWriter
{
    private const int InitialSize = 4096;
    private const int LargestKept = 64 * 1024;

    // from LargeBuffers only if it is larger than at first
    private byte[] _buffer = GC.AllocateUninitializedArray<byte>(InitialSize);
    private int _length;

    /// <summary>Whether the client has said HELLO 3.</summary>
    public bool Resp3 { get; set; }

    /// <summary>
    /// The most bytes it may hold, checked when its buffer grows. What is written beyond that is dropped if
    /// <see cref="Overflow"/> is set, so that a command may go on to its end, as in Redis; otherwise writing fails.
    /// </summary>
    public int Most { get; set; } = System.Array.MaxLength;

    /// <summary>
    /// Called once, by whoever writes more than <see cref="Most"/> bytes. From then on, until <see cref="Clear"/> and a new
    /// <see cref="Most"/>, everything is dropped.
    /// </summary>
    public Action? Overflow { get; init; }

    /// <summary>
    /// Whether more was written than <see cref="Most"/> bytes. A command that writes very many elements stops then.
    /// </summary>
    public bool HasOverflowed { get; private set; }

    /// <summary>The number of bytes waiting to be sent.</summary>
    public int Length => _length;

    /// <summary>The number of bytes that the buffer has room for.</summary>
    public int Capacity => _buffer.Length;

    /// <summary>The bytes waiting to be sent.</summary>
    public ReadOnlySpan<byte> Written => _buffer.AsSpan(0, _length);

    /// <summary>
    /// The bytes written after the first <paramref name="mark"/>; none if they have been dropped meanwhile.
    /// </summary>
    public ReadOnlySpan<byte> WrittenSince(int mark) => mark < _length ? _buffer.AsSpan(mark, _length - mark) : default;

    /// <summary>The bytes waiting to be sent, as memory; valid until the next write or <see cref="Clear"/>.</summary>
    public ReadOnlyMemory<byte> WrittenMemory => _buffer.AsMemory(0, _length);

    /// <summary>Forgets everything written, and gives a buffer that has grown large back.</summary>
    public void Clear()
    {
        if (_buffer.Length > LargestKept) LargeBuffers.Return(Detach(out _));
        else _length = 0;
        HasOverflowed = false;
    }

    /// <summary>If nothing is written, replaces a larger buffer by one of about this size.</summary>
    public void ShrinkTo(int size)
    {
        if (_length != 0 || _buffer.Length <= size) return;
        byte[] larger = _buffer;
        _buffer = size <= InitialSize ? GC.AllocateUninitializedArray<byte>(size) : LargeBuffers.Rent(size);
        if (larger.Length > InitialSize) LargeBuffers.Return(larger);
    }

    /// <summary>
    /// Hands over what is written together with its buffer, and starts again with a new one. The caller gives a buffer
    /// that has grown to <see cref="LargeBuffers"/> when it is done.
    /// </summary>
    public byte[] Detach(out int length)
    {
        byte[] written = _buffer;
        length = _length;
        _buffer = GC.AllocateUninitializedArray<byte>(InitialSize);
        _length = 0;
        return written;
    }

    /// <summary>Drops everything written after the first <paramref name="length"/> bytes.</summary>
    public void TruncateTo(int length) => _length = Math.Min(_length, length);

    /// <summary>+text</summary>
    public void SimpleString(ReadOnlySpan<byte> text) => Line((byte)'+', text);

    /// <summary>+OK</summary>
    public void Ok() => Raw("+OK\r\n"u8);

    /// <summary>
    /// -text. The text begins with the error's code ("ERR …", "WRONGTYPE …"); line breaks in it become spaces.
    /// </summary>
    public void Error(ReadOnlySpan<byte> text)
    {
        Line((byte)'-', text);
        Span<byte> written = _buffer.AsSpan(_length - 2 - text.Length, text.Length);
        written.Replace((byte)'\r', (byte)' ');
        written.Replace((byte)'\n', (byte)' ');
    }

    /// <summary>
    /// -text, from a string. Anything that it quotes from a request must have been decoded as Latin-1, so that the
    /// client gets its own bytes back.
    /// </summary>
    public void Error(string text) => Error(Encoding.Latin1.GetBytes(text));

    /// <summary>:value</summary>
    public void Integer(long value)
    {
        if ((ulong)value <= 9)
        {
            Span<byte> span = Reserve(4);
            span[0] = (byte)':';
            span[1] = (byte)('0' + value);
            span[2] = (byte)'\r';
            span[3] = (byte)'\n';
            _length += 4;
            return;
        }
        Header((byte)':', value);
    }

    /// <summary>A boolean; 0 or 1 in RESP2.</summary>
    public void Boolean(bool value)
    {
        if (Resp3) Raw(value ? "#t\r\n"u8 : "#f\r\n"u8);
        else Integer(value ? 1 : 0);
    }

    /// <summary>$length bytes</summary>
    public void BulkString(ReadOnlySpan<byte> value)
    {
        Header((byte)'$', value.Length);
        Span<byte> span = Reserve(value.Length + 2);
        value.CopyTo(span);
        span[value.Length] = (byte)'\r';
        span[value.Length + 1] = (byte)'\n';
        _length += value.Length + 2;
    }

    /// <summary>A bulk string from text, as UTF-8.</summary>
    public void BulkString(string value) => BulkString(Encoding.UTF8.GetBytes(value));

    /// <summary>An integer as a bulk string.</summary>
    public void BulkInteger(long value)
    {
        Span<byte> digits = stackalloc byte[20];
        Utf8Formatter.TryFormat(value, digits, out int length);
        BulkString(digits[..length]);
    }

    /// <summary>
    /// A double: RESP3's own type, or a bulk string. Spelled as Redis does (shortest form; inf, -inf, nan).
    /// </summary>
    public void Double(double value)
    {
        Span<byte> text = stackalloc byte[Numbers.LongestDouble];
        Double(text[..Numbers.FormatDouble(value, text)]);
    }

    /// <summary>A double that is already spelled out.</summary>
    public void Double(ReadOnlySpan<byte> text)
    {
        if (Resp3) Line((byte)',', text);
        else BulkString(text);
    }

    /// <summary>A number too large for an integer; a bulk string in RESP2.</summary>
    public void BigNumber(ReadOnlySpan<byte> digits)
    {
        if (Resp3) Line((byte)'(', digits);
        else BulkString(digits);
    }

    /// <summary>Text with a three-letter format ("txt", "mkd"); a bulk string in RESP2.</summary>
    public void Verbatim(ReadOnlySpan<byte> format, ReadOnlySpan<byte> text)
    {
        if (!Resp3)
        {
            BulkString(text);
            return;
        }
        Header((byte)'=', text.Length + 4);
        Raw(format);
        Raw(":"u8);
        Raw(text);
        Raw("\r\n"u8);
    }

    /// <summary>No value: RESP3's null, or the null bulk string.</summary>
    public void Null() => Raw(Resp3 ? "_\r\n"u8 : "$-1\r\n"u8);

    /// <summary>No array: RESP3's null, or the null array.</summary>
    public void NullArray() => Raw(Resp3 ? "_\r\n"u8 : "*-1\r\n"u8);

    /// <summary>An array of this many elements follows.</summary>
    public void Array(long count) => Header((byte)'*', count);

    /// <summary>A map of this many pairs follows.</summary>
    public void Map(int pairs) => Header(Resp3 ? (byte)'%' : (byte)'*', Resp3 ? pairs : pairs * 2L);

    /// <summary>A set of this many elements follows.</summary>
    public void Set(int count) => Header(Resp3 ? (byte)'~' : (byte)'*', count);

    /// <summary>An out-of-band message of this many elements follows.</summary>
    public void Push(int count) => Header(Resp3 ? (byte)'>' : (byte)'*', count);

    /// <summary>Attributes of the next reply, this many pairs; only for RESP3.</summary>
    public void Attribute(int pairs) => Header((byte)'|', pairs);

    /// <summary>
    /// Begins an array, map or set whose size is not known yet. Returns the position to pass to <see cref="Finish"/>,
    /// which ends it.
    /// </summary>
    public int Begin() => _length;

    /// <summary>Inserts the header of an aggregate before everything written since <see cref="Begin"/>.</summary>
    public void Finish(int begin, Aggregate kind, int count)
    {
        Span<byte> header = stackalloc byte[16];
        header[0] = kind switch
        {
            Aggregate.Map when Resp3 => (byte)'%',
            Aggregate.Set when Resp3 => (byte)'~',
            _ => (byte)'*',
        };
        Utf8Formatter.TryFormat(kind == Aggregate.Map && !Resp3 ? count * 2L : count, header[1..], out int digits);
        int length = digits + 3;
        header[length - 2] = (byte)'\r';
        header[length - 1] = (byte)'\n';
        Insert(begin, header[..length]);
    }

    /// <summary>
    /// Inserts bytes that are already RESP before everything written since <paramref name="position"/>.
    /// </summary>
    public void Insert(int position, ReadOnlySpan<byte> bytes)
    {
        Reserve(bytes.Length);
        if (position > _length) return; // dropped
        _buffer.AsSpan(position, _length - position).CopyTo(_buffer.AsSpan(position + bytes.Length));
        bytes.CopyTo(_buffer.AsSpan(position));
        _length += bytes.Length;
    }

    /// <summary>Bytes that are already RESP.</summary>
    public void Raw(ReadOnlySpan<byte> bytes)
    {
        bytes.CopyTo(Reserve(bytes.Length));
        _length += bytes.Length;
    }

    /// <summary>
    /// A reply of at least this many bytes is about to be written, unless it overflows: then nothing of it need be.
    /// </summary>
    /// <returns>Whether to write it.</returns>
    public bool TryAnnounce(long leastBytes)
    {
        if (_length + leastBytes > Most) Drop(0);
        return !HasOverflowed;
    }

    /// <summary>Room for at least <paramref name="length"/> bytes, to be filled directly.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private Span<byte> Reserve(int length)
    {
        if (_buffer.Length - _length < length) Grow(length);
        return _buffer.AsSpan(_length);
    }

    private void Line(byte marker, ReadOnlySpan<byte> text)
    {
        Span<byte> span = Reserve(text.Length + 3);
        span[0] = marker;
        text.CopyTo(span[1..]);
        span[text.Length + 1] = (byte)'\r';
        span[text.Length + 2] = (byte)'\n';
        _length += text.Length + 3;
    }

    private void Header(byte marker, long value)
    {
        Span<byte> span = Reserve(24);
        span[0] = marker;
        int digits;
        if ((ulong)value < 10)
        {
            span[1] = (byte)('0' + value);
            digits = 1;
        }
        else
        {
            Utf8Formatter.TryFormat(value, span[1..], out digits);
        }
        span[digits + 1] = (byte)'\r';
        span[digits + 2] = (byte)'\n';
        _length += digits + 3;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private void Grow(int length)
    {
        long needed = (long)_length + length;
        if (needed > Most)
        {
            Drop(length);
            return;
        }
        byte[] smaller = _buffer;
        byte[] larger = needed <= InitialSize
            ? GC.AllocateUninitializedArray<byte>(InitialSize)
            : LargeBuffers.Rent((int)Math.Min(System.Array.MaxLength, Math.Max(needed, Math.Max(InitialSize, smaller.Length) * 2L)));
        Written.CopyTo(larger);
        _buffer = larger;
        if (smaller.Length > InitialSize) LargeBuffers.Return(smaller);
    }

    /// <summary>Gives up what was written, and makes room for something that will be dropped as well.</summary>
    private void Drop(int length)
    {
        if (Overflow is null) throw new InsufficientMemoryException($"A reply of more than {Most} bytes.");
        if (_buffer.Length < length || _buffer.Length > LargestKept)
        {
            if (_buffer.Length > InitialSize) LargeBuffers.Return(_buffer);
            _buffer = LargeBuffers.Rent(Math.Max(InitialSize, length));
        }
        _length = 0;
        Most = 0;
        if (HasOverflowed) return;
        HasOverflowed = true;
        Overflow();
    }
}

/// <summary>The aggregate types whose size may become known only at their end.</summary>
public enum Aggregate
{
    Array,
    Map,
    Set,
}
