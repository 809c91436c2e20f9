using System.Buffers.Text;
using System.Globalization;

namespace OrleansRedis.Engine;

/// <summary>The timeouts of blocking commands.</summary>
internal static class BlockingTimeout
{
    /// <summary>The deadline of a command that waits forever.</summary>
    public const long Never = 0;

    /// <summary>
    /// Parses an argument in seconds, fractions allowed, into a deadline in Unix ms; <see cref="Never"/> for 0. If it
    /// makes no sense, the error is in the reply.
    /// </summary>
    public static bool TryReadSeconds(ref CommandContext call, int argument, out long deadlineMs)
    {
        deadlineMs = Never;
        if (!TryParse(call[argument], out double seconds))
        {
            call.Reply.Error("ERR timeout is not a float or out of range"u8);
            return false;
        }
        double ms = Math.Ceiling(seconds * 1000);
        if (ms >= long.MaxValue) return Refuse(ref call, "ERR timeout is out of range"u8);
        return TryFrom(ref call, ms <= long.MinValue ? long.MinValue : (long)ms, out deadlineMs);
    }

    private static bool TryFrom(ref CommandContext call, long ms, out long deadlineMs)
    {
        deadlineMs = Never;
        if (ms < 0) return Refuse(ref call, "ERR timeout is negative"u8);
        if (ms == 0) return true;
        if (ms > long.MaxValue - call.NowMs) return Refuse(ref call, "ERR timeout is out of range"u8);
        deadlineMs = ms + call.NowMs;
        return true;
    }

    private static bool Refuse(ref CommandContext call, ReadOnlySpan<byte> error)
    {
        call.Reply.Error(error);
        return false;
    }

    /// <summary>Parses a decimal number, or a hexadecimal one with 0x, as strtold does; rejects NaN.</summary>
    private static bool TryParse(ReadOnlySpan<byte> text, out double value)
    {
        if (text.Length > 2 && text[0] == '0' && (text[1] | 0x20) == 'x')
        {
            bool whole = Utf8Parser.TryParse(text[2..], out ulong number, out int read, 'x') && read == text.Length - 2;
            value = number;
            return whole;
        }
        if (text.Is("inf"u8) || text.Is("+inf"u8) || text.Is("infinity"u8))
        {
            value = double.PositiveInfinity;
            return true;
        }
        return double.TryParse(
            text,
            NumberStyles.AllowLeadingSign | NumberStyles.AllowDecimalPoint | NumberStyles.AllowExponent,
            CultureInfo.InvariantCulture,
            out value)
            && !double.IsNaN(value);
    }
}
