namespace OrleansRedis.Engine;

/// <summary>Creating, changing and removing consumer groups and consumers, and acknowledging entries.</summary>
internal static class StreamGroups
{
    /// <summary>XGROUP CREATE key group id | $ [MKSTREAM] [ENTRIESREAD entries-read]</summary>
    [Command("XGROUP|CREATE", -5, CommandFlags.Write | CommandFlags.DenyOom, Category.Stream, Keys = "RW INSERT 2",
        Since = "5.0.0", Complexity = "O(1)",
        Summary = "Creates a consumer group.",
        Syntax = "key group id-selector=<id | new-id=$> [MKSTREAM] [entriesread=ENTRIESREAD entries-read]",
        History = "7.0.0: Added the `entries_read` named argument.")]
    internal static void XgroupCreate(ref CommandContext call)
    {
        if (!TryOptions(ref call, takesMkStream: true, out bool mkStream, out long entriesRead)) return;
        if (!StreamArguments.TryWriteStream(ref call, 2, out Entry entry, out StreamValue? found)) return;
        if (found is null && !mkStream)
        {
            NoKey(ref call);
            return;
        }
        if (call.Count > 8 && !SubcommandSyntax(ref call)) return; // an option given twice
        if (!TryPosition(ref call, found, out StreamId id)) return;
        if (found?.Groups.Find(call[3]) is not null)
        {
            call.Reply.Error("BUSYGROUP Consumer Group name already exists"u8);
            return;
        }
        if (found is null)
        {
            var made = new StreamValue(call[2].ToArray());
            made.AddGroup(call[3], id, entriesRead);
            call.Add(entry.Keyspace, made);
            call.Modified(entry.Keyspace, call[2], KeyEvents.Stream, "xgroup-create"u8);
        }
        else
        {
            found.AddGroup(call[3], id, entriesRead);
            call.ModifiedUnwatched(entry, KeyEvents.Stream, "xgroup-create"u8);
        }
        call.Reply.Ok();
    }

    /// <summary>XGROUP SETID key group id | $ [ENTRIESREAD entries-read]</summary>
    [Command("XGROUP|SETID", -5, CommandFlags.Write, Category.Stream, Keys = "RW UPDATE 2",
        Since = "5.0.0", Complexity = "O(1)",
        Summary = "Sets the last-delivered ID of a consumer group.",
        Syntax = "key group id-selector=<id | new-id=$> [entriesread=ENTRIESREAD entries-read]",
        History = "7.0.0: Added the optional `entries_read` argument.")]
    internal static void XgroupSetid(ref CommandContext call)
    {
        if (!TryOptions(ref call, takesMkStream: false, out _, out long entriesRead)) return;
        if (!TryFind(ref call, out Entry entry, out StreamValue? stream, out StreamGroup? group)) return;
        if (call.Count > 7 && !SubcommandSyntax(ref call)) return;
        StreamId id = stream!.LastId;
        if (call[4] is not [(byte)'$'] && !StreamArguments.TryIdOrEdge(ref call, 4, 0, out id)) return;
        group!.LastDeliveredId = id;
        group.EntriesRead = entriesRead;
        call.ModifiedUnwatched(entry, KeyEvents.Stream, "xgroup-setid"u8);
        call.Reply.Ok();
    }

    /// <summary>XGROUP DESTROY key group</summary>
    [Command("XGROUP|DESTROY", 4, CommandFlags.Write, Category.Stream, Keys = "RW DELETE 2",
        Since = "5.0.0", Complexity = "O(N) where N is the number of entries in the group's pending entries list (PEL).",
        Summary = "Destroys a consumer group.",
        Syntax = "key group")]
    internal static void XgroupDestroy(ref CommandContext call)
    {
        if (!StreamArguments.TryWriteStream(ref call, 2, out Entry entry, out StreamValue? stream)) return;
        if (stream is null)
        {
            NoKey(ref call);
            return;
        }
        bool destroyed = stream.RemoveGroup(call[3]);
        if (destroyed)
        {
            call.ModifiedUnwatched(entry, KeyEvents.Stream, "xgroup-destroy"u8);
            CommandContext.WakeBlocked(entry);
        }
        call.Reply.Integer(destroyed ? 1 : 0);
    }

    /// <summary>XGROUP CREATECONSUMER key group consumer</summary>
    [Command("XGROUP|CREATECONSUMER", 5, CommandFlags.Write | CommandFlags.DenyOom, Category.Stream, Keys = "RW INSERT 2",
        Since = "6.2.0", Complexity = "O(1)",
        Summary = "Creates a consumer in a consumer group.",
        Syntax = "key group consumer")]
    internal static void XgroupCreateconsumer(ref CommandContext call)
    {
        if (!TryFind(ref call, out Entry entry, out _, out StreamGroup? group)) return;
        bool isNew = group!.Consumers.Find(call[4]) is null;
        if (isNew)
        {
            group.AddConsumer(call[4], call.NowMs);
            call.ModifiedUnwatched(entry, KeyEvents.Stream, "xgroup-createconsumer"u8);
        }
        call.Reply.Integer(isNew ? 1 : 0);
    }

