using System.Numerics;
using System.Runtime.CompilerServices;

namespace OrleansRedis.Engine;

/// <summary>
/// The sizes in which the <see cref="Heap"/> hands out small blocks: every multiple of 8 up to 128, since most keys,
/// elements and short strings lie there, then eight steps to each doubling, so that a block is never more than an
/// eighth larger than what was asked for. From 1 to 4 kB, where the nodes of streams and of short lists lie, the steps are
/// such that as many blocks as possible fill a granule, and hardly anything is left at its end.
/// </summary>
internal static unsafe class SizeClasses
{
    /// <summary>The largest size that has a class. Larger blocks are runs of granules of their own.</summary>
    public const int LargestSmall = 32 * 1024;

    /// <summary>How many classes there are. They are numbered from 1, so that 0 can mean none.</summary>
    public const int Count = 16 + (8 * 8);

    private const int FineUpTo = 128, FineStep = 8, FineCount = FineUpTo / FineStep;
    private const int FittedFrom = 1024, FittedUpTo = 4096;
    private const int TableUpTo = FittedUpTo;

    private static readonly int* s_sizes = MakeSizes();
    private static readonly byte* s_classes = MakeTable();

    /// <summary>The class for a size from 0 to <see cref="LargestSmall"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int Of(int size) => size <= TableUpTo ? s_classes[(uint)(size + FineStep - 1) / FineStep] : Compute(size);

    /// <summary>The bytes of each block of a class.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int SizeOf(int sizeClass) => s_sizes[sizeClass];

    private static int Compute(int size)
    {
        // The doubling that the size lies in (128 exclusive to 256 is the first), and which eighth of it.
        int doubling = BitOperations.Log2((uint)(size - 1)) - 7, step = 16 << doubling;
        return FineCount + (8 * doubling) + ((size - (FineUpTo << doubling) + step - 1) / step);
    }

    private static byte* MakeTable()
    {
        byte* table = (byte*)RuntimeHelpers.AllocateTypeAssociatedMemory(typeof(SizeClasses), (TableUpTo / FineStep) + 1);
        byte sizeClass = 1;
        for (int i = 0; i <= TableUpTo / FineStep; i++)
        {
            if (s_sizes[sizeClass] < i * FineStep) sizeClass++;
            table[i] = sizeClass;
        }
        return table;
    }

    private static int* MakeSizes()
    {
        int* sizes = (int*)RuntimeHelpers.AllocateTypeAssociatedMemory(typeof(SizeClasses), (Count + 1) * sizeof(int));
        for (int i = 1; i <= FineCount; i++) sizes[i] = i * FineStep;
        for (int i = FineCount + 1; i <= Count; i++)
        {
            int doubling = (i - FineCount - 1) / 8, eighth = ((i - FineCount - 1) % 8) + 1;
            int size = (FineUpTo << doubling) + (eighth * (16 << doubling));
            int blocks = (Granules.Size + size - 1) / size;
            sizes[i] = size is > FittedFrom and <= FittedUpTo ? Granules.Size / blocks / FineStep * FineStep : size;
        }
        return sizes;
    }
}
