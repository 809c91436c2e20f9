namespace OrleansRedis.Engine;

/// <summary>
/// Streams: adding, deleting and trimming entries. Reading is in StreamRanges.cs and StreamReads.cs, groups are in
/// StreamGroups.cs and StreamClaims.cs, deleting with regard to groups in StreamDeletions.cs.
/// </summary>
internal static class Streams
{
    /// <summary>
    /// XADD key [NOMKSTREAM] [KEEPREF | DELREF | ACKED] [MAXLEN | MINID [= | ~] threshold [LIMIT count]] * | id
    /// field value [field value ...]
    /// </summary>
    [Command("XADD", -5, CommandFlags.Write | CommandFlags.DenyOom | CommandFlags.Fast, Category.Stream, Keys = "RW UPDATE 1",
        Since = "5.0.0", Complexity = "O(1) when adding a new entry, O(N) when trimming where N being the number of entries evicted.",
        Summary = "Appends a new message to a stream. Creates the key if it doesn't exist.",
        KeyNotes = "UPDATE instead of INSERT because of the optional trimming feature",
        Syntax = "key [NOMKSTREAM] @6.2.0 condition=[KEEPREF | DELREF | ACKED] @8.2.0 trim=[strategy=<MAXLEN | MINID @6.2.0> operator=[= | ~] threshold "
            + "[LIMIT count] @6.2.0] id-selector=<* | id> field value [field value ...]",
        Tips = "nondeterministic_output",
        History =
            "6.2.0: Added the `NOMKSTREAM` option, `MINID` trimming strategy and the `LIMIT` option.\n7.0.0: Added support for the `<ms>-*` explicit ID form.\n"
            + "8.2.0: Added the `KEEPREF`, `DELREF` and `ACKED` options.")]
    internal static void Xadd(ref CommandContext call)
    {
        if (!StreamArguments.TryTrimOptions(ref call, isXadd: true, out StreamTrim trim, out bool noMkStream, out int idArgument)) return;
        int firstField = idArgument + 1;
        if (call.Count - firstField < 2 || (call.Count - firstField) % 2 != 0)
        {
            call.Reply.Error(Errors.WrongArity(call.Command));
            return;
        }
        ReadOnlySpan<byte> idText = call[idArgument];
        bool isAuto = idText is [(byte)'*'], isOpen = StreamId.TryParseOpen(idText, out ulong openMs);
        StreamId id = default;
        if (!isAuto && !isOpen)
        {
            StreamId.TryParse(idText, 0, out id);
            if (id == StreamId.Min)
            {
                call.Reply.Error("ERR The ID specified in XADD must be greater than 0-0"u8);
                return;
            }
        }
        if (!StreamArguments.TryWriteStream(ref call, 1, out Entry entry, out StreamValue? found)) return;
        if (found is null && noMkStream)
        {
            call.Reply.Null();
            return;
        }
        StreamValue stream = found ?? new StreamValue(call[1].ToArray());
        if (stream.LastId == StreamId.Max)
        {
            call.Reply.Error("ERR The stream has exhausted the last possible ID, unable to add more items"u8);
            return;
        }
        if (isAuto)
        {
            id = new((ulong)call.NowMs, 0);
            // The clock may have gone back, or several entries may come within one millisecond.
            if (id <= stream.LastId) stream.LastId.TryNext(out id);
        }
        else if (isOpen)
        {
            id = new(openMs, 0);
            if (openMs == stream.LastId.Ms && stream.LastId.Sequence != ulong.MaxValue) id = new(openMs, stream.LastId.Sequence + 1);
        }
        if (id <= stream.LastId)
        {
            call.Reply.Error("ERR The ID specified in XADD is equal or smaller than the target stream top item"u8);
            return;
        }
        if (!stream.Append(id, new StreamFields(call.Request, firstField), call.Store.Options))
        {
            call.Reply.Error("ERR Elements are too large to be stored"u8);
            if (found is null) stream.Free();
            return;
        }
        long trimmed = stream.Trim(trim, out StreamId lastTrimmed);
        if (found is null)
        {
            call.Add(entry.Keyspace, stream);
            call.Modified(entry.Keyspace, call[1], KeyEvents.Stream, "xadd"u8);
        }
        else
        {
            call.Modified(entry, KeyEvents.Stream, "xadd"u8);
        }
        if (trimmed != 0) call.Event(entry.Keyspace, call[1], KeyEvents.Stream, "xtrim"u8);
        bool trimsNothing = trimmed == 0 && trim.References == StreamReferences.Acked;
        if (isAuto || isOpen || !IsLiteral(trim))
            AddEffect(ref call, entry.Keyspace, stream, id, trimsNothing ? default : trim, lastTrimmed, noMkStream, firstField);
        id.WriteTo(call.Reply);
    }

