using System.Globalization;
using System.Text;
using OrleansRedis.Engine;

namespace OrleansRedis.Gateway;

/// <summary>
/// DEBUG, for tests of this server and of clients. enable-debug-command says which clients may use it.
/// </summary>
internal static class DebugCommand
{
    /// <summary>DEBUG subcommand [argument ...]</summary>
    [Command("DEBUG", -2,
        CommandFlags.Admin | CommandFlags.NoScript | CommandFlags.Loading | CommandFlags.Stale | CommandFlags.WholeKeyspace | CommandFlags.NeedsConnection,
        Category.None, Since = "1.0.0",
        Complexity = "Depends on subcommand.", Summary = "A container for debugging commands.", Group = "server", IsInternal = true)]
    internal static void Debug(ref CommandContext call)
    {
        ClientConnection client = ClientCommand.Me(call);
        if (!ServerConfiguration.Allows(client.Server.Options.EnableDebugCommand, client.IsLocal))
        {
            call.Reply.Error("ERR DEBUG command not allowed. If the enable-debug-command option is set to \"local\", you can run it from a local "u8
                + "connection, otherwise you need to set this option in the configuration file, and then restart the server."u8);
            return;
        }
        ReadOnlySpan<byte> subcommand = call[1];
        if (subcommand.Is("HELP"u8) && call.Count == 2) Help(ref call);
        else if (subcommand.Is("AOF-FLUSH-SLEEP"u8) && call.Count == 3) AofFlushSleep(ref call);
        else if (subcommand.Is("CHANGE-REPL-ID"u8) && call.Count == 2) ChangeReplicationId(ref call, client);
        else if (subcommand.Is("CONFIG-REWRITE-FORCE-ALL"u8) && call.Count == 2) RewriteAll(ref call);
        else if (subcommand.Is("DIGEST"u8) && call.Count == 2) DebugKeys.Digest(ref call);
        else if (subcommand.Is("DIGEST-VALUE"u8)) DebugKeys.DigestValues(ref call);
        else if (subcommand.Is("SLEEP"u8) && call.Count == 3) Sleep(ref call);
        else if (subcommand.Is("ERROR"u8) && call.Count == 3) call.Reply.Error(call[2]);
        else if (subcommand.Is("FAIL-SNAPSHOT"u8) && call.Count == 2) FailSnapshot(ref call);
        else if (subcommand.Is("HTSTATS"u8) && call.Count >= 3) DebugKeys.Tables(ref call);
        else if (subcommand.Is("HTSTATS-KEY"u8) && call.Count >= 3) DebugKeys.TableOfKey(ref call);
        else if (subcommand.Is("LISTPACK"u8) && call.Count == 3) DebugKeys.Listpack(ref call);
        else if (subcommand.Is("LOADAOF"u8) && call.Count == 2) LoadAof(ref call);
        else if (subcommand.Is("LOG"u8) && call.Count == 3) WriteLog(ref call, client);
        else if (subcommand.Is("OBJECT"u8) && call.Count is 3 or 4) DebugKeys.Object(ref call);
        else if (subcommand.Is("PANIC"u8) && call.Count == 2) Panic();
        else if (subcommand.Is("PAUSE-CRON"u8) && call.Count == 3) PauseCron(ref call, client);
        else if (subcommand.Is("POPULATE"u8) && call.Count is >= 3 and <= 5) Populate(ref call);
        else if (subcommand.Is("PROTOCOL"u8) && call.Count == 3) Protocol(ref call);
        else if (subcommand.Is("QUICKLIST-PACKED-THRESHOLD"u8) && call.Count == 3) QuicklistPackedThreshold(ref call);
        else if (subcommand.Is("RELOAD"u8)) Reload(ref call);
        else if (subcommand.Is("REPLYBUFFER"u8) && call.Count == 4) ReplyBuffer(ref call, client.Server.Housekeeping);
        else if (subcommand.Is("SET-ACTIVE-EXPIRE"u8) && call.Count == 3) SetActiveExpire(ref call);
        else if (subcommand.Is("SET-DISABLE-DENY-SCRIPTS"u8) && call.Count == 3) AllowAllInScripts(ref call);
        else if (subcommand.Is("SET-SKIP-CHECKSUM-VALIDATION"u8) && call.Count == 3) SkipChecksums(ref call);
        else call.Reply.Error(Errors.SubcommandSyntax("DEBUG", call.Request));
    }

