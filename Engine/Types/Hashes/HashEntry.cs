namespace OrleansRedis.Engine;

/// <summary>
/// Hashes in their representations: a listpack in a blob (of field, value… or, once a field expires, of field, value,
/// expiry…), or a <see cref="HashValue"/>. Methods that change a hash take the entry and return the one to put in its
/// place (the same, a grown blob, another representation), with the same key, expiry and access clock. If it is another
/// one, the old one is retired.
/// </summary>
internal static class HashEntry
{
    /// <summary>For <see cref="Set"/>: the field keeps its present expiry.</summary>
    public const long KeepExpiry = -1;

    /// <summary>How many elements of the listpack one field takes.</summary>
    public static int Step(Blob blob) => blob.Kind == BlobKind.HashListpackEx ? 3 : 2;

    public static int Count(KeyEntry hash) => hash.TryBlob(out Blob blob) ? Listpack.In(blob).Count / Step(blob) : hash.As<HashValue>().Count;

    /// <summary>Looks a field up.</summary>
    public static bool TryGet(KeyEntry hash, ReadOnlySpan<byte> field, out HashItem item)
    {
        item = default;
        if (!hash.TryBlob(out Blob blob))
        {
            HashField found = hash.As<HashValue>().Find(field);
            if (found.IsNone) return false;
            item = HashItem.Of(found);
            return true;
        }
        Listpack listpack = Listpack.In(blob);
        int step = Step(blob), position = listpack.Find(listpack.First, field, step - 1);
        if (position < 0) return false;
        item = HashItem.At(listpack, position, step == 3);
        return true;
    }

    public static bool Contains(KeyEntry hash, ReadOnlySpan<byte> field)
    {
        if (!hash.TryBlob(out Blob blob)) return !hash.As<HashValue>().Find(field).IsNone;
        Listpack listpack = Listpack.In(blob);
        return listpack.Find(listpack.First, field, Step(blob) - 1) >= 0;
    }

    /// <summary>When the first of its fields expires, or <see cref="Expiry.Never"/>.</summary>
    public static long EarliestExpiryMs(KeyEntry hash) =>
        hash.TryBlob(out Blob blob) ? KeyEntry.EarliestFieldExpiryMs(blob) : hash.As<HashValue>().InnerExpiresAtMs;

    /// <summary>
    /// Creates an empty hash with exactly enough room for fields that take this many bytes as elements of a listpack
    /// (see <see cref="Listpack.SizeOf(ReadOnlySpan{byte})"/>).
    /// </summary>
    public static Blob CreateListpack(ReadOnlySpan<byte> key, int elementBytes)
    {
        var blob = Blob.Create(BlobKind.HashListpack, key, Listpack.EmptyLength + elementBytes, Expiry.Never);
        Listpack.In(blob).Clear();
        return blob;
    }

    /// <summary>
    /// Sets a field's value and expiry (or <see cref="KeepExpiry"/>). The caller makes sure that the value is short
    /// enough for a listpack.
    /// </summary>
    public static KeyEntry Set(KeyEntry hash, ReadOnlySpan<byte> field, ReadOnlySpan<byte> value, long expiresAtMs, ServerOptions options, out bool isNew)
    {
        if (!hash.TryBlob(out Blob blob))
        {
            var table = hash.As<HashValue>();
            if (expiresAtMs == KeepExpiry) expiresAtMs = table.Find(field) is { IsNone: false } found ? found.ExpiresAtMs : Expiry.Never;
            isNew = table.Set(field, value, expiresAtMs);
            return hash;
        }
        if (expiresAtMs is not (KeepExpiry or Expiry.Never)) blob = WithExpiries(blob);
        Listpack listpack = Listpack.In(blob);
        int step = Step(blob), position = listpack.Find(listpack.First, field, step - 1);
        isNew = position < 0;
        if (isNew)
        {
            listpack = Insert(listpack, step, field, value, expiresAtMs == KeepExpiry ? Expiry.Never : expiresAtMs);
            return listpack.Count / step > options.HashMaxListpackEntries ? ToTable(listpack.Blob, 0) : listpack.Blob;
        }
        long before = HashItem.At(listpack, position, step == 3).ExpiresAtMs;
        if (expiresAtMs == KeepExpiry || expiresAtMs == before)
        {
            listpack.Replace(listpack.Next(position), value);
            return listpack.Blob;
        }
        listpack.Delete(position, step);
        return Insert(listpack, step, field, value, expiresAtMs).Blob;
    }

