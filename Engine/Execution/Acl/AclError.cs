namespace OrleansRedis.Engine;

/// <summary>What is wrong with a rule.</summary>
internal enum AclError
{
    None,
    Syntax,
    UnknownCommand,
    KeysAfterAll,
    ChannelsAfterAll,
    NoSuchPassword,
    BadHash,
    FirstArgumentOfSubcommand,
}

/// <summary>Redis's words for what is wrong with a rule.</summary>
internal static class AclErrors
{
    public static string Text(this AclError error) => error switch
    {
        AclError.UnknownCommand => "Unknown command or category name in ACL",
        AclError.KeysAfterAll => "Adding a pattern after the * pattern (or the 'allkeys' flag) is not valid and does not have any effect. "
            + "Try 'resetkeys' to start with an empty list of patterns",
        AclError.ChannelsAfterAll => "Adding a pattern after the * pattern (or the 'allchannels' flag) is not valid and does not have any effect. "
            + "Try 'resetchannels' to start with an empty list of channels",
        AclError.NoSuchPassword => "The password you are trying to remove from the user does not exist",
        AclError.BadHash => "The password hash must be exactly 64 characters and contain only lowercase hexadecimal characters",
        AclError.FirstArgumentOfSubcommand => "Allowing first-arg of a subcommand is not supported",
        _ => "Syntax error",
    };
}
