namespace OrleansRedis.Engine;

/// <summary>Looking at what is pending in a group, and giving it to another consumer.</summary>
internal static unsafe class StreamClaims
{
    /// <summary>How many pending entries XAUTOCLAIM looks at for each one that it may claim.</summary>
    private const int LooksPerClaim = 10;

    /// <summary>XPENDING key group [[IDLE min-idle-time] start end count [consumer]]</summary>
    [Command("XPENDING", -3, CommandFlags.ReadOnly, Category.Stream, Keys = "RO ACCESS 1",
        Since = "5.0.0",
        Complexity = "O(N) with N being the number of elements returned, so asking for a small fixed number of entries per call is O(1). O(M), where M "
            + "is the total number of entries scanned when used with the IDLE filter. When the command returns just the summary and the list of "
        + "consumers is small, it runs in O(1) time; otherwise, an additional O(N) time for iterating every consumer.",
        Summary = "Returns the information and entries from a stream consumer group's pending entries list.",
        Syntax = "key group filters=[[IDLE min-idle-time:integer] @6.2.0 start:string end:string count [consumer]]",
        Tips = "nondeterministic_output",
        History = "6.2.0: Added the `IDLE` option and exclusive range intervals.")]
    internal static void Xpending(ref CommandContext call)
    {
        if (call.Count != 3 && call.Count is < 6 or > 9)
        {
            call.SyntaxError();
            return;
        }
        long minIdleMs = 0, count = 0;
        StreamId start = default, end = default;
        int first = 3;
        if (call.Count > 3)
        {
            if (call[3].Is("IDLE"u8))
            {
                if (!call.TryInt64(4, out minIdleMs)) return;
                if (call.Count < 8)
                {
                    call.SyntaxError();
                    return;
                }
                first = 5;
            }
            if (!call.TryInt64(first + 2, out count)) return;
            if (!StreamArguments.TryStart(ref call, first, out start) || !StreamArguments.TryEnd(ref call, first + 1, out end)) return;
        }
        if (!StreamArguments.TryReadStream(ref call, 1, out StreamValue? stream)) return;
        if (stream?.Groups.Find(call[2]) is not { } group)
        {
            StreamArguments.NoGroup(ref call, call[1], call[2]);
            return;
        }
        if (call.Count == 3)
        {
            WriteSummary(call.Reply, group);
            return;
        }
        int begin = call.Reply.Begin(), written = 0;
        if (first + 3 == call.Count)
        {
            for (var at = group.Pending.Seek(start); written < count && at.IsValid && at.Id <= end; at.Next())
            {
                if (TryWrite(ref call, group, at.Id, at.Value, minIdleMs)) written++;
            }
        }
        else if (group.Consumers.Find(call[first + 3]) is { } consumer)
        {
            for (var at = consumer.Pending.Seek(start); written < count && at.IsValid && at.Id <= end; at.Next())
            {
                if (TryWrite(ref call, group, at.Id, group.Pending.Find(at.Id), minIdleMs)) written++;
            }
        }
        call.Reply.Finish(begin, Aggregate.Array, written);
    }

    /// <summary>Writes a pending entry. If it has not been idle for long enough, returns false and writes nothing.</summary>
    private static bool TryWrite(ref CommandContext call, StreamGroup group, StreamId id, PendingEntry* pending, long minIdleMs)
    {
        long idleMs = call.NowMs - pending->DeliveredAtMs;
        if (minIdleMs != 0 && idleMs < minIdleMs) return false;
        call.Reply.Array(4);
        id.WriteTo(call.Reply);
        call.Reply.BulkString(group.ConsumerOf(pending).Name);
        call.Reply.Integer(Math.Max(0, idleMs));
        call.Reply.Integer(pending->Deliveries);
        return true;
    }

    private static void WriteSummary(RespWriter reply, StreamGroup group)
    {
        reply.Array(4);
        reply.Integer(group.Pending.Count);
        if (group.Pending.Count == 0)
        {
            reply.Null();
            reply.Null();
            reply.NullArray();
            return;
        }
        group.Pending.First.Id.WriteTo(reply);
        group.Pending.Last.Id.WriteTo(reply);
        int begin = reply.Begin(), consumers = 0;
        foreach (StreamConsumer consumer in group.Consumers.Items)
        {
            if (consumer.Pending.Count == 0) continue;
            reply.Array(2);
            reply.BulkString(consumer.Name);
            reply.BulkInteger(consumer.Pending.Count);
            consumers++;
        }
        reply.Finish(begin, Aggregate.Array, consumers);
    }

