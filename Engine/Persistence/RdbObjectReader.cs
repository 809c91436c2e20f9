namespace OrleansRedis.Engine;

/// <summary>
/// Reads what a key holds from the RDB format, whatever version and encoding it is in, and makes the entry that suits the thresholds
/// of today. Nothing in the bytes is believed unseen: what does not fit together throws <see cref="RdbFormatException"/>.
/// </summary>
internal static class RdbObjectReader
{
    /// <summary>Reads a value of this type as an entry for a key, without expiry.</summary>
    public static object Read(RdbReader reader, RdbType type, ReadOnlySpan<byte> key, ServerOptions options)
    {
        switch (type)
        {
            case RdbType.String:
                return StringEntry.Create(key, reader.String(), Expiry.Never);
            case RdbType.List or RdbType.ListZiplist or RdbType.ListQuicklist or RdbType.ListQuicklist2:
                return ReadList(reader, type, key, options);
            case RdbType.Set:
                return ReadSet(reader, key, options);
            case RdbType.SetIntset:
                return ReadIntset(reader.String(), key, options);
            case RdbType.SetListpack:
                return ReadSetListpack(reader.String(), key, options);
            case RdbType.ZSet or RdbType.ZSet2:
                var members = new ScoredMembers();
                for (long left = reader.Count(); left > 0; left--)
                {
                    byte[] member = reader.String();
                    members.Add(type == RdbType.ZSet2 ? reader.Double() : reader.TextDouble(), member);
                }
                return members.ToEntry(key, options);
            case RdbType.ZSetZiplist:
                return ReadScores(RdbLegacy.FromZiplist(reader.String()), key, options);
            case RdbType.ZSetListpack:
                return ReadScores(Packed(reader.String()), key, options);
            case RdbType.Hash:
                var fields = new LoadedFields();
                for (long left = reader.Count(); left > 0; left--) fields.Add(reader.String(), reader.String(), Expiry.Never);
                return fields.ToEntry(key, options);
            case RdbType.HashMetadata or RdbType.HashMetadataPreGa:
                return ReadHashMetadata(reader, type, key, options);
            case RdbType.HashZipmap:
                return ReadFields(RdbLegacy.FromZipmap(reader.String()), key, options, step: 2);
            case RdbType.HashZiplist:
                return ReadFields(RdbLegacy.FromZiplist(reader.String()), key, options, step: 2);
            case RdbType.HashListpack:
                return ReadFields(Packed(reader.String()), key, options, step: 2);
            case RdbType.HashListpackExPreGa:
                return ReadFields(Packed(reader.String()), key, options, step: 3);
            case RdbType.HashListpackEx:
                _ = reader.Milliseconds(); // the earliest expiry, which the fields tell
                return ReadFields(Packed(reader.String()), key, options, step: 3);
            case RdbType.StreamListpacks or RdbType.StreamListpacks2 or RdbType.StreamListpacks3:
                return RdbStreams.Read(reader, type, key);
            case RdbType.ModulePreGa or RdbType.Module2:
                throw new RdbFormatException("A module's data.");
            default:
                throw new RdbFormatException($"A value of unknown type {(int)type}.");
        }
    }

    private static Listpack Packed(byte[] bytes) =>
        Listpack.IsValid(bytes, out _) ? new(bytes, 0) : throw new RdbFormatException("A damaged listpack.");

    private static object ReadList(RdbReader reader, RdbType type, ReadOnlySpan<byte> key, ServerOptions options)
    {
        var list = new Quicklist(options.ListMaxListpackSize, options.ListCompressDepth);
        if (type == RdbType.ListZiplist)
        {
            Append(list, RdbLegacy.FromZiplist(reader.String()));
        }
        else
        {
            for (long left = reader.Count(); left > 0; left--)
            {
                if (type == RdbType.List) list.PushTail(reader.String());
                else if (type == RdbType.ListQuicklist) Append(list, RdbLegacy.FromZiplist(reader.String()));
                else ReadNode(reader, list);
            }
        }
        if (list.Count == 0) throw new RdbFormatException("An empty list.");
        return ListEntry.Compact(options, new ListValue(key.ToArray(), list));
    }

