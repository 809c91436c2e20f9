namespace OrleansRedis.Engine;

/// <summary>
/// The function libraries of a silo, as files hold them: their source code.
/// </summary>
public sealed class FunctionLibraries
{
    private volatile byte[][] _codes = [];

    /// <summary>The code of each library.</summary>
    public IReadOnlyList<byte[]> Codes => _codes;

    /// <summary>Adds a library from a file. False if there is one of the same name, which is not to be replaced.</summary>
    public bool TryAdd(byte[] code, bool replaces = false)
    {
        byte[] name = NameIn(code).ToArray();
        if (!replaces && _codes.Any(other => NameIn(other).SequenceEqual(name))) return false;
        _codes = [.. _codes.Where(other => !NameIn(other).SequenceEqual(name)), code];
        return true;
    }

    /// <summary>Replaces all libraries.</summary>
    public void Replace(byte[][] codes) => _codes = codes;

    /// <summary>The name in the first line, "#!lua name=mylib"; the whole code if there is no name.</summary>
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
