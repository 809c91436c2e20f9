using System.Diagnostics;

namespace OrleansRedis.Engine;

/// <summary>What XADD and XTRIM remove from the front of a stream.</summary>
/// <param name="Kind">By length, by ID, or not at all.</param>
/// <param name="MaxLength">With MaxLength: how many entries stay.</param>
/// <param name="MinId">With MinId: entries below it are removed.</param>
/// <param name="IsApproximate">Whether only whole nodes are removed.</param>
/// <param name="Limit">How many entries are removed at most; 0 for no limit.</param>
/// <param name="References">What becomes of entries that groups refer to.</param>
internal readonly record struct StreamTrim(
    StreamTrimKind Kind, long MaxLength, StreamId MinId, bool IsApproximate, long Limit, StreamReferences References);

internal enum StreamTrimKind
{
    None,
    MaxLength,
    MinId,
}

/// <summary>What becomes of an entry that groups refer to when it is to be deleted.</summary>
internal enum StreamReferences
{
    /// <summary>It is deleted; where it is pending, it stays so.</summary>
    Keep,

    /// <summary>It is deleted, and pending nowhere any more.</summary>
    Delete,

    /// <summary>It stays, until every group has read and acknowledged it.</summary>
    Acked,
}

/// <summary>A stream: entries by ID in nodes (see <see cref="StreamNode"/>), and its consumer groups.</summary>
internal sealed unsafe class StreamValue : Value
{
    private const int LargestNode = 1 << 30;

    private readonly ByteCount _bytes = new();

    public StreamValue(byte[] key) : base(key) => Nodes = new(_bytes);

    /// <summary>The nodes by their master ID.</summary>
    public StreamIdMap<StreamNodeBlock> Nodes { get; }

    /// <summary>How many live entries there are.</summary>
    public long Length { get; private set; }

    /// <summary>The last ID ever given, or set by XSETID.</summary>
    public StreamId LastId { get; set; }

    /// <summary>The ID of the first live entry; zero if there is none.</summary>
    public StreamId FirstId { get; private set; }

    /// <summary>The largest ID ever deleted by XDEL.</summary>
    public StreamId MaxDeletedId { get; set; }

    /// <summary>How many entries were ever added.</summary>
    public ulong EntriesAdded { get; set; }

    public NameMap<StreamGroup> Groups { get; } = new();

    public override ValueType Type => ValueType.Stream;

    public override string Encoding => "stream";

    public override long Bytes => 176 + 56 + StreamIdMap<StreamNodeBlock>.ObjectBytes + ByteCount.OfName(Key) + _bytes.Bytes;

    public override long ElementCount => Length;

    public override long FreeEffort
    {
        get
        {
            long effort = Nodes.Count + Nodes.FreeEffort;
            foreach (StreamGroup group in Groups.Items) effort += group.FreeEffort;
            return effort;
        }
    }

    /// <summary>
    /// The ID of the last live entry; zero if there is none. (<see cref="LastId"/> may belong to a deleted entry.)
    /// </summary>
    public StreamId LastLiveId
    {
        get
        {
            var last = new StreamRange(this, StreamId.Min, StreamId.Max, reverse: true);
            return last.MoveNext() ? last.Id : StreamId.Min;
        }
    }

    public override Value Clone(byte[] key)
    {
        var copy = new StreamValue(key)
        {
            ExpiresAtMs = ExpiresAtMs,
            AccessClock = AccessClock,
            Length = Length,
            LastId = LastId,
            FirstId = FirstId,
            MaxDeletedId = MaxDeletedId,
            EntriesAdded = EntriesAdded,
        };
        for (var at = Nodes.First; at.IsValid; at.Next()) copy.AddNode(at.Id, Listpack.Copy(at.Value->Listpack.Bytes));
        foreach (StreamGroup group in Groups.Items) copy.Groups.Add(group.Clone(copy._bytes));
        return copy;
    }

