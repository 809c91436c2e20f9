namespace OrleansRedis.Engine;

/// <summary>Reading new entries from several streams, alone or as a consumer of a group.</summary>
internal static class StreamReads
{
    /// <summary>XREAD [COUNT count] [BLOCK milliseconds] STREAMS key [key ...] id [id ...]</summary>
    [Command("XREAD", -4, CommandFlags.Blocking | CommandFlags.ReadOnly | CommandFlags.MovableKeys, Category.Stream, Keys = "RO ACCESS STREAMS@1/2",
        Since = "5.0.0", Complexity = "",
        Summary = "Returns messages from multiple streams with IDs greater than the ones requested. Blocks until a message is available otherwise.",
        Syntax = "[COUNT count] [BLOCK milliseconds] STREAMS <key [key ...] id [id ...]>")]
    internal static void Xread(ref CommandContext call)
    {
        if (Options.TryParse(ref call, isGroup: false, out Options options)) Read(ref call, options);
    }

    /// <summary>
    /// XREADGROUP GROUP group consumer [COUNT count] [BLOCK milliseconds] [NOACK] STREAMS key [key ...] id [id ...]
    /// </summary>
    [Command("XREADGROUP", -7, CommandFlags.Blocking | CommandFlags.Write | CommandFlags.MovableKeys, Category.Stream, Keys = "RO ACCESS STREAMS@4/2",
        Since = "5.0.0",
        Complexity = "For each stream mentioned: O(M) with M being the number of elements returned. If M is constant (e.g. always asking for the first "
            + "10 elements with COUNT), you can consider it O(1). On the other side when XREADGROUP blocks, XADD will pay the O(N) time in order to "
        + "serve the N clients blocked on the stream getting new data.",
        Summary = "Returns new or historical messages from a stream for a consumer in a group. Blocks until a message is available otherwise.",
        Syntax = "group-block=GROUP <group consumer> [COUNT count] [BLOCK milliseconds] [NOACK] STREAMS <key [key ...] id [id ...]>")]
    internal static void Xreadgroup(ref CommandContext call)
    {
        if (Options.TryParse(ref call, isGroup: true, out Options options)) ReadGroup(ref call, options);
    }

    private static void Read(ref CommandContext call, in Options options)
    {
        var after = new StreamId[options.Streams];
        for (int i = 0; i < after.Length; i++)
        {
            if (!StreamArguments.TryReadStream(ref call, options.FirstKey + i, out StreamValue? stream)) return;
            ReadOnlySpan<byte> id = call[options.FirstId + i];
            if (id is [(byte)'$'])
            {
                after[i] = stream?.LastId ?? default;
            }
            else if (id is [(byte)'+'])
            {
                // For the last entry: everything after the ID before it.
                if (stream is not null) stream.LastLiveId.TryPrevious(out after[i]);
                if (stream is { Length: 0 }) after[i] = stream.LastId;
            }
            else if (id is [(byte)'>'])
            {
                call.Reply.Error("ERR The > ID can be specified only when calling XREADGROUP using the GROUP <group> <consumer> option."u8);
                return;
            }
            else if (!StreamArguments.TryId(ref call, options.FirstId + i, out after[i]))
            {
                return;
            }
        }
        var reply = new StreamsReply(call.Reply);
        for (int i = 0; i < after.Length; i++)
        {
            if (!StreamArguments.TryReadStream(ref call, options.FirstKey + i, out StreamValue? stream)) return;
            if (stream is null || stream.Length == 0 || stream.LastLiveId <= after[i]) continue;
            reply.Begin(call[options.FirstKey + i]);
            after[i].TryNext(out StreamId start);
            StreamRanges.Write(call.Reply, stream, start, StreamId.Max, options.Count);
        }
        if (reply.End()) return;
        if (options.BlockMs == Options.DoNotBlock
            || !call.TryBlock(ValueType.Stream, options.FirstKey, options.Streams, options.DeadlineMs(call.NowMs), runAs: After(call.Request, options, after)))
            call.Reply.NullArray();
    }

    /// <summary>
    /// The same request with definite IDs, because "$" would have another meaning by the time there is something new.
    /// Null if all IDs are definite already.
    /// </summary>
    private static OwnedRequest? After(in Request request, in Options options, StreamId[] after)
    {
        bool isDefinite = true;
        for (int i = 0; i < after.Length; i++) isDefinite &= request[options.FirstId + i] is not [(byte)'$' or (byte)'+'];
        if (isDefinite) return null;
        var words = new ReadOnlyMemory<byte>[request.Count];
        Span<byte> id = stackalloc byte[StreamId.LongestText];
        for (int i = 0; i < words.Length; i++)
            words[i] = i < options.FirstId ? request[i].ToArray() : id[..after[i - options.FirstId].Format(id)].ToArray();
        return OwnedRequest.Of(words);
    }

