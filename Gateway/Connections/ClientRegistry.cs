using System.Collections.Concurrent;

namespace OrleansRedis.Gateway;

/// <summary>The connections of this silo. Safe for any thread.</summary>
public sealed class ClientRegistry
{
    private readonly ConcurrentDictionary<long, ClientConnection> _byId = new();
    private long _lastId;
    private long _accepted;
    private long _rejected;

    /// <summary>Number of connected clients.</summary>
    public int Count => _byId.Count;

    /// <summary>All connected clients, in no particular order.</summary>
    public IEnumerable<ClientConnection> All => _byId.Select(static client => client.Value); // Values locks and copies

    /// <summary>Connections accepted since the start.</summary>
    public long Accepted => Volatile.Read(ref _accepted);

    /// <summary>Connections refused since the start because of maxclients.</summary>
    public long Rejected => Volatile.Read(ref _rejected);

    /// <summary>The client with this id, or null.</summary>
    public ClientConnection? Find(long id) => _byId.GetValueOrDefault(id);

    /// <summary>CONFIG RESETSTAT.</summary>
    public void ResetStatistics() => _accepted = _rejected = 0;

    internal long NextId() => Interlocked.Increment(ref _lastId);

    internal void Add(ClientConnection client)
    {
        Interlocked.Increment(ref _accepted);
        _byId[client.Id] = client;
    }

    internal void Remove(ClientConnection client) => _byId.TryRemove(client.Id, out _);

    internal void CountRejected() => Interlocked.Increment(ref _rejected);
}
