using System.Text;
using OrleansRedis.Engine;

namespace OrleansRedis.Gateway;

/// <summary>CLIENT: about the connection it is called on, and about the others.</summary>
internal static class ClientCommand
{
    private const CommandFlags Flags = CommandFlags.NoScript | CommandFlags.Loading | CommandFlags.Stale | CommandFlags.NeedsConnection;

    /// <summary>CLIENT ID</summary>
    [Command("CLIENT|ID", 2, Flags, Category.Connection, Since = "5.0.0", Complexity = "O(1)",
        Summary = "Returns the unique client ID of the connection.")]
    internal static void Id(ref CommandContext call) => call.Reply.Integer(Me(call).Id);

    /// <summary>CLIENT INFO</summary>
    [Command("CLIENT|INFO", 2, Flags, Category.Connection, Since = "6.2.0", Complexity = "O(1)",
        Summary = "Returns information about the connection.", Tips = "nondeterministic_output")]
    internal static void Info(ref CommandContext call) =>
        call.Reply.Verbatim("txt"u8, Encoding.UTF8.GetBytes(Me(call).Describe(call.NowMs, call.Request) + "\n"));

    /// <summary>
    /// CLIENT LIST [[NOT-]ID client-id [client-id ...]] [[NOT-]TYPE normal | master | replica | pubsub] [[NOT-]USER
    /// username] [[NOT-]ADDR ip:port] [[NOT-]LADDR ip:port] [[NOT-]NAME name] [[NOT-]FLAGS flags] [[NOT-]LIB-NAME
    /// lib-name] [[NOT-]LIB-VER lib-ver] [[NOT-]DB db] [[NOT-]CAPA capa] [[NOT-]IP ip] [SKIPME yes | no] [MAXAGE maxage]
    /// [IDLE idle]
    /// </summary>
    [Command("CLIENT|LIST", -2, Flags | CommandFlags.Admin, Category.Connection | Category.Dangerous, Since = "2.4.0",
        Complexity = "O(N) where N is the number of client connections", Summary = "Lists open connections.", Tips = "nondeterministic_output",
        Syntax = "[client-type=TYPE <NORMAL | MASTER | PRIMARY @8.0.0 | REPLICA | PUBSUB>] @5.0.0 [ID client-id [client-id ...]] @6.2.0 [USER username] "
            + "@8.1.0 [addr=ADDR ip:port] @8.1.0 [laddr=LADDR ip:port] @8.1.0 [skipme=SKIPME <YES | NO>] @8.1.0 [MAXAGE maxage] @8.1.0 [NAME name] @9.0.0 "
            + "[IDLE idle] @9.0.0 [FLAGS flags] @9.0.0 [LIB-NAME lib-name] @9.0.0 [LIB-VER lib-ver] @9.0.0 [DB db] @9.0.0 [CAPA capa] @9.0.0 [IP ip] @9.0.0 "
            + "[not-client-type=NOT-TYPE <NORMAL | MASTER | PRIMARY | REPLICA | PUBSUB>] @9.0.0 [NOT-ID not-client-id [not-client-id ...]] @9.0.0 "
            + "[NOT-USER not-username] @9.0.0 [not-addr=NOT-ADDR ip:port] @9.0.0 [not-laddr=NOT-LADDR ip:port] @9.0.0 [NOT-NAME not-name] @9.0.0 "
            + "[NOT-FLAGS not-flags] @9.0.0 [NOT-LIB-NAME not-lib-name] @9.0.0 [NOT-LIB-VER not-lib-ver] @9.0.0 [NOT-DB not-db] @9.0.0 [NOT-CAPA not-capa] "
            + "@9.0.0 [NOT-IP not-ip] @9.0.0",
        History = "2.8.12: Added unique client `id` field.\n5.0.0: Added optional `TYPE` filter.\n6.0.0: Added `user` field.\n"
            + "6.2.0: Added `argv-mem`, `tot-mem`, `laddr` and `redir` fields and the optional `ID` filter.\n7.0.0: Added `resp`, `multi-mem`, `rbs` "
            + "and `rbp` fields.\n"
            + "7.0.3: Added `ssub` field.\n8.0.0: Added `tot-net-in`, `tot-net-out` and `tot-cmds` fields, as in Valkey.\n8.1.0: Added filters USER, ADDR, "
            + "LADDR, SKIPME, and MAXAGE, as in Valkey.\n9.0.0: Added filters NAME, IDLE, FLAGS, LIB-NAME, LIB-VER, DB, CAPA, and IP, and the negative "
            + "filters, as in Valkey.")]
    internal static void List(ref CommandContext call)
    {
        ClientConnection me = Me(call);
        if (ClientFilter.Read(ref call) is not { } filter) return;
        var lines = new StringBuilder();
        foreach (ClientConnection client in filter.Matching(me, skipMe: false))
            lines.Append(client == me ? me.Describe(call.NowMs, call.Request) : client.Describe(call.NowMs)).Append('\n');
        call.Reply.Verbatim("txt"u8, Encoding.UTF8.GetBytes(lines.ToString()));
    }

