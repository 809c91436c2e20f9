namespace OrleansRedis.Engine;

/// <summary>A way to say when a key expires: EX, PX, EXAT, PXAT, and the commands that mean the same.</summary>
internal readonly record struct ExpiryOption
{
    private readonly bool _inSeconds;
    private readonly bool _relative;

    private ExpiryOption(bool inSeconds, bool relative)
    {
        _inSeconds = inSeconds;
        _relative = relative;
    }

    public static ExpiryOption Seconds => new(inSeconds: true, relative: true);

    public static ExpiryOption Milliseconds => new(inSeconds: false, relative: true);

    public static ExpiryOption UnixSeconds => new(inSeconds: true, relative: false);

    public static ExpiryOption UnixMilliseconds => new(inSeconds: false, relative: false);

    /// <summary>Whether this is EXAT or PXAT, which may name a time in the past.</summary>
    public bool IsAbsolute => !_relative;

    /// <summary>Whether a word is EX, PX, EXAT or PXAT.</summary>
    public static bool TryMatch(ReadOnlySpan<byte> word, out ExpiryOption option)
    {
        option = default;
        if (word.Is("EX"u8)) option = Seconds;
        else if (word.Is("PX"u8)) option = Milliseconds;
        else if (word.Is("EXAT"u8)) option = UnixSeconds;
        else if (word.Is("PXAT"u8)) option = UnixMilliseconds;
        else return false;
        return true;
    }

    /// <summary>
    /// Reads an argument as an expiry in Unix ms. It must be positive and representable. If not, the error is in the
    /// reply.
    /// </summary>
    public bool TryRead(ref CommandContext call, int index, out long expiresAtMs)
    {
        if (!call.TryInt64(index, out expiresAtMs)) return false;
        if (expiresAtMs > 0 && TryConvert(expiresAtMs, call.NowMs, out expiresAtMs)) return true;
        call.Reply.Error(Errors.InvalidExpire(call.Command));
        return false;
    }

    /// <summary>Converts a number in this unit to Unix ms; false if that overflows.</summary>
    public bool TryConvert(long number, long nowMs, out long expiresAtMs)
    {
        expiresAtMs = number;
        if (_inSeconds)
        {
            if (number is > long.MaxValue / 1000 or < long.MinValue / 1000) return false;
            expiresAtMs *= 1000;
        }
        if (_relative)
        {
            if (expiresAtMs > long.MaxValue - nowMs) return false;
            expiresAtMs += nowMs;
        }
        // The very last millisecond stands for "never".
        if (expiresAtMs == Expiry.Never) expiresAtMs--;
        return true;
    }
}
