using System.Buffers.Text;
using System.Globalization;
using System.Text;

namespace OrleansRedis.Grains;

/// <summary>The kinds of reply that a command can return.</summary>
public enum RedisReplyKind
{
    /// <summary>There is no value.</summary>
    Null,

    /// <summary>A short text such as OK.</summary>
    Status,

    /// <summary>The command failed; the text says why.</summary>
    Error,

    /// <summary>A 64-bit integer.</summary>
    Integer,

    /// <summary>Bytes.</summary>
    Bytes,

    /// <summary>A double.</summary>
    Double,

    /// <summary>True or false.</summary>
    Boolean,

    /// <summary>Several replies.</summary>
    Array,

    /// <summary>Several replies, each once.</summary>
    Set,

    /// <summary>Keys and values, alternating.</summary>
    Map,
}

/// <summary>
/// A command's reply, read from RESP3 (https://redis.io/docs/latest/develop/reference/protocol-spec/).
/// </summary>
public sealed class RedisReply
{
    private static readonly RedisReply[] None = [];

    private RedisReply(RedisReplyKind kind, ReadOnlyMemory<byte> bytes, RedisReply[] items)
    {
        Kind = kind;
        Bytes = bytes;
        Items = items;
    }

    /// <summary>The kind of reply.</summary>
    public RedisReplyKind Kind { get; }

    /// <summary>The bytes or text; a number in its textual form. Empty for aggregates and null.</summary>
    public ReadOnlyMemory<byte> Bytes { get; }

    /// <summary>The elements of an aggregate; for a map, its keys and values, alternating.</summary>
    public IReadOnlyList<RedisReply> Items { get; }

    /// <summary>Whether there is no value.</summary>
    public bool IsNull => Kind == RedisReplyKind.Null;

    /// <summary>The bytes as UTF-8 text; null if there is no value.</summary>
    public string? Text => IsNull ? null : Encoding.UTF8.GetString(Bytes.Span);

    /// <summary>The integer; throws <see cref="FormatException"/> if the reply is not one.</summary>
    public long Int64 => Kind == RedisReplyKind.Boolean
        ? (Bytes.Span[0] == 't' ? 1 : 0)
        : Utf8Parser.TryParse(Bytes.Span, out long value, out int used) && used == Bytes.Length
            ? value
            : throw new FormatException($"'{Text}' is not an integer.");

    /// <summary>The number; throws <see cref="FormatException"/> if the reply is not one.</summary>
    public double Double => Text switch
    {
        "inf" => double.PositiveInfinity,
        "-inf" => double.NegativeInfinity,
        { } text => double.Parse(text, CultureInfo.InvariantCulture),
        null => throw new FormatException("There is no value."),
    };

    /// <summary>Reads one reply; throws <see cref="FormatException"/> if the bytes are not exactly one reply.</summary>
    public static RedisReply Parse(ReadOnlyMemory<byte> resp)
    {
        int at = 0;
        RedisReply reply = Parse(resp, ref at);
        return at == resp.Length ? reply : throw new FormatException("There are bytes behind the reply.");
    }

    /// <summary>The text, or a list of the elements.</summary>
    public override string ToString() => Kind switch
    {
        RedisReplyKind.Null => "(nil)",
        RedisReplyKind.Array or RedisReplyKind.Set or RedisReplyKind.Map => $"[{string.Join(", ", Items)}]",
        _ => Text!,
    };

    private static RedisReply Parse(ReadOnlyMemory<byte> resp, ref int at)
    {
        int end = resp.Span[at..].IndexOf("\r\n"u8);
        if (end < 1) throw new FormatException("The reply ends early.");
        char marker = (char)resp.Span[at];
        ReadOnlyMemory<byte> line = resp.Slice(at + 1, end - 1);
        at += end + 2;
        switch (marker)
        {
            case '+': return new(RedisReplyKind.Status, line, None);
            case '-': return new(RedisReplyKind.Error, line, None);
            case ':': return new(RedisReplyKind.Integer, line, None);
            case '(': return new(RedisReplyKind.Integer, line, None);
            case ',': return new(RedisReplyKind.Double, line, None);
            case '#': return new(RedisReplyKind.Boolean, line, None);
            case '_': return new(RedisReplyKind.Null, default, None);
        }
        int count = Utf8Parser.TryParse(line.Span, out int number, out int used) && used == line.Length
            ? number
            : throw new FormatException($"'{marker}' is followed by no length.");
        if (count < 0) return new(RedisReplyKind.Null, default, None);
        switch (marker)
        {
            case '$' or '=':
                if (at + count + 2 > resp.Length) throw new FormatException("The reply ends early.");
                ReadOnlyMemory<byte> bytes = resp.Slice(at, count);
                at += count + 2;
                return new(RedisReplyKind.Bytes, marker == '=' ? bytes[4..] : bytes, None);
            case '*' or '>': return new(RedisReplyKind.Array, default, ParseItems(resp, count, ref at));
            case '~': return new(RedisReplyKind.Set, default, ParseItems(resp, count, ref at));
            case '%': return new(RedisReplyKind.Map, default, ParseItems(resp, count * 2, ref at));
            default: throw new FormatException($"A reply cannot begin with '{marker}'.");
        }
    }

    private static RedisReply[] ParseItems(ReadOnlyMemory<byte> resp, int count, ref int at)
    {
        var items = new RedisReply[count];
        for (int i = 0; i < count; i++) items[i] = Parse(resp, ref at);
        return items;
    }
}

/// <summary>A command was answered with an error. The message is Redis's own and begins with the error code.</summary>
[GenerateSerializer, Alias("OrleansRedis.RedisErrorException")]
public sealed class RedisErrorException(string message) : Exception(message);
