namespace OrleansRedis.Engine;

/// <summary>Arguments that several list commands take.</summary>
internal static class ListArguments
{
    /// <summary>
    /// Reads an integer that is not negative. If it is anything else, <paramref name="error"/> is in the reply.
    /// </summary>
    public static bool TryNotNegative(ref CommandContext call, int index, ReadOnlySpan<byte> error, out long value)
    {
        if (Numbers.TryParseInt64(call[index], out value) && value >= 0) return true;
        call.Reply.Error(error);
        return false;
    }

    /// <summary>Reads LEFT or RIGHT. If it is neither, a syntax error is in the reply.</summary>
    public static bool TryEnd(ref CommandContext call, int index, out bool atHead)
    {
        atHead = call[index].Is("LEFT"u8);
        if (atHead || call[index].Is("RIGHT"u8)) return true;
        call.SyntaxError();
        return false;
    }
}
