using System.Runtime.CompilerServices;

namespace OrleansRedis.Engine;

/// <summary>
/// A field of a <see cref="HashValue"/> together with its value, in one block:
/// <code>
/// byte 0    <see cref="HasExpiry"/>, <see cref="HasLongLengths"/>
/// bytes 1-2 the field's length and the value's; with HasLongLengths bytes 1-4 and 5-8
/// 8 bytes   with HasExpiry: Unix time in ms
/// field, then the value
/// </code>
/// </summary>
internal readonly unsafe struct HashField : ITableEntry
{
    /// <summary>Redis keeps a field's expiry in 48 bits, and lets clients use a quarter of that range.</summary>
    public const long LatestExpiryMs = 0x0000_FFFF_FFFF_FFFF >> 2;

    private const byte HasExpiry = 1, HasLongLengths = 2;

    private readonly byte* _block;

    private HashField(byte* block)
    {
        _block = block;
    }

    public bool IsNone
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => _block == null;
    }

    /// <summary>Where it lies.</summary>
    public byte* Block => _block;

    public ReadOnlySpan<byte> Key
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => *_block == 0 ? new(_block + 3, _block[1]) : new(_block + Start, FieldLength);
    }

    public Span<byte> Value => new(_block + Start + FieldLength, ValueLength);

    /// <summary>When the field expires, as Unix time in ms, or <see cref="Expiry.Never"/>.</summary>
    public long ExpiresAtMs => Expires ? *(long*)(_block + Start - 8) : Expiry.Never;

    public int AllocatedBytes => Heap.AllocatedBytes(_block);

    private bool Expires => (*_block & HasExpiry) != 0;

    private bool IsLong => (*_block & HasLongLengths) != 0;

    private int Start => (IsLong ? 9 : 3) + (Expires ? 8 : 0);

    private int FieldLength => IsLong ? *(int*)(_block + 1) : _block[1];

    private int ValueLength => IsLong ? *(int*)(_block + 5) : _block[2];

    public static HashField Create(ReadOnlySpan<byte> field, ReadOnlySpan<byte> value, long expiresAtMs)
    {
        bool expires = expiresAtMs != Expiry.Never, isLong = field.Length > byte.MaxValue || value.Length > byte.MaxValue;
        int start = (isLong ? 9 : 3) + (expires ? 8 : 0);
        byte* block = Heap.Allocate(checked(start + field.Length + value.Length));
        *block = (byte)((isLong ? HasLongLengths : 0) | (expires ? HasExpiry : 0));
        if (isLong)
        {
            *(int*)(block + 1) = field.Length;
            *(int*)(block + 5) = value.Length;
        }
        else
        {
            block[1] = (byte)field.Length;
            block[2] = (byte)value.Length;
        }
        if (expires) *(long*)(block + start - 8) = expiresAtMs;
        field.CopyTo(new(block + start, field.Length));
        value.CopyTo(new(block + start + field.Length, value.Length));
        return new(block);
    }

    /// <summary>Changes value and expiry in place, if they fit. False if a new entry is needed.</summary>
    public bool TryOverwrite(ReadOnlySpan<byte> value, long expiresAtMs)
    {
        if (Expires != (expiresAtMs != Expiry.Never)) return false;
        if (value.Length != ValueLength)
        {
            int size = Heap.SizeOf(_block), needed = Start + FieldLength + value.Length;
            // A value that has become much shorter is worth a smaller block.
            if (needed > size || needed < size / 2 || (!IsLong && value.Length > byte.MaxValue)) return false;
            if (IsLong) *(int*)(_block + 5) = value.Length;
            else _block[2] = (byte)value.Length;
        }
        value.CopyTo(Value);
        if (expiresAtMs != Expiry.Never) *(long*)(_block + Start - 8) = expiresAtMs;
        return true;
    }

    public void Retire() => Retirement.Retire(_block);

    public void Free() => Heap.Free(_block);
}