    private static void Help(ref CommandContext call)
    {
        const string Lines =
            """
            DEBUG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:
            AOF-FLUSH-SLEEP <microsec>
                Server will sleep before flushing the AOF, this is used for testing.
            CHANGE-REPL-ID
                Change the replication IDs of the instance.
                Dangerous: should be used only for testing the replication subsystem.
            CONFIG-REWRITE-FORCE-ALL
                Like CONFIG REWRITE but writes all configuration options, including
                keywords not listed in original configuration file or default values.
            DIGEST
                Output a hex signature representing the current DB content.
            DIGEST-VALUE <key> [<key> ...]
                Output a hex signature of the values of all the specified keys.
            ERROR <string>
                Return a Redis protocol error with <string> as message. Useful for clients
                unit tests to simulate Redis errors.
            FAIL-SNAPSHOT
                Have the BGSAVE or BGREWRITEAOF that is in progress fail, as killing the
                child does in Redis.
            HTSTATS <dbid> [full]
                Return hash table statistics of the specified Redis database. A search begins
                at the home of a key's hash: "different slots" are homes of keys, and a chain
                is the cells from there to the next empty one.
            HTSTATS-KEY <key> [full]
                Like HTSTATS but for the hash table stored at <key>'s value.
            LISTPACK <key>
                Show low level info about the listpack encoding of <key>.
            LOADAOF
                Flush the AOF buffers on disk and reload the AOF in memory.
            LOG <message>
                Write <message> to the server log.
            OBJECT <key>
                Show low level info about `key` and associated value.
            PAUSE-CRON <0|1>
                Stop periodic cron job processing: what a signal asks for waits until then.
            POPULATE <count> [<prefix>] [<size>]
                Create <count> string keys named key:<num>. If <prefix> is specified then
                it is used instead of the 'key' prefix.
            PROTOCOL <type>
                Reply with a test value of the specified type. <type> can be: string,
                integer, double, bignum, null, array, set, map, attrib, push, verbatim,
                true, false.
            QUICKLIST-PACKED-THRESHOLD <size>
                Sets the threshold for elements to be inserted as plain vs packed nodes
                Default value is 1GB, allows values up to 4GB. Setting to 0 restores to default.
            RELOAD [option ...]
                Save the RDB on disk and reload it back to memory. Valid <option> values:
                * MERGE: conflicting keys will be loaded from RDB.
                * NOFLUSH: the existing database will not be removed before load, but
                  conflicting keys will end the load with an error.
                * NOSAVE: the database will be loaded from an existing RDB file.
                Examples:
                * DEBUG RELOAD: verify that the server is able to persist, flush and reload
                  the database.
                * DEBUG RELOAD NOSAVE: replace the current database with the contents of an
                  existing RDB file.
                * DEBUG RELOAD NOSAVE NOFLUSH MERGE: add the contents of an existing RDB
                  file to the database.
            REPLYBUFFER PEAK-RESET-TIME <NEVER||RESET|time>
                Sets the time (in milliseconds) to wait between client reply buffer peak resets.
                In case NEVER is provided the last observed peak will never be reset
                In case RESET is provided the peak reset time will be restored to the default value
            REPLYBUFFER RESIZING <0|1>
                Enable or disable the reply buffer resize cron job
            SET-ACTIVE-EXPIRE <0|1>
                Setting it to 0 disables expiring keys in background when they are not
                accessed (otherwise the Redis behavior). Setting it to 1 reenables back the
                default.
            SET-DISABLE-DENY-SCRIPTS <0|1>
                Setting it to 1 lets scripts call commands that they may not call otherwise.
            SET-SKIP-CHECKSUM-VALIDATION <0|1>
                Enables or disables checksum checks for RDB files and RESTORE's payload.
            SLEEP <seconds>
                Stop the server for <seconds>. Decimals allowed.
            HELP
                Print this help.
            """;
        string[] lines = Lines.Split('\n');
        call.Reply.Array(lines.Length);
        foreach (string line in lines) call.Reply.SimpleString(Encoding.ASCII.GetBytes(line));
    }

    /// <summary>Nothing else runs meanwhile, on any connection, as in a single-threaded server.</summary>
    /// <summary>DEBUG PANIC — ends the process as an error of its own would, to see what the log says then.</summary>
    private static void Panic() => new Thread(static () => throw new InvalidOperationException("DEBUG PANIC")).Start();

