using System.Numerics;
using System.Text;

namespace OrleansRedis.Engine;

/// <summary>Writes what COMMAND INFO and COMMAND DOCS say about a command, in Redis's format.</summary>
internal static class CommandDocumentation
{
    private static readonly (CommandFlags Flag, string Name)[] s_flagNames =
    [
        (CommandFlags.Write, "write"), (CommandFlags.ReadOnly, "readonly"), (CommandFlags.DenyOom, "denyoom"), (CommandFlags.Admin, "admin"),
        (CommandFlags.PubSub, "pubsub"), (CommandFlags.NoScript, "noscript"), (CommandFlags.Blocking, "blocking"), (CommandFlags.Loading, "loading"),
        (CommandFlags.Stale, "stale"), (CommandFlags.SkipMonitor, "skip_monitor"), (CommandFlags.SkipSlowlog, "skip_slowlog"),
        (CommandFlags.Asking, "asking"), (CommandFlags.Fast, "fast"), (CommandFlags.NoAuth, "no_auth"),
        (CommandFlags.MovableKeys, "movablekeys"), (CommandFlags.AllowBusy, "allow_busy"), (CommandFlags.NoMulti, "no_multi"),
        (CommandFlags.NoAsyncLoading, "no_async_loading"), (CommandFlags.NoMandatoryKeys, "no_mandatory_keys"),
    ];

    /// <summary>Summary and version of the container commands, which have no declaration of their own.</summary>
    private static readonly Dictionary<string, (string Summary, string Since)> s_containers = new()
    {
        ["acl"] = ("A container for Access List Control commands.", "6.0.0"),
        ["client"] = ("A container for client connection commands.", "2.4.0"),
        ["cluster"] = ("A container for Redis Cluster commands.", "3.0.0"),
        ["config"] = ("A container for server configuration commands.", "2.0.0"),
        ["function"] = ("A container for function commands.", "7.0.0"),
        ["latency"] = ("A container for latency diagnostics commands.", "2.8.13"),
        ["memory"] = ("A container for memory diagnostics commands.", "4.0.0"),
        ["object"] = ("A container for object introspection commands.", "2.2.3"),
        ["pubsub"] = ("A container for Pub/Sub commands.", "2.8.0"),
        ["script"] = ("A container for Lua scripts management commands.", "2.6.0"),
        ["slowlog"] = ("A container for slow log commands.", "2.2.12"),
        ["xgroup"] = ("A container for consumer groups commands.", "5.0.0"),
        ["xinfo"] = ("A container for stream introspection commands.", "5.0.0"),
    };

    /// <summary>Writes the ten fields of a command in COMMAND INFO; a null array if there is no command.</summary>
    public static void WriteInfo(RespWriter reply, CommandInfo? command)
    {
        if (command is null)
        {
            reply.Null();
            return;
        }
        reply.Array(10);
        reply.BulkString(command.Name);
        reply.Integer(command.Arity);
        WriteNames(reply, FlagsOf(command));
        (int first, int last, int step) = RangeOfKeys(command.Keys);
        reply.Integer(first);
        reply.Integer(last);
        reply.Integer(step);
        WriteNames(reply, CategoriesOf(command));
        string[] tips = Lines(command.Declaration?.Tips, ';');
        reply.Set(tips.Length);
        foreach (string tip in tips) reply.BulkString(tip);
        reply.Set(command.Keys.Count);
        string[] notes = Lines(command.Declaration?.KeyNotes, ';');
        for (int i = 0; i < command.Keys.Count; i++) WriteKeys(reply, command.Keys[i], i < notes.Length ? notes[i] : "");
        reply.Set(command.Subcommands?.Count ?? 0);
        foreach (CommandInfo subcommand in command.Subcommands?.Values ?? Enumerable.Empty<CommandInfo>()) WriteInfo(reply, subcommand);
    }

