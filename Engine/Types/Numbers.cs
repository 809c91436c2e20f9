using System.Buffers.Text;
using System.Globalization;

namespace OrleansRedis.Engine;

/// <summary>Numbers as Redis reads and writes them.</summary>
internal static class Numbers
{
    /// <summary>Room enough for any double that <see cref="FormatDouble"/> writes.</summary>
    public const int LongestDouble = 40;

    /// <summary>
    /// Reads a 64-bit integer in its one canonical spelling (string2ll of Redis): no plus sign, no leading zeros, no blanks.
    /// What this accepts, formatting gives back byte for byte, so a string that passes may be stored as a number.
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

    /// <summary>Writes an integer in decimal; 20 bytes are enough. Returns how many it took.</summary>
    public static int FormatInt64(long value, Span<byte> into)
    {
        Utf8Formatter.TryFormat(value, into, out int length);
        return length;
    }

    /// <summary>
    /// Writes a double as Redis 7.4 does: the shortest decimal that reads back as the same double, plain up to 21 digits, inf, -inf, nan.
    /// </summary>
    public static int FormatDouble(double value, Span<byte> into)
    {
        if (double.IsNaN(value)) return Put("nan"u8, into);
        if (double.IsInfinity(value)) return Put(value > 0 ? "inf"u8 : "-inf"u8, into);
        if (value == Math.Truncate(value) && Math.Abs(value) < 1e15)
            return value == 0 && double.IsNegative(value) ? Put("-0"u8, into) : FormatInt64((long)value, into);
        value.TryFormat(into, out int length, "R", CultureInfo.InvariantCulture);
        return Respell(into, length);
    }

    /// <summary>.NET writes 1E+21 and 1.5E-07 where Redis writes 1e+21 and 1.5e-7, and each has its own idea when to use an exponent.</summary>
    private static int Respell(Span<byte> text, int length)
    {
        int exponentAt = text[..length].IndexOf((byte)'E');
        if (exponentAt < 0) return length;
        bool negative = text[0] == '-';
        Span<byte> digits = stackalloc byte[20];
        int count = 0, pointAfter = -1;
        for (int i = negative ? 1 : 0; i < exponentAt; i++)
        {
            if (text[i] == '.') pointAfter = count;
            else digits[count++] = text[i];
        }
        if (pointAfter < 0) pointAfter = count;
        int exponent = int.Parse(text[(exponentAt + 1)..length], NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture);
        // value = 0.d1d2d3… * 10^scale
        int scale = pointAfter + exponent, at = 0;
        if (negative) text[at++] = (byte)'-';
        if (scale is > 0 and <= 21)
        {
            for (int i = 0; i < Math.Max(scale, count); i++)
            {
                if (i == scale) text[at++] = (byte)'.';
                text[at++] = i < count ? digits[i] : (byte)'0';
            }
            return at;
        }
        if (scale is <= 0 and > -7)
        {
            text[at++] = (byte)'0';
            text[at++] = (byte)'.';
            for (int i = 0; i < -scale; i++) text[at++] = (byte)'0';
            digits[..count].CopyTo(text[at..]);
            return at + count;
        }
        text[at++] = digits[0];
        if (count > 1)
        {
            text[at++] = (byte)'.';
            digits[1..count].CopyTo(text[at..]);
            at += count - 1;
        }
        text[at++] = (byte)'e';
        text[at++] = (byte)(scale - 1 < 0 ? '-' : '+');
        return at + FormatInt64(Math.Abs(scale - 1), text[at..]);
    }

    private static int Put(ReadOnlySpan<byte> text, Span<byte> into)
    {
        text.CopyTo(into);
        return text.Length;
    }
}
