namespace OrleansRedis.Engine;

/// <summary>Redis's own words for errors that several commands report; clients match on them.</summary>
public static class Errors
{
    public static ReadOnlySpan<byte> WrongType => "WRONGTYPE Operation against a key holding the wrong kind of value"u8;

    public static ReadOnlySpan<byte> Syntax => "ERR syntax error"u8;

    public static ReadOnlySpan<byte> NotInteger => "ERR value is not an integer or out of range"u8;

    public static ReadOnlySpan<byte> NotFloat => "ERR value is not a valid float"u8;

    public static ReadOnlySpan<byte> NoSuchKey => "ERR no such key"u8;

    public static ReadOnlySpan<byte> OutOfRange => "ERR index out of range"u8;

    public static ReadOnlySpan<byte> SameObject => "ERR source and destination objects are the same"u8;

    public static ReadOnlySpan<byte> StringTooLong => "ERR string exceeds maximum allowed size (proto-max-bulk-len)"u8;

    public static ReadOnlySpan<byte> Overflow => "ERR increment or decrement would overflow"u8;

    /// <summary>A command of someone who has not given the password.</summary>
    public const string NotAuthenticated = "NOAUTH Authentication required.";

    /// <summary>There is no such user, or the password is not the user's.</summary>
    public const string WrongPassword = "WRONGPASS invalid username-password pair or user is disabled.";

    /// <summary>A key's slot is neither on this silo nor on any known one.</summary>
    public static ReadOnlySpan<byte> SlotNotServed => "CLUSTERDOWN Hash slot not served"u8;

    /// <summary>A script or a transaction wants something of all slots, of which other silos have some.</summary>
    public const string WholeKeyspaceElsewhere =
        "CROSSSLOT Commands on the whole keyspace are not possible in scripts and transactions while several silos have parts of it";

    /// <summary>A grain call's command could not run in time. Redis has no words for that, having no grains.</summary>
    public const string CallIsOver = "TIMEOUT the grain call was over before its command could run; it has done nothing";

    /// <summary>While this silo has not been told which slots are its own.</summary>
    public const string Unassigned = "CLUSTERDOWN Hash slot not served";

    /// <summary>While this silo may not answer for its slots.</summary>
    public const string WithoutLease = "CLUSTERDOWN The cluster is down";

    /// <summary>While the data is being loaded.</summary>
    public const string Loading = "LOADING Redis is loading the dataset in memory";

    /// <summary>A read whose reply had to wait for the log, which could not be written for a time.</summary>
    public const string LogFailed = "MISCONF Errors writing to the AOF file";

    /// <summary>While a script, or a function, runs for too long.</summary>
    public static string Busy(bool isFunction) =>
        $"BUSY Redis is busy running a script. You can only call {(isFunction ? "FUNCTION" : "SCRIPT")} KILL or SHUTDOWN NOSAVE.";

    /// <summary>While snapshots fail, with stop-writes-on-bgsave-error.</summary>
    public const string SnapshotFails =
        "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk. Commands that may modify "
        + "the data set are disabled, because this instance is configured to report errors during writes if RDB snapshotting fails "
        + "(stop-writes-on-bgsave-error option). Please check the Redis logs for details about the RDB error.";

    /// <summary>While there are fewer replicas than min-replicas-to-write demands.</summary>
    public const string TooFewReplicas = "NOREPLICAS Not enough good replicas to write.";

    /// <summary>A client that has subscriptions and speaks RESP2 wants to do something else.</summary>
    public static string InPubSub(string command) =>
        $"ERR Can't execute '{command}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context";

    /// <summary>
    /// "ERR unknown subcommand 'y'. Try X HELP.": the request's second argument is not a subcommand of the container.
    /// </summary>
    public static string UnknownSubcommand(string container, in Request request) =>
        $"ERR unknown subcommand '{Quoted(request[1])}'. Try {container.ToUpperInvariant()} HELP.";

    /// <summary>
    /// "ERR unknown subcommand or wrong number of arguments for 'y'. Try X HELP.": the subcommand cannot make sense of
    /// the arguments that follow it.
    /// </summary>
    public static string SubcommandSyntax(string container, in Request request) =>
        $"ERR unknown subcommand or wrong number of arguments for '{Quoted(request[1])}'. Try {container.ToUpperInvariant()} HELP.";

    /// <summary>
    /// An argument as Redis quotes it in errors: as a C string, hence up to a zero byte, and cut at a maximum length.
    /// </summary>
    public static string Quoted(ReadOnlySpan<byte> argument, int most = 128)
    {
        int end = argument.IndexOf((byte)0);
        return System.Text.Encoding.Latin1.GetString(argument[..Math.Min(end < 0 ? argument.Length : end, most)]);
    }

    /// <summary>"ERR wrong number of arguments for 'x' command"</summary>
    public static string WrongArity(CommandInfo command) => $"ERR wrong number of arguments for '{command.Name}' command";

    /// <summary>"ERR invalid expire time in 'x' command"</summary>
    public static string InvalidExpire(CommandInfo command) => $"ERR invalid expire time in '{command.Name}' command";
}
