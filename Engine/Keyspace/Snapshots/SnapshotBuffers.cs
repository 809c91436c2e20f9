using System.Collections.Concurrent;

namespace OrleansRedis.Engine;

/// <summary>Arrays for copies that one snapshot leaves for the next to use. Any thread.</summary>
internal sealed class SnapshotBuffers
{
    private readonly WeakReference<ConcurrentBag<byte[]>> _buffers = new([]); // some MB, so not if the memory is wanted

    /// <summary>The arrays, for a snapshot to hold on to while it lasts.</summary>
    public ConcurrentBag<byte[]> Take()
    {
        if (!_buffers.TryGetTarget(out ConcurrentBag<byte[]>? buffers)) _buffers.SetTarget(buffers = []);
        return buffers;
    }
}
