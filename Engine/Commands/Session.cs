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
}
