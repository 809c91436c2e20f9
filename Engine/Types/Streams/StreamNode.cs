namespace OrleansRedis.Engine;

/// <summary>
/// The listpack of one node of a stream, element for element as in Redis (stream.h, t_stream.c), so that RDB files can
/// hold it unchanged.
/// <code>
/// master:  count of live entries, count of deleted ones, number of fields, field…, 0
/// entry:   flags, ms - master ms, sequence - master sequence, (SameFields: value… | number of fields, field, value…),
///          how many elements the entry has so far
/// </code>
/// The node's ID, the master ID, is that of its first entry.
/// </summary>
internal static class StreamNode
{
    private const int Deleted = 1;
    private const int SameFields = 2;

    /// <summary>Creates a node for an entry, which becomes its first.</summary>
    public static Listpack Create(in StreamFields fields, int room)
    {
        Listpack node = Listpack.Create(room);
        node.Append(1L);
        node.Append(0L);
        node.Append(fields.Count);
        for (int i = 0; i < fields.Count; i++) node.Append(fields.Name(i));
        node.Append(0L);
        AppendEntry(ref node, default, default, fields, sameFields: true);
        return node;
    }

    /// <summary>The number of live and deleted entries together.</summary>
    public static long TotalCount(in Listpack node) => LiveCount(node) + node[node.Next(node.First)].Integer;

    public static long LiveCount(in Listpack node) => node[node.First].Integer;

    /// <summary>Adds an entry after all others.</summary>
    public static void Append(ref Listpack node, StreamId master, StreamId id, in StreamFields fields)
    {
        node.Replace(node.First, LiveCount(node) + 1);
        AppendEntry(ref node, master, id, fields, HasFields(node, fields));
    }

    private static bool HasFields(in Listpack node, in StreamFields fields)
    {
        int at = FieldCountPosition(node);
        if (node[at].Integer != fields.Count) return false;
        for (int i = 0; i < fields.Count; i++)
        {
            at = node.Next(at);
            if (!node.Equals(at, fields.Name(i))) return false;
        }
        return true;
    }

    private static void AppendEntry(ref Listpack node, StreamId master, StreamId id, in StreamFields fields, bool sameFields)
    {
        node.Append(sameFields ? SameFields : 0L);
        node.Append((long)(id.Ms - master.Ms));
        node.Append((long)(id.Sequence - master.Sequence));
        if (!sameFields) node.Append(fields.Count);
        for (int i = 0; i < fields.Count; i++)
        {
            if (!sameFields) node.Append(fields.Name(i));
            node.Append(fields.Value(i));
        }
        node.Append(sameFields ? fields.Count + 3L : (fields.Count * 2L) + 4);
    }

    /// <summary>The first entry's position. There always is one, though it may be deleted.</summary>
    public static int FirstEntry(in Listpack node)
    {
        int at = FieldCountPosition(node);
        for (long fields = node[at].Integer; fields >= 0; fields--) at = node.Next(at);
        return node.Next(at);
    }

    public static int FieldCountPosition(in Listpack node) => node.Next(node.Next(node.First));

    /// <summary>
    /// The position of the entry that ends at this position (see <see cref="Listpack.EndPosition"/>), or -1 if it is
    /// the master entry.
    /// </summary>
    public static int EntryBefore(in Listpack node, int position)
    {
        int at = node.Previous(position);
        long elements = node[at].Integer;
        if (elements == 0) return -1;
        for (; elements > 0; elements--) at = node.Previous(at);
        return at;
    }

    /// <summary>Reads the entry at a position.</summary>
    public static StreamEntry Read(in Listpack node, StreamId master, long masterFields, int position)
    {
        long flags = node[position].Integer;
        int at = node.Next(position);
        ulong ms = master.Ms + (ulong)node[at].Integer;
        at = node.Next(at);
        ulong sequence = master.Sequence + (ulong)node[at].Integer;
        at = node.Next(at);
        bool sameFields = (flags & SameFields) != 0;
        long fields = masterFields;
        if (!sameFields)
        {
            fields = node[at].Integer;
            at = node.Next(at);
        }
        return new(new(ms, sequence), position, at, (int)fields, sameFields, (flags & Deleted) != 0);
    }

    /// <summary>The position of the next entry, or -1.</summary>
    public static int Skip(in Listpack node, in StreamEntry entry)
    {
        int at = entry.Content;
        for (int elements = entry.SameFields ? entry.FieldCount : entry.FieldCount * 2; elements > 0; elements--) at = node.Next(at);
        return node.Next(at);
    }

