using System.Diagnostics;
using System.Runtime.InteropServices;

namespace OrleansRedis.Engine;

/// <summary>
/// Threads for long work that nobody waits for. On Linux they are nicer than the others, so that on a machine that is fully busy commands get the processors
/// first. One that is not given a processor while it holds a slot's gate gets it as soon as those who wait for the gate leave one idle.
/// </summary>
internal static partial class BackgroundThread
{
    private const int Process = 0; // PRIO_PROCESS, which for Linux is a thread
    private const int ThreadTime = 3; // CLOCK_THREAD_CPUTIME_ID
    private const int Niceness = 10;

    /// <summary>Has a thread of its own do this work. Does not wait until that has started, as starting it would: on a busy machine for milliseconds.</summary>
    public static void Start(string name, Action work) => ThreadPool.UnsafeQueueUserWorkItem(_ => new Thread(() =>
    {
        if (OperatingSystem.IsLinux()) _ = SetPriority(Process, GetThreadId(), Niceness);
        work();
    })
    { IsBackground = true, Name = name }.Start(), null);

    [LibraryImport("libc", EntryPoint = "usleep")]
    private static partial int Sleep(uint microseconds);

    [LibraryImport("libc", EntryPoint = "gettid")]
    private static partial int GetThreadId();

    [LibraryImport("libc", EntryPoint = "setpriority")]
    private static partial int SetPriority(int which, int who, int priority);

    [LibraryImport("libc", EntryPoint = "clock_gettime")]
    [SuppressGCTransition]
    private static partial int GetTime(int clock, out TimeSpecification time);

    /// <summary>How long this thread has had a processor.</summary>
    private static TimeSpan TimeRun()
    {
        if (!OperatingSystem.IsLinux() || GetTime(ThreadTime, out TimeSpecification time) != 0) return Stopwatch.GetElapsedTime(0);
        return TimeSpan.FromTicks((time.Seconds * TimeSpan.TicksPerSecond) + (time.Nanoseconds / TimeSpan.NanosecondsPerTick));
    }

    private readonly struct TimeSpecification
    {
        public readonly long Seconds, Nanoseconds;
    }

    /// <summary>
    /// A thread's turns at its processor. After each it leaves it alone for as long as it has had it. Being nice is not enough: the system takes a processor with a nice
    /// thread on it for nearly idle, and yet moves nobody there from the one on which two others take turns of some milliseconds.
    /// </summary>
    public sealed class Turns
    {
        private static readonly TimeSpan s_length = TimeSpan.FromMicroseconds(250);

        private long _looked = Stopwatch.GetTimestamp();
        private TimeSpan _runBefore = TimeRun();

        /// <summary>To be called now and then: waits, if a turn is over. On a busy machine others may have had most of the time.</summary>
        public void Pause()
        {
            if (Stopwatch.GetElapsedTime(_looked) < s_length) return;
            if (TimeRun() - _runBefore >= s_length)
            {
                if (OperatingSystem.IsLinux()) _ = Sleep((uint)s_length.TotalMicroseconds);
                else Thread.Yield();
                _runBefore = TimeRun();
            }
            _looked = Stopwatch.GetTimestamp();
        }
    }
}
