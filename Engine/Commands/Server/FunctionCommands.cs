namespace OrleansRedis.Engine;

/// <summary>
/// FUNCTION: libraries of functions. None can be loaded with a command yet. Those that exist come from files (see
/// <see cref="FunctionLibraries"/>), and can be deleted.
/// </summary>
internal static class FunctionCommands
{
    /// <summary>FUNCTION FLUSH [ASYNC | SYNC]</summary>
    [Command("FUNCTION|FLUSH", -2, CommandFlags.Write | CommandFlags.NoScript | CommandFlags.Exclusive, Category.Scripting, Since = "7.0.0",
        Complexity = "O(N) where N is the number of functions deleted", Summary = "Deletes all libraries and functions.",
        Syntax = "flush-type=[ASYNC | SYNC]", Tips = "request_policy:all_shards;response_policy:all_succeeded")]
    internal static void Flush(ref CommandContext call)
    {
        if (call.Count > 3 || (call.Count == 3 && !call[2].Is("ASYNC"u8) && !call[2].Is("SYNC"u8)))
        {
            call.Reply.Error("ERR FUNCTION FLUSH only supports SYNC|ASYNC option"u8);
            return;
        }
        call.Files.Functions.Clear();
        call.EffectWithoutSlot();
        call.Reply.Ok();
    }
}
