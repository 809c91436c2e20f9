namespace OrleansRedis.Engine;

/// <summary>
/// Why access was denied. The later ones are the more telling: if selectors differ, the latest is reported.
/// </summary>
public enum AclReason : byte
{
    /// <summary>It was not denied.</summary>
    None,

    /// <summary>The user may not run this command.</summary>
    Command,

    /// <summary>The user may not reach one of the keys, or not in this way.</summary>
    Key,

    /// <summary>The name or the password was wrong.</summary>
    Auth,

    /// <summary>The user may not use one of the channels.</summary>
    Channel,
}

/// <summary>In what a command was running when it was denied (ACL LOG: context).</summary>
public enum AclContext : byte
{
    /// <summary>By itself.</summary>
    Toplevel,

    /// <summary>In a transaction: when it was queued, or when EXEC came to it.</summary>
    Multi,

    /// <summary>In a script.</summary>
    Lua,
}

/// <summary>What the rules say to a request.</summary>
/// <param name="Reason">Why it is denied; None if it is allowed.</param>
/// <param name="Argument">Position of the key or channel that it is denied for.</param>
public readonly record struct AclVerdict(AclReason Reason, int Argument)
{
    /// <summary>Whether it is allowed.</summary>
    public bool IsAllowed => Reason == AclReason.None;

    /// <summary>What was denied, for ACL LOG: the command's name, or the key or channel as Latin-1.</summary>
    public string Object(CommandInfo command, in Request request) =>
        Reason == AclReason.Command ? command.Name : System.Text.Encoding.Latin1.GetString(request[Argument]);

    /// <summary>The reason in Redis's words, naming the key or channel: ACL DRYRUN's reply.</summary>
    public string Explain(string user, CommandInfo command, in Request request) => Reason switch
    {
        AclReason.Key => $"User {user} has no permissions to access the '{Object(command, request)}' key",
        AclReason.Channel => $"User {user} has no permissions to access the '{Object(command, request)}' channel",
        _ => $"User {user} has no permissions to run the '{command.Name}' command",
    };

    /// <summary>
    /// The reason in Redis's words, without naming anything that the user may not know: what follows NOPERM.
    /// </summary>
    public string Message(string user, CommandInfo command) => Reason switch
    {
        AclReason.Key => "No permissions to access a key",
        AclReason.Channel => "No permissions to access a channel",
        _ => $"User {user} has no permissions to run the '{command.Name}' command",
    };
}
