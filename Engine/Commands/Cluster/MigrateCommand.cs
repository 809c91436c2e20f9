using System.Text;

namespace OrleansRedis.Engine;

/// <summary>MIGRATE: takes keys to another Redis server, with or without Redis Cluster's protocol.</summary>
internal static class MigrateCommand
{
    private const int FirstOption = 6, DefaultTimeoutMs = 1000;

    /// <summary>
    /// MIGRATE host port key | "" destination-db timeout [COPY] [REPLACE] [AUTH password | AUTH2 username password] [KEYS key
    /// [key ...]] — The gates of the keys' slots are held until the other server has answered: as in Redis, nobody sees a
    /// key in both places or in neither, and what is written here meanwhile waits. Other slots go on.
    /// </summary>
    [Command("MIGRATE", -6, CommandFlags.Write | CommandFlags.MovableKeys | CommandFlags.MovesKeys, Category.Keyspace | Category.Dangerous,
        Keys = "RW ACCESS DELETE 3|KEYS; RW ACCESS DELETE INCOMPLETE KEYS@-2..-1", Effort = Effort.AllElements, Since = "2.6.0", Group = "generic",
        Complexity = "This command actually executes a DUMP+DEL in the source instance, and a RESTORE in the target instance. See the pages of these "
            + "commands for time complexity. Also an O(N) data transfer between the two instances is performed.",
        Summary = "Atomically transfers a key from one Redis instance to another.", Tips = "nondeterministic_output",
        Syntax = "host port:integer key-selector=<key | \"\"> destination-db timeout [COPY] @3.0.0 [REPLACE] @3.0.0 "
            + "authentication=[auth=AUTH password @4.0.7 | AUTH2 <username password> @6.0.0] [keys=KEYS key [key ...]] @3.0.6",
        History = "3.0.0: Added the `COPY` and `REPLACE` options.\n3.0.6: Added the `KEYS` option.\n4.0.7: Added the `AUTH` option.\n"
            + "6.0.0: Added the `AUTH2` option.",
        Secrets = "AUTH+1;AUTH2+2")]
    internal static void Migrate(ref CommandContext call)
    {
        if (!TryParse(ref call, out Options options)) return;
        var keys = new List<int>();
        for (int i = options.FirstKey; i < options.FirstKey + options.KeyCount; i++)
        {
            if (!call.Read(i).IsMissing) keys.Add(i);
        }
        if (keys.Count == 0)
        {
            call.Reply.SimpleString("NOKEY"u8);
            return;
        }
        if (call.Store.Peers is not { } peers)
        {
            call.Reply.Error("IOERR error or timeout connecting to the client"u8);
            return;
        }
        // A connection that was left from an earlier time may be closed by now.
        if (!TryMove(ref call, peers, options, keys, mayTryAgain: true)) TryMove(ref call, peers, options, keys, mayTryAgain: false);
    }

    /// <summary>False if nothing was done, and it is to be tried again with another connection.</summary>
    private static bool TryMove(ref CommandContext call, IPeers peers, in Options options, List<int> keys, bool mayTryAgain)
    {
        IPeer? peer = null;
        string doing = "connecting to the client", refusal = "";
        int answers = 0;
        try
        {
            peer = peers.Take(options.Host, options.Port, options.TimeoutMs);
            bool selects = peer.Database != options.Database;
            var requests = new RespWriter();
            List<int> sent = WriteRequests(call, options, keys, selects, requests);
            if (requests.HasOverflowed)
            {
                peer.Return();
                call.Reply.Error("ERR the keys are too large to be moved at once"u8);
                return true;
            }
            doing = "writing to target instance";
            peer.Send(requests.Written, options.TimeoutMs);
            doing = "reading to target instance"; // Redis's words
            if (options.Password != 0) refusal = Refusal(peer.ReadLine(options.TimeoutMs));
            if (selects && Refusal(peer.ReadLine(options.TimeoutMs)) is { Length: > 0 } notSelected && refusal.Length == 0) refusal = notSelected;
            bool isIn = refusal.Length == 0;
            foreach (int key in sent)
            {
                string refused = Refusal(peer.ReadLine(options.TimeoutMs));
                answers++;
                if (refusal.Length == 0) refusal = refused;
                if (isIn && refused.Length == 0 && !options.Copies) Delete(ref call, key);
            }
            peer.Database = refusal.Length == 0 ? options.Database : -1;
            peer.Return();
        }
        catch (Exception failure) when (failure is IOException or TimeoutException)
        {
            peer?.Dispose();
            if (failure is IOException && peer is not null && answers == 0 && refusal.Length == 0 && mayTryAgain) return false;
            if (refusal.Length == 0)
            {
                call.Reply.Error($"IOERR error or timeout {doing}");
                return true;
            }
        }
        if (refusal.Length == 0) call.Reply.Ok();
        else call.Reply.Error($"ERR Target instance replied with error: {refusal}");
        return true;
    }

