using OrleansRedis.Engine;

namespace OrleansRedis.Gateway;

/// <summary>
/// Keeps maxclients within the files that the system lets the process have open. Without any to spare the runtime itself cannot go on: it ends the process when it cannot open a
/// library that it comes to need.
/// </summary>
internal sealed class ClientLimit(RedisServer server)
{
    /// <summary>For logs, snapshots, connections to other silos and to a database, and libraries that are not loaded yet.</summary>
    private const int Reserved = 128;

    private ServerOptions Options => server.Options;

    /// <summary>At the start: as many clients as were asked for, or as can be.</summary>
    /// <exception cref="InvalidOperationException">There cannot even be one.</exception>
    public void Reduce()
    {
        long limit = Libc.OpenFileLimit(), most = Most(limit), needed = Options.MaxClients + (limit - most);
        if (Options.MaxClients <= most) return;
        if (most < 1)
        {
            throw new InvalidOperationException(
                $"Your current 'ulimit -n' of {limit} is not enough for the server to start. Please increase your open file limit to at least {needed}. Exiting.");
        }
        server.Store.Log.Warning($"You requested maxclients of {Options.MaxClients} requiring at least {needed} max file descriptors.");
        server.Store.Log.Warning(
            $"Current maximum open files is {limit}. maxclients has been reduced to {most} to compensate for low ulimit. If you need higher maxclients increase 'ulimit -n'.");
        Options.MaxClients = (int)most;
    }

    /// <summary>CONFIG SET maxclients: what is wrong with it, if anything is.</summary>
    public ValueTask<string?> CheckAsync()
    {
        long most = Most(Libc.OpenFileLimit());
        return new(Options.MaxClients <= most ? null : $"The operating system is not able to handle the specified number of clients, try with {Math.Max(1, most)}");
    }

    private long Most(long limit)
    {
        if (limit == long.MaxValue) return limit;
        int open = Directory.EnumerateFileSystemEntries("/proc/self/fd").Count();
        return limit - Reserved - (open - server.Clients.Count);
    }
}
