using System.Runtime.InteropServices;

namespace OrleansRedis.Engine;

/// <summary>
/// What a group notes of an entry that was delivered to a consumer and is not acknowledged yet. It lies in the group's
/// list; the consumer's list has only the ID. So it takes no block of its own, and nothing is shared.
/// </summary>
/// <param name="Consumer">
/// The number of the consumer that it was last delivered to; see <see cref="StreamConsumer.Number"/>.
/// </param>
/// <param name="DeliveredAtMs">When it was last delivered, as Unix time in ms.</param>
/// <param name="Deliveries">How many times it was delivered.</param>
[StructLayout(LayoutKind.Sequential, Pack = sizeof(int))] // 20 bytes
internal record struct PendingEntry(int Consumer, long DeliveredAtMs, long Deliveries)
{
    /// <summary>Instead of a consumer's number, while a file is read that names the consumers later.</summary>
    public const int Nobody = -1;
}

/// <summary>A consumer of a group: all clients that read under this name.</summary>
internal sealed class StreamConsumer : INamed
{
    internal StreamConsumer(byte[] name, int number, long nowMs, ByteCount bytes)
    {
        Name = name;
        Number = number;
        SeenAtMs = nowMs;
        Pending = new(bytes);
    }

    public byte[] Name { get; }

    /// <summary>Its number in the group. When it is removed, another consumer may get that.</summary>
    public int Number { get; }

    /// <summary>When it last tried to read or claim, as Unix time in ms.</summary>
    public long SeenAtMs { get; set; }

    /// <summary>When it was last given an entry, as Unix time in ms; -1 for never.</summary>
    public long ActiveAtMs { get; set; } = -1;

    /// <summary>
    /// The entries delivered to it and not acknowledged. More about them is in <see cref="StreamGroup.Pending"/>.
    /// </summary>
    public StreamIdMap<NoValue> Pending { get; }

    /// <summary>Allocated bytes, excluding the blocks of the pending list.</summary>
    internal long OwnBytes => 56 + StreamIdMap<NoValue>.ObjectBytes + ByteCount.OfName(Name) + (2 * IntPtr.Size);
}

/// <summary>A consumer group of a stream.</summary>
internal sealed unsafe class StreamGroup : INamed, IFreeable
{
    /// <summary>The value of <see cref="EntriesRead"/> when it is unknown.</summary>
    public const long UnknownEntriesRead = -1;

    private readonly ByteCount _bytes;
    private readonly List<StreamConsumer?> _numbered = [];

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

    /// <summary>How many blocks it has.</summary>
    public long FreeEffort
    {
        get
        {
            long effort = Pending.FreeEffort;
            foreach (StreamConsumer consumer in Consumers.Items) effort += consumer.Pending.FreeEffort;
            return effort;
        }
    }

    /// <summary>Allocated bytes, excluding consumers and the blocks of the pending list.</summary>
    internal long OwnBytes => 80 + StreamIdMap<PendingEntry>.ObjectBytes + 56 + 32 + ByteCount.OfName(Name) + IntPtr.Size;

    /// <summary>Adds a consumer whose name is not there yet.</summary>
    public StreamConsumer AddConsumer(ReadOnlySpan<byte> name, long nowMs)
    {
        int number = _numbered.Count == Consumers.Count ? _numbered.Count : _numbered.IndexOf(null);
        var consumer = new StreamConsumer(name.ToArray(), number, nowMs, _bytes);
        if (number == _numbered.Count) _numbered.Add(consumer);
        else _numbered[number] = consumer;
        Consumers.Add(consumer);
        _bytes.Add(consumer.OwnBytes);
        return consumer;
    }

    /// <summary>The consumer that a pending entry was last delivered to.</summary>
    public StreamConsumer ConsumerOf(PendingEntry* pending) => _numbered[pending->Consumer]!;

