using System.Collections.Concurrent;

namespace OrleansRedis.Gateway;

/// <summary>
/// What other threads want a connection's loop to do, and the bell that wakes the loop while it waits for something
/// other than input.
/// </summary>
internal sealed class Mailbox
{
    private static readonly TaskCompletionSource s_rung = new();

    private readonly ConcurrentQueue<Action<ClientConnection>> _letters = new();
    private volatile bool _hasLetters;
    // null: silent, and nothing listens; s_rung: rung since the loop last listened; otherwise what the loop awaits.
    private TaskCompletionSource? _bell;

    public void Post(Action<ClientConnection> letter)
    {
        _letters.Enqueue(letter);
        _hasLetters = true;
        Ring();
    }

    public void Empty(ClientConnection connection)
    {
        if (!_hasLetters) return;
        // Before looking into the queue: a letter posted after that sets the flag again.
        _hasLetters = false;
        while (_letters.TryDequeue(out Action<ClientConnection>? letter)) letter(connection);
    }

    /// <summary>
    /// Has the loop look up, now or when it next listens. Any thread; the loop does not continue on it.
    /// </summary>
    public void Ring()
    {
        TaskCompletionSource? bell = Interlocked.Exchange(ref _bell, s_rung);
        if (bell is not null && bell != s_rung) bell.SetResult();
    }

    /// <summary>
    /// Completes at the next ring; at once if the bell rang since this last completed. For the loop alone.
    /// </summary>
    public Task WhenRung()
    {
        TaskCompletionSource? bell = Volatile.Read(ref _bell);
        if (bell is null)
        {
            var mine = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            bell = Interlocked.CompareExchange(ref _bell, mine, null);
            if (bell is null) return mine.Task;
        }
        if (bell != s_rung) return bell.Task; // left over from a wait that ended for another reason
        // A fence: a loop that looks now sees what was posted before the ring.
        Interlocked.Exchange(ref _bell, null);
        return Task.CompletedTask;
    }
}
