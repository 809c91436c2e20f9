using System.Buffers.Binary;
using System.Runtime.CompilerServices;

namespace OrleansRedis.Engine;

/// <summary>Reading and making string keys in their representations: integer, short bytes, long or growing bytes.</summary>
internal static class StringEntry
{
    /// <summary>Scratch room that <see cref="Read"/> may need.</summary>
    public const int ScratchLength = 20;

    /// <summary>The string's bytes: where they lie, or, for an integer, written into <paramref name="scratch"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ReadOnlySpan<byte> Read(object entry, Span<byte> scratch)
    {
        if (entry is not byte[] blob) return Unsafe.As<StringValue>(entry).Span;
        Span<byte> payload = Blob.Payload(blob);
        if (Blob.KindOf(blob) != BlobKind.Integer) return payload;
        return scratch[..Numbers.FormatInt64(BinaryPrimitives.ReadInt64LittleEndian(payload), scratch)];
    }

    /// <summary>How long the string is.</summary>
    public static int Length(object entry)
    {
        if (entry is not byte[] blob) return Unsafe.As<StringValue>(entry).Length;
        if (Blob.KindOf(blob) != BlobKind.Integer) return Blob.Payload(blob).Length;
        Span<byte> digits = stackalloc byte[ScratchLength];
        return Numbers.FormatInt64(Integer(blob), digits);
    }

    /// <summary>The number in a blob of kind Integer.</summary>
    public static long Integer(byte[] blob) => BinaryPrimitives.ReadInt64LittleEndian(Blob.Payload(blob));

    /// <summary>Makes the smallest representation of a string.</summary>
    public static object Create(ReadOnlySpan<byte> key, ReadOnlySpan<byte> content, long expiresAtMs)
    {
        return Numbers.TryParseInt64(content, out long number) ? Create(key, number, expiresAtMs) : CreateText(key, content, expiresAtMs);
    }

    /// <summary>Makes an integer string.</summary>
    public static byte[] Create(ReadOnlySpan<byte> key, long number, long expiresAtMs)
    {
        byte[] blob = Blob.Create(BlobKind.Integer, key, sizeof(long), expiresAtMs, out Span<byte> payload);
        BinaryPrimitives.WriteInt64LittleEndian(payload, number);
        return blob;
    }

    /// <summary>Changes the content where it lies, if it fits without allocating and the expiry stays. False if a new entry is needed.</summary>
    public static bool TryOverwrite(object entry, ReadOnlySpan<byte> content)
    {
        if (entry is not byte[] blob) return false;
        Span<byte> payload = Blob.Payload(blob);
        switch (Blob.KindOf(blob))
        {
            case BlobKind.String when payload.Length == content.Length && !Numbers.TryParseInt64(content, out _):
                content.CopyTo(payload);
                return true;
            case BlobKind.Integer when Numbers.TryParseInt64(content, out long number):
                BinaryPrimitives.WriteInt64LittleEndian(payload, number);
                return true;
            default:
                return false;
        }
    }

    /// <summary>
    /// The string's own bytes, with zeros behind them up to <paramref name="length"/> if they are fewer, for a command that writes into them.
    /// A missing key is made. OBJECT ENCODING says raw from then on, and memory is counted. The caller checks the length, and calls Modified by key.
    /// </summary>
    public static Span<byte> Open(ref CommandContext call, in Entry entry, ReadOnlySpan<byte> key, int length)
    {
        if (entry.IsMissing)
        {
            object made = CreateRaw(key, [], length, Expiry.Never, out Span<byte> zeros);
            call.Add(entry.Keyspace, made);
            return zeros;
        }
        if (!entry.IsBlob)
        {
            StringValue value = Unsafe.As<StringValue>(entry.Value);
            value.Extend(length);
            entry.Keyspace.Recount(value);
            return value.Span;
        }
        byte[] blob = entry.Blob;
        if (Blob.KindOf(blob) != BlobKind.Integer && length <= Blob.Payload(blob).Length)
        {
            Blob.SetKind(blob, BlobKind.RawString);
            return Blob.Payload(blob);
        }
        Span<byte> scratch = stackalloc byte[ScratchLength];
        object grown = CreateRaw(key, Read(blob, scratch), length, entry.ExpiresAtMs, out Span<byte> content);
        KeyEntry.SetAccessClock(grown, Blob.AccessClock(blob));
        entry.Replace(grown);
        return content;
    }