    /// <summary>Adds a group whose name is not there yet.</summary>
    public StreamGroup AddGroup(ReadOnlySpan<byte> name, StreamId lastDeliveredId, long entriesRead)
    {
        var group = new StreamGroup(name.ToArray(), lastDeliveredId, entriesRead, _bytes);
        Groups.Add(group);
        return group;
    }

    /// <summary>Removes a group; false if there is none with this name.</summary>
    public bool RemoveGroup(ReadOnlySpan<byte> name)
    {
        if (Groups.Find(name) is not { } group) return false;
        Groups.Remove(name);
        group.Retire();
        return true;
    }

    /// <summary>
    /// Adds an entry whose ID is larger than <see cref="LastId"/>. False if the entry is too large for a node.
    /// </summary>
    public bool Append(StreamId id, in StreamFields fields, ServerOptions options)
    {
        Debug.Assert(id > LastId);
        long length = fields.TotalLength;
        if (length > LargestNode) return false;
        int maxBytes = options.StreamNodeMaxBytes is 0 or > LargestNode ? LargestNode : (int)options.StreamNodeMaxBytes;
        var last = Nodes.Last;
        if (last.IsValid)
        {
            Listpack node = last.Value->Listpack;
            bool full = node.Length + length >= maxBytes
                || (options.StreamNodeMaxEntries != 0 && StreamNode.TotalCount(node) >= options.StreamNodeMaxEntries);
            if (!full)
            {
                MakeRoom(ref node, length, fields.Count, maxBytes);
                StreamNode.Append(ref node, last.Id, id, fields);
                NodeChanged(last.Value, node);
                Added(id);
                return true;
            }
            node.TrimToSize();
            NodeChanged(last.Value, node);
        }
        AddNode(id, StreamNode.Create(fields, (int)Math.Min(LargestNode, length + (fields.Count * 6L) + 24)));
        Added(id);
        return true;
    }

    /// <summary>
    /// Doubles a node until it is as large as it may become, so that it is not copied for every entry.
    /// </summary>
    private static void MakeRoom(ref Listpack node, long length, int fields, int maxBytes)
    {
        int most = (int)Math.Min(LargestNode, length + (fields * 12L) + 48);
        if (Heap.SizeOf(node.Block) - node.Length < most) node.EnsureRoom(Math.Max(most, Math.Min(node.Length, maxBytes - node.Length)));
    }

    private void Added(StreamId id)
    {
        EntriesAdded++;
        LastId = id;
        Length++;
        if (Length == 1) FirstId = id;
    }

    /// <summary>
    /// Adds a node that was read from a file, after all others, and takes over its block. False if its ID does not come
    /// after theirs.
    /// </summary>
    public bool AddLoadedNode(StreamId master, in Listpack node)
    {
        if (Nodes.Last is { IsValid: true } last && last.Id >= master) return false;
        AddNode(master, node);
        return true;
    }

    /// <summary>Sets the values that a file holds besides the nodes.</summary>
    public void SetLoaded(long length, StreamId firstId)
    {
        Length = length;
        FirstId = firstId;
    }

    /// <summary>Whether a live entry has this ID.</summary>
    public bool Contains(StreamId id) => new StreamRange(this, id, id).MoveNext();

    /// <summary>
    /// Deletes an entry; false if there is none with this ID. Call <see cref="Deleted"/> after the last deletion.
    /// </summary>
    public bool Delete(StreamId id)
    {
        var found = new StreamRange(this, id, id);
        if (!found.MoveNext()) return false;
        StreamNodeBlock* place = Nodes.Find(found.NodeId);
        Listpack node = place->Listpack;
        if (StreamNode.LiveCount(node) == 1)
        {
            RemoveNode(found.NodeId);
        }
        else
        {
            StreamNode.Delete(ref node, found.Entry);
            NodeChanged(place, node);
        }
        Length--;
        if (id > MaxDeletedId) MaxDeletedId = id;
        return true;
    }

