namespace OrleansRedis.Cluster;

/// <summary>What <see cref="Membership"/> asks of the world. None of it calls back before the call that led to it is over.</summary>
public interface IMembershipOutput
{
    /// <summary>Sends a heartbeat to a node.</summary>
    void Send(long node, in Heartbeat heartbeat);

    /// <summary>Sends a message to a node.</summary>
    void Send(long node, ClusterMessage message);

    /// <summary>Reads the view from the store, and gives it to <see cref="Membership.OnRead"/>.</summary>
    void ReadView();

    /// <summary>
    /// Writes the next version of the view to the store, and says how that ended
    /// (<see cref="Membership.OnProposed"/>).
    /// </summary>
    void Propose(ClusterView view);

    /// <summary>A node has a newer slot map.</summary>
    void OnNewerMap(long node, long version);

    /// <summary>A newer view holds.</summary>
    void OnView(ClusterView view);

    /// <summary>
    /// The cluster goes on without this silo: it must not serve anything any more, nor come back but as another one.
    /// </summary>
    void OnExcluded();
}
