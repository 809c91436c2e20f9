using System.Runtime.InteropServices;

namespace OrleansRedis.Gateway;

/// <summary>The C library's heap. The runtime allocates from it too, for compiled code among other things.</summary>
internal static partial class CLibrary
{
    /// <summary>Returns free memory to the system, where the C library can do that (glibc's malloc_trim).</summary>
    public static void Trim()
    {
        if (!OperatingSystem.IsLinux()) return;
        try
        {
            _ = MallocTrim(0);
        }
        catch (Exception e) when (e is EntryPointNotFoundException or DllNotFoundException)
        {
            // A C library other than glibc does not have malloc_trim.
        }
    }

    [LibraryImport("libc", EntryPoint = "malloc_trim")]
    private static partial int MallocTrim(nuint pad);
}
