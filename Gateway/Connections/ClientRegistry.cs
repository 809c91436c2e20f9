using System.Collections.Concurrent;

namespace OrleansRedis.Gateway;

/// <summary>The connections of this silo. Safe for any thread.</summary>
public sealed class ClientRegistry
{
    private readonly ConcurrentDictionary<long, ClientConnection> _byId = new();
    private long _lastId;
    private long _accepted;
    private long _rejected;
    private long _queryBufferKills;
    private long _outputBufferKills;
    private long _replyBufferShrinks;
    private long _replyBufferExpansions;

    /// <summary>Number of connected clients.</summary>
    public int Count => _byId.Count;

    /// <summary>All connected clients, in no particular order.</summary>
    public IEnumerable<ClientConnection> All => _byId.Select(static client => client.Value); // Values locks and copies

    /// <summary>Connections accepted since the start.</summary>
    public long Accepted => Volatile.Read(ref _accepted);

    /// <summary>Connections refused since the start because of maxclients.</summary>
    public long Rejected => Volatile.Read(ref _rejected);

    /// <summary>Clients disconnected because of client-query-buffer-limit.</summary>
    public long QueryBufferKills => Volatile.Read(ref _queryBufferKills);

    /// <summary>Clients disconnected because of client-output-buffer-limit.</summary>
    public long OutputBufferKills => Volatile.Read(ref _outputBufferKills);

    /// <summary>How often a reply buffer was replaced by a smaller one.</summary>
    public long ReplyBufferShrinks => Volatile.Read(ref _replyBufferShrinks);

    /// <summary>How often a reply buffer was found to have grown.</summary>
    public long ReplyBufferExpansions => Volatile.Read(ref _replyBufferExpansions);

    /// <summary>The client with this id, or null.</summary>
    public ClientConnection? Find(long id) => _byId.GetValueOrDefault(id);

    /// <summary>CONFIG RESETSTAT.</summary>
    public void ResetStatistics() =>
        _accepted = _rejected = _queryBufferKills = _outputBufferKills = _replyBufferShrinks = _replyBufferExpansions = 0;

    internal long NextId() => Interlocked.Increment(ref _lastId);

    internal void Add(ClientConnection client)
    {
        Interlocked.Increment(ref _accepted);
        _byId[client.Id] = client;
    }

    internal void Remove(ClientConnection client) => _byId.TryRemove(client.Id, out _);

    internal void CountQueryBufferKill() => Interlocked.Increment(ref _queryBufferKills);

    internal void CountOutputBufferKill() => Interlocked.Increment(ref _outputBufferKills);

    internal void CountReplyBufferShrink() => Interlocked.Increment(ref _replyBufferShrinks);

    internal void CountReplyBufferExpansion() => Interlocked.Increment(ref _replyBufferExpansions);

    internal void CountRejected() => Interlocked.Increment(ref _rejected);
}
