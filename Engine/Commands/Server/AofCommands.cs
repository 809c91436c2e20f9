namespace OrleansRedis.Engine;

/// <summary>Commands about the append-only log.</summary>
internal static class AofCommands
{
    /// <summary>BGREWRITEAOF</summary>
    [Command("BGREWRITEAOF", 1, CommandFlags.Admin | CommandFlags.NoScript | CommandFlags.NoAsyncLoading, Category.None, Since = "1.0.0", Complexity = "O(1)",
        Summary = "Asynchronously rewrites the append-only file to disk.", Group = "server")]
    internal static void Bgrewriteaof(ref CommandContext call)
    {
        AppendLog log = call.Files.Aof;
        SnapshotTurn turn = call.Files.SnapshotTurn;
        if (log.IsRewriting)
        {
            call.Reply.Error("ERR Background append only file rewriting already in progress"u8);
        }
        else if (turn.Current != SnapshotPurpose.None || !call.MayBlock)
        {
            // The rewrite waits for a running snapshot, and its instant must not be in the middle of a transaction.
            log.ScheduleRewrite();
            call.Reply.SimpleString("Background append only file rewriting scheduled"u8);
        }
        else
        {
            call.Continuation = async reply =>
            {
                if (!await log.RewriteAsync().ConfigureAwait(false))
                    reply.Error("ERR Can't execute an AOF background rewriting. Please check the server logs for more information."u8);
                else if (log.IsRewriteScheduled) reply.SimpleString("Background append only file rewriting scheduled"u8);
                else reply.SimpleString("Background append only file rewriting started"u8);
            };
        }
    }
}
