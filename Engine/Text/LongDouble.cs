using System.Globalization;
using System.Numerics;
using System.Text;

namespace OrleansRedis.Engine;

/// <summary>
/// The 80-bit extended floating-point number of x86, in which Redis computes INCRBYFLOAT and HINCRBYFLOAT: 64 bits of
/// mantissa, rounded half to even, exponents from -16445 to 16383. Results are computed exactly with big integers and
/// then rounded, so every digit printed is the digit that Redis prints.
/// </summary>
internal readonly struct LongDouble
{
    private const int MantissaBits = 64;
    private const int LowestExponent = -16445; // of the last bit of a denormal number
    private const int HighestBit = 16384;      // numbers from 2^16384 on are infinite
    private const int LongestText = 5 * 1024;  // Redis's buffer

    private readonly BigInteger _mantissa; // signed, at most 2^64 in magnitude
    private readonly int _exponent;        // of 2

    private LongDouble(BigInteger mantissa, int exponent, bool isInfinite = false)
    {
        _mantissa = mantissa;
        _exponent = exponent;
        IsInfinite = isInfinite;
    }

    /// <summary>Whether the number is too large, or was given as "inf".</summary>
    public bool IsInfinite { get; }

    /// <summary>
    /// Reads what strtold reads, if that is the whole text: decimal or hexadecimal, with an exponent, or infinity.
    /// Refused are NaN, numbers that are too large, and numbers so small that they become zero.
    /// </summary>
    public static bool TryParse(ReadOnlySpan<byte> text, out LongDouble value)
    {
        value = default;
        if (text.Length is 0 or >= LongestText) return false;
        bool negative = text[0] == '-';
        if (negative || text[0] == '+') text = text[1..];
        if (text.Is("INF"u8) || text.Is("INFINITY"u8))
        {
            value = new(BigInteger.Zero, 0, isInfinite: true);
            return true;
        }
        bool hexadecimal = text.Length > 2 && text[0] == '0' && (text[1] | 0x20) == 'x';
        bool read = hexadecimal
            ? TryParse(text[2..], negative, 16, (byte)'p', out value)
            : TryParse(text, negative, 10, (byte)'e', out value);
        return read && !value.IsInfinite;
    }

    public static LongDouble operator +(LongDouble a, LongDouble b)
    {
        if (a.IsInfinite || b.IsInfinite) return new(BigInteger.Zero, 0, isInfinite: true);
        int exponent = Math.Min(a._exponent, b._exponent);
        return Round((a._mantissa << (a._exponent - exponent)) + (b._mantissa << (b._exponent - exponent)), exponent);
    }

    /// <summary>
    /// Writes what printf's "%.17Lf" writes, without trailing zeros in the fraction (Redis's LD_STR_HUMAN).
    /// </summary>
    public byte[] Format()
    {
        BigInteger magnitude = BigInteger.Abs(_mantissa), fractionScale = BigInteger.Pow(10, 17);
        BigInteger scaled = _exponent >= 0
            ? (magnitude << _exponent) * fractionScale
            : ShiftRoundingToEven(magnitude * fractionScale, -_exponent);
        string digits = scaled.ToString(CultureInfo.InvariantCulture).PadLeft(18, '0');
        string fraction = digits[^17..].TrimEnd('0');
        string text = fraction.Length == 0 ? digits[..^17] : $"{digits[..^17]}.{fraction}";
        return Encoding.ASCII.GetBytes(_mantissa.Sign < 0 && text != "0" ? "-" + text : text);
    }

    private static bool TryParse(ReadOnlySpan<byte> text, bool negative, int radix, byte exponentMark, out LongDouble value)
    {
        value = default;
        var digits = new StringBuilder(text.Length + 1).Append('0');
        int at = 0, fractionDigits = 0;
        bool point = false, any = false;
        for (; at < text.Length; at++)
        {
            if (text[at] == '.' && !point)
            {
                point = true;
                continue;
            }
            if (!(radix == 16 ? char.IsAsciiHexDigit((char)text[at]) : char.IsAsciiDigit((char)text[at]))) break;
            digits.Append((char)text[at]);
            any = true;
            if (point) fractionDigits++;
        }
        if (!any) return false;
        int exponent = 0;
        if (at < text.Length)
        {
            if ((text[at] | 0x20) != exponentMark || !TryParseExponent(text[(at + 1)..], out exponent)) return false;
        }
        BigInteger number = BigInteger.Parse(digits.ToString(), radix == 16 ? NumberStyles.AllowHexSpecifier : NumberStyles.None, CultureInfo.InvariantCulture);
        if (number.IsZero) return true;
        if (negative) number = -number;
        exponent -= radix == 16 ? 4 * fractionDigits : fractionDigits;
        // Far out of range either way: the digits, at most 5,119 of them, cannot make up for such an exponent.
        if (Math.Abs(exponent) > 50_000) return false;
        value = radix == 16 ? Round(number, exponent) : exponent >= 0
            ? Round(number * BigInteger.Pow(10, exponent), 0)
            : Divide(number, BigInteger.Pow(10, -exponent));
        return !value._mantissa.IsZero || value.IsInfinite;
    }

    private static bool TryParseExponent(ReadOnlySpan<byte> text, out int exponent)
    {
        exponent = 0;
        bool negative = !text.IsEmpty && text[0] == '-';
        if (negative || (!text.IsEmpty && text[0] == '+')) text = text[1..];
        if (text.IsEmpty) return false;
        foreach (byte digit in text)
        {
            if (!char.IsAsciiDigit((char)digit)) return false;
            exponent = Math.Min((exponent * 10) + (digit - '0'), 1_000_000);
        }
        if (negative) exponent = -exponent;
        return true;
    }

    private static LongDouble Divide(BigInteger numerator, BigInteger denominator)
    {
        // Two bits more than the mantissa needs, and one that says whether there is a remainder, decide the rounding.
        int shift = Math.Max(0, (int)(denominator.GetBitLength() - BigInteger.Abs(numerator).GetBitLength()) + MantissaBits + 2);
        BigInteger quotient = BigInteger.DivRem(numerator << shift, denominator, out BigInteger rest) << 1;
        if (!rest.IsZero) quotient += numerator.Sign;
        return Round(quotient, -shift - 1);
    }

    private static LongDouble Round(BigInteger mantissa, int exponent)
    {
        BigInteger magnitude = BigInteger.Abs(mantissa);
        int surplus = Math.Max((int)magnitude.GetBitLength() - MantissaBits, LowestExponent - exponent);
        if (surplus > 0)
        {
            magnitude = ShiftRoundingToEven(magnitude, surplus);
            exponent += surplus;
        }
        if (magnitude.IsZero) return default;
        if ((int)magnitude.GetBitLength() + exponent > HighestBit) return new(BigInteger.Zero, 0, isInfinite: true);
        return new(mantissa.Sign < 0 ? -magnitude : magnitude, exponent);
    }

    private static BigInteger ShiftRoundingToEven(BigInteger magnitude, int bits)
    {
        BigInteger shifted = magnitude >> bits, rest = magnitude - (shifted << bits), half = BigInteger.One << (bits - 1);
        return rest > half || (rest == half && !shifted.IsEven) ? shifted + 1 : shifted;
    }
}
