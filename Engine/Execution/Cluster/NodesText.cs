using System.Globalization;
using System.Text;

namespace OrleansRedis.Engine;

/// <summary>
/// A map as text, in Redis's format: a line for each node, as CLUSTER NODES shows them, and as they stand in
/// cluster-config-file, where a last line with the epochs follows
/// (https://redis.io/docs/latest/commands/cluster-nodes/).
/// </summary>
public static class NodesText
{
    private static readonly (ClusterNodeFlags Flag, string Name)[] s_flags =
    [
        (ClusterNodeFlags.Master, "master"), (ClusterNodeFlags.Replica, "slave"), (ClusterNodeFlags.PossiblyFailing, "fail?"),
        (ClusterNodeFlags.Failing, "fail"), (ClusterNodeFlags.Handshake, "handshake"), (ClusterNodeFlags.NoAddress, "noaddr"),
        (ClusterNodeFlags.NoFailover, "nofailover"),
    ];

    /// <summary>The lines of all nodes, for clients.</summary>
    /// <param name="map">The map.</param>
    /// <param name="tls">Whether the client speaks TLS, and so wants those ports.</param>
    /// <param name="myIp">The address of this node, if the map does not know it.</param>
    public static string Show(ClusterMap map, bool tls, string myIp)
    {
        var text = new StringBuilder();
        foreach (ClusterNode node in map.Nodes) Append(text, map, node, tls, myIp).Append('\n');
        return text.ToString();
    }

    /// <summary>The line of one node, for clients, without a line end.</summary>
    public static string Show(ClusterMap map, ClusterNode node, bool tls, string myIp) => Append(new(), map, node, tls, myIp).ToString();

    /// <summary>The file.</summary>
    public static string Write(ClusterMap map)
    {
        var text = new StringBuilder();
        foreach (ClusterNode node in map.Nodes) Append(text, map, node, tls: false, myIp: null).Append('\n');
        return text.Append(CultureInfo.InvariantCulture, $"vars currentEpoch {map.CurrentEpoch} lastVoteEpoch {map.LastVoteEpoch}\n").ToString();
    }

