using System.Diagnostics;
using OrleansRedis.Engine;

namespace OrleansRedis.Grains.Storage;

/// <summary>
/// Appends what this silo's slots do to a shared store. A background loop reads what has gathered in the
/// <see cref="ReplicationLog"/> and appends it, one transaction after another, and never a part of a unit. So the store
/// holds what slots did in the order in which they did it, and for a unit that concerns several slots, all of it or
/// nothing. Positions are the log's. Effects that belong to no slot (PUBLISH, FUNCTION FLUSH) are skipped, since they
/// are part of no slot's history; their positions count as committed once everything before them is.
/// <para>
/// <b>When.</b> With appendfsync always, as soon as the previous transaction has ended: everything that came meanwhile
/// goes into the next one, and replies wait for it. Otherwise <see cref="Linger"/> after the first unit, so that less
/// than a second's work is at risk.
/// </para>
/// <para>
/// <b>If the store fails</b>, the same transaction is retried until it succeeds; meanwhile commands that write are
/// refused. With appendfsync always, replies to what had been done before wait as long as that takes, while commands
/// that change nothing are answered, from data that may not be stored yet.
/// </para>
/// <para>
/// <b>If the store refuses</b> because another silo has claimed slots, those are withdrawn at once, and what they did
/// that is not stored is dropped. With appendfsync always no client has had a reply to it, and the clients that wait
/// for one are disconnected.
/// </para>
/// </summary>
public sealed class SlotJournal : LogReader, IDurability, IAsyncDisposable
{
    /// <summary>If more bytes than this are pending, commands that write have to wait.</summary>
    private const long MostPending = 256L << 20;

    private static readonly TimeSpan s_noAnswer = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan s_firstRetry = TimeSpan.FromMilliseconds(50), s_longestRetry = TimeSpan.FromSeconds(2);

    private readonly Store _store;
    private readonly ISlotStorage _storage;
    private readonly Lock _lock = new();                 // guards the fields from here to the blank line
    private readonly List<(long From, long To)> _losses = [];
    private bool _hurry;                                 // a caller waits for what is pending to be committed
    private volatile bool _lingers;                      // the loop waits for more to come; written under the lock
    private TaskCompletionSource? _changed;              // completed when more is committed, or something goes wrong
    private TaskCompletionSource? _room;
    private string? _error;

    private readonly SemaphoreSlim _wake = new(0);
    private readonly HashSet<SlotClaim> _lost = [];      // the loop's own
    private readonly List<long> _left = [];              // the loop's own
    private readonly JournalBatch _batch = new();        // the loop's own
    private long _since;                                 // the loop's own: start of Linger (Stopwatch); 0: none pending
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

    /// <summary>
    /// Once the store has refused something, this stays where it is, and every caller asks <see cref="WhenCommitted"/>,
    /// which knows what was refused.
    /// </summary>
    public long Committed => Volatile.Read(ref _exposed);

    /// <inheritdoc/>
    public string? WriteError => Volatile.Read(ref _error) is { } error ? $"MISCONF Errors writing to the shared storage: {error}" : null;

    /// <summary>Transactions made, records and bytes appended by them, and retries, since the start.</summary>
    public JournalCounts Counts { get; private set; }

    /// <inheritdoc/>
    public IEnumerable<(string Name, string Value)> Statistics => Describe?.Invoke() ?? [];

    /// <summary>Produces the fields for INFO.</summary>
    internal Func<IEnumerable<(string Name, string Value)>>? Describe { get; set; }

    /// <summary>Called by the loop with every record that was stored.</summary>
    internal Action<SlotRecord>? Stored { get; set; }

    /// <summary>
    /// Begins to read the log and to append. The caller makes sure that no slot has been published yet.
    /// </summary>
    public void Start()
    {
        _store.Durability = this;
        _exposed = Follow();
        _loop = Task.Run(RunAsync);
    }

    /// <inheritdoc/>
    public Task WhenCommitted(long since, long position) =>
        Committed >= position ? Task.CompletedTask : WhenCommittedAsync(since, position);

    /// <inheritdoc/>
    public Task WhenRoom()
    {
        lock (_lock) return _room?.Task ?? Task.CompletedTask;
    }

    /// <summary>
    /// Completes when everything appended so far is committed, or was dropped because another silo has claimed its
    /// slot.
    /// </summary>
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
    /// Appends what is pending, and stops. If the store does not accept it before <paramref name="cancellation"/>, what
    /// is not acknowledged by then is lost, and the operator is told.
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
            _store.Log.Warning(
                $"{PendingBytes} bytes of changes are lost, as they could not be stored before the end: "
                    + $"{Volatile.Read(ref _error) ?? "the storage does not answer"}");
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
                // A client that has changed nothing need not wait for the store to come back.
                if (_error is not null && since == position) return;
                changed = Changed();
                Hurry();
            }
            await changed.ConfigureAwait(false);
        }
    }

    /// <summary>To be called with the lock held.</summary>
    private Task Changed() => (_changed ??= new(TaskCreationOptions.RunContinuationsAsynchronously)).Task;

    /// <summary>To be called with the lock held.</summary>
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

    /// <summary>Waits until something is due. False when it is time to stop.</summary>
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

    /// <summary>Awaits an append. A store that does not answer counts as failing until it does.</summary>
    private async Task WatchedAsync(Task append)
    {
        if (!append.IsCompleted)
        {
            using var answered = new CancellationTokenSource();
            if (await Task.WhenAny(append, Task.Delay(s_noAnswer, answered.Token)).ConfigureAwait(false) != append)
                Failed("it does not answer");
            await answered.CancelAsync().ConfigureAwait(false);
        }
        await append.ConfigureAwait(false);
    }

    /// <summary>
    /// If units cannot be stored, withdraws the slots that were lost with them, and lets those who wait for these units
    /// know.
    /// </summary>
    private void Drop()
    {
        if (_left.Count == 0) return;
        WithdrawLost();
        // Whatever was done before this moment may have been done in a lost slot, or may have seen what was done there.
        // What is done after it was not and has not. So the moment needs a position of its own.
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
        _store.Log.Warning(
            $"Someone else has claimed slot {withdrawn[0].Slot}{more}, beyond epoch {withdrawn[0].Epoch}: what was done here since is not stored, and "
                + $"they are not served here any more.");
    }

    private void Failed(string reason)
    {
        bool isNew = Volatile.Read(ref _error) is null;
        lock (_lock)
        {
            Volatile.Write(ref _error, reason);
            Notify();
        }
        _store.Restrict(Restrictions.LogFails);
        // When it is said, it is so: a write that came just after would otherwise wait for its reply.
        if (isNew)
            _store.Log.Warning($"Error writing to the {_storage.Name} storage: {reason.TrimEnd('.')}. Writes are refused until it works again; what is "
                + $"not stored is kept and tried again.");
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

    /// <summary>To be called with the lock held.</summary>
    private void Notify()
    {
        _changed?.TrySetResult();
        _changed = null;
    }
}

/// <summary>What a <see cref="SlotJournal"/> has done.</summary>
/// <param name="Transactions">Number of transactions that have appended.</param>
/// <param name="Records">Number of records in them.</param>
/// <param name="Bytes">Bytes of those records.</param>
/// <param name="Retries">Number of failed attempts.</param>
public readonly record struct JournalCounts(long Transactions, long Records, long Bytes, long Retries)
{
    internal JournalCounts After(List<SlotRecord> records)
    {
        long bytes = 0;
        foreach (SlotRecord record in records) bytes += record.Bytes.Length;
        return new(Transactions + 1, Records + records.Count, Bytes + bytes, Retries);
    }
}
