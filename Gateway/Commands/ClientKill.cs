using System.Text;
using OrleansRedis.Engine;

namespace OrleansRedis.Gateway;

/// <summary>CLIENT KILL, in its old form (an address) and its new one (filters, all of which must match).</summary>
internal static class ClientKill
{
    /// <summary>
    /// CLIENT KILL ip:port | [[NOT-]ID client-id [client-id ...]] [[NOT-]TYPE normal | master | replica | pubsub]
    /// [[NOT-]USER username] [[NOT-]ADDR ip:port] [[NOT-]LADDR ip:port] [[NOT-]NAME name] [[NOT-]FLAGS flags]
    /// [[NOT-]LIB-NAME lib-name] [[NOT-]LIB-VER lib-ver] [[NOT-]DB db] [[NOT-]CAPA capa] [[NOT-]IP ip] [SKIPME yes | no]
    /// [MAXAGE maxage] [IDLE idle]
    /// </summary>
    [Command("CLIENT|KILL", -3, CommandFlags.Admin | CommandFlags.NoScript | CommandFlags.Loading | CommandFlags.Stale | CommandFlags.NeedsConnection,
        Category.Connection | Category.Dangerous, Since = "2.4.0", Complexity = "O(N) where N is the number of client connections",
        Summary = "Terminates open connections.",
        Syntax = "filter=<old-format=ip:port @..2.8.12 | new-format=<[ID client-id [client-id ...]] @2.8.12 | [client-type=TYPE <NORMAL | MASTER @3.2.0 | "
            + "PRIMARY @8.0.0 | SLAVE | REPLICA @5.0.0 | PUBSUB>] @2.8.12 | [USER username] | [addr=ADDR ip:port] | [laddr=LADDR ip:port] @6.2.0 | "
            + "[skipme=SKIPME <YES | NO>] | [MAXAGE maxage] @7.4.0 | [NAME name] @9.0.0 | [IDLE idle] @9.0.0 | [FLAGS flags] @9.0.0 | [LIB-NAME "
            + "lib-name] @9.0.0 | [LIB-VER lib-ver] @9.0.0 | [DB db] @9.0.0 | [CAPA capa] @9.0.0 | [IP ip] @9.0.0 | [not-client-type=NOT-TYPE <NORMAL | "
            + "MASTER | PRIMARY | SLAVE | REPLICA | PUBSUB>] @9.0.0 | [NOT-ID not-client-id [not-client-id ...]] @9.0.0 | [NOT-USER not-username] @9.0.0 "
            + "| [not-addr=NOT-ADDR ip:port] @9.0.0 | [not-laddr=NOT-LADDR ip:port] @9.0.0 | [NOT-NAME not-name] @9.0.0 | [NOT-FLAGS not-flags] @9.0.0 | "
            + "[NOT-LIB-NAME not-lib-name] @9.0.0 | [NOT-LIB-VER not-lib-ver] @9.0.0 | [NOT-DB not-db] @9.0.0 | [NOT-CAPA not-capa] @9.0.0 | [NOT-IP "
            + "not-ip] @9.0.0> [[ID client-id [client-id ...]] | [TYPE <NORMAL | MASTER | PRIMARY | SLAVE | REPLICA | PUBSUB>] | [USER username] | [ADDR "
            + "ip:port] | [LADDR ip:port] | [SKIPME <YES | NO>] | [MAXAGE maxage] | [NAME name] | [IDLE idle] | [FLAGS flags] | [LIB-NAME lib-name] | "
            + "[LIB-VER lib-ver] | [DB db] | [CAPA capa] | [IP ip] | [NOT-TYPE <NORMAL | MASTER | PRIMARY | SLAVE | REPLICA | PUBSUB>] | [NOT-ID "
            + "not-client-id [not-client-id ...]] | [NOT-USER not-username] | [NOT-ADDR ip:port] | [NOT-LADDR ip:port] | [NOT-NAME not-name] | "
            + "[NOT-FLAGS not-flags] | [NOT-LIB-NAME not-lib-name] | [NOT-LIB-VER not-lib-ver] | [NOT-DB not-db] | [NOT-CAPA not-capa] | [NOT-IP not-ip] "
            + "...]>",
        History = "2.8.12: Added new filter format.\n2.8.12: `ID` option.\n3.2.0: Added `master` type in for `TYPE` option.\n"
            + "5.0.0: Replaced `slave` `TYPE` with `replica`. `slave` still supported for backward compatibility.\n6.2.0: `LADDR` option.\n7.4.0: "
            + "`MAXAGE` option.\n8.1.0: `ID` option accepts multiple IDs, as in Valkey.\n9.0.0: Added filters NAME, IDLE, FLAGS, LIB-NAME, LIB-VER, DB, "
            + "CAPA, and IP, and the negative filters, as in Valkey.")]
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
        if (ClientFilter.Read(ref call) is not { } filter) return;
        int killed = 0;
        foreach (ClientConnection client in filter.Matching(me, skipMe: true).Distinct())
        {
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
}
