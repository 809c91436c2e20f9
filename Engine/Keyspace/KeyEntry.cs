using System.Runtime.CompilerServices;

namespace OrleansRedis.Engine;

/// <summary>
/// What a keyspace holds for a key: a <see cref="Engine.Blob"/>, or a <see cref="Engine.Value"/>. It is a single word,
/// the address of the blob, or the value's number in <see cref="ValueTable"/> with the lowest bit set.
/// </summary>
internal readonly unsafe struct KeyEntry : ITableEntry, IEquatable<KeyEntry>
{
    private readonly nint _word;

    private KeyEntry(nint word)
    {
        _word = word;
    }

    public bool IsNone
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => _word == 0;
    }

    public bool IsBlob
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => (_word & 1) == 0;
    }

    public Blob Blob
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => new((byte*)_word);
    }

    public Value Value
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => ValueTable.At((int)(_word >> 1));
    }

    /// <summary>The block that it lies in, if it is a blob; for <see cref="Foresight"/> and defragmentation.</summary>
    public byte* Block => IsBlob ? (byte*)_word : null;

    /// <summary>The value, even if the word was read without the gate and may be anything; then null.</summary>
    public Value? Foreseen => IsBlob ? null : ValueTable.Foresee(_word >> 1);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static implicit operator KeyEntry(Blob blob) => new((nint)blob.Block);

    public static implicit operator KeyEntry(Value value) => new(((nint)value.Number << 1) | 1);

    public static bool operator ==(KeyEntry left, KeyEntry right) => left._word == right._word;

    public static bool operator !=(KeyEntry left, KeyEntry right) => left._word != right._word;

    public bool Equals(KeyEntry other) => _word == other._word;

    public override bool Equals(object? obj) => obj is KeyEntry other && Equals(other);

    public override int GetHashCode() => _word.GetHashCode();

    /// <summary>Whether it is a blob, and which.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public bool TryBlob(out Blob blob)
    {
        blob = new((byte*)_word);
        return IsBlob;
    }

    /// <summary>The value, of a kind that the caller is sure of.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public T As<T>() where T : Value => Unsafe.As<T>(Value);

    public ReadOnlySpan<byte> Key
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => IsBlob ? Blob.Key : Value.Key;
    }

    public long ExpiresAtMs => TryBlob(out Blob blob) ? blob.ExpiresAtMs : Value.ExpiresAtMs;

    public ValueType Type => TryBlob(out Blob blob) ? TypeOf(blob.Kind) : Value.Type;

    /// <summary>The name that OBJECT ENCODING reports.</summary>
    public string Encoding => !TryBlob(out Blob blob) ? Value.Encoding : blob.Kind switch
    {
        // Redis keeps up to 44 bytes beside the object's header and calls that embstr. Our blobs are all of that kind,
        // whatever their length, but clients and tests know the limit.
        BlobKind.String => blob.Text.Length <= 44 ? "embstr" : "raw",
        BlobKind.Integer => "int",
        BlobKind.RawString => "raw",
        BlobKind.SetIntset => "intset",
        BlobKind.HashListpackEx => "listpackex",
        _ => "listpack",
    };

    public uint AccessClock => TryBlob(out Blob blob) ? blob.AccessClock : Value.AccessClock;

    /// <summary>The bytes that the entry takes in memory, without its share of the table.</summary>
    public long Bytes => TryBlob(out Blob blob) ? blob.AllocatedBytes : Value.Bytes;

    /// <summary>The same, including the table's reference to it.</summary>
    public long BytesWithCell => IntPtr.Size + Bytes;

    /// <summary>The earliest time at which the key, or something inside it, expires.</summary>
    public long EarliestExpiryMs
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get
        {
            if (TryBlob(out Blob blob)) return blob.MayExpire ? Math.Min(blob.ExpiresAtMs, EarliestFieldExpiryMs(blob)) : Expiry.Never;
            Value value = Value;
            return Math.Min(value.ExpiresAtMs, value.InnerExpiresAtMs);
        }
    }

    /// <summary>Whether it is a hash of which a field has a time of expiry.</summary>
    public bool HasExpiringFields
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => TryBlob(out Blob blob)
            ? blob.Kind == BlobKind.HashListpackEx && EarliestFieldExpiryMs(blob) != Expiry.Never
            : Value.InnerExpiresAtMs != Expiry.Never;
    }

    /// <summary>Whether the keyspace has counted it as such.</summary>
    public bool IsCountedForFields
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => TryBlob(out Blob blob) ? blob.IsCountedForFields : Value.IsCountedForFields;
    }

    public static ValueType TypeOf(BlobKind kind) => kind switch
    {
        BlobKind.String or BlobKind.Integer or BlobKind.RawString => ValueType.String,
        BlobKind.HashListpack or BlobKind.HashListpackEx => ValueType.Hash,
        BlobKind.ListListpack => ValueType.List,
        BlobKind.SetIntset or BlobKind.SetListpack => ValueType.Set,
        BlobKind.ZSetListpack => ValueType.SortedSet,
        _ => throw new InvalidOperationException($"A blob of unknown kind {kind}."),
    };

    /// <summary>
    /// The earliest time at which a field of a hash in a blob expires. Fields are ordered by expiry, each followed by
    /// its value and that time (0 for none), so it is the time of the first field.
    /// </summary>
    public static long EarliestFieldExpiryMs(Blob blob)
    {
        if (blob.Kind != BlobKind.HashListpackEx) return Expiry.Never;
        Listpack listpack = Listpack.In(blob);
        if (listpack.IsEmpty) return Expiry.Never;
        long time = listpack[listpack.Next(listpack.Next(listpack.First))].Integer;
        return time > 0 ? time : Expiry.Never;
    }

    /// <summary>The same entry with another expiry. It may be another blob; this one is then retired.</summary>
    public KeyEntry WithExpiry(long expiresAtMs)
    {
        if (TryBlob(out Blob blob)) return blob.WithExpiry(expiresAtMs);
        Value.ExpiresAtMs = expiresAtMs;
        return this;
    }

    /// <summary>
    /// The same entry under another key. A value is changed in place. A blob is copied, and this one is retired.
    /// </summary>
    public KeyEntry WithKey(ReadOnlySpan<byte> key)
    {
        if (TryBlob(out Blob blob))
        {
            Blob renamed = blob.WithKey(key);
            blob.Retire();
            return renamed;
        }
        Value.Key = key.ToArray();
        return this;
    }

    /// <summary>A deep copy under another key, with the same expiry.</summary>
    public KeyEntry Clone(ReadOnlySpan<byte> key) => TryBlob(out Blob blob) ? blob.WithKey(key) : Value.Clone(key.ToArray());

    public void SetAccessClock(uint clock)
    {
        if (TryBlob(out Blob blob)) blob.SetAccessClock(clock);
        else Value.AccessClock = clock;
    }

    /// <inheritdoc cref="IsCountedForFields"/>
    public void SetCountedForFields(bool isCounted)
    {
        if (TryBlob(out Blob blob)) blob.SetCountedForFields(isCounted);
        else Value.IsCountedForFields = isCounted;
    }

    /// <summary>Frees it once the command has ended. Nothing may lead to it any more.</summary>
    public void Retire()
    {
        if (TryBlob(out Blob blob)) blob.Retire();
        else Retirement.Retire(Value);
    }

    /// <summary>Frees it at once. Nothing may look at it any more.</summary>
    public void Free()
    {
        if (TryBlob(out Blob blob)) Heap.Free(blob.Block);
        else Value.Free();
    }
}
