using System.Buffers;

namespace OrleansRedis.Engine;

/// <summary>
/// Buffers that grow with what they hold. They come from the shared pool up to a size; larger ones are left to the
/// garbage collector, since the pool would keep gigabytes after a single huge reply.
/// </summary>
public static class LargeBuffers
{
    private const int LargestPooled = 32 * 1024 * 1024;

    /// <summary>A buffer of at least this size, with any content.</summary>
    public static byte[] Rent(int size) => size <= LargestPooled ? ArrayPool<byte>.Shared.Rent(size) : GC.AllocateUninitializedArray<byte>(size);

    /// <summary>Gives a buffer back that <see cref="Rent"/> made.</summary>
    public static void Return(byte[] buffer)
    {
        if (buffer.Length <= LargestPooled) ArrayPool<byte>.Shared.Return(buffer);
    }
}
