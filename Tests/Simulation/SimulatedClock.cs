namespace OrleansRedis.Tests.Simulation;

/// <summary>
/// A silo's clock: microseconds since some moment of its own, up to the allowed drift too fast. It goes on while the
/// silo is suspended.
/// </summary>
internal sealed class SimulatedClock(SimulatedRandom random, int driftPercent)
{
    /// <summary>The time that one step of the simulation takes.</summary>
    public const long TicksPerStep = 5000;

    private readonly long _offset = 1 + random.Next(int.MaxValue);
    private readonly int _perMille = random.Between(1000, 1000 + (driftPercent * 10));

    public long At(long step) => _offset + (step * TicksPerStep * _perMille / 1000);
}