    /// <summary>Writes what the other server is asked to do, and returns the keys that it is asked to take.</summary>
    private static List<int> WriteRequests(in CommandContext call, in Options options, List<int> keys, bool selects, RespWriter requests)
    {
        if (options.Password != 0)
        {
            requests.Array(options.UserName != 0 ? 3 : 2);
            requests.BulkString("AUTH"u8);
            if (options.UserName != 0) requests.BulkString(call[options.UserName]);
            requests.BulkString(call[options.Password]);
        }
        if (selects)
        {
            requests.Array(2);
            requests.BulkString("SELECT"u8);
            requests.BulkInteger(options.Database);
        }
        var sent = new List<int>();
        foreach (int key in keys)
        {
            Entry entry = call.KeyspaceOf(call[key]).Find(call[key]);
            if (entry.IsMissing) continue; // the same key once more, which had expired
            long ttl = entry.ExpiresAtMs == Expiry.Never ? 0 : Math.Max(1, entry.ExpiresAtMs - call.NowMs);
            requests.Array(options.Replaces ? 5 : 4);
            requests.BulkString(call.Store.Cluster is null ? "RESTORE"u8 : "RESTORE-ASKING"u8);
            requests.BulkString(call[key]);
            requests.BulkInteger(ttl);
            requests.BulkString(DumpPayload.Of(entry.Found, call.Store.Options));
            if (options.Replaces) requests.BulkString("REPLACE"u8);
            sent.Add(key);
        }
        DumpPayload.Forget();
        return sent;
    }

    private static void Delete(ref CommandContext call, int argument)
    {
        ReadOnlySpan<byte> key = call[argument];
        Keyspace keyspace = call.KeyspaceOf(key);
        if (!keyspace.Remove(key)) return;
        call.Modified(keyspace, key, KeyEvents.Generic, "del"u8);
        call.Effect(keyspace, "DEL"u8, key);
    }

    /// <summary>The text of an error; empty if the reply is none.</summary>
    private static string Refusal(string line) => line.StartsWith('-') ? line[1..] : "";

    private static bool TryParse(ref CommandContext call, out Options options)
    {
        options = new() { Host = Encoding.UTF8.GetString(call[1]), FirstKey = 3, KeyCount = 1 };
        for (int i = FirstOption; i < call.Count; i++)
        {
            int more = call.Count - 1 - i;
            if (call[i].Is("COPY"u8))
            {
                options.Copies = true;
            }
            else if (call[i].Is("REPLACE"u8))
            {
                options.Replaces = true;
            }
            else if (call[i].Is("AUTH"u8) && more >= 1)
            {
                options.Password = ++i;
            }
            else if (call[i].Is("AUTH2"u8) && more >= 2)
            {
                options.UserName = ++i;
                options.Password = ++i;
            }
            else if (call[i].Is("KEYS"u8))
            {
                if (!call[3].IsEmpty)
                {
                    call.Reply.Error("ERR When using MIGRATE KEYS option, the key argument must be set to the empty string"u8);
                    return false;
                }
                (options.FirstKey, options.KeyCount) = (i + 1, more);
                break; // all that follows are keys
            }
            else
            {
                call.SyntaxError();
                return false;
            }
        }
        if (!call.TryInt64(5, out long timeoutMs) || !call.TryInt64(4, out long database)) return false;
        options.TimeoutMs = timeoutMs <= 0 ? DefaultTimeoutMs : (int)Math.Min(timeoutMs, int.MaxValue);
        options.Database = (int)Math.Clamp(database, int.MinValue, int.MaxValue);
        // As Redis reads it, what is no number is port 0, and cannot be connected to.
        options.Port = Numbers.TryParseInt64(call[2], out long port) && port is > 0 and <= 65535 ? (int)port : 0;
        return true;
    }

    /// <summary>What a request says; arguments by their positions, 0 if they are missing.</summary>
    private record struct Options
    {
        public string Host;
        public int Port;
        public int Database;
        public int TimeoutMs;
        public bool Copies;
        public bool Replaces;
        public int UserName;
        public int Password;
        public int FirstKey;
        public int KeyCount;
    }
}
