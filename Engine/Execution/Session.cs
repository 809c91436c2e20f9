namespace OrleansRedis.Engine;

/// <summary>Who runs commands, as far as the engine cares: a connection of the gateway, or a grain's callers. Used by one command at a time.</summary>
public class Session
{
    /// <summary>The logical database that SELECT chose.</summary>
    public int Database { get; set; }

    /// <summary>CLIENT NO-TOUCH: look-ups do not count as use of a key.</summary>
    public bool NoTouch { get; set; }

    /// <summary>Whether the client is on this machine, which enable-debug-command and enable-protected-configs may make a condition.</summary>
    public bool IsLocal { get; set; }

    /// <summary>What it has said with WATCH and MULTI; null if it never did.</summary>
    public Transaction? Transaction { get; set; }

    /// <summary>The command in which it waits for a key; null while it does not. Any thread may read it, to end the wait.</summary>
    public BlockedCommand? Blocked
    {
        get => Volatile.Read(ref _blocked);
        internal set => Volatile.Write(ref _blocked, value);
    }

    private BlockedCommand? _blocked;
}
