using System.Diagnostics.CodeAnalysis;

namespace OrleansRedis.Engine;

/// <summary>
/// notify-keyspace-events: letters, each for a class of events, and K and E for the two kinds of channels. A stands for
/// all classes but m and n.
/// </summary>
internal sealed class KeyEventClassesKind : DirectiveKind
{
    /// <summary>What A stands for, in the order in which Redis writes the letters.</summary>
    private const string All = "g$lshzxetd";

    private const string Rest = "nKEm";

    public override bool TryParse(ReadOnlySpan<string> words, object current, [NotNullWhen(true)] out object? value, [NotNullWhen(false)] out string? error)
    {
        value = null;
        error = "Invalid event class character. Use 'Ag$lshzxeKEtmdn'.";
        var letters = new HashSet<char>();
        foreach (char letter in words[0])
        {
            if (letter == 'A') letters.UnionWith(All);
            else if (All.Contains(letter) || Rest.Contains(letter)) letters.Add(letter);
            else return false;
        }
        string classes = All.All(letters.Contains) ? "A" : string.Concat(All.Where(letters.Contains));
        value = classes + string.Concat(Rest.Where(letters.Contains));
        error = null;
        return true;
    }

    public override string Format(object value) => (string)value;

    public override IEnumerable<string> Lines(object value) => [QuotedWords.Quote((string)value)];
}
