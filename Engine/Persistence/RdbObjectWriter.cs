namespace OrleansRedis.Engine;

/// <summary>Writes a key's value in the RDB format. Packed encodings are written as they are in memory.</summary>
internal static class RdbObjectWriter
{
    internal const byte PlainNode = 1;
    internal const byte PackedNode = 2;

    /// <summary>
    /// The type as which an entry is written: the oldest that can hold it, so that Redis 7.0 can read it. Version 7.0
    /// does not know listpacks as sets, so such a set is written member by member.
    /// </summary>
    public static RdbType TypeOf(KeyEntry entry) => entry.TryBlob(out Blob blob)
        ? blob.Kind switch
        {
            BlobKind.String or BlobKind.Integer or BlobKind.RawString => RdbType.String,
            BlobKind.HashListpack => RdbType.HashListpack,
            BlobKind.HashListpackEx => HashEntry.EarliestExpiryMs(blob) == Expiry.Never ? RdbType.Hash : RdbType.HashListpackEx,
            BlobKind.ListListpack => RdbType.ListQuicklist2,
            BlobKind.SetIntset => RdbType.SetIntset,
            BlobKind.SetListpack => RdbType.Set,
            BlobKind.ZSetListpack => RdbType.ZSetListpack,
            _ => throw new InvalidOperationException($"A blob of unknown kind {blob.Kind}."),
        }
        : entry.Value switch
        {
            StringValue => RdbType.String,
            ListValue => RdbType.ListQuicklist2,
            SetValue => RdbType.Set,
            HashValue hash => hash.ExpiringCount == 0 ? RdbType.Hash : RdbType.HashMetadata,
            SortedSetValue => RdbType.ZSet2,
            StreamValue => RdbType.StreamListpacks2,
            Value value => throw new InvalidOperationException($"{value.GetType()} has no form in the RDB format."),
        };

    /// <summary>
    /// Writes an entry's content as the type given by <see cref="TypeOf"/>. The type itself is written elsewhere.
    /// </summary>
    public static void Write(RdbWriter writer, KeyEntry entry)
    {
        if (entry.TryBlob(out Blob blob))
        {
            WriteBlob(writer, blob);
            return;
        }
        switch (entry.Value)
        {
            case StringValue text:
                writer.String(text.Span);
                break;
            case ListValue list:
                WriteList(writer, list.Elements);
                break;
            case SetValue set:
                writer.Length(set.Count);
                foreach (StoredMember member in set.Members) writer.String(member.Key);
                break;
            case HashValue hash:
                WriteHash(writer, hash);
                break;
            case SortedSetValue sortedSet:
                WriteSortedSet(writer, sortedSet);
                break;
            case StreamValue stream:
                RdbStreams.Write(writer, stream);
                break;
            case Value value:
                throw new InvalidOperationException($"{value.GetType()} has no form in the RDB format.");
        }
    }

    private static void WriteBlob(RdbWriter writer, Blob blob)
    {
        switch (blob.Kind)
        {
            case BlobKind.Integer:
                writer.String(blob.Integer);
                break;
            case BlobKind.String or BlobKind.RawString:
                writer.String(blob.Text);
                break;
            case BlobKind.HashListpack or BlobKind.ZSetListpack:
                writer.String(Listpack.In(blob).Bytes);
                break;
            case BlobKind.HashListpackEx:
                WriteExpiringHash(writer, blob);
                break;
            case BlobKind.ListListpack:
                writer.Length(1L);
                writer.Length((long)PackedNode);
                writer.String(Listpack.In(blob).Bytes);
                break;
            case BlobKind.SetIntset:
                writer.String(Intset.In(blob).Bytes);
                break;
            case BlobKind.SetListpack:
                writer.Length(SetEntry.Count(blob));
                Span<byte> scratch = stackalloc byte[SetMember.ScratchLength];
                foreach (SetMember member in new SetMembers(blob)) writer.String(member.AsSpan(scratch));
                break;
        }
    }

    private static void WriteExpiringHash(RdbWriter writer, Blob blob)
    {
        long earliest = HashEntry.EarliestExpiryMs(blob);
        if (earliest != Expiry.Never)
        {
            writer.Milliseconds(earliest);
            writer.String(Listpack.In(blob).Bytes);
            return;
        }
        writer.Length(HashEntry.Count(blob));
        Span<byte> scratch = stackalloc byte[ListpackElement.ScratchLength];
        foreach (HashItem item in new HashItems(blob))
        {
            writer.String(item.Field.AsSpan(scratch));
            writer.String(item.Value.AsSpan(scratch));
        }
    }

    private static void WriteHash(RdbWriter writer, HashValue hash)
    {
        bool expires = hash.ExpiringCount != 0;
        long earliest = expires ? hash.InnerExpiresAtMs : 0;
        if (expires) writer.Milliseconds(earliest);
        writer.Length(hash.Count);
        foreach (HashField field in hash.Fields)
        {
            if (expires)
            {
                // Relative to the earliest expiry, plus one, because zero means never.
                long expiresAtMs = field.ExpiresAtMs;
                writer.Length(expiresAtMs == Expiry.Never ? 0 : expiresAtMs - earliest + 1);
            }
            writer.String(field.Key);
            writer.String(field.Value);
        }
    }

    private static unsafe void WriteList(RdbWriter writer, Quicklist list)
    {
        writer.Length(list.NodeCount);
        var reader = new QuicklistReader();
        for (QuicklistNode* node = list.Head; node != null; node = node->Next)
        {
            writer.Length((long)(node->IsPlain ? PlainNode : PackedNode));
            writer.String(reader.Content(node));
        }
    }

    /// <summary>Writes members from last to first, so that a reader always inserts at the front.</summary>
    private static void WriteSortedSet(RdbWriter writer, SortedSetValue set)
    {
        writer.Length(set.Count);
        ScoreTree.Position at = set.Order.At(set.Count - 1);
        for (int left = set.Count; left > 0; left--)
        {
            writer.String(at.Member);
            writer.Double(at.Score);
            if (left > 1) at.Previous();
        }
    }
}
