using System.Buffers;
using System.Text;

namespace OrleansRedis.Engine;

/// <summary>Changing a draft, rule by rule. All texts are Latin-1: a character for each byte.</summary>
internal sealed partial class AclSelector
{
    private static readonly SearchValues<char> s_blanks = SearchValues.Create(" \t\n\v\f\r\0");

    /// <summary>The category that a name in a rule or in ACL CAT means, in any case; None if there is none.</summary>
    public static Category CategoryOf(string name)
    {
        foreach (Category category in Enum.GetValues<Category>())
        {
            if (category != Category.None && category.ToString().Equals(name, StringComparison.OrdinalIgnoreCase)) return category;
        }
        return Category.None;
    }

    /// <summary>Applies one rule.</summary>
    public AclError Apply(string rule)
    {
        switch (rule.ToLowerInvariant())
        {
            case "allkeys" or "~*":
                AllKeys = true;
                _keys = [];
                return AclError.None;
            case "resetkeys":
                AllKeys = false;
                _keys = [];
                return AclError.None;
            case "allchannels" or "&*":
                AllChannels = true;
                _channels = [];
                return AclError.None;
            case "resetchannels":
                AllChannels = false;
                _channels = [];
                return AclError.None;
            case "allcommands" or "+@all":
                SetAllCommands(true);
                return AclError.None;
            case "nocommands" or "-@all":
                SetAllCommands(false);
                return AclError.None;
        }
        return rule switch
        {
            ['~', ..] => AddKeys(rule[1..], KeyAccess.Read | KeyAccess.Write),
            ['%', ..] => AddKeysWithAccess(rule),
            ['&', ..] => AddChannels(rule[1..]),
            ['+' or '-', '@', ..] => SetCategory(rule[1..], rule[0] == '+'),
            ['+', ..] => rule.Contains('|') ? AllowPart(rule[1..]) : SetCommand(rule[1..], true),
            ['-', ..] => SetCommand(rule[1..], false),
            _ => AclError.Syntax,
        };
    }

    private void SetAllCommands(bool allowed)
    {
        Array.Fill(_allowed, allowed ? ulong.MaxValue : 0);
        AllCommands = BeginsWithAll = allowed;
        _rules.Clear();
        _firstArguments = null;
    }

    private AclError AddKeysWithAccess(string rule)
    {
        if (AllKeys) return AclError.KeysAfterAll;
        KeyAccess access = KeyAccess.None;
        for (int i = 1; i < rule.Length; i++)
        {
            if (rule[i] == '~') return access == KeyAccess.None ? AclError.Syntax : AddKeys(rule[(i + 1)..], access);
            KeyAccess more = rule[i] switch
            {
                'R' or 'r' => KeyAccess.Read,
                'W' or 'w' => KeyAccess.Write,
                _ => KeyAccess.None,
            };
            if (more == KeyAccess.None || (access & more) != 0) return AclError.Syntax;
            access |= more;
        }
        // As in Redis, "%R" alone is a pattern: the empty one.
        return access == KeyAccess.None ? AclError.Syntax : AddKeys("", access);
    }

    private AclError AddKeys(string pattern, KeyAccess access)
    {
        if (AllKeys) return AclError.KeysAfterAll;
        if (HasBlanks(pattern)) return AclError.Syntax;
        int known = Array.FindIndex(_keys, key => key.Text == pattern);
        if (known < 0) _keys = [.. _keys, new(pattern, access)];
        else _keys[known] = new(pattern, access | _keys[known].Access);
        return AclError.None;
    }

    private AclError AddChannels(string pattern)
    {
        if (AllChannels) return AclError.ChannelsAfterAll;
        if (HasBlanks(pattern)) return AclError.Syntax;
        if (!Array.Exists(_channels, channel => channel.Text == pattern)) _channels = [.. _channels, new(pattern, KeyAccess.None)];
        return AclError.None;
    }

