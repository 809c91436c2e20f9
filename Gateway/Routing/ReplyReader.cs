using OrleansRedis.Engine;

namespace OrleansRedis.Gateway;

/// <summary>Reads replies of other silos: integers, bulk strings and arrays of them.</summary>
internal ref struct ReplyReader(ReadOnlySpan<byte> bytes)
{
    private ReadOnlySpan<byte> _rest = bytes;

    /// <summary>What has not been read yet.</summary>
    public readonly ReadOnlySpan<byte> Rest => _rest;

    /// <summary>An integer, or the number of an aggregate's elements.</summary>
    public long Number()
    {
        int end = _rest.IndexOf("\r\n"u8);
        _ = Numbers.TryParseInt64(_rest[1..end], out long number);
        _rest = _rest[(end + 2)..];
        return number;
    }

    /// <summary>A bulk string or a null, as it is written.</summary>
    public ReadOnlySpan<byte> Element()
    {
        ReadOnlySpan<byte> before = _rest;
        bool isBulk = before[0] == '$';
        long length = Number();
        if (isBulk && length >= 0) _rest = _rest[((int)length + 2)..];
        return before[..^_rest.Length];
    }

    /// <summary>A bulk string.</summary>
    public ReadOnlySpan<byte> Bulk()
    {
        int length = (int)Number();
        ReadOnlySpan<byte> bulk = _rest[..length];
        _rest = _rest[(length + 2)..];
        return bulk;
    }
}
