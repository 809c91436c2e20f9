namespace OrleansRedis.Engine;

/// <summary>EVAL, EVALSHA and their variants; SCRIPT.</summary>
internal static class EvalCommands
{
    private const CommandFlags Runs = CommandFlags.NoScript | CommandFlags.Stale | CommandFlags.SkipMonitor | CommandFlags.MovableKeys
        | CommandFlags.NoMandatoryKeys | CommandFlags.UndeclaredKeys | CommandFlags.RunsScript;

    private const CommandFlags Container = CommandFlags.NoScript;

    private const string KeyNote = "We cannot tell how the keys will be used so we assume the worst, RW and UPDATE";
    private const string ReadOnlyKeyNote = "We cannot tell how the keys will be used so we assume the worst, RO and ACCESS";

    /// <summary>EVAL script numkeys [key [key ...]] [arg [arg ...]]</summary>
    [Command("EVAL", -3, Runs | CommandFlags.MayReplicate, Category.Scripting, Keys = "RW ACCESS UPDATE #2", KeyNotes = KeyNote, Since = "2.6.0",
        Complexity = "Depends on the script that is executed.", Summary = "Executes a server-side Lua script.",
        Syntax = "script numkeys [key [key ...]] [arg [arg ...]]")]
    internal static void Eval(ref CommandContext call) => Evaluate(ref call, isReadOnly: false);

    /// <summary>EVAL_RO script numkeys [key [key ...]] [arg [arg ...]]</summary>
    [Command("EVAL_RO", -3, Runs | CommandFlags.ReadOnly, Category.Scripting, Keys = "RO ACCESS #2", KeyNotes = ReadOnlyKeyNote, Since = "7.0.0",
        Complexity = "Depends on the script that is executed.", Summary = "Executes a read-only server-side Lua script.",
        Syntax = "script numkeys [key [key ...]] [arg [arg ...]]")]
    internal static void EvalRo(ref CommandContext call) => Evaluate(ref call, isReadOnly: true);

    /// <summary>EVALSHA sha1 numkeys [key [key ...]] [arg [arg ...]]</summary>
    [Command("EVALSHA", -3, Runs | CommandFlags.MayReplicate, Category.Scripting, Keys = "RW ACCESS UPDATE #2", Since = "2.6.0",
        Complexity = "Depends on the script that is executed.", Summary = "Executes a server-side Lua script by SHA1 digest.",
        Syntax = "sha1 numkeys [key [key ...]] [arg [arg ...]]")]
    internal static void EvalSha(ref CommandContext call) => EvaluateBySha(ref call, isReadOnly: false);

    /// <summary>EVALSHA_RO sha1 numkeys [key [key ...]] [arg [arg ...]]</summary>
    [Command("EVALSHA_RO", -3, Runs | CommandFlags.ReadOnly, Category.Scripting, Keys = "RO ACCESS #2", Since = "7.0.0",
        Complexity = "Depends on the script that is executed.", Summary = "Executes a read-only server-side Lua script by SHA1 digest.",
        Syntax = "sha1 numkeys [key [key ...]] [arg [arg ...]]")]
    internal static void EvalShaRo(ref CommandContext call) => EvaluateBySha(ref call, isReadOnly: true);

    private static void Evaluate(ref CommandContext call, bool isReadOnly)
    {
        if (call.Session.ScriptDebugging != ScriptDebugging.No && ScriptDebugger.Mine is null)
        {
            if (call.MayBlock) ScriptDebugger.Begin(ref call, onCopies: call.Session.ScriptDebugging == ScriptDebugging.OnCopies);
            else call.Reply.Error("ERR a script cannot be debugged inside a transaction"u8);
            return;
        }
        if (IsFirst(ref call)) return;
        ScriptHost host = ScriptHost.Of(call.Store);
        string? error = null;
        Script? script = (call.Callable as Script) ?? host.Known(call[1], out error);
        if (script is null) call.Reply.Error($"ERR {error}");
        else ScriptRunner.Run(ref call, host, script, isReadOnly, byEval: true);
    }

    private static void EvaluateBySha(ref CommandContext call, bool isReadOnly)
    {
        if (call.Session.ScriptDebugging != ScriptDebugging.No)
        {
            call.Reply.Error("ERR Please use EVAL instead of EVALSHA for debugging"u8);
            return;
        }
        if (IsFirst(ref call)) return;
        ScriptHost host = ScriptHost.Of(call.Store);
        if ((call.Callable as Script) is { IsGone: false } known) ScriptRunner.Run(ref call, host, known, isReadOnly, byEval: false);
        else if (host.Find(call[1]) is { } script) ScriptRunner.Run(ref call, host, script, isReadOnly, byEval: false);
        else call.Reply.Error("NOSCRIPT No matching script. Please use EVAL."u8);
    }

    /// <summary>
    /// Whether this is a store's first script. It is then tried again, since until now nobody could tell which gates it
    /// needs.
    /// </summary>
    internal static bool IsFirst(ref CommandContext call)
    {
        if (call.Store.Scripts is not null || call.Hold == Hold.Everything) return false;
        _ = ScriptHost.Of(call.Store);
        call.BeginScriptAnew(Outcome.Long);
        return true;
    }

