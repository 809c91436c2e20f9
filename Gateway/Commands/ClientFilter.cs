using System.Net;
using System.Text;
using OrleansRedis.Engine;

namespace OrleansRedis.Gateway;

/// <summary>
/// The filters of CLIENT LIST and CLIENT KILL, all of which must match: those of Redis 7.4 and of Valkey 9. With NOT-
/// before its name, a filter must not match. If there are several of one name, the last one counts; but IDs add up.
/// </summary>
internal sealed class ClientFilter
{
    /// <summary>The letters of CLIENT LIST's flags in all versions, though not all of them are given here.</summary>
    private const string AllFlags = "OSMPxbtRBdcuAUreTIN";

    private static readonly HashSet<string> s_kinds =
        ["ID", "TYPE", "USER", "ADDR", "LADDR", "NAME", "LIB-NAME", "LIB-VER", "IP", "FLAGS", "CAPA", "DB", "MAXAGE", "IDLE", "SKIPME"];

    private readonly Dictionary<string, Func<ClientConnection, bool>> _wanted = [];
    private readonly Dictionary<string, Func<ClientConnection, bool>> _unwanted = [];
    private readonly List<long> _ids = [];
    private readonly HashSet<long> _otherIds = [];
    private bool? _skipMe;

    private ClientFilter()
    {
    }

    /// <summary>
    /// Reads the filters, from argument 2 on. Returns null if one is wrong; the error is then in the reply.
    /// </summary>
    public static ClientFilter? Read(ref CommandContext call)
    {
        var filter = new ClientFilter();
        for (int i = 2; i < call.Count;)
        {
            if (!filter.TryReadOne(ref call, ref i)) return null;
        }
        return filter;
    }

    /// <summary>The clients that match, by their IDs; or in the order in which the request names these.</summary>
    /// <param name="me">The client that asks.</param>
    /// <param name="skipMe">Whether to leave that client out, unless SKIPME says something else.</param>
    public IEnumerable<ClientConnection> Matching(ClientConnection me, bool skipMe)
    {
        ClientRegistry clients = me.Server.Clients;
        IEnumerable<ClientConnection> named = _ids.Count > 0
            ? _ids.Select(clients.Find).OfType<ClientConnection>()
            : clients.All.OrderBy(client => client.Id);
        return named.Where(client => !(client == me && (_skipMe ?? skipMe)) && !_otherIds.Contains(client.Id)
            && _wanted.Values.All(matches => matches(client)) && !_unwanted.Values.Any(matches => matches(client)));
    }

