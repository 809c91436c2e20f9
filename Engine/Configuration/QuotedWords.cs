using System.Buffers;
using System.Text;

namespace OrleansRedis.Engine;

/// <summary>
/// Splits lines into words as redis.conf, inline commands and redis-cli do. Blanks separate words. In "…" the escapes
/// are \n \r \t \b \a and \xHH, and \c stands for c itself; in '…' there is only \'. A closing quote must be followed
/// by a blank or the end of the line. The vertical tab and the form feed are blanks between words, but inside a word
/// they are part of it.
/// </summary>
public static class QuotedWords
{
    /// <summary>Splits a line. False if the quotes are not balanced.</summary>
    public static bool TrySplit(ReadOnlySpan<byte> line, List<byte[]> words)
    {
        var word = new List<byte>();
        int i = 0;
        while (true)
        {
            while (i < line.Length && IsBlank(line[i])) i++;
            if (i == line.Length) return true;
            word.Clear();
            while (i < line.Length && line[i] is not ((byte)' ' or (byte)'\t' or (byte)'\r' or (byte)'\n'))
            {
                byte c = line[i++];
                if (c == 0) return false;
                if (c is (byte)'"' or (byte)'\'')
                {
                    if (!TryQuoted(line, ref i, c, word)) return false;
                    break;
                }
                word.Add(c);
            }
            words.Add([.. word]);
        }
    }

    /// <summary>Splits a line of text. False if the quotes are not balanced.</summary>
    public static bool TrySplit(string line, out List<string> words)
    {
        var split = new List<byte[]>();
        bool balanced = TrySplit(ByteText.Encode(line), split);
        words = [.. split.Select(word => ByteText.Decode(word))];
        return balanced;
    }

    /// <summary>The word in double quotes, with everything but printable ASCII escaped.</summary>
    public static string Quote(string word) => Quote(ByteText.Encode(word));

    /// <summary>The same, of bytes.</summary>
    public static string Quote(ReadOnlySpan<byte> word)
    {
        var quoted = new ArrayBufferWriter<byte>();
        Quote(quoted, word);
        return Encoding.ASCII.GetString(quoted.WrittenSpan);
    }

    /// <summary>Writes the word in double quotes, with everything but printable ASCII escaped.</summary>
    public static void Quote(IBufferWriter<byte> into, ReadOnlySpan<byte> word)
    {
        into.Write("\""u8);
        while (!word.IsEmpty)
        {
            int plain = 0;
            while (plain < word.Length && word[plain] is >= (byte)' ' and <= (byte)'~' and not ((byte)'"' or (byte)'\\')) plain++;
            into.Write(word[..plain]);
            word = word[plain..];
            if (word.IsEmpty) break;
            into.Write(word[0] switch
            {
                (byte)'"' => "\\\""u8,
                (byte)'\\' => "\\\\"u8,
                (byte)'\n' => "\\n"u8,
                (byte)'\r' => "\\r"u8,
                (byte)'\t' => "\\t"u8,
                (byte)'\a' => "\\a"u8,
                (byte)'\b' => "\\b"u8,
                _ => Encoding.ASCII.GetBytes($"\\x{word[0]:x2}"),
            });
            word = word[1..];
        }
        into.Write("\""u8);
    }

    private static bool TryQuoted(ReadOnlySpan<byte> line, ref int i, byte quote, List<byte> word)
    {
        while (i < line.Length && line[i] != 0)
        {
            byte c = line[i++];
            if (c == quote) return i == line.Length || IsBlank(line[i]);
            if (c == '\\' && i < line.Length && quote == '\'' && line[i] == '\'')
            {
                word.Add(line[i++]);
            }
            else if (c == '\\' && i < line.Length && quote == '"')
            {
                c = line[i++];
                if (c == 'x' && i + 1 < line.Length && char.IsAsciiHexDigit((char)line[i]) && char.IsAsciiHexDigit((char)line[i + 1]))
                {
                    word.Add((byte)((HexDigit(line[i]) << 4) | HexDigit(line[i + 1])));
                    i += 2;
                    continue;
                }
                word.Add(c switch { (byte)'n' => 10, (byte)'r' => 13, (byte)'t' => 9, (byte)'b' => 8, (byte)'a' => 7, _ => c });
            }
            else
            {
                word.Add(c);
            }
        }
        return false;
    }

    private static int HexDigit(byte digit) => digit <= '9' ? digit - '0' : (digit | 0x20) - 'a' + 10;

    private static bool IsBlank(byte b) => b is (byte)' ' or (>= 9 and <= 13);
}