    /// <summary>CLIENT GETNAME</summary>
    [Command("CLIENT|GETNAME", 2, Flags, Category.Connection, Since = "2.6.9", Complexity = "O(1)", Summary = "Returns the name of the connection.")]
    internal static void Getname(ref CommandContext call)
    {
        string name = Me(call).Name;
        if (name.Length == 0) call.Reply.Null();
        else call.Reply.BulkString(name);
    }

    /// <summary>CLIENT SETNAME connection-name — an empty name removes the name.</summary>
    [Command("CLIENT|SETNAME", 3, Flags, Category.Connection, Since = "2.6.9", Complexity = "O(1)", Summary = "Sets the connection name.",
        Syntax = "connection-name", Tips = "request_policy:all_nodes;response_policy:all_succeeded")]
    internal static void Setname(ref CommandContext call)
    {
        if (!TryReadAttribute(ref call, 2, "Client names", out string? name)) return;
        Me(call).Name = name!;
        call.Reply.Ok();
    }

    /// <summary>CLIENT SETINFO LIB-NAME libname | LIB-VER libver</summary>
    [Command("CLIENT|SETINFO", 4, Flags, Category.Connection, Since = "7.2.0", Complexity = "O(1)",
        Summary = "Sets information specific to the client or connection.", Syntax = "attr=<LIB-NAME libname | LIB-VER libver>",
        Tips = "request_policy:all_nodes;response_policy:all_succeeded")]
    internal static void Setinfo(ref CommandContext call)
    {
        bool isName = call[2].Is("LIB-NAME"u8);
        if (!isName && !call[2].Is("LIB-VER"u8))
        {
            call.Reply.Error($"ERR Unrecognized option '{Encoding.Latin1.GetString(call[2])}'");
            return;
        }
        if (!TryReadAttribute(ref call, 3, isName ? "lib-name" : "lib-ver", out string? value)) return;
        if (isName) Me(call).LibraryName = value!;
        else Me(call).LibraryVersion = value!;
        call.Reply.Ok();
    }

    /// <summary>
    /// CLIENT REPLY ON | OFF | SKIP — in a transaction it replies OK, so that EXEC's reply is whole, and takes effect
    /// after EXEC. (Redis would leave EXEC's reply without some of the elements that it announces.)
    /// </summary>
    [Command("CLIENT|REPLY", 3, Flags, Category.Connection, Since = "3.2.0", Complexity = "O(1)",
        Summary = "Instructs the server whether to reply to commands.", Syntax = "action=<ON | OFF | SKIP>")]
    internal static void Reply(ref CommandContext call)
    {
        ClientConnection me = Me(call);
        bool isInExec = me.Transaction is { IsOpen: true };
        bool isSent = me.ReplyMode is ReplyMode.On or ReplyMode.OffAfterThis or ReplyMode.SkipAfterThis;
        if (call[2].Is("ON"u8))
        {
            me.ReplyMode = ReplyMode.On;
            call.Reply.Ok();
            return;
        }
        if (call[2].Is("OFF"u8))
        {
            me.ReplyMode = isInExec && isSent ? ReplyMode.OffAfterThis : ReplyMode.Off;
        }
        else if (!call[2].Is("SKIP"u8))
        {
            call.SyntaxError();
            return;
        }
        else if (me.ReplyMode is not (ReplyMode.Off or ReplyMode.OffAfterThis))
        {
            me.ReplyMode = isInExec && isSent ? ReplyMode.SkipAfterThis : ReplyMode.SkipNext;
        }
        if (isInExec) call.Reply.Ok();
    }

    /// <summary>CLIENT NO-EVICT ON | OFF</summary>
    [Command("CLIENT|NO-EVICT", 3, Flags | CommandFlags.Admin, Category.Connection | Category.Dangerous, Since = "7.0.0", Complexity = "O(1)",
        Summary = "Sets the client eviction mode of the connection.", Syntax = "<ON | OFF>")]
    internal static void NoEvict(ref CommandContext call)
    {
        if (!TryReadSwitch(ref call, out bool on)) return;
        Me(call).NoEvict = on;
        call.Reply.Ok();
    }