    /// <summary>
    /// Whether whoever repeats a trim in these words removes the same entries. What is approximate, and by which of
    /// the entries that stay a trim by length ends, depends on how the entries are distributed over nodes.
    /// </summary>
    private static bool IsLiteral(in StreamTrim trim) => !trim.IsApproximate && trim.References != StreamReferences.Acked;

    /// <summary>Gives the effect of an XADD: the full ID, and exactly what was trimmed.</summary>
    private static void AddEffect(
        ref CommandContext call, Keyspace keyspace, StreamValue stream, StreamId id, in StreamTrim trim, StreamId lastTrimmed, bool noMkStream, int firstField)
    {
        int words = 3 + (noMkStream ? 1 : 0) + TrimWords(trim) + call.Count - firstField;
        if (call.BeginEffect(words) is not { } effect) return;
        effect.BulkString("XADD"u8);
        effect.BulkString(call[1]);
        if (noMkStream) effect.BulkString("NOMKSTREAM"u8);
        WriteTrim(effect, stream, trim, lastTrimmed);
        id.WriteTo(effect);
        for (int i = firstField; i < call.Count; i++) effect.BulkString(call[i]);
        call.EndEffect(keyspace);
    }

    /// <summary>How many words <see cref="WriteTrim"/> writes.</summary>
    private static int TrimWords(in StreamTrim trim) =>
        trim.Kind == StreamTrimKind.None ? 0 : trim.References == StreamReferences.Keep ? 3 : 4;

    /// <summary>Writes a trim that removes what this one has removed, whatever the stream's nodes are.</summary>
    private static void WriteTrim(RespWriter effect, StreamValue stream, in StreamTrim trim, StreamId lastTrimmed)
    {
        if (trim.Kind == StreamTrimKind.None) return;
        if (trim.References == StreamReferences.Acked)
        {
            // All entries up to the last one removed that no group refers to. Nothing can come after the largest ID.
            bool isBounded = lastTrimmed.TryNext(out StreamId end);
            effect.BulkString(isBounded ? "MINID"u8 : "MAXLEN"u8);
            effect.BulkString("="u8);
            if (isBounded) end.WriteTo(effect);
            else effect.BulkInteger(0);
            effect.BulkString("ACKED"u8);
            return;
        }
        effect.BulkString(trim.Kind == StreamTrimKind.MaxLength ? "MAXLEN"u8 : "MINID"u8);
        effect.BulkString("="u8);
        if (trim.Kind == StreamTrimKind.MaxLength) effect.BulkInteger(trim.IsApproximate ? stream.Length : trim.MaxLength);
        else if (!trim.IsApproximate) trim.MinId.WriteTo(effect);
        else if (stream.Length > 0) stream.FirstId.WriteTo(effect);
        else StreamId.Max.WriteTo(effect); // nothing is left: no ID may stay
        if (trim.References == StreamReferences.Delete) effect.BulkString("DELREF"u8);
    }

    /// <summary>XLEN key</summary>
    [Command("XLEN", 2, CommandFlags.ReadOnly | CommandFlags.Fast, Category.Stream, Keys = "RO 1",
        Since = "5.0.0", Complexity = "O(1)",
        Summary = "Return the number of messages in a stream.",
        Syntax = "key")]
    internal static void Xlen(ref CommandContext call)
    {
        if (StreamArguments.TryReadStream(ref call, 1, out StreamValue? stream)) call.Reply.Integer(stream?.Length ?? 0);
    }

    /// <summary>XDEL key id [id ...]</summary>
    [Command("XDEL", -3, CommandFlags.Write | CommandFlags.Fast, Category.Stream, Keys = "RW DELETE 1",
        Since = "5.0.0", Complexity = "O(1) for each single item to delete in the stream, regardless of the stream size.",
        Summary = "Returns the number of messages after removing them from a stream.",
        Syntax = "key id [id ...]")]
    internal static void Xdel(ref CommandContext call)
    {
        if (!StreamArguments.TryWriteStream(ref call, 1, out Entry entry, out StreamValue? stream)) return;
        if (stream is null)
        {
            call.Reply.Integer(0);
            return;
        }
        // All IDs are checked before any is deleted, so that an error means that nothing has happened.
        for (int i = 2; i < call.Count; i++)
        {
            if (!StreamArguments.TryId(ref call, i, out _)) return;
        }
        int deleted = 0;
        for (int i = 2; i < call.Count; i++)
        {
            StreamId.TryParse(call[i], 0, out StreamId id);
            if (stream.Delete(id)) deleted++;
        }
        if (deleted != 0)
        {
            stream.Deleted();
            call.Modified(entry, KeyEvents.Stream, "xdel"u8, deleted);
        }
        call.Reply.Integer(deleted);
    }

