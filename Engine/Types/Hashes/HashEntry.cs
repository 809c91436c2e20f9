using System.Runtime.CompilerServices;

namespace OrleansRedis.Engine;

/// <summary>
/// Hashes in their representations: a listpack in a blob (of field, value… or, once a field expires, of field, value,
/// expiry…), or a <see cref="HashValue"/>. Methods that change a hash take the entry and return the one to put in its
/// place (the same, a grown blob, another representation), with the same key, expiry and access clock.
/// </summary>
internal static class HashEntry
{
    /// <summary>For <see cref="Set"/>: the field keeps its present expiry.</summary>
    public const long KeepExpiry = -1;

    /// <summary>How many elements of the listpack one field takes.</summary>
    public static int Step(byte[] blob) => Blob.KindOf(blob) == BlobKind.HashListpackEx ? 3 : 2;

    public static int Count(object hash) => hash is byte[] blob ? Listpack.In(blob).Count / Step(blob) : Unsafe.As<HashValue>(hash).Count;

    /// <summary>Looks a field up.</summary>
    public static bool TryGet(object hash, ReadOnlySpan<byte> field, out HashItem item)
    {
        item = default;
        if (hash is not byte[] blob)
        {
            if (Unsafe.As<HashValue>(hash).Find(field) is not { } entry) return false;
            item = HashItem.Of(entry);
            return true;
        }
        Listpack listpack = Listpack.In(blob);
        int step = Step(blob), position = listpack.Find(listpack.First, field, step - 1);
        if (position < 0) return false;
        item = HashItem.At(listpack, position, step == 3);
        return true;
    }

    public static bool Contains(object hash, ReadOnlySpan<byte> field)
    {
        if (hash is not byte[] blob) return Unsafe.As<HashValue>(hash).Find(field) is not null;
        Listpack listpack = Listpack.In(blob);
        return listpack.Find(listpack.First, field, Step(blob) - 1) >= 0;
    }

    /// <summary>When the first of its fields expires, or <see cref="Expiry.Never"/>.</summary>
    public static long EarliestExpiryMs(object hash) =>
        hash is byte[] blob ? KeyEntry.EarliestFieldExpiryMs(blob) : Unsafe.As<HashValue>(hash).InnerExpiresAtMs;

    /// <summary>
    /// Creates an empty hash with exactly enough room for fields that take this many bytes as elements of a listpack
    /// (see <see cref="Listpack.SizeOf(ReadOnlySpan{byte})"/>).
    /// </summary>
    public static byte[] CreateListpack(ReadOnlySpan<byte> key, int elementBytes)
    {
        byte[] blob = Blob.Create(BlobKind.HashListpack, key, Listpack.EmptyLength + elementBytes, Expiry.Never, out _);
        Listpack.In(blob).Clear();
        return blob;
    }

    /// <summary>
    /// Sets a field's value and expiry (or <see cref="KeepExpiry"/>). The caller makes sure that the value is short
    /// enough for a listpack.
    /// </summary>
    public static object Set(object hash, ReadOnlySpan<byte> field, ReadOnlySpan<byte> value, long expiresAtMs, ServerOptions options, out bool isNew)
    {
        if (hash is not byte[] blob)
        {
            var table = Unsafe.As<HashValue>(hash);
            if (expiresAtMs == KeepExpiry) expiresAtMs = table.Find(field) is { } entry ? HashField.ExpiresAtMs(entry) : Expiry.Never;
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
            return listpack.Count / step > options.HashMaxListpackEntries ? ToTable(listpack.Array, 0) : listpack.Array;
        }
        long before = HashItem.At(listpack, position, step == 3).ExpiresAtMs;
        if (expiresAtMs == KeepExpiry || expiresAtMs == before)
        {
            listpack.Replace(listpack.Next(position), value);
            return listpack.Array;
        }
        listpack.Delete(position, step);
        return Insert(listpack, step, field, value, expiresAtMs).Array;
    }

    /// <summary>Changes the expiry of a field that exists.</summary>
    public static object SetExpiry(object hash, ReadOnlySpan<byte> field, long expiresAtMs, ServerOptions options)
    {
        if (!TryGet(hash, field, out HashItem item) || item.ExpiresAtMs == expiresAtMs) return hash;
        byte[] value = item.Value.ToArray(); // a copy, since it moves within the listpack
        return Set(hash, field, value, expiresAtMs, options, out _);
    }

    /// <summary>Removes a field. The hash may be empty afterwards.</summary>
    public static object Remove(object hash, ReadOnlySpan<byte> field, out bool removed)
    {
        if (hash is not byte[] blob)
        {
            removed = Unsafe.As<HashValue>(hash).Remove(field);
            return hash;
        }
        Listpack listpack = Listpack.In(blob);
        int step = Step(blob), position = listpack.Find(listpack.First, field, step - 1);
        removed = position >= 0;
        if (removed) listpack.Delete(position, step);
        return listpack.Array;
    }

    /// <summary>Releases the spare room of a blob.</summary>
    public static object Trim(object hash)
    {
        if (hash is not byte[] blob) return hash;
        Listpack listpack = Listpack.In(blob);
        listpack.TrimToSize();
        return listpack.Array;
    }

    /// <summary>A table for the same key, with the same fields and room for more.</summary>
    public static HashValue ToTable(object hash, int expectedCount)
    {
        if (hash is HashValue already) return already;
        byte[] blob = Unsafe.As<byte[]>(hash);
        var table = new HashValue(Blob.KeyOf(blob).ToArray(), Math.Max(expectedCount, Count(blob)))
        {
            ExpiresAtMs = Blob.ExpiresAtMs(blob),
            AccessClock = Blob.AccessClock(blob),
        };
        Span<byte> field = stackalloc byte[ListpackElement.ScratchLength], value = stackalloc byte[ListpackElement.ScratchLength];
        foreach (HashItem item in new HashItems(blob)) table.Set(item.Field.AsSpan(field), item.Value.AsSpan(value), item.ExpiresAtMs);
        return table;
    }

    /// <summary>A blob that can hold expiry times.</summary>
    private static byte[] WithExpiries(byte[] blob)
    {
        if (Blob.KindOf(blob) == BlobKind.HashListpackEx) return blob;
        Listpack plain = Listpack.In(blob);
        int bytes = plain.Length + (plain.Count / 2 * Listpack.SizeOf(0));
        byte[] made = Blob.WithPayload(blob, BlobKind.HashListpackEx, bytes, out _);
        Listpack with = Listpack.In(made);
        with.Clear();
        Span<byte> scratch = stackalloc byte[ListpackElement.ScratchLength];
        int read = 0;
        for (int position = plain.First; position >= 0; position = plain.Next(position))
        {
            with.Append(plain[position].AsSpan(scratch));
            if ((++read & 1) == 0) with.Append(0);
        }
        return with.Array;
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
