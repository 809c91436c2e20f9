using System.Buffers.Binary;

namespace OrleansRedis.Engine;

/// <summary>
/// FUNCTION: libraries of functions; FCALL. What changes the libraries runs alone, so that nobody else calls one
/// meanwhile.
/// </summary>
internal static class FunctionCommands
{
    private const CommandFlags Writes = CommandFlags.Write | CommandFlags.NoScript | CommandFlags.Exclusive | CommandFlags.EverySilo;

    private const CommandFlags Runs = CommandFlags.NoScript | CommandFlags.Stale | CommandFlags.SkipMonitor | CommandFlags.MovableKeys
        | CommandFlags.NoMandatoryKeys | CommandFlags.UndeclaredKeys | CommandFlags.RunsScript;

    private const string AllShards = "request_policy:all_shards;response_policy:all_succeeded";
    private const int FooterLength = 2 + 8;

    /// <summary>FCALL function numkeys [key [key ...]] [arg [arg ...]]</summary>
    [Command("FCALL", -3, Runs | CommandFlags.MayReplicate, Category.Scripting, Keys = "RW ACCESS UPDATE #2",
        KeyNotes = "We cannot tell how the keys will be used so we assume the worst, RW and UPDATE", Since = "7.0.0",
        Complexity = "Depends on the function that is executed.", Summary = "Invokes a function.",
        Syntax = "function numkeys [key [key ...]] [arg [arg ...]]")]
    internal static void FCall(ref CommandContext call) => Call(ref call, isReadOnly: false);

    /// <summary>FCALL_RO function numkeys [key [key ...]] [arg [arg ...]]</summary>
    [Command("FCALL_RO", -3, Runs | CommandFlags.ReadOnly, Category.Scripting, Keys = "RO ACCESS #2",
        KeyNotes = "We cannot tell how the keys will be used so we assume the worst, RO and ACCESS", Since = "7.0.0",
        Complexity = "Depends on the function that is executed.", Summary = "Invokes a read-only function.",
        Syntax = "function numkeys [key [key ...]] [arg [arg ...]]")]
    internal static void FCallRo(ref CommandContext call) => Call(ref call, isReadOnly: true);

    private static void Call(ref CommandContext call, bool isReadOnly)
    {
        if (EvalCommands.IsFirst(ref call)) return;
        ScriptHost host = ScriptHost.Of(call.Store);
        LibraryFunction? function = call.Callable as LibraryFunction;
        if (function is null or { Library.IsGone: true }) function = host.FindFunction(call[1]);
        if (function is null) call.Reply.Error("ERR Function not found"u8);
        else ScriptRunner.Run(ref call, host, function, isReadOnly);
    }

    /// <summary>FUNCTION LOAD [REPLACE] code</summary>
    [Command("FUNCTION|LOAD", -3, Writes | CommandFlags.DenyOom, Category.Scripting, Since = "7.0.0",
        Complexity = "O(1) (considering compilation time is redundant)", Summary = "Creates a library.", Syntax = "[REPLACE] function-code",
        Tips = AllShards)]
    internal static void Load(ref CommandContext call)
    {
        bool replace = false;
        for (int i = 2; i < call.Count - 1; i++)
        {
            if (!call[i].Is("REPLACE"u8))
            {
                call.Reply.Error($"ERR Unknown option given: {Errors.Quoted(call[i])}");
                return;
            }
            replace = true;
        }
        if (ScriptHost.Of(call.Store).Load(call[call.Count - 1], replace, out string error) is not { } library)
        {
            call.Reply.Error($"ERR {error}");
            return;
        }
        call.EffectWithoutSlot();
        call.Reply.BulkString(library.Name);
    }

