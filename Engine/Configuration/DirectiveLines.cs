using System.Diagnostics.CodeAnalysis;

namespace OrleansRedis.Engine;

/// <summary>
/// The lines of a directive that may have any number of them: the words of each after the directive's name.
/// </summary>
public sealed class DirectiveLines(params string[][] lines)
{
    /// <summary>No lines.</summary>
    public static readonly DirectiveLines None = new();

    /// <summary>The lines in their order.</summary>
    public IReadOnlyList<string[]> All => lines;
}

/// <summary>Lines of words that add up.</summary>
internal abstract class LinesKind : DirectiveKind
{
    public override bool TakesSeveralWords => true;

    public override bool TryParse(ReadOnlySpan<string> words, object current, [NotNullWhen(true)] out object? value, [NotNullWhen(false)] out string? error)
    {
        var before = (DirectiveLines)current;
        value = new DirectiveLines([.. before.All, words.ToArray()]);
        error = Refusal(words, before);
        return error is null;
    }

    public override string Format(object value) => string.Join(' ', Lines(value));

    public override IEnumerable<string> Lines(object value) =>
        ((DirectiveLines)value).All.Select(words => string.Join(' ', words.Select(word => IsPlain(word) ? word : QuotedWords.Quote(word))));

    public override bool AreEqual(object a, object b) => Lines(a).SequenceEqual(Lines(b));

    /// <summary>Why a line cannot follow those before it; null if it can.</summary>
    protected abstract string? Refusal(ReadOnlySpan<string> words, DirectiveLines before);

    private static bool IsPlain(string word) =>
        word.Length != 0 && word.AsSpan().IndexOfAnyExceptInRange('!', '~') < 0 && word.AsSpan().IndexOfAny('"', '\'') < 0;
}

/// <summary>user: a name and rules. A name must not be given twice.</summary>
internal sealed class UserLinesKind : LinesKind
{
    protected override string? Refusal(ReadOnlySpan<string> words, DirectiveLines before)
    {
        foreach (string[] line in before.All)
        {
            if (line[0] == words[0])
                return $"Error in user declaration '{words[0]}': Duplicate user found. A user can only be defined once in config files";
        }
        return null;
    }
}

/// <summary>rename-command: a command's name and the one that it is to have.</summary>
internal sealed class RenamedCommandsKind : LinesKind
{
    protected override string? Refusal(ReadOnlySpan<string> words, DirectiveLines before) => words.Length == 2 ? null : "wrong number of arguments";
}
