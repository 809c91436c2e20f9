namespace OrleansRedis.Engine;

/// <summary>
/// The patterns of KEYS, SCAN MATCH, PSUBSCRIBE, CONFIG GET and ACL: * ? [abc] [^abc] [a-z], and \ before a character
/// that stands for itself. Matches exactly as Redis's stringmatchlen does, oddities included: the bounds of a range are
/// compared as signed bytes, an unclosed bracket ends with the pattern, a star does not match an empty text, and too
/// many stars match nothing.
/// </summary>
public static class GlobPattern
{
    /// <summary>Redis tries stars recursively and gives up at this depth.</summary>
    private const int MostStars = 1000;

    /// <summary>
    /// Whether all of <paramref name="text"/> matches. Takes at worst time in the product of the two lengths, however
    /// many stars there are.
    /// </summary>
    public static bool IsMatch(ReadOnlySpan<byte> pattern, ReadOnlySpan<byte> text, bool ignoreCase = false)
    {
        if (text.IsEmpty) return pattern.IsEmpty;
        int p = 0, t = 0, afterStar = -1, starText = 0, stars = 0;
        while (true)
        {
            if (p < pattern.Length && pattern[p] == '*')
            {
                do p++;
                while (p < pattern.Length && pattern[p] == '*');
                if (p == pattern.Length) return true;
                if (++stars > MostStars) return false;
                // Only the last star ever needs to take in more text: what stands between it and the star before has
                // already matched.
                afterStar = p;
                starText = t;
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

    /// <summary>
    /// Whether the pattern is the one that KEYS and SCAN understand as "everything", the empty key included.
    /// </summary>
    public static bool IsAll(ReadOnlySpan<byte> pattern) => pattern is [(byte)'*'];

    /// <summary>
    /// The one slot that every matching key must be in, because of a hash tag or because there are no wildcards; -1 if
    /// there is no such slot.
    /// </summary>
    public static int SlotOf(ReadOnlySpan<byte> pattern)
    {
        int wildcard = pattern.IndexOfAny("*?[\\"u8);
        if (wildcard < 0) return KeySlot.Of(pattern);
        ReadOnlySpan<byte> literal = pattern[..wildcard];
        int open = literal.IndexOf((byte)'{');
        if (open < 0) return -1;
        return literal[(open + 1)..].IndexOf((byte)'}') > 0 ? KeySlot.Of(literal) : -1;
    }

    /// <summary>
    /// Matches one byte against the pattern at <paramref name="p"/> and moves past what it used of the pattern.
    /// </summary>
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

    /// <summary>Matches one byte against a class. A class without a closing bracket ends with the pattern.</summary>
    private static bool MatchClass(ReadOnlySpan<byte> pattern, ref int p, byte c, bool ignoreCase)
    {
        p++;
        bool not = p < pattern.Length && pattern[p] == '^', matched = false;
        if (not) p++;
        for (; p < pattern.Length && pattern[p] != ']'; p++)
        {
            if (pattern[p] == '\\' && p + 1 < pattern.Length)
            {
                p++;
                matched |= pattern[p] == c;
            }
            else if (p + 2 < pattern.Length && pattern[p + 1] == '-')
            {
                matched |= InRange(pattern[p], pattern[p + 2], c, ignoreCase);
                p += 2;
            }
            else
            {
                matched |= Fold(pattern[p], ignoreCase) == Fold(c, ignoreCase);
            }
        }
        if (p < pattern.Length) p++;
        return matched != not;
    }

    private static bool InRange(byte first, byte last, byte c, bool ignoreCase)
    {
        if ((sbyte)first > (sbyte)last) (first, last) = (last, first);
        sbyte folded = (sbyte)Fold(c, ignoreCase);
        return folded >= (sbyte)Fold(first, ignoreCase) && folded <= (sbyte)Fold(last, ignoreCase);
    }

    private static byte Fold(byte b, bool ignoreCase) => ignoreCase && (uint)(b - 'A') <= 'Z' - 'A' ? (byte)(b | 0x20) : b;
}
