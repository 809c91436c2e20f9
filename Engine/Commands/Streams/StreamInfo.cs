namespace OrleansRedis.Engine;

/// <summary>XINFO: the internals of a stream, its groups and their consumers.</summary>
internal static class StreamInfo
{
    private const int DefaultCount = 10;

    /// <summary>XINFO STREAM key [FULL [COUNT count]]</summary>
    [Command("XINFO|STREAM", -3, CommandFlags.ReadOnly, Category.Stream, Keys = "RO ACCESS 2",
        Since = "5.0.0", Complexity = "O(1)",
        Summary = "Returns information about a stream.",
        Syntax = "key full-block=[FULL [COUNT count]]",
        History = "6.0.0: Added the `FULL` modifier.\n7.0.0: Added the `max-deleted-entry-id`, `entries-added`, `recorded-first-entry-id`, "
            + "`entries-read` and `lag` fields\n7.2.0: Added the `active-time` field, and changed the meaning of `seen-time`.")]
    internal static void XinfoStream(ref CommandContext call)
    {
        if (!TryFind(ref call, out StreamValue? stream)) return;
        long count = DefaultCount;
        bool full = call.Count > 3;
        if (full)
        {
            if (call.Count is not (4 or 6) || !call[3].Is("FULL"u8) || (call.Count == 6 && !call[4].Is("COUNT"u8)))
            {
                call.Reply.Error(Errors.SubcommandSyntax("XINFO", call.Request));
                return;
            }
            if (call.Count == 6 && !call.TryInt64(5, out count)) return;
            if (count < 0) count = DefaultCount;
        }
        RespWriter reply = call.Reply;
        reply.Map(full ? 9 : 10);
        reply.BulkString("length"u8);
        reply.Integer(stream!.Length);
        reply.BulkString("radix-tree-keys"u8);
        reply.Integer(stream.Nodes.Count);
        reply.BulkString("radix-tree-nodes"u8);
        reply.Integer(RadixNodes(stream.Nodes));
        reply.BulkString("last-generated-id"u8);
        stream.LastId.WriteTo(reply);
        reply.BulkString("max-deleted-entry-id"u8);
        stream.MaxDeletedId.WriteTo(reply);
        reply.BulkString("entries-added"u8);
        reply.Integer((long)stream.EntriesAdded);
        reply.BulkString("recorded-first-entry-id"u8);
        stream.FirstId.WriteTo(reply);
        if (full)
        {
            reply.BulkString("entries"u8);
            StreamRanges.Write(reply, stream, StreamId.Min, StreamId.Max, count);
            reply.BulkString("groups"u8);
            reply.Array(stream.Groups.Count);
            foreach (StreamGroup group in stream.Groups.Items) WriteFull(reply, stream, group, count);
            return;
        }
        reply.BulkString("groups"u8);
        reply.Integer(stream.Groups.Count);
        reply.BulkString("first-entry"u8);
        WriteEdge(reply, stream, reverse: false);
        reply.BulkString("last-entry"u8);
        WriteEdge(reply, stream, reverse: true);
    }

    private static void WriteEdge(RespWriter reply, StreamValue stream, bool reverse)
    {
        var range = new StreamRange(stream, StreamId.Min, StreamId.Max, reverse);
        if (range.MoveNext()) range.WriteTo(reply);
        else reply.Null();
    }

    private static unsafe void WriteFull(RespWriter reply, StreamValue stream, StreamGroup group, long count)
    {
        reply.Map(7);
        reply.BulkString("name"u8);
        reply.BulkString(group.Name);
        reply.BulkString("last-delivered-id"u8);
        group.LastDeliveredId.WriteTo(reply);
        WriteProgress(reply, stream, group);
        reply.BulkString("pel-count"u8);
        reply.Integer(group.Pending.Count);
        reply.BulkString("pending"u8);
        reply.Array((int)(count == 0 ? group.Pending.Count : Math.Min(count, group.Pending.Count)));
        var at = group.Pending.First;
        for (long i = 0; at.IsValid && (count == 0 || i < count); i++, at.Next())
        {
            reply.Array(4);
            at.Id.WriteTo(reply);
            reply.BulkString(group.ConsumerOf(at.Value).Name);
            reply.Integer(at.Value->DeliveredAtMs);
            reply.Integer(at.Value->Deliveries);
        }
        reply.BulkString("consumers"u8);
        reply.Array(group.Consumers.Count);
        foreach (StreamConsumer consumer in group.Consumers.Items)
        {
            reply.Map(5);
            reply.BulkString("name"u8);
            reply.BulkString(consumer.Name);
            reply.BulkString("seen-time"u8);
            reply.Integer(consumer.SeenAtMs);
            reply.BulkString("active-time"u8);
            reply.Integer(consumer.ActiveAtMs);
            reply.BulkString("pel-count"u8);
            reply.Integer(consumer.Pending.Count);
            reply.BulkString("pending"u8);
            reply.Array((int)(count == 0 ? consumer.Pending.Count : Math.Min(count, consumer.Pending.Count)));
            var own = consumer.Pending.First;
            for (long i = 0; own.IsValid && (count == 0 || i < count); i++, own.Next())
            {
                PendingEntry* pending = group.Pending.Find(own.Id);
                reply.Array(3);
                own.Id.WriteTo(reply);
                reply.Integer(pending->DeliveredAtMs);
                reply.Integer(pending->Deliveries);
            }
        }
    }

