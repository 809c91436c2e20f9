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
        if (expiresAtMs == entry.ExpiresAtMs && StringEntry.TryOverwrite(entry.Found, content)) return;
        uint clock = entry.Found.AccessClock;
        KeyEntry made = StringEntry.Create(key, content, expiresAtMs);
        made.SetAccessClock(clock);
        entry.Overwrite(made);
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
            KeyEntry made = CreateRaw(key, [], length, Expiry.Never, out Span<byte> zeros);
            call.Add(entry.Keyspace, made);
            return zeros;
        }
        if (!entry.IsBlob)
        {
            StringValue value = entry.Found.As<StringValue>();
            value.Extend(length);
            entry.Keyspace.Recount(value);
            return value.Span;
        }
        Blob blob = entry.Blob;
        if (blob.Kind != BlobKind.Integer && length <= blob.Text.Length)
        {
            blob.SetKind(BlobKind.RawString);
            return blob.Text;
        }
        Span<byte> scratch = stackalloc byte[StringEntry.ScratchLength];
        KeyEntry grown = CreateRaw(key, StringEntry.Read(blob, scratch), length, entry.ExpiresAtMs, out Span<byte> content);
        grown.SetAccessClock(blob.AccessClock);
        entry.Overwrite(grown);
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
            KeyEntry made = CreateRaw(key, [], length, Expiry.Never, out Span<byte> zeros, SmallGrowth);
            call.Add(entry.Keyspace, made);
            return zeros;
        }
        if (!entry.IsBlob) return entry.Found.As<StringValue>().Extend(length);
        Span<byte> scratch = stackalloc byte[StringEntry.ScratchLength];
        ReadOnlySpan<byte> content = StringEntry.Read(entry.Blob, scratch);
        if (entry.Kind != BlobKind.Integer && length <= content.Length)
        {
            entry.Blob.SetKind(BlobKind.RawString);
            return entry.Blob.Text;
        }
        int total = Math.Max(length, content.Length);
        if (total <= Math.Max(SmallGrowth, content.Length))
        {
            var made = Blob.CreateText(BlobKind.RawString, key, total, entry.ExpiresAtMs, out Span<byte> text);
            made.SetAccessClock(entry.Blob.AccessClock);
            content.CopyTo(text);
            text[content.Length..].Clear();
            entry.Overwrite(made);
            return text;
        }
        // A string that grows once will grow again, so it gets spare room.
        var value = new StringValue(key.ToArray(), content)
        {
            ExpiresAtMs = entry.ExpiresAtMs,
            AccessClock = entry.Blob.AccessClock,
        };
        Span<byte> extended = value.Extend(total);
        entry.Overwrite(value);
        return extended;
    }

    /// <summary>
    /// A string up to this length is copied when it grows, because the copy costs less than a second object would.
    /// </summary>
    private const int SmallGrowth = 64;

    /// <summary>
    /// Makes a string that was modified in place, or will be. Up to 128 bytes it is a blob, which the next change
    /// copies. Beyond that it is a value, which leaves itself room to grow.
    /// </summary>
    private static KeyEntry CreateRaw(
        ReadOnlySpan<byte> key, scoped ReadOnlySpan<byte> start, int length, long expiresAtMs, out Span<byte> content, int longestBlob = 128)
    {
        length = Math.Max(length, start.Length);
        KeyEntry made;
        if (length <= longestBlob && key.Length + length <= Blob.LargestString)
        {
            made = Blob.CreateText(BlobKind.RawString, key, length, expiresAtMs, out content);
            start.CopyTo(content);
            content[start.Length..].Clear();
            return made;
        }
        var value = new StringValue(key.ToArray(), start, length) { ExpiresAtMs = expiresAtMs };
        content = value.Extend(length);
        return value;
    }
}
