namespace OrleansRedis.Engine;

/// <summary>
/// Reads a key's value from the RDB format, in any version and encoding, and makes the entry that fits the thresholds
/// now in force.
/// <para>
/// A packed encoding that already fits is taken over as it is, once a walk over it has shown that none of its lengths
/// leads outside it. It is trusted to be what Redis would have written (no field twice, members in order), unless
/// sanitize-dump-payload asks for that to be checked too. Inconsistent data throws <see cref="RdbFormatException"/>,
/// with Redis's words.
/// </para>
/// </summary>
internal readonly ref partial struct RdbObjectReader
{
    private readonly RdbReader _reader;
    private readonly ReadOnlySpan<byte> _key;
    private readonly long _expiresAtMs;
    private readonly ServerOptions _options;
    private readonly bool _checksDoubles;

    private RdbObjectReader(RdbReader reader, ReadOnlySpan<byte> key, long expiresAtMs, ServerOptions options, bool checksDoubles)
    {
        _reader = reader;
        _key = key;
        _expiresAtMs = expiresAtMs;
        _options = options;
        _checksDoubles = checksDoubles;
    }

    /// <summary>
    /// Reads a value of this type as the entry of a key. Null if it is an empty collection, which no key can hold.
    /// </summary>
    /// <param name="reader">Where to read the value's bytes.</param>
    /// <param name="type">The type of the value.</param>
    /// <param name="key">The key. It must not lie in the reader's own buffer.</param>
    /// <param name="expiresAtMs">When the key expires.</param>
    /// <param name="options">The thresholds.</param>
    /// <param name="checksDoubles">
    /// Whether packed collections are searched for duplicates, and the order of their elements is checked.
    /// </param>
    public static object? Read(RdbReader reader, RdbType type, ReadOnlySpan<byte> key, long expiresAtMs, ServerOptions options, bool checksDoubles)
    {
        if (type == RdbType.String) return reader.StringEntry(key, expiresAtMs);
        object? entry = new RdbObjectReader(reader, key, expiresAtMs, options, checksDoubles).Read(type);
        return entry is null || KeyEntry.ExpiresAtMs(entry) == expiresAtMs ? entry : KeyEntry.WithExpiry(entry, expiresAtMs);
    }

    /// <summary>
    /// The same reader, but checking for duplicates. Redis always checks the oldest encodings, because it converts them
    /// element by element.
    /// </summary>
    private RdbObjectReader CheckingDoubles => new(_reader, _key, _expiresAtMs, _options, checksDoubles: true);

    private object? Read(RdbType type)
    {
        switch (type)
        {
            case RdbType.List or RdbType.ListZiplist or RdbType.ListQuicklist or RdbType.ListQuicklist2:
                return ReadList(type);
            case RdbType.Set:
                return ReadSet();
            case RdbType.SetIntset:
                return ReadIntset(_reader.StringSpan());
            case RdbType.SetListpack:
                return ReadSetListpack(_reader.StringSpan());
            case RdbType.ZSet or RdbType.ZSet2:
                return ReadScores(type);
            case RdbType.ZSetZiplist:
                return CheckingDoubles.ReadScoreListpack(RdbLegacy.FromZiplist(_reader.StringSpan(), "Zset ziplist").Bytes, "Zset ziplist");
            case RdbType.ZSetListpack:
                return ReadScoreListpack(_reader.StringSpan(), "Zset listpack");
            case RdbType.Hash:
                return ReadFields();
            case RdbType.HashMetadata or RdbType.HashMetadataPreGa:
                return ReadExpiringFields(type);
            case RdbType.HashZipmap:
                return ReadZipmap();
            case RdbType.HashZiplist:
                return CheckingDoubles.ReadFieldListpack(RdbLegacy.FromZiplist(_reader.StringSpan(), "Hash ziplist").Bytes, "Hash ziplist");
            case RdbType.HashListpack:
                return ReadFieldListpack(_reader.StringSpan(), "Hash listpack");
            case RdbType.HashListpackExPreGa:
                return ReadExpiringFieldListpack(_reader.StringSpan());
            case RdbType.HashListpackEx:
                _ = _reader.Milliseconds(); // the earliest expiry, which the fields contain too
                return ReadExpiringFieldListpack(_reader.StringSpan());
            case RdbType.StreamListpacks or RdbType.StreamListpacks2 or RdbType.StreamListpacks3:
                return RdbStreams.Read(_reader, type, _key, checksCounts: _checksDoubles);
            case RdbType.ModulePreGa:
                throw new RdbFormatException("Pre-release module format not supported");
            case RdbType.Module2:
                throw new RdbFormatException(
                    $"The RDB file contains module data I can't load: no matching module type '{RdbModules.NameOf(_reader.Length())}'");
            default:
                throw new RdbFormatException($"Unknown RDB encoding type {(int)type}");
        }
    }

    private object? ReadList(RdbType type)
    {
        long left = type == RdbType.ListZiplist ? 1 : _reader.Count();
        if (left == 0) return null;
        var list = new Quicklist(_options.ListMaxListpackSize, _options.ListCompressDepth);
        for (bool isOnly = left == 1; left > 0; left--)
        {
            switch (type)
            {
                case RdbType.List:
                    list.PushTail(_reader.StringSpan());
                    break;
                case RdbType.ListZiplist:
                    Append(list, RdbLegacy.FromZiplist(_reader.StringSpan(), "List ziplist"));
                    break;
                case RdbType.ListQuicklist:
                    Append(list, RdbLegacy.FromZiplist(_reader.StringSpan(), "Ziplist"));
                    break;
                default:
                    if (ReadNode(list, isOnly) is { } whole) return whole;
                    break;
            }
        }
        return list.Count == 0 ? null : ListEntry.Compact(_options, new ListValue(_key.ToArray(), list));
    }

    /// <summary>
    /// Reads a node into the list. If it is the only node, and small, it becomes a blob, which is returned.
    /// </summary>
    private byte[]? ReadNode(Quicklist list, bool isOnly)
    {
        switch (_reader.Length())
        {
            case RdbObjectWriter.PlainNode:
                byte[] element = _reader.String();
                if (element.Length == 0) throw new RdbFormatException("Quicklist integrity check failed.");
                list.AppendPlain(element);
                return null;
            case RdbObjectWriter.PackedNode:
                ReadOnlySpan<byte> bytes = _reader.StringSpan();
                if (!ListpackCheck.IsValid(bytes, out int count, out bool isCanonical)) throw new RdbFormatException("Listpack integrity check failed.");
                if (isOnly && isCanonical && count > 0 && ListLimits.Fits(_options.ListMaxListpackSize, bytes.Length, count))
                    return Blob.Create(BlobKind.ListListpack, _key, bytes, _expiresAtMs);
                var node = new Listpack(bytes.ToArray(), 0);
                if (!isCanonical)
                {
                    Listpack rewritten = Listpack.Create(node.Length);
                    Rewrite(node, ref rewritten);
                    node = rewritten;
                }
                Append(list, node);
                return null;
            default:
                throw new RdbFormatException("Quicklist integrity check failed.");
        }
    }

    private static void Append(Quicklist list, in Listpack node) => list.AppendListpack(node.Array, 0, node.Length, node.Count);

    /// <summary>Makes a blob of a listpack's elements, each written in our own encoding.</summary>
    private byte[] Rewritten(BlobKind kind, in Listpack from)
    {
        byte[] blob = Blob.Create(kind, _key, from.Length, _expiresAtMs, out _);
        Listpack listpack = Listpack.In(blob);
        listpack.Clear();
        Rewrite(from, ref listpack);
        return listpack.Array;
    }

    private static void Rewrite(in Listpack from, ref Listpack to)
    {
        Span<byte> scratch = stackalloc byte[ListpackElement.ScratchLength];
        for (int at = from.First; at >= 0; at = from.Next(at)) to.Append(from[at].AsSpan(scratch));
        to.TrimToSize();
    }

    private object? ReadSet()
    {
        long count = _reader.Count();
        if (count == 0) return null;
        ReadOnlySpan<byte> first = _reader.StringSpan();
        // Added member by member, so that a small set keeps its order and gets the encoding it would have had.
        object set = SetEntry.Create(_key, first, _reader.Plausible(count, 1), 0, _options);
        set = SetEntry.Add(set, first, _options, out _);
        for (long left = count - 1; left > 0; left--)
        {
            set = SetEntry.Add(set, _reader.StringSpan(), _options, out bool added);
            if (!added) throw new RdbFormatException("Duplicate set members detected");
        }
        return SetEntry.Trim(set);
    }

    private object? ReadIntset(ReadOnlySpan<byte> bytes)
    {
        if (!Intset.IsValid(bytes)) throw new RdbFormatException("Intset integrity check failed.");
        byte[] blob = Blob.Create(BlobKind.SetIntset, _key, bytes, _expiresAtMs);
        int count = Intset.In(blob).Count;
        return count == 0 ? null : count > _options.SetMaxIntsetEntries ? SetEntry.ToTable(blob, count) : blob;
    }

    private object? ReadSetListpack(ReadOnlySpan<byte> bytes)
    {
        const string Failure = "Set listpack integrity check failed.";
        if (!ListpackCheck.IsValid(bytes, out int count, out bool isCanonical)) throw new RdbFormatException(Failure);
        if (count == 0) return null;
        byte[] blob = Blob.Create(BlobKind.SetListpack, _key, bytes, _expiresAtMs);
        CheckDoubles(Listpack.In(blob), 1, Failure);
        if (count <= _options.SetMaxListpackEntries) return isCanonical ? blob : Rewritten(BlobKind.SetListpack, Listpack.In(blob));
        SetValue table = SetEntry.ToTable(blob, count);
        return table.Count == count ? table : throw new RdbFormatException(Failure);
    }

    /// <summary>
    /// If duplicates are checked for: every <paramref name="step"/>th element of the listpack must be unique.
    /// </summary>
    private void CheckDoubles(in Listpack listpack, int step, string failure)
    {
        if (!_checksDoubles) return;
        var seen = new ByteTable<ByteMember>();
        int index = 0;
        for (int at = listpack.First; at >= 0; at = listpack.Next(at))
        {
            if (index++ % step != 0) continue;
            byte[] element = listpack[at].ToArray();
            if (seen.Get(element) is not null) throw new RdbFormatException(failure);
            seen.Add(element);
        }
    }
}
