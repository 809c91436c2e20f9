using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace OrleansRedis.Engine;

/// <summary>
/// The operating system has refused an operation on a file of the log. The message is the system's ("No space left on
/// device").
/// </summary>
public sealed class LogFileException(string message) : IOException(message);

/// <summary>
/// A file to which the log is appended. Only one thread at a time uses it, except that <see cref="Sync"/> may run at
/// the same time as other calls.
/// </summary>
internal interface ILogFile : IDisposable
{
    /// <summary>The length of the file.</summary>
    long Length { get; }

    /// <summary>Writes all the bytes at an offset. If it fails, some of them may have been written.</summary>
    void Write(ReadOnlySpan<byte> bytes, long offset);

    /// <summary>Truncates the file.</summary>
    void Truncate(long length);

    /// <summary>
    /// Waits until everything written is on the disk. If it fails, the data may not be there, and calling it again
    /// proves nothing: see <see cref="LogWriter"/>.
    /// </summary>
    void Sync();
}

/// <summary>A log file on the operating system's file system.</summary>
internal sealed partial class LogFile : ILogFile
{
    private const int Interrupted = 4;

    private readonly SafeFileHandle _handle;

    private LogFile(SafeFileHandle handle) => _handle = handle;

    public long Length => RandomAccess.GetLength(_handle);

    /// <summary>
    /// Opens a file for appending. Creates it if it does not exist, and truncates it if <paramref name="empty"/> is
    /// set.
    /// </summary>
    public static ILogFile Open(string path, bool empty)
    {
        try
        {
            return new LogFile(File.OpenHandle(
                path, empty ? FileMode.Create : FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.ReadWrite | FileShare.Delete));
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
        {
            throw new LogFileException(AtomicFile.Reason(failure));
        }
    }

    public void Write(ReadOnlySpan<byte> bytes, long offset) => Try(bytes, offset, static (handle, bytes, offset) => RandomAccess.Write(handle, bytes, offset));

    public void Truncate(long length) => Try([], length, static (handle, _, length) => RandomAccess.SetLength(handle, length));

    public void Sync()
    {
        if (!OperatingSystem.IsLinux())
        {
            Try([], 0, static (handle, _, _) => RandomAccess.FlushToDisk(handle));
            return;
        }
        // fdatasync: the file's length must be on the disk; its timestamps need not be.
        while (DataSync(_handle) != 0)
        {
            if (Marshal.GetLastPInvokeError() != Interrupted) throw new LogFileException(Marshal.GetLastPInvokeErrorMessage());
        }
    }

    public void Dispose() => _handle.Dispose();

    private void Try(ReadOnlySpan<byte> bytes, long number, Operation operation)
    {
        try
        {
            operation(_handle, bytes, number);
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
        {
            throw new LogFileException(AtomicFile.Reason(failure));
        }
    }

    private delegate void Operation(SafeFileHandle handle, ReadOnlySpan<byte> bytes, long number);

    [LibraryImport("libc", EntryPoint = "fdatasync", SetLastError = true)]
    private static partial int DataSync(SafeFileHandle handle);
}