    /// <summary>CLIENT NO-TOUCH ON | OFF</summary>
    [Command("CLIENT|NO-TOUCH", 3, Flags, Category.Connection, Since = "7.2.0", Complexity = "O(1)",
        Summary = "Controls whether commands sent by the client affect the LRU/LFU of accessed keys.", Syntax = "<ON | OFF>")]
    internal static void NoTouch(ref CommandContext call)
    {
        if (!TryReadSwitch(ref call, out bool on)) return;
        Me(call).NoTouch = on;
        call.Reply.Ok();
    }

    /// <summary>CLIENT PAUSE timeout [WRITE | ALL]</summary>
    [Command("CLIENT|PAUSE", -3, Flags | CommandFlags.Admin, Category.Connection | Category.Dangerous, Since = "3.0.0", Complexity = "O(1)",
        Summary = "Suspends commands processing.", Syntax = "timeout mode=[WRITE | ALL] @6.2.0",
        History = "6.2.0: `CLIENT PAUSE WRITE` mode added along with the `mode` option.")]
    internal static void Pause(ref CommandContext call)
    {
        bool all = call.Count == 3 || call[3].Is("ALL"u8);
        if (call.Count > 4)
        {
            call.SyntaxError();
        }
        else if (!all && !call[3].Is("WRITE"u8))
        {
            call.Reply.Error("ERR CLIENT PAUSE mode must be WRITE or ALL"u8);
        }
        else if (!Numbers.TryParseInt64(call[2], out long timeoutMs) || timeoutMs > long.MaxValue - call.NowMs)
        {
            call.Reply.Error("ERR timeout is not an integer or out of range"u8);
        }
        else if (timeoutMs < 0)
        {
            call.Reply.Error("ERR timeout is negative"u8);
        }
        else
        {
            Me(call).Server.Pause.Begin(call.NowMs + timeoutMs, all);
            call.Reply.Ok();
        }
    }

    /// <summary>CLIENT UNPAUSE</summary>
    [Command("CLIENT|UNPAUSE", 2, Flags | CommandFlags.Admin, Category.Connection | Category.Dangerous, Since = "6.2.0",
        Complexity = "O(N) Where N is the number of paused clients", Summary = "Resumes processing commands from paused clients.")]
    internal static void Unpause(ref CommandContext call)
    {
        Me(call).Server.Pause.End();
        call.Reply.Ok();
    }

    /// <summary>CLIENT UNBLOCK client-id [TIMEOUT | ERROR]</summary>
    [Command("CLIENT|UNBLOCK", -3, Flags | CommandFlags.Admin, Category.Connection | Category.Dangerous, Since = "5.0.0",
        Complexity = "O(log N) where N is the number of client connections",
        Summary = "Unblocks a client blocked by a blocking command from a different connection.", Syntax = "client-id unblock-type=[TIMEOUT | ERROR]")]
    internal static void Unblock(ref CommandContext call)
    {
        BlockedEnd end = BlockedEnd.TimedOut;
        if (call.Count == 4 && call[3].Is("ERROR"u8))
        {
            end = BlockedEnd.Unblocked;
        }
        else if (call.Count > 3 && !(call.Count == 4 && call[3].Is("TIMEOUT"u8)))
        {
            call.Reply.Error("ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR"u8);
            return;
        }
        if (!call.TryInt64(2, out long id)) return;
        // A client that CLIENT PAUSE holds waits for no key, so it is not unblocked.
        ClientConnection? client = Me(call).Server.Clients.Find(id);
        if (client is { Blocked: null, RemoteWait: { } wait })
            call.Continuation = async reply => reply.Integer(await wait.TryEndAsync(end).ConfigureAwait(false) ? 1 : 0);
        else
            call.Reply.Integer(client?.Blocked?.TryEnd(end) == true ? 1 : 0);
    }

