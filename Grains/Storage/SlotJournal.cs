using System.Diagnostics;
using OrleansRedis.Engine;

namespace OrleansRedis.Grains.Storage;

/// <summary>
/// Appends what this silo's slots do to a shared store. A loop in the background reads what has gathered in the
/// <see cref="ReplicationLog"/>, and appends it, one transaction after the other and never a part of a unit, so the store
/// holds what slots did in its order, and all or nothing of what concerns several. Positions are the log's. Effects that
/// belong to no slot (PUBLISH, FUNCTION FLUSH) are passed over, since no slot's history has them: their positions count as
/// committed once everything before them is.
/// <para>
/// <b>When.</b> With appendfsync always as soon as the transaction before has ended: everything that came meanwhile goes into the next one, and replies wait for it. Otherwise
/// <see cref="Linger"/> after the first unit, so that less than a second's work is at risk.
/// </para>
/// <para>
/// <b>If the store fails</b>, the same transaction is tried again until it succeeds; meanwhile commands that write are refused. With appendfsync always, replies to what had been
/// done before wait as long as that takes, while commands that change nothing are answered, from data that may not be stored yet.
/// </para>
/// <para>
/// <b>If the store refuses</b> because slots are someone else's by now, they are withdrawn at once, and what they did and is not stored is dropped; with appendfsync always nobody has
/// had a reply to it, and those who wait for one are disconnected.
/// </para>
/// </summary>
public sealed class SlotJournal : LogReader, IDurability, IAsyncDisposable
{
    /// <summary>If more than this waits, commands that write wait too.</summary>
    private const long MostPending = 256L << 20;

    private static readonly TimeSpan s_noAnswer = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan s_firstRetry = TimeSpan.FromMilliseconds(50), s_longestRetry = TimeSpan.FromSeconds(2);

    private readonly Store _store;
    private readonly ISlotStorage _storage;
    private readonly Lock _lock = new();                 // guards what follows, down to the blank line
    private readonly List<(long From, long To)> _losses = [];
    private bool _hurry;                                 // someone waits for what is there to be committed
    private volatile bool _lingers;                      // the loop waits for more to come; written under the lock
    private TaskCompletionSource? _changed;              // completed when more is committed, or something goes wrong
    private TaskCompletionSource? _room;
    private string? _error;

    private readonly SemaphoreSlim _wake = new(0);
    private readonly HashSet<SlotClaim> _lost = [];      // the loop's own
    private readonly List<long> _left = [];              // the loop's own
    private readonly JournalBatch _batch = new();        // the loop's own
    private long _since;                                 // the loop's own: no unit that is pending came before, in Stopwatch ticks; 0 if none is
    private readonly CancellationTokenSource _abandoned = new();
    private long _exposed;                               // Committed
    private Task _loop = Task.CompletedTask;
    private volatile bool _stopping;

    public SlotJournal(Store store, ISlotStorage storage)
        : base(store.Effects.Log, JournalBatch.LargeBatch, readsEffects: true)
    {
        _store = store;
        _storage = storage;
    }

    /// <summary>How long units gather before they are appended, unless appendfsync is always.</summary>
    public static TimeSpan Linger => TimeSpan.FromMilliseconds(400);

    /// <inheritdoc/>
    public bool RepliesWait => _store.Options.AppendFsync == AppendFsync.Always;

    /// <inheritdoc/>
    public long Appended => Log.Appended;

    /// <summary>Once something was refused, this stays where it is, and everyone asks <see cref="WhenCommitted"/>, which knows what was.</summary>
    public long Committed => Volatile.Read(ref _exposed);

    /// <inheritdoc/>
    public string? WriteError => Volatile.Read(ref _error) is { } error ? $"MISCONF Errors writing to the shared storage: {error}" : null;

    /// <summary>Transactions made, effects and bytes appended by them, and retries, since the start.</summary>
    public JournalCounts Counts { get; private set; }

    /// <inheritdoc/>
    public IEnumerable<(string Name, string Value)> Statistics => Describe?.Invoke() ?? [];

    /// <summary>Says what there is to say for INFO.</summary>
    internal Func<IEnumerable<(string Name, string Value)>>? Describe { get; set; }

    /// <summary>Hears of every record that was stored; called by the loop.</summary>
    internal Action<SlotRecord>? Stored { get; set; }

    /// <summary>Begins to listen and to append. The caller makes sure that no slot has been published yet.</summary>
    public void Start()
    {
        _store.Durability = this;
        _exposed = Follow();
        _loop = Task.Run(RunAsync);
    }

    /// <inheritdoc/>
    public Task WhenCommitted(long since, long position) => Committed >= position ? Task.CompletedTask : WhenCommittedAsync(since, position);

    /// <inheritdoc/>
    public Task WhenRoom()
    {
        lock (_lock) return _room?.Task ?? Task.CompletedTask;
    }