    /// <summary>Writes the value of a command in COMMAND DOCS's map.</summary>
    public static void WriteDocs(RespWriter reply, CommandInfo command)
    {
        CommandAttribute? declaration = command.Declaration;
        int begin = reply.Begin(), pairs = 3;
        (string summary, string since) = declaration is null
            ? s_containers.GetValueOrDefault(command.Name, ("A container.", "1.0.0"))
            : (declaration.Summary, declaration.Since);
        Pair(reply, "summary"u8, summary);
        Pair(reply, "since"u8, since);
        Pair(reply, "group"u8, GroupOf(command));
        if ((declaration is null ? "Depends on subcommand." : declaration.Complexity) is { Length: > 0 } complexity)
        {
            pairs++;
            Pair(reply, "complexity"u8, complexity);
        }
        if (declaration is { IsInternal: true })
        {
            pairs++;
            reply.BulkString("doc_flags"u8);
            WriteNames(reply, ["syscmd"]);
        }
        if (declaration is { Deprecated: { Length: > 0 } deprecated })
        {
            pairs += 3;
            reply.BulkString("doc_flags"u8);
            WriteNames(reply, ["deprecated"]);
            int colon = deprecated.IndexOf(": ", StringComparison.Ordinal);
            Pair(reply, "deprecated_since"u8, deprecated[..colon]);
            Pair(reply, "replaced_by"u8, deprecated[(colon + 2)..]);
        }
        if (Lines(declaration?.History, '\n') is { Length: > 0 } history)
        {
            pairs++;
            reply.BulkString("history"u8);
            reply.Set(history.Length);
            foreach (string line in history)
            {
                int colon = line.IndexOf(": ", StringComparison.Ordinal);
                reply.Array(2);
                reply.BulkString(line[..colon]);
                reply.BulkString(line[(colon + 2)..]);
            }
        }
        if (declaration is { Syntax.Length: > 0 })
        {
            pairs++;
            reply.BulkString("arguments"u8);
            WriteArguments(reply, ArgumentSyntax.Parse(declaration.Syntax, command.Keys));
        }
        if (command.Subcommands is { } subcommands)
        {
            pairs++;
            reply.BulkString("subcommands"u8);
            reply.Map(subcommands.Count);
            foreach (CommandInfo subcommand in subcommands.Values)
            {
                reply.BulkString(subcommand.Name);
                WriteDocs(reply, subcommand);
            }
        }
        reply.Finish(begin, Aggregate.Map, pairs);
    }

    /// <summary>The ACL categories of a command, with their @.</summary>
    public static IEnumerable<string> CategoriesOf(CommandInfo command)
    {
        foreach (Category category in Enum.GetValues<Category>())
        {
            if (category != Category.None && (command.Categories & category) != 0) yield return "@" + category.ToString().ToLowerInvariant();
        }
    }

    /// <summary>The group in which the command is documented.</summary>
    public static string GroupOf(CommandInfo command)
    {
        if (command.Declaration?.Group is { } group) return group;
        if (command.Declaration is null && command.Subcommands is { } subcommands) return GroupOf(subcommands.Values.First());
        // The most specific category comes first, because a command may have several (BITCOUNT is in @bitmap, GEOADD in
        // @geo, PFADD in @hyperloglog).
        Category categories = command.Declaration?.Categories ?? Category.None;
        if ((categories & Category.Bitmap) != 0) return "bitmap";
        if ((categories & Category.HyperLogLog) != 0) return "hyperloglog";
        if ((categories & Category.Geo) != 0) return "geo";
        if ((categories & Category.Stream) != 0) return "stream";
        if ((categories & Category.String) != 0) return "string";
        if ((categories & Category.List) != 0) return "list";
        if ((categories & Category.SortedSet) != 0) return "sorted-set";
        if ((categories & Category.Set) != 0) return "set";
        if ((categories & Category.Hash) != 0) return "hash";
        if ((categories & Category.Transaction) != 0) return "transactions";
        if ((categories & Category.Scripting) != 0) return "scripting";
        if ((categories & Category.PubSub) != 0) return "pubsub";
        if ((categories & Category.Keyspace) != 0) return "generic";
        return (categories & Category.Connection) != 0 ? "connection" : "server";
    }

    /// <summary>The names of those flags that are shown to clients.</summary>
    private static IEnumerable<string> FlagsOf(CommandInfo command)
    {
        bool movable = command.Keys.Any(keys => keys.Search != KeySearch.Index || keys.Find != KeyFind.Range || keys.Flags.Contains("INCOMPLETE"));
        foreach ((CommandFlags flag, string name) in s_flagNames)
        {
            if (command.Is(flag) || (flag == CommandFlags.MovableKeys && movable)) yield return name;
        }
    }

    /// <summary>
    /// Where the keys are, as COMMAND said before Redis 7: first, last and step of the part that is one range; zeros if
    /// there is none.
    /// </summary>
    private static (int First, int Last, int Step) RangeOfKeys(IReadOnlyList<KeySpecification> specifications)
    {
        if (specifications is [{ Search: KeySearch.Index, Find: KeyFind.Range } only]) return (only.First, Absolute(only), only.Step);
        int first = int.MaxValue, last = 0, before = 0;
        foreach (KeySpecification keys in specifications)
        {
            if (keys.Search != KeySearch.Index || keys.Find != KeyFind.Range || keys.Step != 1) continue;
            if (before != 0 && before != keys.First - 1) continue;
            first = Math.Min(first, keys.First);
            // as unsigned, so that an end counted from the request's end is beyond all others
            last = (int)Math.Max((uint)last, (uint)Absolute(keys));
            before = last;
        }
        return first == int.MaxValue ? (0, 0, 0) : (first, last, 1);

        static int Absolute(KeySpecification keys) => keys.Last < 0 ? keys.Last : keys.First + keys.Last;
    }

