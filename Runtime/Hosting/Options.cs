using System.Net;
using System.Net.Sockets;

namespace Orleans.Configuration;

/// <summary>Which cluster a node belongs to.</summary>
public class ClusterOptions
{
    /// <summary>The default cluster.</summary>
    public const string DefaultClusterId = "default";

    /// <summary>The default service.</summary>
    public const string DefaultServiceId = "default";

    /// <summary>The cluster. Nodes of different clusters don't talk.</summary>
    public string ClusterId { get; set; } = DefaultClusterId;

    /// <summary>The service, which outlives its clusters; storage is kept by it.</summary>
    public string ServiceId { get; set; } = DefaultServiceId;
}

/// <summary>The silo itself.</summary>
public class SiloOptions
{
    /// <summary>The silo's name; made up if not given.</summary>
    public string SiloName { get; set; } = $"Silo_{Guid.NewGuid().ToString("N")[..5]}";
}

/// <summary>Where a silo is reached.</summary>
public class EndpointOptions
{
    /// <summary>The default port for silos.</summary>
    public const int DEFAULT_SILO_PORT = 11111;

    /// <summary>The default port for clients.</summary>
    public const int DEFAULT_GATEWAY_PORT = 30000;

    private IPAddress? _advertised;

    /// <summary>The address that others connect to.</summary>
    public IPAddress AdvertisedIPAddress
    {
        get => _advertised ??= EndpointAddress.Find(null, AddressFamily.InterNetwork);
        set => _advertised = value;
    }

    /// <summary>The port for silos.</summary>
    public int SiloPort { get; set; } = DEFAULT_SILO_PORT;

    /// <summary>The port for clients; 0 for no gateway.</summary>
    public int GatewayPort { get; set; } = DEFAULT_GATEWAY_PORT;

    /// <summary>Where to listen for silos, if not at the address that others connect to.</summary>
    public IPEndPoint? SiloListeningEndpoint { get; set; }

    /// <summary>Where to listen for clients, if not at the address that others connect to.</summary>
    public IPEndPoint? GatewayListeningEndpoint { get; set; }
}

/// <summary>Messages, for silos and clients.</summary>
public abstract class MessagingOptions
{
    /// <summary>How long a caller waits for a response. Methods may say otherwise, with <see cref="ResponseTimeoutAttribute"/>.</summary>
    public TimeSpan ResponseTimeout { get; set; } = TimeSpan.FromSeconds(30);

    /// <summary>How long a caller waits when a debugger is attached. Not used.</summary>
    public TimeSpan ResponseTimeoutWithDebugger { get; set; } = TimeSpan.FromMinutes(30);

    /// <summary>Whether requests whose callers have given up are not executed.</summary>
    public bool DropExpiredMessages { get; set; } = true;

    /// <summary>The largest header, in bytes.</summary>
    public int MaxMessageHeaderSize { get; set; } = 10 * 1024 * 1024;

    /// <summary>The largest body, in bytes.</summary>
    public int MaxMessageBodySize { get; set; } = 100 * 1024 * 1024;

    /// <summary>Whether a timeout cancels the request's token in the callee.</summary>
    public bool CancelRequestOnTimeout { get; set; } = true;

    /// <summary>Whether a caller that cancels waits until the callee has responded.</summary>
    public bool WaitForCancellationAcknowledgement { get; set; }
}

/// <summary>Messages, for silos.</summary>
public class SiloMessagingOptions : MessagingOptions
{
    /// <summary>How often a request may be forwarded from silo to silo.</summary>
    public int MaxForwardCount { get; set; } = 2;

    /// <summary>How long the runtime's own calls wait for a response.</summary>
    public TimeSpan SystemResponseTimeout { get; set; } = TimeSpan.FromSeconds(30);
}

/// <summary>Messages, for clients.</summary>
public class ClientMessagingOptions : MessagingOptions;

/// <summary>Connections.</summary>
public class ConnectionOptions
{
    /// <summary>The default of <see cref="OpenConnectionTimeout"/>.</summary>
    public static readonly TimeSpan DEFAULT_OPENCONNECTION_TIMEOUT = TimeSpan.FromSeconds(5);

    /// <summary>How many connections there are to an endpoint. This runtime has one.</summary>
    public int ConnectionsPerEndpoint { get; set; } = 1;

    /// <summary>How long until a failed connection is tried again.</summary>
    public TimeSpan ConnectionRetryDelay { get; set; } = TimeSpan.FromSeconds(1);

    /// <summary>How long connecting may take.</summary>
    public TimeSpan OpenConnectionTimeout { get; set; } = DEFAULT_OPENCONNECTION_TIMEOUT;
}

/// <summary>When idle grains are deactivated.</summary>
public class GrainCollectionOptions
{
    /// <summary>The default of <see cref="CollectionQuantum"/>.</summary>
    public static readonly TimeSpan DEFAULT_COLLECTION_QUANTUM = TimeSpan.FromMinutes(1);

