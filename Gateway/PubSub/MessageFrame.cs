using System.Buffers.Text;

namespace OrleansRedis.Gateway;

/// <summary>
/// Encodes messages for subscribers, in RESP2. In RESP3 only the first byte differs: it makes a push of the array.
/// </summary>
internal static class MessageFrame
{
    /// <summary>A message: its kind ("message" or "smessage"), its channel, and what it says.</summary>
    public static byte[] Of(ReadOnlySpan<byte> kind, ReadOnlySpan<byte> channel, ReadOnlySpan<byte> message)
    {
        byte[] frame = Begin(3, LengthOf(kind) + LengthOf(channel) + LengthOf(message));
        int at = Write(frame, 4, kind);
        at = Write(frame, at, channel);
        Write(frame, at, message);
        return frame;
    }

    /// <summary>A message that a pattern has matched.</summary>
    public static byte[] OfPattern(ReadOnlySpan<byte> pattern, ReadOnlySpan<byte> channel, ReadOnlySpan<byte> message)
    {
        byte[] frame = Begin(4, LengthOf("pmessage"u8) + LengthOf(pattern) + LengthOf(channel) + LengthOf(message));
        int at = Write(frame, 4, "pmessage"u8);
        at = Write(frame, at, pattern);
        at = Write(frame, at, channel);
        Write(frame, at, message);
        return frame;
    }

    private static byte[] Begin(int count, int length)
    {
        byte[] frame = GC.AllocateUninitializedArray<byte>(4 + length);
        frame[0] = (byte)'*';
        frame[1] = (byte)('0' + count);
        frame[2] = (byte)'\r';
        frame[3] = (byte)'\n';
        return frame;
    }

    /// <summary>How many bytes a text takes as a bulk string.</summary>
    private static int LengthOf(ReadOnlySpan<byte> text)
    {
        int digits = 1;
        for (int rest = text.Length; rest >= 10; rest /= 10) digits++;
        return checked(1 + digits + 2 + text.Length + 2);
    }

    private static int Write(byte[] frame, int at, ReadOnlySpan<byte> text)
    {
        frame[at++] = (byte)'$';
        Utf8Formatter.TryFormat(text.Length, frame.AsSpan(at), out int digits);
        at += digits;
        frame[at++] = (byte)'\r';
        frame[at++] = (byte)'\n';
        text.CopyTo(frame.AsSpan(at));
        at += text.Length;
        frame[at++] = (byte)'\r';
        frame[at++] = (byte)'\n';
        return at;
    }
}
