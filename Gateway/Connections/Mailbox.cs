using System.Collections.Concurrent;

namespace OrleansRedis.Gateway;

/// <summary>What other threads want a connection's loop to do.</summary>
internal sealed class Mailbox
{
    private readonly ConcurrentQueue<Action<ClientConnection>> _letters = new();
    private volatile bool _hasLetters;

    public void Post(Action<ClientConnection> letter)
    {
        _letters.Enqueue(letter);
        _hasLetters = true;
    }

    public void Empty(ClientConnection connection)
    {
        if (!_hasLetters) return;
        _hasLetters = false; // before the look into the queue: a letter posted after it sets the flag again
        while (_letters.TryDequeue(out Action<ClientConnection>? letter)) letter(connection);
    }
}
