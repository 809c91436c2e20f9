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

    /// <summary>Adds a library from a file.</summary>
    public void Add(byte[] code) => _codes = [.. _codes, code];

    /// <summary>Forgets all of them.</summary>
    public void Clear() => _codes = [];
}
