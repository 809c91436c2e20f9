using System.Text.RegularExpressions;

namespace OrleansRedis.Engine;

/// <summary>The types of arguments in COMMAND DOCS.</summary>
public enum ArgumentType
{
    String,
    Integer,
    Double,
    Key,
    Pattern,
    UnixTime,
    PureToken,
    OneOf,
    Block,
}

/// <summary>
/// An argument of a command as COMMAND DOCS describes it (https://redis.io/docs/latest/commands/command-docs/), made
/// from <see cref="CommandAttribute.Syntax"/>. Words in capitals, and signs, are tokens; other words are values. A
/// token and the values that follow it are one argument. <c>[…]</c> is optional, <c>&lt;…&gt;</c> groups, <c>|</c>
/// separates alternatives, <c>a [a ...]</c> may be repeated. A value's type follows from its name; "name:double" gives
/// another type. <c>name=</c> before an argument names it otherwise than its words do; <c>@6.2.0</c> after it says since
/// when it exists, <c>@..6.2.0</c> since when it is deprecated.
/// </summary>
public sealed class ArgumentSyntax
{
    private static readonly Dictionary<string, ArgumentType> s_typeOfName = ByName(
        (ArgumentType.Key, "key key1 key2 newkey source sourcekey destination destkey dst src"),
        (ArgumentType.Pattern, "pattern"),
        (ArgumentType.UnixTime, "unix-time-seconds unix-time-milliseconds"),
        (ArgumentType.Double, "score longitude latitude radius width height"),
        (ArgumentType.Integer,
            "bit bits client-id count cursor db decrement destination-db end entries-added entries-read frequency increment index index1 index2"),
        (ArgumentType.Integer, "len limit maxage milliseconds min-match-len ms num-matches numfields numids numkeys numlocal numreplicas offset port protover"),
        (ArgumentType.Integer, "num-vertices rank seconds slot start stop timeout ttl version weight"));

    private static readonly Dictionary<string, ArgumentType> s_typeOfWord = ByName(
        (ArgumentType.String, "string"), (ArgumentType.Integer, "integer"), (ArgumentType.Double, "double"),
        (ArgumentType.Key, "key"), (ArgumentType.Pattern, "pattern"), (ArgumentType.UnixTime, "unix-time"));

    private static readonly Dictionary<string, string> s_nameOfSign = new()
    {
        ["*"] = "auto-id",
        ["="] = "equal",
        ["~"] = "approximately",
        ["$"] = "last-id",
        ["\"\""] = "empty-string",
    };

    private string _source = ""; // as written in the syntax, to recognise repetitions
    private bool _isClosed;      // values that follow it do not belong to its token

    private ArgumentSyntax()
    {
    }

    public string Name { get; private set; } = "";

    /// <summary>What people are shown in place of a value.</summary>
    public string DisplayText { get => field ?? Name; private set; }

    /// <summary>Since when the command has this argument; null if that is not known or as old as the command.</summary>
    public string? Since { get; private set; }

    /// <summary>Since when it is deprecated; null if it is not.</summary>
    public string? DeprecatedSince { get; private set; }

    public ArgumentType Type { get; private set; }

    /// <summary>The literal word that precedes the argument, or is the argument; null if there is none.</summary>
    public string? Token { get; private set; }

    public bool IsOptional { get; private set; }

    public bool IsMultiple { get; private set; }

    /// <summary>Whether each repetition repeats the token too.</summary>
    public bool RepeatsToken { get; private set; }

    /// <summary>Which of the command's key specifications a key belongs to; -1 for other arguments.</summary>
    public int KeySpecification { get; private set; } = -1;

    /// <summary>The parts of a block, or the alternatives.</summary>
    public IReadOnlyList<ArgumentSyntax> Arguments { get; private set; } = [];

    /// <summary>Parses the arguments of a command.</summary>
    public static IReadOnlyList<ArgumentSyntax> Parse(string syntax, IReadOnlyList<KeySpecification> keys)
    {
        var words = new Words(syntax);
        List<List<ArgumentSyntax>> alternatives = ParseAlternatives(words, null, out _);
        List<ArgumentSyntax> arguments = alternatives.Count == 1 ? alternatives[0] : [Combine(alternatives)];
        int nextSpecification = 0;
        AssignKeys(arguments, null, keys, ref nextSpecification);
        return arguments;
    }