    /// <summary>
    /// Makes a string that was modified in place, or will be: up to 128 bytes a blob, which the next change copies;
    /// beyond that a value, which leaves itself room to grow into.
    /// </summary>
    private static object CreateRaw(ReadOnlySpan<byte> key, scoped ReadOnlySpan<byte> start, int length, long expiresAtMs, out Span<byte> content)
    {
        length = Math.Max(length, start.Length);
        if (length <= 128 && key.Length <= Blob.LargestPayload)
        {
            byte[] blob = Blob.Create(BlobKind.RawString, key, length, expiresAtMs, out content);
            start.CopyTo(content);
            content[start.Length..].Clear();
            return blob;
        }
        byte[] bytes = new byte[length];
        start.CopyTo(bytes);
        content = bytes;
        return new StringValue(key.ToArray(), bytes, length) { ExpiresAtMs = expiresAtMs };
    }

    /// <summary>Makes a string of text that stays text even if it reads as an integer (INCRBYFLOAT's result is embstr in Redis).</summary>
    public static object CreateText(ReadOnlySpan<byte> key, ReadOnlySpan<byte> content, long expiresAtMs)
    {
        if (key.Length + content.Length <= Blob.LargestPayload) return Blob.Create(BlobKind.String, key, content, expiresAtMs);
        return new StringValue(key.ToArray(), content.ToArray(), content.Length) { ExpiresAtMs = expiresAtMs };
    }

    /// <summary>Gives the key this content, whatever it held, with this expiry.</summary>
    public static void Set(ref CommandContext call, in Entry entry, ReadOnlySpan<byte> key, ReadOnlySpan<byte> content, long expiresAtMs)
    {
        if (entry.IsMissing)
        {
            call.Add(entry.Keyspace, Create(key, content, expiresAtMs));
            return;
        }
        if (expiresAtMs == entry.ExpiresAtMs && TryOverwrite(entry.Object, content)) return;
        uint clock = KeyEntry.AccessClock(entry.Object);
        object made = Create(key, content, expiresAtMs);
        KeyEntry.SetAccessClock(made, clock);
        call.Store.Freed(entry.Object);
        entry.Replace(made);
    }

    /// <summary>Makes a string that OBJECT ENCODING shows as raw, as one that was computed.</summary>
    public static object CreateRaw(ReadOnlySpan<byte> key, ReadOnlySpan<byte> content, long expiresAtMs)
    {
        if (key.Length + content.Length <= Blob.LargestPayload) return Blob.Create(BlobKind.RawString, key, content, expiresAtMs);
        return new StringValue(key.ToArray(), content.ToArray(), content.Length) { ExpiresAtMs = expiresAtMs };
    }

    /// <summary>
    /// The string's bytes, to be changed where they lie, at least <paramref name="length"/> of them, new ones being zero; a missing key comes
    /// into being. The entry shows as raw afterwards. A <see cref="Value"/> is to be counted anew when the change is done (Modified does).
    /// </summary>
    public static Span<byte> Extend(scoped ref CommandContext call, scoped in Entry entry, ReadOnlySpan<byte> key, int length)
    {
        if (entry.IsMissing)
        {
            object made = length <= SmallGrowth ? Zeros(key, length) : new StringValue(key.ToArray(), new byte[length], length);
            call.Add(entry.Keyspace, made);
            return made is byte[] blob ? Blob.Payload(blob) : ((StringValue)made).Span;
        }
        if (!entry.IsBlob) return Unsafe.As<StringValue>(entry.Value).Extend(length);
        Span<byte> scratch = stackalloc byte[ScratchLength];
        ReadOnlySpan<byte> content = Read(entry.Blob, scratch);
        if (entry.Kind != BlobKind.Integer && length <= content.Length)
        {
            Blob.SetKind(entry.Blob, BlobKind.RawString);
            return entry.Payload;
        }
        int total = Math.Max(length, content.Length);
        if (total <= Math.Max(SmallGrowth, content.Length))
        {
            byte[] made = Blob.WithPayload(entry.Blob, BlobKind.RawString, total, out Span<byte> payload);
            content.CopyTo(payload);
            payload[content.Length..].Clear();
            entry.Replace(made);
            return payload;
        }
        // What grows once will grow again, so it gets spare room.
        var value = new StringValue(key.ToArray(), content.ToArray(), content.Length)
        {
            ExpiresAtMs = entry.ExpiresAtMs,
            AccessClock = Blob.AccessClock(entry.Blob),
        };
        Span<byte> extended = value.Extend(total);
        entry.Replace(value);
        return extended;
    }

    /// <summary>A string up to this long is copied when it grows; the copy costs less than a second object would.</summary>
    private const int SmallGrowth = 64;

    private static byte[] Zeros(ReadOnlySpan<byte> key, int length)
    {
        byte[] made = Blob.Create(BlobKind.RawString, key, length, Expiry.Never, out Span<byte> payload);
        payload.Clear();
        return made;
    }
}
