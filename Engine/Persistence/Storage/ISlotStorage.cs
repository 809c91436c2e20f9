namespace OrleansRedis.Engine;

/// <summary>How much of the data one store holds.</summary>
public enum StorageScope
{
    /// <summary>
    /// Each slot separately, for every silo that can reach the store. A slot is recovered by the silo that activates
    /// it, and its effects are appended slot by slot (<see cref="ISlotStorage.AppendAsync"/>).
    /// </summary>
    Slot,

    /// <summary>
    /// Everything on one silo, in its own files. They are loaded as a whole before any slot is served, and written by
    /// the silo's own snapshot and append log. Only the claims of <see cref="ISlotStorage"/> have a meaning then.
    /// </summary>
    Silo,
}

/// <summary>
/// Stores slots. What is stored of a slot is a snapshot, which holds everything up to a position in the slot's history,
/// followed by a log of the effects since then. The format of both is defined by this project, not by the store; see
/// <see cref="SlotRecord"/> and <see cref="SlotSnapshot"/>.
/// <para>
/// A slot has one writer: the last silo to claim it. <see cref="ClaimAsync"/> fences all previous owners in the store
/// itself. Whatever they still send is refused with <see cref="StaleEpochException"/>, even if they believe that they
/// still own the slot.
/// </para>
/// <para>
/// Every method is one atomic transaction: all or nothing, and durable once it has returned. If one fails with anything
/// but <see cref="StaleEpochException"/>, it is unknown whether it happened. The caller may repeat the very same call
/// until it succeeds; if an earlier call did happen, repeating it does nothing. (A repeated claim grants another epoch,
/// which is harmless.) Errors that may pass are thrown as <see cref="SlotStorageException"/>. Any number of calls may
/// run at the same time, but the owner of a slot makes the appends for it one after the other.
/// </para>
/// </summary>
public interface ISlotStorage : IAsyncDisposable
{
    /// <summary>The name of the store, for logs and INFO, for example "postgres".</summary>
    string Name { get; }

    /// <summary>How much of the data one store holds.</summary>
    StorageScope Scope { get; }

    /// <summary>
    /// Connects, and creates whatever the store needs if it does not exist. To be called once, before anything else;
    /// may be repeated if it fails.
    /// </summary>
    Task OpenAsync(CancellationToken cancellation);

    /// <summary>
    /// Makes the caller the owner of slots: grants a higher epoch than any before for each of them, which fences all
    /// earlier owners. Once it returns, nothing a previous owner sends will be stored, so what <see cref="ReadAsync"/>
    /// then returns is final.
    /// </summary>
    /// <param name="slots">The numbers of the slots, each once.</param>
    /// <param name="cancellation">Stops waiting; then it is unknown whether the claim happened.</param>
    /// <returns>A claim for each, in the same order.</returns>
    Task<IReadOnlyList<SlotClaim>> ClaimAsync(IReadOnlyList<int> slots, CancellationToken cancellation);

    /// <summary>
    /// Reads what is stored of claimed slots: first their snapshots, in ascending order of slots, then the logs that
    /// follow them, in the same order. All of it is as of one instant. A slot of which nothing is stored yields
    /// nothing. Throws <see cref="StaleEpochException"/> if another silo has claimed one of them since.
    /// </summary>
    IAsyncEnumerable<StoredPiece> ReadAsync(IReadOnlyList<SlotClaim> claims, CancellationToken cancellation);

    /// <summary>
    /// Appends to the logs of any number of slots, all or nothing. If any epoch is not the latest of its slot, nothing
    /// is stored, and the call throws <see cref="StaleEpochException"/>, which names all slots concerned.
    /// </summary>
    Task AppendAsync(IReadOnlyList<SlotRecord> records, CancellationToken cancellation);

    /// <summary>
    /// Replaces snapshots by new ones, all or nothing. A snapshot that reaches no further than the stored one changes
    /// nothing. The log stays as it is: the part covered by the snapshot is no longer read, and <see cref="TrimAsync"/>
    /// drops it. Throws <see cref="StaleEpochException"/> as appending does.
    /// </summary>
    Task ReplaceAsync(IReadOnlyList<SlotSnapshot> snapshots, CancellationToken cancellation);

    /// <summary>
    /// Drops the records of the logs that lie entirely at or before these positions. A position must not be beyond the
    /// end of the slot's snapshot. Throws <see cref="StaleEpochException"/> as appending does.
    /// </summary>
    Task TrimAsync(IReadOnlyList<SlotTrim> trims, CancellationToken cancellation);
}

/// <summary>The right to write a slot, until another silo is granted a higher epoch.</summary>
/// <param name="Slot">The slot.</param>
/// <param name="Epoch">The epoch granted; 1 or more.</param>
public readonly record struct SlotClaim(int Slot, long Epoch);

/// <summary>
/// A place in a slot's history: right after the effect with this number in this epoch. Sequence 0 is the beginning of
/// an epoch.
/// </summary>
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
/// <param name="First">The number of the first effect within the epoch.</param>
/// <param name="Last">The number of the last effect.</param>
/// <param name="Bytes">
/// The effects in the form of Redis's append log: RESP arrays of bulk strings, one for each effect. A SELECT, which has
/// no number, precedes an effect on another database than the one before. Every record begins in database 0. A command
/// on a whole database means this slot's part of it.
/// </param>
public readonly record struct SlotRecord(int Slot, long Epoch, long First, long Last, ReadOnlyMemory<byte> Bytes);

/// <summary>Everything a slot holds at one position of its history.</summary>
/// <param name="Claim">The right to write it.</param>
/// <param name="UpTo">The position: the effects up to it are in the snapshot, those after it are not.</param>
/// <param name="Pieces">
/// The keys of all databases as encoded chunks of the RDB format (<see cref="RdbEntryWriter"/>): SELECTDB, then whole
/// keys. Each piece holds one or more chunks. A store returns the same pieces. A piece is read only after the previous
/// one has been stored, so they need not all be in memory.
/// </param>
public sealed record SlotSnapshot(SlotClaim Claim, SlotPosition UpTo, IAsyncEnumerable<ReadOnlyMemory<byte>> Pieces);

/// <summary>A part of a log that is to be dropped.</summary>
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
/// <param name="UpTo">
/// For a snapshot, the position up to which it reaches; for a log record, the position after its last effect.
/// </param>
/// <param name="First">
/// For a log record, the number of its first effect within its epoch. The snapshot may already hold some of its
/// effects.
/// </param>
/// <param name="Bytes">The content; see <see cref="SlotSnapshot"/> and <see cref="SlotRecord"/>.</param>
public readonly record struct StoredPiece(int Slot, StoredKind Kind, SlotPosition UpTo, long First, ReadOnlyMemory<byte> Bytes);

/// <summary>Other silos have claimed slots since: the caller must not serve them any more.</summary>
public sealed class StaleEpochException(IReadOnlyList<int> slots)
    : Exception($"Slots {string.Join(", ", slots.Take(10))}{(slots.Count > 10 ? $" and {slots.Count - 10} more" : "")} have been claimed by someone else.")
{
    /// <summary>The slots that were lost.</summary>
    public IReadOnlyList<int> Slots { get; } = slots;
}

/// <summary>
/// The store cannot be reached, or has failed in a way that may pass. The requested change may or may not have
/// happened.
/// </summary>
public sealed class SlotStorageException(string message, Exception? inner = null) : Exception(message, inner);
