using System.Globalization;
using OrleansRedis.Engine;

namespace OrleansRedis.Gateway;

/// <summary>
/// The runtime's thread that compiles anew what has turned out to be hot. It has most to do in the first second after
/// clients have come, and where processors are scarce it would then take turns of some milliseconds with the threads that
/// serve them. So it gets a higher nice value (Linux only).
/// </summary>
internal static class CompilerThread
{
    /// <summary>".NET Tiered Compilation Worker", of which the system keeps 15 characters.</summary>
    private const string Name = ".NET Tiered Com";

    /// <summary>So much more than the process has: a third of the processor's time that the others get, where all of them want it.</summary>
    private const int BeyondProcess = 5;

    private static int s_thread, s_niceness;

    /// <summary>To be called now and then: the runtime ends the thread when there is nothing to do, and starts another.</summary>
    public static void MakeNice()
    {
        if (!OperatingSystem.IsLinux() || (s_thread != 0 && Niceness.Of(s_thread) == s_niceness)) return;
        foreach (string task in Directory.EnumerateDirectories("/proc/self/task"))
        {
            try
            {
                if (!File.ReadAllText(Path.Combine(task, "comm")).StartsWith(Name, StringComparison.Ordinal)) continue;
            }
            catch (IOException)
            {
                continue; // a thread that has ended meanwhile
            }
            s_thread = int.Parse(Path.GetFileName(task.AsSpan()), CultureInfo.InvariantCulture);
            s_niceness = Niceness.Set(s_thread, BeyondProcess);
            return;
        }
    }
}