    private static void Sleep(ref CommandContext call)
    {
        // 0 if it is not a number, as with strtod.
        _ = double.TryParse(Encoding.ASCII.GetString(call[2]), NumberStyles.Float, CultureInfo.InvariantCulture, out double seconds);
        if (!call.MayBlock)
        {
            // In a transaction the time passes inside it.
            Thread.Sleep(TimeSpan.FromSeconds(Math.Clamp(seconds, 0, 3600)));
            call.Reply.Ok();
            return;
        }
        Store store = call.Store;
        TimeSpan time = TimeSpan.FromSeconds(Math.Clamp(seconds, 0, 3600));
        call.Continuation = async reply =>
        {
            await store.SiloGate.EnterExclusiveAsync().ConfigureAwait(false);
            try
            {
                await Task.Delay(time, store.Clock.Time).ConfigureAwait(false);
            }
            finally
            {
                store.SiloGate.ExitExclusive();
            }
            reply.Ok();
        };
    }

    private static void WriteLog(ref CommandContext call, ClientConnection client)
    {
        Log.DebugLog(client.Server.Logger, Encoding.UTF8.GetString(call[2]));
        call.Reply.Ok();
    }

    private static void ChangeReplicationId(ref CommandContext call, ClientConnection client)
    {
        call.Store.Log.Notice("Changing replication IDs after receiving change-repl-id");
        client.Server.ChangeReplicationId();
        call.Reply.Ok();
    }

    private static void RewriteAll(ref CommandContext call)
    {
        ServerConfiguration configuration = call.Files.Configuration;
        call.Continuation = async reply =>
        {
            string? error = await Task.Run(() => configuration.Rewrite(everything: true)).ConfigureAwait(false);
            if (error is null) reply.Ok();
            else reply.Error(error);
        };
    }

    private static void QuicklistPackedThreshold(ref CommandContext call)
    {
        if (!MemorySize.TryParse(Encoding.ASCII.GetString(call[2]), out long bytes) || bytes is < 0 or > (1L << 32) - (1L << 20))
        {
            call.Reply.Error("ERR argument must be a memory value bigger than 1 and smaller than 4gb"u8);
            return;
        }
        ListLimits.PackedThreshold = bytes;
        call.Reply.Ok();
    }

    /// <summary>DEBUG RELOAD [MERGE] [NOFLUSH] [NOSAVE]</summary>
    private static void Reload(ref CommandContext call)
    {
        bool merge = false, flush = true, save = true;
        for (int i = 2; i < call.Count; i++)
        {
            if (call[i].Is("MERGE"u8)) merge = true;
            else if (call[i].Is("NOFLUSH"u8)) flush = false;
            else if (call[i].Is("NOSAVE"u8)) save = false;
            else
            {
                call.Reply.Error("ERR DEBUG RELOAD only supports the MERGE, NOFLUSH and NOSAVE options."u8);
                return;
            }
        }
        ServerFiles files = call.Files;
        call.Continuation = async reply =>
        {
            if (await files.ReloadAsync(save, flush, merge).ConfigureAwait(false) is { } error) reply.Error(error);
            else reply.Ok();
        };
    }

    private static void AofFlushSleep(ref CommandContext call)
    {
        if (!call.TryInt32(2, out int microseconds, 0)) return;
        call.Files.Aof.FlushSleepMicroseconds = microseconds;
        call.Reply.Ok();
    }

    private static void FailSnapshot(ref CommandContext call)
    {
        ServerFiles files = call.Files;
        call.Continuation = async reply =>
        {
            await files.Dump.FailAsync().ConfigureAwait(false);
            await files.Aof.FailRewriteAsync().ConfigureAwait(false);
            reply.Ok();
        };
    }

    private static void LoadAof(ref CommandContext call)
    {
        ServerFiles files = call.Files;
        call.Continuation = async reply =>
        {
            if (await files.LoadLogAsync().ConfigureAwait(false) is { } error) reply.Error(error);
            else reply.Ok();
        };
    }

    /// <summary>DEBUG PAUSE-CRON 0|1</summary>
    private static void PauseCron(ref CommandContext call, ClientConnection client)
    {
        if (!call.TryInt64(2, out long on)) return;
        client.Server.Shutdown.IsPaused = on != 0;
        call.Reply.Ok();
    }

    /// <summary>DEBUG REPLYBUFFER PEAK-RESET-TIME NEVER|RESET|ms, or RESIZING 0|1</summary>
    private static void ReplyBuffer(ref CommandContext call, Housekeeping housekeeping)
    {
        if (call[2].Is("PEAK-RESET-TIME"u8))
        {
            long resetMs = Housekeeping.DefaultReplyPeakMs;
            if (call[3].Is("NEVER"u8)) resetMs = -1;
            else if (!call[3].Is("RESET"u8) && !call.TryInt64(3, out resetMs)) return;
            housekeeping.ReplyPeakMs = resetMs;
        }
        else if (call[2].Is("RESIZING"u8))
        {
            // 0 if it is not a number, as with atoi.
            housekeeping.ResizesReplyBuffers = Numbers.TryParseInt64(call[3], out long on) && on != 0;
        }
        else
        {
            call.Reply.Error(Errors.SubcommandSyntax("DEBUG", call.Request));
            return;
        }
        call.Reply.Ok();
    }

