namespace OrleansRedis.Engine;

/// <summary>ROLE</summary>
internal static class RoleCommand
{
    /// <summary>
    /// ROLE — always a master without replicas: redis-server's replicas cannot follow this server yet. The offset is
    /// that of master_repl_offset in INFO.
    /// </summary>
    [Command("ROLE", 1, CommandFlags.NoScript | CommandFlags.Loading | CommandFlags.Stale | CommandFlags.Fast, Category.Admin | Category.Dangerous,
        Since = "2.8.12", Complexity = "O(1)", Summary = "Returns the replication role.", Group = "server")]
    internal static void Role(ref CommandContext call)
    {
        call.Reply.Array(3);
        call.Reply.BulkString("master"u8);
        call.Reply.Integer(call.Store.Effects.Log.Appended);
        call.Reply.Array(0);
    }
}