    /// <summary>FUNCTION DELETE library</summary>
    [Command("FUNCTION|DELETE", 3, Writes, Category.Scripting, Since = "7.0.0", Complexity = "O(1)", Summary = "Deletes a library and its functions.",
        Syntax = "library-name", Tips = AllShards)]
    internal static void Delete(ref CommandContext call)
    {
        if (!ScriptHost.Of(call.Store).Delete(call[2]))
        {
            call.Reply.Error("ERR Library not found"u8);
            return;
        }
        call.EffectWithoutSlot();
        call.Reply.Ok();
    }

    /// <summary>FUNCTION FLUSH [ASYNC | SYNC]</summary>
    [Command("FUNCTION|FLUSH", -2, Writes, Category.Scripting, Since = "7.0.0",
        Complexity = "O(N) where N is the number of functions deleted", Summary = "Deletes all libraries and functions.",
        Syntax = "flush-type=[ASYNC | SYNC]", Tips = AllShards)]
    internal static void Flush(ref CommandContext call)
    {
        if (call.Count > 3)
        {
            call.Reply.Error(Errors.SubcommandSyntax("function", call.Request));
            return;
        }
        if (call.Count == 3 && !call[2].Is("ASYNC"u8) && !call[2].Is("SYNC"u8))
        {
            call.Reply.Error("ERR FUNCTION FLUSH only supports SYNC|ASYNC option"u8);
            return;
        }
        ScriptHost.Of(call.Store).DeleteAll();
        call.EffectWithoutSlot();
        call.Reply.Ok();
    }

    /// <summary>FUNCTION DUMP — the libraries as in an RDB file, with the footer of DUMP.</summary>
    [Command("FUNCTION|DUMP", 2, CommandFlags.NoScript, Category.Scripting, Since = "7.0.0", Complexity = "O(N) where N is the number of functions",
        Summary = "Dumps all libraries into a serialized binary payload.")]
    internal static void Dump(ref CommandContext call)
    {
        var writer = new RdbWriter(compress: call.Store.Options.RdbCompression);
        foreach (FunctionLibrary library in ScriptHost.Of(call.Store).Functions.Libraries)
        {
            writer.Bytes([(byte)RdbOpcode.Function2]);
            writer.String(library.Code);
        }
        Span<byte> footer = stackalloc byte[FooterLength];
        BinaryPrimitives.WriteUInt16LittleEndian(footer, RdbVersion.Usual);
        writer.Bytes(footer[..2]);
        BinaryPrimitives.WriteUInt64LittleEndian(footer, Crc64.Append(0, writer.Written));
        writer.Bytes(footer[..8]);
        call.Reply.BulkString(writer.Written);
    }

    /// <summary>FUNCTION RESTORE payload [FLUSH | APPEND | REPLACE]</summary>
    [Command("FUNCTION|RESTORE", -3, Writes | CommandFlags.DenyOom, Category.Scripting, Since = "7.0.0",
        Complexity = "O(N) where N is the number of functions on the payload", Summary = "Restores all libraries from a payload.",
        Syntax = "serialized-value policy=[FLUSH | APPEND | REPLACE]", Tips = AllShards)]
    internal static void Restore(ref CommandContext call)
    {
        bool flush = false, replace = false;
        if (call.Count > 4)
        {
            call.Reply.Error(Errors.SubcommandSyntax("function", call.Request));
            return;
        }
        if (call.Count == 4)
        {
            flush = call[3].Is("FLUSH"u8);
            replace = call[3].Is("REPLACE"u8);
            if (!flush && !replace && !call[3].Is("APPEND"u8))
            {
                call.Reply.Error("ERR Wrong restore policy given, value should be either FLUSH, APPEND or REPLACE."u8);
                return;
            }
        }
        ReadOnlySpan<byte> payload = call[2];
        if (!DumpPayload.IsIntact(payload, call.Store.Options))
        {
            call.Reply.Error("ERR DUMP payload version or checksum are wrong"u8);
            return;
        }
        string? error = Read(payload[..^FooterLength], out List<byte[]> codes);
        error ??= ScriptHost.Of(call.Store).Restore(codes, flush, replace);
        if (error is not null)
        {
            call.Reply.Error($"ERR {error}");
            return;
        }
        call.EffectWithoutSlot();
        call.Reply.Ok();
    }

