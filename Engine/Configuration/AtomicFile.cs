using System.Runtime.InteropServices;

namespace OrleansRedis.Engine;

/// <summary>Files that, after a crash at any moment, are either as they were or as they were meant to be.</summary>
public static partial class AtomicFile
{
    private const int ReadOnly = 0;

    /// <summary>
    /// Gives a file this content: writes a new file beside it, syncs it, renames it over the old one, and syncs the
    /// directory.
    /// </summary>
    /// <param name="path">The file.</param>
    /// <param name="content">The new content.</param>
    /// <param name="temporary">
    /// The name of the new file until it is renamed, in the same directory; chosen so that the clean-up after a crash
    /// recognizes it.
    /// </param>
    public static void Replace(string path, ReadOnlySpan<byte> content, string? temporary = null)
    {
        string full = Path.GetFullPath(path);
        temporary ??= $"{full}-{Environment.ProcessId}-{Environment.TickCount64}.tmp";
        try
        {
            using (var file = new FileStream(temporary, FileMode.Create, FileAccess.Write))
            {
                file.Write(content);
                file.Flush(flushToDisk: true);
            }
            if (!OperatingSystem.IsWindows() && File.Exists(full)) File.SetUnixFileMode(temporary, File.GetUnixFileMode(full));
            Publish(temporary, full);
        }
        catch
        {
            File.Delete(temporary);
            throw;
        }
    }

    /// <summary>
    /// The system's own words for a failure (strerror): .NET's message without the path that it adds.
    /// </summary>
    public static string Reason(Exception failure) => failure switch
    {
        _ when OperatingSystem.IsWindows() => failure.Message,
        FileNotFoundException or DirectoryNotFoundException => Marshal.GetPInvokeErrorMessage(2),
        UnauthorizedAccessException { InnerException: { } inner } => Reason(inner),
        UnauthorizedAccessException => Marshal.GetPInvokeErrorMessage(13),
        // A failure without a .NET class of its own carries the system's error number.
        IOException { HResult: > 0 and < 200 } => Marshal.GetPInvokeErrorMessage(failure.HResult),
        _ => failure.Message,
    };

    /// <summary>
    /// Moves a finished file to its final name, replacing what is there, and makes the change durable.
    /// </summary>
    public static void Publish(string temporary, string path)
    {
        File.Move(temporary, path, overwrite: true);
        SyncDirectory(Path.GetDirectoryName(path)!);
    }

    /// <summary>Makes changes of names in a directory durable: files created, renamed or deleted in it.</summary>
    public static void SyncDirectory(string path)
    {
        if (OperatingSystem.IsWindows()) return; // renames are durable there without it
        int descriptor = Open(path, ReadOnly);
        if (descriptor < 0) throw new IOException($"Could not open the directory {path}: {Marshal.GetLastPInvokeErrorMessage()}");
        try
        {
            if (Sync(descriptor) != 0) throw new IOException($"Could not sync the directory {path}: {Marshal.GetLastPInvokeErrorMessage()}");
        }
        finally
        {
            _ = Close(descriptor);
        }
    }

    [LibraryImport("libc", EntryPoint = "open", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int Open(string path, int flags);

    [LibraryImport("libc", EntryPoint = "fsync", SetLastError = true)]
    private static partial int Sync(int descriptor);

    [LibraryImport("libc", EntryPoint = "close", SetLastError = true)]
    private static partial int Close(int descriptor);
}