    private static void WriteKeys(RespWriter reply, KeySpecification keys, string notes)
    {
        reply.Map(notes.Length == 0 ? 3 : 4);
        if (notes.Length > 0) Pair(reply, "notes"u8, notes);
        reply.BulkString("flags"u8);
        WriteNames(reply, keys.Flags.Select(ShownFlag));
        reply.BulkString("begin_search"u8);
        reply.Map(2);
        if (keys.Search == KeySearch.Unknown)
        {
            Pair(reply, "type"u8, "unknown");
            reply.BulkString("spec"u8);
            reply.Map(0);
            reply.BulkString("find_keys"u8);
            reply.Map(2);
            Pair(reply, "type"u8, "unknown");
            reply.BulkString("spec"u8);
            reply.Map(0);
            return;
        }
        if (keys.Search == KeySearch.Index)
        {
            Pair(reply, "type"u8, "index");
            reply.BulkString("spec"u8);
            reply.Map(1);
            Pair(reply, "index"u8, keys.First);
        }
        else
        {
            Pair(reply, "type"u8, "keyword");
            reply.BulkString("spec"u8);
            reply.Map(2);
            Pair(reply, "keyword"u8, keys.Keyword);
            Pair(reply, "startfrom"u8, keys.StartFrom);
        }
        reply.BulkString("find_keys"u8);
        reply.Map(2);
        if (keys.Find == KeyFind.Range)
        {
            Pair(reply, "type"u8, "range");
            reply.BulkString("spec"u8);
            reply.Map(3);
            Pair(reply, "lastkey"u8, keys.Last);
            Pair(reply, "keystep"u8, keys.Step);
            Pair(reply, "limit"u8, keys.Limit);
        }
        else
        {
            Pair(reply, "type"u8, "keynum");
            reply.BulkString("spec"u8);
            reply.Map(3);
            Pair(reply, "keynumidx"u8, 0);
            Pair(reply, "firstkey"u8, 1);
            Pair(reply, "keystep"u8, keys.Step);
        }
    }

    /// <summary>RO, RW, OW and RM are shown in capitals, other flags in lower case.</summary>
    public static string ShownFlag(string flag) => flag.Length == 2 ? flag : flag.ToLowerInvariant();

    private static void WriteArguments(RespWriter reply, IReadOnlyList<ArgumentSyntax> arguments)
    {
        reply.Array(arguments.Count);
        foreach (ArgumentSyntax argument in arguments) WriteArgument(reply, argument);
    }

    private static void WriteArgument(RespWriter reply, ArgumentSyntax argument)
    {
        bool isGroup = argument.Type is ArgumentType.OneOf or ArgumentType.Block;
        int begin = reply.Begin(), pairs = 2;
        Pair(reply, "name"u8, argument.Name);
        Pair(reply, "type"u8, argument.Type switch
        {
            ArgumentType.UnixTime => "unix-time",
            ArgumentType.PureToken => "pure-token",
            var type => type.ToString().ToLowerInvariant(),
        });
        if (!isGroup)
        {
            pairs++;
            Pair(reply, "display_text"u8, argument.DisplayText);
        }
        if (argument.KeySpecification >= 0)
        {
            pairs++;
            Pair(reply, "key_spec_index"u8, argument.KeySpecification);
        }
        if (argument.Token is { Length: > 0 } token)
        {
            pairs++;
            Pair(reply, "token"u8, token);
        }
        if (argument.Since is { } argumentSince)
        {
            pairs++;
            Pair(reply, "since"u8, argumentSince);
        }
        if (argument.DeprecatedSince is { } deprecatedSince)
        {
            pairs++;
            Pair(reply, "deprecated_since"u8, deprecatedSince);
        }
        var flags = new List<string>();
        if (argument.IsOptional) flags.Add("optional");
        if (argument.IsMultiple) flags.Add("multiple");
        if (argument.RepeatsToken) flags.Add("multiple_token");
        if (flags.Count > 0)
        {
            pairs++;
            reply.BulkString("flags"u8);
            WriteNames(reply, flags);
        }
        if (isGroup)
        {
            pairs++;
            reply.BulkString("arguments"u8);
            WriteArguments(reply, argument.Arguments);
        }
        reply.Finish(begin, Aggregate.Map, pairs);
    }

    /// <summary>Writes a set of simple strings.</summary>
    public static void WriteNames(RespWriter reply, IEnumerable<string> names)
    {
        int begin = reply.Begin(), count = 0;
        foreach (string name in names)
        {
            reply.SimpleString(Encoding.ASCII.GetBytes(name));
            count++;
        }
        reply.Finish(begin, Aggregate.Set, count);
    }

    private static string[] Lines(string? text, char separator) => text is { Length: > 0 } ? text.Split(separator) : [];

    private static void Pair(RespWriter reply, ReadOnlySpan<byte> name, string value)
    {
        reply.BulkString(name);
        reply.BulkString(value);
    }

    private static void Pair<T>(RespWriter reply, ReadOnlySpan<byte> name, T value)
        where T : IBinaryInteger<T>
    {
        reply.BulkString(name);
        reply.Integer(long.CreateChecked(value));
    }
}
