namespace OrleansRedis.Cluster;

/// <summary>What <see cref="OwnedSlot"/> asks of the silo that owns it.</summary>
public interface ISlotOutput
{
    /// <summary>Who owns the slot: this silo.</summary>
    SiloId Id { get; }

    /// <summary>The view by which requests are accepted.</summary>
    ClusterView View { get; }

    /// <summary>
    /// Whether the silo may answer for this slot right now; asked with the time of now, not of when a message was taken
    /// up.
    /// </summary>
    bool MayAnswer(OwnedSlot slot);

    /// <summary>Sends a message to a node, this one included.</summary>
    void Send(long node, ClusterMessage message);

    /// <summary>Sends a message to whoever owns a slot by this silo's map.</summary>
    void SendToOwner(SlotMessage message);

    /// <summary>
    /// Runs a command on the slot's keys. Returns its reply and its effects, which are done already; null if it has
    /// changed nothing.
    /// </summary>
    (object? Reply, object? Effects) Run(OwnedSlot slot, RequestId id, object command);

    /// <summary>What a unit borrows of the slot's keys.</summary>
    object? Borrow(OwnedSlot slot);

    /// <summary>Does the effects of a unit's part to the slot's keys, and returns them as they are to be logged.</summary>
    object? Do(OwnedSlot slot, object part);

    /// <summary>
    /// Logs a record, durably, after all earlier ones; then <see cref="OwnedSlot.OnDurable"/> says so.
    /// </summary>
    void Append(OwnedSlot slot, LedgerRecord record);

    /// <summary>What was under way before a move is finished (<see cref="OwnedSlot.Drain"/>).</summary>
    void OnDrained(OwnedSlot slot);
}
