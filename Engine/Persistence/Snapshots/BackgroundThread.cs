using System.Runtime.InteropServices;

namespace OrleansRedis.Engine;

/// <summary>
/// Threads for long work that nobody waits for. On Linux they are nicer than the others, so that on a machine that is fully busy commands get the processors
/// first. One that is not given a processor while it holds a slot's gate gets it as soon as those who wait for the gate leave one idle.
/// </summary>
internal static partial class BackgroundThread
{
    private const int Process = 0; // PRIO_PROCESS, which for Linux is a thread
    private const int Niceness = 10;

    /// <summary>Starts a thread that does this work and ends.</summary>
    public static void Start(string name, Action work) => new Thread(() =>
    {
        if (OperatingSystem.IsLinux()) _ = SetPriority(Process, GetThreadId(), Niceness);
        work();
    })
    { IsBackground = true, Name = name }.Start();

    /// <summary>
    /// To be called by such a thread now and then: leaves its processor alone for as long as it has just had it. Being nice is not enough: the system takes a processor with a nice
    /// thread on it for nearly idle, and yet moves nobody there from the one on which two others take turns of some milliseconds.
    /// </summary>
    public static void Pause(TimeSpan time)
    {
        if (OperatingSystem.IsLinux()) _ = Sleep((uint)time.TotalMicroseconds);
        else Thread.Yield();
    }

    [LibraryImport("libc", EntryPoint = "usleep")]
    private static partial int Sleep(uint microseconds);

    [LibraryImport("libc", EntryPoint = "gettid")]
    private static partial int GetThreadId();

    [LibraryImport("libc", EntryPoint = "setpriority")]
    private static partial int SetPriority(int which, int who, int priority);
}
