namespace OrleansRedis.Tests.Acl;

/// <summary>What a command does to a key, as far as permissions go.</summary>
[Flags]
internal enum OracleAccess
{
    /// <summary>It learns no more than whether there is one, and how large.</summary>
    None = 0,
    Read = 1,
    Write = 2,
}

/// <summary>
/// A command as Redis documents it: its name, its categories, and a request in which r:, w:, rw: and n: stand before keys,
/// by what is done to them, and c: before channels.
/// </summary>
internal sealed record OracleCommand(string Name, string[] Categories, string[] Words, bool IsForScripts)
{
    /// <summary>Whether it is allowed to everybody, so that one can become somebody else.</summary>
    public bool IsOpen => Name is "hello" or "auth" or "reset" or "quit";

    public bool IsAboutConnections => Categories.Contains("connection") || Categories.Contains("transaction");

    public static OracleCommand Parse(string line)
    {
        string[] parts = line.Split(" : ");
        return new(parts[0], parts[1].Split(' '), parts[2].Split(' '), parts.Length == 3);
    }
}

/// <summary>A request: its words, and what is at which place.</summary>
internal sealed record OracleRequest(OracleCommand Command, string[] Words, (string Key, OracleAccess Access)[] Keys, string[] Channels);

/// <summary>
/// Says what a user may do, from the rules as they were given to ACL SETUSER, as Redis documents them. It shares nothing
/// with the server: neither its table of commands nor how it keeps rules.
/// </summary>
internal sealed class AclOracle
{
    private readonly List<Selector> _selectors = [new()];

    public AclOracle(IEnumerable<string> rules)
    {
        foreach (string rule in rules)
        {
            if (!rule.StartsWith('('))
            {
                _selectors[0].Apply(rule);
                continue;
            }
            var selector = new Selector();
            foreach (string inner in rule[1..^1].Split(' ', StringSplitOptions.RemoveEmptyEntries)) selector.Apply(inner);
            _selectors.Add(selector);
        }
    }

    public bool Allows(OracleRequest request) => _selectors.Exists(selector => selector.Allows(request));

    /// <summary>Whether a name matches a pattern of *, ?, [abc], [^abc] and literal characters.</summary>
    internal static bool Matches(string pattern, string name)
    {
        if (pattern.Length == 0) return name.Length == 0;
        if (pattern[0] == '*') return Enumerable.Range(0, name.Length + 1).Any(skipped => Matches(pattern[1..], name[skipped..]));
        if (name.Length == 0) return false;
        if (pattern[0] != '[') return (pattern[0] == '?' || pattern[0] == name[0]) && Matches(pattern[1..], name[1..]);
        int end = pattern.IndexOf(']');
        bool isNegated = pattern[1] == '^';
        return pattern[(isNegated ? 2 : 1)..end].Contains(name[0]) != isNegated && Matches(pattern[(end + 1)..], name[1..]);
    }

    private sealed class Selector
    {
        private readonly List<string> _commandRules = [];
        private readonly Dictionary<string, OracleAccess> _keys = [];
        private readonly HashSet<string> _channels = [];
        private bool _allKeys, _allChannels;

        public void Apply(string rule)
        {
            switch (rule)
            {
                case "on" or "off" or "nopass": return;
                case "allkeys" or "~*": _allKeys = true; _keys.Clear(); return;
                case "resetkeys": _allKeys = false; _keys.Clear(); return;
                case "allchannels" or "&*": _allChannels = true; _channels.Clear(); return;
                case "resetchannels": _allChannels = false; _channels.Clear(); return;
            }
            switch (rule[0])
            {
                case '~': Add(rule[1..], OracleAccess.Read | OracleAccess.Write); return;
                case '&': _channels.Add(rule[1..]); return;
                case '%':
                    string[] parts = rule[1..].Split('~', 2);
                    OracleAccess access = OracleAccess.None;
                    if (parts[0].Contains('R')) access |= OracleAccess.Read;
                    if (parts[0].Contains('W')) access |= OracleAccess.Write;
                    Add(parts[1], access);
                    return;
                default: _commandRules.Add(rule switch { "allcommands" => "+@all", "nocommands" => "-@all", _ => rule }); return;
            }
        }

        public bool Allows(OracleRequest request) =>
            (request.Command.IsOpen || AllowsCommand(request))
            && request.Keys.All(key => _allKeys || _keys.Any(rule => (rule.Value & key.Access) == key.Access && Matches(rule.Key, key.Key)))
            && request.Channels.All(channel => _allChannels || _channels.Any(pattern => Matches(pattern, channel)));

        /// <summary>The last rule about a command decides; what has been said about first arguments adds to it.</summary>
        private bool AllowsCommand(OracleRequest request)
        {
            string name = request.Command.Name, container = name.Split('|')[0];
            bool isAllowed = false, isAllowedByArgument = false;
            foreach (string rule in _commandRules)
            {
                string what = rule[1..];
                bool concernsIt = what == "@all" || (what[0] == '@' && request.Command.Categories.Contains(what[1..])) || what == name || what == container;
                if (concernsIt) (isAllowed, isAllowedByArgument) = (rule[0] == '+', false);
                else if (!name.Contains('|') && what.StartsWith(name + "|", StringComparison.Ordinal))
                    isAllowedByArgument |= request.Words.Length > 1 && what[(name.Length + 1)..].Equals(request.Words[1], StringComparison.OrdinalIgnoreCase);
            }
            return isAllowed || isAllowedByArgument;
        }

        private void Add(string pattern, OracleAccess access) => _keys[pattern] = _keys.GetValueOrDefault(pattern) | access;
    }
}