    private static void SkipChecksums(ref CommandContext call)
    {
        call.Store.Options.SkipsChecksums = call[2].SequenceEqual("1"u8);
        call.Reply.Ok();
    }

    private static void AllowAllInScripts(ref CommandContext call)
    {
        call.Store.AllowsAllInScripts = call[2].SequenceEqual("1"u8);
        call.Reply.Ok();
    }

    private static void SetActiveExpire(ref CommandContext call)
    {
        if (!call.TryInt64(2, out long on)) return;
        call.Store.ActiveExpiry.Enabled = on != 0;
        call.Reply.Ok();
    }

    /// <summary>SET … NX for each key, each in its own slot; other clients run in between.</summary>
    private static void Populate(ref CommandContext call)
    {
        if (!call.TryInt32(2, out int count, 0)) return;
        int size = 0;
        if (call.Count == 5 && !call.TryInt32(4, out size, 0)) return;
        string prefix = call.Count > 3 ? Encoding.Latin1.GetString(call[3]) : "key";
        ClientConnection client = ClientCommand.Me(call);
        call.Continuation = async reply =>
        {
            CommandInfo set = client.Server.Commands.Find("SET"u8)!;
            var ignored = new RespWriter();
            for (int i = 0; i < count; i++)
            {
                byte[] value = Encoding.ASCII.GetBytes($"value:{i}");
                if (size != 0) Array.Resize(ref value, size);
                OwnedRequest request = OwnedRequest.Of("SET"u8.ToArray(), Encoding.Latin1.GetBytes($"{prefix}:{i}"), value, "NX"u8.ToArray());
                ignored.Clear();
                // Keys whose slot another silo holds are left out: as in Redis's cluster mode, a server makes the keys
                // of its own slots.
                await client.Server.Runner.RunPartAsync(client, set, request, ignored, client.Disconnected).ConfigureAwait(false);
            }
            reply.Ok();
        };
    }

    /// <summary>One value of each RESP type, as Redis's own tests of client libraries expect them.</summary>
    private static void Protocol(ref CommandContext call)
    {
        RespWriter reply = call.Reply;
        switch (Encoding.ASCII.GetString(call[2]).ToLowerInvariant())
        {
            case "string":
                reply.BulkString("Hello World"u8);
                break;
            case "integer":
                reply.Integer(12345);
                break;
            case "double":
                reply.Double(3.141);
                break;
            case "null":
                reply.Null();
                break;
            case "array":
                reply.Array(3);
                for (int i = 0; i < 3; i++) reply.Integer(i);
                break;
            case "set":
                reply.Set(3);
                for (int i = 0; i < 3; i++) reply.Integer(i);
                break;
            case "map":
                reply.Map(3);
                for (int i = 0; i < 3; i++)
                {
                    reply.Integer(i);
                    reply.Boolean(i == 1);
                }
                break;
            case "attrib":
                if (reply.Resp3)
                {
                    reply.Attribute(1);
                    reply.BulkString("key-popularity"u8);
                    reply.Array(2);
                    reply.BulkString("key:123"u8);
                    reply.Integer(90);
                }
                // An attribute is not a reply, so a normal reply has to follow it.
                reply.BulkString("Some real reply following the attribute"u8);
                break;
            case "push":
                if (!reply.Resp3)
                {
                    reply.Error("ERR RESP2 is not supported by this command"u8);
                    break;
                }
                reply.Push(2);
                reply.BulkString("server-cpu-usage"u8);
                reply.Integer(42);
                break;
            case "bignum":
                reply.BigNumber("1234567999999999999999999999999999999"u8);
                break;
            case "verbatim":
                reply.Verbatim("txt"u8, "This is a verbatim\nstring"u8);
                break;
            case "true":
                reply.Boolean(true);
                break;
            case "false":
                reply.Boolean(false);
                break;
            default:
                reply.Error("ERR Wrong protocol type name. Please use one of the following: "u8
                    + "string|integer|double|bignum|null|array|set|map|attrib|push|verbatim|true|false"u8);
                break;
        }
    }
}