    /// <summary>
    /// Reads one filter and steps over it. Returns false if it is wrong; the error is then in the reply.
    /// </summary>
    private bool TryReadOne(ref CommandContext call, ref int i)
    {
        string kind = KindOf(call[i], out bool isNot), name = isNot ? $"NOT-{kind}" : kind;
        if (++i == call.Count) return Refuse(ref call, Errors.Syntax);
        if (kind == "ID") return TryReadIds(ref call, ref i, isNot);
        ReadOnlySpan<byte> value = call[i];
        string text = Encoding.Latin1.GetString(value);
        Func<ClientConnection, bool> matches;
        switch (kind)
        {
            case "TYPE":
                if (!ClientCommand.TryReadType(ref call, i, out ClientClass type)) return false;
                matches = client => client.Class == type;
                break;
            case "USER":
                if (call.Store.Acl.Find(value) is not { } user) return Refuse(ref call, $"ERR No such user '{text}'");
                matches = client => client.User == user;
                break;
            case "ADDR":
                matches = Equal(client => client.Address, value);
                break;
            case "LADDR":
                matches = Equal(client => client.LocalAddress, value);
                break;
            case "NAME":
                matches = Equal(client => client.Name, value);
                break;
            case "LIB-NAME":
                matches = Equal(client => client.LibraryName, value);
                break;
            case "LIB-VER":
                matches = Equal(client => client.LibraryVersion, value);
                break;
            case "IP":
                matches = Equal(client => client.RemoteEndPoint is IPEndPoint peer ? ClientConnection.Show(peer.Address) : "", value);
                break;
            case "FLAGS":
                if (!text.All(AllFlags.Contains)) return Refuse(ref call, $"ERR Unknown flags found in the {(isNot ? name : "provided")} filter: {text}");
                matches = client => text.All(client.Flags().Contains);
                break;
            case "CAPA":
                // There is one, r, which clients have that follow redirections; there is no CLIENT CAPA to say so.
                if (!text.All(letter => letter == 'r')) return Refuse(ref call, $"ERR Unknown capa found in the {(isNot ? name : "provided")} filter: {text}");
                matches = _ => text.Length == 0;
                break;
            case "DB":
                if (!Numbers.TryParseInt64(value, out long database) || database != (int)database)
                    return Refuse(ref call, $"ERR {name} is not an integer or out of range");
                int last = call.Store.Options.Databases - 1;
                if (database < 0 || database > last) return Refuse(ref call, $"ERR {name} number should be between 0 and {last}");
                matches = client => client.Database == database;
                break;
            case "MAXAGE" or "IDLE" when !isNot:
                string shown = name.ToLowerInvariant();
                if (!Numbers.TryParseInt64(value, out long seconds)) return Refuse(ref call, $"ERR {shown} is not an integer or out of range");
                if (seconds <= 0) return Refuse(ref call, $"ERR {shown} should be greater than 0");
                long nowMs = call.NowMs;
                matches = kind == "IDLE"
                    ? client => (nowMs - client.LastUsedMs) / 1000 >= seconds
                    : client => (nowMs - client.ConnectedAtMs) / 1000 >= seconds;
                break;
            case "SKIPME" when !isNot && (value.Is("YES"u8) || value.Is("NO"u8)):
                _skipMe = value.Is("YES"u8);
                i++;
                return true;
            default:
                return Refuse(ref call, Errors.Syntax);
        }
        (isNot ? _unwanted : _wanted)[kind] = matches;
        i++;
        return true;
    }

    /// <summary>Reads IDs, up to the next filter. The errors are those of Redis 7.4, which each command has its own of.</summary>
    private bool TryReadIds(ref CommandContext call, ref int i, bool isNot)
    {
        bool isList = call.Command.Name == "client|list" && !isNot;
        int first = i;
        for (; i < call.Count && Numbers.TryParseInt64(call[i], out long id); i++)
        {
            if (id < 1 && !isList) return Refuse(ref call, NotPositiveId);
            if (isNot) _otherIds.Add(id);
            else _ids.Add(id);
        }
        if (i > first && (i == call.Count || s_kinds.Contains(KindOf(call[i], out _)))) return true;
        return Refuse(ref call, isList ? "ERR Invalid client ID"u8 : i == first ? NotPositiveId : Errors.Syntax);
    }

    private static ReadOnlySpan<byte> NotPositiveId => "ERR client-id should be greater than 0"u8;

    /// <summary>The name of a filter without NOT-, in capitals.</summary>
    private static string KindOf(ReadOnlySpan<byte> name, out bool isNot)
    {
        isNot = name.Length > 4 && name[..4].Is("NOT-"u8);
        return Encoding.Latin1.GetString(isNot ? name[4..] : name).ToUpperInvariant();
    }

    /// <summary>Whether a client has this value; nobody has an empty one.</summary>
    private static Func<ClientConnection, bool> Equal(Func<ClientConnection, string> property, ReadOnlySpan<byte> value)
    {
        string wanted = Encoding.UTF8.GetString(value);
        return client => wanted.Length > 0 && property(client) == wanted;
    }

    private static bool Refuse(ref CommandContext call, ReadOnlySpan<byte> error)
    {
        call.Reply.Error(error);
        return false;
    }

    private static bool Refuse(ref CommandContext call, string error)
    {
        call.Reply.Error(error);
        return false;
    }
}
