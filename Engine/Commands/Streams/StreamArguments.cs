namespace OrleansRedis.Engine;

/// <summary>
/// Arguments that several stream commands share. If a method returns false, the error is in the reply.
/// </summary>
internal static class StreamArguments
{
    private static ReadOnlySpan<byte> InvalidId => "ERR Invalid stream ID specified as stream command argument"u8;

    /// <summary>The stream at a key, for reading. If the key is missing, null, and the method returns true.</summary>
    public static bool TryReadStream(ref CommandContext call, int keyArgument, out StreamValue? stream)
    {
        bool isStream = call.TryRead(keyArgument, ValueType.Stream, out Entry entry);
        stream = isStream && !entry.IsMissing ? (StreamValue)entry.Value : null;
        return isStream;
    }

    /// <summary>The stream at a key, for writing. If the key is missing, null, and the method returns true.</summary>
    public static bool TryWriteStream(scoped ref CommandContext call, int keyArgument, out Entry entry, out StreamValue? stream)
    {
        bool isStream = call.TryWrite(keyArgument, ValueType.Stream, out entry);
        stream = isStream && !entry.IsMissing ? (StreamValue)entry.Value : null;
        return isStream;
    }

    /// <summary>
    /// The same for commands that Redis has look the stream up as if only to read it (XACK and XCLAIM): it counts as a
    /// hit or a miss.
    /// </summary>
    public static bool TryReadStreamToWrite(scoped ref CommandContext call, int keyArgument, out Entry entry, out StreamValue? stream)
    {
        bool isStream = call.TryRead(keyArgument, ValueType.Stream, out entry);
        stream = isStream && !entry.IsMissing ? (StreamValue)entry.Value : null;
        return isStream;
    }

    /// <summary>Reads an ID; "-" and "+" are not allowed.</summary>
    public static bool TryId(ref CommandContext call, int index, out StreamId id)
    {
        if (StreamId.TryParse(call[index], 0, out id)) return true;
        call.Reply.Error(InvalidId);
        return false;
    }

    /// <summary>Reads an ID, "-" or "+".</summary>
    public static bool TryIdOrEdge(ref CommandContext call, int index, ulong missingSequence, out StreamId id) =>
        TryIdOrEdge(ref call, call[index], missingSequence, out id);

    private static bool TryIdOrEdge(ref CommandContext call, ReadOnlySpan<byte> text, ulong missingSequence, out StreamId id)
    {
        id = StreamId.Min;
        if (text is [(byte)'-']) return true;
        id = StreamId.Max;
        if (text is [(byte)'+']) return true;
        if (StreamId.TryParse(text, missingSequence, out id)) return true;
        call.Reply.Error(InvalidId);
        return false;
    }

    /// <summary>
    /// Reads the start of an interval: an ID, "-", "+", or "(" followed by an ID, which is then not included.
    /// </summary>
    public static bool TryStart(ref CommandContext call, int index, out StreamId id) =>
        TryInterval(ref call, index, 0, out id, out bool exclusive)
        && (!exclusive || id.TryNext(out id) || Refuse(ref call, "ERR invalid start ID for the interval"u8));

    /// <summary>
    /// Reads the end of an interval: an ID, "-", "+", or "(" followed by an ID, which is then not included.
    /// </summary>
    public static bool TryEnd(ref CommandContext call, int index, out StreamId id) =>
        TryInterval(ref call, index, ulong.MaxValue, out id, out bool exclusive)
        && (!exclusive || id.TryPrevious(out id) || Refuse(ref call, "ERR invalid end ID for the interval"u8));

    private static bool TryInterval(ref CommandContext call, int index, ulong missingSequence, out StreamId id, out bool exclusive)
    {
        ReadOnlySpan<byte> text = call[index];
        exclusive = text.Length > 1 && text[0] == '(';
        if (!exclusive) return TryIdOrEdge(ref call, text, missingSequence, out id);
        if (StreamId.TryParse(text[1..], missingSequence, out id)) return true;
        call.Reply.Error(InvalidId);
        return false;
    }

    private static bool Refuse(ref CommandContext call, ReadOnlySpan<byte> error)
    {
        call.Reply.Error(error);
        return false;
    }