    /// <param name="words">The words, starting with the first one of the group.</param>
    /// <param name="end">The bracket that ends the group.</param>
    /// <param name="isMultiple">Whether the group ends with a repetition of itself: "a b | c [a b | c ...]".</param>
    private static List<List<ArgumentSyntax>> ParseAlternatives(Words words, string? end, out bool isMultiple)
    {
        int start = words.Position;
        isMultiple = false;
        var alternatives = new List<List<ArgumentSyntax>> { ParseSequence(words, start, ref isMultiple) };
        while (words.TryTake("|")) alternatives.Add(ParseSequence(words, start, ref isMultiple));
        if (end is null ? !words.AtEnd : !words.TryTake(end)) throw new FormatException($"The syntax '{words}' lacks a '{end}' or has one too many.");
        return alternatives;
    }

    /// <summary>
    /// Parses the arguments of a group, and combines them into one if there are several parts or alternatives.
    /// </summary>
    private static ArgumentSyntax ParseGroup(Words words, string end)
    {
        int start = words.Position;
        ArgumentSyntax group = Combine(ParseAlternatives(words, end, out bool isMultiple));
        group.IsMultiple |= isMultiple;
        group._isClosed = true;
        group._source = words.Source(start, words.Position - 1);
        return group;
    }

    private static List<ArgumentSyntax> ParseSequence(Words words, int groupStart, ref bool groupIsMultiple)
    {
        var sequence = new List<ArgumentSyntax>();
        while (words.Peek is { } word and not ("|" or "]" or ">"))
        {
            int start = words.Position;
            words.Skip();
            if (Words.IsVersion(word))
            {
                Date(sequence[^1], word);
                continue;
            }
            if (word == "[" && words.TryTakeRepetition(out string? repeated))
            {
                if (words.HasAlternatives(groupStart, start) && repeated == words.Source(groupStart, start)) groupIsMultiple = true;
                else Repeat(sequence, repeated);
                continue;
            }
            string? name = null;
            if (Words.IsName(word))
            {
                name = word[..^1];
                word = words.Peek ?? throw new FormatException($"The syntax '{words}' names nothing '{name}'.");
                words.Skip();
            }
            ArgumentSyntax argument = ParseOne(words, word);
            if (word != "<") argument._source = words.Source(start);
            // In "TOKEN value value" all the values belong to the token.
            if (name is null && word is not ("[" or "<") && !IsToken(word) && sequence is
                [.., { Token: not null, IsOptional: false, _isClosed: false, Type: not (ArgumentType.PureToken or ArgumentType.OneOf) } tokenOf])
            {
                AppendToBlock(sequence, tokenOf, argument);
                continue;
            }
            if (name is not null)
            {
                if (argument.Type is not (ArgumentType.PureToken or ArgumentType.OneOf or ArgumentType.Block)) argument.DisplayText = argument.Name;
                argument.Name = name;
            }
            sequence.Add(argument);
        }
        return sequence;
    }

    /// <summary>Parses the argument that begins with this word, which has been taken.</summary>
    private static ArgumentSyntax ParseOne(Words words, string word)
    {
        if (word is "[" or "<")
        {
            ArgumentSyntax group = ParseGroup(words, word == "[" ? "]" : ">");
            group.IsOptional |= word == "[";
            return group;
        }
        if (!IsToken(word)) return Value(word);
        if (words.TryTake("<"))
        {
            ArgumentSyntax group = ParseGroup(words, ">");
            group.Token = word;
            if (group.Type == ArgumentType.Block) group.Name = word.ToLowerInvariant();
            return group;
        }
        if (words.Peek is { } value and not ("|" or "]" or ">" or "[") && !IsToken(value) && !Words.IsVersion(value) && !Words.IsName(value))
        {
            words.Skip();
            ArgumentSyntax argument = Value(value);
            argument.Token = word;
            return argument;
        }
        return new()
        {
            Type = ArgumentType.PureToken,
            Token = word == "\"\"" ? "" : word,
            Name = s_nameOfSign.GetValueOrDefault(word, word.ToLowerInvariant()),
        };
    }

