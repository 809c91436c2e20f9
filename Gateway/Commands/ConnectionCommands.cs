using OrleansRedis.Engine;

namespace OrleansRedis.Gateway;

/// <summary>The commands that are about the connection itself.</summary>
internal static class ConnectionCommands
{
    /// <summary>PING [message]</summary>
    [Command("PING", -1, CommandFlags.Fast, Category.Connection, Since = "1.0.0", Complexity = "O(1)",
        Summary = "Returns the server's liveliness response.", Syntax = "[message]", Tips = "request_policy:all_shards;response_policy:all_succeeded")]
    internal static void Ping(ref CommandContext call)
    {
        if (call.Count > 2) call.Reply.Error(Errors.WrongArity(call.Command));
        else if (call.Count == 2) call.Reply.BulkString(call[1]);
        else call.Reply.SimpleString("PONG"u8);
    }
}
