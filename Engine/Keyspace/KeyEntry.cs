using System.Runtime.CompilerServices;

namespace OrleansRedis.Engine;

/// <summary>
/// Treats the two kinds of entries in a keyspace's table alike: a blob (byte[]) and a <see cref="Value"/>.
/// </summary>
internal readonly struct KeyEntry : IKeyOf
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ReadOnlySpan<byte> KeyOf(object entry) =>
        entry.GetType() == typeof(byte[]) ? Blob.KeyOf(Unsafe.As<byte[]>(entry)) : Unsafe.As<Value>(entry).Key;

    public static long ExpiresAtMs(object entry) => entry is byte[] blob ? Blob.ExpiresAtMs(blob) : Unsafe.As<Value>(entry).ExpiresAtMs;

    /// <summary>The same entry with another expiry; this may be a new object.</summary>
    public static object WithExpiry(object entry, long expiresAtMs)
    {
        if (entry is byte[] blob) return Blob.WithExpiry(blob, expiresAtMs);
        Unsafe.As<Value>(entry).ExpiresAtMs = expiresAtMs;
        return entry;
    }

    /// <summary>The same entry under another key. A value is changed in place, a blob is copied.</summary>
    public static object WithKey(object entry, ReadOnlySpan<byte> key)
    {
        if (entry is byte[] blob) return Blob.WithKey(blob, key);
        Unsafe.As<Value>(entry).Key = key.ToArray();
        return entry;
    }

    /// <summary>A deep copy under another key, with the same expiry.</summary>
    public static object Clone(object entry, ReadOnlySpan<byte> key) =>
        entry is byte[] blob ? Blob.WithKey(blob, key) : Unsafe.As<Value>(entry).Clone(key.ToArray());

    public static ValueType TypeOf(object entry) => entry is byte[] blob ? TypeOf(Blob.KindOf(blob)) : Unsafe.As<Value>(entry).Type;

    public static ValueType TypeOf(BlobKind kind) => kind switch
    {
        BlobKind.String or BlobKind.Integer or BlobKind.RawString => ValueType.String,
        BlobKind.HashListpack or BlobKind.HashListpackEx => ValueType.Hash,
        BlobKind.ListListpack => ValueType.List,
        BlobKind.SetIntset or BlobKind.SetListpack => ValueType.Set,
        BlobKind.ZSetListpack => ValueType.SortedSet,
        _ => throw new InvalidOperationException($"A blob of unknown kind {kind}."),
    };

    /// <summary>The name that OBJECT ENCODING reports.</summary>
    public static string EncodingOf(object entry) => entry is not byte[] blob ? Unsafe.As<Value>(entry).Encoding : Blob.KindOf(blob) switch
    {
        // Redis keeps up to 44 bytes beside the object's header and calls that embstr. Our blobs are all of that kind,
        // whatever their length, but clients and tests know the limit.
        BlobKind.String => Blob.Payload(blob).Length <= 44 ? "embstr" : "raw",
        BlobKind.Integer => "int",
        BlobKind.RawString => "raw",
        BlobKind.SetIntset => "intset",
        BlobKind.HashListpackEx => "listpackex",
        _ => "listpack",
    };

    public static uint AccessClock(object entry) => entry is byte[] blob ? Blob.AccessClock(blob) : Unsafe.As<Value>(entry).AccessClock;

    public static void SetAccessClock(object entry, uint clock)
    {
        if (entry is byte[] blob) Blob.SetAccessClock(blob, clock);
        else Unsafe.As<Value>(entry).AccessClock = clock;
    }

    /// <summary>The bytes that the entry takes in memory, without its share of the table.</summary>
    public static long Bytes(object entry) => entry is byte[] blob ? Blob.AllocatedBytes(blob.Length) : Unsafe.As<Value>(entry).Bytes;

    /// <summary>The same, including the table's reference to it.</summary>
    public static long BytesWithCell(object entry) => IntPtr.Size + Bytes(entry);

    /// <summary>The earliest time at which the key, or something inside it, expires.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static long EarliestExpiryMs(object entry)
    {
        if (entry.GetType() == typeof(byte[]))
        {
            byte[] blob = Unsafe.As<byte[]>(entry);
            return Blob.MayExpire(blob) ? SlowEarliestExpiryMs(blob) : Expiry.Never;
        }
        Value value = Unsafe.As<Value>(entry);
        return Math.Min(value.ExpiresAtMs, value.InnerExpiresAtMs);
    }

    /// <summary>Whether it is a hash of which a field has a time of expiry.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool HasExpiringFields(object entry)
    {
        if (entry.GetType() != typeof(byte[])) return Unsafe.As<Value>(entry).InnerExpiresAtMs != Expiry.Never;
        byte[] blob = Unsafe.As<byte[]>(entry);
        return Blob.KindOf(blob) == BlobKind.HashListpackEx && EarliestFieldExpiryMs(blob) != Expiry.Never;
    }

    /// <summary>Whether the keyspace has counted it as such.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool IsCountedForFields(object entry) =>
        entry.GetType() == typeof(byte[]) ? (Unsafe.As<byte[]>(entry)[0] & Blob.IsCountedForFields) != 0 : Unsafe.As<Value>(entry).IsCountedForFields;

    /// <inheritdoc cref="IsCountedForFields"/>
    public static void SetCountedForFields(object entry, bool isCounted)
    {
        if (entry is not byte[] blob) Unsafe.As<Value>(entry).IsCountedForFields = isCounted;
        else blob[0] = (byte)(isCounted ? blob[0] | Blob.IsCountedForFields : blob[0] & ~Blob.IsCountedForFields);
    }

    private static long SlowEarliestExpiryMs(byte[] blob) => Math.Min(Blob.ExpiresAtMs(blob), EarliestFieldExpiryMs(blob));

    /// <summary>
    /// The earliest time at which a field of a hash in a blob expires. Fields are ordered by expiry, each followed by
    /// its value and that time (0 for none), so it is the time of the first field.
    /// </summary>
    public static long EarliestFieldExpiryMs(byte[] blob)
    {
        if (Blob.KindOf(blob) != BlobKind.HashListpackEx) return Expiry.Never;
        Listpack listpack = Listpack.In(blob);
        if (listpack.IsEmpty) return Expiry.Never;
        long time = listpack[listpack.Next(listpack.Next(listpack.First))].Integer;
        return time > 0 ? time : Expiry.Never;
    }
}