    private static void ReadGroup(ref CommandContext call, in Options options)
    {
        var groups = new StreamGroup[options.Streams];
        var after = new StreamId?[options.Streams]; // null for ">"
        for (int i = 0; i < groups.Length; i++)
        {
            ReadOnlySpan<byte> key = call[options.FirstKey + i], id = call[options.FirstId + i];
            if (!StreamArguments.TryReadStream(ref call, options.FirstKey + i, out StreamValue? stream)) return;
            if (stream?.Groups.Find(call[options.Group]) is not { } group)
            {
                StreamArguments.NoGroup(ref call, key, call[options.Group], " in XREADGROUP with GROUP option"u8);
                return;
            }
            groups[i] = group;
            if (id is [(byte)'$' or (byte)'+'])
            {
                call.Reply.Error((ReadOnlySpan<byte>)[
                    .. "ERR The "u8, id[0],
                    .. " ID is meaningless in the context of XREADGROUP: you want to read the history of this consumer by specifying a proper ID, or "u8
                        + "use the > ID to get new messages. The "u8,
                    id[0], .. " ID would just return an empty result set."u8]);
                return;
            }
            if (id is [(byte)'>']) continue;
            if (!StreamArguments.TryId(ref call, options.FirstId + i, out StreamId from)) return;
            // nothing can come after the last possible ID; Redis represents ">" by it
            if (from != StreamId.Max) after[i] = from;
        }
        var reply = new StreamsReply(call.Reply);
        for (int i = 0; i < groups.Length; i++)
        {
            Entry entry = call.Write(options.FirstKey + i);
            var reader = new GroupReader((StreamValue)entry.Value, groups[i], options.Group, options.FirstKey + i);
            StreamConsumer consumer = reader.Consumer(ref call, entry);
            if (after[i] is { } from)
            {
                reply.Begin(call[options.FirstKey + i]);
                from.TryNext(out StreamId start);
                reader.WriteHistory(ref call, entry, consumer, start, options.Count);
            }
            else if (reader.HasNew)
            {
                reply.Begin(call[options.FirstKey + i]);
                reader.WriteNew(ref call, entry, consumer, options.Count, options.NoAck);
            }
        }
        if (reply.End()) return;
        if (options.BlockMs == Options.DoNotBlock
            || !call.TryBlock(ValueType.Stream, options.FirstKey, options.Streams, options.DeadlineMs(call.NowMs), wantsDeletion: true))
            call.Reply.NullArray();
    }

    /// <summary>
    /// The reply of a read from several streams: a map, or an array of pairs in RESP2, or null if no stream has
    /// anything.
    /// </summary>
    private ref struct StreamsReply(RespWriter reply)
    {
        private readonly int _begin = reply.Begin();
        private int _count;

        /// <summary>Begins the entries of a stream.</summary>
        public void Begin(ReadOnlySpan<byte> key)
        {
            _count++;
            if (!reply.Resp3) reply.Array(2);
            reply.BulkString(key);
        }

        /// <summary>Ends the reply. False if there was no stream.</summary>
        public readonly bool End()
        {
            if (_count == 0) return false;
            reply.Finish(_begin, reply.Resp3 ? Aggregate.Map : Aggregate.Array, _count);
            return true;
        }
    }

    /// <summary>What a read asks for. Arguments are given by their index.</summary>
    internal readonly record struct Options(int FirstKey, int Streams, long Count, long BlockMs, int Group, bool NoAck)
    {
        public const long DoNotBlock = -1;

        public int FirstId => FirstKey + Streams;

        /// <summary>The time until which to wait.</summary>
        public long DeadlineMs(long nowMs) => BlockMs == 0 ? BlockingTimeout.Never : nowMs + BlockMs;

        public static bool TryParse(ref CommandContext call, bool isGroup, out Options options)
        {
            options = default;
            int firstKey = 0, group = 0;
            long count = 0, blockMs = DoNotBlock;
            bool noAck = false;
            for (int i = 1; i < call.Count && firstKey == 0; i++)
            {
                ReadOnlySpan<byte> word = call[i];
                int more = call.Count - i - 1;
                if (more > 0 && word.Is("BLOCK"u8))
                {
                    if (!TryTimeout(ref call, ++i, out blockMs)) return false;
                }
                else if (more > 0 && word.Is("COUNT"u8))
                {
                    if (!call.TryInt64(++i, out count)) return false;
                    count = Math.Max(count, 0);
                }
                else if (more > 0 && word.Is("STREAMS"u8))
                {
                    firstKey = i + 1;
                    if ((call.Count - firstKey) % 2 == 0) continue;
                    call.Reply.Error(isGroup
                        ? "ERR Unbalanced 'xreadgroup' list of streams: for each stream key an ID or '>' must be specified."u8
                        : "ERR Unbalanced 'xread' list of streams: for each stream key an ID, '+', or '$' must be specified."u8);
                    return false;
                }
                else if (more > 1 && word.Is("GROUP"u8))
                {
                    if (!isGroup)
                    {
                        call.Reply.Error("ERR The GROUP option is only supported by XREADGROUP. You called XREAD instead."u8);
                        return false;
                    }
                    group = i + 1;
                    i += 2;
                }
                else if (word.Is("NOACK"u8))
                {
                    if (!isGroup)
                    {
                        call.Reply.Error("ERR The NOACK option is only supported by XREADGROUP. You called XREAD instead."u8);
                        return false;
                    }
                    noAck = true;
                }
                else
                {
                    call.SyntaxError();
                    return false;
                }
            }
            if (firstKey == 0)
            {
                call.SyntaxError();
                return false;
            }
            if (isGroup && group == 0)
            {
                call.Reply.Error("ERR Missing GROUP option for XREADGROUP"u8);
                return false;
            }
            options = new(firstKey, (call.Count - firstKey) / 2, count, blockMs, group, noAck);
            return true;
        }

        private static bool TryTimeout(ref CommandContext call, int index, out long blockMs)
        {
            if (!Numbers.TryParseInt64(call[index], out blockMs))
            {
                call.Reply.Error("ERR timeout is not an integer or out of range"u8);
                return false;
            }
            if (blockMs >= 0 && blockMs <= long.MaxValue - call.NowMs) return true;
            call.Reply.Error(blockMs < 0 ? "ERR timeout is negative"u8 : "ERR timeout is out of range"u8);
            return false;
        }
    }
}
