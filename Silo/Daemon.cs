using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;
using OrleansRedis.Engine;

namespace OrleansRedis.Silo;

/// <summary>
/// daemonize: the server goes on in the background. A .NET process cannot fork once its threads run, so the program is
/// started anew, in a session of its own and without a terminal, and the process that was started ends.
/// </summary>
internal static partial class Daemon
{
    /// <summary>Set in the environment of the process in the background.</summary>
    private const string Mark = "ORLEANSREDIS_IS_DAEMON";

    private const int ReadWrite = 2;

    /// <summary>Whether this is the process in the background.</summary>
    private static bool IsDaemon => Environment.GetEnvironmentVariable(Mark) is not null;

    /// <summary>
    /// Goes into the background, if that is asked for: true if the server runs there now, so that this process is to
    /// end. To be called before anything is written to the log.
    /// </summary>
    public static bool TryLeave(ServerOptions options, string[] arguments)
    {
        if (IsDaemon)
        {
            Environment.SetEnvironmentVariable(Mark, null);
            Detach();
            return false;
        }
        if (!options.Daemonize || IsSupervised(options)) return false;
        if (arguments.Contains("-"))
            throw new ConfigurationException("*** FATAL CONFIG ERROR ***\ndaemonize yes is not possible with a configuration from the standard input.");
        var start = new ProcessStartInfo(Environment.ProcessPath!);
        if (Path.GetFileNameWithoutExtension(start.FileName) == "dotnet") start.ArgumentList.Add(Environment.GetCommandLineArgs()[0]);
        foreach (string argument in arguments) start.ArgumentList.Add(argument);
        start.Environment[Mark] = "1";
        Process.Start(start)!.Dispose();
        return true;
    }

    /// <summary>Who supervises a process wants to see it, not another one.</summary>
    private static bool IsSupervised(ServerOptions options) => options.Supervised switch
    {
        Supervision.No => false,
        Supervision.Auto => Environment.GetEnvironmentVariable("NOTIFY_SOCKET") is not null || Environment.GetEnvironmentVariable("UPSTART_JOB") is not null,
        _ => true,
    };

    /// <summary>
    /// Lets go of the terminal, or of the pipes whose other ends wait for this process to end. The runtime has duplicates
    /// of them, which are found by what they lead to.
    /// </summary>
    private static void Detach()
    {
        _ = SetSession();
        int nothing = Open("/dev/null", ReadWrite);
        if (nothing < 0) return;
        string?[] standard = [.. Enumerable.Range(0, 3).Select(LeadsTo)];
        int[] all = [.. Directory.GetFiles("/proc/self/fd").Select(path => int.Parse(Path.GetFileName(path), CultureInfo.InvariantCulture))];
        foreach (int descriptor in all.Where(descriptor => descriptor != nothing && (descriptor <= 2 || IsPipeOrTerminal(descriptor, standard))))
            _ = Duplicate(nothing, descriptor);
        if (nothing > 2) _ = Close(nothing);
    }

    private static bool IsPipeOrTerminal(int descriptor, string?[] standard) =>
        LeadsTo(descriptor) is { } target && target != "/dev/null" && standard.Contains(target);

    private static string? LeadsTo(int descriptor) => new FileInfo($"/proc/self/fd/{descriptor}").LinkTarget;

    [LibraryImport("libc", EntryPoint = "setsid")]
    private static partial int SetSession();

    [LibraryImport("libc", EntryPoint = "open", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int Open(string path, int flags);

    [LibraryImport("libc", EntryPoint = "dup2")]
    private static partial int Duplicate(int from, int to);

    [LibraryImport("libc", EntryPoint = "close")]
    private static partial int Close(int descriptor);
}
