using System.Collections.Concurrent;

namespace OrleansRedis.Gateway;

/// <summary>What other threads want a connection's loop to do, and the bell that wakes it while it waits for something else than input.</summary>
internal sealed class Mailbox
{
    private static readonly TaskCompletionSource s_rung = new();

    private readonly ConcurrentQueue<Action<ClientConnection>> _letters = new();
    private volatile bool _hasLetters;
    private TaskCompletionSource? _bell; // null: silent, and nobody listens; s_rung: rung since the loop last listened; else what the loop awaits

    public void Post(Action<ClientConnection> letter)
    {
        _letters.Enqueue(letter);
        _hasLetters = true;
        Ring();
    }

    public void Empty(ClientConnection connection)
    {
        if (!_hasLetters) return;
        _hasLetters = false; // before the look into the queue: a letter posted after it sets the flag again
        while (_letters.TryDequeue(out Action<ClientConnection>? letter)) letter(connection);
    }

    /// <summary>Has the loop look up, now or when it next listens. Any thread; the loop does not go on on it.</summary>
    public void Ring()
    {
        TaskCompletionSource? bell = Interlocked.Exchange(ref _bell, s_rung);
        if (bell is not null && bell != s_rung) bell.SetResult();
    }

    /// <summary>Completes at the next ring, at once if there was one since this last completed. For the loop alone.</summary>
    public Task WhenRung()
    {
        TaskCompletionSource? bell = Volatile.Read(ref _bell);
        if (bell is null)
        {
            var mine = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            bell = Interlocked.CompareExchange(ref _bell, mine, null);
            if (bell is null) return mine.Task;
        }
        if (bell != s_rung) return bell.Task; // it still hangs there from a wait that ended otherwise
        Interlocked.Exchange(ref _bell, null); // a fence: what was posted before the ring is seen by whoever looks now
        return Task.CompletedTask;
    }
}
