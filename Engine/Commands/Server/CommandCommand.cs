using System.Text;

namespace OrleansRedis.Engine;

/// <summary>
/// COMMAND: what clients, proxies and redis-cli need to know about the commands. Everything comes from the
/// <see cref="CommandAttribute"/>s.
/// </summary>
internal static class CommandCommand
{
    private const CommandFlags Flags = CommandFlags.Loading | CommandFlags.Stale;

    /// <summary>COMMAND — details of every command.</summary>
    [Command("COMMAND", -1, Flags, Category.Connection, Since = "2.8.13", Complexity = "O(N) where N is the total number of Redis commands",
        Summary = "Returns detailed information about all commands.", Group = "server", Tips = "nondeterministic_output_order")]
    internal static void All(ref CommandContext call)
    {
        if (call.Count > 1)
        {
            call.Reply.Error(Errors.UnknownSubcommand("COMMAND", call.Request));
            return;
        }
        WriteInfos(ref call);
    }

    /// <summary>COMMAND COUNT</summary>
    [Command("COMMAND|COUNT", 2, Flags, Category.Connection, Since = "2.8.13", Complexity = "O(1)",
        Summary = "Returns a count of commands.", Group = "server")]
    internal static void CountOfAll(ref CommandContext call) => call.Reply.Integer(call.Command.Table.Commands.Count);

    /// <summary>
    /// COMMAND LIST [FILTERBY MODULE module-name | ACLCAT category | PATTERN pattern] — subcommands included.
    /// </summary>
    [Command("COMMAND|LIST", -2, Flags, Category.Connection, Since = "7.0.0", Complexity = "O(N) where N is the total number of Redis commands",
        Summary = "Returns a list of command names.", Group = "server", Syntax = "[filterby=FILTERBY <MODULE module-name | ACLCAT category | PATTERN "
            + "pattern>]",
        Tips = "nondeterministic_output_order")]
    internal static void List(ref CommandContext call)
    {
        Func<CommandInfo, bool> filter = _ => true;
        if (call.Count == 5 && call[2].Is("FILTERBY"u8))
        {
            byte[] wanted = call[4].ToArray();
            if (call[3].Is("MODULE"u8))
            {
                filter = _ => false; // there are no modules
            }
            else if (call[3].Is("ACLCAT"u8))
            {
                string category = "@" + Encoding.ASCII.GetString(wanted);
                filter = command => CommandDocumentation.CategoriesOf(command).Contains(category, StringComparer.OrdinalIgnoreCase);
            }
            else if (call[3].Is("PATTERN"u8))
            {
                filter = command => GlobPattern.IsMatch(wanted, command.NameBytes, ignoreCase: true);
            }
            else
            {
                call.SyntaxError();
                return;
            }
        }
        else if (call.Count != 2)
        {
            call.SyntaxError();
            return;
        }
        string[] names = [.. Everything(call.Command.Table).Where(filter).Select(command => command.Name)];
        call.Reply.Array(names.Length);
        foreach (string name in names) call.Reply.BulkString(name);
    }

    /// <summary>COMMAND INFO [command-name [command-name ...]]</summary>
    [Command("COMMAND|INFO", -2, Flags, Category.Connection, Since = "2.8.13", Complexity = "O(N) where N is the number of commands to look up",
        Summary = "Returns information about one, multiple or all commands.", Group = "server", Syntax = "[command-name [command-name ...]]",
        Tips = "nondeterministic_output_order", History = "7.0.0: Allowed to be called with no argument to get info on all commands.")]
    internal static void Info(ref CommandContext call)
    {
        if (call.Count == 2)
        {
            WriteInfos(ref call);
            return;
        }
        call.Reply.Array(call.Count - 2);
        for (int i = 2; i < call.Count; i++) CommandDocumentation.WriteInfo(call.Reply, Find(call.Command.Table, call[i]));
    }

    /// <summary>COMMAND DOCS [command-name [command-name ...]] — commands that do not exist are left out.</summary>
    [Command("COMMAND|DOCS", -2, Flags, Category.Connection, Since = "7.0.0", Complexity = "O(N) where N is the number of commands to look up",
        Summary = "Returns documentary information about one, multiple or all commands.", Group = "server", Syntax = "[command-name [command-name ...]]",
        Tips = "nondeterministic_output_order")]
    internal static void Docs(ref CommandContext call)
    {
        CommandTable table = call.Command.Table;
        if (call.Count == 2)
        {
            call.Reply.Map(table.Commands.Count);
            foreach (CommandInfo command in table.Commands) WriteDocs(call.Reply, command);
            return;
        }
        int begin = call.Reply.Begin(), count = 0;
        for (int i = 2; i < call.Count; i++)
        {
            if (Find(table, call[i]) is not { } command) continue;
            WriteDocs(call.Reply, command);
            count++;
        }
        call.Reply.Finish(begin, Aggregate.Map, count);
    }

