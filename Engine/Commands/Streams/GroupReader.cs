namespace OrleansRedis.Engine;

/// <summary>Gives a stream's entries to a consumer of a group, and records that in the group.</summary>
/// <param name="stream">The stream.</param>
/// <param name="group">One of its groups.</param>
/// <param name="groupArgument">The argument that names the group; the consumer's name follows it.</param>
/// <param name="keyArgument">The index of the key's argument.</param>
internal readonly unsafe ref struct GroupReader(StreamValue stream, StreamGroup group, int groupArgument, int keyArgument)
{
    /// <summary>Whether there are entries that have not been given to the group.</summary>
    public bool HasNew => stream.Length != 0 && stream.LastLiveId > group.LastDeliveredId;

    /// <summary>The consumer named in the request, created if it is new. It is marked as seen now.</summary>
    public StreamConsumer Consumer(ref CommandContext call, in Entry entry)
    {
        ReadOnlySpan<byte> name = call[groupArgument + 1];
        if (group.Consumers.Find(name) is { } consumer)
        {
            consumer.SeenAtMs = call.NowMs;
            return consumer;
        }
        consumer = group.AddConsumer(name, call.NowMs);
        call.ModifiedUnwatched(entry, KeyEvents.Stream, "xgroup-createconsumer"u8);
        if (call.BeginEffect(5) is { } effect)
        {
            effect.BulkString("XGROUP"u8);
            effect.BulkString("CREATECONSUMER"u8);
            effect.BulkString(call[keyArgument]);
            effect.BulkString(group.Name);
            effect.BulkString(name);
            call.EndEffect(entry.Keyspace);
        }
        return consumer;
    }

    /// <summary>
    /// Writes entries that have not been given to the group, at most <paramref name="count"/> unless that is 0, and
    /// gives them to the consumer.
    /// </summary>
    public void WriteNew(ref CommandContext call, in Entry entry, StreamConsumer consumer, long count, bool noAck)
    {
        group.LastDeliveredId.TryNext(out StreamId start);
        int begin = call.Reply.Begin(), written = 0;
        var range = new StreamRange(stream, start, StreamId.Max);
        while (range.MoveNext())
        {
            StreamId id = range.Id;
            if (group.EntriesRead != StreamGroup.UnknownEntriesRead && !stream.MayHaveGapsFrom(group.LastDeliveredId)) group.EntriesRead++;
            else if (stream.EntriesAdded != 0) group.EntriesRead = stream.EntriesUpTo(id);
            group.LastDeliveredId = id;
            range.WriteTo(call.Reply);
            if (!noAck)
            {
                // XGROUP SETID may have moved the group back, so that the entry is already pending.
                PendingEntry* pending = group.Pending.Find(id);
                if (pending != null)
                {
                    group.Give(id, pending, consumer);
                    pending->DeliveredAtMs = call.NowMs;
                    pending->Deliveries = 1;
                }
                else
                {
                    pending = group.AddPending(id, consumer, call.NowMs);
                }
                consumer.ActiveAtMs = call.NowMs;
                ClaimEffect(ref call, entry.Keyspace, id, pending);
            }
            if (++written == count) break;
        }
        call.Reply.Finish(begin, Aggregate.Array, written);
        if (written == 0) return;
        PositionEffect(ref call, entry.Keyspace);
        call.ModifiedUnwatched(entry);
    }

    /// <summary>
    /// Writes entries that are pending for the consumer, from an ID on. An entry that has been deleted is written as
    /// null.
    /// </summary>
    public void WriteHistory(ref CommandContext call, in Entry entry, StreamConsumer consumer, StreamId start, long count)
    {
        int begin = call.Reply.Begin(), written = 0;
        for (var at = consumer.Pending.Seek(start); at.IsValid && (count == 0 || written < count); at.Next(), written++)
        {
            StreamId id = at.Id;
            if (StreamRanges.TryWrite(call.Reply, stream, id))
            {
                PendingEntry* pending = group.Pending.Find(id);
                pending->DeliveredAtMs = call.NowMs;
                pending->Deliveries++;
                // Reading the history again is no change to a client that watches the key, but copies of the stream
                // must follow it.
                ClaimEffect(ref call, entry.Keyspace, id, pending);
                continue;
            }
            call.Reply.Array(2);
            id.WriteTo(call.Reply);
            call.Reply.NullArray();
        }
        call.Reply.Finish(begin, Aggregate.Array, written);
        entry.Keyspace.Slot.Changes++; // as in Redis, for save points alone
    }

    /// <summary>
    /// Gives the effect when an entry becomes pending for a consumer, or is no longer pending: an XCLAIM that has the
    /// same result whatever the state was before.
    /// </summary>
    public void ClaimEffect(ref CommandContext call, Keyspace keyspace, StreamId id, PendingEntry* pending)
    {
        if (call.BeginEffect(14) is not { } effect) return;
        effect.BulkString("XCLAIM"u8);
        effect.BulkString(call[keyArgument]);
        effect.BulkString(group.Name);
        effect.BulkString(group.ConsumerOf(pending).Name);
        effect.BulkString("0"u8);
        id.WriteTo(effect);
        effect.BulkString("TIME"u8);
        effect.BulkInteger(pending->DeliveredAtMs);
        effect.BulkString("RETRYCOUNT"u8);
        effect.BulkInteger(pending->Deliveries);
        effect.BulkString("FORCE"u8);
        effect.BulkString("JUSTID"u8);
        effect.BulkString("LASTID"u8);
        group.LastDeliveredId.WriteTo(effect);
        call.EndEffect(keyspace);
    }

    /// <summary>Gives the effect when the group has read up to a new position.</summary>
    public void PositionEffect(ref CommandContext call, Keyspace keyspace)
    {
        if (call.BeginEffect(7) is not { } effect) return;
        effect.BulkString("XGROUP"u8);
        effect.BulkString("SETID"u8);
        effect.BulkString(call[keyArgument]);
        effect.BulkString(group.Name);
        group.LastDeliveredId.WriteTo(effect);
        effect.BulkString("ENTRIESREAD"u8);
        effect.BulkInteger(group.EntriesRead);
        call.EndEffect(keyspace);
    }
}