    private static void ReadNode(RdbReader reader, Quicklist list)
    {
        switch (reader.Length())
        {
            case RdbObjectWriter.PlainNode:
                list.AppendPlain(reader.String());
                break;
            case RdbObjectWriter.PackedNode:
                Append(list, Packed(reader.String()));
                break;
            default:
                throw new RdbFormatException("A list's node of an unknown kind.");
        }
    }

    private static void Append(Quicklist list, in Listpack node) => list.AppendListpack(node.Array, 0, node.Length, node.Count);

    private static object ReadSet(RdbReader reader, ReadOnlySpan<byte> key, ServerOptions options)
    {
        long count = reader.Count();
        if (count == 0) throw new RdbFormatException("An empty set.");
        byte[] first = reader.String();
        // Member by member, so that a small set keeps their order and comes into the encoding that it would have had.
        object set = SetEntry.Create(key, first, (int)Math.Min(count, 1 << 16), 0, options);
        set = SetEntry.Add(set, first, options, out _);
        for (long left = count - 1; left > 0; left--)
        {
            set = SetEntry.Add(set, reader.String(), options, out bool added);
            if (!added) throw new RdbFormatException("A set with a member twice.");
        }
        return SetEntry.Trim(set);
    }

    private static object ReadIntset(byte[] bytes, ReadOnlySpan<byte> key, ServerOptions options)
    {
        if (!Intset.IsValid(bytes)) throw new RdbFormatException("A damaged intset.");
        byte[] blob = Blob.Create(BlobKind.SetIntset, key, bytes, Expiry.Never);
        int count = Intset.In(blob).Count;
        if (count == 0) throw new RdbFormatException("An empty set.");
        return count > options.SetMaxIntsetEntries ? SetEntry.ToTable(blob, count) : blob;
    }

    private static object ReadSetListpack(byte[] bytes, ReadOnlySpan<byte> key, ServerOptions options)
    {
        Listpack listpack = Packed(bytes);
        var seen = new ByteTable<ByteMember>(Math.Min(listpack.Count, 1 << 16));
        for (int at = listpack.First; at >= 0; at = listpack.Next(at)) AddDistinct(seen, listpack[at].ToArray());
        if (seen.Count == 0) throw new RdbFormatException("An empty set.");
        byte[] blob = Blob.Create(BlobKind.SetListpack, key, bytes, Expiry.Never);
        return seen.Count > options.SetMaxListpackEntries ? SetEntry.ToTable(blob, seen.Count) : blob;
    }

    private static void AddDistinct(ByteTable<ByteMember> seen, byte[] element)
    {
        if (seen.Get(element) is not null) throw new RdbFormatException("A collection with an element twice.");
        seen.Add(element);
    }

    private static object ReadScores(Listpack listpack, ReadOnlySpan<byte> key, ServerOptions options)
    {
        var members = new ScoredMembers();
        for (int at = listpack.First; at >= 0; at = listpack.Next(at))
        {
            byte[] member = listpack[at].ToArray();
            at = listpack.Next(at);
            if (at < 0) throw new RdbFormatException("A sorted set with a member without a score.");
            ListpackElement score = listpack[at];
            double value = score.Integer;
            if (!score.IsInteger && !Numbers.TryParseDouble(score.Text, out value)) throw new RdbFormatException("A score that is no number.");
            members.Add(value, member);
        }
        return members.ToEntry(key, options);
    }

    private static object ReadFields(Listpack listpack, ReadOnlySpan<byte> key, ServerOptions options, int step)
    {
        var fields = new LoadedFields();
        for (int at = listpack.First; at >= 0; at = listpack.Next(at))
        {
            byte[] field = listpack[at].ToArray();
            at = listpack.Next(at);
            if (at < 0) throw new RdbFormatException("A hash with a field without a value.");
            byte[] value = listpack[at].ToArray();
            long expiresAtMs = 0;
            if (step == 3)
            {
                at = listpack.Next(at);
                if (at < 0 || !listpack[at].IsInteger) throw new RdbFormatException("A hash with a field without an expiry.");
                expiresAtMs = listpack[at].Integer;
            }
            fields.Add(field, value, expiresAtMs == 0 ? Expiry.Never : expiresAtMs);
        }
        return fields.ToEntry(key, options);
    }

