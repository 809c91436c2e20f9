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
/// another type.
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
        (ArgumentType.Integer, "len limit maxage milliseconds min-match-len ms num-matches numfields numkeys numlocal numreplicas offset port protover rank"),
        (ArgumentType.Integer, "seconds slot start stop timeout ttl version weight"));

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

    private ArgumentSyntax()
    {
    }

    public string Name { get; private set; } = "";

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
        ArgumentSyntax group = Combine(ParseAlternatives(words, end, out bool isMultiple));
        group.IsMultiple |= isMultiple;
        return group;
    }

    private static List<ArgumentSyntax> ParseSequence(Words words, int groupStart, ref bool groupIsMultiple)
    {
        var sequence = new List<ArgumentSyntax>();
        while (words.Peek is { } word and not ("|" or "]" or ">"))
        {
            int start = words.Position;
            words.Skip();
            if (word == "[" && words.TryTakeRepetition(out string? repeated))
            {
                if (words.HasAlternatives(groupStart, start) && repeated == words.Source(groupStart, start)) groupIsMultiple = true;
                else Repeat(sequence, repeated);
                continue;
            }
            ArgumentSyntax argument;
            if (word is "[" or "<")
            {
                argument = ParseGroup(words, word == "[" ? "]" : ">");
                if (word == "[") argument.IsOptional = true;
            }
            else if (!IsToken(word))
            {
                argument = Value(word);
                // In "TOKEN value value" all the values belong to the token.
                if (sequence is [.., { Token: not null, IsOptional: false, Type: not (ArgumentType.PureToken or ArgumentType.OneOf) } tokenOf])
                {
                    argument._source = words.Source(start);
                    AppendToBlock(sequence, tokenOf, argument);
                    continue;
                }
            }
            else if (words.Peek is "<")
            {
                words.Skip();
                argument = ParseGroup(words, ">");
                argument.Token = word;
                if (argument.Type == ArgumentType.Block) argument.Name = word.ToLowerInvariant();
            }
            else if (words.Peek is { } value and not ("|" or "]" or ">" or "[") && !IsToken(value))
            {
                words.Skip();
                argument = Value(value);
                argument.Token = word;
            }
            else
            {
                argument = new()
                {
                    Type = ArgumentType.PureToken,
                    Token = word == "\"\"" ? "" : word,
                    Name = s_nameOfSign.GetValueOrDefault(word, word.ToLowerInvariant())
                };
            }
            argument._source = words.Source(start);
            sequence.Add(argument);
        }
        return sequence;
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
        private readonly string[] _words;

        public Words(string syntax)
        {
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
            repeated = string.Join(' ', _words[Position..(end - 1)]);
            Position = end + 1;
            return true;
        }

        /// <summary>What was written from a position up to here.</summary>
        public string Source(int start) => Source(start, Position);

        /// <summary>Whether these words are alternatives rather than a single argument.</summary>
        public bool HasAlternatives(int start, int end) => _words.AsSpan(start..end).Contains("|");

        public string Source(int start, int end) => string.Join(' ', _words[start..end]);

        public override string ToString() => string.Join(' ', _words);
    }
}
