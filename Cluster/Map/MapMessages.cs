namespace OrleansRedis.Cluster;

/// <summary>"I have this version of the slot map; you have a newer one."</summary>
public sealed record MapRequest(SiloId From, long Version) : ClusterMessage(From);

/// <summary>The sender's slot map.</summary>
public sealed record MapUpdate(SiloId From, SlotMap Map) : ClusterMessage(From);

/// <summary>
/// "I have stopped serving this slot, and the target of this move has all of it": from the owner to the keeper.
/// </summary>
public sealed record SlotOffer(SiloId From, int Slot, long Epoch, long Move) : ClusterMessage(From);

/// <summary>An operator's wish, for the keeper: SILO MOVE first last silo, or SILO REBALANCE (nobody as the silo).</summary>
public sealed record MoveRequest(SiloId From, int First, int Last, SiloId To) : ClusterMessage(From);