    /// <summary>The default of <see cref="ActivationTimeout"/>.</summary>
    public static readonly TimeSpan DEFAULT_ACTIVATION_TIMEOUT = TimeSpan.FromSeconds(30);

    /// <summary>The default of <see cref="DeactivationTimeout"/>.</summary>
    public static readonly TimeSpan DEFAULT_DEACTIVATION_TIMEOUT = TimeSpan.FromSeconds(30);

    /// <summary>How often idle grains are looked for.</summary>
    public TimeSpan CollectionQuantum { get; set; } = DEFAULT_COLLECTION_QUANTUM;

    /// <summary>How long a grain stays without requests.</summary>
    public TimeSpan CollectionAge { get; set; } = TimeSpan.FromMinutes(15);

    /// <summary>The same by full name of the class.</summary>
    public Dictionary<string, TimeSpan> ClassSpecificCollectionAge { get; set; } = [];

    /// <summary>How long activation may take.</summary>
    public TimeSpan ActivationTimeout { get; set; } = DEFAULT_ACTIVATION_TIMEOUT;

    /// <summary>How long deactivation may take.</summary>
    public TimeSpan DeactivationTimeout { get; set; } = DEFAULT_DEACTIVATION_TIMEOUT;
}

/// <summary>Membership: who is alive, and how that is found out.</summary>
public class ClusterMembershipOptions
{
    /// <summary>How many times a silo may miss saying that it is alive before it counts as stale.</summary>
    public int NumMissedTableIAmAliveLimit { get; set; } = 3;

    /// <summary>Whether silos probe each other. Off for debugging.</summary>
    public bool LivenessEnabled { get; set; } = true;

    /// <summary>How often a silo probes another, and how long it waits for the answer.</summary>
    public TimeSpan ProbeTimeout { get; set; } = TimeSpan.FromSeconds(5);

    /// <summary>How often the table is read, if nothing else calls for it.</summary>
    public TimeSpan TableRefreshTimeout { get; set; } = TimeSpan.FromSeconds(60);

    /// <summary>How long a vote counts.</summary>
    public TimeSpan DeathVoteExpirationTimeout { get; set; } = TimeSpan.FromMinutes(2);

    /// <summary>How often a silo says in the table that it is alive.</summary>
    public TimeSpan IAmAliveTablePublishTimeout { get; set; } = TimeSpan.FromSeconds(30);

    /// <summary>How long a silo tries to join.</summary>
    public TimeSpan MaxJoinAttemptTime { get; set; } = TimeSpan.FromMinutes(5);

    /// <summary>Whether silos tell each other of changes.</summary>
    public bool UseLivenessGossip { get; set; } = true;

    /// <summary>How many others a silo probes.</summary>
    public int NumProbedSilos { get; set; } = 10;

    /// <summary>How many probes in a row a silo may miss before it is suspected.</summary>
    public int NumMissedProbesLimit { get; set; } = 3;

    /// <summary>How many votes declare a silo dead.</summary>
    public int NumVotesForDeathDeclaration { get; set; } = 2;

    /// <summary>How long dead silos stay in the table.</summary>
    public TimeSpan DefunctSiloExpiration { get; set; } = TimeSpan.FromDays(7);

    /// <summary>How often old dead silos are deleted; null for never.</summary>
    public TimeSpan? DefunctSiloCleanupPeriod { get; set; } = TimeSpan.FromHours(1);

    /// <summary>Whether a third silo is asked before another is suspected.</summary>
    public bool EnableIndirectProbes { get; set; } = true;
}

/// <summary>Gateways, for clients.</summary>
public class GatewayOptions
{
    /// <summary>How often the list is read.</summary>
    public TimeSpan GatewayListRefreshPeriod { get; set; } = TimeSpan.FromMinutes(1);
}

/// <summary>A fixed list of gateways.</summary>
public class StaticGatewayListProviderOptions
{
    /// <summary>The gateways.</summary>
    public List<Uri> Gateways { get; set; } = [];
}

/// <summary>A cluster for development, whose table is in the memory of its primary silo.</summary>
public class DevelopmentClusterMembershipOptions
{
    /// <summary>The primary; null for this silo.</summary>
    public IPEndPoint? PrimarySiloEndpoint { get; set; }
}

/// <summary>Finds addresses of this machine.</summary>
internal static class EndpointAddress
{
    public static IPAddress Find(string? hostname, AddressFamily family)
    {
        if (IPAddress.TryParse(hostname, out IPAddress? given)) return given;
        IPAddress[] candidates = Dns.GetHostAddresses(string.IsNullOrEmpty(hostname) ? Dns.GetHostName() : hostname, family);
        return candidates.FirstOrDefault(address => !IPAddress.IsLoopback(address))
            ?? candidates.FirstOrDefault()
            ?? (family == AddressFamily.InterNetwork ? IPAddress.Loopback : IPAddress.IPv6Loopback);
    }
}
