using System.Text;

namespace OrleansRedis.Engine;

/// <summary>
/// MODULE. Modules are libraries for redis-server, and cannot be loaded here; so there are none, which clients that look
/// for one are told.
/// </summary>
internal static class ModuleCommand
{
    private const CommandFlags Flags = CommandFlags.Admin | CommandFlags.NoScript;
    private const CommandFlags Changes = Flags | CommandFlags.NoAsyncLoading;

    /// <summary>MODULE LIST</summary>
    [Command("MODULE|LIST", 2, Flags, Category.None, Since = "4.0.0", Complexity = "O(N) where N is the number of loaded modules.",
        Summary = "Returns all loaded modules.", Group = "server", Tips = "nondeterministic_output_order")]
    internal static void List(ref CommandContext call) => call.Reply.Array(0);

    /// <summary>MODULE LOAD path [arg [arg ...]]</summary>
    [Command("MODULE|LOAD", -3, Changes, Category.None, Since = "4.0.0", Complexity = "O(1)", Summary = "Loads a module.", Group = "server",
        Syntax = "path [arg [arg ...]]")]
    internal static void Load(ref CommandContext call) => Refuse(ref call);

    /// <summary>MODULE LOADEX path [CONFIG name value [CONFIG name value ...]] [ARGS args [args ...]]</summary>
    [Command("MODULE|LOADEX", -3, Changes, Category.None, Since = "7.0.0", Complexity = "O(1)", Summary = "Loads a module using extended parameters.",
        Group = "server", Syntax = "path [configs=CONFIG name value [CONFIG name value ...]] [ARGS args [args ...]]")]
    internal static void Loadex(ref CommandContext call) => Refuse(ref call);

    /// <summary>MODULE UNLOAD name</summary>
    [Command("MODULE|UNLOAD", 3, Changes, Category.None, Since = "4.0.0", Complexity = "O(1)", Summary = "Unloads a module.", Group = "server",
        Syntax = "name")]
    internal static void Unload(ref CommandContext call)
    {
        if (IsAllowed(ref call)) call.Reply.Error("ERR Error unloading module: no such module with that name"u8);
    }

    /// <summary>MODULE HELP</summary>
    [Command("MODULE|HELP", 2, CommandFlags.Loading | CommandFlags.Stale, Category.None, Since = "5.0.0", Complexity = "O(1)",
        Summary = "Returns helpful text about the different subcommands.", Group = "server")]
    internal static void Help(ref CommandContext call) => HelpText.Reply(ref call,
        """
        LIST
            Return a list of loaded modules.
        LOAD <path> [<arg> ...]
            Load a module library from <path>, passing to it any optional arguments.
        LOADEX <path> [[CONFIG NAME VALUE] [CONFIG NAME VALUE]] [ARGS ...]
            Load a module library from <path>, while passing it module configurations and optional arguments.
        UNLOAD <name>
            Unload a module.
        """);

    private static void Refuse(ref CommandContext call)
    {
        if (!IsAllowed(ref call)) return;
        call.Store.Log.Warning($"Module {Encoding.UTF8.GetString(call[2])} cannot be loaded: modules are libraries for redis-server.");
        call.Reply.Error("ERR Error loading the extension. Please check the server logs."u8);
    }

    private static bool IsAllowed(ref CommandContext call)
    {
        if (ServerConfiguration.Allows(call.Store.Options.EnableModuleCommand, call.Session.IsLocal)) return true;
        call.Reply.Error("ERR MODULE command not allowed. If the enable-module-command option is set to \"local\", you can run it from a local connection, "u8
            + "otherwise you need to set this option in the configuration file, and then restart the server."u8);
        return false;
    }
}
