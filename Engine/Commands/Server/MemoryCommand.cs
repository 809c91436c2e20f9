namespace OrleansRedis.Engine;

/// <summary>MEMORY USAGE. The subcommands about the whole process are in the gateway.</summary>
internal static class MemoryCommand
{
    /// <summary>
    /// MEMORY USAGE key [SAMPLES count] — sizes are kept up to date as values change, so nothing is sampled.
    /// </summary>
    [Command("MEMORY|USAGE", -3, CommandFlags.ReadOnly, Category.None, Keys = "RO 2", Since = "4.0.0",
        Complexity = "O(N) where N is the number of samples.", Summary = "Estimates the memory usage of a key.", Group = "server",
        Syntax = "key [SAMPLES count]")]
    internal static void Usage(ref CommandContext call)
    {
        for (int i = 3; i < call.Count; i += 2)
        {
            if (!call[i].Is("SAMPLES"u8) || i + 1 == call.Count)
            {
                call.SyntaxError();
                return;
            }
            if (!call.TryInt64(i + 1, out long samples)) return;
            if (samples >= 0) continue;
            call.SyntaxError();
            return;
        }
        Entry entry = call.Peek(call[2]);
        if (entry.IsMissing) call.Reply.Null();
        else call.Reply.Integer(entry.Found.BytesWithCell);
    }
}
