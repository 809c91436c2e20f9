using OrleansRedis.Engine;

namespace OrleansRedis.Gateway;

/// <summary>
/// maxmemory-clients: if the buffers of all clients together take that much, the clients that take most are
/// disconnected, until the rest takes less. Each client's loop counts its own memory after each batch of requests;
/// housekeeping looks at all of them, for what has changed without a request (a subscriber that does not read). While
/// there is no limit, nothing is counted.
/// What waits in the buffers also counts against maxmemory, as in Redis, and for the same reason: who does not read what it
/// asks for takes memory. What every client has does not, so that the limit is the data's while all clients read.
/// </summary>
public sealed class ClientMemory(RedisServer server)
{
    /// <summary>A lower limit would leave no one able to raise it again.</summary>
    private const long LeastLimit = 128 * 1024;

    /// <summary>If no client may be disconnected, it is looked again after so many ms.</summary>
    private const long LookAgainMs = 100;

    private readonly Lock _evicting = new();
    private long _bytes;
    private long _hopelessUntilMs;
    private long _evicted;

    /// <summary>Clients disconnected so far because of maxmemory-clients.</summary>
    public long Evicted => Volatile.Read(ref _evicted);

    /// <summary>How many bytes all clients together may take; 0 if there is no limit.</summary>
    public long Limit
    {
        get
        {
            ServerOptions options = server.Options;
            long most = options.MaxMemoryClients;
            if (most == 0 || (most < 0 && options.MaxMemory == 0)) return 0;
            return Math.Max(LeastLimit, most > 0 ? most : (long)(options.MaxMemory * (double)-most / 100));
        }
    }

    /// <summary>Whether there is a limit for which clients are counted.</summary>
    internal bool IsLimited => server.Options.MaxMemory != 0 || server.Options.MaxMemoryClients != 0;

    /// <summary>A client has run a batch of requests. For its own loop.</summary>
    internal void Count(ClientConnection client)
    {
        if (client.CountWaiting(mayGrow: true) is not 0 and long more) server.Store.CountWaiting(more);
        long limit = Limit;
        if (limit == 0) return;
        if (Interlocked.Add(ref _bytes, client.CountMemory()) >= limit) Evict(limit);
    }

    /// <summary>A client is gone.</summary>
    internal void Forget(ClientConnection client)
    {
        server.Store.CountWaiting(client.CountWaiting(mayGrow: false));
        Interlocked.Add(ref _bytes, client.CountMemory());
    }

    /// <summary>Counts all clients anew: at regular intervals, and when the limit has changed.</summary>
    internal void CountAll()
    {
        // In the middle of a batch a client has replies that it would take at once, so only its loop counts what is more.
        foreach (ClientConnection client in server.Clients.All)
            if (client.CountWaiting(mayGrow: false) is not 0 and long more) server.Store.CountWaiting(more);
        long limit = Limit;
        if (limit == 0) return;
        long sum = 0;
        foreach (ClientConnection client in server.Clients.All)
        {
            client.CountMemory();
            sum += client.CountedBytes;
        }
        Volatile.Write(ref _bytes, sum);
        if (sum >= limit) Evict(limit);
    }

    /// <summary>CONFIG SET maxmemory-clients</summary>
    internal ValueTask<string?> LimitChangedAsync()
    {
        Volatile.Write(ref _hopelessUntilMs, 0);
        CountAll();
        return new((string?)null);
    }

    internal void ResetStatistics() => Volatile.Write(ref _evicted, 0);

    private void Evict(long limit)
    {
        if (Environment.TickCount64 < Volatile.Read(ref _hopelessUntilMs)) return;
        lock (_evicting)
        {
            if (Volatile.Read(ref _bytes) < limit) return;
            IEnumerable<ClientConnection> candidates = server.Clients.All.Where(client => client.MayBeEvicted);
            foreach (ClientConnection client in candidates.OrderByDescending(client => client.CountedBytes).ToArray())
            {
                Log.EvictingClient(server.Logger, client.Describe(server.Store.Clock.NowMs));
                server.Clients.Remove(client); // at once, as it may take a moment to end
                client.Kill();
                server.Store.CountWaiting(client.CountWaiting(mayGrow: false)); // also at once: no key need go for it
                Interlocked.Increment(ref _evicted);
                if (Interlocked.Add(ref _bytes, client.CountMemory()) < limit) return;
            }
            Volatile.Write(ref _hopelessUntilMs, Environment.TickCount64 + LookAgainMs);
        }
        Log.OverClientMemory(server.Logger);
    }
}