    /// <summary>Changes the expiry of a field that exists.</summary>
    public static KeyEntry SetExpiry(KeyEntry hash, ReadOnlySpan<byte> field, long expiresAtMs, ServerOptions options)
    {
        if (!TryGet(hash, field, out HashItem item) || item.ExpiresAtMs == expiresAtMs) return hash;
        byte[] value = item.Value.ToArray(); // a copy, since it moves within the listpack
        return Set(hash, field, value, expiresAtMs, options, out _);
    }

    /// <summary>Removes a field. The hash may be empty afterwards.</summary>
    public static KeyEntry Remove(KeyEntry hash, ReadOnlySpan<byte> field, out bool removed)
    {
        if (!hash.TryBlob(out Blob blob))
        {
            removed = hash.As<HashValue>().Remove(field);
            return hash;
        }
        Listpack listpack = Listpack.In(blob);
        int step = Step(blob), position = listpack.Find(listpack.First, field, step - 1);
        removed = position >= 0;
        if (removed) listpack.Delete(position, step);
        return listpack.Blob;
    }

    /// <summary>Releases the spare room of a blob.</summary>
    public static KeyEntry Trim(KeyEntry hash)
    {
        if (!hash.TryBlob(out Blob blob)) return hash;
        Listpack listpack = Listpack.In(blob);
        listpack.TrimToSize();
        return listpack.Blob;
    }

    /// <summary>A table for the same key, with the same fields and room for more; a blob is retired.</summary>
    public static HashValue ToTable(KeyEntry hash, int expectedCount)
    {
        if (!hash.TryBlob(out Blob blob)) return hash.As<HashValue>();
        var table = new HashValue(blob.Key.ToArray(), Math.Max(expectedCount, Count(blob)))
        {
            ExpiresAtMs = blob.ExpiresAtMs,
            AccessClock = blob.AccessClock,
        };
        Span<byte> field = stackalloc byte[ListpackElement.ScratchLength], value = stackalloc byte[ListpackElement.ScratchLength];
        foreach (HashItem item in new HashItems(blob)) table.Set(item.Field.AsSpan(field), item.Value.AsSpan(value), item.ExpiresAtMs);
        blob.Retire();
        return table;
    }

    /// <summary>A blob that can hold expiry times; one that cannot is retired.</summary>
    private static Blob WithExpiries(Blob blob)
    {
        if (blob.Kind == BlobKind.HashListpackEx) return blob;
        Listpack plain = Listpack.In(blob);
        int bytes = plain.Length + (plain.Count / 2 * Listpack.SizeOf(0));
        Listpack with = Listpack.In(blob.WithRoom(BlobKind.HashListpackEx, bytes));
        with.Clear();
        Span<byte> scratch = stackalloc byte[ListpackElement.ScratchLength];
        int read = 0;
        for (int position = plain.First; position >= 0; position = plain.Next(position))
        {
            with.Append(plain[position].AsSpan(scratch));
            if ((++read & 1) == 0) with.Append(0);
        }
        blob.Retire();
        return with.Blob;
    }

    private static Listpack Insert(Listpack listpack, int step, ReadOnlySpan<byte> field, ReadOnlySpan<byte> value, long expiresAtMs)
    {
        if (step == 2)
        {
            listpack.Append(field);
            listpack.Append(value);
            return listpack;
        }
        // Ordered by expiry; fields without an expiry come last.
        int position = listpack.EndPosition;
        if (expiresAtMs != Expiry.Never)
        {
            for (int at = listpack.First; at >= 0;)
            {
                int time = listpack.Next(listpack.Next(at));
                if (listpack[time].Integer == 0 || listpack[time].Integer > expiresAtMs)
                {
                    position = at;
                    break;
                }
                at = listpack.Next(time);
            }
        }
        listpack.Insert(position, expiresAtMs == Expiry.Never ? 0 : expiresAtMs);
        listpack.Insert(position, value);
        listpack.Insert(position, field);
        return listpack;
    }
}
