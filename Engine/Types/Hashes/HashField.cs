using System.Buffers.Binary;
using System.Runtime.CompilerServices;

namespace OrleansRedis.Engine;

/// <summary>
/// A field of a <see cref="HashValue"/> together with its value, in one byte array:
/// <code>
/// byte 0    <see cref="HasExpiry"/>, and the field's length, or 63 if that is in the next 4 bytes
/// 8 bytes   with HasExpiry: Unix time in ms
/// field, then the value up to the array's end
/// </code>
/// </summary>
internal readonly struct HashField : IKeyOf
{
    /// <summary>Redis keeps a field's expiry in 48 bits, and lets clients use a quarter of that range.</summary>
    public const long LatestExpiryMs = 0x0000_FFFF_FFFF_FFFF >> 2;

    private const byte HasExpiry = 0x80;
    private const int LongField = 63;

    public static byte[] Create(ReadOnlySpan<byte> field, ReadOnlySpan<byte> value, long expiresAtMs)
    {
        bool expires = expiresAtMs != Expiry.Never, isLong = field.Length >= LongField;
        int start = (isLong ? 5 : 1) + (expires ? 8 : 0);
        byte[] entry = GC.AllocateUninitializedArray<byte>(start + field.Length + value.Length);
        entry[0] = (byte)((isLong ? LongField : field.Length) | (expires ? HasExpiry : 0));
        if (isLong) BinaryPrimitives.WriteInt32LittleEndian(entry.AsSpan(1), field.Length);
        if (expires) BinaryPrimitives.WriteInt64LittleEndian(entry.AsSpan(start - 8), expiresAtMs);
        field.CopyTo(entry.AsSpan(start));
        value.CopyTo(entry.AsSpan(start + field.Length));
        return entry;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ReadOnlySpan<byte> KeyOf(object entry)
    {
        byte[] bytes = Unsafe.As<byte[]>(entry);
        int head = bytes[0];
        return head < LongField ? bytes.AsSpan(1, head) : bytes.AsSpan(Start(bytes), FieldLength(bytes));
    }

    public static Span<byte> ValueOf(byte[] entry) => entry.AsSpan(Start(entry) + FieldLength(entry));

    public static long ExpiresAtMs(byte[] entry) =>
        (entry[0] & HasExpiry) == 0 ? Expiry.Never : BinaryPrimitives.ReadInt64LittleEndian(entry.AsSpan(Start(entry) - 8));

    /// <summary>Changes value and expiry in place, if they fit. False if a new entry is needed.</summary>
    public static bool TryOverwrite(byte[] entry, ReadOnlySpan<byte> value, long expiresAtMs)
    {
        Span<byte> old = ValueOf(entry);
        if (old.Length != value.Length || (entry[0] & HasExpiry) != 0 != (expiresAtMs != Expiry.Never)) return false;
        value.CopyTo(old);
        if (expiresAtMs != Expiry.Never) BinaryPrimitives.WriteInt64LittleEndian(entry.AsSpan(Start(entry) - 8), expiresAtMs);
        return true;
    }

    private static int FieldLength(byte[] entry)
    {
        int length = entry[0] & LongField;
        return length < LongField ? length : BinaryPrimitives.ReadInt32LittleEndian(entry.AsSpan(1));
    }

    private static int Start(byte[] entry) => ((entry[0] & LongField) < LongField ? 1 : 5) + ((entry[0] & HasExpiry) != 0 ? 8 : 0);
}
