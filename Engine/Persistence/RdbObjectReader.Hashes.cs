namespace OrleansRedis.Engine;

/// <summary>Reads hashes.</summary>
internal readonly ref partial struct RdbObjectReader
{
    /// <summary>Reads a listpack of alternating fields and values.</summary>
    private KeyEntry ReadFieldListpack(ReadOnlySpan<byte> bytes, string what)
    {
        string failure = $"{what} integrity check failed.";
        if (!ListpackCheck.IsValid(bytes, out int count, out bool isCanonical) || (count & 1) != 0) throw new RdbFormatException(failure);
        if (count == 0) return default;
        var blob = Blob.CreatePacked(BlobKind.HashListpack, _key, bytes, _expiresAtMs);
        CheckDoubles(blob, 2, failure);
        if (count / 2 <= _options.HashMaxListpackEntries) return isCanonical ? blob : Rewritten(blob);
        return ToTable(blob, count / 2, "Hash listpack with dup elements");
    }

    private static HashValue ToTable(Blob blob, int count, string failure)
    {
        HashValue table = HashEntry.ToTable(blob, count);
        return table.Count == count ? table : throw Damaged(table, failure);
    }

    private KeyEntry ReadZipmap()
    {
        const string Failure = "Hash zipmap with dup elements, or big length (0)";
        Listpack listpack = RdbLegacy.FromZipmap(_reader.StringSpan());
        ReadOnlySpan<byte> bytes = Converted(listpack);
        bool isShort = true;
        for (int at = listpack.First; at >= 0; at = listpack.Next(at)) isShort &= listpack[at].Length <= _options.HashMaxListpackValue;
        if (CheckingDoubles.HasDoubles(listpack, 2)) throw new RdbFormatException(Failure);
        KeyEntry hash = ReadFieldListpack(bytes, "Zipmap");
        return isShort || !hash.TryBlob(out Blob blob) ? hash : HashEntry.ToTable(blob, 0);
    }

    /// <summary>Reads alternating fields and values.</summary>
    private KeyEntry ReadFields()
    {
        const string Failure = "Duplicate hash fields detected";
        long count = _reader.Count();
        if (count == 0) return default;
        long left = count;
        byte[] room = [];
        bool packed = count <= _options.HashMaxListpackEntries;
        KeyEntry hash = packed ? HashEntry.CreateListpack(_key, 0) : new HashValue(_key.ToArray(), _reader.Plausible(count, 2));
        try
        {
            for (; left > 0; left--)
            {
                ReadOnlySpan<byte> field = _reader.String(ref room), value = _reader.StringSpan();
                if (packed && field.Length <= _options.HashMaxListpackValue && value.Length <= _options.HashMaxListpackValue)
                {
                    Listpack listpack = Listpack.In(hash.Blob);
                    listpack.Append(field);
                    listpack.Append(value);
                    hash = listpack.Blob;
                    continue;
                }
                if (packed)
                {
                    hash = HashEntry.ToTable(hash, (int)(count - left));
                    packed = false;
                    if (HashEntry.Count(hash) != count - left) throw new RdbFormatException(Failure);
                }
                if (!hash.As<HashValue>().Set(field, value, Expiry.Never)) throw new RdbFormatException(Failure);
            }
            if (!packed) return hash;
            if (HasDoubles(Listpack.In(hash.Blob), 2)) throw new RdbFormatException("Hash with dup elements");
            return HashEntry.Trim(hash);
        }
        catch
        {
            hash.Retire();
            throw;
        }
    }

    /// <summary>
    /// Reads a listpack of field, value and expiry in ms (0 for none), sorted by expiry. If it is trusted and yet out
    /// of order, it is sorted.
    /// </summary>
    private KeyEntry ReadExpiringFieldListpack(ReadOnlySpan<byte> bytes)
    {
        const string Failure = "Hash listpack integrity check failed.";
        if (!ListpackCheck.IsValid(bytes, out int count, out bool isCanonical) || count % 3 != 0) throw new RdbFormatException(Failure);
        if (count == 0) return default;
        var blob = Blob.CreatePacked(BlobKind.HashListpackEx, _key, bytes, _expiresAtMs);
        Listpack listpack = Listpack.In(blob);
        CheckDoubles(blob, 3, Failure);
        bool inOrder = true;
        long before = 1;
        for (int at = listpack.First; at >= 0; at = listpack.Next(at))
        {
            at = listpack.Next(listpack.Next(at));
            if (!listpack[at].IsInteger || listpack[at].Integer is < 0 or > HashField.LatestExpiryMs) throw Damaged(blob, Failure);
            long expiresAtMs = listpack[at].Integer == 0 ? Expiry.Never : listpack[at].Integer;
            inOrder &= expiresAtMs >= before;
            before = expiresAtMs;
        }
        if (!inOrder && _checksDoubles) throw Damaged(blob, Failure);
        if (count / 3 > _options.HashMaxListpackEntries) return ToTable(blob, count / 3, Failure);
        if (inOrder && isCanonical && HashEntry.EarliestExpiryMs(blob) != Expiry.Never) return blob;
        KeyEntry hash = HashEntry.CreateListpack(_key, bytes.Length);
        Span<byte> field = stackalloc byte[ListpackElement.ScratchLength], value = stackalloc byte[ListpackElement.ScratchLength];
        foreach (HashItem item in new HashItems(blob))
        {
            hash = HashEntry.Set(hash, item.Field.AsSpan(field), item.Value.AsSpan(value), item.ExpiresAtMs, _options, out bool isNew);
            if (isNew) continue;
            hash.Retire();
            throw Damaged(blob, Failure);
        }
        blob.Retire();
        return HashEntry.Trim(hash);
    }

    /// <summary>Reads expiries, fields and values in turn.</summary>
    private KeyEntry ReadExpiringFields(RdbType type)
    {
        // Expiries are relative to the earliest one, plus one, because 0 means none. Before the release they were
        // absolute.
        long earliest = type == RdbType.HashMetadata ? _reader.Milliseconds() : 1;
        if (earliest is < 0 or > HashField.LatestExpiryMs) throw new RdbFormatException("Hash read invalid minExpire value");
        long count = _reader.Count();
        if (count == 0) return default;
        byte[] room = [];
        KeyEntry hash = count <= _options.HashMaxListpackEntries
            ? HashEntry.CreateListpack(_key, 0)
            : new HashValue(_key.ToArray(), _reader.Plausible(count, 3));
        try
        {
            for (long done = 0; done < count; done++) ReadExpiringField(ref hash, count, earliest, ref room);
            return HashEntry.Trim(hash);
        }
        catch
        {
            hash.Retire();
            throw;
        }
    }

    private void ReadExpiringField(ref KeyEntry hash, long count, long earliest, ref byte[] room)
    {
        ulong expiry = _reader.Length();
        if (expiry > (ulong)(HashField.LatestExpiryMs - earliest + 1)) throw new RdbFormatException($"invalid expireAt time: {expiry}");
        long expiresAtMs = expiry == 0 ? Expiry.Never : earliest + (long)expiry - 1;
        ReadOnlySpan<byte> field = _reader.String(ref room), value = _reader.StringSpan();
        if (hash.IsBlob && (field.Length > _options.HashMaxListpackValue || value.Length > _options.HashMaxListpackValue))
            hash = HashEntry.ToTable(hash, (int)count);
        hash = HashEntry.Set(hash, field, value, expiresAtMs, _options, out bool isNew);
        if (!isNew) throw new RdbFormatException("Duplicate hash fields detected");
    }
}
