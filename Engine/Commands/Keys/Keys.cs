namespace OrleansRedis.Engine;

/// <summary>Commands on keys of any type: whether they exist, what type they are, deleting them.</summary>
internal static class Keys
{
    /// <summary>Redis frees values in another thread if that takes more effort than this (LAZYFREE_THRESHOLD).</summary>
    private const long LeastLazyEffort = 64;

    /// <summary>DEL key [key ...]</summary>
    [Command("DEL", -2, CommandFlags.Write, Category.Keyspace, Keys = "RM DELETE 1..-1", Since = "1.0.0",
        Complexity = "O(N) where N is the number of keys that will be removed. When a key to remove holds a value other than a string, the individual "
            + "complexity for this key is O(M) where M is the number of elements in the list, set, sorted set or hash. Removing a single key that "
        + "holds a string value is O(1).",
        Summary = "Deletes one or more keys.", Syntax = "key [key ...]", Tips = "request_policy:multi_shard;response_policy:agg_sum")]
    internal static void Del(ref CommandContext call) => Delete(ref call, isLazy: false);

    /// <summary>
    /// UNLINK key [key ...] — The same as DEL, because the garbage collector frees every value in the background; but
    /// what Redis frees in another thread is counted as such.
    /// </summary>
    [Command("UNLINK", -2, CommandFlags.Write | CommandFlags.Fast, Category.Keyspace, Keys = "RM DELETE 1..-1", Since = "4.0.0",
        Complexity = "O(1) for each key removed regardless of its size. Then the command does O(N) work in a different thread in order to reclaim "
            + "memory, where N is the number of allocations the deleted objects where composed of.",
        Summary = "Asynchronously deletes one or more keys.", Syntax = "key [key ...]", Tips = "request_policy:multi_shard;response_policy:agg_sum")]
    internal static void Unlink(ref CommandContext call) => Delete(ref call, isLazy: true);

    /// <summary>EXISTS key [key ...] — A key named twice counts twice.</summary>
    [Command("EXISTS", -2, CommandFlags.ReadOnly | CommandFlags.Fast, Category.Keyspace, Keys = "RO 1..-1", Since = "1.0.0",
        Complexity = "O(N) where N is the number of keys to check.", Summary = "Determines whether one or more keys exist.", Syntax = "key [key ...]",
        Tips = "request_policy:multi_shard;response_policy:agg_sum", History = "3.0.3: Accepts multiple `key` arguments.")]
    internal static void Exists(ref CommandContext call)
    {
        int count = 0;
        for (int i = 1; i < call.Count; i++)
        {
            if (!call.Inspect(i).IsMissing) count++;
        }
        call.Reply.Integer(count);
    }

    /// <summary>TOUCH key [key ...]</summary>
    [Command("TOUCH", -2, CommandFlags.ReadOnly | CommandFlags.Fast, Category.Keyspace, Keys = "RO 1..-1", Since = "3.2.1",
        Complexity = "O(N) where N is the number of keys that will be touched.",
        Summary = "Returns the number of existing keys out of those specified after updating the time they were last accessed.",
        Syntax = "key [key ...]", Tips = "request_policy:multi_shard;response_policy:agg_sum")]
    internal static void Touch(ref CommandContext call)
    {
        int count = 0;
        for (int i = 1; i < call.Count; i++)
        {
            Entry entry = call.Inspect(i);
            if (entry.IsMissing) continue;
            call.Touch(entry); // even under CLIENT NO-TOUCH
            count++;
        }
        call.Reply.Integer(count);
    }

    /// <summary>TYPE key</summary>
    [Command("TYPE", 2, CommandFlags.ReadOnly | CommandFlags.Fast, Category.Keyspace, Keys = "RO 1", Since = "1.0.0", Complexity = "O(1)",
        Summary = "Determines the type of value stored at a key.", Syntax = "key")]
    internal static void Type(ref CommandContext call)
    {
        Entry entry = call.Inspect(1);
        call.Reply.SimpleString(NameOf(entry.IsMissing ? ValueType.None : entry.Type));
    }

    /// <summary>The name of a type in TYPE's reply.</summary>
    internal static ReadOnlySpan<byte> NameOf(ValueType type) => type switch
    {
        ValueType.None => "none"u8,
        ValueType.String => "string"u8,
        ValueType.List => "list"u8,
        ValueType.Set => "set"u8,
        ValueType.SortedSet => "zset"u8,
        ValueType.Hash => "hash"u8,
        ValueType.Stream => "stream"u8,
        _ => throw new InvalidOperationException($"A value of unknown type {type}."),
    };

    private static void Delete(ref CommandContext call, bool isLazy)
    {
        int count = 0;
        for (int i = 1; i < call.Count; i++)
        {
            ReadOnlySpan<byte> key = call[i];
            Entry entry = call.Peek(key);
            if (entry.IsMissing) continue;
            Keyspace keyspace = entry.Keyspace;
            if (isLazy && !entry.IsBlob && entry.Value.FreeEffort > LeastLazyEffort) call.Store.Statistics.CountLazyFreed();
            keyspace.Remove(key);
            call.Modified(keyspace, key, KeyEvents.Generic, "del"u8);
            call.Effect(keyspace, "DEL"u8, key);
            count++;
        }
        call.Reply.Integer(count);
    }
}
