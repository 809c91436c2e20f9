using System.Runtime.CompilerServices;

namespace OrleansRedis.Engine;

/// <summary>What the payload of a <see cref="Blob"/> is. The numbers exist only in memory, never in a file.</summary>
internal enum BlobKind : byte
{
    /// <summary>A string, as 2 bytes of length and its bytes.</summary>
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
/// A whole small key in one block of the <see cref="Heap"/>:
/// <code>
/// byte 0      kind in the low nibble, <see cref="HasExpiry"/>, <see cref="HasLongKey"/>, <see cref="CountedForFields"/>
/// bytes 1-3   access clock (LRU seconds, or LFU minutes and counter), see <see cref="AccessClock"/>
/// byte 4      key length; with HasLongKey bytes 4-7
/// 8 bytes     with HasExpiry: Unix time in ms
/// key, then the payload
/// </code>
/// The payload of a string that is not an integer begins with 2 bytes of its length. Any other payload says itself how
/// long it is, and may be followed by spare room up to the block's end.
/// </summary>
internal readonly unsafe struct Blob
{
    private const byte HasExpiry = 0x40;
    private const byte HasLongKey = 0x80;

    /// <summary>
    /// The keyspace has counted this hash among those with expiring fields. Its mark alone: a copy of the blob may carry
    /// it along.
    /// </summary>
    private const byte CountedForFields = 0x20;

    private const byte KindMask = 0x0f;

    /// <summary>The bytes before the text of a string.</summary>
    private const int TextHead = sizeof(ushort);

    /// <summary>
    /// A string whose key and text together take more bytes than this is held as a <see cref="StringValue"/> instead.
    /// </summary>
    public const int LargestString = 32 * 1024;

    /// <summary>The blob in a block.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public Blob(byte* block)
    {
        Block = block;
    }

    /// <summary>The block that it lies in.</summary>
    public byte* Block { get; }

    public BlobKind Kind
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => (BlobKind)(*Block & KindMask);
    }