    /// <summary>COMMAND GETKEYS command [arg [arg ...]]</summary>
    [Command("COMMAND|GETKEYS", -3, Flags, Category.Connection, Since = "2.8.13", Complexity = "O(N) where N is the number of arguments to the command",
        Summary = "Extracts the key names from an arbitrary command.", Group = "server", Syntax = "command [arg [arg ...]]")]
    internal static void Getkeys(ref CommandContext call)
    {
        if (!TryLocateKeys(ref call, out OwnedRequest? request, out _, out List<(int Position, KeySpecification Keys)> found)) return;
        call.Reply.Array(found.Count);
        foreach ((int position, _) in found) call.Reply.BulkString(request!.Request[position]);
    }

    /// <summary>COMMAND GETKEYSANDFLAGS command [arg [arg ...]]</summary>
    [Command("COMMAND|GETKEYSANDFLAGS", -3, Flags, Category.Connection, Since = "7.0.0", Complexity = "O(N) where N is the number of arguments to the command",
        Summary = "Extracts the key names and access flags for an arbitrary command.", Group = "server", Syntax = "command [arg [arg ...]]")]
    internal static void Getkeysandflags(ref CommandContext call)
    {
        if (!TryLocateKeys(ref call, out OwnedRequest? request, out CommandInfo? command, out List<(int Position, KeySpecification Keys)> found)) return;
        call.Reply.Array(found.Count);
        foreach ((int position, KeySpecification keys) in found)
        {
            call.Reply.Array(2);
            call.Reply.BulkString(request!.Request[position]);
            string[] flags = keys.HasVariableFlags ? VariableKeyFlags.Of(command!, request.Request).Names : keys.Flags;
            CommandDocumentation.WriteNames(call.Reply, flags.Select(CommandDocumentation.ShownFlag));
        }
    }

    /// <summary>COMMAND HELP</summary>
    [Command("COMMAND|HELP", 2, Flags, Category.Connection, Since = "5.0.0", Complexity = "O(1)",
        Summary = "Returns helpful text about the different subcommands.", Group = "server")]
    internal static void Help(ref CommandContext call) => HelpText.Reply(ref call,
        """
        (no subcommand)
            Return details about all Redis commands.
        COUNT
            Return the total number of commands in this Redis server.
        LIST
            Return a list of all commands in this Redis server.
        INFO [<command-name> ...]
            Return details about multiple Redis commands.
            If no command names are given, documentation details for all
            commands are returned.
        DOCS [<command-name> ...]
            Return documentation details about multiple Redis commands.
            If no command names are given, documentation details for all
            commands are returned.
        GETKEYS <full-command>
            Return the keys from a full Redis command.
        GETKEYSANDFLAGS <full-command>
            Return the keys and the access flags from a full Redis command.
        """);

    private static void WriteInfos(ref CommandContext call)
    {
        IReadOnlyCollection<CommandInfo> commands = call.Command.Table.Commands;
        call.Reply.Array(commands.Count);
        foreach (CommandInfo command in commands) CommandDocumentation.WriteInfo(call.Reply, command);
    }

    private static void WriteDocs(RespWriter reply, CommandInfo command)
    {
        reply.BulkString(command.Name);
        CommandDocumentation.WriteDocs(reply, command);
    }

    private static IEnumerable<CommandInfo> Everything(CommandTable table) =>
        table.Commands.SelectMany(command => command.Subcommands is null ? [command] : new[] { command }.Concat(command.Subcommands.Values));

    /// <summary>Finds a command by its name: "get" or "config|get".</summary>
    private static CommandInfo? Find(CommandTable table, ReadOnlySpan<byte> name)
    {
        int bar = name.IndexOf((byte)'|');
        if (bar < 0) return table.Find(name);
        return table.Find(name[..bar]) is { } container ? CommandTable.FindSubcommand(container, name[(bar + 1)..]) : null;
    }

    private static bool TryLocateKeys(
        ref CommandContext call, out OwnedRequest? request, out CommandInfo? command, out List<(int Position, KeySpecification Keys)> found)
    {
        found = [];
        var arguments = new ReadOnlyMemory<byte>[call.Count - 2];
        for (int i = 0; i < arguments.Length; i++) arguments[i] = call[i + 2].ToArray();
        request = OwnedRequest.Of(arguments);
        command = call.Command.Table.Resolve(request.Request);
        if (command?.Method is null)
        {
            call.Reply.Error("ERR Invalid command specified"u8);
            return false;
        }
        if (command.Keys.Count == 0)
        {
            call.Reply.Error("ERR The command has no key arguments"u8);
            return false;
        }
        if (!command.AcceptsCount(request.Count))
        {
            call.Reply.Error("ERR Invalid number of arguments specified for command"u8);
            return false;
        }
        var positions = new List<int>();
        foreach (KeySpecification keys in command.Keys)
        {
            positions.Clear();
            if (keys.IsNotKey) continue;
            if (!keys.TryLocate(request.Request, positions) || (keys.Find == KeyFind.KeyCount && positions.Count == 0))
            {
                // Nothing is certain about a command that is going to be refused, the other keys included.
                found.Clear();
                break;
            }
            foreach (int position in positions) found.Add((position, keys));
        }
        if (found.Count > 0) return true;
        if (command.Is(CommandFlags.NoMandatoryKeys)) call.Reply.Array(0);
        else call.Reply.Error("ERR Invalid arguments specified for command"u8);
        return false;
    }
}
