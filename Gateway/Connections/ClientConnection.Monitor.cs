using System.Collections.Concurrent;
using OrleansRedis.Engine;

namespace OrleansRedis.Gateway;

/// <summary>A client that is shown every command (MONITOR).</summary>
public sealed partial class ClientConnection : IMonitor
{
    private readonly ConcurrentQueue<byte[]> _toShow = new();
    private int _isToldOf; // whether a letter is under way that shows what is in the queue

    /// <summary>Whether it is shown every command; for its own loop to set.</summary>
    public bool IsMonitor
    {
        get;
        set
        {
            field = value;
            if (value) _server.Store.Monitors.Add(this);
            else _server.Store.Monitors.Remove(this);
        }
    }

    /// <inheritdoc/>
    void IMonitor.Show(byte[] line)
    {
        _toShow.Enqueue(line);
        if (Interlocked.Exchange(ref _isToldOf, 1) == 0) Post(static client => client.ShowCommands());
    }

    private void ShowCommands()
    {
        // Before looking into the queue: what comes after that makes another letter.
        Volatile.Write(ref _isToldOf, 0);
        Interlocked.MemoryBarrier();
        while (_toShow.TryDequeue(out byte[]? line))
        {
            if (IsMonitor && ReplyMode == ReplyMode.On && !_killed) OutOfBand.Raw(line);
        }
    }
}