    private static void Date(ArgumentSyntax argument, string version)
    {
        if (version.StartsWith("@..", StringComparison.Ordinal)) argument.DeprecatedSince = version[3..];
        else argument.Since = version[1..];
        argument._isClosed = true;
    }

    private static void AppendToBlock(List<ArgumentSyntax> sequence, ArgumentSyntax first, ArgumentSyntax more)
    {
        if (first.Type == ArgumentType.Block)
        {
            first.Arguments = [.. first.Arguments, more];
            first._source += " " + more._source;
            return;
        }
        var block = new ArgumentSyntax
        {
            Type = ArgumentType.Block,
            Name = first.Token!.ToLowerInvariant(),
            Token = first.Token,
            _source = first._source + " " + more._source,
        };
        first._source = first._source[(first.Token!.Length + 1)..];
        first.Token = null;
        block.Arguments = [first, more];
        sequence[^1] = block;
    }

    /// <summary>
    /// Handles "[a b ...]": marks the last arguments, which must be written exactly like this, as repeatable.
    /// </summary>
    private static void Repeat(List<ArgumentSyntax> sequence, string repeated)
    {
        // "<a | b> [<a | b> ...]" may as well be written "<a | b> [a | b ...]".
        if (repeated.StartsWith("< ", StringComparison.Ordinal) && repeated.EndsWith(" >", StringComparison.Ordinal) && repeated.Count(c => c == '<') == 1)
            repeated = repeated[2..^2];
        // If the last argument is a token's block ("STREAMS key [key ...] id [id ...]"), they are the block's last
        // arguments.
        if (sequence is [.., { Type: ArgumentType.Block, Token: not null } block])
        {
            var parts = new List<ArgumentSyntax>(block.Arguments);
            if (TryRepeatLast(parts, repeated))
            {
                block.Arguments = parts;
                return;
            }
        }
        if (sequence is [.., { Token: { } token } last] && last._source == $"{token} {repeated}")
        {
            last.IsMultiple = true;
            return;
        }
        if (TryRepeatLast(sequence, repeated)) return;
        throw new FormatException($"'[{repeated} ...]' repeats nothing that stands before it.");
    }

    private static bool TryRepeatLast(List<ArgumentSyntax> sequence, string repeated)
    {
        for (int count = 1; count <= sequence.Count; count++)
        {
            if (string.Join(' ', sequence[^count..].Select(argument => argument._source)) != repeated) continue;
            ArgumentSyntax last = sequence[^1];
            if (count > 1)
            {
                last = new() { Type = ArgumentType.Block, Name = "data", Arguments = sequence[^count..] };
                sequence.RemoveRange(sequence.Count - count, count);
                sequence.Add(last);
            }
            last.IsMultiple = true;
            last.RepeatsToken = last.Token is not null;
            return true;
        }
        return false;
    }

    private static ArgumentSyntax Combine(List<List<ArgumentSyntax>> alternatives)
    {
        ArgumentSyntax[] parts = [.. alternatives.Select(Block)];
        if (parts.Length == 1) return parts[0];
        string[] names = [.. parts.Select(part => part.Name)];
        return new()
        {
            Type = ArgumentType.OneOf,
            Arguments = parts,
            Name = names[0] switch
            {
                "nx" or "xx" => "condition",
                "gt" or "lt" => "comparison",
                "asc" => "order",
                "m" => "unit",
                "on" => "enabled",
                "ex" or "seconds" when names.Length > 2 => "expiration",
                _ => string.Join('-', names),
            },
        };

        static ArgumentSyntax Block(List<ArgumentSyntax> sequence) => sequence is [var only]
            ? only
            : new() { Type = ArgumentType.Block, Name = string.Join('-', sequence.Select(argument => argument.Name)), Arguments = sequence };
    }

    private static ArgumentSyntax Value(string word)
    {
        int colon = word.LastIndexOf(':');
        if (colon > 0 && s_typeOfWord.TryGetValue(word[(colon + 1)..], out ArgumentType type)) word = word[..colon];
        else type = s_typeOfName.GetValueOrDefault(word, ArgumentType.String);
        return new() { Name = word, Type = type };
    }

