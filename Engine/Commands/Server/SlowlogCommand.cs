using System.Text;

namespace OrleansRedis.Engine;

/// <summary>SLOWLOG: which commands took long.</summary>
internal static class SlowlogCommand
{
    private const CommandFlags Flags = CommandFlags.Admin | CommandFlags.Loading | CommandFlags.Stale;
    private const long UsualCount = 10;

    /// <summary>SLOWLOG GET [count]</summary>
    [Command("SLOWLOG|GET", -2, Flags, Category.None, Since = "2.2.12", Complexity = "O(N) where N is the number of entries returned",
        Summary = "Returns the slow log's entries.", Group = "server", Syntax = "[count]",
        Tips = "request_policy:all_nodes;nondeterministic_output", History = "4.0.0: Added client IP address, port and name to the reply.")]
    internal static void Get(ref CommandContext call)
    {
        if (call.Count > 3)
        {
            call.Reply.Error(Errors.SubcommandSyntax("slowlog", call.Request));
            return;
        }
        long count = UsualCount;
        if (call.Count == 3 && (!Numbers.TryParseInt64(call[2], out count) || count < -1))
        {
            call.Reply.Error("ERR count should be greater than or equal to -1"u8);
            return;
        }
        SlowLogEntry[] entries = Log(call)?.Latest(count < 0 ? long.MaxValue : count) ?? [];
        RespWriter reply = call.Reply;
        reply.Array(entries.Length);
        foreach (SlowLogEntry entry in entries)
        {
            reply.Array(6);
            reply.Integer(entry.Id);
            reply.Integer(entry.Seconds);
            reply.Integer(entry.Microseconds);
            reply.Array(entry.Arguments.Length);
            foreach (byte[] argument in entry.Arguments) reply.BulkString(argument);
            reply.BulkString(entry.Address);
            reply.BulkString(Encoding.UTF8.GetBytes(entry.ClientName));
        }
    }

    /// <summary>SLOWLOG LEN</summary>
    [Command("SLOWLOG|LEN", 2, Flags, Category.None, Since = "2.2.12", Complexity = "O(1)",
        Summary = "Returns the number of entries in the slow log.", Group = "server",
        Tips = "request_policy:all_nodes;response_policy:agg_sum;nondeterministic_output")]
    internal static void Len(ref CommandContext call) => call.Reply.Integer(Log(call)?.Length ?? 0);

    /// <summary>SLOWLOG RESET</summary>
    [Command("SLOWLOG|RESET", 2, Flags, Category.None, Since = "2.2.12", Complexity = "O(N) where N is the number of entries in the slowlog",
        Summary = "Clears all entries from the slow log.", Group = "server", Tips = "request_policy:all_nodes;response_policy:all_succeeded")]
    internal static void Reset(ref CommandContext call)
    {
        Log(call)?.Reset();
        call.Reply.Ok();
    }

    /// <summary>SLOWLOG HELP</summary>
    [Command("SLOWLOG|HELP", 2, CommandFlags.Loading | CommandFlags.Stale, Category.None, Since = "6.2.0", Complexity = "O(1)",
        Summary = "Show helpful text about the different subcommands", Group = "server")]
    internal static void Help(ref CommandContext call) => HelpText.Reply(ref call,
        """
        GET [<count>]
            Return top <count> entries from the slowlog (default: 10, -1 mean all).
            Entries are made of:
            id, timestamp, time in microseconds, arguments array, client IP and port,
            client name
        LEN
            Return the length of the slowlog.
        RESET
            Reset the slowlog.
        """);

    private static SlowLog? Log(in CommandContext call) => call.Store.Observer?.SlowLog;
}
