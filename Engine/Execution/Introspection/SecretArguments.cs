using System.Text;

namespace OrleansRedis.Engine;

/// <summary>
/// Which arguments of a request are secrets, such as passwords. Whatever shows requests of others (SLOWLOG, MONITOR, the
/// log) shows <see cref="InTheirPlace"/> instead. The rule is part of a command's declaration:
/// <see cref="CommandAttribute.Secrets"/>.
/// </summary>
public sealed class SecretArguments
{
    /// <summary>In the declaration of CONFIG SET: the values of directives that are secrets.</summary>
    public const string OfDirectives = "directives";

    private readonly int _from = int.MaxValue; // every argument from here on
    private readonly bool _ofDirectives;
    private readonly (byte[] Word, int Count)[] _afterWords = [];

    private SecretArguments(string rule)
    {
        if (rule == OfDirectives) _ofDirectives = true;
        else if (rule.EndsWith("..", StringComparison.Ordinal)) _from = int.Parse(rule[..^2]);
        else _afterWords = [.. rule.Split(';').Select(part => part.Split('+')).Select(part => (Encoding.ASCII.GetBytes(part[0]), int.Parse(part[1])))];
    }

    /// <summary>What is shown in the place of a secret.</summary>
    public static ReadOnlySpan<byte> InTheirPlace => "(redacted)"u8;

    /// <summary>Whether an argument of a request must not be shown.</summary>
    public static bool Covers(CommandInfo command, in Request request, int index) => command.Secrets?.Covers(request, index) == true;

    /// <summary>Reads a rule; null if there is none.</summary>
    internal static SecretArguments? Parse(string rule) => rule.Length == 0 ? null : new(rule);

    /// <summary>Whether what follows a word of CONFIG SET must not be shown.</summary>
    /// <param name="word">The word.</param>
    /// <param name="isName">Whether it is where a directive's name belongs: then one that is unknown may be misspelt.</param>
    private static bool IsBeforeSecret(string word, bool isName) => Directive.TryFind(word, out Directive? found) ? found.Declaration.Sensitive : isName;

    private bool Covers(in Request request, int index)
    {
        if (index >= _from) return true;
        // Whatever its place: if a word is missing or too many, a password is where a name belongs.
        if (_ofDirectives) return index >= 3 && IsBeforeSecret(ByteText.Decode(request[index - 1]), isName: index % 2 == 1);
        foreach ((byte[] word, int count) in _afterWords)
        {
            for (int at = Math.Max(1, index - count); at < index; at++)
            {
                if (request[at].Is(word)) return true;
            }
        }
        return false;
    }
}
