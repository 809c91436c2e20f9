using System.Text;
using OrleansRedis.Engine;

namespace OrleansRedis.Gateway;

/// <summary>The commands about the connection itself.</summary>
internal static class ConnectionCommands
{
    private const CommandFlags Handshake = CommandFlags.NoScript | CommandFlags.Loading | CommandFlags.Stale | CommandFlags.Fast | CommandFlags.NoAuth
        | CommandFlags.AllowBusy | CommandFlags.NeedsConnection;

    /// <summary>PING [message]</summary>
    [Command("PING", -1, CommandFlags.Fast | CommandFlags.AllowedInPubSub, Category.Connection, Since = "1.0.0", Complexity = "O(1)",
        Summary = "Returns the server's liveliness response.", Syntax = "[message]", Tips = "request_policy:all_shards;response_policy:all_succeeded")]
    internal static void Ping(ref CommandContext call)
    {
        if (call.Count > 2)
        {
            call.Reply.Error(Errors.WrongArity(call.Command));
        }
        else if (call.Session.IsInPubSub)
        {
            call.Reply.Array(2);
            call.Reply.BulkString("pong"u8);
            call.Reply.BulkString(call.Count == 2 ? call[1] : default);
        }
        else if (call.Count == 2)
        {
            call.Reply.BulkString(call[1]);
        }
        else
        {
            call.Reply.SimpleString("PONG"u8);
        }
    }

    /// <summary>ECHO message</summary>
    [Command("ECHO", 2, CommandFlags.Loading | CommandFlags.Stale | CommandFlags.Fast, Category.Connection, Since = "1.0.0", Complexity = "O(1)",
        Summary = "Returns the given string.", Syntax = "message")]
    internal static void Echo(ref CommandContext call) => call.Reply.BulkString(call[1]);

    /// <summary>AUTH [username] password</summary>
    [Command("AUTH", -2, Handshake, Category.Connection, Since = "1.0.0", Complexity = "O(N) where N is the number of passwords defined for the user",
        Summary = "Authenticates the connection.", Syntax = "[username] @6.0.0 password", History = "6.0.0: Added ACL style (username and password).",
        Secrets = "1..")]
    internal static void Auth(ref CommandContext call)
    {
        var client = (ClientConnection)call.Session;
        if (call.Count > 3)
        {
            call.SyntaxError();
        }
        else if (call.Count == 2 && client.Server.Store.Acl.Default.Rules.NeedsNoPassword)
        {
            call.Reply.Error("ERR AUTH <password> called without any password configured for the default user. "u8
                + "Are you sure your configuration is correct?"u8);
        }
        else if (client.Authenticate(call.Count == 2 ? "default"u8 : call[1], call[call.Count - 1], call[0]) is { } error)
        {
            call.Reply.Error(error);
        }
        else
        {
            call.Reply.Ok();
        }
    }

    /// <summary>HELLO [protover [AUTH username password] [SETNAME clientname]]</summary>
    [Command("HELLO", -1, Handshake, Category.Connection, Since = "6.0.0", Complexity = "O(1)",
        Summary = "Handshakes with the Redis server.", Syntax = "arguments=[protover [AUTH username password] [SETNAME clientname]]", Secrets = "AUTH+2",
        History = "6.2.0: `protover` made optional; when called without arguments the command reports the current connection's context.")]
    internal static void Hello(ref CommandContext call)
    {
        var client = (ClientConnection)call.Session;
        int protocol = client.Protocol;
        if (call.Count > 1)
        {
            if (!Numbers.TryParseInt64(call[1], out long version))
            {
                call.Reply.Error("ERR Protocol version is not an integer or out of range"u8);
                return;
            }
            if (version is not (2 or 3))
            {
                call.Reply.Error("NOPROTO unsupported protocol version"u8);
                return;
            }
            protocol = (int)version;
        }
        string? name = null;
        int credentials = 0;
        for (int i = 2; i < call.Count; i++)
        {
            if (call[i].Is("AUTH"u8) && i + 2 < call.Count)
            {
                credentials = i + 1;
                i += 2;
            }
            else if (call[i].Is("SETNAME"u8) && i + 1 < call.Count)
            {
                if (!ClientCommand.TryReadAttribute(ref call, ++i, "Client names", out name)) return;
            }
            else
            {
                call.Reply.Error($"ERR Syntax error in HELLO option '{Encoding.Latin1.GetString(call[i])}'");
                return;
            }
        }
        if (credentials != 0 && client.Authenticate(call[credentials], call[credentials + 1], call[0]) is { } error)
        {
            call.Reply.Error(error);
            return;
        }
        if (!client.IsAuthenticated && !client.Server.Store.Acl.IsOpen)
        {
            call.Reply.Error("NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user> <pass> "u8
                + "option can be used to authenticate the client and select the RESP protocol version at the same time"u8);
            return;
        }
        if (name is not null) client.Name = name;
        client.Protocol = protocol;
        RespWriter reply = call.Reply;
        reply.Map(7);
        reply.BulkString("server"u8);
        reply.BulkString("redis"u8);
        reply.BulkString("version"u8);
        reply.BulkString(ServerVersion.Redis);
        reply.BulkString("proto"u8);
        reply.Integer(protocol);
        reply.BulkString("id"u8);
        reply.Integer(client.Id);
        reply.BulkString("mode"u8);
        reply.BulkString(call.Store.Cluster is null ? "standalone"u8 : "cluster"u8);
        reply.BulkString("role"u8);
        reply.BulkString("master"u8);
        reply.BulkString("modules"u8);
        reply.Array(0);
    }

    /// <summary>RESET — puts the connection back to its initial state.</summary>
    [Command("RESET", 1, Handshake | CommandFlags.NotQueued | CommandFlags.AllowedInPubSub, Category.Connection, Since = "6.2.0", Complexity = "O(1)",
        Summary = "Resets the connection.")]
    internal static void Reset(ref CommandContext call)
    {
        var client = (ClientConnection)call.Session;
        call.Continuation = async reply =>
        {
            await client.ResetAsync(reply).ConfigureAwait(false);
            reply.SimpleString("RESET"u8);
        };
    }

    /// <summary>QUIT</summary>
    [Command("QUIT", -1, Handshake | CommandFlags.NotQueued | CommandFlags.AllowedInPubSub, Category.Connection, Since = "1.0.0", Complexity = "O(1)",
        Summary = "Closes the connection.",
        Deprecated = "7.2.0: just closing the connection")]
    internal static void Quit(ref CommandContext call)
    {
        ((ClientConnection)call.Session).CloseAfterReply = true;
        call.Reply.Ok();
    }
}
