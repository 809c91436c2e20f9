namespace OrleansRedis.Engine;

/// <summary>How much of the data one store holds.</summary>
public enum StorageScope
{
    /// <summary>
    /// Every slot by itself, for every silo that reaches the store: a slot is recovered by whoever activates it, and its effects are appended
    /// slot by slot (<see cref="ISlotStorage.AppendAsync"/>).
    /// </summary>
    Slot,

    /// <summary>
    /// Everything on one silo, in files of its own: they are loaded as a whole before any slot is served, and written by the silo's own
    /// snapshot and append log. Of <see cref="ISlotStorage"/> only the claims mean anything then.
    /// </summary>
    Silo,
}

/// <summary>
/// Where slots are stored (DESIGN, decision 9). What is stored of a slot is a snapshot, which holds everything up to a position in the slot's
/// history, and behind it a log of the effects since. The format of both is this project's, not the store's; see <see cref="SlotRecord"/>
/// and <see cref="SlotSnapshot"/>.
/// <para>
/// A slot has one writer: whoever claimed it last. <see cref="ClaimAsync"/> fences all former ones, in the store: what they still send is
/// refused with <see cref="StaleEpochException"/>, whatever they believe themselves to be.
/// </para>
/// <para>
/// Every method is one atomic transaction: all or nothing, durable once it has returned. If one fails with anything but
/// <see cref="StaleEpochException"/>, whether it happened is not known; the caller may repeat the very same call until it
/// succeeds, and a call that did happen does nothing when repeated. (A repeated claim grants another epoch, which does no harm.)
/// Errors that may pass are thrown as <see cref="SlotStorageException"/>. Any number of calls may run at the same time; the appends for one slot are made one after
/// the other by its owner.
/// </para>
/// </summary>
public interface ISlotStorage : IAsyncDisposable
{
    /// <summary>What the store is, for logs and INFO: "postgres", say.</summary>
    string Name { get; }

    /// <summary>How much of the data one store holds.</summary>
    StorageScope Scope { get; }

    /// <summary>Connects, and makes what the store needs if it is not there. To be called once, before anything else; may be repeated if it fails.</summary>
    Task OpenAsync(CancellationToken cancellation);

    /// <summary>
    /// Makes the caller the owner of slots: grants each of them an epoch higher than any before, and fences those. When it returns, nothing
    /// that a former owner sends will be stored any more, so what <see cref="ReadAsync"/> then returns is final.
    /// </summary>
    /// <param name="slots">Numbers of slots, each once.</param>
    /// <param name="cancellation">Stops waiting; whether the claim happened is not known then.</param>
    /// <returns>A claim for each, in the same order.</returns>
    Task<IReadOnlyList<SlotClaim>> ClaimAsync(IReadOnlyList<int> slots, CancellationToken cancellation);

    /// <summary>
    /// Reads what is stored of claimed slots: first their snapshots, slot after slot in ascending order, then, in the same order of slots, the logs behind
    /// them. All of it is as of one instant. Of a slot that nothing is stored of, nothing comes. Throws <see cref="StaleEpochException"/> if someone else has claimed one of them since.
    /// </summary>
    IAsyncEnumerable<StoredPiece> ReadAsync(IReadOnlyList<SlotClaim> claims, CancellationToken cancellation);

    /// <summary>
    /// Appends to the logs of any number of slots, all of it or nothing. Throws <see cref="StaleEpochException"/>, which names every slot
    /// concerned, if any epoch is not its slot's latest; then nothing is stored.
    /// </summary>
    Task AppendAsync(IReadOnlyList<SlotRecord> records, CancellationToken cancellation);

    /// <summary>
    /// Puts new snapshots in the place of former ones, all of them or none. A snapshot that does not reach further than the stored one changes nothing. The log stays
    /// as it is: what the snapshot holds of it is not read any more, and <see cref="TrimAsync"/> drops it. Throws <see cref="StaleEpochException"/> as appending does.
    /// </summary>
    Task ReplaceAsync(IReadOnlyList<SlotSnapshot> snapshots, CancellationToken cancellation);

    /// <summary>
    /// Drops the part of the logs that lies at or before these positions, of records that lie there as a whole. A position
    /// may not be beyond what the slot's snapshot reaches to. Throws <see cref="StaleEpochException"/> as appending does.
    /// </summary>
    Task TrimAsync(IReadOnlyList<SlotTrim> trims, CancellationToken cancellation);
}

