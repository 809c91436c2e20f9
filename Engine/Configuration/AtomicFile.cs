using System.Runtime.InteropServices;

namespace OrleansRedis.Engine;

/// <summary>Files that are, after a crash at any moment, either as they were or as they were meant to be.</summary>
internal static partial class AtomicFile
{
    private const int ReadOnly = 0;

    /// <summary>Gives a file this content: a new file beside it is written, synced, and renamed over it, and the directory is synced.</summary>
    public static void Replace(string path, ReadOnlySpan<byte> content)
    {
        string full = Path.GetFullPath(path), directory = Path.GetDirectoryName(full)!;
        string temporary = $"{full}-{Environment.ProcessId}-{Environment.TickCount64}.tmp";
        try
        {
            using (var file = new FileStream(temporary, FileMode.CreateNew, FileAccess.Write))
            {
                file.Write(content);
                file.Flush(flushToDisk: true);
            }
            if (!OperatingSystem.IsWindows() && File.Exists(full)) File.SetUnixFileMode(temporary, File.GetUnixFileMode(full));
            File.Move(temporary, full, overwrite: true);
        }
        catch
        {
            File.Delete(temporary);
            throw;
        }
        SyncDirectory(directory);
    }

    /// <summary>Makes the names in a directory durable: files created, renamed or deleted in it.</summary>
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
