namespace OrleansRedis.Engine;

/// <summary>
/// The generator behind math.random: drand48's (X = 0x5DEECE66D X + 11 mod 2^48), of which Redis uses the upper 31 bits.
/// The same seed gives the same numbers as there.
/// </summary>
internal sealed class LuaRandom
{
    private const ulong Mask = (1UL << 48) - 1;

    private ulong _state = (ulong)Random.Shared.NextInt64() & Mask;

    public void Seed(int seed) => _state = (((ulong)(uint)seed << 16) | 0x330E) & Mask;

    /// <summary>A number from 0 to below 1.</summary>
    public double NextDouble()
    {
        _state = ((_state * 0x5DEECE66D) + 11) & Mask;
        const int Most = int.MaxValue; // REDIS_LRAND48_MAX
        return (int)(_state >> 17) % Most / (double)Most;
    }
}