    /// <summary>Finds the first entry again after deletions.</summary>
    public void Deleted()
    {
        var first = new StreamRange(this, StreamId.Min, StreamId.Max);
        FirstId = first.MoveNext() ? first.Id : StreamId.Min;
    }

    /// <summary>Whether a group has yet to read an entry with this ID, or to acknowledge it.</summary>
    public bool IsReferenced(StreamId id)
    {
        foreach (StreamGroup group in Groups.Items)
        {
            if (group.LastDeliveredId < id || group.Pending.Find(id) is not null) return true;
        }
        return false;
    }

    /// <summary>Makes an entry pending in no group; false if it was pending in none.</summary>
    public bool RemoveReferences(StreamId id)
    {
        bool removed = false;
        foreach (StreamGroup group in Groups.Items) removed |= group.RemovePending(id);
        return removed;
    }

    /// <summary>Removes entries from the front; returns how many.</summary>
    /// <param name="trim">What to remove.</param>
    /// <param name="last">The last entry removed, unless references are kept: then nobody needs to know.</param>
    public long Trim(in StreamTrim trim, out StreamId last)
    {
        last = default;
        if (trim.Kind == StreamTrimKind.None) return 0;
        long deleted = 0;
        for (var at = Nodes.First; at.IsValid;)
        {
            if (trim.Kind == StreamTrimKind.MaxLength && Length <= trim.MaxLength) break;
            StreamId master = at.Id;
            Listpack node = at.Value->Listpack;
            long live = StreamNode.LiveCount(node);
            if (trim.Limit != 0 && deleted + live > trim.Limit) break;
            bool whole = trim.Kind == StreamTrimKind.MaxLength ? Length - live >= trim.MaxLength : StreamNode.LastId(node, master) < trim.MinId;
            long here = live;
            if (!whole || trim.References != StreamReferences.Keep)
            {
                // Entries that groups may refer to are looked at one by one, even if the trim is approximate.
                if (trim.IsApproximate && trim.References == StreamReferences.Keep) break;
                here = TrimNode(ref node, master, trim, ref last);
            }
            else
            {
                Length -= live;
            }
            deleted += here;
            NodeChanged(at.Value, node);
            if (whole && here == live) RemoveNode(master);
            if (!whole || !master.TryNext(out StreamId next)) break;
            at = Nodes.Seek(next);
        }
        if (deleted != 0) Deleted();
        return deleted;
    }

    private long TrimNode(ref Listpack node, StreamId master, in StreamTrim trim, ref StreamId last)
    {
        long deleted = 0, masterFields = node[StreamNode.FieldCountPosition(node)].Integer;
        for (int at = StreamNode.FirstEntry(node); at >= 0;)
        {
            StreamEntry entry = StreamNode.Read(node, master, masterFields, at);
            if (trim.Kind == StreamTrimKind.MaxLength ? Length <= trim.MaxLength : entry.Id >= trim.MinId) break;
            if (!entry.IsDeleted && !(trim.References == StreamReferences.Acked && IsReferenced(entry.Id)))
            {
                if (trim.References == StreamReferences.Delete) RemoveReferences(entry.Id);
                StreamNode.Mark(ref node, entry);
                // Flags that others wrote may have become shorter, and then everything behind them has moved.
                entry = StreamNode.Read(node, master, masterFields, at);
                last = entry.Id;
                deleted++;
                Length--;
            }
            at = StreamNode.Skip(node, entry);
        }
        if (deleted != 0) StreamNode.CountDeleted(ref node, deleted);
        return deleted;
    }

    /// <summary>Whether an entry between here and the end may have been deleted.</summary>
    public bool MayHaveGapsFrom(StreamId start) => Length != 0 && MaxDeletedId != StreamId.Min && start <= MaxDeletedId;

