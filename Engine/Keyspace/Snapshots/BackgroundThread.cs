using System.Diagnostics;
using System.Runtime.InteropServices;

namespace OrleansRedis.Engine;

/// <summary>
/// Threads for long work that nobody waits for. On Linux they have a higher nice value than the others, so that on a
/// fully busy machine commands get the processors first. A background thread that loses its processor while it holds a
/// slot's gate gets one back as soon as the threads waiting for the gate leave one idle.
/// </summary>
internal static partial class BackgroundThread
{
    private const int ThreadTime = 3; // CLOCK_THREAD_CPUTIME_ID

    /// <summary>So much more than the process has: a tenth of the processor's time that the others get, where all of them want it.</summary>
    private const int BeyondProcess = 10;

    /// <summary>
    /// Runs this work on a thread of its own. The thread is created by way of the pool, because Thread.Start waits
    /// until the new thread runs: on a busy machine that takes milliseconds.
    /// </summary>
    public static void Start(string name, Action work) => ThreadPool.UnsafeQueueUserWorkItem(_ => new Thread(() =>
    {
        Niceness.SetMine(BeyondProcess);
        work();
    })
    { IsBackground = true, Name = name }.Start(), null);

    [LibraryImport("libc", EntryPoint = "usleep")]
    private static partial int Sleep(uint microseconds);

    [LibraryImport("libc", EntryPoint = "clock_gettime")]
    [SuppressGCTransition]
    private static partial int GetTime(int clock, out TimeSpecification time);

    /// <summary>For how long this thread has had a processor.</summary>
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
    /// Divides a thread's work into turns, and after each turn leaves the processor alone for as long as the turn took, or
    /// as is asked for.
    /// Niceness is not enough. The system considers a processor that runs a nice thread nearly idle, and yet moves no
    /// thread there from a processor on which two others alternate in turns of some milliseconds.
    /// </summary>
    public sealed class Turns
    {
        private static readonly TimeSpan s_length = TimeSpan.FromMicroseconds(250);

        private long _looked = Stopwatch.GetTimestamp();
        private TimeSpan _runBefore = TimeRun();

        /// <summary>
        /// To be called regularly: waits if a turn is over. Only the time that this thread has run counts, since on a
        /// busy machine other threads may have had most of it.
        /// </summary>
        /// <param name="percent">How much of a processor's time this thread may have, from 1 to 99.</param>
        public void Pause(int percent = 50)
        {
            if (Stopwatch.GetElapsedTime(_looked) < s_length) return;
            if (TimeRun() - _runBefore >= s_length)
            {
                TimeSpan pause = s_length * (100 - percent) / percent;
                if (OperatingSystem.IsLinux()) _ = Sleep((uint)pause.TotalMicroseconds);
                else if (pause > s_length) Thread.Sleep((int)Math.Ceiling(pause.TotalMilliseconds));
                else Thread.Yield();
                _runBefore = TimeRun();
            }
            _looked = Stopwatch.GetTimestamp();
        }
    }
}
