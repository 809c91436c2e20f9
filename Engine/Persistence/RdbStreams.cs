namespace OrleansRedis.Engine;

/// <summary>Streams in the RDB format: their nodes as they are in memory, then their groups.</summary>
internal static unsafe class RdbStreams
{
    /// <summary>
    /// Writes the form of version 10. It has no field for when a consumer was last given an entry; a reader takes the
    /// time of the consumer's last attempt instead.
    /// </summary>
    public static void Write(RdbWriter writer, StreamValue stream)
    {
        Span<byte> id = stackalloc byte[StreamId.EncodedLength];
        writer.Length(stream.Nodes.Count);
        for (var at = stream.Nodes.First; at.IsValid; at.Next())
        {
            at.Id.Encode(id);
            writer.String(id);
            writer.String(at.Value->Listpack.Bytes);
        }
        writer.Length(stream.Length);
        WriteId(writer, stream.LastId);
        WriteId(writer, stream.FirstId);
        WriteId(writer, stream.MaxDeletedId);
        writer.Length(stream.EntriesAdded);
        writer.Length(stream.Groups.Count);
        foreach (StreamGroup group in stream.Groups.Items)
        {
            writer.String(group.Name);
            WriteId(writer, group.LastDeliveredId);
            writer.Length(group.EntriesRead);
            writer.Length(group.Pending.Count);
            for (var at = group.Pending.First; at.IsValid; at.Next())
            {
                at.Id.Encode(id);
                writer.Bytes(id);
                writer.Milliseconds(at.Value->DeliveredAtMs);
                writer.Length(at.Value->Deliveries);
            }
            writer.Length(group.Consumers.Count);
            foreach (StreamConsumer consumer in group.Consumers.Items)
            {
                writer.String(consumer.Name);
                writer.Milliseconds(consumer.SeenAtMs);
                writer.Length(consumer.Pending.Count);
                for (var at = consumer.Pending.First; at.IsValid; at.Next())
                {
                    at.Id.Encode(id);
                    writer.Bytes(id);
                }
            }
        }
    }

    /// <summary>
    /// Reads a stream. Counters that its entries contradict, which old versions could write, are counted anew, and
    /// <see cref="RdbReader.Repair"/> says so.
    /// </summary>
    /// <param name="reader">Where to read.</param>
    /// <param name="type">The form.</param>
    /// <param name="key">The key.</param>
    /// <param name="checksCounts">Whether wrong counts in a node are an error, as when Redis sanitizes.</param>
    public static StreamValue Read(RdbReader reader, RdbType type, ReadOnlySpan<byte> key, bool checksCounts)
    {
        var stream = new StreamValue(key.ToArray());
        bool isWhole = false;
        try
        {
            ReadInto(stream, reader, type, checksCounts);
            isWhole = true;
            return stream;
        }
        finally
        {
            if (!isWhole) stream.Free();
        }
    }

    private static void ReadInto(StreamValue stream, RdbReader reader, RdbType type, bool checksCounts)
    {
        long sum = 0;
        int wrongNodes = 0;
        for (long nodes = reader.Count(); nodes > 0; nodes--) sum += ReadNode(stream, reader, checksCounts, ref wrongNodes);
        ulong length = reader.Length();
        // Nothing can be counted where entries are missing altogether.
        if (length != 0 && stream.Nodes.Count == 0) throw new RdbFormatException("Stream length inconsistent with rax entries");
        stream.SetLoaded(sum, StreamId.Min);
        stream.Deleted(); // finds the first entry
        StreamId lastId = ReadId(reader);
        ulong added = (ulong)sum;
        if (type != RdbType.StreamListpacks)
        {
            _ = ReadId(reader); // the first ID, which is already known
            stream.MaxDeletedId = ReadId(reader);
            added = reader.Length();
        }
        StreamId leastLastId = stream.LastLiveId < stream.MaxDeletedId ? stream.MaxDeletedId : stream.LastLiveId;
        stream.LastId = lastId < leastLastId ? leastLastId : lastId;
        stream.EntriesAdded = Math.Max(added, (ulong)sum);
        if (wrongNodes != 0 || length != (ulong)sum || stream.LastId != lastId || stream.EntriesAdded != added)
            reader.Repair = Repaired(stream, wrongNodes, length, lastId, added);
        for (long groups = reader.Count(); groups > 0; groups--) ReadGroup(reader, type, stream);
    }

