using System.Buffers.Text;

namespace OrleansRedis.Engine;

/// <summary>SELECT as it stands in a log, in RESP.</summary>
public static class SelectCommand
{
    /// <summary>The most bytes that a SELECT takes.</summary>
    public const int MostLength = 48;

    private static ReadOnlySpan<byte> Head => "*2\r\n$6\r\nSELECT\r\n$"u8;

    /// <summary>The length in bytes of SELECT for a database.</summary>
    public static int LengthOf(int database)
    {
        int digits = Digits(database);
        return Head.Length + Digits(digits) + 2 + digits + 2;
    }

    /// <summary>Writes the command and returns its length.</summary>
    public static int Write(int database, Span<byte> into)
    {
        Head.CopyTo(into);
        int at = Head.Length;
        Utf8Formatter.TryFormat(Digits(database), into[at..], out int written);
        at += written;
        "\r\n"u8.CopyTo(into[at..]);
        Utf8Formatter.TryFormat(database, into[(at + 2)..], out written);
        at += 2 + written;
        "\r\n"u8.CopyTo(into[at..]);
        return at + 2;
    }

    private static int Digits(int number)
    {
        int digits = 1;
        for (; number >= 10; number /= 10) digits++;
        return digits;
    }
}
