namespace OrleansRedis.Gateway;

/// <summary>The classes of clients that CLIENT LIST, CLIENT KILL and client-output-buffer-limit tell apart.</summary>
public enum ClientClass
{
    Normal,

    /// <summary>The link to the master that this server replicates from.</summary>
    Master,

    /// <summary>A server that replicates from this one.</summary>
    Replica,

    /// <summary>A client with subscriptions.</summary>
    PubSub,
}