    /// <summary>CLIENT HELP</summary>
    [Command("CLIENT|HELP", 2, CommandFlags.Loading | CommandFlags.Stale, Category.Connection, Since = "5.0.0", Complexity = "O(1)",
        Summary = "Returns helpful text about the different subcommands.")]
    internal static void Help(ref CommandContext call) => HelpText.Reply(ref call,
        """
        CACHING (YES|NO)
            Enable/disable tracking of the keys for next command in OPTIN/OPTOUT modes.
        GETREDIR
            Return the client ID we are redirecting to when tracking is enabled.
        GETNAME
            Return the name of the current connection.
        ID
            Return the ID of the current connection.
        INFO
            Return information about the current client connection.
        KILL <ip:port>
            Kill connection made from <ip:port>.
        KILL <option> <value> [<option> <value> [...]]
            Kill connections. Options are:
            * ADDR (<ip:port>|<unixsocket>:0)
              Kill connections made from the specified address
            * LADDR (<ip:port>|<unixsocket>:0)
              Kill connections made to specified local address
            * TYPE (NORMAL|MASTER|REPLICA|PUBSUB)
              Kill connections by type.
            * USER <username>
              Kill connections authenticated by <username>.
            * SKIPME (YES|NO)
              Skip killing current connection (default: yes).
            * ID <client-id> [<client-id> ...]
              Kill connections by client id.
            * MAXAGE <maxage>
              Kill connections older than the specified age.
            * IDLE <idle>
              Kill connections that have been idle for that many seconds.
            * NAME <name>, LIB-NAME <lib-name>, LIB-VER <lib-ver>, DB <db>, IP <ip>
              Kill connections by what CLIENT LIST shows of them.
            * FLAGS <flags>
              Kill connections that have all of these flags.
            * CAPA <capa>
              Kill connections of clients with these capabilities.
            * NOT-<option> <value>
              Except connections from being killed, by any option but SKIPME, MAXAGE and IDLE.
        LIST [options ...]
            Return information about client connections. Options:
            * Those of KILL
              Return clients that KILL would kill, this one too (SKIPME YES: without it).
        UNPAUSE
            Stop the current client pause, resuming traffic.
        PAUSE <timeout> [WRITE|ALL]
            Suspend all, or just write, clients for <timeout> milliseconds.
        REPLY (ON|OFF|SKIP)
            Control the replies sent to the current connection.
        SETNAME <name>
            Assign the name <name> to the current connection.
        TRACKING (ON|OFF) [REDIRECT <id>] [BCAST] [PREFIX <prefix> [...]]
                 [OPTIN] [OPTOUT] [NOLOOP]
            Control server assisted client side caching.
        TRACKINGINFO
            Report tracking status for the current connection.
        UNBLOCK <clientid> [TIMEOUT|ERROR]
            Unblock the specified blocked client.
        SETINFO <option> <value>
            Set client meta attr. Options are:
            * LIB-NAME: the client lib name.
            * LIB-VER: the client lib version.
        NO-EVICT (ON|OFF)
            Protect current client connection from eviction.
        NO-TOUCH (ON|OFF)
            Will not touch LRU/LFU stats when this mode is on.
        """);

    /// <summary>
    /// Reads a name to be shown in CLIENT LIST, which must be visible ASCII. Returns false if it is not; the error is
    /// then in the reply.
    /// </summary>
    internal static bool TryReadAttribute(ref CommandContext call, int index, string what, out string? value)
    {
        ReadOnlySpan<byte> text = call[index];
        value = null;
        if (text.IndexOfAnyExceptInRange((byte)'!', (byte)'~') >= 0)
        {
            call.Reply.Error($"ERR {what} cannot contain spaces, newlines or special characters.");
            return false;
        }
        value = Encoding.ASCII.GetString(text);
        return true;
    }

    /// <summary>
    /// Reads a class of clients. Returns false if there is no such class; the error is then in the reply.
    /// </summary>
    internal static bool TryReadType(ref CommandContext call, int index, out ClientClass type)
    {
        type = ClientClass.Normal;
        if (call[index].Is("NORMAL"u8)) return true;
        if (call[index].Is("MASTER"u8)) type = ClientClass.Master;
        else if (call[index].Is("PRIMARY"u8)) type = ClientClass.Master;
        else if (call[index].Is("REPLICA"u8) || call[index].Is("SLAVE"u8)) type = ClientClass.Replica;
        else if (call[index].Is("PUBSUB"u8)) type = ClientClass.PubSub;
        if (type != ClientClass.Normal) return true;
        call.Reply.Error($"ERR Unknown client type '{Encoding.Latin1.GetString(call[index])}'");
        return false;
    }

    internal static ClientConnection Me(in CommandContext call) => (ClientConnection)call.Session;

    private static bool TryReadSwitch(ref CommandContext call, out bool on)
    {
        on = call[2].Is("ON"u8);
        if (on || call[2].Is("OFF"u8)) return true;
        call.SyntaxError();
        return false;
    }
}
