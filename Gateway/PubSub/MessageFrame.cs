using System.Buffers.Text;

namespace OrleansRedis.Gateway;

/// <summary>
/// Encodes messages for subscribers, in RESP2. In RESP3 only the first byte differs: it makes a push of the array.
/// </summary>
internal static class MessageFrame
{
    private const int Header = 4; // "*3\r\n"

    /// <summary>A message: its kind ("message" or "smessage"), its channel, and what it says.</summary>
    public static byte[] Of(ReadOnlySpan<byte> kind, ReadOnlySpan<byte> channel, ReadOnlySpan<byte> message)
    {
        byte[] frame = GC.AllocateUninitializedArray<byte>(LengthOf(kind, channel, message));
        Write(frame, kind, channel, message);
        return frame;
    }

    /// <summary>How many bytes <see cref="Of"/> takes.</summary>
    public static int LengthOf(ReadOnlySpan<byte> kind, ReadOnlySpan<byte> channel, ReadOnlySpan<byte> message) =>
        checked(Header + LengthOf(kind) + LengthOf(channel) + LengthOf(message));

    /// <summary>Writes what <see cref="Of"/> returns.</summary>
    public static void Write(Span<byte> frame, ReadOnlySpan<byte> kind, ReadOnlySpan<byte> channel, ReadOnlySpan<byte> message)
    {
        WriteHeader(frame, 3);
        int at = Write(frame, Header, kind);
        at = Write(frame, at, channel);
        Write(frame, at, message);
    }

    /// <summary>A message that a pattern has matched.</summary>
    public static byte[] OfPattern(ReadOnlySpan<byte> pattern, ReadOnlySpan<byte> channel, ReadOnlySpan<byte> message)
    {
        byte[] frame = GC.AllocateUninitializedArray<byte>(
            checked(Header + LengthOf("pmessage"u8) + LengthOf(pattern) + LengthOf(channel) + LengthOf(message)));
        WriteHeader(frame, 4);
        int at = Write(frame, Header, "pmessage"u8);
        at = Write(frame, at, pattern);
        at = Write(frame, at, channel);
        Write(frame, at, message);
        return frame;
    }

    /// <summary>Where the frame ends that begins here: that of a message, or of a confirmation.</summary>
    public static int EndOf(ReadOnlySpan<byte> frames, int at)
    {
        int elements = frames[at + 1] - '0';
        for (at += Header; elements > 0; elements--)
        {
            int end = at + frames[at..].IndexOf((byte)'\n') + 1;
            // A text, unless it is a number or null, which are a line each.
            int length = -1;
            bool isText = frames[at] == (byte)'$' && Utf8Parser.TryParse(frames[(at + 1)..], out length, out _) && length >= 0;
            at = isText ? end + length + 2 : end;
        }
        return at;
    }

    private static void WriteHeader(Span<byte> frame, int texts)
    {
        frame[0] = (byte)'*';
        frame[1] = (byte)('0' + texts);
        frame[2] = (byte)'\r';
        frame[3] = (byte)'\n';
    }

    /// <summary>How many bytes a text takes as a bulk string.</summary>
    private static int LengthOf(ReadOnlySpan<byte> text)
    {
        int digits = 1;
        for (int rest = text.Length; rest >= 10; rest /= 10) digits++;
        return checked(1 + digits + 2 + text.Length + 2);
    }

    private static int Write(Span<byte> frame, int at, ReadOnlySpan<byte> text)
    {
        frame[at++] = (byte)'$';
        Utf8Formatter.TryFormat(text.Length, frame[at..], out int digits);
        at += digits;
        frame[at++] = (byte)'\r';
        frame[at++] = (byte)'\n';
        text.CopyTo(frame[at..]);
        at += text.Length;
        frame[at++] = (byte)'\r';
        frame[at++] = (byte)'\n';
        return at;
    }
}
