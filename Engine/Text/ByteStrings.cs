namespace OrleansRedis.Engine;

/// <summary>Compares names by their bytes, so that a table of them can be searched with a span.</summary>
public sealed class ByteStrings : IEqualityComparer<byte[]>, IAlternateEqualityComparer<ReadOnlySpan<byte>, byte[]>
{
    public static ByteStrings Comparer { get; } = new();

    public bool Equals(byte[]? x, byte[]? y) => x.AsSpan().SequenceEqual(y);

    public int GetHashCode(byte[] name) => (int)KeyHash.Of(name);

    public byte[] Create(ReadOnlySpan<byte> name) => name.ToArray();

    public bool Equals(ReadOnlySpan<byte> name, byte[] other) => name.SequenceEqual(other);

    public int GetHashCode(ReadOnlySpan<byte> name) => (int)KeyHash.Of(name);
}