    /// <summary>
    /// Notes that an entry was delivered to a consumer, for the first time to anyone. Where the note is stays valid
    /// until another entry of the group becomes pending or is no longer pending.
    /// </summary>
    public PendingEntry* AddPending(StreamId id, StreamConsumer consumer, long nowMs, long deliveries = 1)
    {
        PendingEntry* pending = Pending.Add(id);
        *pending = new(consumer.Number, nowMs, deliveries);
        consumer.Pending.Add(id);
        return pending;
    }

    /// <summary>Hands a pending entry over to another consumer.</summary>
    public void Give(StreamId id, PendingEntry* pending, StreamConsumer consumer)
    {
        if (pending->Consumer == consumer.Number) return;
        ConsumerOf(pending).Pending.Remove(id);
        consumer.Pending.Add(id);
        pending->Consumer = consumer.Number;
    }

    /// <summary>Notes a pending entry, of which a file has yet to say whose it is; false if it is there already.</summary>
    public bool AddLoadedPending(StreamId id, long deliveredAtMs, long deliveries)
    {
        if (Pending.Find(id) != null) return false;
        *Pending.Add(id) = new(PendingEntry.Nobody, deliveredAtMs, deliveries);
        return true;
    }

    /// <summary>
    /// Gives a pending entry that was loaded to its consumer; false if there is none with this ID, or it is already
    /// someone's.
    /// </summary>
    public bool GiveLoadedPending(StreamId id, StreamConsumer consumer)
    {
        PendingEntry* pending = Pending.Find(id);
        if (pending == null || pending->Consumer != PendingEntry.Nobody) return false;
        pending->Consumer = consumer.Number;
        consumer.Pending.Add(id);
        return true;
    }

    /// <summary>Forgets a pending entry; false if there is none with this ID.</summary>
    public bool RemovePending(StreamId id)
    {
        if (!Pending.Remove(id, out PendingEntry pending)) return false;
        _numbered[pending.Consumer]!.Pending.Remove(id);
        return true;
    }

    /// <summary>Removes a consumer with all its pending entries; returns how many there were.</summary>
    public long RemoveConsumer(StreamConsumer consumer)
    {
        int count = consumer.Pending.Count;
        for (var at = consumer.Pending.First; at.IsValid; at.Next()) Pending.Remove(at.Id);
        Consumers.Remove(consumer.Name);
        _numbered[consumer.Number] = null;
        _bytes.Add(-(consumer.Pending.AllocatedBytes + consumer.OwnBytes));
        Retirement.Retire(consumer.Pending);
        return count;
    }

    /// <summary>
    /// Subtracts the group's bytes from its stream's count and frees it once the command has ended; the group must not
    /// be used afterwards.
    /// </summary>
    public void Retire()
    {
        long bytes = OwnBytes + Pending.AllocatedBytes;
        foreach (StreamConsumer consumer in Consumers.Items) bytes += consumer.OwnBytes + consumer.Pending.AllocatedBytes;
        _bytes.Add(-bytes);
        Retirement.Retire(this);
    }

    /// <summary>Gives back the memory of all pending lists.</summary>
    public void Free()
    {
        Pending.Free();
        foreach (StreamConsumer consumer in Consumers.Items) consumer.Pending.Free();
    }

    public StreamGroup Clone(ByteCount bytes)
    {
        var copy = new StreamGroup(Name, LastDeliveredId, EntriesRead, bytes);
        var copies = new StreamConsumer[_numbered.Count];
        foreach (StreamConsumer consumer in Consumers.Items)
        {
            StreamConsumer consumerCopy = copy.AddConsumer(consumer.Name, consumer.SeenAtMs);
            consumerCopy.ActiveAtMs = consumer.ActiveAtMs;
            copies[consumer.Number] = consumerCopy;
        }
        // In order, so that all chunks of the copies become full.
        for (var at = Pending.First; at.IsValid; at.Next())
            copy.AddPending(at.Id, copies[at.Value->Consumer], at.Value->DeliveredAtMs, at.Value->Deliveries);
        return copy;
    }
}