    /// <summary>
    /// XCLAIM key group consumer min-idle-time id [id ...] [IDLE ms] [TIME unix-time-milliseconds] [RETRYCOUNT count]
    /// [FORCE] [JUSTID] [LASTID lastid]
    /// </summary>
    [Command("XCLAIM", -6, CommandFlags.Write | CommandFlags.Fast, Category.Stream, Keys = "RW UPDATE 1",
        Since = "5.0.0", Complexity = "O(log N) with N being the number of messages in the PEL of the consumer group.",
        Summary = "Changes, or acquires, ownership of a message in a consumer group, as if the message was delivered a consumer group member.",
        Syntax = "key group consumer min-idle-time id [id ...] [IDLE ms] [TIME unix-time-milliseconds] [RETRYCOUNT count] [FORCE] [JUSTID] [LASTID lastid]",
        Tips = "nondeterministic_output")]
    internal static void Xclaim(ref CommandContext call)
    {
        if (!StreamArguments.TryReadStreamToWrite(ref call, 1, out Entry entry, out StreamValue? stream)) return;
        if (stream?.Groups.Find(call[2]) is not { } group)
        {
            StreamArguments.NoGroup(ref call, call[1], call[2]);
            return;
        }
        if (!TryMinIdle(ref call, "ERR Invalid min-idle-time argument for XCLAIM"u8, out long minIdleMs)) return;
        int firstOption = 5;
        while (firstOption < call.Count && StreamId.TryParse(call[firstOption], 0, out _)) firstOption++;
        if (!ClaimOptions.TryParse(ref call, firstOption, out ClaimOptions options)) return;

        bool positionMoved = options.LastId > group.LastDeliveredId;
        if (positionMoved) group.LastDeliveredId = options.LastId;
        var reader = new GroupReader(stream, group, groupArgument: 2, keyArgument: 1);
        StreamConsumer consumer = reader.Consumer(ref call, entry);
        int begin = call.Reply.Begin(), claimed = 0;
        int changed = 0;
        for (int i = 5; i < firstOption; i++)
        {
            StreamId.TryParse(call[i], 0, out StreamId id);
            PendingEntry* pending = group.Pending.Find(id);
            if (!stream.Contains(id))
            {
                // The entry has been deleted from the stream, so nobody needs it any more.
                if (pending == null) continue;
                reader.ClaimEffect(ref call, entry.Keyspace, id, pending);
                group.RemovePending(id);
                changed++;
                continue;
            }
            if (pending == null)
            {
                if (!options.Force) continue;
                pending = group.AddPending(id, consumer, call.NowMs);
            }
            else if (minIdleMs != 0 && call.NowMs - pending->DeliveredAtMs < minIdleMs)
            {
                continue;
            }
            group.Give(id, pending, consumer);
            pending->DeliveredAtMs = options.DeliveredAtMs;
            if (options.Deliveries >= 0) pending->Deliveries = options.Deliveries;
            else if (!options.JustId) pending->Deliveries++;
            if (options.JustId) id.WriteTo(call.Reply);
            else StreamRanges.TryWrite(call.Reply, stream, id);
            claimed++;
            consumer.ActiveAtMs = call.NowMs;
            reader.ClaimEffect(ref call, entry.Keyspace, id, pending);
            changed++;
        }
        call.Reply.Finish(begin, Aggregate.Array, claimed);
        // The effect of a claim includes the position.
        if (positionMoved && changed == 0)
        {
            reader.PositionEffect(ref call, entry.Keyspace);
            changed = 1;
        }
        if (changed != 0) call.ModifiedUnwatched(entry, changes: changed);
    }