    private AclError SetCommand(string name, bool allowed)
    {
        if (_commands.FindDeclared(Encoding.Latin1.GetBytes(name)) is { } command) Set(command, allowed);
        else if (!IsElsewhere(name)) return AclError.UnknownCommand;
        Note(name, allowed);
        return AclError.None;
    }

    /// <summary>"+config|get" allows a subcommand, "+select|0" a command with this first argument.</summary>
    private AclError AllowPart(string rule)
    {
        int bar = rule.LastIndexOf('|');
        byte[] part = Encoding.Latin1.GetBytes(rule[(bar + 1)..]);
        if (_commands.FindDeclared(Encoding.Latin1.GetBytes(rule[..bar])) is not { } command) return NoteElsewhere(rule);
        if (command.Name.Contains('|')) return AclError.FirstArgumentOfSubcommand;
        if (part.Length == 0) return AclError.Syntax;
        if (command.Subcommands is not null)
        {
            if (CommandTable.FindSubcommand(command, part) is not { } subcommand) return NoteElsewhere(rule);
            Set(subcommand, true);
        }
        else
        {
            if (HasBlanks(rule)) return AclError.Syntax;
            _firstArguments ??= [];
            if (!_firstArguments.TryGetValue(command.Index, out List<byte[]>? first)) _firstArguments.Add(command.Index, first = []);
            if (!first.Exists(known => ((ReadOnlySpan<byte>)known).Is(part))) first.Add(part);
        }
        Note(rule, true);
        return AclError.None;
    }

    /// <summary>
    /// Whether a command is Redis's, but not here. Rules about it are kept, and mean nothing until it is here.
    /// </summary>
    public static bool IsElsewhere(string name) => RedisCommands.Has(name.ToLowerInvariant());

    private AclError NoteElsewhere(string rule)
    {
        if (!IsElsewhere(rule)) return AclError.UnknownCommand;
        Note(rule, true);
        return AclError.None;
    }

    private AclError SetCategory(string atName, bool allowed)
    {
        Category category = CategoryOf(atName[1..]);
        if (category == Category.None) return AclError.UnknownCommand;
        Note(atName, allowed);
        foreach (CommandInfo command in _commands.Declared)
        {
            // A container goes with all its subcommands.
            if ((command.Categories & category) != 0) Set(command, allowed);
            if (command.Subcommands is null) continue;
            foreach (CommandInfo subcommand in command.Subcommands.Values)
            {
                if ((subcommand.Categories & category) != 0) Set(subcommand, allowed);
            }
        }
        return AclError.None;
    }

    /// <summary>Allows or forbids a command, with its subcommands, whatever its arguments.</summary>
    private void Set(CommandInfo command, bool allowed)
    {
        SetBit(command, allowed);
        _firstArguments?.Remove(command.Index);
        if (command.Subcommands is null) return;
        foreach (CommandInfo subcommand in command.Subcommands.Values) SetBit(subcommand, allowed);
    }

    private void SetBit(CommandInfo command, bool allowed)
    {
        ulong bit = 1UL << (command.Index & 63);
        if (allowed)
        {
            _allowed[command.Index >> 6] |= bit;
            return;
        }
        _allowed[command.Index >> 6] &= ~bit;
        AllCommands = false;
    }

    /// <summary>
    /// Keeps what was said, in its order: for ACL LIST, and because it may mean more than the bits once there are more
    /// commands. It replaces what had been said about the same command or category, and about parts of the same
    /// command.
    /// </summary>
    private void Note(string about, bool allowed)
    {
        about = string.Concat(about.Select(c => char.IsAsciiLetterUpper(c) ? char.ToLowerInvariant(c) : c));
        _rules.RemoveAll(rule => rule.AsSpan(1).StartsWith(about) && (rule.Length == about.Length + 1 || rule[about.Length + 1] == '|'));
        _rules.Add((allowed ? "+" : "-") + about);
    }

    /// <summary>Whether a text has blanks or zero bytes, which a rule cannot be written with.</summary>
    public static bool HasBlanks(string text) => text.AsSpan().IndexOfAny(s_blanks) >= 0;
}
