using System.Diagnostics;
using System.Runtime.InteropServices;

namespace OrleansRedis.Grains.Clustering;

/// <summary>
/// Milliseconds since the machine was started, its sleep included (CLOCK_BOOTTIME): a lease goes on while its holder
/// sleeps.
/// </summary>
internal static unsafe partial class BootClock
{
    private const int BootTime = 7;

    public static long NowMs
    {
        get
        {
            long* time = stackalloc long[2]; // struct timespec
            return OperatingSystem.IsLinux() && GetTime(BootTime, time) == 0
                ? (time[0] * 1000) + (time[1] / 1_000_000)
                : Stopwatch.GetTimestamp() / (Stopwatch.Frequency / 1000);
        }
    }

    [LibraryImport("libc", EntryPoint = "clock_gettime"), SuppressGCTransition]
    private static partial int GetTime(int clock, long* time);
}
