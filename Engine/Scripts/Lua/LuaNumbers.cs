using System.Globalization;

namespace OrleansRedis.Engine;

/// <summary>Numbers as Lua 5.1 prints them.</summary>
internal static class LuaNumbers
{
    /// <summary>As printf does with "%.14g".</summary>
    public static string Format(double number) => Format(number, 14);

    /// <summary>As printf does with "%.<paramref name="digits"/>g".</summary>
    public static string Format(double number, int digits)
    {
        if (double.IsNaN(number)) return double.IsNegative(number) ? "-nan" : "nan";
        if (double.IsInfinity(number)) return number > 0 ? "inf" : "-inf";
        if (number == 0) return double.IsNegative(number) ? "-0" : "0";
        string scientific = number.ToString($"E{digits - 1}", CultureInfo.InvariantCulture);
        int mark = scientific.IndexOf('E');
        int exponent = int.Parse(scientific.AsSpan(mark + 1), NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture);
        if (exponent >= -4 && exponent < digits)
        {
            string plain = number.ToString($"F{Math.Max(0, digits - 1 - exponent)}", CultureInfo.InvariantCulture);
            return plain.Contains('.') ? plain.TrimEnd('0').TrimEnd('.') : plain;
        }
        string mantissa = scientific[..mark];
        if (mantissa.Contains('.')) mantissa = mantissa.TrimEnd('0').TrimEnd('.');
        return $"{mantissa}e{(exponent < 0 ? '-' : '+')}{Math.Abs(exponent):00}";
    }
}
