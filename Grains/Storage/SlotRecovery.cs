using System.Diagnostics;
using OrleansRedis.Engine;

namespace OrleansRedis.Grains.Storage;

/// <summary>
/// Claims slots and brings them to where their stored state says they were. Grains ask for one slot each; who asks at about the same time is served together, so that activating
/// all slots of a silo takes some tens of statements, not tens of thousands.
/// </summary>
internal sealed class SlotRecovery(Store store, ISlotStorage storage, CommandTable commands)
{
    /// <summary>So many slots are claimed and read together.</summary>
    private const int GroupLength = 1024;

    /// <summary>So long it is waited for others who ask.</summary>
    private static readonly TimeSpan s_gather = TimeSpan.FromMilliseconds(2);

    /// <summary>So long a store that cannot be reached is tried again before those who ask are told.</summary>
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(10), s_retry = TimeSpan.FromMilliseconds(250);

    private static readonly int s_mostWorkers = Math.Clamp(Environment.ProcessorCount, 2, 8);

    private readonly Lock _lock = new();
    private readonly SortedList<int, List<TaskCompletionSource<Slot>>> _asked = [];
    private int _workers;

    /// <summary>Hears of every slot recovered, with the bytes that its snapshot and its log have.</summary>
    public Action<SlotClaim, long, long>? Recovered { get; set; }

    /// <summary>How many slots, and bytes of snapshots and logs, have been recovered since the start.</summary>
    public (int Slots, long SnapshotBytes, long LogBytes, long Effects) Counts
    {
        get
        {
            lock (_lock) return field;
        }
        private set;
    }

    /// <summary>A new claim's slot, with everything that is stored of it; not published yet.</summary>
    public Task<Slot> OpenAsync(int slot)
    {
        var opened = new TaskCompletionSource<Slot>(TaskCreationOptions.RunContinuationsAsynchronously);
        bool start;
        lock (_lock)
        {
            if (!_asked.TryGetValue(slot, out List<TaskCompletionSource<Slot>>? others)) _asked.Add(slot, others = []);
            others.Add(opened);
            start = _workers < s_mostWorkers && (_workers == 0 || _asked.Count > GroupLength);
            if (start) _workers++;
        }
        if (start) _ = Task.Run(WorkAsync);
        return opened.Task;
    }

    private async Task WorkAsync()
    {
        while (true)
        {
            bool few;
            lock (_lock) few = _asked.Count < GroupLength;
            if (few) await Task.Delay(s_gather).ConfigureAwait(false);
            var group = new List<Recovering>();
            lock (_lock)
            {
                if (_asked.Count == 0)
                {
                    _workers--;
                    return;
                }
                // From the end, since that is where it costs nothing to remove them. One slot that is asked for twice is opened twice, one after the other.
                for (int at = _asked.Count - 1; at >= 0 && group.Count < GroupLength; at--)
                {
                    List<TaskCompletionSource<Slot>> waiting = _asked.GetValueAtIndex(at);
                    group.Add(new(_asked.GetKeyAtIndex(at), waiting[0]));
                    waiting.RemoveAt(0);
                    if (waiting.Count == 0) _asked.RemoveAt(at);
                }
            }
            group.Reverse();
            await RecoverAsync(group).ConfigureAwait(false);
        }
    }

    private async Task RecoverAsync(List<Recovering> group)
    {
        long started = Stopwatch.GetTimestamp();
        using var replay = new SlotReplay(store, commands);
        while (group.Count != 0)
        {
            try
            {
                await ReadAsync(group, replay).ConfigureAwait(false);
                foreach (Recovering slot in group) Finish(slot);
                return;
            }
            catch (Exception failure)
            {
                foreach (Recovering slot in group) slot.Abandon(store);
                // Someone else may have claimed a slot meanwhile; it is claimed again then, as its grain has been placed here.
                bool mayPass = failure is SlotStorageException or StaleEpochException;
                if (!mayPass || Stopwatch.GetElapsedTime(started) > s_patience)
                {
                    foreach (Recovering slot in group) slot.Opened.SetException(failure);
                    return;
                }
                await Task.Delay(s_retry).ConfigureAwait(false);
            }
        }
    }

    private async Task ReadAsync(List<Recovering> group, SlotReplay replay)
    {
        IReadOnlyList<SlotClaim> claims = await storage.ClaimAsync([.. group.Select(slot => slot.Number)], CancellationToken.None).ConfigureAwait(false);
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
            if (piece.First > applied + 1) throw new InvalidDataException($"effects {applied + 1} to {piece.First - 1} of epoch {piece.UpTo.Epoch} are missing");
            long effects = replay.Run(slot, piece.Bytes.Span, leaveOut: applied + 1 - piece.First);
            if (effects != piece.UpTo.Sequence - piece.First + 1) throw new InvalidDataException($"the record up to {piece.UpTo} holds {effects} effects");
            recovering.Effects += effects;
            recovering.At = piece.UpTo;
        }
        catch (Exception damage) when (damage is not OutOfMemoryException)
        {
            recovering.Failure = new InvalidDataException($"Slot {slot.Number} cannot be recovered from the {storage.Name} storage; after {recovering.At}: {damage.Message}", damage);
            store.Log.Warning(recovering.Failure.Message);
        }
    }

    private void Finish(Recovering recovering)
    {
        if (recovering.Failure is not null)
        {
            recovering.Opened.SetException(recovering.Failure);
            return;
        }
        Slot slot = recovering.Slot!;
        SlotReplay.Finish(slot);
        lock (_lock) Counts = (Counts.Slots + 1, Counts.SnapshotBytes + recovering.SnapshotBytes, Counts.LogBytes + recovering.LogBytes, Counts.Effects + recovering.Effects);
        Recovered?.Invoke(new(slot.Number, slot.Epoch), recovering.SnapshotBytes, recovering.LogBytes);
        recovering.Opened.SetResult(slot);
    }

    private sealed class Recovering(int number, TaskCompletionSource<Slot> opened)
    {
        public int Number => number;

        public TaskCompletionSource<Slot> Opened => opened;

        public Slot? Slot { get; set; }

        public SlotPosition At { get; set; }

        public long SnapshotBytes { get; set; }

        public long LogBytes { get; set; }

        public long Effects { get; set; }

        public Exception? Failure { get; set; }

        /// <summary>Begins anew, or gives up.</summary>
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
