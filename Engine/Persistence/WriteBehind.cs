using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace OrleansRedis.Engine;

/// <summary>
/// Has the system write a growing file to the disk piece by piece, never far behind, so that the fsync at the end has little to do. In small pieces, since nobody else gets a
/// processor while the system prepares one. A hint: where it is not to be had nothing happens. One thread.
/// </summary>
internal sealed partial class WriteBehind
{
    private const long PieceBytes = 512 << 10, MostUnderWayBytes = 4 << 20;
    private const uint WaitBefore = 1, Write = 2, WaitAfter = 4;

    private long _begun;

    /// <summary>The file is this long now.</summary>
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