    /// <summary>The ID of the last entry, deleted or not.</summary>
    public static StreamId LastId(in Listpack node, StreamId master) => Read(node, master, 0, EntryBefore(node, node.EndPosition)).Id;

    /// <summary>
    /// Marks an entry as deleted. It must not be the last live one, because then the whole node is removed.
    /// </summary>
    public static void Delete(ref Listpack node, in StreamEntry entry)
    {
        Mark(ref node, entry);
        CountDeleted(ref node, 1);
    }

    /// <summary>
    /// Marks an entry without counting it; see <see cref="CountDeleted"/>. All positions stay the same, since the flags
    /// stay one byte.
    /// </summary>
    public static void Mark(ref Listpack node, in StreamEntry entry) =>
        node.Replace(entry.Position, node[entry.Position].Integer | Deleted);

    public static void CountDeleted(ref Listpack node, long count)
    {
        node.Replace(node.First, LiveCount(node) - count);
        int deleted = node.Next(node.First);
        node.Replace(deleted, node[deleted].Integer + count);
    }

    /// <summary>
    /// Whether a well-formed listpack is a node of a stream: for RESTORE and damaged files. The node's own counts are
    /// not relied on; the entries are counted instead.
    /// </summary>
    public static bool IsValid(in Listpack node, out long liveSeen, out long deletedSeen)
    {
        liveSeen = deletedSeen = 0;
        int at = node.First;
        if (!Take(node, ref at, out _) || !Take(node, ref at, out _) || !Take(node, ref at, out long masterFields)) return false;
        if (masterFields < 0) return false;
        for (long i = 0; i < masterFields; i++)
        {
            if (at < 0) return false;
            at = node.Next(at);
        }
        if (!Take(node, ref at, out long zero) || zero != 0) return false;
        while (at >= 0)
        {
            if (!Take(node, ref at, out long flags) || !Take(node, ref at, out _) || !Take(node, ref at, out _)) return false;
            long fields = masterFields, elements = masterFields, expected = masterFields + 3;
            if ((flags & SameFields) == 0)
            {
                if (!Take(node, ref at, out fields) || fields is < 0 or > int.MaxValue) return false;
                elements = fields * 2;
                expected = elements + 4;
            }
            for (long i = 0; i < elements; i++)
            {
                if (at < 0) return false;
                at = node.Next(at);
            }
            if (!Take(node, ref at, out long noted) || noted != expected) return false;
            if ((flags & Deleted) != 0) deletedSeen++;
            else liveSeen++;
        }
        return true;
    }

    /// <summary>Makes the node's counts be these; false if they were so already.</summary>
    public static bool CorrectCounts(ref Listpack node, long live, long deleted)
    {
        if (LiveCount(node) == live && TotalCount(node) == live + deleted) return false;
        node.Replace(node.First, live);
        node.Replace(node.Next(node.First), deleted);
        node.TrimToSize();
        return true;
    }

    private static bool Take(in Listpack node, ref int at, out long value)
    {
        value = 0;
        if (at < 0) return false;
        ListpackElement element = node[at];
        at = node.Next(at);
        value = element.Integer;
        return element.IsInteger;
    }
}

/// <summary>Where a node lies: in a block of its own, from its start. The block belongs to the stream.</summary>
internal unsafe struct StreamNodeBlock
{
    public byte* Block;

    public readonly Listpack Listpack => new(Block, 0);
}

/// <summary>An entry in a node: where it is, and what is known without reading its values.</summary>
/// <param name="Id">Its ID.</param>
/// <param name="Position">The position of its flags.</param>
/// <param name="Content">The position of its first value, or of its first field if its fields are not the
/// master's.</param>
/// <param name="FieldCount">How many fields it has.</param>
/// <param name="SameFields">Whether its fields are the master's.</param>
/// <param name="IsDeleted">Whether it only marks where an entry was.</param>
internal readonly record struct StreamEntry(StreamId Id, int Position, int Content, int FieldCount, bool SameFields, bool IsDeleted);

/// <summary>The field-value pairs of an entry to be added, as arguments of a request.</summary>
internal readonly ref struct StreamFields(Request request, int first)
{
    private readonly Request _request = request;

    public int Count => (_request.Count - first) / 2;

    public ReadOnlySpan<byte> Name(int index) => _request[first + (index * 2)];

    public ReadOnlySpan<byte> Value(int index) => _request[first + (index * 2) + 1];

    /// <summary>Bytes of all names and values.</summary>
    public long TotalLength
    {
        get
        {
            long length = 0;
            for (int i = first; i < _request.Count; i++) length += _request[i].Length;
            return length;
        }
    }
}
