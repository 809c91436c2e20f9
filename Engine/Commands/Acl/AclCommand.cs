using System.Security.Cryptography;
using System.Text;

namespace OrleansRedis.Engine;

/// <summary>ACL: the users, what they may do, and what has been denied.</summary>
internal static class AclCommand
{
    private const CommandFlags Open = CommandFlags.NoScript | CommandFlags.Loading | CommandFlags.Stale, Flags = Open | CommandFlags.Admin;

    private const int MostPasswordBits = 4096;

    private static ReadOnlySpan<byte> NoFile => "ERR This Redis instance is not configured to use an ACL file. You may want to specify users via the "u8
        + "ACL SETUSER command and then issue a CONFIG REWRITE (assuming you have a Redis configuration file set) in order to store users in the "u8
        + "Redis configuration."u8;

    /// <summary>ACL SETUSER username [rule [rule ...]]</summary>
    [Command("ACL|SETUSER", -3, Flags, Category.None, Secrets = "2..", Group = "server", Since = "6.0.0",
        Complexity = "O(N). Where N is the number of rules provided.", Summary = "Creates and modifies an ACL user and its rules.",
        Syntax = "username [rule [rule ...]]", Tips = "request_policy:all_nodes;response_policy:all_succeeded",
        History = "6.2.0: Added Pub/Sub channel patterns.\n7.0.0: Added selectors and key based permissions.")]
    internal static void Setuser(ref CommandContext call)
    {
        var rules = new List<string>();
        for (int i = 3; i < call.Count; i++) rules.Add(Encoding.Latin1.GetString(call[i]));
        if (call.Store.Acl.Set(Encoding.Latin1.GetString(call[2]), rules, call.Session) is { } error) call.Reply.Error($"ERR {error}");
        else call.Reply.Ok();
    }

    /// <summary>ACL DELUSER username [username ...]</summary>
    [Command("ACL|DELUSER", -3, Flags, Category.None, Secrets = "2..", Group = "server", Since = "6.0.0",
        Complexity = "O(1) amortized time considering the typical user.", Summary = "Deletes ACL users, and terminates their connections.",
        Syntax = "username [username ...]", Tips = "request_policy:all_nodes;response_policy:all_succeeded")]
    internal static void Deluser(ref CommandContext call)
    {
        var names = new List<string>();
        for (int i = 2; i < call.Count; i++)
        {
            if (call[i].SequenceEqual("default"u8))
            {
                call.Reply.Error("ERR The 'default' user cannot be removed"u8);
                return;
            }
            names.Add(Encoding.Latin1.GetString(call[i]));
        }
        call.Reply.Integer(call.Store.Acl.Delete(names, call.Session));
    }

    /// <summary>ACL GETUSER username</summary>
    [Command("ACL|GETUSER", 3, Flags, Category.None, Secrets = "2..", Group = "server", Since = "6.0.0",
        Complexity = "O(N). Where N is the number of password, command and pattern rules that the user has.", Summary = "Lists the ACL rules of a user.",
        Syntax = "username",
        History = "6.2.0: Added Pub/Sub channel patterns.\n7.0.0: Added selectors and changed the format of key and channel patterns from a list to their "
            + "rule representation.")]
    internal static void Getuser(ref CommandContext call)
    {
        if (call.Store.Acl.Find(call[2]) is not { } user)
        {
            call.Reply.Null();
            return;
        }
        AclRules rules = user.Rules;
        RespWriter reply = call.Reply;
        reply.Map(6);
        reply.BulkString("flags"u8);
        string[] flags = [.. rules.Flags], hashes = [.. rules.PasswordHashes];
        reply.Set(flags.Length);
        foreach (string flag in flags) reply.BulkString(flag);
        reply.BulkString("passwords"u8);
        reply.Array(hashes.Length);
        foreach (string hash in hashes) reply.BulkString(hash);
        WriteSelector(reply, rules.Selectors[0]);
        reply.BulkString("selectors"u8);
        reply.Array(rules.Selectors.Count - 1);
        foreach (AclSelector selector in rules.Selectors.Skip(1))
        {
            reply.Map(3);
            WriteSelector(reply, selector);
        }
    }

    /// <summary>ACL LIST — the users as lines of an ACL file.</summary>
    [Command("ACL|LIST", 2, Flags, Category.None, Group = "server", Since = "6.0.0", Complexity = "O(N). Where N is the number of configured users.",
        Summary = "Dumps the effective rules in ACL file format.")]
    internal static void List(ref CommandContext call) => WriteUsers(call.Reply, call.Store.Acl, user => $"user {user.Name} {user.Rules.Describe()}");

    /// <summary>ACL USERS — the users' names.</summary>
    [Command("ACL|USERS", 2, Flags, Category.None, Group = "server", Since = "6.0.0", Complexity = "O(N). Where N is the number of configured users.",
        Summary = "Lists all ACL users.")]
    internal static void Users(ref CommandContext call) => WriteUsers(call.Reply, call.Store.Acl, user => user.Name);

