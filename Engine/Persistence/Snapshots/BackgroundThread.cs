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

    [LibraryImport("libc", EntryPoint = "gettid")]
    private static partial int GetThreadId();

    [LibraryImport("libc", EntryPoint = "setpriority")]
    private static partial int SetPriority(int which, int who, int priority);
}
