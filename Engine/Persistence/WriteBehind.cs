using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace OrleansRedis.Engine;

/// <summary>
/// Makes the system write a growing file to the disk bit by bit, never far behind, so that the fsync at the end has
/// little left to do. The pieces are small, because nothing else gets the processor while the system prepares one. This
/// is only a hint: where the system does not offer it, nothing happens. Used by one thread.
/// </summary>
internal sealed partial class WriteBehind
{
    private const long PieceBytes = 512 << 10, MostUnderWayBytes = 4 << 20;
    private const uint WaitBefore = 1, Write = 2, WaitAfter = 4;

    private long _begun;

    /// <summary>Called when the file has grown to this length.</summary>
    public void Grown(SafeFileHandle file, long length)
    {
        if (!OperatingSystem.IsLinux()) return;
        for (; length - _begun >= PieceBytes; _begun += PieceBytes)
        {
            _ = SyncFileRange(file, _begun, PieceBytes, Write);
            if (_begun >= MostUnderWayBytes) _ = SyncFileRange(file, _begun - MostUnderWayBytes, PieceBytes, WaitBefore | Write | WaitAfter);
        }
    }

    [LibraryImport("libc", EntryPoint = "sync_file_range", SetLastError = true)]
    private static partial int SyncFileRange(SafeFileHandle file, long offset, long length, uint flags);
}
