namespace OrleansRedis.Engine;

/// <summary>
/// Writes keys as the commands that create them: the form of a log's base with aof-use-rdb-preamble no. The commands
/// are those of redis-server's own rewrite.
/// </summary>
internal static class AofEntryWriter
{
    /// <summary>A collection is written in commands of at most this many elements.</summary>
    private const int ElementsPerCommand = 64;

    /// <summary>The keys from here on belong to this database.</summary>
    public static void Select(RespWriter writer, int database)
    {
        writer.Array(2);
        writer.BulkString("SELECT"u8);
        writer.BulkInteger(database);
    }

    /// <summary>Writes a key with its content, and the expiries of both the key and its fields.</summary>
    public static void Write(RespWriter writer, KeyEntry entry)
    {
        ReadOnlySpan<byte> key = entry.Key;
        switch (entry.Type)
        {
            case ValueType.String:
                Begin(writer, 3, "SET"u8, key);
                writer.BulkString(StringEntry.Read(entry, stackalloc byte[StringEntry.ScratchLength]));
                break;
            case ValueType.List:
                WriteList(writer, key, entry);
                break;
            case ValueType.Set:
                WriteSet(writer, key, entry);
                break;
            case ValueType.SortedSet:
                WriteSortedSet(writer, key, entry);
                break;
            case ValueType.Hash:
                WriteHash(writer, key, entry);
                break;
            case ValueType.Stream:
                WriteStream(writer, key, entry.As<StreamValue>());
                break;
            default:
                throw new InvalidOperationException($"{entry.Type} has no form as commands.");
        }
        long expiresAtMs = entry.ExpiresAtMs;
        if (expiresAtMs == Expiry.Never) return;
        Begin(writer, 3, "PEXPIREAT"u8, key);
        writer.BulkInteger(expiresAtMs);
    }

    private static void Begin(RespWriter writer, int count, ReadOnlySpan<byte> command, ReadOnlySpan<byte> key)
    {
        writer.Array(count);
        writer.BulkString(command);
        writer.BulkString(key);
    }

    /// <summary>Called before each element: begins a new command when the previous one is full.</summary>
    private static void BeginAt(RespWriter writer, long index, long total, int wordsPerElement, ReadOnlySpan<byte> command, ReadOnlySpan<byte> key)
    {
        if (index % ElementsPerCommand != 0) return;
        Begin(writer, 2 + ((int)Math.Min(ElementsPerCommand, total - index) * wordsPerElement), command, key);
    }

    private static void WriteList(RespWriter writer, ReadOnlySpan<byte> key, KeyEntry entry)
    {
        Span<byte> scratch = stackalloc byte[ListpackElement.ScratchLength];
        long total = ListEntry.Count(entry), index = 0;
        var cursor = new ListCursor(entry, 0, forward: true);
        while (cursor.MoveNext())
        {
            BeginAt(writer, index++, total, 1, "RPUSH"u8, key);
            writer.BulkString(cursor.Current.AsSpan(scratch));
        }
    }

    private static void WriteSet(RespWriter writer, ReadOnlySpan<byte> key, KeyEntry entry)
    {
        Span<byte> scratch = stackalloc byte[SetMember.ScratchLength];
        long total = SetEntry.Count(entry), index = 0;
        foreach (SetMember member in new SetMembers(entry))
        {
            BeginAt(writer, index++, total, 1, "SADD"u8, key);
            writer.BulkString(member.AsSpan(scratch));
        }
    }

    private static void WriteSortedSet(RespWriter writer, ReadOnlySpan<byte> key, KeyEntry entry)
    {
        Span<byte> score = stackalloc byte[Numbers.LongestDouble];
        var set = new SortedSetView(entry);
        SortedSetView.Walker walker = set.Walk(stackalloc byte[ListpackElement.ScratchLength]);
        for (long index = 0; walker.MoveNext(); index++)
        {
            BeginAt(writer, index, set.Count, 2, "ZADD"u8, key);
            writer.BulkString(score[..Numbers.FormatDouble(walker.Score, score)]);
            writer.BulkString(walker.Member);
        }
    }

