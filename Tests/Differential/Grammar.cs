using System.Globalization;
using OrleansRedis.Tests.Harness;

namespace OrleansRedis.Tests.Differential;

/// <summary>How far two replies to one command may differ.</summary>
[Flags]
internal enum Leeway
{
    None = 0,

    /// <summary>The elements come in no particular order.</summary>
    Unordered = 1,

    /// <summary>The elements are pairs, and the pairs come in no particular order (HGETALL in RESP2).</summary>
    UnorderedPairs = 2,

    /// <summary>Integers are times. They may differ by the time that passes between the two servers' replies.</summary>
    Time = 4,

    /// <summary>
    /// Only the kind of the reply must agree and, if it is an array, its length; the content is random.
    /// </summary>
    Shape = 8,
}

/// <summary>
/// A command line with holes, from which random commands are made.
/// <code>
/// 3 ~ SET key value [NX|XX] [GET] [EX ttl|PX ttlms|KEEPTTL]
/// </code>
/// Words of small letters only are holes (see <see cref="Arguments"/>); all others stand for themselves.
/// <c>[a|b]</c> is one of these or nothing, <c>{a|b}</c> one of these, <c>x+</c> one to four of x. Before the command
/// may stand its weight (1) and signs for the leeway of its reply: <c>~</c> unordered, <c>%</c> unordered pairs,
/// <c>@</c> times, <c>?</c> random; and <c>!</c> if it must not be spoiled.
/// </summary>
internal sealed class CommandPattern
{
    private readonly List<Node> nodes;

    public CommandPattern(string text)
    {
        Queue<string> words = new(Tokens(text));
        for (bool prefix = true; prefix;)
        {
            string word = words.Peek();
            prefix = true;
            if (word == "~") Leeway |= Leeway.Unordered;
            else if (word == "%") Leeway |= Leeway.UnorderedPairs;
            else if (word == "@") Leeway |= Leeway.Time;
            else if (word == "?") Leeway |= Leeway.Shape;
            else if (word == "!") StaysWhole = true;
            else if (int.TryParse(word, CultureInfo.InvariantCulture, out int weight)) Weight = weight;
            else prefix = false;
            if (prefix)
                words.Dequeue();
        }

        nodes = Sequence(words);
        Expires = text.Contains("ttl", StringComparison.Ordinal) || text.Contains(" at", StringComparison.Ordinal);
    }

    public Leeway Leeway { get; }

    public int Weight { get; } = 1;

    /// <summary>Whether its arguments stay as they are, because later commands rely on them.</summary>
    public bool StaysWhole { get; }

    /// <summary>
    /// Whether a number in the wrong place could be a moment in the near future, about which two servers would not
    /// agree.
    /// </summary>
    public bool Expires { get; }

    public List<RespArgument> Generate(Arguments arguments)
    {
        List<RespArgument> command = [];
        foreach (Node node in nodes)
            node.Append(arguments, command);
        return command;
    }

    private static IEnumerable<string> Tokens(string text)
    {
        foreach (char sign in "[]{}|+")
            text = text.Replace($"{sign}", $" {sign} ", StringComparison.Ordinal);
        return text.Split(' ', StringSplitOptions.RemoveEmptyEntries);
    }

    private static List<Node> Sequence(Queue<string> words)
    {
        List<Node> sequence = [];
        while (words.TryPeek(out string? word) && word is not ("|" or "]" or "}"))
        {
            words.Dequeue();
            if (word == "+")
                sequence[^1] = new Repeated(sequence[^1]);
            else if (word is "[" or "{")
                sequence.Add(Choice(words, optional: word == "["));
            else
                sequence.Add(word.All(char.IsAsciiLetterLower) ? new Hole(word) : new Literal(word));
        }

        return sequence;
    }

    private static OneOf Choice(Queue<string> words, bool optional)
    {
        List<List<Node>> alternatives = [Sequence(words)];
        while (words.Dequeue() == "|")
            alternatives.Add(Sequence(words));
        return new OneOf(alternatives, optional);
    }

    private abstract class Node
    {
        public abstract void Append(Arguments arguments, List<RespArgument> command);
    }

    private sealed class Literal(string word) : Node
    {
        public override void Append(Arguments arguments, List<RespArgument> command) => command.Add(word);
    }

    private sealed class Hole(string name) : Node
    {
        public override void Append(Arguments arguments, List<RespArgument> command) => command.Add(arguments.Next(name));
    }

    private sealed class Repeated(Node node) : Node
    {
        public override void Append(Arguments arguments, List<RespArgument> command)
        {
            for (int times = 1 + (arguments.Random.Next(3) == 0 ? arguments.Random.Next(4) : 0); times > 0; times--)
                node.Append(arguments, command);
        }
    }

    private sealed class OneOf(List<List<Node>> alternatives, bool optional) : Node
    {
        public override void Append(Arguments arguments, List<RespArgument> command)
        {
            if (optional && arguments.Random.Next(3) != 0)
                return;
            foreach (Node node in alternatives[arguments.Random.Next(alternatives.Count)])
                node.Append(arguments, command);
        }
    }
}
