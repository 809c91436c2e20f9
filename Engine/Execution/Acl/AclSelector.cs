using System.Text;

namespace OrleansRedis.Engine;

/// <summary>
/// A set of permissions: which commands a user may run, on which keys and channels. Every user has one, and may have
/// more, any of which may allow a request. It is a draft until the rules that it belongs to are in force, and is never
/// changed after that, so any thread may ask it.
/// </summary>
internal sealed partial class AclSelector
{
    private readonly CommandTable _commands;
    private readonly ulong[] _allowed;                          // a bit for each CommandInfo.Index
    private readonly List<string> _rules = [];                  // "+get", "-@slow": what has been said about commands
    private AclPattern[] _keys = [];
    private AclPattern[] _channels = [];
    private Dictionary<int, List<byte[]>>? _firstArguments;     // of commands that are allowed with these alone

    /// <summary>A selector that allows nothing, except all channels if these are to be the default.</summary>
    public AclSelector(CommandTable commands, bool allChannels)
    {
        _commands = commands;
        _allowed = new ulong[(commands.Total + 63) / 64];
        AllChannels = allChannels;
    }

    private AclSelector(AclSelector original)
    {
        _commands = original._commands;
        _allowed = [.. original._allowed];
        _rules.AddRange(original._rules);
        _keys = [.. original._keys];
        _channels = original._channels;
        _firstArguments = original._firstArguments?.ToDictionary(entry => entry.Key, entry => new List<byte[]>(entry.Value));
        AllKeys = original.AllKeys;
        AllChannels = original.AllChannels;
        AllCommands = original.AllCommands;
        BeginsWithAll = original.BeginsWithAll;
    }

    /// <summary>Whether every key may be reached in every way.</summary>
    public bool AllKeys { get; private set; }

    /// <summary>Whether every channel may be used.</summary>
    public bool AllChannels { get; private set; }

    /// <summary>Whether every command may be run.</summary>
    public bool AllCommands { get; private set; }

    /// <summary>Whether everything is allowed.</summary>
    public bool AllowsEverything => AllCommands && AllKeys && AllChannels;

    /// <summary>
    /// Whether the commands are all but some, rather than none but some: "+@all" has been said, and not "-@all" since.
    /// </summary>
    private bool BeginsWithAll { get; set; }

    /// <summary>A draft with the same permissions.</summary>
    public AclSelector Clone() => new(this);

    /// <summary>
    /// Whether a request is allowed. If not, <paramref name="argument"/> is the position of the key or channel that is
    /// denied.
    /// </summary>
    public AclReason Check(CommandInfo command, in Request request, ref AclKeys keys, out int argument)
    {
        argument = 0;
        if (!AllCommands && !IsAllowed(command) && !command.Is(CommandFlags.NoAuth) && !AllowsFirstArgument(command, request)) return AclReason.Command;
        if (!AllKeys && command.HasKeys && !MayReachKeys(command, request, ref keys, out argument)) return AclReason.Key;
        if (!AllChannels && command.Channels is { } channels)
        {
            int last = channels.LastOf(request.Count);
            for (argument = channels.First; argument <= last; argument++)
            {
                if (!MayUse(request[argument], channels.ArePatterns)) return AclReason.Channel;
            }
        }
        return AclReason.None;
    }

    /// <summary>Whether a key may be reached in this way.</summary>
    public bool MayReach(ReadOnlySpan<byte> key, KeyAccess access)
    {
        if (AllKeys) return true;
        foreach (AclPattern pattern in _keys)
        {
            if ((pattern.Access & access) == access && pattern.Matches(key)) return true;
        }
        return false;
    }

    /// <summary>Whether every key may be reached in this way.</summary>
    public bool MayReachAll(KeyAccess access) => AllKeys || Array.Exists(_keys, pattern => (pattern.Access & access) == access && pattern.IsAll);

    /// <summary>
    /// Whether a channel may be used or, if it <paramref name="isPattern"/>, a pattern of channels be subscribed to:
    /// that must be one of the rules' own patterns.
    /// </summary>
    public bool MayUse(ReadOnlySpan<byte> channel, bool isPattern)
    {
        if (AllChannels) return true;
        foreach (AclPattern pattern in _channels)
        {
            if (isPattern ? pattern.Is(channel) : pattern.Matches(channel)) return true;
        }
        return false;
    }

    private bool MayReachKeys(CommandInfo command, in Request request, ref AclKeys keys, out int argument)
    {
        argument = command.SingleKey;
        if (argument != 0)
            return argument >= request.Count || MayReach(request[argument], command.SingleAccess ?? VariableKeyFlags.Of(command, request).Access);
        int count = keys.CountOf(command, request);
        for (int i = 0; i < count; i++)
        {
            argument = keys.Position(i);
            if (!MayReach(request[argument], keys.Access(i))) return false;
        }
        return true;
    }

    private bool IsAllowed(CommandInfo command) => (_allowed[command.Index >> 6] & (1UL << (command.Index & 63))) != 0;

    private bool AllowsFirstArgument(CommandInfo command, in Request request)
    {
        if (_firstArguments is null || request.Count < 2 || !_firstArguments.TryGetValue(command.Index, out List<byte[]>? first)) return false;
        foreach (byte[] allowed in first)
        {
            if (request[1].Is(allowed)) return true;
        }
        return false;
    }

    /// <summary>The rules about commands.</summary>
    public string DescribeCommands() => string.Join(' ', _rules.Prepend(BeginsWithAll ? "+@all" : "-@all"));

    /// <summary>The rules about keys.</summary>
    public string DescribeKeys() => AllKeys ? "~*" : string.Join<AclPattern>(' ', _keys);

    /// <summary>The rules about channels.</summary>
    public string DescribeChannels() => AllChannels ? "&*" : string.Join(' ', _channels.Select(pattern => "&" + pattern.Text));

    /// <summary>All its rules, in the order and form of ACL LIST.</summary>
    /// <param name="isInner">
    /// Whether they are to stand in parentheses: such words are split like those of redis.conf, and a closing
    /// parenthesis at the end of one ends the selector, so words with quotes or parentheses are quoted.
    /// </param>
    public string Describe(bool isInner)
    {
        var text = new StringBuilder();
        if (AllKeys) text.Append("~* ");
        foreach (AclPattern pattern in _keys) text.Append(Word(pattern.ToString(), isInner)).Append(' ');
        text.Append(AllChannels ? "&* " : "resetchannels ");
        foreach (AclPattern pattern in _channels) text.Append(Word("&" + pattern.Text, isInner)).Append(' ');
        text.Append(BeginsWithAll ? "+@all" : "-@all");
        foreach (string rule in _rules) text.Append(' ').Append(Word(rule, isInner));
        return text.ToString();
    }

    private static string Word(string rule, bool isInner) =>
        isInner && rule.AsSpan().IndexOfAny('"', '\'', ')') >= 0 ? QuotedWords.Quote(ByteText.Decode(Encoding.Latin1.GetBytes(rule))) : rule;
}