    public ReadOnlySpan<byte> Key
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get
        {
            // The common case first: a short key without expiry.
            int flags = *Block;
            return (flags & (HasExpiry | HasLongKey)) == 0 ? new(Block + 5, Block[4]) : SlowKey(flags);
        }
    }

    /// <summary>Where the payload begins.</summary>
    public int PayloadStart
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get
        {
            int flags = *Block;
            if ((flags & (HasExpiry | HasLongKey)) == 0) return 5 + Block[4];
            int start = (flags & HasLongKey) != 0 ? 8 + *(int*)(Block + 4) : 5 + Block[4];
            return (flags & HasExpiry) != 0 ? start + 8 : start;
        }
    }

    /// <summary>The text of a string that is not an integer.</summary>
    public Span<byte> Text
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get
        {
            byte* payload = Block + PayloadStart;
            return new(payload + TextHead, *(ushort*)payload);
        }
    }

    /// <summary>The number in a blob of kind Integer.</summary>
    public long Integer
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => *(long*)(Block + PayloadStart);
    }

    /// <summary>Whether the key has a time of expiry, or is a hash whose fields may have one.</summary>
    public bool MayExpire
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => (*Block & HasExpiry) != 0 || (*Block & KindMask) == (int)BlobKind.HashListpackEx;
    }

    /// <summary>When the key expires, as Unix time in ms, or <see cref="Expiry.Never"/>.</summary>
    public long ExpiresAtMs
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => (*Block & HasExpiry) == 0 ? Expiry.Never : *ExpiryPlace;
    }

    /// <summary>24 bits that tell when, or how often, the key was used; see <see cref="Access"/>.</summary>
    public uint AccessClock
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => *(uint*)Block >> 8;
    }

    public bool IsCountedForFields
    {
        get => (*Block & CountedForFields) != 0;
    }

    /// <summary>The bytes that it takes.</summary>
    public int AllocatedBytes
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => Heap.AllocatedBytes(Block);
    }

    /// <summary>What of the block has content, spare room not included.</summary>
    public ReadOnlySpan<byte> Content => new(Block, PayloadStart + ContentLength);

    private long* ExpiryPlace => (long*)(Block + ((*Block & HasLongKey) != 0 ? 8 : 5));

    private int ContentLength => Kind switch
    {
        BlobKind.String or BlobKind.RawString => TextHead + Text.Length,
        BlobKind.Integer => sizeof(long),
        BlobKind.SetIntset => Intset.In(this).Length,
        _ => Listpack.In(this).Length,
    };

    /// <summary>Makes a blob with room for a payload of the given length, which the caller fills in.</summary>
    public static Blob Create(BlobKind kind, ReadOnlySpan<byte> key, int payloadLength, long expiresAtMs)
    {
        bool longKey = key.Length > byte.MaxValue, expires = expiresAtMs != Expiry.Never;
        int keyStart = (longKey ? 8 : 5) + (expires ? 8 : 0);
        byte* block = Heap.Allocate(checked(keyStart + key.Length + payloadLength));
        *(uint*)block = (uint)((byte)kind | (expires ? HasExpiry : 0) | (longKey ? HasLongKey : 0));
        if (longKey) *(int*)(block + 4) = key.Length;
        else block[4] = (byte)key.Length;
        if (expires) *(long*)(block + (longKey ? 8 : 5)) = expiresAtMs;
        key.CopyTo(new(block + keyStart, key.Length));
        return new(block);
    }

    /// <summary>Makes a string of the given length, whose text the caller fills in.</summary>
    public static Blob CreateText(BlobKind kind, ReadOnlySpan<byte> key, int length, long expiresAtMs, out Span<byte> text)
    {
        Blob blob = Create(kind, key, TextHead + length, expiresAtMs);
        *(ushort*)(blob.Block + blob.PayloadStart) = (ushort)length;
        text = blob.Text;
        return blob;
    }

    /// <summary>Makes a string that is an integer.</summary>
    public static Blob CreateInteger(ReadOnlySpan<byte> key, long number, long expiresAtMs)
    {
        Blob blob = Create(BlobKind.Integer, key, sizeof(long), expiresAtMs);
        blob.SetInteger(number);
        return blob;
    }

    /// <summary>Makes a blob around a copy of a collection's bytes.</summary>
    public static Blob CreatePacked(BlobKind kind, ReadOnlySpan<byte> key, ReadOnlySpan<byte> packed, long expiresAtMs = Expiry.Never)
    {
        Blob blob = Create(kind, key, packed.Length, expiresAtMs);
        packed.CopyTo(new(blob.Block + blob.PayloadStart, packed.Length));
        return blob;
    }

    /// <summary>
    /// The same key and payload with another expiry: the blob itself if the time can be changed in place. Otherwise a
    /// new one, and this one is retired.
    /// </summary>
    public Blob WithExpiry(long expiresAtMs)
    {
        bool expires = (*Block & HasExpiry) != 0;
        if (expires && expiresAtMs != Expiry.Never) *ExpiryPlace = expiresAtMs;
        if (expires == (expiresAtMs != Expiry.Never)) return this;
        Blob changed = CopyTo(Kind, Key, ContentLength, expiresAtMs);
        Retire();
        return changed;
    }

    /// <summary>A copy under another key.</summary>
    public Blob WithKey(ReadOnlySpan<byte> key) => CopyTo(Kind, key, ContentLength, ExpiresAtMs);

    /// <summary>A blob with the same key, expiry and access clock, and room for another payload.</summary>
    public Blob WithRoom(BlobKind kind, int payloadLength)
    {
        Blob made = Create(kind, Key, payloadLength, ExpiresAtMs);
        made.SetAccessClock(AccessClock);
        return made;
    }

    /// <summary>
    /// Gives the text of a string another length, if the block is of a size for it. The text is then undefined.
    /// </summary>
    public bool TryResizeText(int length)
    {
        ushort* current = (ushort*)(Block + PayloadStart);
        if (*current == length) return true;
        int size = Heap.SizeOf(Block), needed = PayloadStart + TextHead + length;
        if (needed > size || needed < size - (size / 4)) return false;
        *current = (ushort)length;
        return true;
    }

    /// <summary>Gives a blob of kind Integer another number.</summary>
    public void SetInteger(long number) => *(long*)(Block + PayloadStart) = number;

    /// <inheritdoc cref="AccessClock"/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void SetAccessClock(uint clock) => *(uint*)Block = (clock << 8) | *Block;

    /// <inheritdoc cref="IsCountedForFields"/>
    public void SetCountedForFields(bool isCounted) => *Block = (byte)(isCounted ? *Block | CountedForFields : *Block & ~CountedForFields);

    /// <summary>Changes the kind in place, between kinds whose payloads mean the same.</summary>
    public void SetKind(BlobKind kind) => *Block = (byte)((*Block & ~KindMask) | (byte)kind);

    /// <summary>Frees it once the command has ended.</summary>
    public void Retire() => Retirement.Retire(Block);

    [MethodImpl(MethodImplOptions.NoInlining)]
    private ReadOnlySpan<byte> SlowKey(int flags)
    {
        int start = (flags & HasLongKey) != 0 ? 8 : 5;
        int length = (flags & HasLongKey) != 0 ? *(int*)(Block + 4) : Block[4];
        if ((flags & HasExpiry) != 0) start += 8;
        return new(Block + start, length);
    }

    private Blob CopyTo(BlobKind kind, ReadOnlySpan<byte> key, int contentLength, long expiresAtMs)
    {
        Blob copy = Create(kind, key, contentLength, expiresAtMs);
        new ReadOnlySpan<byte>(Block + PayloadStart, contentLength).CopyTo(new(copy.Block + copy.PayloadStart, contentLength));
        copy.SetAccessClock(AccessClock);
        return copy;
    }
}
