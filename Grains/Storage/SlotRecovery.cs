using System.Diagnostics;
using OrleansRedis.Engine;

namespace OrleansRedis.Grains.Storage;

/// <summary>
/// Claims slots and brings them to their stored state. It works in groups, so that opening all slots of a silo takes
/// dozens of statements rather than tens of thousands.
/// </summary>
internal sealed class SlotRecovery(Store store, ISlotStorage storage, CommandTable commands)
{
    /// <summary>Number of slots claimed and read together.</summary>
    private const int GroupLength = 1024;

    /// <summary>
    /// How long to retry while the store cannot be reached, before the callers are told; and the pause between
    /// attempts.
    /// </summary>
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(10), s_retry = TimeSpan.FromMilliseconds(250);

    private static readonly int s_mostWorkers = Math.Clamp(Environment.ProcessorCount, 2, 8);

    private readonly Lock _lock = new();

    /// <summary>Called with every slot recovered, and the sizes of its snapshot and its log in bytes.</summary>
    public Action<SlotClaim, long, long>? Recovered { get; set; }

    /// <summary>Slots, bytes of snapshots and logs, and effects recovered since the start.</summary>
    public (int Slots, long SnapshotBytes, long LogBytes, long Effects) Counts
    {
        get
        {
            lock (_lock) return field;
        }
        private set;
    }

    /// <summary>
    /// Claims slots and reads everything that is stored for them, in groups; see <see cref="StoredSlots.OpenAsync"/>.
    /// </summary>
    public Task OpenAsync(IReadOnlyList<int> numbers, Action<Slot> opened, Action<int, Exception> failed, CancellationToken cancellation)
    {
        var workers = new ParallelOptions { MaxDegreeOfParallelism = s_mostWorkers, CancellationToken = cancellation };
        return Parallel.ForEachAsync(numbers.Order().Chunk(GroupLength), workers, async (group, _) =>
        {
            await RecoverAsync([.. group.Select(number => new Recovering(number))], opened, failed).ConfigureAwait(false);
        });
    }

    private async Task RecoverAsync(List<Recovering> group, Action<Slot> opened, Action<int, Exception> failed)
    {
        long started = Stopwatch.GetTimestamp();
        using var replay = new SlotReplay(store, commands);
        while (true)
        {
            try
            {
                await ReadAsync(group, replay).ConfigureAwait(false);
                break;
            }
            catch (Exception failure)
            {
                foreach (Recovering slot in group) slot.Abandon(store);
                // Another silo may have claimed a slot meanwhile. It is then claimed again, since by the slot map it is
                // this silo's.
                bool mayPass = failure is SlotStorageException or StaleEpochException;
                if (!mayPass || Stopwatch.GetElapsedTime(started) > s_patience)
                {
                    foreach (Recovering slot in group) failed(slot.Number, failure);
                    return;
                }
                await Task.Delay(s_retry).ConfigureAwait(false);
            }
        }
        foreach (Recovering slot in group)
        {
            if (slot.Failure is null) opened(Finish(slot));
            else failed(slot.Number, slot.Failure);
        }
    }

    private async Task ReadAsync(List<Recovering> group, SlotReplay replay)
    {
        IReadOnlyList<SlotClaim> claims =
            await storage.ClaimAsync([.. group.Select(slot => slot.Number)], CancellationToken.None).ConfigureAwait(false);
        var byNumber = new Dictionary<int, Recovering>(group.Count);
        for (int i = 0; i < claims.Count; i++)
        {
            group[i].Slot = store.Slots.Create(claims[i].Slot, claims[i].Epoch);
            byNumber[claims[i].Slot] = group[i];
        }
        await foreach (StoredPiece piece in storage.ReadAsync(claims, CancellationToken.None).ConfigureAwait(false))
        {
            Recovering slot = byNumber[piece.Slot];
            if (slot.Failure is null) Apply(slot, piece, replay);
        }
        foreach (Recovering slot in group)
        {
            if (slot.Failure is not null) slot.Abandon(store, keepFailure: true);
        }
    }

    private void Apply(Recovering recovering, StoredPiece piece, SlotReplay replay)
    {
        Slot slot = recovering.Slot!;
        try
        {
            if (piece.Kind == StoredKind.Snapshot)
            {
                recovering.SnapshotBytes += piece.Bytes.Length;
                replay.Load(slot, piece.Bytes.Span);
                recovering.At = piece.UpTo;
                return;
            }
            recovering.LogBytes += piece.Bytes.Length;
            if (piece.UpTo <= recovering.At) return;
            long applied = recovering.At.Epoch == piece.UpTo.Epoch ? recovering.At.Sequence : 0;
            if (piece.First > applied + 1)
                throw new InvalidDataException($"effects {applied + 1} to {piece.First - 1} of epoch {piece.UpTo.Epoch} are missing");
            long effects = replay.Run(slot, piece.Bytes.Span, leaveOut: applied + 1 - piece.First);
            if (effects != piece.UpTo.Sequence - piece.First + 1)
                throw new InvalidDataException($"the record up to {piece.UpTo} holds {effects} effects");
            recovering.Effects += effects;
            recovering.At = piece.UpTo;
        }
        catch (Exception damage) when (damage is not OutOfMemoryException)
        {
            recovering.Failure = new InvalidDataException(
                $"Slot {slot.Number} cannot be recovered from the {storage.Name} storage; after {recovering.At}: {damage.Message}", damage);
            store.Log.Warning(recovering.Failure.Message);
        }
    }

    private Slot Finish(Recovering recovering)
    {
        Slot slot = recovering.Slot!;
        SlotReplay.Finish(slot);
        lock (_lock)
            Counts = (Counts.Slots + 1, Counts.SnapshotBytes + recovering.SnapshotBytes, Counts.LogBytes + recovering.LogBytes,
                Counts.Effects + recovering.Effects);
        Recovered?.Invoke(new(slot.Number, slot.Epoch), recovering.SnapshotBytes, recovering.LogBytes);
        return slot;
    }

    private sealed class Recovering(int number)
    {
        public int Number => number;

        public Slot? Slot { get; set; }

        public SlotPosition At { get; set; }

        public long SnapshotBytes { get; set; }

        public long LogBytes { get; set; }

        public long Effects { get; set; }

        public Exception? Failure { get; set; }

        /// <summary>Drops what has been recovered so far, to start over or to give up.</summary>
        public void Abandon(Store store, bool keepFailure = false)
        {
            if (Slot is not null) SlotReplay.Abandon(store, Slot);
            Slot = null;
            At = default;
            SnapshotBytes = LogBytes = Effects = 0;
            if (!keepFailure) Failure = null;
        }
    }
}
