namespace OrleansRedis.Engine;

/// <summary>CONFIG: reading and changing the directives of redis.conf while the server runs.</summary>
internal static class ConfigCommand
{
    private const CommandFlags Flags = CommandFlags.Admin | CommandFlags.NoScript | CommandFlags.Loading | CommandFlags.Stale;

    /// <summary>CONFIG GET parameter [parameter ...] — names may be patterns.</summary>
    [Command("CONFIG|GET", -3, Flags, Category.None, Since = "2.0.0",
        Complexity = "O(N) when N is the number of configuration parameters provided",
        Summary = "Returns the effective values of configuration parameters.", Group = "server", Syntax = "parameter [parameter ...]",
        History = "7.0.0: Added the ability to pass multiple pattern parameters in one call")]
    internal static void Get(ref CommandContext call)
    {
        var patterns = new List<string>();
        for (int i = 2; i < call.Count; i++) patterns.Add(ByteText.Decode(call[i]));
        List<(string Name, string Value)> found = call.Files.Configuration.Get(patterns);
        call.Reply.Map(found.Count);
        foreach ((string name, string value) in found)
        {
            call.Reply.BulkString(name);
            call.Reply.BulkString(ByteText.Encode(value));
        }
    }

    /// <summary>CONFIG SET parameter value [parameter value ...] — sets all or none.</summary>
    [Command("CONFIG|SET", -4, Flags, Category.None, Since = "2.0.0",
        Complexity = "O(N) when N is the number of configuration parameters provided",
        Summary = "Sets configuration parameters in-flight.", Group = "server", Syntax = "parameter value [parameter value ...]",
        Tips = "request_policy:all_nodes;response_policy:all_succeeded",
        History = "7.0.0: Added the ability to set multiple parameters in one call.", Secrets = SecretArguments.OfDirectives)]
    internal static void Set(ref CommandContext call)
    {
        if ((call.Count & 1) != 0)
        {
            call.Reply.Error(Errors.WrongArity(call.Command));
            return;
        }
        var pairs = new List<(string, string)>();
        for (int i = 2; i < call.Count; i += 2) pairs.Add((ByteText.Decode(call[i]), ByteText.Decode(call[i + 1])));
        // A change that reaches outside the configuration, such as a port to listen on, may take a moment. Most take
        // effect at once.
        Task<string?> setting = call.Files.Configuration.SetAsync(pairs, call.Session.IsLocal).AsTask();
        if (setting.IsCompletedSuccessfully) ReplyOkOr(setting.Result, call.Reply);
        else call.Continuation = async reply => ReplyOkOr(await setting.ConfigureAwait(false), reply);
    }

    /// <summary>CONFIG RESETSTAT</summary>
    [Command("CONFIG|RESETSTAT", 2, Flags, Category.None, Since = "2.0.0", Complexity = "O(1)",
        Summary = "Resets the server's statistics.", Group = "server", Tips = "request_policy:all_nodes;response_policy:all_succeeded")]
    internal static void Resetstat(ref CommandContext call)
    {
        call.Store.ResetStatistics();
        call.Reply.Ok();
    }

    /// <summary>CONFIG REWRITE — updates redis.conf to the values in force.</summary>
    [Command("CONFIG|REWRITE", 2, Flags, Category.None, Since = "2.8.0", Complexity = "O(1)",
        Summary = "Persists the effective configuration to file.", Group = "server", Tips = "request_policy:all_nodes;response_policy:all_succeeded")]
    internal static void Rewrite(ref CommandContext call)
    {
        ServerConfiguration configuration = call.Files.Configuration;
        // The I/O thread must not write and sync a file.
        call.Continuation = async reply => ReplyOkOr(await Task.Run(() => configuration.Rewrite()).ConfigureAwait(false), reply);
    }

    /// <summary>CONFIG HELP</summary>
    [Command("CONFIG|HELP", 2, CommandFlags.Loading | CommandFlags.Stale, Category.None, Since = "5.0.0", Complexity = "O(1)",
        Summary = "Returns helpful text about the different subcommands.", Group = "server")]
    internal static void Help(ref CommandContext call) => HelpText.Reply(ref call,
        """
        GET <pattern>
            Return parameters matching the glob-like <pattern> and their values.
        SET <directive> <value>
            Set the configuration <directive> to <value>.
        RESETSTAT
            Reset statistics reported by the INFO command.
        REWRITE
            Rewrite the configuration file.
        """);

    private static void ReplyOkOr(string? error, RespWriter reply)
    {
        if (error is null) reply.Ok();
        else reply.Error(ByteText.Encode(error));
    }
}
