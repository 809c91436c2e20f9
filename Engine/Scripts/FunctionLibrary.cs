using System.Text;

namespace OrleansRedis.Engine;

/// <summary>A library of functions, as FUNCTION LOAD takes it.</summary>
internal sealed class FunctionLibrary(string name, byte[] code, int shebangLength, IReadOnlyList<LibraryFunction> functions)
{
    public string Name => name;

    public byte[] Code => code;

    /// <summary>The program. The end of the first line stays, so that lines keep their numbers.</summary>
    public ReadOnlySpan<byte> Program => code.AsSpan(shebangLength);

    /// <summary>Its functions, in the order in which it has registered them.</summary>
    public IReadOnlyList<LibraryFunction> Functions => functions;

    /// <summary>Whether it has been removed or replaced, so that threads may forget it, too.</summary>
    public volatile bool IsGone;

    /// <summary>Reads the first line of a library.</summary>
    /// <param name="code">The library.</param>
    /// <param name="name">Its name.</param>
    /// <param name="length">How long the line is, without its end.</param>
    /// <returns>What is wrong with the line; null if nothing is.</returns>
    public static string? ParseShebang(ReadOnlySpan<byte> code, out string name, out int length)
    {
        name = "";
        length = code.IndexOf((byte)'\n');
        if (!code.StartsWith("#!"u8)) return "Missing library metadata";
        if (length < 0) return "Invalid library metadata";
        if (!QuotedWords.TrySplit(Encoding.Latin1.GetString(code[..length]), out List<string> words) || words.Count == 0) return "Invalid library metadata";
        string? found = null;
        foreach (string word in words.Skip(1))
        {
            if (!word.StartsWith("name=", StringComparison.OrdinalIgnoreCase)) return $"Invalid metadata value given: {word}";
            if (found is not null) return "Invalid metadata value, name argument was given multiple times";
            found = word["name=".Length..];
        }
        if (found is null) return "Library name was not given";
        name = found;
        if (!IsName(name))
            return "Library names can only contain letters, numbers, or underscores(_) and must be at least one character long";
        string engine = words[0][2..];
        return engine.Equals("lua", StringComparison.OrdinalIgnoreCase) ? null : $"Engine '{engine}' not found";
    }

    private static bool IsName(string name) => name.Length != 0 && name.All(static c => char.IsAsciiLetterOrDigit(c) || c == '_');
}

/// <summary>A function of a library.</summary>
internal sealed class LibraryFunction(string name, byte[]? description, ScriptFlags flags) : ICallable
{
    public string Name => name;

    /// <summary>What the library says about it; null if it says nothing.</summary>
    public byte[]? Description => description;

    public ScriptFlags Flags => flags;

    /// <summary>Its library.</summary>
    public FunctionLibrary Library { get; set; } = null!;

    public ScriptTraits Traits { get; } = new();

    public bool IsReadOnly => (flags & ScriptFlags.NoWrites) != 0;
}
