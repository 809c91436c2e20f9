namespace OrleansRedis.Engine;

/// <summary>
/// An entry that was delivered to a consumer and is not acknowledged yet. The group's list and the consumer's share one
/// object.
/// </summary>
internal sealed class PendingEntry(StreamConsumer consumer, long deliveredAtMs, long deliveries)
{
    /// <summary>Allocated bytes: the object itself.</summary>
    public const int ObjectBytes = 40;

    /// <summary>The consumer it was last delivered to.</summary>
    public StreamConsumer Consumer { get; set; } = consumer;

    /// <summary>When it was last delivered, as Unix time in ms.</summary>
    public long DeliveredAtMs { get; set; } = deliveredAtMs;

    /// <summary>How many times it was delivered.</summary>
    public long Deliveries { get; set; } = deliveries;
}

/// <summary>A consumer of a group: all clients that read under this name.</summary>
internal sealed class StreamConsumer : INamed
{
    internal StreamConsumer(byte[] name, long nowMs, ByteCount bytes)
    {
        Name = name;
        SeenAtMs = nowMs;
        Pending = new(bytes);
    }

    public byte[] Name { get; }

    /// <summary>When it last tried to read or claim, as Unix time in ms.</summary>
    public long SeenAtMs { get; set; }

    /// <summary>When it was last given an entry, as Unix time in ms; -1 for never.</summary>
    public long ActiveAtMs { get; set; } = -1;

    /// <summary>The entries delivered to it and not acknowledged, by ID.</summary>
    public StreamIdMap<PendingEntry> Pending { get; }

    /// <summary>Allocated bytes, excluding the arrays of the pending list.</summary>
    internal long OwnBytes => 48 + StreamIdMap<PendingEntry>.ObjectBytes + Blob.AllocatedBytes(Name.Length) + 8;
}

/// <summary>A consumer group of a stream.</summary>
internal sealed class StreamGroup : INamed
{
    /// <summary>The value of <see cref="EntriesRead"/> when it is unknown.</summary>
    public const long UnknownEntriesRead = -1;

    private readonly ByteCount _bytes;

    internal StreamGroup(byte[] name, StreamId lastDeliveredId, long entriesRead, ByteCount bytes)
    {
        Name = name;
        LastDeliveredId = lastDeliveredId;
        EntriesRead = entriesRead;
        _bytes = bytes;
        Pending = new(bytes);
        bytes.Add(OwnBytes);
    }

    public byte[] Name { get; }

    /// <summary>Entries up to this one have been delivered to the group.</summary>
    public StreamId LastDeliveredId { get; set; }

    /// <summary>
    /// How many of all entries ever added were delivered to the group, or <see cref="UnknownEntriesRead"/>.
    /// </summary>
    public long EntriesRead { get; set; }

    /// <summary>The entries delivered to any consumer and not acknowledged, by ID.</summary>
    public StreamIdMap<PendingEntry> Pending { get; }

    public NameMap<StreamConsumer> Consumers { get; } = new();

    private long OwnBytes => 72 + StreamIdMap<PendingEntry>.ObjectBytes + 56 + Blob.AllocatedBytes(Name.Length) + 8;

    /// <summary>Adds a consumer whose name is not there yet.</summary>
    public StreamConsumer AddConsumer(ReadOnlySpan<byte> name, long nowMs)
    {
        var consumer = new StreamConsumer(name.ToArray(), nowMs, _bytes);
        Consumers.Add(consumer);
        _bytes.Add(consumer.OwnBytes);
        return consumer;
    }

    /// <summary>Notes that an entry was delivered to a consumer, for the first time to anyone.</summary>
    public PendingEntry AddPending(StreamId id, StreamConsumer consumer, long nowMs, long deliveries = 1)
    {
        var pending = new PendingEntry(consumer, nowMs, deliveries);
        Pending.Add(id, pending);
        consumer.Pending.Add(id, pending);
        _bytes.Add(PendingEntry.ObjectBytes);
        return pending;
    }

    /// <summary>Hands a pending entry over to another consumer.</summary>
    public static void Give(StreamId id, PendingEntry pending, StreamConsumer consumer)
    {
        if (ReferenceEquals(pending.Consumer, consumer)) return;
        pending.Consumer.Pending.Remove(id);
        consumer.Pending.Add(id, pending);
        pending.Consumer = consumer;
    }

    /// <summary>Forgets a pending entry; false if there is none with this ID.</summary>
    public bool RemovePending(StreamId id)
    {
        if (Pending.Remove(id) is not { } pending) return false;
        pending.Consumer.Pending.Remove(id);
        _bytes.Add(-PendingEntry.ObjectBytes);
        return true;
    }

    /// <summary>Removes a consumer with all its pending entries; returns how many there were.</summary>
    public long RemoveConsumer(StreamConsumer consumer)
    {
        int count = consumer.Pending.Count;
        for (var at = consumer.Pending.First; at.IsValid; at.Next()) Pending.Remove(at.Id);
        Consumers.Remove(consumer.Name);
        _bytes.Add(-(((long)PendingEntry.ObjectBytes * count) + consumer.Pending.ArrayBytes + consumer.OwnBytes));
        return count;
    }

    /// <summary>Subtracts the group's bytes from its stream's count; the group must not be used afterwards.</summary>
    public void Uncount()
    {
        long bytes = OwnBytes + Pending.ArrayBytes + ((long)PendingEntry.ObjectBytes * Pending.Count);
        foreach (StreamConsumer consumer in Consumers.Items) bytes += consumer.OwnBytes + consumer.Pending.ArrayBytes;
        _bytes.Add(-bytes);
    }

    public StreamGroup Clone(ByteCount bytes)
    {
        var copy = new StreamGroup(Name, LastDeliveredId, EntriesRead, bytes);
        foreach (StreamConsumer consumer in Consumers.Items)
        {
            StreamConsumer consumerCopy = copy.AddConsumer(consumer.Name, consumer.SeenAtMs);
            consumerCopy.ActiveAtMs = consumer.ActiveAtMs;
            for (var at = consumer.Pending.First; at.IsValid; at.Next())
                copy.AddPending(at.Id, consumerCopy, at.Value.DeliveredAtMs, at.Value.Deliveries);
        }
        return copy;
    }
}