    /// <summary>
    /// XGROUP DELCONSUMER key group consumer — replies with the number of entries that were pending for the consumer.
    /// </summary>
    [Command("XGROUP|DELCONSUMER", 5, CommandFlags.Write, Category.Stream, Keys = "RW DELETE 2",
        Since = "5.0.0", Complexity = "O(1)",
        Summary = "Deletes a consumer from a consumer group.",
        Syntax = "key group consumer")]
    internal static void XgroupDelconsumer(ref CommandContext call)
    {
        if (!TryFind(ref call, out Entry entry, out _, out StreamGroup? group)) return;
        long pending = 0;
        if (group!.Consumers.Find(call[4]) is { } consumer)
        {
            pending = group.RemoveConsumer(consumer);
            call.ModifiedUnwatched(entry, KeyEvents.Stream, "xgroup-delconsumer"u8);
        }
        call.Reply.Integer(pending);
    }

    /// <summary>XGROUP HELP</summary>
    [Command("XGROUP|HELP", 2, CommandFlags.Loading | CommandFlags.Stale, Category.Stream,
        Since = "5.0.0", Complexity = "O(1)",
        Summary = "Returns helpful text about the different subcommands.")]
    internal static void XgroupHelp(ref CommandContext call) => HelpText.Reply(ref call, """
        CREATE <key> <groupname> <id|$> [option]
            Create a new consumer group. Options are:
            * MKSTREAM
              Create the empty stream if it does not exist.
            * ENTRIESREAD entries_read
              Set the group's entries_read counter (internal use).
        CREATECONSUMER <key> <groupname> <consumer>
            Create a new consumer in the specified group.
        DELCONSUMER <key> <groupname> <consumer>
            Remove the specified consumer.
        DESTROY <key> <groupname>
            Remove the specified group.
        SETID <key> <groupname> <id|$> [ENTRIESREAD entries_read]
            Set the current group ID and entries_read counter.
        """);

    /// <summary>XACK key group id [id ...]</summary>
    [Command("XACK", -4, CommandFlags.Write | CommandFlags.Fast, Category.Stream, Keys = "RW UPDATE 1",
        Since = "5.0.0", Complexity = "O(1) for each message ID processed.",
        Summary = "Returns the number of messages that were successfully acknowledged by the consumer group member of a stream.",
        Syntax = "key group id [id ...]")]
    internal static void Xack(ref CommandContext call)
    {
        if (!StreamArguments.TryReadStreamToWrite(ref call, 1, out Entry entry, out StreamValue? stream)) return;
        if (stream?.Groups.Find(call[2]) is not { } group)
        {
            call.Reply.Integer(0);
            return;
        }
        // All IDs are checked before any is acknowledged, so that an error means that nothing has happened.
        for (int i = 3; i < call.Count; i++)
        {
            if (!StreamArguments.TryId(ref call, i, out _)) return;
        }
        int acknowledged = 0;
        for (int i = 3; i < call.Count; i++)
        {
            StreamId.TryParse(call[i], 0, out StreamId id);
            if (group.RemovePending(id)) acknowledged++;
        }
        if (acknowledged != 0) call.ModifiedUnwatched(entry, changes: acknowledged);
        call.Reply.Integer(acknowledged);
    }

    private static bool TryOptions(ref CommandContext call, bool takesMkStream, out bool mkStream, out long entriesRead)
    {
        mkStream = false;
        entriesRead = StreamGroup.UnknownEntriesRead;
        for (int i = 5; i < call.Count; i++)
        {
            if (takesMkStream && call[i].Is("MKSTREAM"u8))
            {
                mkStream = true;
            }
            else if (call[i].Is("ENTRIESREAD"u8) && i + 1 < call.Count)
            {
                if (!call.TryInt64(++i, out entriesRead)) return false;
                if (entriesRead >= 0 || entriesRead == StreamGroup.UnknownEntriesRead) continue;
                call.Reply.Error("ERR value for ENTRIESREAD must be positive or -1"u8);
                return false;
            }
            else
            {
                return SubcommandSyntax(ref call);
            }
        }
        return true;
    }

    private static bool SubcommandSyntax(ref CommandContext call)
    {
        call.Reply.Error(Errors.SubcommandSyntax("XGROUP", call.Request));
        return false;
    }

    private static bool TryPosition(ref CommandContext call, StreamValue? stream, out StreamId id)
    {
        id = stream?.LastId ?? default;
        return call[4] is [(byte)'$'] || StreamArguments.TryId(ref call, 4, out id);
    }

    /// <summary>The stream and group of a subcommand that needs both.</summary>
    private static bool TryFind(scoped ref CommandContext call, out Entry entry, out StreamValue? stream, out StreamGroup? group)
    {
        group = null;
        if (!StreamArguments.TryWriteStream(ref call, 2, out entry, out stream)) return false;
        if (stream is null)
        {
            NoKey(ref call);
            return false;
        }
        group = stream.Groups.Find(call[3]);
        if (group is not null) return true;
        StreamArguments.NoSuchGroup(ref call, call[2], call[3]);
        return false;
    }

    private static void NoKey(ref CommandContext call) => call.Reply.Error(
        "ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use the MKSTREAM option to create an empty stream "u8
            + "automatically."u8);
}
