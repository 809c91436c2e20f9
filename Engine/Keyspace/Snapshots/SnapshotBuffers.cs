using System.Collections.Concurrent;

namespace OrleansRedis.Engine;

/// <summary>Arrays for copies that one snapshot leaves for the next to use. Any thread may call this.</summary>
internal sealed class SnapshotBuffers
{
    // some MB, so the collector may have them when memory is short
    private readonly WeakReference<ConcurrentBag<byte[]>> _buffers = new([]);

    /// <summary>The arrays, which a snapshot holds on to while it lasts.</summary>
    public ConcurrentBag<byte[]> Take()
    {
        if (!_buffers.TryGetTarget(out ConcurrentBag<byte[]>? buffers)) _buffers.SetTarget(buffers = []);
        return buffers;
    }
}
