using System.Globalization;
using System.Text;

namespace OrleansRedis.Tests.Harness;

/// <summary>What kind of reply a <see cref="RespValue"/> is. Names follow the RESP3 specification.</summary>
public enum RespKind
{
    SimpleString,
    Error,
    Integer,
    BulkString,
    Array,
    Null,
    Double,
    Boolean,
    BigNumber,
    VerbatimString,
    Map,
    Set,
    Push,
}

/// <summary>
/// One reply of a RESP2 or RESP3 server. Two values are equal if a client cannot tell them apart. <see cref="Bytes"/>
/// tells the RESP2 nulls (<c>$-1</c>, <c>*-1</c>) and RESP3's <c>_</c> apart: it holds <c>"$"</c>, <c>"*"</c> or
/// <c>"_"</c>.
/// </summary>
public sealed class RespValue : IEquatable<RespValue>
{
    private RespValue(RespKind kind, byte[] bytes, IReadOnlyList<RespValue> items)
    {
        Kind = kind;
        Bytes = bytes;
        Items = items;
    }

    public RespKind Kind { get; }

    /// <summary>
    /// The payload of a scalar, exactly as it came (a number as its digits, a boolean as <c>t</c> or <c>f</c>); empty
    /// for an aggregate.
    /// </summary>
    public byte[] Bytes { get; }

    /// <summary>The elements of an aggregate; of a map: key, value, key, value …</summary>
    public IReadOnlyList<RespValue> Items { get; }

    public bool IsNull => Kind == RespKind.Null;
    public bool IsError => Kind == RespKind.Error;
    public bool IsAggregate => Kind is RespKind.Array or RespKind.Map or RespKind.Set or RespKind.Push;

    /// <summary>The payload as text, in Latin-1: every byte is one character and none is lost.</summary>
    public string Text => Encoding.Latin1.GetString(Bytes);

    /// <summary>The payload as a number, whether it came as an integer or as a string of digits.</summary>
    public long Integer => long.Parse(Text, CultureInfo.InvariantCulture);

    public RespValue this[int index] => Items[index];

    /// <summary>
    /// The value for <paramref name="key"/> in a map, or in the flat array that takes its place in RESP2.
    /// </summary>
    public RespValue this[string key]
    {
        get
        {
            for (int i = 0; i + 1 < Items.Count; i += 2)
                if (Items[i].Text == key)
                    return Items[i + 1];
            throw new KeyNotFoundException($"no '{key}' in {this}");
        }
    }

    /// <summary>The elements as text, null for a null.</summary>
    public string?[] Texts => [.. Items.Select(item => item.IsNull ? null : item.Text)];

    public static RespValue Scalar(RespKind kind, ReadOnlySpan<byte> bytes) => new(kind, bytes.ToArray(), []);

    public static RespValue Scalar(RespKind kind, string text) => new(kind, Encoding.Latin1.GetBytes(text), []);

    public static RespValue Aggregate(RespKind kind, IReadOnlyList<RespValue> items) => new(kind, [], items);

    public bool Equals(RespValue? other) =>
        other is not null && Kind == other.Kind && Bytes.AsSpan().SequenceEqual(other.Bytes) && Items.SequenceEqual(other.Items);

    public override bool Equals(object? obj) => Equals(obj as RespValue);

    public override int GetHashCode()
    {
        HashCode hash = new();
        hash.Add(Kind);
        hash.AddBytes(Bytes);
        foreach (RespValue item in Items)
            hash.Add(item);
        return hash.ToHashCode();
    }

    /// <summary>
    /// A compact, unambiguous rendering for assertions and for people: <c>+OK</c>, <c>-ERR …</c>, <c>:1</c>,
    /// <c>"text"</c>, <c>nil</c>, <c>[…]</c>, <c>{k: v}</c>, <c>~[set]</c>, <c>>[push]</c>, <c>,1.5</c>, <c>#t</c>,
    /// <c>(big</c>, <c>=txt:verbatim</c>.
    /// </summary>
    public override string ToString()
    {
        StringBuilder text = new();
        Render(text);
        return text.ToString();
    }

    private void Render(StringBuilder text)
    {
        switch (Kind)
        {
            case RespKind.SimpleString: text.Append('+').Append(Text); break;
            case RespKind.Error: text.Append('-').Append(Text); break;
            case RespKind.Integer: text.Append(':').Append(Text); break;
            case RespKind.BulkString: Quote(text, Bytes); break;
            case RespKind.Null: text.Append("nil"); break;
            case RespKind.Double: text.Append(',').Append(Text); break;
            case RespKind.Boolean: text.Append('#').Append(Text); break;
            case RespKind.BigNumber: text.Append('(').Append(Text); break;
            case RespKind.VerbatimString: text.Append('=').Append(Text); break;
            case RespKind.Map:
                text.Append('{');
                for (int i = 0; i < Items.Count; i++)
                {
                    if (i > 0)
                        text.Append(i % 2 == 0 ? ", " : ": ");
                    Items[i].Render(text);
                }

                text.Append('}');
                break;
            default:
                text.Append(Kind switch { RespKind.Set => "~[", RespKind.Push => ">[", _ => "[" });
                for (int i = 0; i < Items.Count; i++)
                {
                    if (i > 0)
                        text.Append(", ");
                    Items[i].Render(text);
                }

                text.Append(']');
                break;
        }
    }

    /// <summary>Quotes bytes as redis-cli does, at most 200 of them.</summary>
    internal static void Quote(StringBuilder text, ReadOnlySpan<byte> bytes)
    {
        const int ShownBytes = 200;
        text.Append('"');
        foreach (byte b in bytes[..Math.Min(bytes.Length, ShownBytes)])
        {
            _ = b switch
            {
                (byte)'"' => text.Append("\\\""),
                (byte)'\\' => text.Append("\\\\"),
                (byte)'\n' => text.Append("\\n"),
                (byte)'\r' => text.Append("\\r"),
                (byte)'\t' => text.Append("\\t"),
                >= 0x20 and < 0x7f => text.Append((char)b),
                _ => text.Append(CultureInfo.InvariantCulture, $"\\x{b:x2}"),
            };
        }

        text.Append('"');
        if (bytes.Length > ShownBytes)
            text.Append(CultureInfo.InvariantCulture, $"…({bytes.Length} bytes)");
    }
}