    private static void WriteProgress(RespWriter reply, StreamValue stream, StreamGroup group)
    {
        reply.BulkString("entries-read"u8);
        if (group.EntriesRead != StreamGroup.UnknownEntriesRead) reply.Integer(group.EntriesRead);
        else reply.Null();
        reply.BulkString("lag"u8);
        if (stream.TryLag(group, out long lag)) reply.Integer(lag);
        else reply.Null();
    }

    /// <summary>XINFO GROUPS key</summary>
    [Command("XINFO|GROUPS", 3, CommandFlags.ReadOnly, Category.Stream, Keys = "RO ACCESS 2",
        Since = "5.0.0", Complexity = "O(1)",
        Summary = "Returns a list of the consumer groups of a stream.",
        Syntax = "key",
        History = "7.0.0: Added the `entries-read` and `lag` fields")]
    internal static void XinfoGroups(ref CommandContext call)
    {
        if (!TryFind(ref call, out StreamValue? stream)) return;
        RespWriter reply = call.Reply;
        reply.Array(stream!.Groups.Count);
        foreach (StreamGroup group in stream.Groups.Items)
        {
            reply.Map(6);
            reply.BulkString("name"u8);
            reply.BulkString(group.Name);
            reply.BulkString("consumers"u8);
            reply.Integer(group.Consumers.Count);
            reply.BulkString("pending"u8);
            reply.Integer(group.Pending.Count);
            reply.BulkString("last-delivered-id"u8);
            group.LastDeliveredId.WriteTo(reply);
            WriteProgress(reply, stream, group);
        }
    }

    /// <summary>XINFO CONSUMERS key group</summary>
    [Command("XINFO|CONSUMERS", 4, CommandFlags.ReadOnly, Category.Stream, Keys = "RO ACCESS 2",
        Since = "5.0.0", Complexity = "O(1)",
        Summary = "Returns a list of the consumers in a consumer group.",
        Syntax = "key group",
        Tips = "nondeterministic_output",
        History = "7.2.0: Added the `inactive` field, and changed the meaning of `idle`.")]
    internal static void XinfoConsumers(ref CommandContext call)
    {
        if (!TryFind(ref call, out StreamValue? stream)) return;
        if (stream!.Groups.Find(call[3]) is not { } group)
        {
            StreamArguments.NoSuchGroup(ref call, call[2], call[3]);
            return;
        }
        RespWriter reply = call.Reply;
        reply.Array(group.Consumers.Count);
        foreach (StreamConsumer consumer in group.Consumers.Items)
        {
            reply.Map(4);
            reply.BulkString("name"u8);
            reply.BulkString(consumer.Name);
            reply.BulkString("pending"u8);
            reply.Integer(consumer.Pending.Count);
            reply.BulkString("idle"u8);
            reply.Integer(Math.Max(0, call.NowMs - consumer.SeenAtMs));
            reply.BulkString("inactive"u8);
            reply.Integer(consumer.ActiveAtMs == -1 ? -1 : call.NowMs - consumer.ActiveAtMs);
        }
    }

    /// <summary>XINFO HELP</summary>
    [Command("XINFO|HELP", 2, CommandFlags.Loading | CommandFlags.Stale, Category.Stream,
        Since = "5.0.0", Complexity = "O(1)",
        Summary = "Returns helpful text about the different subcommands.")]
    internal static void XinfoHelp(ref CommandContext call) => HelpText.Reply(ref call, """
        CONSUMERS <key> <groupname>
            Show consumers of <groupname>.
        GROUPS <key>
            Show the stream consumer groups.
        STREAM <key> [FULL [COUNT <count>]
            Show information about the stream.
        """);

    private static bool TryFind(ref CommandContext call, out StreamValue? stream)
    {
        if (!StreamArguments.TryReadStream(ref call, 2, out stream)) return false;
        if (stream is not null) return true;
        call.Reply.Error(Errors.NoSuchKey);
        return false;
    }

    /// <summary>
    /// How many nodes a radix tree like Redis's would need for these keys: one for each branch, run and end.
    /// </summary>
    private static long RadixNodes(StreamIdMap<StreamNodeBlock> nodes)
    {
        if (nodes.Count == 0) return 1;
        var keys = new StreamId[nodes.Count];
        int count = 0;
        for (var at = nodes.First; at.IsValid; at.Next()) keys[count++] = at.Id;
        return RadixNodes(keys, 0);
    }

    private static long RadixNodes(ReadOnlySpan<StreamId> keys, int depth)
    {
        if (keys.Length == 1) return depth == StreamId.EncodedLength ? 1 : 2;
        int common = depth;
        while (ByteOf(keys[0], common) == ByteOf(keys[^1], common)) common++;
        long sum = common > depth ? 2 : 1;
        for (int from = 0; from < keys.Length;)
        {
            int until = from + 1;
            while (until < keys.Length && ByteOf(keys[until], common) == ByteOf(keys[from], common)) until++;
            sum += RadixNodes(keys[from..until], common + 1);
            from = until;
        }
        return sum;
    }

    /// <summary>A byte of an encoded ID.</summary>
    private static byte ByteOf(StreamId id, int index) =>
        (byte)((index < sizeof(ulong) ? id.Ms : id.Sequence) >> (8 * (sizeof(ulong) - 1 - (index % sizeof(ulong)))));
}
