using System.Text;

namespace OrleansRedis.Engine;

/// <summary>Runs a script or a function for a command, from its checks to its reply.</summary>
internal static class ScriptRunner
{
    /// <summary>EVAL and EVALSHA: runs a script of the cache.</summary>
    public static void Run(ref CommandContext call, ScriptHost host, Script script, bool isReadOnly, bool byEval)
    {
        if (!TryReadKeyCount(call, out int keys)) return;
        ScriptThread thread = host.Thread;
        int reference = thread.Compile(script, out string message);
        if (reference < 0)
        {
            host.Drop(script);
            call.Reply.Error($"ERR Error compiling script (new function): {message}");
            return;
        }
        if (script.Traits.RunsAlone && call.Hold != Hold.Everything)
        {
            call.BeginScriptAnew(Outcome.NeedsExclusive);
            return;
        }
        if (byEval && !script.IsLoaded) host.Loaded(script, byEval);
        else host.Used(script);
        if (Refusal(call, script.Flags, isReadOnly) is { } refusal) call.Reply.Error(refusal);
        else Run(ref call, thread, reference, keys, script.Name, script.Flags, script.Traits, isReadOnly, isFunction: false);
    }

    /// <summary>FCALL: runs a function.</summary>
    public static void Run(ref CommandContext call, ScriptHost host, LibraryFunction function, bool isReadOnly)
    {
        if (!TryReadKeyCount(call, out int keys)) return;
        ScriptThread thread = host.Thread;
        int reference = thread.Find(function, out string message);
        if (reference < 0) call.Reply.Error($"ERR {message}");
        else if (Refusal(call, function.Flags, isReadOnly) is { } refusal) call.Reply.Error(refusal);
        else Run(ref call, thread, reference, keys, function.Name, function.Flags, function.Traits, isReadOnly, isFunction: true);
    }

    private static bool TryReadKeyCount(in CommandContext call, out int keys)
    {
        keys = 0;
        if (!Numbers.TryParseInt64(call[2], out long count))
        {
            call.Reply.Error(call.Command.Name[0] == 'f' ? "ERR Bad number of keys provided"u8 : Errors.NotInteger);
            return false;
        }
        if (count > call.Count - 3)
        {
            call.Reply.Error("ERR Number of keys can't be greater than number of args"u8);
            return false;
        }
        if (count < 0)
        {
            call.Reply.Error("ERR Number of keys can't be negative"u8);
            return false;
        }
        keys = (int)count;
        return true;
    }

    /// <summary>
    /// Why a script that has flags may not run; null if it may. One without is checked command by command.
    /// </summary>
    private static string? Refusal(in CommandContext call, ScriptFlags flags, bool isReadOnly)
    {
        if ((flags & ScriptFlags.Compatible) != 0) return null;
        Store store = call.Store;
        if ((flags & ScriptFlags.NoCluster) != 0 && store.Cluster is not null) return "ERR Can not run script on cluster, 'no-cluster' flag is set.";
        if ((flags & ScriptFlags.NoWrites) != 0) return null;
        Restrictions restrictions = store.Restrictions;
        if ((restrictions & Restrictions.SnapshotFails) != 0)
        {
            return "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk. "
                + "Writable scripts are blocked. Use 'no-writes' flag for read only scripts.";
        }
        if ((restrictions & Restrictions.LogFails) != 0 && store.Durability?.WriteError is { } error)
        {
            string reason = error[(error.IndexOf(": ", StringComparison.Ordinal) + 2)..];
            return "MISCONF Redis is configured to persist data to AOF, but it's currently unable to persist to disk. "
                + $"Writable scripts are blocked. Use 'no-writes' flag for read only scripts. AOF error: {reason}";
        }
        if (isReadOnly) return "ERR Can not execute a script with write flag using *_ro command.";
        return store.Options.MaxMemory != 0 && store.Eviction.IsOver && (flags & ScriptFlags.AllowOom) == 0
            ? "OOM allow-oom flag is not set on the script, can not run it when used memory > 'maxmemory'"
            : null;
    }

    private static void Run(
        ref CommandContext call, ScriptThread thread, int reference, int keys, string name, ScriptFlags flags, ScriptTraits traits, bool isReadOnly,
        bool isFunction)
    {
        LuaState state = thread.State;
        ScriptRun run = thread.Run;
        int database = call.Session.Database;
        run.Begin(call, name, isFunction, flags, isReadOnly);
        LuaState? outer = state.Enter();
        bool isSlow;
        try
        {
            int arguments = thread.Push(call, reference, keys, isFunction);
            if (run.Debugger is { } debugger) state.BeginDebugging(debugger.Lines);
            bool isDone = state.Run(arguments) == LuaApi.Ok;
            if (run.Restart == Outcome.Done)
            {
                int mark = call.Reply.Length;
                bool isCounted = isDone ? ScriptReply.IsCountedError(state.Handle) : state.TopError().IsCounted;
                if (isDone) ScriptReply.Pop(state.Handle, call.Reply, run.IsResp3);
                else WriteError(call.Reply, run, state.TopError());
                if (isCounted && call.Reply.WrittenSince(mark) is [(byte)'-', ..] reply) call.Store.Observer?.Errors.Discount(reply);
            }
        }
        finally
        {
            state.Exit(outer);
            if (run.Debugger is not null) state.EndDebugging();
            isSlow = run.End();
            call.Session.Database = database;
            call.EndScript(run);
        }
        Learn(traits, run, isSlow);
        thread.Tidy();
        // A thread of the pool may end at any time; those of the event loops run scripts all the time.
        if (call.Store.Threads is not { IsOne: true }) call.Store.Scripts!.Leave();
    }

    private static void WriteError(RespWriter reply, ScriptRun run, in LuaError error)
    {
        string message = Encoding.Latin1.GetString(error.Message);
        // One that has been killed may end with another error: what pcall caught is thrown once more.
        if (!error.IsTable && !run.IsKilled)
        {
            if (message.Length > 100) message = message[..100];
            reply.Error($"ERR Error running script {run.Name}, {(message.Length == 0 ? "execution failure" : message)}");
            return;
        }
        if (run.IsKilled) message = "ERR Script killed by user with SCRIPT KILL...";
        else if (run.IsAborted) message = "ERR script aborted for user request";
        if (error.Line is not null && error.Source is not null)
            message += $" script: {run.Name}, on {Encoding.Latin1.GetString(error.Source)}:{Encoding.Latin1.GetString(error.Line)}.";
        reply.Error(message);
    }

    private static void Learn(ScriptTraits traits, ScriptRun run, bool isSlow)
    {
        switch (run.Restart)
        {
            case Outcome.Busy:
                traits.Reaches = true;
                return;
            case Outcome.NeedsExclusive:
                traits.RunsAlone = true;
                return;
            case Outcome.SlotNotHere:
                return;
        }
        if (run.HasReached && !traits.Reaches) traits.Reaches = true;
        if (traits.IsSlow != isSlow) traits.IsSlow = isSlow;
        if (!traits.HasRun) traits.HasRun = true;
    }
}
