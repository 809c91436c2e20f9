using System.Globalization;
using System.Text;

namespace OrleansRedis.Tests;

/// <summary>A reply that is an error.</summary>
internal sealed record RespError(string Text)
{
    public override string ToString() => "-" + Text;
}

/// <summary>A reply that is a RESP3 map, in order.</summary>
internal sealed record RespMap(IReadOnlyList<KeyValuePair<object?, object?>> Pairs);

/// <summary>A reply that is a RESP3 set.</summary>
internal sealed record RespSet(object?[] Members);

/// <summary>
/// Parses RESP2 and RESP3 replies: strings (as Latin-1, so that every byte is a character), long, double, bool, null,
/// object?[], <see cref="RespMap"/>, <see cref="RespSet"/> and <see cref="RespError"/>.
/// </summary>
internal ref struct Replies(ReadOnlySpan<byte> bytes)
{
    private ReadOnlySpan<byte> _rest = bytes;

    public readonly bool AtEnd => _rest.IsEmpty;

    public object? Next()
    {
        byte kind = _rest[0];
        int end = _rest.IndexOf("\r\n"u8);
        string line = Encoding.Latin1.GetString(_rest[1..end]);
        _rest = _rest[(end + 2)..];
        switch ((char)kind)
        {
            case '+': return line;
            case '-': return new RespError(line);
            case ':': return long.Parse(line, CultureInfo.InvariantCulture);
            case ',':
                return line switch
                {
                    "inf" => double.PositiveInfinity,
                    "-inf" => double.NegativeInfinity,
                    "nan" => double.NaN,
                    _ => double.Parse(line, CultureInfo.InvariantCulture)
                };
            case '(': return line;
            case '#': return line == "t";
            case '_': return null;
            case '$':
            case '=':
                int length = int.Parse(line, CultureInfo.InvariantCulture);
                if (length < 0) return null;
                string text = Encoding.Latin1.GetString(_rest[..length]);
                _rest = _rest[(length + 2)..];
                return kind == '=' ? text[4..] : text;
            case '*':
            case '>':
                int count = int.Parse(line, CultureInfo.InvariantCulture);
                return count < 0 ? null : Many(count);
            case '~': return new RespSet(Many(int.Parse(line, CultureInfo.InvariantCulture)));
            case '%':
                object?[] flat = Many(2 * int.Parse(line, CultureInfo.InvariantCulture));
                return new RespMap([.. flat.Chunk(2).Select(pair => KeyValuePair.Create(pair[0], pair[1]))]);
            default: throw new FormatException($"'{(char)kind}{line}' is no RESP.");
        }
    }

    /// <summary>
    /// A reply as short text: nil as (nil), arrays as [a, b], maps as {k: v}, errors as -ERR …. A bulk string looks
    /// like a simple one.
    /// </summary>
    public static string Show(object? reply) => reply switch
    {
        null => "(nil)",
        object?[] many => "[" + string.Join(", ", many.Select(Show)) + "]",
        RespSet set => "~[" + string.Join(", ", set.Members.Select(Show)) + "]",
        RespMap map => "{" + string.Join(", ", map.Pairs.Select(pair => Show(pair.Key) + ": " + Show(pair.Value))) + "}",
        IFormattable number => number.ToString(null, CultureInfo.InvariantCulture),
        _ => reply.ToString()!,
    };

    private object?[] Many(int count)
    {
        var many = new object?[count];
        for (int i = 0; i < count; i++) many[i] = Next();
        return many;
    }
}
