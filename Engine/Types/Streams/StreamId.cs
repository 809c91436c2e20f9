using System.Buffers.Binary;

namespace OrleansRedis.Engine;

/// <summary>
/// The ID of a stream entry: Unix milliseconds and a sequence number, both unsigned, compared in this order.
/// </summary>
internal readonly record struct StreamId(ulong Ms, ulong Sequence) : IComparable<StreamId>
{
    /// <summary>Enough room for any ID's text: two numbers of 20 digits and the dash.</summary>
    public const int LongestText = 41;

    /// <summary>Bytes of an ID in files and in DUMP: both numbers big-endian.</summary>
    public const int EncodedLength = 16;

    public static StreamId Min => default;

    public static StreamId Max => new(ulong.MaxValue, ulong.MaxValue);

    public static bool operator <(StreamId left, StreamId right) => left.Ms != right.Ms ? left.Ms < right.Ms : left.Sequence < right.Sequence;

    public static bool operator >(StreamId left, StreamId right) => right < left;

    public static bool operator <=(StreamId left, StreamId right) => !(right < left);

    public static bool operator >=(StreamId left, StreamId right) => !(left < right);

    public int CompareTo(StreamId other) => this < other ? -1 : this == other ? 0 : 1;

    /// <summary>The next ID; false, and zero, if this is the last possible one.</summary>
    public bool TryNext(out StreamId next)
    {
        bool exists = this != Max; // before the assignment: next may be this very variable
        next = Sequence != ulong.MaxValue ? new(Ms, Sequence + 1) : Ms != ulong.MaxValue ? new(Ms + 1, 0) : Min;
        return exists;
    }

    /// <summary>The previous ID; false, and the last possible one, if this is zero.</summary>
    public bool TryPrevious(out StreamId previous)
    {
        bool exists = this != Min;
        previous = Sequence != 0 ? new(Ms, Sequence - 1) : Ms != 0 ? new(Ms - 1, ulong.MaxValue) : Max;
        return exists;
    }

    /// <summary>Writes "ms-seq"; returns its length.</summary>
    public int Format(Span<byte> into)
    {
        System.Buffers.Text.Utf8Formatter.TryFormat(Ms, into, out int length);
        into[length++] = (byte)'-';
        System.Buffers.Text.Utf8Formatter.TryFormat(Sequence, into[length..], out int more);
        return length + more;
    }

    /// <summary>Writes "ms-seq" as a bulk string.</summary>
    public void WriteTo(RespWriter reply)
    {
        Span<byte> text = stackalloc byte[LongestText];
        reply.BulkString(text[..Format(text)]);
    }

    public void Encode(Span<byte> into)
    {
        BinaryPrimitives.WriteUInt64BigEndian(into, Ms);
        BinaryPrimitives.WriteUInt64BigEndian(into[8..], Sequence);
    }

    public static StreamId Decode(ReadOnlySpan<byte> from) => new(BinaryPrimitives.ReadUInt64BigEndian(from), BinaryPrimitives.ReadUInt64BigEndian(from[8..]));

    /// <summary>
    /// Parses "ms-seq", or "ms" alone, which gets the given sequence number.
    /// </summary>
    public static bool TryParse(ReadOnlySpan<byte> text, ulong missingSequence, out StreamId id)
    {
        id = default;
        int dash = text.IndexOf((byte)'-');
        if (dash < 0)
        {
            if (!TryParseUInt64(text, out ulong only)) return false;
            id = new(only, missingSequence);
            return true;
        }
        if (!TryParseUInt64(text[..dash], out ulong ms) || !TryParseUInt64(text[(dash + 1)..], out ulong sequence)) return false;
        id = new(ms, sequence);
        return true;
    }

    /// <summary>Parses "ms-*", an ID whose sequence number is yet to be chosen.</summary>
    public static bool TryParseOpen(ReadOnlySpan<byte> text, out ulong ms)
    {
        ms = 0;
        return text.EndsWith("-*"u8) && TryParseUInt64(text[..^2], out ms);
    }

    /// <summary>
    /// Parses an unsigned decimal; leading zeros, blanks and a plus sign are allowed, as in Redis, which parses IDs
    /// with strtoull.
    /// </summary>
    private static bool TryParseUInt64(ReadOnlySpan<byte> text, out ulong value)
    {
        value = 0;
        if (text.Length > 100) return false;
        text = text.TrimStart(" \t\n\v\f\r"u8);
        if (!text.IsEmpty && text[0] == '+') text = text[1..];
        if (text.IsEmpty) return false;
        foreach (byte b in text)
        {
            uint digit = (uint)(b - '0');
            if (digit > 9 || value > (ulong.MaxValue - digit) / 10) return false;
            value = (value * 10) + digit;
        }
        return true;
    }
}
