namespace OrleansRedis.Engine;

/// <summary>
/// The patterns of KEYS, SCAN MATCH, PSUBSCRIBE, CONFIG GET and ACL: <c>*</c>, <c>?</c>, <c>[abc]</c>, <c>[^a-z]</c> and <c>\</c> before
/// a character that means itself. It decides as Redis's stringmatchlen does, oddities included: bytes in a range compare
/// signed, an unclosed bracket ends with the pattern, and <c>*</c> alone does not match the empty string.
/// </summary>
internal static class Glob
{
    /// <summary>More stars than this, nested, match nothing: protection of the stack.</summary>
    private const int DeepestNesting = 1000;

    /// <summary>Whether the whole of <paramref name="text"/> is what the pattern describes.</summary>
    public static bool Matches(ReadOnlySpan<byte> pattern, ReadOnlySpan<byte> text, bool ignoreCase = false)
    {
        bool hopeless = false;
        return Matches(pattern, text, ignoreCase, ref hopeless, 0);
    }

    /// <summary>Whether the pattern matches everything, the empty key included; SCAN and KEYS do not even try it then.</summary>
    public static bool IsAll(ReadOnlySpan<byte> pattern) => pattern is [(byte)'*'];

    /// <summary>The one slot in which every key that matches must be: that of a hash tag, or of a pattern without wildcards; -1 if there is none.</summary>
    public static int SlotOf(ReadOnlySpan<byte> pattern)
    {
        int open = -1;
        for (int i = 0; i < pattern.Length; i++)
        {
            byte letter = pattern[i];
            if (letter is (byte)'*' or (byte)'?' or (byte)'[' or (byte)'\\') return -1;
            if (open < 0 && letter == '{') open = i;
            else if (open >= 0 && letter == '}' && i != open + 1) return KeySlot.Of(pattern[..(i + 1)]);
            else if (open >= 0 && letter == '}') return pattern[i..].ContainsAny("*?[\\"u8) ? -1 : KeySlot.Of(pattern); // "{}" is no tag
        }
        return KeySlot.Of(pattern);
    }

    /// <param name="pattern">What is left of the pattern.</param>
    /// <param name="text">What is left of the text.</param>
    /// <param name="ignoreCase">Whether ASCII letters match in either case.</param>
    /// <param name="hopeless">
    /// Set once a star has found no match for the pattern behind it anywhere in the text. A star before it would only offer that same
    /// remaining pattern less text, so all of them can give up; this keeps "a*a*a*a*b" from taking exponential time.
    /// </param>
    /// <param name="nesting">How many stars are being tried already.</param>
    private static bool Matches(ReadOnlySpan<byte> pattern, ReadOnlySpan<byte> text, bool ignoreCase, ref bool hopeless, int nesting)
    {
        if (nesting > DeepestNesting) return false;
        while (!pattern.IsEmpty && !text.IsEmpty)
        {
            switch (pattern[0])
            {
                case (byte)'*':
                    while (pattern.Length > 1 && pattern[1] == '*') pattern = pattern[1..];
                    if (pattern.Length == 1) return true;
                    for (; !text.IsEmpty; text = text[1..])
                    {
                        if (Matches(pattern[1..], text, ignoreCase, ref hopeless, nesting + 1)) return true;
                        if (hopeless) return false;
                    }
                    hopeless = true;
                    return false;
                case (byte)'?':
                    break;
                case (byte)'[':
                    if (!MatchesClass(ref pattern, text[0], ignoreCase)) return false;
                    break;
                default:
                    if (pattern[0] == '\\' && pattern.Length >= 2) pattern = pattern[1..];
                    if (!Same(pattern[0], text[0], ignoreCase)) return false;
                    break;
            }
            pattern = pattern[1..];
            text = text[1..];
            if (!text.IsEmpty) continue;
            while (!pattern.IsEmpty && pattern[0] == '*') pattern = pattern[1..];
        }
        return pattern.IsEmpty && text.IsEmpty;
    }

    /// <summary>Matches one byte against the class at the pattern's start and leaves the pattern at the class's last byte.</summary>
    private static bool MatchesClass(ref ReadOnlySpan<byte> pattern, byte letter, bool ignoreCase)
    {
        int at = 1;
        bool inverted = at < pattern.Length && pattern[at] == '^';
        if (inverted) at++;
        bool match = false;
        for (; ; at++)
        {
            if (at >= pattern.Length)
            {
                at = pattern.Length - 1;
                break;
            }
            if (pattern[at] == ']') break;
            if (pattern[at] == '\\' && at + 1 < pattern.Length)
            {
                at++;
                match |= pattern[at] == letter;
            }
            else if (at + 2 < pattern.Length && pattern[at + 1] == '-')
            {
                match |= InRange(pattern[at], pattern[at + 2], letter, ignoreCase);
                at += 2;
            }
            else
            {
                match |= Same(pattern[at], letter, ignoreCase);
            }
        }
        pattern = pattern[at..];
        return match != inverted;
    }

    private static bool InRange(byte first, byte last, byte letter, bool ignoreCase)
    {
        int low = (sbyte)first, high = (sbyte)last, value = (sbyte)letter;
        if (low > high) (low, high) = (high, low);
        if (ignoreCase) (low, high, value) = (Lower(low), Lower(high), Lower(value));
        return low <= value && value <= high;
    }

    private static bool Same(byte a, byte b, bool ignoreCase) => a == b || (ignoreCase && Lower(a) == Lower(b));

    private static int Lower(int letter) => letter is >= 'A' and <= 'Z' ? letter | 0x20 : letter;
}