    private static void WriteHash(RespWriter writer, ReadOnlySpan<byte> key, KeyEntry entry)
    {
        Span<byte> scratch = stackalloc byte[ListpackElement.ScratchLength];
        long total = HashEntry.Count(entry), index = 0;
        bool expires = false;
        foreach (HashItem item in new HashItems(entry))
        {
            BeginAt(writer, index++, total, 2, "HMSET"u8, key);
            writer.BulkString(item.Field.AsSpan(scratch));
            writer.BulkString(item.Value.AsSpan(scratch));
            expires |= item.ExpiresAtMs != Expiry.Never;
        }
        if (!expires) return;
        foreach (HashItem item in new HashItems(entry))
        {
            if (item.ExpiresAtMs == Expiry.Never) continue;
            Begin(writer, 6, "HPEXPIREAT"u8, key);
            writer.BulkInteger(item.ExpiresAtMs);
            writer.BulkString("FIELDS"u8);
            writer.BulkString("1"u8);
            writer.BulkString(item.Field.AsSpan(scratch));
        }
    }

    private static void WriteStream(RespWriter writer, ReadOnlySpan<byte> key, StreamValue stream)
    {
        var range = new StreamRange(stream, StreamId.Min, StreamId.Max);
        while (range.MoveNext())
        {
            Begin(writer, 3 + (range.Entry.FieldCount * 2), "XADD"u8, key);
            range.Id.WriteTo(writer);
            range.WriteFieldsTo(writer);
        }
        if (stream.Length == 0)
        {
            // XADD with MAXLEN 0 is the way to create an empty stream.
            Begin(writer, 7, "XADD"u8, key);
            writer.BulkString("MAXLEN"u8);
            writer.BulkString("0"u8);
            writer.BulkString("0-1"u8);
            writer.BulkString("x"u8);
            writer.BulkString("y"u8);
        }
        Begin(writer, 7, "XSETID"u8, key);
        stream.LastId.WriteTo(writer);
        writer.BulkString("ENTRIESADDED"u8);
        writer.BulkInteger((long)stream.EntriesAdded);
        writer.BulkString("MAXDELETEDID"u8);
        stream.MaxDeletedId.WriteTo(writer);
        foreach (StreamGroup group in stream.Groups.Items) WriteGroup(writer, key, group);
    }

    private static unsafe void WriteGroup(RespWriter writer, ReadOnlySpan<byte> key, StreamGroup group)
    {
        writer.Array(7);
        writer.BulkString("XGROUP"u8);
        writer.BulkString("CREATE"u8);
        writer.BulkString(key);
        writer.BulkString(group.Name);
        group.LastDeliveredId.WriteTo(writer);
        writer.BulkString("ENTRIESREAD"u8);
        writer.BulkInteger(group.EntriesRead);
        foreach (StreamConsumer consumer in group.Consumers.Items)
        {
            if (consumer.Pending.Count == 0)
            {
                writer.Array(5);
                writer.BulkString("XGROUP"u8);
                writer.BulkString("CREATECONSUMER"u8);
                writer.BulkString(key);
                writer.BulkString(group.Name);
                writer.BulkString(consumer.Name);
            }
            for (var at = consumer.Pending.First; at.IsValid; at.Next())
            {
                PendingEntry* pending = group.Pending.Find(at.Id);
                Begin(writer, 12, "XCLAIM"u8, key);
                writer.BulkString(group.Name);
                writer.BulkString(consumer.Name);
                writer.BulkString("0"u8);
                at.Id.WriteTo(writer);
                writer.BulkString("TIME"u8);
                writer.BulkInteger(pending->DeliveredAtMs);
                writer.BulkString("RETRYCOUNT"u8);
                writer.BulkInteger(pending->Deliveries);
                writer.BulkString("JUSTID"u8);
                writer.BulkString("FORCE"u8);
            }
        }
    }
}