    private static string? Read(ReadOnlySpan<byte> content, out List<byte[]> codes)
    {
        codes = [];
        var reader = new RdbReader(content);
        try
        {
            while (!reader.AtEnd)
            {
                switch ((RdbOpcode)reader.Byte())
                {
                    case RdbOpcode.Function2:
                        codes.Add(reader.String());
                        break;
                    case RdbOpcode.FunctionPreGa:
                        return "Pre-GA function format not supported";
                    default:
                        return "given type is not a function";
                }
            }
            return null;
        }
        catch (RdbFormatException)
        {
            return "failed loading the given functions payload";
        }
    }

    /// <summary>FUNCTION LIST [LIBRARYNAME pattern] [WITHCODE]</summary>
    [Command("FUNCTION|LIST", -2, CommandFlags.NoScript, Category.Scripting, Since = "7.0.0", Complexity = "O(N) where N is the number of functions",
        Summary = "Returns information about all libraries.", Syntax = "[LIBRARYNAME library-name-pattern] [WITHCODE]",
        Tips = "nondeterministic_output_order")]
    internal static void List(ref CommandContext call)
    {
        bool withCode = false;
        int pattern = 0;
        for (int i = 2; i < call.Count; i++)
        {
            if (!withCode && call[i].Is("WITHCODE"u8))
            {
                withCode = true;
            }
            else if (pattern == 0 && call[i].Is("LIBRARYNAME"u8))
            {
                if (i == call.Count - 1)
                {
                    call.Reply.Error("ERR library name argument was not given"u8);
                    return;
                }
                pattern = ++i;
            }
            else
            {
                call.Reply.Error($"ERR Unknown argument {Errors.Quoted(call[i])}");
                return;
            }
        }
        int begin = call.Reply.Begin(), count = 0;
        foreach (FunctionLibrary library in ScriptHost.Of(call.Store).Functions.Libraries)
        {
            if (pattern != 0 && !GlobPattern.IsMatch(call[pattern], System.Text.Encoding.Latin1.GetBytes(library.Name), ignoreCase: true)) continue;
            count++;
            Write(call.Reply, library, withCode);
        }
        call.Reply.Finish(begin, Aggregate.Array, count);
    }

    private static void Write(RespWriter reply, FunctionLibrary library, bool withCode)
    {
        reply.Map(withCode ? 4 : 3);
        reply.BulkString("library_name"u8);
        reply.BulkString(library.Name);
        reply.BulkString("engine"u8);
        reply.BulkString("LUA"u8);
        reply.BulkString("functions"u8);
        reply.Array(library.Functions.Count);
        foreach (LibraryFunction function in library.Functions)
        {
            reply.Map(3);
            reply.BulkString("name"u8);
            reply.BulkString(function.Name);
            reply.BulkString("description"u8);
            if (function.Description is { } description) reply.BulkString(description);
            else reply.Null();
            reply.BulkString("flags"u8);
            string[] flags = [.. Shebang.Names(function.Flags)];
            reply.Set(flags.Length);
            foreach (string flag in flags) reply.SimpleString(System.Text.Encoding.ASCII.GetBytes(flag));
        }
        if (!withCode) return;
        reply.BulkString("library_code"u8);
        reply.BulkString(library.Code);
    }

