using System.Runtime.InteropServices;

namespace OrleansRedis.Grains.Clustering;

/// <summary>
/// Threads on whose promptness this silo's lease depends. Where the process may say so (as root, or with CAP_SYS_NICE),
/// they get a processor before its other threads, so that a busy machine does not cost the lease.
/// </summary>
internal static partial class UrgentThread
{
    private const int Process = 0; // PRIO_PROCESS, which for Linux is a thread
    private const int Urgency = 10, LeastNiceness = -20;

    /// <summary>Makes the calling thread one of them.</summary>
    public static void BecomeOne()
    {
        if (!OperatingSystem.IsLinux()) return;
        // If it may not, it is a thread like any other.
        _ = SetPriority(Process, GetThreadId(), Math.Max(LeastNiceness, GetPriority(Process, Environment.ProcessId) - Urgency));
    }

    [LibraryImport("libc", EntryPoint = "gettid")]
    private static partial int GetThreadId();

    [LibraryImport("libc", EntryPoint = "getpriority")]
    private static partial int GetPriority(int which, int who);

    [LibraryImport("libc", EntryPoint = "setpriority")]
    private static partial int SetPriority(int which, int who, int priority);
}
