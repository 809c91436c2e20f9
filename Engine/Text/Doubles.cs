using System.Globalization;
using System.Runtime.CompilerServices;

namespace OrleansRedis.Engine;

public static partial class Numbers
{
    /// <summary>The most bytes that <see cref="FormatDouble"/> writes.</summary>
    public const int LongestDouble = 40;

    /// <summary>
    /// Whether Redis writes this double as an integer (double2ll): it is whole, and its magnitude is at most 2^62.
    /// Minus zero counts, as 0.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool IsWhole(double value, out long whole)
    {
        whole = 0;
        if (!(value >= -(double)(1L << 62) && value <= 1L << 62)) return false;
        whole = (long)value;
        return whole == value;
    }

    /// <summary>
    /// Writes a double as Redis 7.4 does (d2string): a whole number up to 2^62 as an integer, anything else as the
    /// shortest decimal that reads back as the same double, in the layout of fpconv
    /// (https://github.com/night-shift/fpconv). The special values are inf, -inf, nan and -0.
    /// </summary>
    public static int FormatDouble(double value, Span<byte> into)
    {
        if (value == 0) return Put(double.IsNegative(value) ? "-0"u8 : "0"u8, into);
        if (IsWhole(value, out long whole)) return FormatInt64(whole, into);
        if (double.IsNaN(value)) return Put("nan"u8, into);
        if (double.IsInfinity(value)) return Put(value > 0 ? "inf"u8 : "-inf"u8, into);

        Span<byte> text = stackalloc byte[LongestDouble], digits = stackalloc byte[20];
        // "R" gives the shortest digits, in one of two layouts. Both are taken apart into digits * 10^exponent.
        value.TryFormat(text, out int length, "R", CultureInfo.InvariantCulture);
        int count = 0, exponent = 0;
        bool fraction = false;
        for (int i = 0; i < length; i++)
        {
            byte letter = text[i];
            if (letter == '-') continue;
            if (letter == '.')
            {
                fraction = true;
            }
            else if (letter == 'E')
            {
                exponent += int.Parse(text[(i + 1)..length], NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture);
                break;
            }
            else
            {
                if (count > 0 || letter != '0') digits[count++] = letter;
                if (fraction) exponent--;
            }
        }
        while (digits[count - 1] == '0')
        {
            count--;
            exponent++;
        }
        int at = 0;
        if (value < 0) into[at++] = (byte)'-';
        return at + Lay(digits[..count], exponent, into[at..]);
    }

    /// <summary>
    /// Reads a double as Redis reads a command's argument (string2d). The whole text must be what strtod takes: decimal
    /// or hexadecimal, inf or infinity. Refused are nan, leading blanks, and numbers too large or too small for a
    /// double.
    /// </summary>
    public static bool TryParseDouble(ReadOnlySpan<byte> text, out double value)
    {
        if (TryParseShortWhole(text, out value)) return true;
        return TryParseNumber(text, out value, out bool outOfRange) && !outOfRange;
    }

    /// <summary>
    /// Reads a double as Redis reads a bound of a range of scores (strtod up to a zero byte): leading blanks are
    /// skipped, an empty text is 0, a number that is too large is infinite, and one that is too small is 0. nan is
    /// refused.
    /// </summary>
    public static bool TryParseDoubleLeniently(ReadOnlySpan<byte> text, out double value)
    {
        if (TryParseShortWhole(text, out value)) return true;
        int zero = text.IndexOf((byte)0);
        if (zero >= 0) text = text[..zero];
        if (text.Length == 0) return true;
        while (text.Length > 0 && IsBlank(text[0])) text = text[1..];
        return TryParseNumber(text, out value, out _);
    }

    /// <summary>The common case: up to 15 digits, which a double holds exactly.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static bool TryParseShortWhole(ReadOnlySpan<byte> text, out double value)
    {
        value = 0;
        if ((uint)(text.Length - 1) > 14) return false;
        long whole = 0;
        foreach (byte letter in text)
        {
            uint digit = (uint)(letter - '0');
            if (digit > 9) return false;
            whole = (whole * 10) + digit;
        }
        value = whole;
        return true;
    }

