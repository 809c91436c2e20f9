namespace OrleansRedis.Tests.Simulation;

/// <summary>
/// The source of everything random in one simulation: SplitMix64 (Steele, Lea, Flood, "Fast Splittable Pseudorandom
/// Number Generators"), as a simulation draws a few million numbers.
/// </summary>
internal sealed class SimulatedRandom(ulong seed)
{
    private ulong _state = seed;

    public ulong Next()
    {
        ulong z = _state += 0x9e3779b97f4a7c15;
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
        z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
        return z ^ (z >> 31);
    }

    /// <summary>From 0 to <paramref name="below"/> - 1.</summary>
    public int Next(int below) => (int)((Next() >> 33) * (ulong)below >> 31);

    /// <summary>From <paramref name="from"/> to <paramref name="to"/>, both included.</summary>
    public int Between(int from, int to) => from + Next(to - from + 1);

    public bool OneIn(int count) => Next(count) == 0;

    /// <summary>True with a probability of so many in a million.</summary>
    public bool Millionth(int count) => Next(1_000_000) < count;
}
