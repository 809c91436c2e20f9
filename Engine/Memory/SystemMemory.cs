using System.Runtime.InteropServices;

namespace OrleansRedis.Engine;

/// <summary>What the <see cref="Heap"/> asks of the operating system: address space, and pages to fill it.</summary>
internal static unsafe partial class SystemMemory
{
    private const int NoAccess = 0, ReadWrite = 3;          // PROT_NONE, PROT_READ | PROT_WRITE
    private const int DontNeed = 4, NoHugePage = 15, MapFixed = 0x10; // MADV_DONTNEED, MADV_NOHUGEPAGE, MAP_FIXED
    private const uint Reserve = 0x2000, Commit = 0x1000, Reset = 0x80000, PageNoAccess = 1, PageReadWrite = 4; // Windows

    /// <summary>Whether <see cref="Discard">discarded</see> memory reads as zero; otherwise its content is undefined.</summary>
    public static bool DiscardedIsZero => !OperatingSystem.IsWindows();

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
    /// Asks that reserved addresses be filled by the page, even where the system prefers huge pages for everything: of those
    /// it fills 2 MB when one byte is touched, and again after most of them was discarded. Redis does the same (disable-thp).
    /// </summary>
    public static void WantSmallPages(byte* address, nuint bytes)
    {
        if (OperatingSystem.IsLinux()) _ = Advise(address, bytes, NoHugePage); // refused by kernels that know no other pages
    }

    /// <summary>
    /// Makes reserved addresses usable, and the rest of the pages that they lie in; they read as zero. False if the system
    /// will not promise that much memory.
    /// </summary>
    public static bool TryCommit(byte* address, nuint bytes)
    {
        if (OperatingSystem.IsWindows()) return VirtualAlloc(address, bytes, Commit, PageReadWrite) != null;
        nuint inPage = (nuint)address % (nuint)Environment.SystemPageSize;
        return Protect(address - inPage, bytes + inPage, ReadWrite) == 0;
    }

    /// <summary>
    /// Gives the pages back to the system. The addresses stay usable, and at no moment does reading them do harm.
    /// </summary>
    public static void Discard(byte* address, nuint bytes)
    {
        if (OperatingSystem.IsWindows())
        {
            if (DiscardVirtualMemory(address, bytes) != 0) _ = VirtualAlloc(address, bytes, Reset, PageReadWrite);
        }
        else if (!OperatingSystem.IsLinux() || Advise(address, bytes, DontNeed) != 0)
        {
            // The advice means something else here, or the pages are locked in memory. A fresh mapping takes their place.
            if ((nint)Map(address, bytes, ReadWrite, MapFlags | MapFixed, -1, 0) == -1)
                throw new InsufficientMemoryException("The system does not take memory back.");
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
    private static partial uint DiscardVirtualMemory(void* address, nuint length);
}