    /// <summary>Completes when everything appended so far is committed, or was dropped because its slot is someone else's.</summary>
    public async Task FlushAsync(CancellationToken cancellation)
    {
        long position = Appended;
        while (true)
        {
            Task changed;
            lock (_lock)
            {
                if (Done >= position) return;
                changed = Changed();
                Hurry();
            }
            await changed.WaitAsync(cancellation).ConfigureAwait(false);
        }
    }

    /// <inheritdoc/>
    public async Task<string?> SettleAsync()
    {
        using var patience = new CancellationTokenSource(s_noAnswer);
        try
        {
            await FlushAsync(patience.Token).ConfigureAwait(false);
            return null;
        }
        catch (OperationCanceledException)
        {
            return $"{PendingBytes} bytes of changes are not in the {_storage.Name} storage yet: {Volatile.Read(ref _error) ?? "it does not answer"}";
        }
    }

    /// <summary>
    /// Appends what is there, and stops. If the store does not take it within the time given, what is not acknowledged yet is lost, and the operator is told.
    /// </summary>
    public async Task StopAsync(CancellationToken cancellation)
    {
        Stop();
        try
        {
            await FlushAsync(cancellation).ConfigureAwait(false);
        }
        catch (OperationCanceledException)
        {
            _store.Log.Warning($"{PendingBytes} bytes of changes are lost, as they could not be stored before the end: {Volatile.Read(ref _error) ?? "the storage does not answer"}");
        }
        _stopping = true;
        await _abandoned.CancelAsync().ConfigureAwait(false);
        _wake.Release();
        await _loop.ConfigureAwait(false);
        Detach();
    }

    /// <inheritdoc/>
    protected override void OnAppended() => _wake.Release();

    /// <inheritdoc/>
    protected override void OnBehind()
    {
        bool isFull = PendingBytes > MostPending;
        if (!isFull && !_lingers) return;
        lock (_lock)
        {
            if (_lingers) Hurry(); // what has gathered is enough for a transaction
            if (_room is not null || !isFull) return;
            _room = new(TaskCreationOptions.RunContinuationsAsynchronously);
            _store.Restrict(Restrictions.LogIsFull);
        }
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        if (!_stopping) await StopAsync(new CancellationToken(canceled: true)).ConfigureAwait(false);
        _wake.Dispose();
        _abandoned.Dispose();
    }

    private async Task WhenCommittedAsync(long since, long position)
    {
        while (true)
        {
            Task changed;
            lock (_lock)
            {
                foreach ((long from, long to) in _losses)
                {
                    if (from <= position && since < to) throw new IOException("The slot is served by someone else by now.");
                }
                if (Done >= position) return;
                // Whoever has changed nothing need not wait for the store to come back.
                if (_error is not null && since == position) return;
                changed = Changed();
                Hurry();
            }
            await changed.ConfigureAwait(false);
        }
    }

    /// <summary>With the lock held.</summary>
    private Task Changed() => (_changed ??= new(TaskCreationOptions.RunContinuationsAsynchronously)).Task;

    /// <summary>With the lock held.</summary>
    private void Hurry()
    {
        _hurry = true;
        if (!_lingers) return;
        _lingers = false;
        _wake.Release();
    }

    private async Task RunAsync()
    {
        while (await NextAsync().ConfigureAwait(false))
        {
            _batch.Take(this, Done);
            try
            {
                await AppendAsync(_batch).ConfigureAwait(false);
            }
            catch (OperationCanceledException) when (_stopping)
            {
                return;
            }
            Commit(_batch);
        }
    }

    /// <summary>Waits until something is due; false when it is time to stop.</summary>
    private async Task<bool> NextAsync()
    {
        while (true)
        {
            TimeSpan wait = Timeout.InfiniteTimeSpan;
            lock (_lock)
            {
                _lingers = false;
                long pending = PendingBytes;
                if (pending != 0)
                {
                    if (_since == 0) _since = Stopwatch.GetTimestamp();
                    wait = Linger - Stopwatch.GetElapsedTime(_since);
                    if (_hurry || RepliesWait || wait <= TimeSpan.Zero || pending > JournalBatch.LargeBatch || _stopping)
                    {
                        _since = Stopwatch.GetTimestamp();
                        _hurry = false;
                        return true;
                    }
                    _lingers = true;
                }
                else
                {
                    if (_stopping) return false;
                    _since = 0;
                    if (!TryArm(Done)) continue;
                }
            }
            await _wake.WaitAsync(wait).ConfigureAwait(false);
        }
    }

