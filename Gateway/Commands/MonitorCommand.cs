using OrleansRedis.Engine;

namespace OrleansRedis.Gateway;

/// <summary>MONITOR</summary>
internal static class MonitorCommand
{
    /// <summary>MONITOR — from now on the client is shown every command that this silo runs.</summary>
    [Command("MONITOR", 1, CommandFlags.Admin | CommandFlags.NoScript | CommandFlags.Loading | CommandFlags.Stale | CommandFlags.NeedsConnection,
        Category.None, Since = "1.0.0", Complexity = "", Summary = "Listens for all requests received by the server in real-time.", Group = "server")]
    internal static void Monitor(ref CommandContext call)
    {
        if (!call.MayBlock)
        {
            call.Reply.Error("ERR MONITOR isn't allowed for DENY BLOCKING client"u8);
            return;
        }
        ClientCommand.Me(call).IsMonitor = true;
        call.Reply.Ok();
    }
}
