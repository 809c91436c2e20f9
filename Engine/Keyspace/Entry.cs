using System.Runtime.CompilerServices;

namespace OrleansRedis.Engine;

/// <summary>
/// A key that was found in a keyspace, or is missing from it: a reference to the table's cell. Valid until a key is
/// added to or removed from the same keyspace.
/// </summary>
internal readonly ref struct Entry
{
    private readonly ref KeyEntry _cell;

    public Entry(Keyspace keyspace, ref KeyEntry cell)
    {
        Keyspace = keyspace;
        _cell = ref cell;
    }

    /// <summary>Where the key lives, or would live.</summary>
    public Keyspace Keyspace { get; }

    public bool IsMissing
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => Unsafe.IsNullRef(ref _cell);
    }

    /// <summary>The entry itself.</summary>
    public KeyEntry Found
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => _cell;
    }

    public bool IsBlob
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => _cell.IsBlob;
    }

    public Blob Blob => _cell.Blob;

    public Value Value => _cell.Value;

    public BlobKind Kind => _cell.Blob.Kind;

    public ValueType Type => _cell.Type;

    public long ExpiresAtMs => _cell.ExpiresAtMs;

    public ReadOnlySpan<byte> Key => _cell.Key;

    /// <summary>
    /// Puts what has become of this entry in its place: the one that a method gave back which may have moved it, and
    /// has then retired it. Expiry and access clock are not carried over: the new one has its own.
    /// </summary>
    public void Replace(KeyEntry entry)
    {
        if (_cell == entry) return;
        KeyEntry old = _cell;
        _cell = entry;
        Keyspace.Replaced(old, entry);
    }

    /// <summary>
    /// Puts another entry with the same key in this one's place, which is retired. Expiry and access clock are not
    /// carried over.
    /// </summary>
    public void Overwrite(KeyEntry entry)
    {
        KeyEntry old = _cell;
        Replace(entry);
        if (old != entry) old.Retire();
    }
}
