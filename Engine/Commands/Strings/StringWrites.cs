using System.Runtime.CompilerServices;

namespace OrleansRedis.Engine;

/// <summary>
/// How commands change a key that holds a string, in any of the representations of <see cref="StringEntry"/>.
/// </summary>
internal static class StringWrites
{
    /// <summary>Gives the key this content and expiry, whatever it held before.</summary>
    public static void Set(ref CommandContext call, in Entry entry, ReadOnlySpan<byte> key, ReadOnlySpan<byte> content, long expiresAtMs)
    {
        if (entry.IsMissing)
        {
            call.Add(entry.Keyspace, StringEntry.Create(key, content, expiresAtMs));
            return;
        }
        if (expiresAtMs == entry.ExpiresAtMs && StringEntry.TryOverwrite(entry.Object, content)) return;
        uint clock = KeyEntry.AccessClock(entry.Object);
        object made = StringEntry.Create(key, content, expiresAtMs);
        KeyEntry.SetAccessClock(made, clock);
        entry.Replace(made);
    }

    /// <summary>
    /// The string's own bytes, for a command that writes into them. If there are fewer than <paramref name="length"/>,
    /// zeros are appended. A missing key is created. OBJECT ENCODING says raw from then on, and memory is counted. The
    /// caller checks the length, and calls Modified by key.
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
        Span<byte> scratch = stackalloc byte[StringEntry.ScratchLength];
        object grown = CreateRaw(key, StringEntry.Read(blob, scratch), length, entry.ExpiresAtMs, out Span<byte> content);
        KeyEntry.SetAccessClock(grown, Blob.AccessClock(blob));
        entry.Replace(grown);
        return content;
    }

    /// <summary>
    /// The string's bytes, to be changed in place. There are at least <paramref name="length"/> of them, and new ones
    /// are zero. A missing key is created. Afterwards the entry's encoding is raw. A <see cref="Value"/> must be
    /// counted again when the change is done (Modified does that).
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
        Span<byte> scratch = stackalloc byte[StringEntry.ScratchLength];
        ReadOnlySpan<byte> content = StringEntry.Read(entry.Blob, scratch);
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
        // A string that grows once will grow again, so it gets spare room.
        var value = new StringValue(key.ToArray(), content.ToArray(), content.Length)
        {
            ExpiresAtMs = entry.ExpiresAtMs,
            AccessClock = Blob.AccessClock(entry.Blob),
        };
        Span<byte> extended = value.Extend(total);
        entry.Replace(value);
        return extended;
    }

    /// <summary>
    /// A string up to this length is copied when it grows, because the copy costs less than a second object would.
    /// </summary>
    private const int SmallGrowth = 64;

    private static byte[] Zeros(ReadOnlySpan<byte> key, int length)
    {
        byte[] made = Blob.Create(BlobKind.RawString, key, length, Expiry.Never, out Span<byte> payload);
        payload.Clear();
        return made;
    }

    /// <summary>
    /// Makes a string that was modified in place, or will be. Up to 128 bytes it is a blob, which the next change
    /// copies. Beyond that it is a value, which leaves itself room to grow.
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
}