    private async Task AppendAsync(JournalBatch batch)
    {
        List<SlotRecord> records = batch.ToRecords(_lost, _left);
        Drop();
        TimeSpan retry = s_firstRetry;
        while (records.Count != 0)
        {
            try
            {
                await WatchedAsync(_storage.AppendAsync(records, _abandoned.Token)).ConfigureAwait(false);
                Recovered();
                Counts = Counts.After(records);
                if (Stored is { } stored)
                {
                    foreach (SlotRecord record in records) stored(record);
                }
                return;
            }
            catch (StaleEpochException stale)
            {
                Recovered();
                var slots = new HashSet<int>(stale.Slots);
                foreach (SlotRecord record in records)
                {
                    if (slots.Contains(record.Slot)) _lost.Add(new(record.Slot, record.Epoch));
                }
                records = batch.ToRecords(_lost, _left);
                Drop();
            }
            catch (Exception failure) when (failure is not OperationCanceledException || !_abandoned.IsCancellationRequested)
            {
                Failed(failure.Message);
                Counts = Counts with { Retries = Counts.Retries + 1 };
                await Task.Delay(retry, _abandoned.Token).ConfigureAwait(false);
                retry = retry * 2 > s_longestRetry ? s_longestRetry : retry * 2;
            }
        }
    }

    /// <summary>A store that does not answer has failed too, for as long as it does not.</summary>
    private async Task WatchedAsync(Task append)
    {
        if (!append.IsCompleted)
        {
            using var answered = new CancellationTokenSource();
            if (await Task.WhenAny(append, Task.Delay(s_noAnswer, answered.Token)).ConfigureAwait(false) != append) Failed("it does not answer");
            await answered.CancelAsync().ConfigureAwait(false);
        }
        await append.ConfigureAwait(false);
    }

    /// <summary>Slots that have been lost together with units that cannot be stored are withdrawn, and who waits for those units learns of it.</summary>
    private void Drop()
    {
        if (_left.Count == 0) return;
        WithdrawLost();
        // Whatever was done before this moment may have been done in a lost slot, or have seen what was; what is done after
        // it was not. So the moment needs a position of its own.
        long last = Log.Appended, now = Math.Max(Log.AppendPing(), last + 1);
        lock (_lock)
        {
            if (_losses.Count == 0) Volatile.Write(ref _exposed, Math.Min(_exposed, _left[0] - 1));
            _losses.Add((_left[0], now));
            _left.Clear();
            Notify();
        }
    }

    private void WithdrawLost()
    {
        var withdrawn = new List<SlotClaim>();
        foreach (SlotClaim lost in _lost)
        {
            if (_store.Slots[lost.Slot] is not { } slot || slot.Epoch != lost.Epoch) continue;
            _store.Slots.Withdraw(slot);
            withdrawn.Add(lost);
        }
        if (withdrawn.Count == 0) return;
        string more = withdrawn.Count == 1 ? "" : $" and {withdrawn.Count - 1} others";
        _store.Log.Warning($"Someone else has claimed slot {withdrawn[0].Slot}{more}, beyond epoch {withdrawn[0].Epoch}: what was done here since is not stored, and they are not served here any more.");
    }

    private void Failed(string reason)
    {
        if (Volatile.Read(ref _error) is null) _store.Log.Warning($"Error writing to the {_storage.Name} storage: {reason.TrimEnd('.')}. Writes are refused until it works again; what is not stored is kept and tried again.");
        lock (_lock)
        {
            Volatile.Write(ref _error, reason);
            Notify();
        }
        _store.Restrict(Restrictions.LogFails);
    }

    private void Recovered()
    {
        if (Volatile.Read(ref _error) is null) return;
        lock (_lock) Volatile.Write(ref _error, null);
        _store.Lift(Restrictions.LogFails);
        _store.Log.Notice($"The {_storage.Name} storage works again; writes are allowed.");
    }

    private void Commit(JournalBatch batch)
    {
        long end = batch.End;
        batch.Clear();
        Release(end);
        lock (_lock)
        {
            Done = end;
            if (_losses.Count == 0) Volatile.Write(ref _exposed, end);
            if (_room is not null && PendingBytes <= MostPending / 2)
            {
                _store.Lift(Restrictions.LogIsFull);
                _room.TrySetResult();
                _room = null;
            }
            Notify();
        }
    }

    /// <summary>With the lock held.</summary>
    private void Notify()
    {
        _changed?.TrySetResult();
        _changed = null;
    }
}

/// <summary>What a <see cref="SlotJournal"/> has done.</summary>
/// <param name="Transactions">How many times it has appended.</param>
/// <param name="Records">How many records those held.</param>
/// <param name="Bytes">How many bytes.</param>
/// <param name="Retries">How many attempts have failed.</param>
public readonly record struct JournalCounts(long Transactions, long Records, long Bytes, long Retries)
{
    internal JournalCounts After(List<SlotRecord> records)
    {
        long bytes = 0;
        foreach (SlotRecord record in records) bytes += record.Bytes.Length;
        return new(Transactions + 1, Records + records.Count, Bytes + bytes, Retries);
    }
}