    /// <summary>
    /// Reads the options of XADD and XTRIM: MAXLEN or MINID with = or ~ and a threshold, LIMIT, KEEPREF, DELREF or
    /// ACKED, and NOMKSTREAM. For XADD, it reads up to the ID, whose argument is then <paramref name="end"/>.
    /// </summary>
    public static bool TryTrimOptions(ref CommandContext call, bool isXadd, out StreamTrim trim, out bool noMkStream, out int end)
    {
        trim = default;
        noMkStream = false;
        var kind = StreamTrimKind.None;
        long maxLength = 0, limit = 0;
        StreamId minId = default;
        bool approximate = false, limitGiven = false;
        StreamReferences? references = null;
        for (end = 2; end < call.Count; end++)
        {
            ReadOnlySpan<byte> word = call[end];
            bool more = end + 1 < call.Count;
            if (isXadd && word is [(byte)'*']) break;
            if (more && (word.Is("MAXLEN"u8) || word.Is("MINID"u8)))
            {
                if (kind != StreamTrimKind.None)
                    return Refuse(ref call, "ERR syntax error, MAXLEN and MINID options at the same time are not compatible"u8);
                kind = word.Is("MAXLEN"u8) ? StreamTrimKind.MaxLength : StreamTrimKind.MinId;
                if (end + 2 < call.Count && call[end + 1] is [(byte)'~' or (byte)'='])
                {
                    end++;
                    approximate = call[end] is [(byte)'~'];
                }
                end++;
                if (kind == StreamTrimKind.MinId)
                {
                    if (!TryId(ref call, end, out minId)) return false;
                }
                else
                {
                    if (!call.TryInt64(end, out maxLength)) return false;
                    if (maxLength < 0) return Refuse(ref call, "ERR The MAXLEN argument must be >= 0."u8);
                }
            }
            else if (more && word.Is("LIMIT"u8))
            {
                if (!call.TryInt64(++end, out limit)) return false;
                if (limit < 0) return Refuse(ref call, "ERR The LIMIT argument must be >= 0."u8);
                limitGiven = true;
            }
            else if (TryReferences(word, ref references))
            {
                continue;
            }
            else if (isXadd && word.Is("NOMKSTREAM"u8))
            {
                noMkStream = true;
            }
            else if (isXadd)
            {
                if (!StreamId.TryParseOpen(word, out _) && !TryId(ref call, end, out _)) return false;
                break;
            }
            else
            {
                call.SyntaxError();
                return false;
            }
        }
        if (limit != 0 && kind == StreamTrimKind.None)
            return Refuse(ref call, "ERR syntax error, LIMIT cannot be used without specifying a trimming strategy"u8);
        if (!isXadd && kind == StreamTrimKind.None) return Refuse(ref call, "ERR syntax error, XTRIM must be called with a trimming strategy"u8);
        if (limitGiven && !approximate) return Refuse(ref call, "ERR syntax error, LIMIT cannot be used without the special ~ option"u8);
        if (!limitGiven && approximate)
        {
            // Unless LIMIT says otherwise, one command frees at most a hundred nodes.
            limit = 100 * call.Store.Options.StreamNodeMaxEntries;
            limit = limit <= 0 ? 10_000 : Math.Min(limit, 1_000_000);
        }
        trim = new(kind, maxLength, minId, approximate, limit, references ?? StreamReferences.Keep);
        return true;
    }

    /// <summary>
    /// Reads KEEPREF, DELREF or ACKED. False if the word is none of them, or if one of them was there before.
    /// </summary>
    public static bool TryReferences(ReadOnlySpan<byte> word, ref StreamReferences? references)
    {
        if (references is not null) return false;
        if (word.Is("KEEPREF"u8)) references = StreamReferences.Keep;
        else if (word.Is("DELREF"u8)) references = StreamReferences.Delete;
        else if (word.Is("ACKED"u8)) references = StreamReferences.Acked;
        return references is not null;
    }

    /// <summary>
    /// Replies that a key or group does not exist. <paramref name="behind"/> is appended to the error after the two
    /// names.
    /// </summary>
    public static void NoGroup(ref CommandContext call, ReadOnlySpan<byte> key, ReadOnlySpan<byte> group, ReadOnlySpan<byte> behind = default) =>
        call.Reply.Error((ReadOnlySpan<byte>)[.. "NOGROUP No such key '"u8, .. key, .. "' or consumer group '"u8, .. group, .. "'"u8, .. behind]);

    /// <summary>Replies that a stream has no such group.</summary>
    public static void NoSuchGroup(ref CommandContext call, ReadOnlySpan<byte> key, ReadOnlySpan<byte> group) =>
        call.Reply.Error((ReadOnlySpan<byte>)[.. "NOGROUP No such consumer group '"u8, .. group, .. "' for key name '"u8, .. key, .. "'"u8]);
}