    private static object ReadHashMetadata(RdbReader reader, RdbType type, ReadOnlySpan<byte> key, ServerOptions options)
    {
        long earliest = type == RdbType.HashMetadata ? reader.Milliseconds() : 1;
        var fields = new LoadedFields();
        for (long left = reader.Count(); left > 0; left--)
        {
            ulong expiry = reader.Length();
            if (expiry > (ulong)HashExpiry.LatestMs) throw new RdbFormatException("A field's expiry is out of range.");
            long expiresAtMs = expiry == 0 ? Expiry.Never : earliest + (long)expiry - 1;
            fields.Add(reader.String(), reader.String(), expiresAtMs);
        }
        return fields.ToEntry(key, options);
    }

    /// <summary>The members of a sorted set while it is read.</summary>
    private sealed class ScoredMembers
    {
        private readonly ByteTable<ScoredMember> _table = new();
        private readonly List<byte[]> _members = [];

        public void Add(double score, ReadOnlySpan<byte> member)
        {
            if (double.IsNaN(score)) throw new RdbFormatException("A score that is no number.");
            if (_table.Get(member) is not null) throw new RdbFormatException("A sorted set with a member twice.");
            byte[] entry = ScoredMember.Create(score, member);
            _table.Add(entry);
            _members.Add(entry);
        }

        public object ToEntry(ReadOnlySpan<byte> key, ServerOptions options)
        {
            if (_members.Count == 0) throw new RdbFormatException("An empty sorted set.");
            byte[][] members = [.. _members];
            SortedSetEntry.Sort(members);
            return SortedSetEntry.Create(options, key, members);
        }
    }

    /// <summary>The fields of a hash while it is read.</summary>
    private sealed class LoadedFields
    {
        private readonly ByteTable<ByteMember> _seen = new();
        private readonly List<(byte[] Field, byte[] Value, long ExpiresAtMs)> _fields = [];
        private int _longest;
        private int _bytes;
        private bool _anyExpires;

        public void Add(byte[] field, byte[] value, long expiresAtMs)
        {
            _anyExpires |= expiresAtMs != Expiry.Never;
            if (expiresAtMs != Expiry.Never && expiresAtMs is < 0 or (> HashExpiry.LatestMs and < Expiry.Never))
                throw new RdbFormatException("A field's expiry is out of range.");
            AddDistinct(_seen, field);
            _fields.Add((field, value, expiresAtMs));
            _longest = Math.Max(_longest, Math.Max(field.Length, value.Length));
            _bytes = (int)Math.Min(1 << 20, _bytes + (long)Listpack.SizeOf(field) + Listpack.SizeOf(value));
        }

        public object ToEntry(ReadOnlySpan<byte> key, ServerOptions options)
        {
            if (_fields.Count == 0) throw new RdbFormatException("An empty hash.");
            bool isSmall = _fields.Count <= options.HashMaxListpackEntries && _longest <= options.HashMaxListpackValue;
            if (isSmall && !_anyExpires)
            {
                // The fields are known to be distinct, so they need not be looked for.
                Listpack listpack = Listpack.In(HashEntry.CreateListpack(key, _bytes));
                foreach ((byte[] field, byte[] value, _) in _fields)
                {
                    listpack.Append(field);
                    listpack.Append(value);
                }
                listpack.TrimToSize();
                return listpack.Array;
            }
            object hash = isSmall ? HashEntry.CreateListpack(key, _bytes) : new HashValue(key.ToArray(), _fields.Count);
            foreach ((byte[] field, byte[] value, long expiresAtMs) in _fields) hash = HashEntry.Set(hash, field, value, expiresAtMs, options, out _);
            return HashEntry.Trim(hash);
        }
    }
}
