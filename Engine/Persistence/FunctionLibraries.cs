namespace OrleansRedis.Engine;

/// <summary>
/// The function libraries of a silo. They cannot be run yet; those that a file holds are kept, as the code that they are, so that the next file
/// holds them again.
/// </summary>
public sealed class FunctionLibraries
{
    private volatile byte[][] _codes = [];

    /// <summary>The code of each.</summary>
    public IReadOnlyList<byte[]> Codes => _codes;

    /// <summary>Adds a library from a file; one that has its name goes.</summary>
    public void Add(byte[] code)
    {
        byte[] name = NameIn(code).ToArray();
        _codes = [.. _codes.Where(other => !NameIn(other).SequenceEqual(name)), code];
    }

    /// <summary>Forgets all of them.</summary>
    public void Clear() => _codes = [];

    /// <summary>What the first line, "#!lua name=mylib", says; all of it if that is not to be found there.</summary>
    private static ReadOnlySpan<byte> NameIn(byte[] code)
    {
        ReadOnlySpan<byte> line = code;
        if (line.IndexOf((byte)'\n') is >= 0 and int end) line = line[..end];
        int start = line.IndexOf("name="u8);
        if (start < 0) return code;
        line = line[(start + 5)..];
        return line.IndexOfAny(" \r\t"u8) is >= 0 and int length ? line[..length] : line;
    }
}