    /// <summary>SCRIPT LOAD script</summary>
    [Command("SCRIPT|LOAD", 3, Container | CommandFlags.EverySilo | CommandFlags.Stale, Category.Scripting, Since = "2.6.0",
        Complexity = "O(N) with N being the length in bytes of the script body.", Summary = "Loads a server-side Lua script to the script cache.",
        Syntax = "script", Tips = "request_policy:all_nodes;response_policy:all_succeeded")]
    internal static void Load(ref CommandContext call)
    {
        ScriptHost host = ScriptHost.Of(call.Store);
        if (host.Known(call[2], out string? error) is not { } script)
        {
            call.Reply.Error($"ERR {error}");
            return;
        }
        if (host.Thread.Compile(script, out string message) < 0)
        {
            host.Drop(script);
            call.Reply.Error($"ERR Error compiling script (new function): {message}");
            return;
        }
        host.Loaded(script, byEval: false);
        call.Reply.BulkString(script.Name);
    }

    /// <summary>SCRIPT EXISTS sha1 [sha1 ...]</summary>
    [Command("SCRIPT|EXISTS", -3, Container | CommandFlags.EverySilo, Category.Scripting, Since = "2.6.0",
        Complexity = "O(N) with N being the number of scripts to check (so checking a single script is an O(1) operation).",
        Summary = "Determines whether server-side Lua scripts exist in the script cache.", Syntax = "sha1 [sha1 ...]",
        Tips = "request_policy:all_shards;response_policy:agg_logical_and")]
    internal static void Exists(ref CommandContext call)
    {
        ScriptHost host = ScriptHost.Of(call.Store);
        call.Reply.Array(call.Count - 2);
        for (int i = 2; i < call.Count; i++) call.Reply.Integer(host.Find(call[i]) is null ? 0 : 1);
    }

    /// <summary>SCRIPT FLUSH [ASYNC | SYNC]</summary>
    [Command("SCRIPT|FLUSH", -2, Container | CommandFlags.EverySilo, Category.Scripting, Since = "2.6.0",
        Complexity = "O(N) with N being the number of scripts in cache",
        Summary = "Removes all server-side Lua scripts from the script cache.", Syntax = "flush-type=[ASYNC | SYNC]",
        History = "6.2.0: Added the `ASYNC` and `SYNC` flushing mode modifiers.",
        Tips = "request_policy:all_nodes;response_policy:all_succeeded")]
    internal static void Flush(ref CommandContext call)
    {
        if (call.Count > 3 || (call.Count == 3 && !call[2].Is("ASYNC"u8) && !call[2].Is("SYNC"u8)))
        {
            call.Reply.Error("ERR SCRIPT FLUSH only support SYNC|ASYNC option"u8);
            return;
        }
        ScriptHost.Of(call.Store).Flush();
        call.Reply.Ok();
    }

    /// <summary>SCRIPT KILL</summary>
    [Command("SCRIPT|KILL", 2, Container | CommandFlags.AllowBusy, Category.Scripting, Since = "2.6.0", Complexity = "O(1)",
        Summary = "Terminates a server-side Lua script during execution.", Tips = "request_policy:all_shards;response_policy:one_succeeded")]
    internal static void Kill(ref CommandContext call)
    {
        if (ScriptHost.Of(call.Store).Kill(isFunction: false) is { } error) call.Reply.Error(error);
        else call.Reply.Ok();
    }

    /// <summary>SCRIPT SHOW sha1 — the text of a script, as in Valkey 8.</summary>
    [Command("SCRIPT|SHOW", 3, Container, Category.Scripting, Since = "8.0.0", Complexity = "O(1).",
        Summary = "Show server-side Lua script in the script cache.", Syntax = "sha1")]
    internal static void Show(ref CommandContext call)
    {
        if (ScriptHost.Of(call.Store).Find(call[2]) is { } script) call.Reply.BulkString(script.Body);
        else call.Reply.Error("NOSCRIPT No matching script. Please use EVAL."u8);
    }

    /// <summary>SCRIPT DEBUG YES | SYNC | NO</summary>
    [Command("SCRIPT|DEBUG", 3, Container | CommandFlags.NeedsConnection, Category.Scripting, Since = "3.2.0", Complexity = "O(1)",
        Summary = "Sets the debug mode of server-side Lua scripts.", Syntax = "mode=[YES | SYNC | NO]")]
    internal static void Debug(ref CommandContext call)
    {
        ScriptDebugging? mode = call[2].Is("NO"u8) ? ScriptDebugging.No : call[2].Is("YES"u8) ? ScriptDebugging.OnCopies
            : call[2].Is("SYNC"u8) ? ScriptDebugging.Sync : null;
        if (mode is not { } chosen)
        {
            call.Reply.Error("ERR Use SCRIPT DEBUG YES/SYNC/NO"u8);
            return;
        }
        call.Session.ScriptDebugging = chosen;
        call.Reply.Ok();
    }

    /// <summary>SCRIPT HELP</summary>
    [Command("SCRIPT|HELP", 2, CommandFlags.Loading | CommandFlags.Stale, Category.Scripting, Since = "5.0.0", Complexity = "O(1)",
        Summary = "Returns helpful text about the different subcommands.")]
    internal static void Help(ref CommandContext call) => HelpText.Reply(ref call, """
        DEBUG (YES|SYNC|NO)
            Set the debug mode for subsequent scripts executed.
        EXISTS <sha1> [<sha1> ...]
            Return information about the existence of the scripts in the script cache.
        FLUSH [ASYNC|SYNC]
            Flush the Lua scripts cache. Very dangerous on replicas.
            When called without the optional mode argument, the behavior is determined by the
            lazyfree-lazy-user-flush configuration directive. Valid modes are:
            * ASYNC: Asynchronously flush the scripts cache.
            * SYNC: Synchronously flush the scripts cache.
        KILL
            Kill the currently executing Lua script.
        LOAD <script>
            Load a script into the scripts cache without executing it.
        SHOW <sha1>
            Return the text of a script in the script cache.
        """);
}
