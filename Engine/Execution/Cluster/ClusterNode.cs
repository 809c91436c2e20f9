namespace OrleansRedis.Engine;

/// <summary>What is known of a node, besides whether it is the one that tells (myself).</summary>
[Flags]
public enum ClusterNodeFlags
{
    None = 0,
    Master = 1,
    Replica = 1 << 1,

    /// <summary>It does not answer this node ("fail?").</summary>
    PossiblyFailing = 1 << 2,

    /// <summary>A majority agrees that it does not answer.</summary>
    Failing = 1 << 3,

    /// <summary>It is only just being met.</summary>
    Handshake = 1 << 4,

    /// <summary>Its address is not known.</summary>
    NoAddress = 1 << 5,

    /// <summary>A replica that is not to take its master's place.</summary>
    NoFailover = 1 << 6,
}

/// <summary>A node of Redis Cluster: here, a silo. It never changes; a new map has new nodes.</summary>
/// <param name="Id">Its name: 40 hexadecimal digits, in lower case.</param>
/// <param name="ShardId">The name of its shard, which it shares with its replicas: as many.</param>
public sealed record ClusterNode(string Id, string ShardId)
{
    /// <summary>How long an <see cref="Id"/> is.</summary>
    public const int IdLength = 40;

    /// <summary>The address for clients; empty if it is not known, which means the one that the client has used.</summary>
    public string Ip { get; init; } = "";

    /// <summary>The port for clients; 0 for none.</summary>
    public int Port { get; init; }

    /// <summary>The port for clients that speak TLS; 0 for none.</summary>
    public int TlsPort { get; init; }

    /// <summary>The port of the cluster's bus, which is only shown.</summary>
    public int BusPort { get; init; }

    /// <summary>cluster-announce-hostname; empty if it has announced none.</summary>
    public string HostName { get; init; } = "";

    /// <summary>cluster-announce-human-nodename; empty if it has announced none.</summary>
    public string HumanName { get; init; } = "";

    public ClusterNodeFlags Flags { get; init; } = ClusterNodeFlags.Master;

    /// <summary>Of a replica, its master's <see cref="Id"/>; otherwise null.</summary>
    public string? MasterId { get; init; }

    /// <summary>Its configuration epoch. Of a replica, its master's counts.</summary>
    public long Epoch { get; init; }

    /// <summary>Unix time in ms of the question that it has not answered yet; 0 if there is none.</summary>
    public long PingSentMs { get; init; }

    /// <summary>Unix time in ms of its last answer; 0 if it never answered.</summary>
    public long PongReceivedMs { get; init; }

    /// <summary>How much of its log a replica has; a master's own is asked of the log itself.</summary>
    public long ReplicationOffset { get; init; }

    /// <summary>Whether this node has a connection to it.</summary>
    public bool IsConnected { get; init; }

    public bool IsReplica => (Flags & ClusterNodeFlags.Replica) != 0;

    public bool IsFailing => (Flags & ClusterNodeFlags.Failing) != 0;

    /// <summary>The port for a client that speaks TLS, or does not.</summary>
    public int PortFor(bool tls) => tls ? TlsPort : Port;

    /// <summary>A new random id.</summary>
    public static string NewId() => Convert.ToHexStringLower(System.Security.Cryptography.RandomNumberGenerator.GetBytes(IdLength / 2));

    /// <summary>Whether this could be an id, as Redis sees it.</summary>
    public static bool IsId(string text) => text.Length == IdLength && text.All(static c => c is (>= 'a' and <= 'z') or (>= '0' and <= '9'));
}
