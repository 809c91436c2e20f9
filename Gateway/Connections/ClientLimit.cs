using OrleansRedis.Engine;

namespace OrleansRedis.Gateway;

/// <summary>
/// Keeps maxclients within the number of files that the system lets the process open. Some must be left for the runtime
/// itself: it ends the process when it cannot open a library that it needs.
/// </summary>
internal sealed class ClientLimit(RedisServer server)
{
    /// <summary>
    /// Files for logs, snapshots, connections to other silos and to a database, and libraries not loaded yet.
    /// </summary>
    private const int Reserved = 128;

    private ServerOptions Options => server.Options;

    /// <summary>At start-up: lowers maxclients to what is possible, and warns.</summary>
    /// <exception cref="InvalidOperationException">Not even one client is possible.</exception>
    public void Reduce()
    {
        long limit = Libc.OpenFileLimit(), most = Most(limit), needed = Options.MaxClients + (limit - most);
        if (Options.MaxClients <= most) return;
        if (most < 1)
        {
            throw new InvalidOperationException(
                $"Your current 'ulimit -n' of {limit} is not enough for the server to start. Please increase your open file limit to at least "
                    + $"{needed}. Exiting.");
        }
        server.Store.Log.Warning($"You requested maxclients of {Options.MaxClients} requiring at least {needed} max file descriptors.");
        server.Store.Log.Warning(
            $"Current maximum open files is {limit}. maxclients has been reduced to {most} to compensate for low ulimit. If you need higher maxclients "
                + $"increase 'ulimit -n'.");
        Options.MaxClients = (int)most;
    }

    /// <summary>CONFIG SET maxclients: an error message if the value is too high, or null.</summary>
    public ValueTask<string?> CheckAsync()
    {
        long most = Most(Libc.OpenFileLimit());
        return new(Options.MaxClients <= most
            ? null
            : $"The operating system is not able to handle the specified number of clients, try with {Math.Max(1, most)}");
    }

    private long Most(long limit)
    {
        if (limit == long.MaxValue) return limit;
        int open = Directory.EnumerateFileSystemEntries("/proc/self/fd").Count();
        int orleans = Options.OrleansGatewayPort != 0 || Options.OrleansSiloPort != 0 ? Options.OrleansMaxClients : 0;
        return limit - Reserved - orleans - (open - server.Clients.Count);
    }
}
