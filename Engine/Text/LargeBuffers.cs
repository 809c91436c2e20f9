using System.Buffers;
using System.Numerics;
using System.Runtime.InteropServices;

namespace OrleansRedis.Engine;

/// <summary>
/// Buffers for requests and replies, which grow with what they hold. The small ones come from the runtime's shared pool,
/// which keeps a few of each size. It would keep gigabytes of the large ones for ever; so they have a pool of their own
/// here, which keeps 16 MB, and less when less is needed (<see cref="Trim"/>). What it does not keep is left to the
/// collector. That has no haste, so the pages go back to the system at once.
/// </summary>
public static partial class LargeBuffers
{
    private const int LargestShared = 64 * 1024, LargestKept = 4 * 1024 * 1024;
    private const long MostKeptBytes = 16 * 1024 * 1024;
    private const int NotNeeded = 4; // MADV_DONTNEED of Linux

    private static readonly Lock s_lock = new();
    private static readonly Shelf[] s_shelves = [.. Enumerable.Range(0, ShelfOf(LargestKept) + 1).Select(_ => new Shelf())];
    private static long s_keptBytes;

    /// <summary>How many bytes of buffers are kept for later.</summary>
    public static long KeptBytes => Volatile.Read(ref s_keptBytes);

    /// <summary>A buffer of at least this size, with any content.</summary>
    public static byte[] Rent(int size)
    {
        if (size <= LargestShared) return ArrayPool<byte>.Shared.Rent(size);
        if (size > LargestKept) return GC.AllocateUninitializedArray<byte>(size);
        int number = ShelfOf(size);
        Shelf shelf = s_shelves[number];
        lock (s_lock)
        {
            if (shelf.Buffers.Count > 0)
            {
                byte[] latest = shelf.Take(shelf.Buffers.Count - 1);
                shelf.Unneeded = Math.Min(shelf.Unneeded, shelf.Buffers.Count);
                return latest;
            }
            shelf.Unneeded = 0;
        }
        return GC.AllocateUninitializedArray<byte>((2 * LargestShared) << number);
    }

    /// <summary>Gives a buffer back that <see cref="Rent"/> made. Its content is lost.</summary>
    public static void Return(byte[] buffer)
    {
        if (buffer.Length <= LargestShared)
        {
            ArrayPool<byte>.Shared.Return(buffer);
            return;
        }
        if (buffer.Length > LargestKept || !TryKeep(buffer)) GiveUp(buffer);
    }

    /// <summary>Gives up the buffers that were not needed since this was called the last time.</summary>
    public static void Trim()
    {
        while (TakeUnneeded() is { } buffer) GiveUp(buffer);
        lock (s_lock)
        {
            foreach (Shelf shelf in s_shelves) shelf.Unneeded = shelf.Buffers.Count;
        }
    }

    private static bool TryKeep(byte[] buffer)
    {
        lock (s_lock)
        {
            if (s_keptBytes + buffer.Length > MostKeptBytes) return false;
            s_shelves[ShelfOf(buffer.Length)].Buffers.Add(buffer);
            s_keptBytes += buffer.Length;
            return true;
        }
    }

    private static byte[]? TakeUnneeded()
    {
        lock (s_lock)
        {
            foreach (Shelf shelf in s_shelves)
            {
                if (shelf.Unneeded == 0) continue;
                shelf.Unneeded--;
                return shelf.Take(0);
            }
            return null;
        }
    }

    private static unsafe void GiveUp(byte[] buffer)
    {
        if (!OperatingSystem.IsLinux()) return;
        // Only whole pages inside the array, which hold nothing that the collector looks at. Read again, they are zero.
        nint page = Environment.SystemPageSize;
        fixed (byte* bytes = buffer)
        {
            nint start = ((nint)bytes + page - 1) / page * page, end = ((nint)bytes + buffer.Length) / page * page;
            _ = Advise(start, end - start, NotNeeded);
        }
    }

    /// <summary>The first shelf has buffers of twice <see cref="LargestShared"/>, each of the next twice as much.</summary>
    private static int ShelfOf(int size) => BitOperations.Log2((uint)(size - 1) / LargestShared);

    [LibraryImport("libc", EntryPoint = "madvise")]
    private static partial int Advise(nint address, nint length, int advice);

    private sealed class Shelf
    {
        /// <summary>The one that was used last is at the end, and is the next to be used.</summary>
        public readonly List<byte[]> Buffers = [];

        /// <summary>The least number of buffers that were here at any time since <see cref="Trim"/>.</summary>
        public int Unneeded;

        public byte[] Take(int index)
        {
            byte[] buffer = Buffers[index];
            Buffers.RemoveAt(index);
            s_keptBytes -= buffer.Length;
            return buffer;
        }
    }
}
