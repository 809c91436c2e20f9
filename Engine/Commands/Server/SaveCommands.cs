namespace OrleansRedis.Engine;

/// <summary>Commands that write dump.rdb.</summary>
internal static class SaveCommands
{
    private const string AlreadyRunning = "ERR Background save already in progress";

    /// <summary>SAVE — replies when the file has been written. Other clients are served meanwhile.</summary>
    [Command("SAVE", 1, CommandFlags.Admin | CommandFlags.NoScript | CommandFlags.NoAsyncLoading | CommandFlags.NoMulti, Category.None, Since = "1.0.0",
        Complexity = "O(N) where N is the total number of keys in all databases", Summary = "Synchronously saves the database(s) to disk.", Group = "server")]
    internal static void Save(ref CommandContext call)
    {
        DumpFile dump = call.Files.Dump;
        call.Continuation = async reply =>
        {
            switch (await dump.SaveAsync().ConfigureAwait(false))
            {
                case SaveStart.Started:
                    reply.Ok();
                    break;
                case SaveStart.AlreadyRunning:
                    reply.Error(AlreadyRunning);
                    break;
                default:
                    reply.Error("ERR"u8);
                    break;
            }
        };
    }

    /// <summary>BGSAVE [SCHEDULE]</summary>
    [Command("BGSAVE", -1, CommandFlags.Admin | CommandFlags.NoScript | CommandFlags.NoAsyncLoading, Category.None, Since = "1.0.0", Complexity = "O(1)",
        Summary = "Asynchronously saves the database(s) to disk.", Syntax = "[SCHEDULE] @3.2.2", Group = "server",
        History = "3.2.2: Added the `SCHEDULE` option.")]
    internal static void Bgsave(ref CommandContext call)
    {
        bool schedule = call.Count == 2 && call[1].Is("SCHEDULE"u8);
        if (call.Count > 1 && !schedule)
        {
            call.SyntaxError();
            return;
        }
        DumpFile dump = call.Files.Dump;
        if (dump.IsSaving)
        {
            call.Reply.Error(AlreadyRunning);
        }
        else if (!call.MayBlock)
        {
            dump.Schedule(); // the snapshot's instant must not be in the middle of a transaction
            call.Reply.SimpleString("Background saving scheduled"u8);
        }
        else
        {
            call.Continuation = reply => BeginAsync(dump, schedule, reply);
        }
    }

    /// <summary>LASTSAVE</summary>
    [Command("LASTSAVE", 1, CommandFlags.Loading | CommandFlags.Stale | CommandFlags.Fast, Category.Admin | Category.Dangerous, Since = "1.0.0",
        Complexity = "O(1)",
        Summary = "Returns the Unix timestamp of the last successful save to disk.", Group = "server", Tips = "nondeterministic_output")]
    internal static void Lastsave(ref CommandContext call) => call.Reply.Integer(call.Files.Dump.LastSaveSeconds);

    private static async Task BeginAsync(DumpFile dump, bool schedule, RespWriter reply)
    {
        switch (await dump.BeginAsync().ConfigureAwait(false))
        {
            case SaveStart.Started:
                reply.SimpleString("Background saving started"u8);
                break;
            case SaveStart.OtherRunning when schedule:
                dump.Schedule();
                reply.SimpleString("Background saving scheduled"u8);
                break;
            case SaveStart.OtherRunning:
                reply.Error(
                "ERR Another child process is active (AOF?): can't BGSAVE right now. Use BGSAVE SCHEDULE in order to schedule a BGSAVE whenever possible."u8);
                break;
            default:
                reply.Error(AlreadyRunning);
                break;
        }
    }
}
