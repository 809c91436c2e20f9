using System.Text;
using OrleansRedis.Engine;
using Request = OrleansRedis.Engine.Request;

namespace OrleansRedis.Tests.Acl;

/// <summary>Random rules for ACL SETUSER, and random requests that they may allow or not.</summary>
internal sealed class AclRuleGenerator(Random random, IReadOnlyList<CommandInfo> commands)
{
    private static readonly string[] s_names = ["a", "ab", "b:1", "b:22", "c", "user:7", "zz", "x*y", "1"];
    private static readonly string[] s_patterns = ["*", "a", "a*", "b:*", "b:?", "[ac]", "*2", "user:*", "z[^a]", "x\\*y", "ü"];
    private static readonly string[] s_access = ["~", "~", "%R~", "%W~", "%RW~", "%wr~"];
    private static readonly string[] s_categories = [.. Enum.GetNames<Category>().Where(name => name != "None").Select(name => name.ToLowerInvariant())];

    /// <summary>Some rules, most of which make sense, in the words of ACL SETUSER.</summary>
    public string[] Rules()
    {
        var rules = new List<string>();
        for (int i = random.Next(1, 9); i > 0; i--) rules.Add(Rule());
        return [.. rules];
    }

    /// <summary>A request for one of the commands, complete, with keys where they belong.</summary>
    public string[] RandomRequest()
    {
        CommandInfo command = Pick(commands);
        var words = new List<string>();
        OwnedRequest request;
        do
        {
            words.Clear();
            words.AddRange(command.Name.Split('|'));
            int count = command.Arity >= 0 ? command.Arity : -command.Arity + random.Next(4);
            while (words.Count < count) words.Add(Pick(s_names));
            foreach (KeySpecification keys in command.Keys)
            {
                if (keys.Find == KeyFind.KeyCount && keys.First < words.Count) words[keys.First] = "1";
                if (keys.Keyword.Length != 0 && random.Next(2) == 0 && words.Count - 2 > Math.Abs(keys.StartFrom) + 1) words[^2] = keys.Keyword;
            }
            if (command.Name == "set" && words.Count > 3 && random.Next(2) == 0) words[^1] = "GET";
            request = Owned(words);
        }
        while (!command.Keys.All(keys => IsComplete(keys, request.Request)));
        return [.. words];
    }

    /// <summary>
    /// Whether a request has the keys of a specification. If it lacks those of one (PFMERGE without sources),
    /// redis-server does not look at the others either; we do.
    /// </summary>
    private static bool IsComplete(KeySpecification keys, in Request request)
    {
        var found = new List<int>();
        return keys.TryLocate(request, found) && (keys.Search != KeySearch.Index || found.Count != 0);
    }

    public static OwnedRequest Owned(IEnumerable<string> words) =>
        OwnedRequest.Of([.. words.Select(word => (ReadOnlyMemory<byte>)Encoding.Latin1.GetBytes(word))]);

    private string Rule() => random.Next(22) switch
    {
        0 => "on",
        1 => "off",
        2 => "nopass",
        3 => "resetpass",
        4 => ">" + Pick(s_names),
        5 => "<" + Pick(s_names),
        6 => Pick((string[])["allkeys", "resetkeys", "RESETKEYS"]),
        7 => Pick((string[])["allchannels", "resetchannels", "&*"]),
        8 => Pick((string[])["reset", "clearselectors", "bogus", "+", "%X~a", "~a b", "+config|nothing", "+config|get|x", "-select|0"]),
        9 => "skip-sanitize-payload",
        10 => "(" + string.Join(' ', Enumerable.Range(0, random.Next(4)).Select(_ => SelectorRule())) + ")",
        _ => SelectorRule(),
    };

    private string SelectorRule() => random.Next(8) switch
    {
        0 or 1 => Pick(s_access) + Pick(s_patterns),
        2 => "&" + Pick(s_patterns),
        3 => Pick((string[])["+@all", "-@all", "allcommands", "nocommands"]),
        4 => Sign() + "@" + Pick(s_categories),
        5 => "+select|" + random.Next(3),
        _ => Sign() + Pick(commands).Name,
    };

    private string Sign() => random.Next(2) == 0 ? "+" : "-";

    private T Pick<T>(IReadOnlyList<T> from) => from[random.Next(from.Count)];
}
