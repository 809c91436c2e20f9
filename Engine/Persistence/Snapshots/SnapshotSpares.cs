using System.Collections.Concurrent;

namespace OrleansRedis.Engine;

/// <summary>
/// What one snapshot leaves for the next to use. Making it anew costs time at the instant at which everybody waits; and young marks on thousands of old keyspaces make the
/// next collections of garbage long. Any thread.
/// </summary>
internal sealed class SnapshotSpares
{
    private readonly WeakReference<ConcurrentBag<byte[]>> _buffers = new([]); // some MB, so not if the memory is wanted
    private Stack<KeyspaceSnapshot>? _marks;

    /// <summary>Arrays for copies; for a snapshot to hold on to while it lasts.</summary>
    public ConcurrentBag<byte[]> Buffers
    {
        get
        {
            if (!_buffers.TryGetTarget(out ConcurrentBag<byte[]>? buffers)) _buffers.SetTarget(buffers = []);
            return buffers;
        }
    }

    /// <summary>Marks, for one snapshot alone.</summary>
    public Stack<KeyspaceSnapshot> TakeMarks() => Interlocked.Exchange(ref _marks, null) ?? new(KeySlot.Count);

    /// <summary>Takes back marks that nobody uses any more, unless there are more of them here.</summary>
    public void GiveMarks(Stack<KeyspaceSnapshot> marks)
    {
        if (Interlocked.Exchange(ref _marks, marks) is { } others && others.Count > marks.Count) Volatile.Write(ref _marks, others);
    }
}
