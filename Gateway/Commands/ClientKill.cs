using System.Text;
using OrleansRedis.Engine;

namespace OrleansRedis.Gateway;

/// <summary>CLIENT KILL, in its old form (an address) and its new one (filters, all of which must match).</summary>
internal static class ClientKill
{
    /// <summary>
    /// CLIENT KILL ip:port | [ID client-id] [TYPE …] [USER username] [ADDR ip:port] [LADDR ip:port] [SKIPME yes | no]
    /// [MAXAGE maxage]
    /// </summary>
    [Command("CLIENT|KILL", -3, CommandFlags.Admin | CommandFlags.NoScript | CommandFlags.Loading | CommandFlags.Stale | CommandFlags.NeedsConnection,
        Category.Connection | Category.Dangerous, Since = "2.4.0", Complexity = "O(N) where N is the number of client connections",
        Summary = "Terminates open connections.",
        Syntax = "filter=<old-format=ip:port @..2.8.12 | new-format=<[ID client-id] @2.8.12 | [client-type=TYPE <NORMAL | MASTER @3.2.0 | SLAVE | REPLICA "
            + "@5.0.0 | PUBSUB>] @2.8.12 | [USER username] | [addr=ADDR ip:port] | [laddr=LADDR ip:port] @6.2.0 | [skipme=SKIPME <YES | NO>] | [MAXAGE "
            + "maxage] @7.4.0> [[ID client-id] | [TYPE <NORMAL | MASTER | SLAVE | REPLICA | PUBSUB>] | [USER username] | [ADDR ip:port] | [LADDR ip:port] "
            + "| [SKIPME <YES | NO>] | [MAXAGE maxage] ...]>",
        History = "2.8.12: Added new filter format.\n2.8.12: `ID` option.\n3.2.0: Added `master` type in for `TYPE` option.\n"
            + "5.0.0: Replaced `slave` `TYPE` with `replica`. `slave` still supported for backward compatibility.\n6.2.0: `LADDR` option.\n7.4.0: "
            + "`MAXAGE` option.")]
    internal static void Kill(ref CommandContext call)
    {
        ClientConnection me = ClientCommand.Me(call);
        if (call.Count == 3)
        {
            string address = Encoding.UTF8.GetString(call[2]);
            ClientConnection? found = me.Server.Clients.All.FirstOrDefault(client => client.Address == address);
            if (found is null)
            {
                call.Reply.Error("ERR No such client"u8);
                return;
            }
            End(found, me);
            call.Reply.Ok();
            return;
        }
        var filter = new Filter();
        if (!filter.TryRead(ref call)) return;
        int killed = 0;
        foreach (ClientConnection client in me.Server.Clients.All)
        {
            if ((client == me && filter.SkipMe) || !filter.Matches(client, call.NowMs)) continue;
            End(client, me);
            killed++;
        }
        call.Reply.Integer(killed);
    }

    /// <summary>Ends a connection. The client that asks still gets its reply.</summary>
    private static void End(ClientConnection client, ClientConnection me)
    {
        if (client == me) me.CloseAfterReply = true;
        else client.Kill();
    }

    private sealed class Filter
    {
        private const string NotPositiveId = "client-id should be greater than 0";
        private const string NotPositiveAge = "maxage should be greater than 0";

        private long? _id;
        private long? _maxAgeSeconds;
        private ClientClass? _class;
        private AclUser? _user;
        private string? _address;
        private string? _localAddress;

        public bool SkipMe { get; private set; } = true;

        /// <summary>Reads the options. Returns false if they are invalid; the error is then in the reply.</summary>
        public bool TryRead(ref CommandContext call)
        {
            for (int i = 2; i < call.Count; i += 2)
            {
                if (i + 1 == call.Count)
                {
                    call.SyntaxError();
                    return false;
                }
                if (!TryReadOption(ref call, call[i], i + 1)) return false;
            }
            return true;
        }

        public bool Matches(ClientConnection client, long nowMs) =>
            (_id is null || client.Id == _id)
            && (_class is null || client.Class == _class)
            && (_user is null || client.User == _user)
            && (_address is null || client.Address == _address)
            && (_localAddress is null || client.LocalAddress == _localAddress)
            && (_maxAgeSeconds is null || (nowMs - client.ConnectedAtMs) / 1000 >= _maxAgeSeconds);

        private bool TryReadOption(ref CommandContext call, ReadOnlySpan<byte> option, int index)
        {
            ReadOnlySpan<byte> value = call[index];
            if (option.Is("ID"u8)) return TryReadPositive(ref call, value, NotPositiveId, NotPositiveId, out _id);
            if (option.Is("MAXAGE"u8)) return TryReadPositive(ref call, value, "maxage is not an integer or out of range", NotPositiveAge, out _maxAgeSeconds);
            if (option.Is("TYPE"u8))
            {
                if (!ClientCommand.TryReadType(ref call, index, out ClientClass type)) return false;
                _class = type;
            }
            else if (option.Is("ADDR"u8))
            {
                _address = Encoding.UTF8.GetString(value);
            }
            else if (option.Is("LADDR"u8))
            {
                _localAddress = Encoding.UTF8.GetString(value);
            }
            else if (option.Is("USER"u8))
            {
                _user = call.Store.Acl.Find(value);
                if (_user is not null) return true;
                call.Reply.Error($"ERR No such user '{Encoding.Latin1.GetString(value)}'");
                return false;
            }
            else if (option.Is("SKIPME"u8) && (value.Is("YES"u8) || value.Is("NO"u8)))
            {
                SkipMe = value.Is("YES"u8);
            }
            else
            {
                call.SyntaxError();
                return false;
            }
            return true;
        }

        private static bool TryReadPositive(
            ref CommandContext call, ReadOnlySpan<byte> text, string notInteger, string notPositive, out long? value)
        {
            value = null;
            bool isInteger = Numbers.TryParseInt64(text, out long number);
            if (!isInteger || number <= 0)
            {
                call.Reply.Error($"ERR {(isInteger ? notPositive : notInteger)}");
                return false;
            }
            value = number;
            return true;
        }
    }
}
