namespace OrleansRedis.Engine;

/// <summary>OBJECT: how a key is stored.</summary>
internal static class ObjectCommands
{
    /// <summary>OBJECT ENCODING key</summary>
    [Command("OBJECT|ENCODING", 3, CommandFlags.ReadOnly, Category.Keyspace, Keys = "RO 2", Since = "2.2.3", Complexity = "O(1)",
        Summary = "Returns the internal encoding of a Redis object.", Syntax = "key", Tips = "nondeterministic_output")]
    internal static void Encoding(ref CommandContext call)
    {
        if (TryFind(ref call, out Entry entry)) call.Reply.BulkString(entry.Found.Encoding);
    }

    /// <summary>
    /// OBJECT REFCOUNT key — Nothing is shared here, but small integers are in Redis, and clients can see that from
    /// this reply.
    /// </summary>
    [Command("OBJECT|REFCOUNT", 3, CommandFlags.ReadOnly, Category.Keyspace, Keys = "RO 2", Since = "2.2.3", Complexity = "O(1)",
        Summary = "Returns the reference count of a value of a key.", Syntax = "key", Tips = "nondeterministic_output")]
    internal static void Refcount(ref CommandContext call)
    {
        if (!TryFind(ref call, out Entry entry)) return;
        ServerOptions options = call.Store.Options;
        // Redis does not share objects when each key needs one of its own to hold its time of last use.
        bool sharedInRedis = (options.MaxMemory == 0 || !options.UsesAccessClock) && entry.IsBlob
            && entry.Kind == BlobKind.Integer && entry.Blob.Integer is >= 0 and < 10_000;
        call.Reply.Integer(sharedInRedis ? int.MaxValue : 1);
    }

    /// <summary>OBJECT IDLETIME key</summary>
    [Command("OBJECT|IDLETIME", 3, CommandFlags.ReadOnly, Category.Keyspace, Keys = "RO 2", Since = "2.2.3", Complexity = "O(1)",
        Summary = "Returns the time since the last access to a Redis object.", Syntax = "key", Tips = "nondeterministic_output")]
    internal static void Idletime(ref CommandContext call)
    {
        if (!TryFind(ref call, out Entry entry)) return;
        if (call.Store.Options.UsesLfu)
        {
            call.Reply.Error(
                "ERR An LFU maxmemory policy is selected, idle time not tracked. Please note that when switching between policies at runtime LRU and "u8
                    + "LFU data will take some time to adjust."u8);
            return;
        }
        call.Reply.Integer(Access.IdleMs(entry.Found.AccessClock, call.NowMs) / 1000);
    }

    /// <summary>OBJECT FREQ key</summary>
    [Command("OBJECT|FREQ", 3, CommandFlags.ReadOnly, Category.Keyspace, Keys = "RO 2", Since = "4.0.0", Complexity = "O(1)",
        Summary = "Returns the logarithmic access frequency counter of a Redis object.", Syntax = "key", Tips = "nondeterministic_output")]
    internal static void Freq(ref CommandContext call)
    {
        if (!TryFind(ref call, out Entry entry)) return;
        if (!call.Store.Options.UsesLfu)
        {
            call.Reply.Error(
                "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when switching between policies at "u8
                    + "runtime LRU and LFU data will take some time to adjust."u8);
            return;
        }
        call.Reply.Integer(Access.Frequency(call.Store.Options, entry.Found.AccessClock, call.NowMs));
    }

    /// <summary>OBJECT HELP</summary>
    [Command("OBJECT|HELP", 2, CommandFlags.Loading | CommandFlags.Stale, Category.Keyspace, Since = "6.2.0", Complexity = "O(1)",
        Summary = "Returns helpful text about the different subcommands.")]
    internal static void ShowHelp(ref CommandContext call) => HelpText.Reply(ref call, """
        ENCODING <key>
            Return the kind of internal representation used in order to store the value
            associated with a <key>.
        FREQ <key>
            Return the access frequency index of the <key>. The returned integer is
            proportional to the logarithm of the recent access frequency of the key.
        IDLETIME <key>
            Return the idle time of the <key>, that is the approximated number of
            seconds elapsed since the last access to the key.
        REFCOUNT <key>
            Return the number of references of the value associated with the specified
            <key>.
        """);

    private static bool TryFind(ref CommandContext call, out Entry entry)
    {
        entry = call.Inspect(2, announceMiss: false);
        if (!entry.IsMissing) return true;
        call.Reply.Null();
        return false;
    }
}