    /// <summary>XAUTOCLAIM key group consumer min-idle-time start [COUNT count] [JUSTID]</summary>
    [Command("XAUTOCLAIM", -6, CommandFlags.Write | CommandFlags.Fast, Category.Stream, Keys = "RW DELETE 1",
        Since = "6.2.0", Complexity = "O(1) if COUNT is small.",
        Summary = "Changes, or acquires, ownership of messages in a consumer group, as if the messages were delivered to as consumer group member.",
        Syntax = "key group consumer min-idle-time start:string [COUNT count] [JUSTID]",
        Tips = "nondeterministic_output",
        History = "7.0.0: Added an element to the reply array, containing deleted entries the command cleared from the PEL")]
    internal static void Xautoclaim(ref CommandContext call)
    {
        if (!TryMinIdle(ref call, "ERR Invalid min-idle-time argument for XAUTOCLAIM"u8, out long minIdleMs)) return;
        if (!StreamArguments.TryStart(ref call, 5, out StreamId start)) return;
        long count = 100;
        bool justId = false;
        for (int i = 6; i < call.Count; i++)
        {
            if (call[i].Is("COUNT"u8) && i + 1 < call.Count)
            {
                if (!Numbers.TryParseInt64(call[++i], out count) || count < 1 || count > long.MaxValue / 16)
                {
                    call.Reply.Error("ERR COUNT must be > 0"u8);
                    return;
                }
            }
            else if (call[i].Is("JUSTID"u8))
            {
                justId = true;
            }
            else
            {
                call.SyntaxError();
                return;
            }
        }
        if (!StreamArguments.TryReadStreamToWrite(ref call, 1, out Entry entry, out StreamValue? stream)) return;
        if (stream?.Groups.Find(call[2]) is not { } group)
        {
            StreamArguments.NoGroup(ref call, call[1], call[2]);
            return;
        }
        var reader = new GroupReader(stream, group, groupArgument: 2, keyArgument: 1);
        StreamConsumer consumer = reader.Consumer(ref call, entry);

        // The ID from which to continue comes first in the reply but is known last, so the claimed entries are
        // collected separately.
        var deleted = new List<StreamId>();
        var claimedIds = new List<StreamId>();
        long looks = count * LooksPerClaim;
        var at = group.Pending.Seek(start);
        while (looks-- > 0 && count > 0 && at.IsValid)
        {
            StreamId id = at.Id;
            PendingEntry* pending = at.Value;
            if (!stream.Contains(id))
            {
                reader.ClaimEffect(ref call, entry.Keyspace, id, pending);
                group.RemovePending(id);
                deleted.Add(id);
                at = group.Pending.Seek(id);
                count--;
                continue;
            }
            at.Next();
            if (minIdleMs != 0 && call.NowMs - pending->DeliveredAtMs < minIdleMs) continue;
            group.Give(id, pending, consumer);
            pending->DeliveredAtMs = call.NowMs;
            if (!justId) pending->Deliveries++;
            claimedIds.Add(id);
            count--;
            consumer.ActiveAtMs = call.NowMs;
            reader.ClaimEffect(ref call, entry.Keyspace, id, pending);
        }
        call.Reply.Array(3);
        (at.IsValid ? at.Id : StreamId.Min).WriteTo(call.Reply);
        call.Reply.Array(claimedIds.Count);
        foreach (StreamId id in claimedIds)
        {
            if (justId) id.WriteTo(call.Reply);
            else StreamRanges.TryWrite(call.Reply, stream, id);
        }
        call.Reply.Array(deleted.Count);
        foreach (StreamId id in deleted) id.WriteTo(call.Reply);
        if (claimedIds.Count + deleted.Count != 0) call.ModifiedUnwatched(entry, changes: claimedIds.Count + deleted.Count);
    }

    private static bool TryMinIdle(ref CommandContext call, ReadOnlySpan<byte> error, out long minIdleMs)
    {
        bool isNumber = Numbers.TryParseInt64(call[4], out minIdleMs);
        if (!isNumber) call.Reply.Error(error);
        minIdleMs = Math.Max(0, minIdleMs);
        return isNumber;
    }

    private readonly record struct ClaimOptions(long DeliveredAtMs, long Deliveries, bool Force, bool JustId, StreamId LastId)
    {
        public static bool TryParse(ref CommandContext call, int first, out ClaimOptions options)
        {
            options = default;
            long deliveredAtMs = -1, deliveries = -1;
            bool force = false, justId = false;
            StreamId lastId = default;
            for (int i = first; i < call.Count; i++)
            {
                ReadOnlySpan<byte> word = call[i];
                bool more = i + 1 < call.Count;
                if (word.Is("FORCE"u8))
                {
                    force = true;
                }
                else if (word.Is("JUSTID"u8))
                {
                    justId = true;
                }
                else if (more && word.Is("IDLE"u8))
                {
                    if (!TryNumber(ref call, ++i, "ERR Invalid IDLE option argument for XCLAIM"u8, out long idleMs)) return false;
                    deliveredAtMs = unchecked(call.NowMs - idleMs);
                }
                else if (more && word.Is("TIME"u8))
                {
                    if (!TryNumber(ref call, ++i, "ERR Invalid TIME option argument for XCLAIM"u8, out deliveredAtMs)) return false;
                }
                else if (more && word.Is("RETRYCOUNT"u8))
                {
                    if (!TryNumber(ref call, ++i, "ERR Invalid RETRYCOUNT option argument for XCLAIM"u8, out deliveries)) return false;
                }
                else if (more && word.Is("LASTID"u8))
                {
                    if (!StreamArguments.TryId(ref call, ++i, out lastId)) return false;
                }
                else
                {
                    call.Reply.Error((ReadOnlySpan<byte>)[.. "ERR Unrecognized XCLAIM option '"u8, .. word, .. "'"u8]);
                    return false;
                }
            }
            // An impossible time counts as now, because clients may compute it from a clock that differs.
            if (deliveredAtMs < 0 || deliveredAtMs > call.NowMs) deliveredAtMs = call.NowMs;
            options = new(deliveredAtMs, deliveries, force, justId, lastId);
            return true;
        }

        private static bool TryNumber(ref CommandContext call, int index, ReadOnlySpan<byte> error, out long value)
        {
            if (Numbers.TryParseInt64(call[index], out value)) return true;
            call.Reply.Error(error);
            return false;
        }
    }
}