    /// <summary>XTRIM key MAXLEN | MINID [= | ~] threshold [LIMIT count] [KEEPREF | DELREF | ACKED]</summary>
    [Command("XTRIM", -4, CommandFlags.Write, Category.Stream, Keys = "RW DELETE 1",
        Since = "5.0.0",
        Complexity = "O(N), with N being the number of evicted entries. Constant times are very small however, since entries are organized in macro "
            + "nodes containing multiple entries that can be released with a single deallocation.",
        Summary = "Deletes messages from the beginning of a stream.",
        Syntax = "key trim=<strategy=<MAXLEN | MINID @6.2.0> operator=[= | ~] threshold [LIMIT count] @6.2.0 condition=[KEEPREF | DELREF | ACKED] @8.2.0>",
        Tips = "nondeterministic_output",
        History = "6.2.0: Added the `MINID` trimming strategy and the `LIMIT` option.\n8.2.0: Added the `KEEPREF`, `DELREF` and `ACKED` options.")]
    internal static void Xtrim(ref CommandContext call)
    {
        if (!StreamArguments.TryTrimOptions(ref call, isXadd: false, out StreamTrim trim, out _, out _)) return;
        if (!StreamArguments.TryWriteStream(ref call, 1, out Entry entry, out StreamValue? stream)) return;
        StreamId last = default;
        long deleted = stream?.Trim(trim, out last) ?? 0;
        if (deleted != 0)
        {
            call.Modified(entry, KeyEvents.Stream, "xtrim"u8, deleted);
            if (!IsLiteral(trim) && call.BeginEffect(2 + TrimWords(trim)) is { } effect)
            {
                effect.BulkString("XTRIM"u8);
                effect.BulkString(call[1]);
                WriteTrim(effect, stream!, trim, last);
                call.EndEffect(entry.Keyspace);
            }
        }
        call.Reply.Integer(deleted);
    }

    /// <summary>XSETID key last-id [ENTRIESADDED entries-added] [MAXDELETEDID max-deleted-id]</summary>
    [Command("XSETID", -3, CommandFlags.Write | CommandFlags.DenyOom | CommandFlags.Fast, Category.Stream, Keys = "RW UPDATE 1",
        Since = "5.0.0", Complexity = "O(1)",
        Summary = "An internal command for replicating stream values.",
        Syntax = "key last-id [ENTRIESADDED entries-added] @7.0.0 [MAXDELETEDID max-deleted-id] @7.0.0",
        History = "7.0.0: Added the `entries_added` and `max_deleted_entry_id` arguments.")]
    internal static void Xsetid(ref CommandContext call)
    {
        if (!StreamArguments.TryId(ref call, 2, out StreamId id)) return;
        long entriesAdded = -1;
        StreamId maxDeleted = default;
        for (int i = 3; i < call.Count; i += 2)
        {
            bool more = i + 1 < call.Count;
            if (more && call[i].Is("ENTRIESADDED"u8))
            {
                if (!call.TryInt64(i + 1, out entriesAdded)) return;
                if (entriesAdded < 0)
                {
                    call.Reply.Error("ERR entries_added must be positive"u8);
                    return;
                }
            }
            else if (more && call[i].Is("MAXDELETEDID"u8))
            {
                if (!StreamArguments.TryId(ref call, i + 1, out maxDeleted)) return;
                if (id < maxDeleted)
                {
                    call.Reply.Error("ERR The ID specified in XSETID is smaller than the provided max_deleted_entry_id"u8);
                    return;
                }
            }
            else
            {
                call.SyntaxError();
                return;
            }
        }
        if (!StreamArguments.TryWriteStream(ref call, 1, out Entry entry, out StreamValue? stream)) return;
        if (stream is null)
        {
            call.Reply.Error(Errors.NoSuchKey);
            return;
        }
        if (id < stream.MaxDeletedId)
        {
            call.Reply.Error("ERR The ID specified in XSETID is smaller than current max_deleted_entry_id"u8);
            return;
        }
        if (stream.Length > 0)
        {
            if (id < stream.LastLiveId)
            {
                call.Reply.Error("ERR The ID specified in XSETID is smaller than the target stream top item"u8);
                return;
            }
            if (entriesAdded != -1 && stream.Length > entriesAdded)
            {
                call.Reply.Error("ERR The entries_added specified in XSETID is smaller than the target stream length"u8);
                return;
            }
        }
        stream.LastId = id;
        if (entriesAdded != -1) stream.EntriesAdded = (ulong)entriesAdded;
        if (maxDeleted != StreamId.Min) stream.MaxDeletedId = maxDeleted;
        call.ModifiedUnwatched(entry, KeyEvents.Stream, "xsetid"u8);
        call.Reply.Ok();
    }
}
