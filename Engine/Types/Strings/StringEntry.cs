using System.Buffers.Binary;
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

    /// <summary>Creates the smallest representation of a string.</summary>
    public static object Create(ReadOnlySpan<byte> key, ReadOnlySpan<byte> content, long expiresAtMs)
    {
        return Numbers.TryParseInt64(content, out long number) ? Create(key, number, expiresAtMs) : CreateText(key, content, expiresAtMs);
    }

    /// <summary>Creates an integer string.</summary>
    public static byte[] Create(ReadOnlySpan<byte> key, long number, long expiresAtMs)
    {
        byte[] blob = Blob.Create(BlobKind.Integer, key, sizeof(long), expiresAtMs, out Span<byte> payload);
        BinaryPrimitives.WriteInt64LittleEndian(payload, number);
        return blob;
    }

    /// <summary>
    /// Changes the content in place, if that needs no allocation; the expiry stays as it is. False if a new entry
    /// is needed.
    /// </summary>
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
    /// Creates a string that stays text even if it reads as an integer (INCRBYFLOAT's result is embstr in Redis).
    /// </summary>
    public static object CreateText(ReadOnlySpan<byte> key, ReadOnlySpan<byte> content, long expiresAtMs)
    {
        if (key.Length + content.Length <= Blob.LargestPayload) return Blob.Create(BlobKind.String, key, content, expiresAtMs);
        return new StringValue(key.ToArray(), content.ToArray(), content.Length) { ExpiresAtMs = expiresAtMs };
    }

    /// <summary>Creates a string that OBJECT ENCODING reports as raw, like a string that was computed.</summary>
    public static object CreateRaw(ReadOnlySpan<byte> key, ReadOnlySpan<byte> content, long expiresAtMs)
    {
        if (key.Length + content.Length <= Blob.LargestPayload) return Blob.Create(BlobKind.RawString, key, content, expiresAtMs);
        return new StringValue(key.ToArray(), content.ToArray(), content.Length) { ExpiresAtMs = expiresAtMs };
    }
}