    /// <summary>FUNCTION STATS</summary>
    [Command("FUNCTION|STATS", 2, CommandFlags.NoScript | CommandFlags.AllowBusy, Category.Scripting, Since = "7.0.0", Complexity = "O(1)",
        Summary = "Returns information about a function during execution.", Tips = "nondeterministic_output;request_policy:all_shards;response_policy:special")]
    internal static void Stats(ref CommandContext call)
    {
        ScriptHost host = ScriptHost.Of(call.Store);
        ScriptRun? running = host.Running;
        if (running is { IsFunction: false })
        {
            call.Reply.Error(Errors.Busy(isFunction: false));
            return;
        }
        call.Reply.Map(2);
        call.Reply.BulkString("running_script"u8);
        if (running is null)
        {
            call.Reply.Null();
        }
        else
        {
            call.Reply.Map(3);
            call.Reply.BulkString("name"u8);
            call.Reply.BulkString(running.Name);
            call.Reply.BulkString("command"u8);
            IReadOnlyList<byte[]> command = running.Command;
            call.Reply.Array(command.Count);
            foreach (byte[] word in command) call.Reply.BulkString(word);
            call.Reply.BulkString("duration_ms"u8);
            call.Reply.Integer((long)running.Elapsed.TotalMilliseconds);
        }
        FunctionSet functions = host.Functions;
        call.Reply.BulkString("engines"u8);
        call.Reply.Map(1);
        call.Reply.BulkString("LUA"u8);
        call.Reply.Map(2);
        call.Reply.BulkString("libraries_count"u8);
        call.Reply.Integer(functions.Libraries.Count);
        call.Reply.BulkString("functions_count"u8);
        call.Reply.Integer(functions.Count);
    }

    /// <summary>FUNCTION KILL</summary>
    [Command("FUNCTION|KILL", 2, CommandFlags.NoScript | CommandFlags.AllowBusy, Category.Scripting, Since = "7.0.0", Complexity = "O(1)",
        Summary = "Terminates a function during execution.", Tips = "request_policy:all_shards;response_policy:one_succeeded")]
    internal static void Kill(ref CommandContext call)
    {
        if (ScriptHost.Of(call.Store).Kill(isFunction: true) is { } error) call.Reply.Error(error);
        else call.Reply.Ok();
    }

    /// <summary>FUNCTION HELP</summary>
    [Command("FUNCTION|HELP", 2, CommandFlags.Loading | CommandFlags.Stale, Category.Scripting, Since = "7.0.0", Complexity = "O(1)",
        Summary = "Returns helpful text about the different subcommands.")]
    internal static void Help(ref CommandContext call) => HelpText.Reply(ref call, """
        LOAD [REPLACE] <FUNCTION CODE>
            Create a new library with the given library name and code.
        DELETE <LIBRARY NAME>
            Delete the given library.
        LIST [LIBRARYNAME PATTERN] [WITHCODE]
            Return general information on all the libraries:
            * Library name
            * The engine used to run the Library
            * Functions list
            * Library code (if WITHCODE is given)
            It also possible to get only function that matches a pattern using LIBRARYNAME argument.
        STATS
            Return information about the current function running:
            * Function name
            * Command used to run the function
            * Duration in MS that the function is running
            If no function is running, return nil
            In addition, returns a list of available engines.
        KILL
            Kill the current running function.
        FLUSH [ASYNC|SYNC]
            Delete all the libraries.
            When called without the optional mode argument, the behavior is determined by the
            lazyfree-lazy-user-flush configuration directive. Valid modes are:
            * ASYNC: Asynchronously flush the libraries.
            * SYNC: Synchronously flush the libraries.
        DUMP
            Return a serialized payload representing the current libraries, can be restored using FUNCTION RESTORE command
        RESTORE <PAYLOAD> [FLUSH|APPEND|REPLACE]
            Restore the libraries represented by the given payload, it is possible to give a restore policy to
            control how to handle existing libraries (default APPEND):
            * FLUSH: delete all existing libraries.
            * APPEND: appends the restored libraries to the existing libraries. On collision, abort.
            * REPLACE: appends the restored libraries to the existing libraries, On collision, replace the old
              libraries with the new libraries (notice that even on this option there is a chance of failure
              in case of functions name collision with another library).
        """);
}