/// <summary>The right to write a slot, until someone else is granted a higher epoch.</summary>
/// <param name="Slot">The slot.</param>
/// <param name="Epoch">The epoch granted; 1 or more.</param>
public readonly record struct SlotClaim(int Slot, long Epoch);

/// <summary>A place in a slot's history: after the effect with this number in this epoch. Sequence 0 is the beginning of an epoch.</summary>
public readonly record struct SlotPosition(long Epoch, long Sequence) : IComparable<SlotPosition>
{
    public int CompareTo(SlotPosition other) => Epoch != other.Epoch ? Epoch.CompareTo(other.Epoch) : Sequence.CompareTo(other.Sequence);

    public static bool operator <(SlotPosition left, SlotPosition right) => left.CompareTo(right) < 0;

    public static bool operator >(SlotPosition left, SlotPosition right) => left.CompareTo(right) > 0;

    public static bool operator <=(SlotPosition left, SlotPosition right) => left.CompareTo(right) <= 0;

    public static bool operator >=(SlotPosition left, SlotPosition right) => left.CompareTo(right) >= 0;

    public override string ToString() => $"{Epoch}/{Sequence}";
}

/// <summary>Consecutive effects of one slot.</summary>
/// <param name="Slot">The slot.</param>
/// <param name="Epoch">The epoch in which they happened.</param>
/// <param name="First">The number of the first one within the epoch.</param>
/// <param name="Last">The number of the last one.</param>
/// <param name="Bytes">
/// The effects as the append log of Redis has them: RESP arrays of bulk strings, one for each effect; before one that is about another database than the one before it,
/// SELECT (which has no number), where every record begins in database 0. A command on a whole database means this slot's share of it.
/// </param>
public readonly record struct SlotRecord(int Slot, long Epoch, long First, long Last, ReadOnlyMemory<byte> Bytes);

/// <summary>Everything a slot holds at one position of its history.</summary>
/// <param name="Claim">The right to write it.</param>
/// <param name="UpTo">The position: the effects up to it are in the snapshot, those after it are not.</param>
/// <param name="Pieces">
/// The keys of all databases as encoded chunks of the RDB format (<see cref="RdbEntryWriter"/>): SELECTDB, then whole keys; one or more in each piece. A store gives
/// back the same pieces. A piece is read after the one before it has been stored, so they need not all be in memory.
/// </param>
public sealed record SlotSnapshot(SlotClaim Claim, SlotPosition UpTo, IAsyncEnumerable<ReadOnlyMemory<byte>> Pieces);

/// <summary>A part of a log to be dropped.</summary>
public readonly record struct SlotTrim(SlotClaim Claim, SlotPosition UpTo);

/// <summary>What a <see cref="StoredPiece"/> is part of.</summary>
public enum StoredKind
{
    /// <summary>A piece of the slot's snapshot.</summary>
    Snapshot,

    /// <summary>A record of its log.</summary>
    Log,
}

/// <summary>A part of what is stored of a slot.</summary>
/// <param name="Slot">The slot.</param>
/// <param name="Kind">What it is a part of.</param>
/// <param name="UpTo">Of a snapshot the position that it reaches to; of a log record the position after its last effect.</param>
/// <param name="First">The number of a log record's first effect within its epoch. Effects that the snapshot holds already may be among them.</param>
/// <param name="Bytes">The content; see <see cref="SlotSnapshot"/> and <see cref="SlotRecord"/>.</param>
public readonly record struct StoredPiece(int Slot, StoredKind Kind, SlotPosition UpTo, long First, ReadOnlyMemory<byte> Bytes);

/// <summary>Someone else has claimed slots since: this caller must not serve them any more.</summary>
public sealed class StaleEpochException(IReadOnlyList<int> slots)
    : Exception($"Slots {string.Join(", ", slots.Take(10))}{(slots.Count > 10 ? $" and {slots.Count - 10} more" : "")} have been claimed by someone else.")
{
    /// <summary>The slots lost.</summary>
    public IReadOnlyList<int> Slots { get; } = slots;
}

/// <summary>The store cannot be reached or has failed in a way that may pass; what was asked of it may or may not have happened.</summary>
public sealed class SlotStorageException(string message, Exception? inner = null) : Exception(message, inner);