    private static Dictionary<string, ArgumentType> ByName(params (ArgumentType Type, string Names)[] names) =>
        names.SelectMany(one => one.Names.Split(' ').Select(name => (name, one.Type))).ToDictionary();

    private static bool IsToken(string word) => !word.Any(char.IsAsciiLetterLower) && word != "...";

    private static void AssignKeys(IEnumerable<ArgumentSyntax> arguments, string? token, IReadOnlyList<KeySpecification> keys, ref int next)
    {
        foreach (ArgumentSyntax argument in arguments)
        {
            AssignKeys(argument.Arguments, argument.Token ?? token, keys, ref next);
            // The patterns of SORT make the names of further keys, which only the values of others reveal.
            if (argument.Type == ArgumentType.Pattern)
                argument.KeySpecification = Enumerable.Range(0, keys.Count).FirstOrDefault(i => keys[i] is { Search: KeySearch.Unknown, Keyword: "" }, -1);
            if (argument.Type != ArgumentType.Key) continue;
            if (keys.Count == 0)
            {
                argument.Type = ArgumentType.String;
                continue;
            }
            string? word = argument.Token ?? token;
            int byWord = word is null ? -1 : Enumerable.Range(0, keys.Count).FirstOrDefault(i => keys[i].Keyword == word, -1);
            argument.KeySpecification = byWord >= 0 ? byWord : Math.Min(next++, keys.Count - 1);
        }
    }

    /// <summary>The words of a syntax. Brackets and bars are words of their own.</summary>
    private sealed class Words
    {
        /// <summary>"name=" before an argument.</summary>
        private static readonly Regex s_name = new(@"(?<![^\s\[<|])([a-z][\w-]*=)(?=\S)");

        private readonly string[] _words;

        public Words(string syntax)
        {
            syntax = s_name.Replace(syntax, "$1 ");
            foreach (string sign in (string[])["[", "]", "<", ">", "|"]) syntax = syntax.Replace(sign, $" {sign} ");
            _words = syntax.Split(' ', StringSplitOptions.RemoveEmptyEntries);
        }

        public int Position { get; private set; }

        public bool AtEnd => Position == _words.Length;

        public string? Peek => AtEnd ? null : _words[Position];

        public void Skip() => Position++;

        public bool TryTake(string word)
        {
            if (Peek != word) return false;
            Position++;
            return true;
        }

        /// <summary>
        /// After a '[': if the brackets hold a repetition "[a b ...]", skips it and gives "a b"; otherwise false.
        /// </summary>
        public bool TryTakeRepetition(out string repeated)
        {
            repeated = "";
            int depth = 1, end = Position;
            while (end < _words.Length)
            {
                if (_words[end] == "[") depth++;
                if (_words[end] == "]" && --depth == 0) break;
                end++;
            }
            if (end <= Position || end == _words.Length || _words[end - 1] != "...") return false;
            repeated = Source(Position, end - 1);
            Position = end + 1;
            return true;
        }

        /// <summary>Whether a word names the argument after it.</summary>
        public static bool IsName(string word) => word.Length > 1 && word[^1] == '=';

        /// <summary>Whether a word says since when there is the argument before it.</summary>
        public static bool IsVersion(string word) => word.Length > 1 && word[0] == '@';

        /// <summary>What was written from a position up to here.</summary>
        public string Source(int start) => Source(start, Position);

        /// <summary>Whether these words are alternatives rather than a single argument.</summary>
        public bool HasAlternatives(int start, int end)
        {
            int depth = 0;
            foreach (string word in _words.AsSpan(start..end))
            {
                if (word is "[" or "<") depth++;
                if (word is "]" or ">") depth--;
                if (word == "|" && depth == 0) return true;
            }
            return false;
        }

        /// <summary>What was written there, without what is only said about it.</summary>
        public string Source(int start, int end) => string.Join(' ', _words[start..end].Where(word => !IsName(word) && !IsVersion(word)).Select(WithoutType));

        private static string WithoutType(string word) =>
            word.LastIndexOf(':') is > 0 and int colon && s_typeOfWord.ContainsKey(word[(colon + 1)..]) ? word[..colon] : word;

        public override string ToString() => string.Join(' ', _words);
    }
}