    /// <summary>Reads a node, and returns how many live entries it has.</summary>
    private static long ReadNode(StreamValue stream, RdbReader reader, bool checksCounts, ref int wrongNodes)
    {
        ReadOnlySpan<byte> encodedId = reader.StringSpan();
        bool isId = encodedId.Length == StreamId.EncodedLength;
        StreamId id = isId ? StreamId.Decode(encodedId) : default;
        ReadOnlySpan<byte> bytes = reader.StringSpan();
        if (!isId) throw new RdbFormatException("Stream node key entry is not the size of a stream ID");
        if (!ListpackCheck.IsValid(bytes, out int elements, out _)) throw new RdbFormatException("Stream listpack integrity check failed.");
        if (elements == 0) throw new RdbFormatException("Empty listpack inside stream");
        Listpack node = Listpack.Copy(bytes);
        bool isTaken = false;
        try
        {
            if (!StreamNode.IsValid(node, out long live, out long deleted)) throw new RdbFormatException("Stream listpack integrity check failed.");
            if (live + deleted == 0 || StreamNode.CorrectCounts(ref node, live, deleted))
            {
                if (checksCounts) throw new RdbFormatException("Stream listpack integrity check failed.");
                wrongNodes++;
                if (live + deleted == 0) return 0; // nodes are removed with their last entry
            }
            isTaken = stream.AddLoadedNode(id, node);
            if (!isTaken) throw new RdbFormatException("Listpack re-added with existing key");
            return live;
        }
        finally
        {
            if (!isTaken) Heap.Free(node.Block);
        }
    }

    private static string Repaired(StreamValue stream, int wrongNodes, ulong length, StreamId lastId, ulong added)
    {
        var repairs = new List<string>();
        if (wrongNodes != 0) repairs.Add($"{wrongNodes} nodes");
        if (length != (ulong)stream.Length) repairs.Add($"length {stream.Length} (was {length})");
        if (lastId != stream.LastId) repairs.Add($"last ID {stream.LastId.Ms}-{stream.LastId.Sequence} (was {lastId.Ms}-{lastId.Sequence})");
        if (added != stream.EntriesAdded) repairs.Add($"entries added {stream.EntriesAdded} (was {added})");
        return $"counters of the stream that its entries contradict were counted anew: {string.Join(", ", repairs)}";
    }

    private static void ReadGroup(RdbReader reader, RdbType type, StreamValue stream)
    {
        byte[] name = reader.String();
        if (stream.Groups.Find(name) is not null) throw new RdbFormatException($"Duplicated consumer group name {System.Text.Encoding.UTF8.GetString(name)}");
        StreamId last = ReadId(reader);
        StreamGroup group = stream.AddGroup(name, last, 0);
        group.EntriesRead = type == RdbType.StreamListpacks ? stream.EntriesUpTo(last) : (long)reader.Length();
        for (long pending = reader.Count(); pending > 0; pending--)
        {
            StreamId id = StreamId.Decode(reader.Take(StreamId.EncodedLength));
            if (!group.AddLoadedPending(id, reader.Milliseconds(), (long)reader.Length()))
                throw new RdbFormatException("Duplicated global PEL entry loading stream consumer group");
        }
        int withConsumer = 0;
        for (long consumers = reader.Count(); consumers > 0; consumers--)
        {
            byte[] consumerName = reader.String();
            if (group.Consumers.Find(consumerName) is not null) throw new RdbFormatException("Duplicate stream consumer detected.");
            StreamConsumer consumer = group.AddConsumer(consumerName, reader.Milliseconds());
            consumer.ActiveAtMs = type == RdbType.StreamListpacks3 ? reader.Milliseconds() : consumer.SeenAtMs;
            for (long pending = reader.Count(); pending > 0; pending--)
            {
                StreamId id = StreamId.Decode(reader.Take(StreamId.EncodedLength));
                if (!group.GiveLoadedPending(id, consumer)) throw new RdbFormatException("Consumer entry not found in group global PEL");
                withConsumer++;
            }
        }
        if (withConsumer != group.Pending.Count) throw new RdbFormatException("Stream CG PEL entry without consumer");
    }

    private static void WriteId(RdbWriter writer, StreamId id)
    {
        writer.Length(id.Ms);
        writer.Length(id.Sequence);
    }

    private static StreamId ReadId(RdbReader reader) => new(reader.Length(), reader.Length());
}
