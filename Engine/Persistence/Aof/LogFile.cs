using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace OrleansRedis.Engine;

/// <summary>The system has refused something about a file of the log. The message is the system's ("No space left on device").</summary>
public sealed class LogFileException(string message) : IOException(message);

/// <summary>A file at whose end the log is written. One thread at a time uses it, but for <see cref="Sync"/>, which may run beside.</summary>
internal interface ILogFile : IDisposable
{
    /// <summary>How long it is.</summary>
    long Length { get; }

    /// <summary>Writes all of this at a place. If it fails, some of it may have been written.</summary>
    void Write(ReadOnlySpan<byte> bytes, long offset);

    /// <summary>Cuts it off.</summary>
    void Truncate(long length);

    /// <summary>Waits until what was written is on the disk. If it fails, it may not be, and asking again tells nothing: see <see cref="LogWriter"/>.</summary>
    void Sync();
}

/// <summary>A file of the operating system.</summary>
internal sealed partial class LogFile : ILogFile
{
    private const int Interrupted = 4;

    private readonly SafeFileHandle _handle;

    private LogFile(SafeFileHandle handle) => _handle = handle;

    public long Length => RandomAccess.GetLength(_handle);

    /// <summary>Opens a file to go on writing at its end; it is created if it is missing, and emptied if that is asked for.</summary>
    public static ILogFile Open(string path, bool empty)
    {
        try
        {
            return new LogFile(File.OpenHandle(path, empty ? FileMode.Create : FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.ReadWrite | FileShare.Delete));
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
        // The file's times need not be on the disk, as with fsync; its length is.
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
