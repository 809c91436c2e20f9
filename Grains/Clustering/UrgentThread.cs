using OrleansRedis.Engine;

namespace OrleansRedis.Grains.Clustering;

/// <summary>
/// Threads on whose promptness this silo's lease depends. Where the process may say so (as root, or with CAP_SYS_NICE),
/// they get a processor before its other threads, so that a busy machine does not cost the lease.
/// </summary>
internal static class UrgentThread
{
    private const int Urgency = 10;

    /// <summary>Makes the calling thread one of them.</summary>
    public static void BecomeOne() => Niceness.SetMine(-Urgency);
}
