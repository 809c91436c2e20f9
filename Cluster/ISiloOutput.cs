namespace OrleansRedis.Cluster;

/// <summary>
/// The world of one silo: network, store, data. Nothing here calls back into <see cref="ClusterSilo"/> before the call
/// that led to it is over; what is sent to the silo's own node comes back like any message.
/// </summary>
public interface ISiloOutput
{
    /// <summary>The time of now: not that of the event that is being handled, which may be old by now.</summary>
    long Now { get; }

    /// <inheritdoc cref="IMembershipOutput.Send(long, in Heartbeat)"/>
    void Send(long node, in Heartbeat heartbeat);

    /// <summary>Sends a message to a node.</summary>
    void Send(long node, ClusterMessage message);

    /// <summary>Reads the view from the store, for <see cref="ClusterSilo.OnViewRead"/>.</summary>
    void ReadView();

    /// <summary>Writes a view to the store, and reports to <see cref="ClusterSilo.OnViewWritten"/>.</summary>
    void WriteView(ClusterView view);

    /// <summary>Reads the slot map from the store, for <see cref="ClusterSilo.OnMapRead"/>.</summary>
    void ReadMap();

    /// <summary>Writes a slot map to the store, and reports to <see cref="ClusterSilo.OnMapWritten"/>.</summary>
    void WriteMap(SlotMap map);

    /// <summary>Claims and recovers a slot, and reports to <see cref="ClusterSilo.OnOpened"/>.</summary>
    void OpenSlot(int slot, long epoch);

    /// <inheritdoc cref="ISlotHost.Close"/>
    void CloseSlot(int slot);

    /// <summary>
    /// Copies a slot, and reports to <see cref="ClusterSilo.OnCopyNear"/> and <see cref="ClusterSilo.OnCopied"/>.
    /// </summary>
    void StartCopy(int slot, SiloId target, long move);

    /// <inheritdoc cref="ISlotHost.StopCopy"/>
    void StopCopy(int slot);

    /// <inheritdoc cref="ISlotOutput.Run"/>
    (object? Reply, object? Effects) Run(OwnedSlot slot, RequestId id, object command);

    /// <inheritdoc cref="ISlotOutput.Borrow"/>
    object? Borrow(OwnedSlot slot);

    /// <inheritdoc cref="ISlotOutput.Do"/>
    object? Do(OwnedSlot slot, object part);

    /// <inheritdoc cref="ISlotOutput.Append"/>
    void Append(OwnedSlot slot, LedgerRecord record);

    /// <inheritdoc cref="IRequestOutput.OnDone"/>
    void OnDone(long number, object? reply);

    /// <inheritdoc cref="IRequestOutput.RunUnit"/>
    (object? Reply, IReadOnlyList<object> Parts) RunUnit(long number, IReadOnlyList<object?> borrowed);

    /// <summary>The cluster goes on without this silo: its process has to end.</summary>
    void OnExcluded();
}
