using System.Runtime.InteropServices;

namespace OrleansRedis.Engine;

/// <summary>
/// How readily threads leave the processors to others: their nice value, in terms of the process's own. It can be set on
/// Linux only, and be lowered only by who may (root, or CAP_SYS_NICE). Where it cannot be set, nothing happens.
/// </summary>
public static partial class Niceness
{
    private const int Process = 0; // PRIO_PROCESS, which for Linux is a thread
    private const int Least = -20, Most = 19;

    /// <summary>Sets the calling thread's.</summary>
    /// <param name="beyondProcess">How much greater it shall be than the process's; negative for one that goes first.</param>
    public static void SetMine(int beyondProcess)
    {
        if (OperatingSystem.IsLinux()) Set(GetThreadId(), beyondProcess);
    }

    /// <summary>Sets that of a thread of this process, on Linux. Returns what it shall be.</summary>
    /// <param name="thread">The thread's number in the system.</param>
    /// <param name="beyondProcess">As for <see cref="SetMine"/>.</param>
    public static int Set(int thread, int beyondProcess)
    {
        int niceness = Math.Clamp(Of(Environment.ProcessId) + beyondProcess, Least, Most);
        _ = SetPriority(Process, thread, niceness);
        return niceness;
    }

    /// <summary>That of a thread, by its number in the system, on Linux.</summary>
    public static int Of(int thread) => GetPriority(Process, thread);

    [LibraryImport("libc", EntryPoint = "gettid")]
    private static partial int GetThreadId();

    [LibraryImport("libc", EntryPoint = "getpriority")]
    private static partial int GetPriority(int which, int who);

    [LibraryImport("libc", EntryPoint = "setpriority")]
    private static partial int SetPriority(int which, int who, int priority);
}
