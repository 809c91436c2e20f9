using System.Globalization;
using System.Text;

namespace OrleansRedis.Tests.Harness;

/// <summary>
/// What a few commands do to a few keys, one after the other: the sequential object that <see cref="Linearizability"/>
/// compares histories with. Strings and lists; replies as <see cref="RespValue.ToString"/> shows them. Immutable.
/// </summary>
public sealed class KeyModel : IEquatable<KeyModel>
{
    private readonly SortedDictionary<string, string[]> _keys; // a string is an array of one element that begins with "="
    private readonly string _text;

    private KeyModel(SortedDictionary<string, string[]> keys)
    {
        _keys = keys;
        var text = new StringBuilder();
        foreach ((string key, string[] value) in keys) text.Append(key).Append('\u0001').AppendJoin('\u0002', value).Append('\u0003');
        _text = text.ToString();
    }

    /// <summary>No keys.</summary>
    public static KeyModel Empty { get; } = new([]);

    /// <summary>Runs a command; the words of several are separated by ";" (a transaction).</summary>
    public (KeyModel Next, string Reply) Run(IReadOnlyList<string> words)
    {
        var keys = new SortedDictionary<string, string[]>(_keys, StringComparer.Ordinal);
        var replies = new List<string>();
        int start = 0;
        for (int i = 0; i <= words.Count; i++)
        {
            if (i < words.Count && words[i] != ";") continue;
            replies.Add(RunOne(keys, [.. words.Skip(start).Take(i - start)]));
            start = i + 1;
        }
        return (new(keys), replies.Count == 1 ? replies[0] : $"[{string.Join(", ", replies)}]");
    }

    /// <summary>The keys that a command names.</summary>
    public static IEnumerable<string> KeysOf(IReadOnlyList<string> words)
    {
        bool isFirst = true;
        for (int i = 0; i < words.Count; i++)
        {
            if (isFirst)
            {
                switch (words[i])
                {
                    case "MSET":
                        for (int at = i + 1; at < words.Count && words[at] != ";"; at += 2) yield return words[at];
                        break;
                    case "MGET" or "DEL" or "EXISTS":
                        for (int at = i + 1; at < words.Count && words[at] != ";"; at++) yield return words[at];
                        break;
                    default:
                        yield return words[i + 1];
                        break;
                }
            }
            isFirst = words[i] == ";";
        }
    }

    public bool Equals(KeyModel? other) => other is not null && _text == other._text;

    public override bool Equals(object? obj) => Equals(obj as KeyModel);

    public override int GetHashCode() => _text.GetHashCode(StringComparison.Ordinal);

    public override string ToString() => string.Join(", ", _keys.Select(key => $"{key.Key}: {string.Join(" ", key.Value)}"));

    private static string RunOne(SortedDictionary<string, string[]> keys, string[] words)
    {
        string[]? value = words.Length > 1 ? keys.GetValueOrDefault(words[1]) : null;
        switch (words[0])
        {
            case "SET" when words is [_, _, _, "GET"]:
                keys[words[1]] = ["=" + words[2]];
                return Shown(value);
            case "SET":
                keys[words[1]] = ["=" + words[2]];
                return "+OK";
            case "SETNX":
                if (value is null) keys[words[1]] = ["=" + words[2]];
                return value is null ? ":1" : ":0";
            case "GET":
                return Shown(value);
            case "GETDEL":
                keys.Remove(words[1]);
                return Shown(value);
            case "INCR":
                long number = value is null ? 1 : long.Parse(value[0][1..], CultureInfo.InvariantCulture) + 1;
                keys[words[1]] = [$"={number}"];
                return $":{number}";
            case "MSET":
                for (int i = 1; i < words.Length; i += 2) keys[words[i]] = ["=" + words[i + 1]];
                return "+OK";
            case "MGET":
                return $"[{string.Join(", ", words.Skip(1).Select(key => Shown(keys.GetValueOrDefault(key))))}]";
            case "DEL":
                return $":{words.Skip(1).Count(keys.Remove)}";
            case "EXISTS":
                return $":{words.Skip(1).Count(keys.ContainsKey)}";
            case "RPUSH":
                keys[words[1]] = [.. value ?? [], words[2]];
                return $":{keys[words[1]].Length}";
            case "LPOP":
                if (value is null) return "nil";
                if (value.Length == 1) keys.Remove(words[1]);
                else keys[words[1]] = value[1..];
                return $"\"{value[0]}\"";
            case "LRANGE":
                return $"[{string.Join(", ", (value ?? []).Select(element => $"\"{element}\""))}]";
            default:
                throw new ArgumentException($"The model has no {words[0]}.");
        }
    }

    private static string Shown(string[]? value) => value is null ? "nil" : $"\"{value[0][1..]}\"";
}
