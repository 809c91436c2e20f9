using System.Runtime.CompilerServices;

namespace OrleansRedis.Engine;

/// <summary>
/// A key that was found in a keyspace, or is missing from it: a reference to the table's cell. Valid until a key is
/// added to or removed from the same keyspace.
/// </summary>
internal readonly ref struct Entry
{
    private readonly ref object? _cell;

    public Entry(Keyspace keyspace, ref object? cell)
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

    /// <summary>The entry itself: a blob or a <see cref="OrleansRedis.Engine.Value"/>.</summary>
    public object Object => _cell!;

    public bool IsBlob
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => _cell!.GetType() == typeof(byte[]);
    }

    public byte[] Blob => Unsafe.As<byte[]>(_cell!);

    public Value Value => Unsafe.As<Value>(_cell!);

    public BlobKind Kind => Engine.Blob.KindOf(Blob);

    /// <summary>The blob's payload, spare room included.</summary>
    public Span<byte> Payload => Engine.Blob.Payload(Blob);

    public ValueType Type => KeyEntry.TypeOf(_cell!);

    public long ExpiresAtMs => KeyEntry.ExpiresAtMs(_cell!);

    public ReadOnlySpan<byte> Key => KeyEntry.KeyOf(_cell!);

    /// <summary>
    /// Puts another object with the same key in this one's place. Expiry and access clock are not carried over: the new
    /// object has its own.
    /// </summary>
    public void Replace(object entry)
    {
        object old = _cell!;
        if (ReferenceEquals(old, entry)) return;
        _cell = entry;
        Keyspace.Replaced(old, entry);
    }
}