    /// <summary>ACL WHOAMI</summary>
    [Command("ACL|WHOAMI", 2, Open, Category.None, Group = "server", Since = "6.0.0", Complexity = "O(1)",
        Summary = "Returns the authenticated username of the current connection.")]
    internal static void Whoami(ref CommandContext call) => call.Reply.BulkString(call.Session.User.NameBytes);

    /// <summary>ACL CAT [category] — the categories, or the commands of one.</summary>
    [Command("ACL|CAT", -2, Open, Category.None, Group = "server", Since = "6.0.0",
        Complexity = "O(1) since the categories and commands are a fixed set.", Summary = "Lists the ACL categories, or the commands inside a category.",
        Syntax = "[category]")]
    internal static void Cat(ref CommandContext call)
    {
        if (call.Count > 3)
        {
            call.Reply.Error(Errors.SubcommandSyntax("ACL", call.Request));
            return;
        }
        IEnumerable<string> names;
        if (call.Count == 2)
        {
            names = Enum.GetValues<Category>().Where(category => category != Category.None).Select(category => category.ToString().ToLowerInvariant());
        }
        else
        {
            Category category = AclSelector.CategoryOf(Encoding.Latin1.GetString(call[2]));
            if (category == Category.None)
            {
                call.Reply.Error($"ERR Unknown category '{Errors.Quoted(call[2])}'");
                return;
            }
            names = call.Command.Table.Declared.SelectMany(command => command.Subcommands?.Values.Prepend(command) ?? [command])
                .Where(command => (command.Categories & category) != 0).Select(command => command.Name);
        }
        string[] all = [.. names];
        call.Reply.Array(all.Length);
        foreach (string name in all) call.Reply.BulkString(name);
    }

    /// <summary>ACL GENPASS [bits]</summary>
    [Command("ACL|GENPASS", -2, Open, Category.None, Group = "server", Since = "6.0.0", Complexity = "O(1)",
        Summary = "Generates a pseudorandom, secure password that can be used to identify ACL users.", Syntax = "[bits]")]
    internal static void Genpass(ref CommandContext call)
    {
        long bits = 256;
        if (call.Count > 3)
        {
            call.Reply.Error(Errors.SubcommandSyntax("ACL", call.Request));
            return;
        }
        if (call.Count == 3 && !call.TryInt64(2, out bits)) return;
        if (bits is <= 0 or > MostPasswordBits)
        {
            call.Reply.Error(
                $"ERR ACL GENPASS argument must be the number of bits for the output password, a positive number up to {MostPasswordBits}");
            return;
        }
        call.Reply.BulkString(RandomNumberGenerator.GetHexString((int)(bits + 3) / 4, lowercase: true));
    }

    /// <summary>ACL LOG [count | RESET]</summary>
    [Command("ACL|LOG", -2, Flags, Category.None, Group = "server", Since = "6.0.0", Complexity = "O(N) with N being the number of entries shown.",
        Summary = "Lists recent security events generated due to ACL rules.", Syntax = "operation=[count | RESET]",
        History = "7.2.0: Added entry ID, timestamp created, and timestamp last updated.")]
    internal static void Log(ref CommandContext call)
    {
        AclLog log = call.Store.Acl.Denials;
        long count = 10;
        if (call.Count > 3)
        {
            call.Reply.Error(Errors.SubcommandSyntax("ACL", call.Request));
            return;
        }
        if (call.Count == 3 && call[2].Is("RESET"u8))
        {
            log.Clear();
            call.Reply.Ok();
            return;
        }
        if (call.Count == 3 && !call.TryInt64(2, out count)) return;
        List<AclLogEntry> entries = log.Latest(count);
        call.Reply.Array(entries.Count);
        foreach (AclLogEntry entry in entries) WriteEntry(call.Reply, entry, call.NowMs);
    }

    /// <summary>ACL LOAD</summary>
    [Command("ACL|LOAD", 2, Flags, Category.None, Group = "server", Since = "6.0.0", Complexity = "O(N). Where N is the number of configured users.",
        Summary = "Reloads the rules from the configured ACL file.")]
    internal static void Load(ref CommandContext call)
    {
        if (call.Store.Options.AclFile.Length == 0)
        {
            call.Reply.Error(NoFile);
            return;
        }
        (AclUsers users, Session session) = (call.Store.Acl, call.Session);
        // The I/O thread must not read a file.
        call.Continuation = async reply =>
        {
            if (await Task.Run(() => users.Load(session)).ConfigureAwait(false) is { } errors) reply.Error($"ERR {errors}");
            else reply.Ok();
        };
    }

    /// <summary>ACL SAVE</summary>
    [Command("ACL|SAVE", 2, Flags, Category.None, Group = "server", Since = "6.0.0", Complexity = "O(N). Where N is the number of configured users.",
        Summary = "Saves the effective ACL rules in the configured ACL file.", Tips = "request_policy:all_nodes;response_policy:all_succeeded")]
    internal static void Save(ref CommandContext call)
    {
        if (call.Store.Options.AclFile.Length == 0)
        {
            call.Reply.Error(NoFile);
            return;
        }
        AclUsers users = call.Store.Acl;
        call.Continuation = async reply =>
        {
            if (await Task.Run(users.Save).ConfigureAwait(false)) reply.Ok();
            else reply.Error("ERR There was an error trying to save the ACLs. Please check the server logs for more information"u8);
        };
    }

