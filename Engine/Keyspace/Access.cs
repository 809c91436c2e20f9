namespace OrleansRedis.Engine;

/// <summary>
/// The 24-bit access clock of a key. Under an LRU policy it is the second of the last use, modulo 2^24. Under an LFU
/// policy the high 16 bits are the minute of the last decay and the low 8 a logarithmic counter, as described in
/// redis.conf ("LFU") and in evict.c of Redis.
/// </summary>
internal static class Access
{
    private const uint Mask = 0xffffff;
    private const byte LfuStart = 5;

    /// <summary>The clock of a key on its first use.</summary>
    public static uint Initial(ServerOptions options, long nowMs) => options.UsesLfu ? (Minutes(nowMs) << 8) | LfuStart : Seconds(nowMs);

    /// <summary>The clock of a key that is used again.</summary>
    public static uint Touch(ServerOptions options, uint clock, long nowMs)
    {
        if (!options.UsesLfu) return Seconds(nowMs);
        uint counter = Frequency(options, clock, nowMs);
        if (counter < 255)
        {
            double above = Math.Max(0, (int)counter - LfuStart);
            if (Random.Shared.NextDouble() < 1.0 / ((above * options.LfuLogFactor) + 1)) counter++;
        }
        return (Minutes(nowMs) << 8) | counter;
    }

    /// <summary>How long a key has not been used, in ms, under an LRU policy.</summary>
    public static long IdleMs(uint clock, long nowMs) => ((Seconds(nowMs) - clock) & Mask) * 1000L;

    /// <summary>The LFU counter after the decay that is due.</summary>
    public static uint Frequency(ServerOptions options, uint clock, long nowMs)
    {
        uint counter = clock & 0xff;
        if (options.LfuDecayTime == 0) return counter;
        uint periods = ((Minutes(nowMs) - (clock >> 8)) & 0xffff) / (uint)options.LfuDecayTime;
        return periods >= counter ? 0 : counter - periods;
    }

    /// <summary>The clock of a key last used <paramref name="idleSeconds"/> ago (RESTORE IDLETIME, RDB).</summary>
    public static uint FromIdleSeconds(long idleSeconds, long nowMs) => (uint)((nowMs / 1000) - idleSeconds) & Mask;

    /// <summary>The clock of a key with this LFU counter (RESTORE FREQ, RDB).</summary>
    public static uint FromFrequency(byte frequency, long nowMs) => (Minutes(nowMs) << 8) | frequency;

    /// <summary>The LRU clock of a key that is used now.</summary>
    public static uint Seconds(long nowMs) => (uint)(nowMs / 1000) & Mask;

    private static uint Minutes(long nowMs) => (uint)(nowMs / 60_000) & 0xffff;
}
