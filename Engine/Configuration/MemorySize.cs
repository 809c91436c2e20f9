namespace OrleansRedis.Engine;

/// <summary>
/// Amounts of memory as redis.conf writes them: 1k is 1000 bytes, 1kb is 1024, and likewise m, mb, g and gb, in any
/// case. A plain number, or one with b, is in bytes.
/// </summary>
public static class MemorySize
{
    private static readonly (string Suffix, long Bytes)[] s_units =
    [
        ("kb", 1L << 10), ("mb", 1L << 20), ("gb", 1L << 30), ("k", 1_000), ("m", 1_000_000), ("g", 1_000_000_000), ("b", 1),
    ];

    public static bool TryParse(string text, out long bytes)
    {
        long unit = 1;
        foreach ((string suffix, long size) in s_units)
        {
            if (!text.EndsWith(suffix, StringComparison.OrdinalIgnoreCase)) continue;
            text = text[..^suffix.Length];
            unit = size;
            break;
        }
        bytes = 0;
        if (text.Length is 0 or > 19 || !text.All(char.IsAsciiDigit) || !long.TryParse(text, out long number)) return false;
        if (number > long.MaxValue / unit) return false;
        bytes = number * unit;
        return true;
    }

    /// <summary>The amount in the largest unit that divides it: 512mb.</summary>
    public static string Format(long bytes)
    {
        if (bytes != 0)
        {
            if (bytes % (1L << 30) == 0) return $"{bytes >> 30}gb";
            if (bytes % (1L << 20) == 0) return $"{bytes >> 20}mb";
            if (bytes % (1L << 10) == 0) return $"{bytes >> 10}kb";
        }
        return bytes.ToString();
    }

    /// <summary>The amount for people, as INFO's "_human" fields show it: 1.50M.</summary>
    public static string Human(long bytes) => bytes switch
    {
        < 1L << 10 => $"{bytes}B",
        < 1L << 20 => $"{bytes / 1024.0:F2}K",
        < 1L << 30 => $"{bytes / (1024.0 * 1024):F2}M",
        < 1L << 40 => $"{bytes / (1024.0 * 1024 * 1024):F2}G",
        _ => $"{bytes / (1024.0 * 1024 * 1024 * 1024):F2}T",
    };
}
