using System.Collections.Concurrent;

namespace OrleansRedis.Engine;

/// <summary>Frees what is large in the background, so that no command waits for it.</summary>
public static class LazyFree
{
    private static readonly ConcurrentQueue<IFreeable> s_queue = new();
    private static int s_isRunning;
    private static long s_freed;
    private static long s_pending;

    /// <summary>How many things have been freed.</summary>
    public static long Freed => Volatile.Read(ref s_freed);

    /// <summary>How many things are waiting to be freed.</summary>
    public static long Pending => Volatile.Read(ref s_pending);

    /// <summary>Has something freed soon. Nothing may look at it any more.</summary>
    internal static void Add(IFreeable item)
    {
        Interlocked.Increment(ref s_pending);
        s_queue.Enqueue(item);
        if (Interlocked.CompareExchange(ref s_isRunning, 1, 0) == 0) ThreadPool.UnsafeQueueUserWorkItem(static _ => Run(), null);
    }

    /// <summary>Waits until everything has been freed that was added before.</summary>
    internal static async Task WhenDoneAsync()
    {
        while (Pending != 0) await Task.Delay(1).ConfigureAwait(false);
    }

    private static void Run()
    {
        do
        {
            while (s_queue.TryDequeue(out IFreeable? item))
            {
                item.Free();
                Interlocked.Increment(ref s_freed);
                Interlocked.Decrement(ref s_pending);
            }
            // With a fence: the look at the queue must not come before others can see that we have stopped.
            Interlocked.Exchange(ref s_isRunning, 0);
        }
        // Something may have been added after the last look, by someone who saw us running.
        while (!s_queue.IsEmpty && Interlocked.CompareExchange(ref s_isRunning, 1, 0) == 0);
    }
}
