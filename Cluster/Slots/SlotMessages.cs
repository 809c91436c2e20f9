namespace OrleansRedis.Cluster;

/// <summary>What is said about one slot to its owner. Whoever does not own it answers <see cref="SlotElsewhere"/>.</summary>
public abstract record SlotMessage(SiloId From, int Slot) : ClusterMessage(From);

/// <summary>A request for a slot.</summary>
/// <param name="From">The origin.</param>
/// <param name="Slot">The slot.</param>
/// <param name="Number">The number of the request.</param>
/// <param name="Floor">The origin has the answers to everything below this number.</param>
/// <param name="Command">What is to be run.</param>
public sealed record SlotRequest(SiloId From, int Slot, long Number, long Floor, object Command) : SlotMessage(From, Slot);

/// <summary>"Reserve the slot for this attempt of a unit of mine."</summary>
public sealed record ReserveRequest(SiloId From, int Slot, long Number, int Attempt) : SlotMessage(From, Slot);

/// <summary>"Keep this part as prepared", with the token of the reservation.</summary>
public sealed record PrepareRequest(SiloId From, int Slot, long Number, int Attempt, SlotToken Token, int DecisionSlot, object Part)
    : SlotMessage(From, Slot);

/// <summary>"Decide for this unit", to the owner of its lowest slot, once all others have prepared theirs.</summary>
public sealed record CommitRequest(
    SiloId From, int Slot, long Number, long Floor, int Attempt, SlotToken Token, IReadOnlyList<int> Others, object? Reply, object? Part)
    : SlotMessage(From, Slot);

/// <summary>
/// "This attempt is aborted", from the coordinator, who has not asked to commit it or was refused. What is prepared of
/// it is dropped.
/// </summary>
public sealed record AbortRequest(SiloId From, int Slot, long Number, int Attempt) : SlotMessage(From, Slot);

/// <summary>
/// "I have no use for this reservation": an old copy of a request has led to it. Whatever became of its attempt, this
/// says nothing about what is prepared.
/// </summary>
public sealed record ReleaseRequest(SiloId From, int Slot, SlotToken Token) : SlotMessage(From, Slot);

/// <summary>"What has become of this unit?", from the owner of a slot that has it prepared.</summary>
/// <param name="From">Who asks.</param>
/// <param name="Slot">The unit's lowest slot.</param>
/// <param name="Unit">The unit.</param>
/// <param name="Attempt">The attempt that is prepared.</param>
/// <param name="PreparedSlot">Where it is prepared.</param>
public sealed record DecisionRequest(SiloId From, int Slot, RequestId Unit, int Attempt, int PreparedSlot) : SlotMessage(From, Slot);

/// <summary>"This unit is committed", or not, to the owner of a slot that has it prepared.</summary>
public sealed record DecisionNotice(SiloId From, int Slot, RequestId Unit, int Attempt, bool IsCommitted, int DecisionSlot) : SlotMessage(From, Slot);

/// <summary>"My part of this unit is done", to the owner of its lowest slot.</summary>
public sealed record SettledNotice(SiloId From, int Slot, RequestId Unit, int SettledSlot) : SlotMessage(From, Slot);

/// <summary>An answer to something that a silo has asked for a request or unit of its own.</summary>
/// <param name="From">Who answers.</param>
/// <param name="To">Who has asked: another life of its node has nothing to do with it.</param>
/// <param name="Number">The request or unit.</param>
public abstract record AnswerMessage(SiloId From, SiloId To, long Number) : ClusterMessage(From);

/// <summary>The reply to a request, or to a unit that is committed.</summary>
public sealed record RequestReply(SiloId From, SiloId To, long Number, object? Reply) : AnswerMessage(From, To, Number);

/// <summary>"I do not serve this slot at present; this is the version of my map."</summary>
public sealed record SlotElsewhere(SiloId From, SiloId To, long Number, long MapVersion) : AnswerMessage(From, To, Number);

/// <summary>The right to a slot for one attempt of a unit, for a limited time.</summary>
/// <param name="From">The owner.</param>
/// <param name="To">The coordinator.</param>
/// <param name="Number">The unit.</param>
/// <param name="Slot">The slot.</param>
/// <param name="Attempt">The attempt.</param>
/// <param name="Token">What to show it with.</param>
/// <param name="Borrowed">What the slot holds that the unit needs.</param>
public sealed record ReserveReply(SiloId From, SiloId To, long Number, int Slot, int Attempt, SlotToken Token, object? Borrowed)
    : AnswerMessage(From, To, Number);

/// <summary>The part of this slot is prepared, durably.</summary>
public sealed record PrepareReply(SiloId From, SiloId To, long Number, int Slot, int Attempt) : AnswerMessage(From, To, Number);

/// <summary>The reservation does not stand any more; nothing with its token will be accepted.</summary>
public sealed record RefusedReply(SiloId From, SiloId To, long Number, int Slot, int Attempt) : AnswerMessage(From, To, Number);

/// <summary>One reservation of a slot: nobody gets the same again.</summary>
public readonly record struct SlotToken(long Epoch, long Number);
