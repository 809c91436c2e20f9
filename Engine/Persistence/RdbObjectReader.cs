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
    /// Reads a value of this type as the entry of a key; none if it is an empty collection, which no key can hold.
    /// </summary>
    /// <param name="reader">Where to read the value's bytes.</param>
    /// <param name="type">The type of the value.</param>
    /// <param name="key">The key. It must not lie in the reader's own buffer.</param>
    /// <param name="expiresAtMs">When the key expires.</param>
    /// <param name="options">The thresholds.</param>
    /// <param name="checksDoubles">
    /// Whether packed collections are searched for duplicates, and the order of their elements is checked.
    /// </param>
    public static KeyEntry Read(RdbReader reader, RdbType type, ReadOnlySpan<byte> key, long expiresAtMs, ServerOptions options, bool checksDoubles)
    {
        if (type == RdbType.String) return reader.StringEntry(key, expiresAtMs);
        KeyEntry entry = new RdbObjectReader(reader, key, expiresAtMs, options, checksDoubles).Read(type);
        return entry.IsNone || entry.ExpiresAtMs == expiresAtMs ? entry : entry.WithExpiry(expiresAtMs);
    }

    /// <summary>
    /// The same reader, but checking for duplicates. Redis always checks the oldest encodings, because it converts them
    /// element by element.
    /// </summary>
    private RdbObjectReader CheckingDoubles => new(_reader, _key, _expiresAtMs, _options, checksDoubles: true);

    private KeyEntry Read(RdbType type)
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
                return CheckingDoubles.ReadScoreListpack(Converted(RdbLegacy.FromZiplist(_reader.StringSpan(), "Zset ziplist")), "Zset ziplist");
            case RdbType.ZSetListpack:
                return ReadScoreListpack(_reader.StringSpan(), "Zset listpack");
            case RdbType.Hash:
                return ReadFields();
            case RdbType.HashMetadata or RdbType.HashMetadataPreGa:
                return ReadExpiringFields(type);
            case RdbType.HashZipmap:
                return ReadZipmap();
            case RdbType.HashZiplist:
                return CheckingDoubles.ReadFieldListpack(Converted(RdbLegacy.FromZiplist(_reader.StringSpan(), "Hash ziplist")), "Hash ziplist");
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

    private KeyEntry ReadList(RdbType type)
    {
        long left = type == RdbType.ListZiplist ? 1 : _reader.Count();
        if (left == 0) return default;
        var list = new Quicklist(_options.ListMaxListpackSize, _options.ListCompressDepth);
        try
        {
            for (bool isOnly = left == 1; left > 0; left--)
            {
                switch (type)
                {
                    case RdbType.List:
                        list.PushTail(_reader.StringSpan());
                        break;
                    case RdbType.ListZiplist:
                        list.AppendListpack(RdbLegacy.FromZiplist(_reader.StringSpan(), "List ziplist"));
                        break;
                    case RdbType.ListQuicklist:
                        list.AppendListpack(RdbLegacy.FromZiplist(_reader.StringSpan(), "Ziplist"));
                        break;
                    default:
                        KeyEntry whole = ReadNode(list, isOnly);
                        if (!whole.IsNone) return whole;
                        break;
                }
            }
        }
        catch
        {
            list.Free();
            throw;
        }
        return list.Count == 0 ? default : ListEntry.Compact(_options, new ListValue(_key.ToArray(), list));
    }

    /// <summary>
    /// Reads a node into the list. If it is the only node, and small, it becomes a blob instead, which is returned.
    /// </summary>
    private unsafe KeyEntry ReadNode(Quicklist list, bool isOnly)
    {
        switch (_reader.Length())
        {
            case RdbObjectWriter.PlainNode:
                ReadOnlySpan<byte> element = _reader.StringSpan();
                if (element.Length == 0) throw new RdbFormatException("Quicklist integrity check failed.");
                list.AppendPlain(element);
                return default;
            case RdbObjectWriter.PackedNode:
                ReadOnlySpan<byte> bytes = _reader.StringSpan();
                if (!ListpackCheck.IsValid(bytes, out int count, out bool isCanonical)) throw new RdbFormatException("Listpack integrity check failed.");
                if (isOnly && isCanonical && count > 0 && ListLimits.Fits(_options.ListMaxListpackSize, bytes.Length, count))
                    return Blob.CreatePacked(BlobKind.ListListpack, _key, bytes, _expiresAtMs);
                if (isCanonical)
                {
                    list.AppendListpack(bytes, count);
                    return default;
                }
                Listpack rewritten = Listpack.Create(bytes.Length);
                fixed (byte* node = bytes) Rewrite(new(node, 0), ref rewritten);
                list.AppendListpack(rewritten);
                return default;
            default:
                throw new RdbFormatException("Quicklist integrity check failed.");
        }
    }

    /// <summary>The same collection with each element written in our own encoding; the blob is retired.</summary>
    private static Blob Rewritten(Blob from)
    {
        Listpack old = Listpack.In(from), listpack = Listpack.In(from.WithRoom(from.Kind, old.Length));
        listpack.Clear();
        Rewrite(old, ref listpack);
        from.Retire();
        return listpack.Blob;
    }

    /// <summary>The bytes of a listpack that was made for reading alone, and is retired.</summary>
    private static unsafe ReadOnlySpan<byte> Converted(in Listpack made)
    {
        Retirement.Retire(made.Block);
        return made.Bytes;
    }

    /// <summary>The data are damaged: what was made of them so far is retired.</summary>
    private static RdbFormatException Damaged(KeyEntry made, string failure)
    {
        made.Retire();
        return new(failure);
    }

    private static void Rewrite(in Listpack from, ref Listpack to)
    {
        Span<byte> scratch = stackalloc byte[ListpackElement.ScratchLength];
        for (int at = from.First; at >= 0; at = from.Next(at)) to.Append(from[at].AsSpan(scratch));
        to.TrimToSize();
    }

    private KeyEntry ReadSet()
    {
        long count = _reader.Count();
        if (count == 0) return default;
        ReadOnlySpan<byte> first = _reader.StringSpan();
        // Added member by member, so that a small set keeps its order and gets the encoding it would have had.
        KeyEntry set = SetEntry.Create(_key, first, _reader.Plausible(count, 1), 0, _options);
        try
        {
            set = SetEntry.Add(set, first, _options, out _);
            for (long left = count - 1; left > 0; left--)
            {
                set = SetEntry.Add(set, _reader.StringSpan(), _options, out bool added);
                if (!added) throw new RdbFormatException("Duplicate set members detected");
            }
            return SetEntry.Trim(set);
        }
        catch
        {
            set.Retire();
            throw;
        }
    }

    private KeyEntry ReadIntset(ReadOnlySpan<byte> bytes)
    {
        if (!Intset.IsValid(bytes)) throw new RdbFormatException("Intset integrity check failed.");
        var blob = Blob.CreatePacked(BlobKind.SetIntset, _key, bytes, _expiresAtMs);
        int count = Intset.In(blob).Count;
        return count > _options.SetMaxIntsetEntries ? SetEntry.ToTable(blob, count) : blob;
    }

    private KeyEntry ReadSetListpack(ReadOnlySpan<byte> bytes)
    {
        const string Failure = "Set listpack integrity check failed.";
        if (!ListpackCheck.IsValid(bytes, out int count, out bool isCanonical)) throw new RdbFormatException(Failure);
        if (count == 0) return default;
        var blob = Blob.CreatePacked(BlobKind.SetListpack, _key, bytes, _expiresAtMs);
        CheckDoubles(blob, 1, Failure);
        if (count <= _options.SetMaxListpackEntries) return isCanonical ? blob : Rewritten(blob);
        SetValue table = SetEntry.ToTable(blob, count);
        return table.Count == count ? table : throw Damaged(table, Failure);
    }

    /// <summary>
    /// If duplicates are checked for: every <paramref name="step"/>th element of the listpack must be unique. If one is
    /// not, the blob is retired.
    /// </summary>
    private void CheckDoubles(Blob blob, int step, string failure)
    {
        if (HasDoubles(Listpack.In(blob), step)) throw Damaged(blob, failure);
    }

    private bool HasDoubles(in Listpack listpack, int step)
    {
        if (!_checksDoubles) return false;
        var seen = new ByteTable<StoredMember>();
        bool found = false;
        Span<byte> scratch = stackalloc byte[ListpackElement.ScratchLength];
        int index = 0;
        for (int at = listpack.First; at >= 0; at = listpack.Next(at))
        {
            if (index++ % step != 0) continue;
            ReadOnlySpan<byte> element = listpack[at].AsSpan(scratch);
            found = !seen.Get(element).IsNone;
            if (found) break;
            seen.Add(StoredMember.Create(element));
        }
        seen.Free();
        return found;
    }
}
