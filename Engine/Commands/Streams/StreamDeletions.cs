namespace OrleansRedis.Engine;

/// <summary>Deleting entries with regard to the groups that refer to them.</summary>
internal static class StreamDeletions
{
    private const long NotFound = -1, Deleted = 1, StillReferenced = 2;

    /// <summary>
    /// XDELEX key [KEEPREF | DELREF | ACKED] IDS numids id [id ...] — replies for each ID whether it was deleted (1),
    /// is not there (-1), or stays because a group refers to it (2).
    /// </summary>
    [Command("XDELEX", -5, CommandFlags.Write | CommandFlags.Fast, Category.Stream, Keys = "RW DELETE 1",
        Since = "8.2.0", Complexity = "O(1) for each single item to delete in the stream, regardless of the stream size.",
        Summary = "Deletes one or multiple entries from the stream.",
        Syntax = "key condition=[KEEPREF | DELREF | ACKED] IDS numids id [id ...]")]
    internal static void Xdelex(ref CommandContext call)
    {
        if (!StreamArguments.TryWriteStream(ref call, 1, out Entry entry, out StreamValue? stream)) return;
        if (!TryOptions(ref call, 2, out Options options)) return;
        if (stream is null)
        {
            NothingFound(call.Reply, options.Count);
            return;
        }
        if (!AreIds(ref call, options)) return;
        int deleted = 0, changed = 0;
        call.Reply.Array(options.Count);
        for (int i = 0; i < options.Count; i++)
        {
            StreamId.TryParse(call[options.FirstId + i], 0, out StreamId id);
            if (options.References == StreamReferences.Acked && stream.IsReferenced(id))
            {
                call.Reply.Integer(StillReferenced);
                continue;
            }
            // An entry that is gone may still be pending.
            bool wasPending = options.References == StreamReferences.Delete && stream.RemoveReferences(id);
            bool isDeleted = stream.Delete(id);
            if (isDeleted) deleted++;
            if (isDeleted || wasPending) changed++;
            call.Reply.Integer(isDeleted ? Deleted : NotFound);
        }
        Finish(ref call, entry, stream, deleted, changed);
    }

    /// <summary>
    /// XACKDEL key group [KEEPREF | DELREF | ACKED] IDS numids id [id ...] — replies for each ID whether it was
    /// acknowledged and is deleted (1), was not pending in the group (-1), or was acknowledged and stays because
    /// another group refers to it (2).
    /// </summary>
    [Command("XACKDEL", -6, CommandFlags.Write | CommandFlags.Fast, Category.Stream, Keys = "RW UPDATE DELETE 1",
        Since = "8.2.0", Complexity = "O(1) for each entry ID processed.",
        Summary = "Acknowledges and conditionally deletes one or multiple entries for a stream consumer group.",
        Syntax = "key group condition=[KEEPREF | DELREF | ACKED] IDS numids id [id ...]")]
    internal static void Xackdel(ref CommandContext call)
    {
        if (!StreamArguments.TryWriteStream(ref call, 1, out Entry entry, out StreamValue? stream)) return;
        if (!TryOptions(ref call, 3, out Options options)) return;
        if (stream?.Groups.Find(call[2]) is not { } group)
        {
            NothingFound(call.Reply, options.Count);
            return;
        }
        if (!AreIds(ref call, options)) return;
        int deleted = 0, acknowledged = 0;
        call.Reply.Array(options.Count);
        for (int i = 0; i < options.Count; i++)
        {
            StreamId.TryParse(call[options.FirstId + i], 0, out StreamId id);
            if (!group.RemovePending(id))
            {
                call.Reply.Integer(NotFound);
                continue;
            }
            acknowledged++;
            if (options.References == StreamReferences.Acked && stream.IsReferenced(id))
            {
                call.Reply.Integer(StillReferenced);
                continue;
            }
            if (options.References == StreamReferences.Delete) stream.RemoveReferences(id);
            if (stream.Delete(id)) deleted++;
            call.Reply.Integer(Deleted); // it may have been so before
        }
        Finish(ref call, entry, stream, deleted, acknowledged);
    }

    private static void Finish(ref CommandContext call, in Entry entry, StreamValue stream, int deleted, int changed)
    {
        if (deleted != 0)
        {
            stream.Deleted();
            call.Modified(entry, KeyEvents.Stream, "xdel"u8, changed);
        }
        else if (changed != 0)
        {
            call.ModifiedUnwatched(entry, changes: changed);
        }
    }

    private static void NothingFound(RespWriter reply, int count)
    {
        reply.Array(count);
        for (int i = 0; i < count; i++) reply.Integer(NotFound);
    }

    /// <summary>
    /// Whether all IDs are valid; if not, the error is in the reply. They are checked before any is deleted, so that
    /// an error means that nothing has happened.
    /// </summary>
    private static bool AreIds(ref CommandContext call, in Options options)
    {
        for (int i = 0; i < options.Count; i++)
        {
            if (!StreamArguments.TryId(ref call, options.FirstId + i, out _)) return false;
        }
        return true;
    }

    private static bool TryOptions(ref CommandContext call, int first, out Options options)
    {
        options = default;
        StreamReferences? references = null;
        int firstId = 0, count = 0;
        for (int i = first; i < call.Count; i++)
        {
            if (StreamArguments.TryReferences(call[i], ref references)) continue;
            if (!call[i].Is("IDS"u8) || i + 1 == call.Count)
            {
                call.SyntaxError();
                return false;
            }
            if (!Numbers.TryParseInt64(call[++i], out long number) || number < 1)
            {
                call.Reply.Error("ERR Number of IDs must be a positive integer"u8);
                return false;
            }
            if (number > call.Count - i - 1)
            {
                call.Reply.Error("ERR The `numids` parameter must match the number of arguments"u8);
                return false;
            }
            firstId = i + 1;
            count = (int)number;
            i += count;
        }
        if (firstId == 0) call.Reply.Error("ERR IDS option is required"u8);
        options = new(references ?? StreamReferences.Keep, firstId, count);
        return firstId != 0;
    }

    private readonly record struct Options(StreamReferences References, int FirstId, int Count);
}
