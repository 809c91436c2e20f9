namespace OrleansRedis.Engine;

/// <summary>The patterns of KEYS, SCAN, PSUBSCRIBE and CONFIG GET: * ? [abc] [^abc] [a-z] and \ before a character that means itself.</summary>
public static class GlobPattern
{
    /// <summary>Whether all of <paramref name="text"/> matches. Takes time in the product of the lengths at worst, however many stars there are.</summary>
    public static bool IsMatch(ReadOnlySpan<byte> pattern, ReadOnlySpan<byte> text, bool ignoreCase = false)
    {
        int p = 0, t = 0, afterStar = -1, starText = 0;
        while (true)
        {
            if (p < pattern.Length && pattern[p] == '*')
            {
                // Only the last star ever needs to take in more: what stood between it and the one before has matched already.
                afterStar = ++p;
                starText = t;
                if (p == pattern.Length) return true;
                continue;
            }
            if (t == text.Length) return p == pattern.Length;
            int next = p;
            if (p < pattern.Length && MatchOne(pattern, ref next, text[t], ignoreCase))
            {
                p = next;
                t++;
                continue;
            }
            if (afterStar < 0) return false;
            p = afterStar;
            t = ++starText;
        }
    }

    /// <summary>Whether a pattern can match nothing but itself.</summary>
    public static bool IsLiteral(ReadOnlySpan<byte> pattern) => pattern.IndexOfAny("*?[\\"u8) < 0;

    /// <summary>Matches one byte with what stands at <paramref name="p"/> and moves behind that.</summary>
    private static bool MatchOne(ReadOnlySpan<byte> pattern, ref int p, byte c, bool ignoreCase)
    {
        switch (pattern[p])
        {
            case (byte)'?':
                p++;
                return true;
            case (byte)'[':
                return MatchClass(pattern, ref p, c, ignoreCase);
            case (byte)'\\' when p + 1 < pattern.Length:
                p++;
                break;
        }
        return Fold(pattern[p++], ignoreCase) == Fold(c, ignoreCase);
    }

    /// <summary>A class may lack its closing bracket: it then ends with the pattern.</summary>
    private static bool MatchClass(ReadOnlySpan<byte> pattern, ref int p, byte c, bool ignoreCase)
    {
        p++;
        bool not = p < pattern.Length && pattern[p] == '^', matched = false;
        if (not) p++;
        byte folded = Fold(c, ignoreCase);
        for (; p < pattern.Length && pattern[p] != ']'; p++)
        {
            if (pattern[p] == '\\' && p + 1 < pattern.Length)
            {
                p++;
                matched |= pattern[p] == c;
            }
            else if (p + 2 < pattern.Length && pattern[p + 1] == '-')
            {
                byte first = Fold(pattern[p], ignoreCase), last = Fold(pattern[p + 2], ignoreCase);
                if (first > last) (first, last) = (last, first);
                p += 2;
                matched |= folded >= first && folded <= last;
            }
            else
            {
                matched |= Fold(pattern[p], ignoreCase) == folded;
            }
        }
        if (p < pattern.Length) p++;
        return matched != not;
    }

    private static byte Fold(byte b, bool ignoreCase) => ignoreCase && (uint)(b - 'A') <= 'Z' - 'A' ? (byte)(b | 0x20) : b;
}
