using System.Buffers;
using System.Text;
using System.Text.Unicode;

namespace OrleansRedis.Engine;

/// <summary>
/// Text that is really bytes, such as a password or the line of a file. What is valid UTF-8 is decoded as such; of
/// anything else each byte becomes the lone surrogate U+DC00 plus the byte (PEP 383), so that encoding gives exactly the
/// same bytes back.
/// </summary>
public static class ByteText
{
    private const char Escape = '\uDC00';

    /// <summary>The text of any bytes.</summary>
    public static string Decode(ReadOnlySpan<byte> bytes)
    {
        if (Utf8.IsValid(bytes)) return Encoding.UTF8.GetString(bytes);
        var text = new StringBuilder(bytes.Length);
        while (!bytes.IsEmpty)
        {
            if (Rune.DecodeFromUtf8(bytes, out Rune rune, out int length) == OperationStatus.Done)
            {
                text.Append(rune);
            }
            else
            {
                foreach (byte b in bytes[..length]) text.Append((char)(Escape + b));
            }
            bytes = bytes[length..];
        }
        return text.ToString();
    }

    /// <summary>The bytes of a text that <see cref="Decode"/> made; otherwise its UTF-8.</summary>
    public static byte[] Encode(ReadOnlySpan<char> text)
    {
        var bytes = new byte[Encoding.UTF8.GetMaxByteCount(text.Length)];
        int count = 0;
        while (!text.IsEmpty)
        {
            if (Rune.DecodeFromUtf16(text, out Rune rune, out int length) != OperationStatus.Done && (uint)(text[0] - Escape) <= byte.MaxValue)
                bytes[count++] = (byte)(text[0] - Escape);
            else
                count += rune.EncodeToUtf8(bytes.AsSpan(count));
            text = text[length..];
        }
        return bytes[..count];
    }
}
