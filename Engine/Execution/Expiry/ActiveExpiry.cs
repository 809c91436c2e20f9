namespace OrleansRedis.Engine;

/// <summary>
/// Deletes expired keys that nobody asks for. As long as anything is due, it visits the slots concerned every 1/hz
/// second, according to the times in the <see cref="SlotTable"/>. It looks through their keys in hash order, in stretches
/// short enough for commands that wait at the gate.
/// <para>
/// Looking at every key of a slot to find a single expired one is a bad bargain, so the effort follows the yield. While
/// many of the keys it looks at have expired, it takes up to a quarter of a core (more with active-expire-effort); as
/// expired keys become rare, it goes down to a hundredth. Work that is left over makes the next visit more worthwhile.
/// </para>
/// </summary>
public sealed class ActiveExpiry : IAsyncDisposable
{
    /// <summary>How many keys are looked at between two readings of the clock; a few µs.</summary>
    private const int KeysPerChunk = 64;
    private static readonly TimeSpan s_longestInGate = TimeSpan.FromMilliseconds(0.5);

    private readonly Store _store;
    private readonly TimeProvider _time;
    private readonly EffectUnit _unit = new();
    private readonly List<KeyEntry> _chunk = [];
    private readonly CancellationTokenSource _stop = new();
    private Task _loop = Task.CompletedTask;
    private bool _isEnabled = true;
    private int _nextSlot;
    private double _share; // the fraction of a core that may be used now
    private int _looked;
    private int _expired;

    internal ActiveExpiry(Store store)
    {
        _store = store;
        _time = store.Clock.Time;
        _share = LeastShare;
    }

    /// <summary>Whether it runs at all: DEBUG SET-ACTIVE-EXPIRE.</summary>
    public bool Enabled
    {
        get => Volatile.Read(ref _isEnabled);
        set => Volatile.Write(ref _isEnabled, value);
    }

    /// <summary>Told of an error in a cycle; the next cycle runs nevertheless.</summary>
    public Action<Exception>? OnFailure { get; set; }

    private static double LeastShare => 0.01;

    private bool MayDelete => Enabled && !_store.IgnoresExpiry && !_store.KeepsExpired;

    /// <summary>25% of a core, and 2% more for each step of active-expire-effort.</summary>
    private double MostShare => 0.25 + (0.02 * (_store.Options.ActiveExpireEffort - 1));

    /// <summary>The fraction of expired keys among those looked at above which more effort is called for.</summary>
    private double AcceptableStale => (10 - (_store.Options.ActiveExpireEffort - 1)) / 100.0;

    /// <summary>Starts running in the background, until disposed of.</summary>
    public void Start()
    {
        if (_loop.IsCompleted) _loop = Task.Run(() => RunAsync(_stop.Token));
    }

    /// <summary>Stops, and waits for the cycle in progress.</summary>
    public async ValueTask DisposeAsync()
    {
        if (!_stop.IsCancellationRequested) await _stop.CancelAsync().ConfigureAwait(false);
        await _loop.ConfigureAwait(false);
        _stop.Dispose();
    }

    /// <summary>
    /// One cycle: visits every slot with something due, or as many as the budget allows. One cycle runs at a time.
    /// </summary>
    internal async ValueTask RunCycleAsync()
    {
        if (!MayDelete) return;
        long nowMs = _store.Clock.NowMs, start = _time.GetTimestamp();
        TimeSpan budget = TimeSpan.FromSeconds(_share / _store.Options.Hz);
        _looked = _expired = 0;
        bool exhausted = false;
        for (int visited = 0; visited < KeySlot.Count && !exhausted; visited++)
        {
            bool finished = true;
            while (_store.Slots.EarliestExpiryMs(_nextSlot) <= nowMs)
            {
                if (!_store.SiloGate.TryEnterShared(out int stripe)) stripe = await _store.SiloGate.EnterSharedAsync().ConfigureAwait(false);
                long began = _store.Latency.Begin();
                try
                {
                    finished = Visit(_nextSlot, nowMs);
                }
                finally
                {
                    _store.SiloGate.ExitShared(stripe);
                }
                _store.Latency.End("expire-cycle", began);
                await _store.ServeChangedAsync().ConfigureAwait(false);
                exhausted = _time.GetElapsedTime(start) > budget;
                if (finished || exhausted) break;
            }
            if (finished) _nextSlot = (_nextSlot + 1) % KeySlot.Count;
        }
        if (_looked > 0) Learn(exhausted, _time.GetElapsedTime(start));
    }

