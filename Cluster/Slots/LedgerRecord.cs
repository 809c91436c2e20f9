namespace OrleansRedis.Cluster;

/// <summary>The identity of a request: the silo that took it from a client, and a number that this silo counts.</summary>
public readonly record struct RequestId(SiloId Origin, long Number)
{
    public override string ToString() => $"{Origin}/{Number}";
}

/// <summary>
/// One step in the history of a slot, as its log contains it: the effects on its keys, which this project passes on
/// without looking into them, and what they mean for requests and units. A record is kept as a whole or not at all.
/// </summary>
/// <param name="Effects">What it does to the keys; null if nothing.</param>
public abstract record LedgerRecord(object? Effects);

/// <summary>A request has been run.</summary>
/// <param name="Id">The request.</param>
/// <param name="Floor">Its origin has all answers to what has a lower number.</param>
/// <param name="Reply">What was answered.</param>
/// <param name="Effects">What it did.</param>
public sealed record AppliedRecord(RequestId Id, long Floor, object? Reply, object? Effects) : LedgerRecord(Effects);

/// <summary>
/// This slot's part of a unit is ready. It is not done yet: <see cref="LedgerRecord.Effects"/> is null, and the part
/// itself is <paramref name="Part"/>.
/// </summary>
/// <param name="Id">The unit.</param>
/// <param name="Attempt">The number of the attempt.</param>
/// <param name="DecisionSlot">The unit's lowest slot, whose owner decides.</param>
/// <param name="Part">What it is to do to the keys.</param>
public sealed record PreparedRecord(RequestId Id, int Attempt, int DecisionSlot, object Part) : LedgerRecord((object?)null);

/// <summary>What was prepared has come to its end: done with these effects, or dropped.</summary>
public sealed record ResolvedRecord(RequestId Id, int Attempt, bool IsCommitted, object? Effects) : LedgerRecord(Effects);

/// <summary>The decision: a unit is committed. It is in the log of the unit's lowest slot.</summary>
/// <param name="Id">The unit.</param>
/// <param name="Floor">Its origin has all answers to what has a lower number.</param>
/// <param name="Attempt">The number of the attempt.</param>
/// <param name="Others">The other slots, which have it prepared.</param>
/// <param name="Reply">What is answered.</param>
/// <param name="Effects">What it does to this slot.</param>
public sealed record CommittedRecord(RequestId Id, long Floor, int Attempt, IReadOnlyList<int> Others, object? Reply, object? Effects) : LedgerRecord(Effects);

/// <summary>The others have all done their parts of a unit.</summary>
public sealed record SettledRecord(RequestId Id) : LedgerRecord((object?)null);
