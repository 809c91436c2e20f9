using System.Buffers.Text;

namespace OrleansRedis.Engine;

/// <summary>Numbers as Redis reads and writes them. Integers are in this file, doubles in Doubles.cs.</summary>
public static partial class Numbers
{
    /// <summary>
    /// Reads a 64-bit integer in its one canonical spelling (string2ll of Redis): no plus sign, no leading zeros, no
    /// blanks. Formatting an accepted number gives back the same bytes, so a string that passes may be stored as a
    /// number.
    /// </summary>
    public static bool TryParseInt64(ReadOnlySpan<byte> text, out long value)
    {
        value = 0;
        if (text.Length is 0 or > 20) return false;
        if (text.Length == 1)
        {
            value = text[0] - '0';
            return (uint)value <= 9;
        }
        bool negative = text[0] == '-';
        ReadOnlySpan<byte> digits = negative ? text[1..] : text;
        if (digits.Length > 19 || (uint)(digits[0] - '1') > 8) return false;
        ulong magnitude = 0;
        foreach (byte b in digits)
        {
            uint digit = (uint)(b - '0');
            if (digit > 9) return false;
            magnitude = (magnitude * 10) + digit; // 19 digits fit into 64 bits unsigned
        }
        if (negative)
        {
            if (magnitude > 1UL << 63) return false;
            value = (long)(0 - magnitude);
            return true;
        }
        value = (long)magnitude;
        return magnitude <= long.MaxValue;
    }

    /// <summary>Writes an integer in decimal, in at most 20 bytes. Returns the number of bytes written.</summary>
    public static int FormatInt64(long value, Span<byte> into)
    {
        Utf8Formatter.TryFormat(value, into, out int length);
        return length;
    }
}