    /// <summary>
    /// Reads a file of this server or of Redis, of any version. Throws a <see cref="FormatException"/> that names the
    /// line if it is damaged.
    /// </summary>
    public static ClusterMapDraft Read(string text)
    {
        var draft = new ClusterMapDraft("");
        foreach (string line in text.Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries))
        {
            try
            {
                ReadLine(draft, line.Split(' ', StringSplitOptions.RemoveEmptyEntries));
            }
            catch (Exception damage) when (damage is FormatException or OverflowException or ArgumentException or IndexOutOfRangeException)
            {
                throw new FormatException(line, damage);
            }
        }
        if (draft.MyselfId.Length == 0) throw new FormatException(text);
        // A node that another one mentions, and that has no line of its own.
        string[] mentioned = [.. draft.Migrating.Values, .. draft.Importing.Values, .. draft.Nodes.Select(node => node.MasterId).OfType<string>()];
        foreach (string id in mentioned)
        {
            if (draft.Nodes.TrueForAll(node => node.Id != id)) draft.Nodes.Add(new(id, ClusterNode.NewId()) { Flags = ClusterNodeFlags.None });
        }
        draft.CurrentEpoch = Math.Max(draft.CurrentEpoch, draft.Nodes.Max(node => node.Epoch));
        return draft;
    }

    private static StringBuilder Append(StringBuilder text, ClusterMap map, ClusterNode node, bool tls, string? myIp)
    {
        bool isMyself = ReferenceEquals(node, map.Myself), isFile = myIp is null;
        string ip = node.Ip.Length == 0 && isMyself ? myIp ?? "" : node.Ip;
        text.Append(CultureInfo.InvariantCulture, $"{node.Id} {ip}:{node.PortFor(tls)}@{node.BusPort}");
        if (node.HostName.Length != 0 || isFile) text.Append(',').Append(node.HostName);
        if (isFile)
        {
            text.Append(CultureInfo.InvariantCulture, $",tls-port={node.TlsPort}");
            if (node.HumanName.Length != 0) text.Append(",nodename=").Append(node.HumanName);
            text.Append(",shard-id=").Append(node.ShardId);
        }
        text.Append(' ').Append(isMyself ? "myself," : "");
        AppendFlags(text, node.Flags, isMyself);
        text.Append(CultureInfo.InvariantCulture,
            $" {node.MasterId ?? "-"} {node.PingSentMs} {node.PongReceivedMs} {map.EpochOf(node)} ");
        text.Append(isMyself || node.IsConnected ? "connected" : "disconnected");
        foreach ((int first, int last) in map.RangesOf(node))
        {
            text.Append(CultureInfo.InvariantCulture, $" {first}");
            if (last != first) text.Append(CultureInfo.InvariantCulture, $"-{last}");
        }
        if (!isMyself) return text;
        foreach ((int slot, char sign, ClusterNode other) in map.Migrating.Select(way => (way.Key, '>', way.Value))
            .Concat(map.Importing.Select(way => (way.Key, '<', way.Value))).OrderBy(way => way.Key))
        {
            text.Append(CultureInfo.InvariantCulture, $" [{slot}-{sign}-{other.Id}]");
        }
        return text;
    }

    private static void AppendFlags(StringBuilder text, ClusterNodeFlags flags, bool isMyself)
    {
        string names = string.Join(',', s_flags.Where(flag => (flags & flag.Flag) != 0).Select(flag => flag.Name));
        if (names.Length != 0) text.Append(names);
        else if (isMyself) text.Length--; // the comma
        else text.Append("noflags");
    }

    private static void ReadLine(ClusterMapDraft draft, string[] words)
    {
        if (words[0].Equals("vars", StringComparison.OrdinalIgnoreCase))
        {
            if (words.Length % 2 == 0) throw new FormatException();
            for (int i = 1; i < words.Length; i += 2)
            {
                if (words[i].Equals("currentEpoch", StringComparison.OrdinalIgnoreCase)) draft.CurrentEpoch = Number(words[i + 1]);
                else if (words[i].Equals("lastVoteEpoch", StringComparison.OrdinalIgnoreCase)) draft.LastVoteEpoch = Number(words[i + 1]);
            }
            return;
        }
        if (words.Length < 8 || !ClusterNode.IsId(words[0]) || draft.Nodes.Exists(node => node.Id == words[0])) throw new FormatException();
        string[] flags = words[2].Split(',');
        bool isMyself = Array.Exists(flags, flag => flag.Equals("myself", StringComparison.OrdinalIgnoreCase));
        if (isMyself && draft.MyselfId.Length != 0) throw new FormatException();
        if (words[3][0] != '-' && !ClusterNode.IsId(words[3])) throw new FormatException();
        ClusterNode node = ReadAddress(new(words[0], ""), words[1]) with
        {
            Flags = flags.Aggregate(ClusterNodeFlags.None, static (all, flag) => all | FlagOf(flag)),
            MasterId = words[3][0] == '-' ? null : words[3],
            Epoch = Number(words[6]),
        };
        draft.Nodes.Add(node.ShardId.Length != 0 ? node : node with { ShardId = ClusterNode.NewId() });
        if (isMyself) draft.MyselfId = node.Id;
        foreach (string slots in words.AsSpan(8)) ReadSlots(draft, node.Id, slots);
    }

    /// <summary>Reads "ip:port[@bus-port][,hostname[,name=value…]]".</summary>
    private static ClusterNode ReadAddress(ClusterNode node, string text)
    {
        string[] fields = text.Split(',');
        int colon = fields[0].LastIndexOf(':'), at = fields[0].IndexOf('@', StringComparison.Ordinal);
        if (colon < 0 || (at >= 0 && at < colon)) throw new FormatException();
        int port = (int)Number(at < 0 ? fields[0][(colon + 1)..] : fields[0][(colon + 1)..at]);
        // Files of old versions have no port of the bus.
        node = node with { Ip = fields[0][..colon], Port = port, BusPort = at < 0 ? port + 10000 : (int)Number(fields[0][(at + 1)..]) };
        if (fields.Length > 1) node = node with { HostName = fields[1] };
        foreach (string field in fields.AsSpan(Math.Min(2, fields.Length)))
        {
            if (field.Split('=') is not [var name, var value]) throw new FormatException();
            node = name switch
            {
                "shard-id" when ClusterNode.IsId(value) => node with { ShardId = value },
                "nodename" => node with { HumanName = value },
                "tls-port" => node with { TlsPort = (int)Number(value) },
                // With tls-cluster, the other port is the one that stands before.
                "tcp-port" => node with { TlsPort = port, Port = (int)Number(value) },
                _ => throw new FormatException(),
            };
        }
        return node;
    }

    /// <summary>Reads "7", "7-9", "[7->-node]" or "[7-&lt;-node]".</summary>
    private static void ReadSlots(ClusterMapDraft draft, string nodeId, string text)
    {
        int dash = text.IndexOf('-', StringComparison.Ordinal);
        if (text[0] == '[')
        {
            string other = text[(dash + 3)..^1];
            if (dash < 0 || !ClusterNode.IsId(other)) throw new FormatException();
            (text[dash + 1] == '>' ? draft.Migrating : draft.Importing)[Slot(text[1..dash])] = other;
            return;
        }
        int first = Slot(dash < 0 ? text : text[..dash]), last = dash < 0 ? first : Slot(text[(dash + 1)..]);
        for (int slot = first; slot <= last; slot++) draft.Owners[slot] ??= nodeId;
    }

    private static int Slot(string text) =>
        int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out int slot) && slot < KeySlot.Count ? slot : throw new FormatException();

    private static long Number(string text) => long.Parse(text, NumberStyles.None, CultureInfo.InvariantCulture);

    private static ClusterNodeFlags FlagOf(string name)
    {
        if (name.ToLowerInvariant() is "myself" or "noflags") return ClusterNodeFlags.None;
        foreach ((ClusterNodeFlags flag, string known) in s_flags)
        {
            if (known.Equals(name, StringComparison.OrdinalIgnoreCase)) return flag;
        }
        throw new FormatException();
    }
}
