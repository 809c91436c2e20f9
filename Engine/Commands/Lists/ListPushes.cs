namespace OrleansRedis.Engine;

/// <summary>LPUSH, RPUSH, LPUSHX, RPUSHX.</summary>
internal static class ListPushes
{
    /// <summary>LPUSH key element [element ...]</summary>
    [Command("LPUSH", -3, CommandFlags.Write | CommandFlags.DenyOom | CommandFlags.Fast, Category.List, Keys = "RW INSERT 1", Since = "1.0.0",
        Complexity = "O(1) for each element added, so O(N) to add N elements when the command is called with multiple arguments.",
        Summary = "Prepends one or more elements to a list. Creates the key if it doesn't exist.", Syntax = "key element [element ...]",
        History = "2.4.0: Accepts multiple `element` arguments.")]
    internal static void Lpush(ref CommandContext call) => Push(ref call, atHead: true, onlyIfPresent: false);

    /// <summary>RPUSH key element [element ...]</summary>
    [Command("RPUSH", -3, CommandFlags.Write | CommandFlags.DenyOom | CommandFlags.Fast, Category.List, Keys = "RW INSERT 1", Since = "1.0.0",
        Complexity = "O(1) for each element added, so O(N) to add N elements when the command is called with multiple arguments.",
        Summary = "Appends one or more elements to a list. Creates the key if it doesn't exist.", Syntax = "key element [element ...]",
        History = "2.4.0: Accepts multiple `element` arguments.")]
    internal static void Rpush(ref CommandContext call) => Push(ref call, atHead: false, onlyIfPresent: false);

    /// <summary>LPUSHX key element [element ...]</summary>
    [Command("LPUSHX", -3, CommandFlags.Write | CommandFlags.DenyOom | CommandFlags.Fast, Category.List, Keys = "RW INSERT 1", Since = "2.2.0",
        Complexity = "O(1) for each element added, so O(N) to add N elements when the command is called with multiple arguments.",
        Summary = "Prepends one or more elements to a list only when the list exists.", Syntax = "key element [element ...]",
        History = "4.0.0: Accepts multiple `element` arguments.")]
    internal static void Lpushx(ref CommandContext call) => Push(ref call, atHead: true, onlyIfPresent: true);

    /// <summary>RPUSHX key element [element ...]</summary>
    [Command("RPUSHX", -3, CommandFlags.Write | CommandFlags.DenyOom | CommandFlags.Fast, Category.List, Keys = "RW INSERT 1", Since = "2.2.0",
        Complexity = "O(1) for each element added, so O(N) to add N elements when the command is called with multiple arguments.",
        Summary = "Appends an element to a list only when the list exists.", Syntax = "key element [element ...]",
        History = "4.0.0: Accepts multiple `element` arguments.")]
    internal static void Rpushx(ref CommandContext call) => Push(ref call, atHead: false, onlyIfPresent: true);

    private static void Push(ref CommandContext call, bool atHead, bool onlyIfPresent)
    {
        if (!call.TryWrite(1, ValueType.List, out Entry entry)) return;
        if (entry.IsMissing)
        {
            if (onlyIfPresent)
            {
                call.Reply.Integer(0);
                return;
            }
            ListWrites.Create(ref call, entry.Keyspace, call[1], 2, atHead);
            call.Modified(entry.Keyspace, call[1], KeyEvents.List, atHead ? "lpush"u8 : "rpush"u8, call.Count - 2);
            call.Reply.Integer(call.Count - 2);
            return;
        }
        ListWrites.Push(ref call, entry, 2, atHead);
        call.Reply.Integer(ListEntry.Count(entry.Found));
        call.Modified(entry, KeyEvents.List, atHead ? "lpush"u8 : "rpush"u8, call.Count - 2);
    }
}
