using System.Runtime.CompilerServices;

namespace OrleansRedis.Engine;

/// <summary>
/// Reads and creates string keys in their representations: integer, short bytes, long or growing bytes.
/// </summary>
internal static class StringEntry
{
    /// <summary>The scratch space that <see cref="Read"/> may need.</summary>
    public const int ScratchLength = 20;

    /// <summary>The string's bytes: in place or, for an integer, written into <paramref name="scratch"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ReadOnlySpan<byte> Read(KeyEntry entry, Span<byte> scratch)
    {
        if (!entry.TryBlob(out Blob blob)) return entry.As<StringValue>().Span;
        if (blob.Kind != BlobKind.Integer) return blob.Text;
        return scratch[..Numbers.FormatInt64(blob.Integer, scratch)];
    }

    /// <summary>How long the string is.</summary>
    public static int Length(KeyEntry entry)
    {
        if (!entry.TryBlob(out Blob blob)) return entry.As<StringValue>().Length;
        if (blob.Kind != BlobKind.Integer) return blob.Text.Length;
        Span<byte> digits = stackalloc byte[ScratchLength];
        return Numbers.FormatInt64(blob.Integer, digits);
    }

    /// <summary>Creates the smallest representation of a string.</summary>
    public static KeyEntry Create(ReadOnlySpan<byte> key, ReadOnlySpan<byte> content, long expiresAtMs) =>
        Numbers.TryParseInt64(content, out long number) ? Blob.CreateInteger(key, number, expiresAtMs) : CreateText(key, content, expiresAtMs);

    /// <summary>
    /// Changes the content in place, if that needs no allocation; the expiry stays as it is. False if a new entry
    /// is needed.
    /// </summary>
    public static bool TryOverwrite(KeyEntry entry, ReadOnlySpan<byte> content)
    {
        if (!entry.TryBlob(out Blob blob)) return false;
        switch (blob.Kind)
        {
            case BlobKind.String when !Numbers.TryParseInt64(content, out _) && blob.TryResizeText(content.Length):
                content.CopyTo(blob.Text);
                return true;
            case BlobKind.Integer when Numbers.TryParseInt64(content, out long number):
                blob.SetInteger(number);
                return true;
            default:
                return false;
        }
    }

    /// <summary>
    /// Creates a string that stays text even if it reads as an integer (INCRBYFLOAT's result is embstr in Redis).
    /// </summary>
    public static KeyEntry CreateText(ReadOnlySpan<byte> key, ReadOnlySpan<byte> content, long expiresAtMs) =>
        Create(BlobKind.String, key, content, expiresAtMs);

    /// <summary>Creates a string that OBJECT ENCODING reports as raw, like a string that was computed.</summary>
    public static KeyEntry CreateRaw(ReadOnlySpan<byte> key, ReadOnlySpan<byte> content, long expiresAtMs) =>
        Create(BlobKind.RawString, key, content, expiresAtMs);

    private static KeyEntry Create(BlobKind kind, ReadOnlySpan<byte> key, ReadOnlySpan<byte> content, long expiresAtMs)
    {
        if (key.Length + content.Length > Blob.LargestString) return new StringValue(key.ToArray(), content) { ExpiresAtMs = expiresAtMs };
        Blob blob = Blob.CreateText(kind, key, content.Length, expiresAtMs, out Span<byte> text);
        content.CopyTo(text);
        return blob;
    }
}
