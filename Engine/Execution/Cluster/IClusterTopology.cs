namespace OrleansRedis.Engine;

/// <summary>
/// What Redis Cluster's protocol tells of the cluster: everything that CLUSTER, redirections and the rules for commands
/// ask. Whoever knows the cluster implements it: a node that is alone keeps it in cluster-config-file
/// (<see cref="NodesFile"/>).
/// </summary>
public interface IClusterTopology
{
    /// <summary>
    /// The map in force. Reading it never waits; it is to be read once for each decision. Whoever takes a slot away from
    /// this node puts the new map in force while nobody runs a command (holding <see cref="Store.SiloGate"/>
    /// exclusively), so that no command that was let in under the old one comes to the slot under the new one.
    /// </summary>
    ClusterMap Map { get; }

    /// <summary>
    /// Another map is in force, with the one before. Raised once for each, in order, with no gate held.
    /// </summary>
    event Action<ClusterMap> Changed;

    /// <summary>How many nodes have reported that this one fails (CLUSTER COUNT-FAILURE-REPORTS).</summary>
    int CountFailureReports(ClusterNode node);

    /// <summary>The connections to other nodes (CLUSTER LINKS).</summary>
    IReadOnlyList<ClusterLink> Links { get; }

    /// <summary>How many messages have gone to other nodes and come from them, by kind (CLUSTER INFO).</summary>
    IReadOnlyList<ClusterMessages> Messages { get; }
}

/// <summary>
/// What an operator may change about the cluster. A change is done when its task completes: it is durable, its map is in
/// force, and what it returns is null. Otherwise it returns the error to reply, and nothing has changed. Checks of what
/// the request says are the command's; what can change in between (who owns a slot, whether it has keys) is checked here.
/// </summary>
public interface IClusterControl
{
    /// <summary>CLUSTER ADDSLOTS: slots that nobody owns become this node's.</summary>
    Task<string?> AddSlotsAsync(IReadOnlyList<int> slots);

    /// <summary>CLUSTER DELSLOTS: nobody owns these slots any more, as far as this node is concerned.</summary>
    Task<string?> RemoveSlotsAsync(IReadOnlyList<int> slots);

    /// <summary>CLUSTER FLUSHSLOTS: this node, which must have no keys, owns no slots.</summary>
    Task<string?> FlushSlotsAsync();

    /// <summary>CLUSTER SETSLOT MIGRATING: a slot of this node is on its way to another one.</summary>
    Task<string?> BeginMigratingAsync(int slot, string nodeId);

    /// <summary>CLUSTER SETSLOT IMPORTING: a slot is on its way from another node to this one.</summary>
    Task<string?> BeginImportingAsync(int slot, string nodeId);

    /// <summary>CLUSTER SETSLOT STABLE: a slot is not on its way any more, and stays where it is.</summary>
    Task<string?> StabilizeAsync(int slot);

    /// <summary>CLUSTER SETSLOT NODE: a slot is that node's from now on.</summary>
    Task<string?> GiveSlotAsync(int slot, string nodeId);

    /// <summary>CLUSTER FORGET: a node is not one of the cluster any more.</summary>
    Task<string?> ForgetAsync(string nodeId);

    /// <summary>CLUSTER SET-CONFIG-EPOCH: the first epoch of this node, while it is alone.</summary>
    Task<string?> SetEpochAsync(long epoch);

    /// <summary>
    /// CLUSTER BUMPEPOCH: this node gets an epoch above all others, unless it has the highest already. Whether it has got
    /// one is shown by the map.
    /// </summary>
    Task<string?> RaiseEpochAsync();

    /// <summary>
    /// CLUSTER RESET: this node, which must have no keys, leaves the cluster, and is alone again. With
    /// <paramref name="hard"/> it is also another one, by a new id and at epoch 0.
    /// </summary>
    Task<string?> ResetAsync(bool hard);

    /// <summary>CLUSTER SAVECONFIG: writes down what is known, once more.</summary>
    Task<string?> SaveAsync();
}

/// <summary>A connection to another node.</summary>
/// <param name="IsOutgoing">Whether this node has made it.</param>
/// <param name="NodeId">The other node.</param>
/// <param name="CreatedAtMs">Unix time in ms of its beginning.</param>
/// <param name="Events">What is waited for: "r", "w" or both.</param>
/// <param name="SendBufferAllocated">How much memory there is for what is to be sent.</param>
/// <param name="SendBufferUsed">How much of it is used.</param>
public readonly record struct ClusterLink(bool IsOutgoing, string NodeId, long CreatedAtMs, string Events, long SendBufferAllocated, long SendBufferUsed);

/// <summary>How many messages of one kind there were.</summary>
/// <param name="Kind">The kind, as CLUSTER INFO names it: "ping", "pong"…</param>
/// <param name="Sent">How many this node has sent.</param>
/// <param name="Received">How many it has received.</param>
public readonly record struct ClusterMessages(string Kind, long Sent, long Received);
