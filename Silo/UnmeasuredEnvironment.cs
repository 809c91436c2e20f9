using Orleans.Statistics;

namespace OrleansRedis.Silo;

/// <summary>
/// In the place of Orleans's own statistics of the process, which have a price: a forced, blocking collection of the
/// whole heap when the silo starts, beside clients that are being served by then; and a listener to the runtime's event
/// counters, which kept an idle server busy for 0.8 % of a core. What would use them is off here (load shedding,
/// collecting grains when memory is short) or decided otherwise (slot grains are placed by the slot map). INFO measures
/// the process itself.
/// </summary>
internal sealed class UnmeasuredEnvironment : IEnvironmentStatisticsProvider
{
    /// <summary>Zeros, which stand for "not known": no amount of memory at all is available.</summary>
    public EnvironmentStatistics GetEnvironmentStatistics() => default;
}
