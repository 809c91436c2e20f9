namespace OrleansRedis.Engine;

/// <summary>
/// Which arguments of a command's requests must not be shown to anyone; see <see cref="CommandAttribute.Secret"/>.
/// Whatever shows requests (MONITOR, SLOWLOG, a log) asks <see cref="Hides"/> about each argument, and shows
/// "(redacted)" instead, as Redis does.
/// </summary>
public sealed class Secrets
{
    private readonly int _first;
    private readonly string _word;
    private readonly int _after;
    private readonly bool _areDirectives;

    private Secrets(int first, string word, int after, bool areDirectives)
    {
        _first = first;
        _word = word;
        _after = after;
        _areDirectives = areDirectives;
    }

    /// <summary>Reads a declaration; null if it is empty.</summary>
    internal static Secrets? Parse(string text)
    {
        if (text.Length == 0) return null;
        if (text == "DIRECTIVES") return new(0, "", 0, areDirectives: true);
        int at = text.IndexOf('@'), plus = text.IndexOf('+');
        return at < 0
            ? new(int.Parse(text[..text.IndexOf("..", StringComparison.Ordinal)]), "", 0, areDirectives: false)
            : new(int.Parse(text[(at + 1)..plus]), text[..at], int.Parse(text[(plus + 1)..]), areDirectives: false);
    }

    /// <summary>Whether an argument of a request must not be shown.</summary>
    public bool Hides(in Request request, int argument)
    {
        if (_areDirectives)
            return argument > 2 && argument % 2 == 1 && Directive.TryFind(ByteText.Decode(request[argument - 1]), out Directive? directive)
                && directive.Declaration.Sensitive;
        if (_word.Length == 0) return argument >= _first;
        for (int i = argument - 1; i >= Math.Max(_first, argument - _after); i--)
        {
            if (Ascii.EqualsWord(request[i], _word)) return true;
        }
        return false;
    }
}
