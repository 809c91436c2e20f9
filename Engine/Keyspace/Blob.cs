using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace OrleansRedis.Engine;

/// <summary>What the payload of a <see cref="Blob"/> is. The numbers exist only in memory, never in a file.</summary>
internal enum BlobKind : byte
{
    /// <summary>A string, as its bytes.</summary>
    String = 0,

    /// <summary>A string that is the canonical decimal form of a 64-bit integer, as 8 bytes little-endian.</summary>
    Integer = 1,

    /// <summary>A string that a command has modified in place: Redis shows it as "raw" whatever its length.</summary>
    RawString = 2,

    /// <summary>A hash as a listpack of field, value, field, value…</summary>
    HashListpack = 3,

    /// <summary>
    /// A hash with field expiry as a listpack of field, value, expiry in ms (0: none)…, ordered by expiry.
    /// </summary>
    HashListpackEx = 4,

    /// <summary>A list as one listpack.</summary>
    ListListpack = 5,

    /// <summary>A set of integers as an intset.</summary>
    SetIntset = 6,

    /// <summary>A set as a listpack.</summary>
    SetListpack = 7,

    /// <summary>A sorted set as a listpack of member, score…, ordered by score, then member.</summary>
    ZSetListpack = 8,
}

/// <summary>
/// A whole small key in one byte array: one object for the collector, no pointers.
/// <code>
/// byte 0      kind in the low nibble, <see cref="HasExpiry"/>, <see cref="HasLongKey"/>, <see cref="IsCountedForFields"/>
/// bytes 1-3   access clock (LRU seconds, or LFU minutes and counter), see <see cref="AccessClock"/>
/// byte 4      key length; with HasLongKey bytes 4-7
/// 8 bytes     with HasExpiry: Unix time in ms
/// key, then the payload up to the array's end
/// </code>
/// A collection's payload may be followed by spare room; it says itself how long it is.
/// </summary>
internal static class Blob
{
    public const byte HasExpiry = 0x40;
    public const byte HasLongKey = 0x80;

    /// <summary>
    /// The keyspace has counted this hash among those with expiring fields. Its mark alone: a copy of the blob may carry
    /// it along.
    /// </summary>
    public const byte IsCountedForFields = 0x20;

    private const byte KindMask = 0x0f;

    /// <summary>
    /// A key whose name and payload together take more bytes than this is held as a <see cref="Value"/> instead.
    /// </summary>
    public const int LargestPayload = 32 * 1024;

    /// <summary>The bytes that the runtime allocates for a byte array of this length.</summary>
    public static int AllocatedBytes(int arrayLength) => (24 + arrayLength + 7) & ~7;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static BlobKind KindOf(byte[] blob) => (BlobKind)(blob[0] & KindMask);

    /// <summary>Makes a blob with a payload of the given length, which the caller fills in.</summary>
    public static byte[] Create(BlobKind kind, ReadOnlySpan<byte> key, int payloadLength, long expiresAtMs, out Span<byte> payload)
    {
        bool longKey = key.Length > byte.MaxValue, expires = expiresAtMs != Expiry.Never;
        int keyStart = (longKey ? 8 : 5) + (expires ? 8 : 0);
        byte[] blob = GC.AllocateUninitializedArray<byte>(keyStart + key.Length + payloadLength);
        blob[0] = (byte)((byte)kind | (expires ? HasExpiry : 0) | (longKey ? HasLongKey : 0));
        blob[1] = blob[2] = blob[3] = 0;
        if (longKey) BinaryPrimitives.WriteInt32LittleEndian(blob.AsSpan(4), key.Length);
        else blob[4] = (byte)key.Length;
        if (expires) BinaryPrimitives.WriteInt64LittleEndian(blob.AsSpan(longKey ? 8 : 5), expiresAtMs);
        key.CopyTo(blob.AsSpan(keyStart));
        payload = blob.AsSpan(keyStart + key.Length);
        return blob;
    }

