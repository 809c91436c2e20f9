using System.Buffers;
using System.Runtime.InteropServices;

namespace OrleansRedis.Engine;

/// <summary>
/// Buffers that grow with what they hold. They come from the shared pool up to a size; larger ones are left to the
/// garbage collector, since the pool would keep gigabytes after a single huge reply. The collector keeps their memory,
/// too, until it needs it or for ever (only an aggressive, blocking collection returns it: 1 s with 3 M objects), so
/// their pages are given back to the system at once.
/// </summary>
public static partial class LargeBuffers
{
    private const int LargestPooled = 32 * 1024 * 1024;
    private const int NotNeeded = 4; // MADV_DONTNEED of Linux

    /// <summary>A buffer of at least this size, with any content.</summary>
    public static byte[] Rent(int size) => size <= LargestPooled ? ArrayPool<byte>.Shared.Rent(size) : GC.AllocateUninitializedArray<byte>(size);

    /// <summary>Gives a buffer back that <see cref="Rent"/> made. Its content is lost.</summary>
    public static unsafe void Return(byte[] buffer)
    {
        if (buffer.Length <= LargestPooled)
        {
            ArrayPool<byte>.Shared.Return(buffer);
            return;
        }
        if (!OperatingSystem.IsLinux()) return;
        // Only whole pages inside the array, which hold nothing that the collector looks at. Read again, they are zero.
        nint page = Environment.SystemPageSize;
        fixed (byte* bytes = buffer)
        {
            nint start = ((nint)bytes + page - 1) / page * page, end = ((nint)bytes + buffer.Length) / page * page;
            _ = Advise(start, end - start, NotNeeded);
        }
    }

    [LibraryImport("libc", EntryPoint = "madvise")]
    private static partial int Advise(nint address, nint length, int advice);
}
