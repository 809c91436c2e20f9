using System.Buffers.Text;

namespace OrleansRedis.Tests.Harness;

/// <summary>Looks through what a server has sent, without making values of it.</summary>
internal static class RespScanner
{
    /// <summary>Whether bytes are replies of RESP2 or RESP3, of which the last one may be cut off.</summary>
    /// <param name="bytes">What the server has sent.</param>
    /// <param name="count">How many replies are complete.</param>
    public static bool AreReplies(ReadOnlySpan<byte> bytes, out int count)
    {
        count = 0;
        int at = 0;
        long open = 0; // values of the reply that are still to come
        while (at < bytes.Length)
        {
            ReadOnlySpan<byte> rest = bytes[at..];
            int end = rest.IndexOf("\r\n"u8);
            if (end < 0) return "+-:$*_,#(!=%~>|"u8.Contains(rest[0]);
            bool isLength = Utf8Parser.TryParse(rest[1..end], out long length, out int used) && used == end - 1;
            at += end + 2;
            open = Math.Max(0, open - 1);
            switch (rest[0])
            {
                case (byte)'+' or (byte)'-' or (byte)',' or (byte)'(':
                    break;
                case (byte)':':
                    if (!isLength) return false;
                    break;
                case (byte)'#':
                    if (end != 2 || rest[1] is not ((byte)'t' or (byte)'f')) return false;
                    break;
                case (byte)'_':
                    if (end != 1) return false;
                    break;
                case (byte)'$' or (byte)'!' or (byte)'=':
                    if (!isLength || length < -1) return false;
                    if (length < 0) break;
                    if (length + 2 > bytes.Length - at) return true;
                    if (!bytes.Slice(at + (int)length, 2).SequenceEqual("\r\n"u8)) return false;
                    at += (int)length + 2;
                    break;
                case (byte)'*' or (byte)'~' or (byte)'>':
                    if (!isLength || length < -1) return false;
                    open += Math.Max(0, length);
                    break;
                case (byte)'%':
                    if (!isLength || length < 0) return false;
                    open += 2 * length;
                    break;
                case (byte)'|':
                    // Attributes come before the value that they belong to.
                    if (!isLength || length < 0) return false;
                    open += (2 * length) + 1;
                    break;
                default:
                    return false;
            }
            if (open == 0) count++;
        }
        return true;
    }
}
