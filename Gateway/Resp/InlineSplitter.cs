using OrleansRedis.Engine;

namespace OrleansRedis.Gateway;

/// <summary>
/// Splits a line into arguments at blanks, with "…" (escapes \n \r \t \b \a \xHH) and '…' (escape \') as redis-cli
/// users type them. The vertical tab and the form feed are blanks between words, but inside a word they are part of it.
/// </summary>
internal static class InlineSplitter
{
    /// <summary>
    /// Writes the arguments one after another into <paramref name="into"/>, which is at least as long as the line, and
    /// their ranges into <paramref name="ranges"/>. Returns how many there are, or -1 if a quote is not closed, or is
    /// closed in the middle of a word.
    /// </summary>
    public static int Split(ReadOnlySpan<byte> line, Span<byte> into, ref ArgumentRange[] ranges)
    {
        int count = 0, at = 0, written = 0;
        while (true)
        {
            while (at < line.Length && IsBlank(line[at])) at++;
            if (at == line.Length) return count;
            int start = written;
            if (!ReadWord(line, ref at, into, ref written)) return -1;
            if (count == ranges.Length) Array.Resize(ref ranges, count * 2);
            ranges[count++] = new(start, written - start);
        }
    }

    private static bool ReadWord(ReadOnlySpan<byte> line, ref int at, Span<byte> into, ref int written)
    {
        while (at < line.Length && line[at] is not ((byte)' ' or (byte)'\t' or (byte)'\r' or (byte)'\n'))
        {
            byte b = line[at++];
            if (b is not ((byte)'"' or (byte)'\''))
            {
                into[written++] = b;
                continue;
            }
            if (!ReadQuoted(b, line, ref at, into, ref written)) return false;
            return at == line.Length || IsBlank(line[at]);
        }
        return true;
    }

    private static bool ReadQuoted(byte quote, ReadOnlySpan<byte> line, ref int at, Span<byte> into, ref int written)
    {
        while (at < line.Length)
        {
            byte b = line[at++];
            if (b == quote) return true;
            if (b == '\\' && at < line.Length)
            {
                if (quote == '"')
                {
                    into[written++] = Unescape(line, ref at);
                    continue;
                }
                if (line[at] == '\'') b = line[at++];
            }
            into[written++] = b;
        }
        return false;
    }

    private static byte Unescape(ReadOnlySpan<byte> line, ref int at)
    {
        byte b = line[at++];
        if (b == 'x' && at + 1 < line.Length && char.IsAsciiHexDigit((char)line[at]) && char.IsAsciiHexDigit((char)line[at + 1]))
        {
            byte value = Convert.FromHexString([(char)line[at], (char)line[at + 1]])[0];
            at += 2;
            return value;
        }
        return b switch
        {
            (byte)'n' => (byte)'\n',
            (byte)'r' => (byte)'\r',
            (byte)'t' => (byte)'\t',
            (byte)'b' => (byte)'\b',
            (byte)'a' => (byte)'\a',
            _ => b,
        };
    }

    private static bool IsBlank(byte b) => b is (byte)' ' or (byte)'\t' or (byte)'\r' or (byte)'\n' or (byte)'\v' or (byte)'\f';
}
