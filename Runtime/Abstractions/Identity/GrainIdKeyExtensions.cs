using System.Buffers.Text;
using System.Text;

namespace Orleans.Runtime;

/// <summary>How integer and GUID keys are written: upper-case hexadecimal and the 32-digit form, with <c>+extension</c> behind for compound keys.</summary>
public static class GrainIdKeyExtensions
{
    /// <summary>The key of the integer <paramref name="key"/>.</summary>
    public static IdSpan CreateIntegerKey(long key)
    {
        Span<byte> text = stackalloc byte[16];
        Utf8Formatter.TryFormat(key, text, out int length, 'X');
        return new IdSpan(text[..length].ToArray());
    }

    /// <summary>The key of the integer <paramref name="key"/> with an extension.</summary>
    public static IdSpan CreateIntegerKey(long key, string? keyExtension) =>
        string.IsNullOrWhiteSpace(keyExtension) ? CreateIntegerKey(key) : IdSpan.Create($"{key:X}+{keyExtension}");

    /// <summary>The key of the GUID <paramref name="key"/>.</summary>
    public static IdSpan CreateGuidKey(Guid key) => IdSpan.Create(key.ToString("N"));

    /// <summary>The key of the GUID <paramref name="key"/> with an extension.</summary>
    public static IdSpan CreateGuidKey(Guid key, string? keyExtension) =>
        string.IsNullOrWhiteSpace(keyExtension) ? CreateGuidKey(key) : IdSpan.Create($"{key:N}+{keyExtension}");

    /// <summary>Reads an integer key; false when the key is not one.</summary>
    public static bool TryGetIntegerKey(this GrainId grainId, out long key, out string? keyExt)
    {
        ReadOnlySpan<byte> text = SplitExtension(grainId, out keyExt);
        return Utf8Parser.TryParse(text, out key, out int consumed, 'X') && consumed == text.Length;
    }

    /// <summary>The integer key.</summary>
    /// <exception cref="ArgumentException">The key is not an integer.</exception>
    public static long GetIntegerKey(this GrainId grainId) => grainId.GetIntegerKey(out _);

    /// <summary>The integer key and its extension, if any.</summary>
    /// <exception cref="ArgumentException">The key is not an integer.</exception>
    public static long GetIntegerKey(this GrainId grainId, out string? keyExt) =>
        grainId.TryGetIntegerKey(out long key, out keyExt) ? key : throw new ArgumentException($"Unable to parse the key of {grainId} as an integer");

    /// <summary>Reads a GUID key; false when the key is not one.</summary>
    public static bool TryGetGuidKey(this GrainId grainId, out Guid key, out string? keyExt)
    {
        ReadOnlySpan<byte> text = SplitExtension(grainId, out keyExt);
        return Utf8Parser.TryParse(text, out key, out int consumed, 'N') && consumed == text.Length;
    }

    /// <summary>The GUID key.</summary>
    /// <exception cref="ArgumentException">The key is not a GUID.</exception>
    public static Guid GetGuidKey(this GrainId grainId) => grainId.GetGuidKey(out _);

    /// <summary>The GUID key and its extension, if any.</summary>
    /// <exception cref="ArgumentException">The key is not a GUID.</exception>
    public static Guid GetGuidKey(this GrainId grainId, out string? keyExt) =>
        grainId.TryGetGuidKey(out Guid key, out keyExt) ? key : throw new ArgumentException($"Unable to parse the key of {grainId} as a GUID");

    private static ReadOnlySpan<byte> SplitExtension(GrainId grainId, out string? extension)
    {
        ReadOnlySpan<byte> key = grainId.Key.AsSpan();
        int plus = key.IndexOf((byte)'+');
        extension = plus < 0 ? null : Encoding.UTF8.GetString(key[(plus + 1)..]);
        return plus < 0 ? key : key[..plus];
    }
}