    private async Task RunAsync(CancellationToken stop)
    {
        while (!stop.IsCancellationRequested)
        {
            try
            {
                await Task.Delay(TimeSpan.FromSeconds(1.0 / _store.Options.Hz), _time, stop).ConfigureAwait(false);
                await UntilDueAsync(stop).ConfigureAwait(false);
                await RunCycleAsync().ConfigureAwait(false);
            }
            catch (OperationCanceledException) when (stop.IsCancellationRequested)
            {
                return;
            }
            catch (Exception error)
            {
                _nextSlot = (_nextSlot + 1) % KeySlot.Count;
                OnFailure?.Invoke(error);
            }
        }
    }

    /// <summary>Completes when something may be due, at once if that is so already: nothing to expire, nothing to wake for.</summary>
    private async Task UntilDueAsync(CancellationToken stop)
    {
        SlotTable slots = _store.Slots;
        while (slots.EarliestExpiryMs() is var earliest && earliest > _store.Clock.NowMs)
        {
            Task rung = slots.ExpiryAlarm.Set(earliest);
            if (slots.EarliestExpiryMs() >= earliest)
            {
                using var awake = CancellationTokenSource.CreateLinkedTokenSource(stop);
                // Timers do not follow the time of day when that is set, so it is looked at now and then.
                TimeSpan wait = earliest == Expiry.Never
                    ? Timeout.InfiniteTimeSpan
                    : TimeSpan.FromMilliseconds(Math.Clamp(earliest - _store.Clock.NowMs, 1, 1000));
                await Task.WhenAny(rung, Task.Delay(wait, _time, awake.Token)).ConfigureAwait(false);
                await awake.CancelAsync().ConfigureAwait(false);
            }
            slots.ExpiryAlarm.Clear();
            stop.ThrowIfCancellationRequested();
        }
    }

    /// <summary>
    /// A stretch of work in a slot, under its gate. False if there is more to do; a busy slot is left for the next
    /// cycle.
    /// </summary>
    private bool Visit(int number, long nowMs)
    {
        if (_store.Slots[number] is not { } slot || !slot.Gate.TryEnter()) return true;
        try
        {
            // Whoever has forbidden it meanwhile may count on it from the next command in this slot on.
            if (!slot.IsOpen || !MayDelete) return true;
            long start = _time.GetTimestamp(), earliest = Expiry.Never;
            bool finished = true;
            for (int database = 0; database < _store.Slots.Databases; database++)
            {
                if (slot.KeyspaceIfAny(database) is not { } keyspace) continue;
                while (finished && keyspace.EarliestExpiryMs <= nowMs)
                {
                    int before = _expired;
                    // A hash with very many expired fields is still due after a whole pass. If a pass changes nothing,
                    // do not look again.
                    if (LookOn(keyspace, nowMs) && _expired == before) break;
                    finished = _time.GetElapsedTime(start) < s_longestInGate;
                }
                earliest = Math.Min(earliest, keyspace.EarliestExpiryMs);
            }
            _store.Slots.SetEarliestExpiry(number, earliest);
            return finished;
        }
        finally
        {
            _unit.PublishTo(_store.Effects);
            _unit.Discard();
            slot.Leave();
        }
    }

    /// <summary>
    /// Looks at the next few keys of a keyspace and deletes those that are due. True if those were the last.
    /// </summary>
    private bool LookOn(Keyspace keyspace, long nowMs)
    {
        _chunk.Clear();
        keyspace.ScanForExpiry(KeysPerChunk, _chunk);
        _looked += _chunk.Count;
        foreach (KeyEntry entry in _chunk)
        {
            long time = entry.EarliestExpiryMs;
            if (time <= nowMs)
            {
                _expired++;
                time = _store.ExpireDue(keyspace, entry, nowMs, _unit);
            }
            keyspace.MetWhileScanning(time);
        }
        return keyspace.EndScanForExpiry();
    }

    /// <summary>Adapts the budget to the yield.</summary>
    private void Learn(bool exhausted, TimeSpan took)
    {
        double stale = (double)_expired / _looked;
        _store.Statistics.CountExpireCycle(stale, exhausted, took);
        if (!exhausted) return;
        if (stale > AcceptableStale) _share = Math.Min(MostShare, _share * 2);
        else if (stale < AcceptableStale / 4) _share = Math.Max(LeastShare, _share / 2);
    }
}
