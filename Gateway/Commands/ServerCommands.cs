using System.Text;
using OrleansRedis.Engine;

namespace OrleansRedis.Gateway;

/// <summary>The commands about the server as a whole that belong to no family.</summary>
internal static class ServerCommands
{
    /// <summary>TIME — Unix time in seconds, and the microseconds of the current second.</summary>
    [Command("TIME", 1, CommandFlags.Loading | CommandFlags.Stale | CommandFlags.Fast, Category.None, Since = "2.6.0", Complexity = "O(1)",
        Summary = "Returns the server time.", Group = "server", Tips = "nondeterministic_output")]
    internal static void Time(ref CommandContext call)
    {
        (long seconds, long microseconds) = Math.DivRem(call.Store.Clock.NowMicroseconds, 1_000_000);
        call.Reply.Array(2);
        call.Reply.BulkInteger(seconds);
        call.Reply.BulkInteger(microseconds);
    }

    /// <summary>LOLWUT [VERSION version]</summary>
    [Command("LOLWUT", -1, CommandFlags.ReadOnly | CommandFlags.Fast, Category.None, Since = "5.0.0", Complexity = "",
        Summary = "Displays computer art and the Redis version", Group = "server", Syntax = "[VERSION version]")]
    internal static void Lolwut(ref CommandContext call)
    {
        if (call.Count >= 3 && call[1].Is("VERSION"u8) && !call.TryInt64(2, out _)) return;
        call.Reply.Verbatim("txt"u8, Encoding.ASCII.GetBytes($"{ServerVersion.Product} ver. {ServerVersion.Own}, a Redis ver. {ServerVersion.Redis}\n"));
    }

    /// <summary>SHUTDOWN [NOSAVE | SAVE] [NOW] [FORCE] [ABORT]</summary>
    [Command("SHUTDOWN", -1,
        CommandFlags.Admin | CommandFlags.NoScript | CommandFlags.Loading | CommandFlags.Stale | CommandFlags.NoMulti | CommandFlags.AllowBusy
            | CommandFlags.NeedsConnection,
        Category.None, Since = "1.0.0", Group = "server",
        Complexity = "O(N) when saving, where N is the total number of keys in all databases when saving data, otherwise O(1)",
        Summary = "Synchronously saves the database(s) to disk and shuts down the Redis server.", Syntax = "save-selector=[NOSAVE | SAVE] [NOW] @7.0.0 "
            + "[FORCE] @7.0.0 [ABORT] @7.0.0",
        History = "7.0.0: Added the `NOW`, `FORCE` and `ABORT` modifiers.")]
    internal static void Shutdown(ref CommandContext call)
    {
        var modes = ShutdownModes.Default;
        bool abort = false;
        for (int i = 1; i < call.Count; i++)
        {
            ReadOnlySpan<byte> word = call[i];
            if (word.Is("SAVE"u8)) modes |= ShutdownModes.Save;
            else if (word.Is("NOSAVE"u8)) modes |= ShutdownModes.NoSave;
            else if (word.Is("NOW"u8)) modes |= ShutdownModes.Now;
            else if (word.Is("FORCE"u8)) modes |= ShutdownModes.Force;
            else if (word.Is("ABORT"u8)) abort = true;
            else
            {
                call.SyntaxError();
                return;
            }
        }
        if (modes.HasFlag(ShutdownModes.Save | ShutdownModes.NoSave) || (abort && modes != ShutdownModes.Default))
        {
            call.SyntaxError();
        }
        else if (abort)
        {
            if (ClientCommand.Me(call).Server.Shutdown.TryAbort()) call.Reply.Ok();
            else call.Reply.Error("ERR No shutdown in progress."u8);
        }
        else if (!modes.HasFlag(ShutdownModes.NoSave) && (call.Store.Restrictions & Restrictions.Busy) != 0)
        {
            call.Reply.Error(Errors.Busy(call.Store.Scripts is { IsBusyWithFunction: true }));
        }
        else
        {
            ClientConnection client = ClientCommand.Me(call);
            call.Continuation = async reply =>
            {
                // If it succeeds there is no reply: the connection is closed.
                if (await client.Server.Shutdown.RunAsync(modes).ConfigureAwait(false)) client.CloseAfterReply = true;
                else reply.Error("ERR Errors trying to SHUTDOWN. Check logs."u8);
            };
        }
    }
}
