using System.Runtime.InteropServices;

namespace OrleansRedis.Gateway;

/// <summary>The C library's heap, which the runtime uses for what it compiles, among others.</summary>
internal static partial class CLibrary
{
    /// <summary>Gives its free memory back to the system, where that can be asked for (glibc's malloc_trim).</summary>
    public static void Trim()
    {
        if (!OperatingSystem.IsLinux()) return;
        try
        {
            _ = MallocTrim(0);
        }
        catch (Exception e) when (e is EntryPointNotFoundException or DllNotFoundException)
        {
            // Another C library than glibc does not know it.
        }
    }

    [LibraryImport("libc", EntryPoint = "malloc_trim")]
    private static partial int MallocTrim(nuint pad);
}
