using System.Runtime.InteropServices;

namespace OrleansRedis.Engine;

/// <summary>What the <see cref="Heap"/> asks of the operating system: address space, and pages to fill it.</summary>
internal static unsafe partial class SystemMemory
{
    private const int NoAccess = 0, ReadWrite = 3;          // PROT_NONE, PROT_READ | PROT_WRITE
    private const int DontNeed = 4;                         // MADV_DONTNEED
    private const uint Reserve = 0x2000, Commit = 0x1000, Decommit = 0x4000, PageNoAccess = 1, PageReadWrite = 4; // Windows

    // MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE
    private static int MapFlags => OperatingSystem.IsMacOS() ? 0x2 | 0x1000 | 0x40 : 0x2 | 0x20 | 0x4000;

    /// <summary>
    /// Takes address space that nothing stands behind yet. Null if the process may not have so much of it.
    /// </summary>
    public static byte* TryReserve(nuint bytes)
    {
        if (OperatingSystem.IsWindows()) return (byte*)VirtualAlloc(null, bytes, Reserve, PageNoAccess);
        void* address = Map(null, bytes, NoAccess, MapFlags, -1, 0);
        return (nint)address == -1 ? null : (byte*)address;
    }

    /// <summary>
    /// Makes reserved addresses usable; they read as zero. False if the system will not promise that much memory.
    /// </summary>
    public static bool TryCommit(byte* address, nuint bytes) => OperatingSystem.IsWindows()
        ? VirtualAlloc(address, bytes, Commit, PageReadWrite) != null
        : Protect(address, bytes, ReadWrite) == 0;

    /// <summary>Gives the pages back to the system. The addresses stay usable, and read as zero.</summary>
    public static void Discard(byte* address, nuint bytes)
    {
        if (OperatingSystem.IsWindows())
        {
            _ = VirtualFree(address, bytes, Decommit);
            if (!TryCommit(address, bytes)) throw new InsufficientMemoryException();
        }
        else if (OperatingSystem.IsLinux())
        {
            _ = Advise(address, bytes, DontNeed);
        }
        else
        {
            // Elsewhere the advice keeps the content; a fresh mapping in its place does not.
            _ = Map(address, bytes, ReadWrite, MapFlags | 0x10, -1, 0); // MAP_FIXED
        }
    }

    [LibraryImport("libc", EntryPoint = "mmap")]
    private static partial void* Map(void* address, nuint length, int protection, int flags, int descriptor, nint offset);

    [LibraryImport("libc", EntryPoint = "mprotect")]
    private static partial int Protect(void* address, nuint length, int protection);

    [LibraryImport("libc", EntryPoint = "madvise")]
    private static partial int Advise(void* address, nuint length, int advice);

    [LibraryImport("kernel32")]
    private static partial void* VirtualAlloc(void* address, nuint length, uint type, uint protection);

    [LibraryImport("kernel32")]
    private static partial int VirtualFree(void* address, nuint length, uint type);
}