    /// <summary>ACL DRYRUN username command [arg [arg ...]]</summary>
    [Command("ACL|DRYRUN", -4, Flags, Category.None, Group = "server", Since = "7.0.0", Complexity = "O(1).",
        Summary = "Simulates the execution of a command by a user, without executing the command.", Syntax = "username command [arg [arg ...]]")]
    internal static void Dryrun(ref CommandContext call)
    {
        if (call.Store.Acl.Find(call[2]) is not { } user)
        {
            call.Reply.Error($"ERR User '{Errors.Quoted(call[2])}' not found");
            return;
        }
        var arguments = new ReadOnlyMemory<byte>[call.Count - 3];
        for (int i = 0; i < arguments.Length; i++) arguments[i] = call[i + 3].ToArray();
        Request request = OwnedRequest.Of(arguments).Request;
        CommandInfo? command = call.Command.Table.Resolve(request);
        if (command is null || (command.Method is null && request.Count > 1))
        {
            call.Reply.Error($"ERR Command '{Errors.Quoted(request[0])}' not found");
        }
        else if (!command.AcceptsCount(request.Count))
        {
            call.Reply.Error(Errors.WrongArity(command));
        }
        else
        {
            AclVerdict verdict = user.Rules.Check(command, request);
            if (verdict.IsAllowed) call.Reply.Ok();
            else call.Reply.BulkString(Encoding.Latin1.GetBytes(verdict.Explain(user.Name, command, request)));
        }
    }

    /// <summary>ACL HELP</summary>
    [Command("ACL|HELP", 2, CommandFlags.Loading | CommandFlags.Stale, Category.None, Group = "server", Since = "6.0.0", Complexity = "O(1)",
        Summary = "Returns helpful text about the different subcommands.")]
    internal static void Help(ref CommandContext call) => HelpText.Reply(ref call,
        """
        CAT [<category>]
            List all commands that belong to <category>, or all command categories
            when no category is specified.
        DELUSER <username> [<username> ...]
            Delete a list of users.
        DRYRUN <username> <command> [<arg> ...]
            Returns whether the user can execute the given command without executing the command.
        GETUSER <username>
            Get the user's details.
        GENPASS [<bits>]
            Generate a secure 256-bit user password. The optional `bits` argument can
            be used to specify a different size.
        LIST
            Show users details in config file format.
        LOAD
            Reload users from the ACL file.
        LOG [<count> | RESET]
            Show the ACL log entries.
        SAVE
            Save the current config to the ACL file.
        SETUSER <username> <attribute> [<attribute> ...]
            Create or modify a user with the specified attributes.
        USERS
            List all the registered usernames.
        WHOAMI
            Return the current connection username.
        """);

    private static void WriteUsers(RespWriter reply, AclUsers users, Func<AclUser, string> show)
    {
        string[] shown = [.. users.All.Select(show)];
        reply.Array(shown.Length);
        foreach (string user in shown) reply.BulkString(Encoding.Latin1.GetBytes(user));
    }

    private static void WriteSelector(RespWriter reply, AclSelector selector)
    {
        reply.BulkString("commands"u8);
        reply.BulkString(Encoding.Latin1.GetBytes(selector.DescribeCommands()));
        reply.BulkString("keys"u8);
        reply.BulkString(Encoding.Latin1.GetBytes(selector.DescribeKeys()));
        reply.BulkString("channels"u8);
        reply.BulkString(Encoding.Latin1.GetBytes(selector.DescribeChannels()));
    }

    private static void WriteEntry(RespWriter reply, AclLogEntry entry, long nowMs)
    {
        reply.Map(10);
        reply.BulkString("count"u8);
        reply.Integer(entry.Count);
        reply.BulkString("reason"u8);
        reply.BulkString(entry.Reason.ToString().ToLowerInvariant());
        reply.BulkString("context"u8);
        reply.BulkString(entry.Context.ToString().ToLowerInvariant());
        reply.BulkString("object"u8);
        reply.BulkString(Encoding.Latin1.GetBytes(entry.Object));
        reply.BulkString("username"u8);
        reply.BulkString(Encoding.Latin1.GetBytes(entry.User));
        reply.BulkString("age-seconds"u8);
        reply.Double((nowMs - entry.UpdatedMs) / 1000.0);
        reply.BulkString("client-info"u8);
        reply.BulkString(entry.Client);
        reply.BulkString("entry-id"u8);
        reply.Integer(entry.Id);
        reply.BulkString("timestamp-created"u8);
        reply.Integer(entry.CreatedMs);
        reply.BulkString("timestamp-last-updated"u8);
        reply.Integer(entry.UpdatedMs);
    }
}