    /// <summary>
    /// How many entries had been added by the time this one was, including itself;
    /// <see cref="StreamGroup.UnknownEntriesRead"/> if deletions, or an ID that never existed, make that unknowable.
    /// </summary>
    public long EntriesUpTo(StreamId id)
    {
        if (EntriesAdded == 0) return 0;
        if (Length == 0 && id <= LastId) return (long)EntriesAdded;
        if (id != StreamId.Min && id < MaxDeletedId) return StreamGroup.UnknownEntriesRead;
        if (id == LastId) return (long)EntriesAdded;
        if (id > LastId) return StreamGroup.UnknownEntriesRead;
        if (MaxDeletedId == StreamId.Min || MaxDeletedId < FirstId)
        {
            if (id < FirstId) return (long)EntriesAdded - Length;
            if (id == FirstId) return (long)EntriesAdded - Length + 1;
        }
        return StreamGroup.UnknownEntriesRead;
    }

    /// <summary>How many entries are still to be delivered to the group; false if that is unknown.</summary>
    public bool TryLag(StreamGroup group, out long lag)
    {
        lag = 0;
        if (EntriesAdded == 0 || Length == 0) return true;
        if (group.LastDeliveredId < FirstId && MaxDeletedId < FirstId)
        {
            lag = Length;
            return true;
        }
        if (group.EntriesRead != StreamGroup.UnknownEntriesRead && !MayHaveGapsFrom(group.LastDeliveredId))
        {
            lag = (long)EntriesAdded - group.EntriesRead;
            return true;
        }
        long read = EntriesUpTo(group.LastDeliveredId);
        lag = (long)EntriesAdded - read;
        return read != StreamGroup.UnknownEntriesRead;
    }

    public override object? Defragment(BlockMover mover, object? from)
    {
        Cursor cursor = from as Cursor ?? new(0, StreamId.Min);
        int parts = 0;
        if (!TryFinish(Nodes, parts++)) return cursor;
        foreach (StreamGroup group in Groups.Items)
        {
            if (!TryFinish(group.Pending, parts++)) return cursor;
            foreach (StreamConsumer consumer in group.Consumers.Items)
            {
                if (!TryFinish(consumer.Pending, parts++)) return cursor;
            }
        }
        return null;

        bool TryFinish<T>(StreamIdMap<T> map, int part) where T : unmanaged
        {
            if (part < cursor.Part) return true;
            StreamId id = part == cursor.Part ? cursor.Id : StreamId.Min;
            if (map.Defragment(mover, ref id)) return true;
            cursor = new(part, id);
            return false;
        }
    }

    /// <inheritdoc/>
    protected override void FreeElements()
    {
        for (var at = Nodes.First; at.IsValid; at.Next()) Heap.Free(at.Value->Block);
        Nodes.Free();
        foreach (StreamGroup group in Groups.Items) group.Free();
    }

    /// <summary>
    /// Where defragmentation is to continue: in the nodes (part 0), or in what is pending in a group or for a consumer, in
    /// the order in which they are kept. If one is added or removed before it, another may be left out this time.
    /// </summary>
    private sealed record Cursor(int Part, StreamId Id);

    private void AddNode(StreamId master, in Listpack node)
    {
        Nodes.Add(master)->Block = node.Block;
        _bytes.Add(Heap.AllocatedBytes(node.Block));
    }

    private void RemoveNode(StreamId master)
    {
        Nodes.Remove(master, out StreamNodeBlock removed);
        _bytes.Add(-Heap.AllocatedBytes(removed.Block));
        Retirement.Retire(removed.Block);
    }

    /// <summary>Notes the block that a changed node now lies in. If it has moved, the old one is already retired.</summary>
    private void NodeChanged(StreamNodeBlock* place, in Listpack node)
    {
        if (place->Block == node.Block) return;
        _bytes.Add(Heap.AllocatedBytes(node.Block) - Heap.AllocatedBytes(place->Block));
        place->Block = node.Block;
    }
}
