using System.Diagnostics.CodeAnalysis;

namespace OrleansRedis.Engine;

/// <summary>How the server is to shut down: SHUTDOWN, shutdown-on-sigint, shutdown-on-sigterm.</summary>
[Flags]
public enum ShutdownModes
{
    /// <summary>Save the data if there are save points.</summary>
    Default = 0,

    /// <summary>Save the data in any case.</summary>
    Save = 1,

    /// <summary>Do not save the data.</summary>
    NoSave = 2,

    /// <summary>Do not wait for replicas.</summary>
    Now = 4,

    /// <summary>Shut down even if saving fails.</summary>
    Force = 8,
}

/// <summary>Words of <see cref="ShutdownModes"/> that may be combined.</summary>
internal sealed class ShutdownModesKind : DirectiveKind
{
    private static readonly (string Word, ShutdownModes Mode)[] s_words =
        [
            ("default", ShutdownModes.Default),
            ("save", ShutdownModes.Save),
            ("nosave", ShutdownModes.NoSave),
            ("now", ShutdownModes.Now),
            ("force", ShutdownModes.Force)
        ];

    public override bool TakesSeveralWords => true;

    /// <summary>No words are an error of its own, as in Redis.</summary>
    public override bool TakesNoWords => true;

    public override bool TryParse(ReadOnlySpan<string> words, object current, [NotNullWhen(true)] out object? value, [NotNullWhen(false)] out string? error)
    {
        value = null;
        var modes = ShutdownModes.Default;
        error = $"argument(s) must be one of the following: {string.Join(", ", s_words.Select(known => known.Word))}";
        if (words.IsEmpty) return false;
        foreach (string word in words)
        {
            int index = Array.FindIndex(s_words, known => known.Word.Equals(word, StringComparison.OrdinalIgnoreCase));
            if (index < 0) return false;
            modes |= s_words[index].Mode;
        }
        error = modes.HasFlag(ShutdownModes.Save | ShutdownModes.NoSave) ? "shutdown options SAVE and NOSAVE can't be used simultaneously" : null;
        value = modes;
        return error is null;
    }

    public override string Format(object value) => (ShutdownModes)value == ShutdownModes.Default
        ? "default"
        : string.Join(
            ' ',
            s_words.Where(known => known.Mode != ShutdownModes.Default && ((ShutdownModes)value).HasFlag(known.Mode)).Select(known => known.Word));
}