    /// <summary>Makes a blob around a copy of a payload.</summary>
    public static byte[] Create(BlobKind kind, ReadOnlySpan<byte> key, ReadOnlySpan<byte> payload, long expiresAtMs)
    {
        byte[] blob = Create(kind, key, payload.Length, expiresAtMs, out Span<byte> room);
        payload.CopyTo(room);
        return blob;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ReadOnlySpan<byte> KeyOf(byte[] blob)
    {
        // The common case first: a short key without expiry.
        int flags = blob[0];
        if ((flags & (HasExpiry | HasLongKey)) == 0)
            return MemoryMarshal.CreateReadOnlySpan(ref Unsafe.Add(ref MemoryMarshal.GetArrayDataReference(blob), 5), blob[4]);
        return SlowKeyOf(blob, flags);
    }

    private static ReadOnlySpan<byte> SlowKeyOf(byte[] blob, int flags)
    {
        int start = (flags & HasLongKey) != 0 ? 8 : 5;
        int length = (flags & HasLongKey) != 0 ? BinaryPrimitives.ReadInt32LittleEndian(blob.AsSpan(4)) : blob[4];
        if ((flags & HasExpiry) != 0) start += 8;
        return blob.AsSpan(start, length);
    }

    /// <summary>Where the payload begins.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int PayloadStart(byte[] blob)
    {
        int flags = blob[0];
        if ((flags & (HasExpiry | HasLongKey)) == 0) return 5 + blob[4];
        int start = (flags & HasLongKey) != 0 ? 8 + BinaryPrimitives.ReadInt32LittleEndian(blob.AsSpan(4)) : 5 + blob[4];
        return (flags & HasExpiry) != 0 ? start + 8 : start;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Span<byte> Payload(byte[] blob) => blob.AsSpan(PayloadStart(blob));

    /// <summary>Whether the key has a time of expiry, or is a hash whose fields may have one.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool MayExpire(byte[] blob) => (blob[0] & HasExpiry) != 0 || (blob[0] & KindMask) == (int)BlobKind.HashListpackEx;

    /// <summary>When the key expires, as Unix time in ms, or <see cref="Expiry.Never"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static long ExpiresAtMs(byte[] blob) =>
        (blob[0] & HasExpiry) == 0 ? Expiry.Never : BinaryPrimitives.ReadInt64LittleEndian(blob.AsSpan((blob[0] & HasLongKey) != 0 ? 8 : 5));

    /// <summary>
    /// The same key and payload with another expiry: the blob itself if the time can be changed in place, else a new
    /// one.
    /// </summary>
    public static byte[] WithExpiry(byte[] blob, long expiresAtMs)
    {
        if (expiresAtMs != Expiry.Never && (blob[0] & HasExpiry) != 0)
        {
            BinaryPrimitives.WriteInt64LittleEndian(blob.AsSpan((blob[0] & HasLongKey) != 0 ? 8 : 5), expiresAtMs);
            return blob;
        }
        if (expiresAtMs == Expiry.Never && (blob[0] & HasExpiry) == 0) return blob;
        byte[] changed = Create(KindOf(blob), KeyOf(blob), Payload(blob), expiresAtMs);
        SetAccessClock(changed, AccessClock(blob));
        return changed;
    }

    /// <summary>The same payload and expiry under another key.</summary>
    public static byte[] WithKey(byte[] blob, ReadOnlySpan<byte> key)
    {
        byte[] renamed = Create(KindOf(blob), key, Payload(blob), ExpiresAtMs(blob));
        SetAccessClock(renamed, AccessClock(blob));
        return renamed;
    }

    /// <summary>The same key and expiry with another payload.</summary>
    public static byte[] WithPayload(byte[] blob, BlobKind kind, ReadOnlySpan<byte> payload)
    {
        byte[] changed = WithPayload(blob, kind, payload.Length, out Span<byte> room);
        payload.CopyTo(room);
        return changed;
    }

    /// <summary>The same key and expiry with room for another payload, which the caller fills in.</summary>
    public static byte[] WithPayload(byte[] blob, BlobKind kind, int payloadLength, out Span<byte> payload)
    {
        byte[] changed = Create(kind, KeyOf(blob), payloadLength, ExpiresAtMs(blob), out payload);
        SetAccessClock(changed, AccessClock(blob));
        return changed;
    }

    /// <summary>Changes the kind in place, between kinds whose payloads mean the same.</summary>
    public static void SetKind(byte[] blob, BlobKind kind) => blob[0] = (byte)((blob[0] & ~KindMask) | (byte)kind);

    /// <summary>24 bits that tell when, or how often, the key was used; see <see cref="Access"/>.</summary>
    public static uint AccessClock(byte[] blob) => (uint)(blob[1] | (blob[2] << 8) | (blob[3] << 16));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void SetAccessClock(byte[] blob, uint clock)
    {
        blob[3] = (byte)(clock >> 16);
        blob[2] = (byte)(clock >> 8);
        blob[1] = (byte)clock;
    }
}
