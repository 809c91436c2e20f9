using System.Runtime.CompilerServices;

namespace OrleansRedis.Engine;

/// <summary>Compares the words of commands, which are ASCII in any case.</summary>
public static class Ascii
{
    /// <summary>Whether an argument is this word, ignoring case.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Is(this ReadOnlySpan<byte> argument, ReadOnlySpan<byte> word) =>
        argument.Length == word.Length && System.Text.Ascii.EqualsIgnoreCase(argument, word);

    /// <inheritdoc cref="Is"/>
    public static bool EqualsWord(ReadOnlySpan<byte> argument, string word) =>
        argument.Length == word.Length && System.Text.Ascii.EqualsIgnoreCase(argument, word);
}