    private static bool TryParseNumber(ReadOnlySpan<byte> text, out double value, out bool outOfRange)
    {
        value = 0;
        outOfRange = false;
        ReadOnlySpan<byte> unsigned = text.Length > 0 && text[0] is (byte)'-' or (byte)'+' ? text[1..] : text;
        bool negative = text.Length > 0 && text[0] == '-';
        if (unsigned.Is("inf"u8) || unsigned.Is("infinity"u8))
        {
            value = negative ? double.NegativeInfinity : double.PositiveInfinity;
            return true;
        }
        if (unsigned.Length > 2 && unsigned[0] == '0' && (unsigned[1] | 0x20) == 'x')
        {
            if (!TryParseHexadecimal(unsigned[2..], out value, out outOfRange)) return false;
            if (negative) value = -value;
            return true;
        }
        if (!IsDecimal(unsigned, out bool isZero)) return false;
        if (!double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out value)) return false;
        outOfRange = double.IsInfinity(value) || (value == 0 && !isZero);
        return true;
    }

    /// <summary>digits[.digits][e[sign]digits] with a digit before the exponent.</summary>
    private static bool IsDecimal(ReadOnlySpan<byte> text, out bool isZero)
    {
        isZero = true;
        int i = 0, digits = 0;
        for (bool point = false; i < text.Length; i++)
        {
            if (char.IsAsciiDigit((char)text[i]))
            {
                digits++;
                isZero &= text[i] == '0';
            }
            else if (text[i] == '.' && !point)
            {
                point = true;
            }
            else
            {
                break;
            }
        }
        if (digits == 0) return false;
        if (i == text.Length) return true;
        return (text[i] | 0x20) == 'e' && IsInteger(text[(i + 1)..]);
    }

    private static bool IsInteger(ReadOnlySpan<byte> text)
    {
        if (text.Length > 0 && text[0] is (byte)'-' or (byte)'+') text = text[1..];
        return text.Length > 0 && !text.ContainsAnyExceptInRange((byte)'0', (byte)'9');
    }

    /// <summary>Reads what follows 0x: hexdigits[.hexdigits][p[sign]digits].</summary>
    private static bool TryParseHexadecimal(ReadOnlySpan<byte> text, out double value, out bool outOfRange)
    {
        value = 0;
        outOfRange = false;
        ulong mantissa = 0;
        long exponent = 0;
        int i = 0, digits = 0;
        for (bool point = false; i < text.Length; i++)
        {
            if (text[i] == '.' && !point)
            {
                point = true;
                continue;
            }
            int digit = text[i] < 128 && char.IsAsciiHexDigit((char)text[i]) ? Convert.ToInt32(((char)text[i]).ToString(), 16) : -1;
            if (digit < 0) break;
            digits++;
            // 60 bits of mantissa, and whether any other bit was set behind them, are enough to round correctly at the
            // end.
            if (mantissa >> 56 == 0)
            {
                mantissa = (mantissa << 4) | (uint)digit;
                if (point) exponent -= 4;
            }
            else
            {
                if (digit != 0) mantissa |= 1;
                if (!point) exponent += 4;
            }
        }
        if (digits == 0) return false;
        if (i < text.Length)
        {
            if ((text[i] | 0x20) != 'p' || !IsInteger(text[(i + 1)..])) return false;
            exponent += ParseClamped(text[(i + 1)..]);
        }
        value = Math.ScaleB(mantissa, (int)Math.Clamp(exponent, -2_000_000, 2_000_000));
        outOfRange = double.IsInfinity(value) || (value == 0 && mantissa != 0);
        return true;
    }

    /// <summary>An integer of any length, capped far beyond the largest exponent of a double.</summary>
    private static long ParseClamped(ReadOnlySpan<byte> text)
    {
        long value = 0;
        foreach (byte letter in text)
        {
            if (char.IsAsciiDigit((char)letter)) value = Math.Min((value * 10) + (letter - '0'), 1_000_000);
        }
        return text[0] == '-' ? -value : value;
    }

    /// <summary>
    /// Lays digits out as fpconv does: where the point goes, and when an exponent is written. That depends on the
    /// number of digits, not on the magnitude alone.
    /// </summary>
    private static int Lay(ReadOnlySpan<byte> digits, int exponent, Span<byte> into)
    {
        int count = digits.Length, scientific = exponent + count - 1, magnitude = Math.Abs(scientific);
        if (exponent >= 0 && magnitude < count + 7)
        {
            digits.CopyTo(into);
            into.Slice(count, exponent).Fill((byte)'0');
            return count + exponent;
        }
        if (exponent < 0 && (exponent > -7 || magnitude < 4))
        {
            int before = count + exponent;
            if (before > 0)
            {
                digits[..before].CopyTo(into);
                into[before] = (byte)'.';
                digits[before..].CopyTo(into[(before + 1)..]);
                return count + 1;
            }
            into[0] = (byte)'0';
            into[1] = (byte)'.';
            into.Slice(2, -before).Fill((byte)'0');
            digits.CopyTo(into[(2 - before)..]);
            return 2 - before + count;
        }
        int at = 0;
        into[at++] = digits[0];
        if (count > 1)
        {
            into[at++] = (byte)'.';
            digits[1..].CopyTo(into[at..]);
            at += count - 1;
        }
        into[at++] = (byte)'e';
        into[at++] = (byte)(scientific < 0 ? '-' : '+');
        return at + FormatInt64(magnitude, into[at..]);
    }

    private static bool IsBlank(byte letter) => letter is (byte)' ' or (>= (byte)'\t' and <= (byte)'\r');

    private static int Put(ReadOnlySpan<byte> text, Span<byte> into)
    {
        text.CopyTo(into);
        return text.Length;
    }
}
