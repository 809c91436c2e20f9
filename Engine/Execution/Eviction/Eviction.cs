namespace OrleansRedis.Engine;

/// <summary>
/// Keeps the memory taken by the data, and by what waits for clients, below maxmemory. Before a command runs, with no gate held, it deletes keys chosen
/// by maxmemory-policy until there is room, for as long as maxmemory-eviction-tenacity allows, and then goes on in the
/// background. Commands that may need more memory are refused when nothing can be deleted.
/// </summary>
public sealed class Eviction
{
    private enum Progress
    {
        /// <summary>The memory is below the limit.</summary>
        Enough,

        /// <summary>There is more to delete.</summary>
        Unfinished,

        /// <summary>Nothing may be deleted.</summary>
        Failed,
    }

    /// <summary>
    /// How many draws in a row may fail (a slot has just become empty, or is busy) before the clock is read.
    /// </summary>
    private const int MostFruitless = 64;

    /// <summary>
    /// While another thread is making room, a command need not wait for it unless there are more bytes too many than this.
    /// So threads take turns of some hundred keys, not of one.
    /// </summary>
    private const int LeftToAnother = 16 * 1024;

    private readonly Store _store;
    private readonly TimeProvider _time;
    private readonly Lock _evicting = new();    // guards everything below
    private readonly KeySampler _sampler;
    private readonly EvictionPool _pool = new();
    private readonly List<KeyEntry> _drawn = []; // empty between two uses
    private readonly EffectUnit _unit = new();
    private MaxMemoryPolicy _policyOfPool;
    private long _overSince; // since when there has been too little room; 0 if there is enough
    private TimeSpan _overBefore;
    private int _inBackground;

    internal Eviction(Store store)
    {
        _store = store;
        _time = store.Clock.Time;
        _sampler = new(store);
    }

    /// <summary>maxmemory or the policy has changed: any excess is now deleted in the background.</summary>
    internal void LimitChanged()
    {
        if (IsOver) StartInBackground();
    }

    /// <summary>Completes when no background work is in progress.</summary>
    internal Task Background { get; private set; } = Task.CompletedTask;

    /// <summary>The source of random keys.</summary>
    internal Random Random
    {
        set => _sampler.Random = value;
    }

    /// <summary>Whether there is a limit, and more memory is taken than that.</summary>
    internal bool IsOver => Excess > 0;

    /// <summary>By how many bytes more memory is taken than there may be; not positive if there is room, or no limit.</summary>
    private long Excess => ExcessBeside(_store.WaitingBytes);

    private long ExcessBeside(long waitingBytes) =>
        _store.Options.MaxMemory is not 0 and long most ? _store.UsedMemory + waitingBytes - most : 0;

    /// <summary>
    /// For how long more memory has been taken than there may be, although keys were evicted: in all, and up to now. That
    /// it is over is noticed with the next command that evicts, or asks here.
    /// </summary>
    public (TimeSpan InAll, TimeSpan Now) TimeOver
    {
        get
        {
            lock (_evicting)
            {
                if (!IsOver) Enough();
                TimeSpan now = _overSince == 0 ? TimeSpan.Zero : _time.GetElapsedTime(_overSince);
                return (_overBefore + now, now);
            }
        }
    }

    /// <summary>CONFIG RESETSTAT</summary>
    internal void ResetStatistics()
    {
        lock (_evicting)
        {
            _overBefore = TimeSpan.Zero;
            if (_overSince != 0) _overSince = _time.GetTimestamp();
        }
    }

    private static bool IsVolatile(MaxMemoryPolicy policy) =>
        policy is MaxMemoryPolicy.VolatileLru or MaxMemoryPolicy.VolatileLfu or MaxMemoryPolicy.VolatileRandom or MaxMemoryPolicy.VolatileTtl;

    /// <summary>
    /// Makes room, with the silo gate held and no slot's gate. True if no room can be made and the command must not
    /// run.
    /// </summary>
    internal bool Refuses(CommandInfo command, Session session)
    {
        if (!IsOver || MakeRoom() != Progress.Failed) return false;
        // A queue takes memory whatever is in it, but client-query-buffer-limit limits that.
        return (session.FlagsOf(command) & CommandFlags.DenyOom) != 0;
    }

    private Progress MakeRoom()
    {
        if (!_evicting.TryEnter())
        {
            if (Excess <= LeftToAnother && _store.Options.MaxMemoryPolicy != MaxMemoryPolicy.Noeviction) return Progress.Enough;
            _evicting.Enter();
        }
        Progress progress;
        try
        {
            progress = Evict();
        }
        finally
        {
            _evicting.Exit();
        }
        if (progress == Progress.Unfinished) StartInBackground();
        return progress;
    }

    private void StartInBackground()
    {
        if (Interlocked.Exchange(ref _inBackground, 1) == 0) Background = Task.Run(RunInBackgroundAsync);
    }

    private async Task RunInBackgroundAsync()
    {
        try
        {
            Progress progress;
            do
            {
                if (!_store.SiloGate.TryEnterShared(out int stripe)) stripe = await _store.SiloGate.EnterSharedAsync().ConfigureAwait(false);
                try
                {
                    lock (_evicting) progress = Evict();
                }
                finally
                {
                    _store.SiloGate.ExitShared(stripe);
                }
                await _store.ServeChangedAsync().ConfigureAwait(false);
                await Task.Yield();
            }
            // Paused clients must not see keys disappear; their first command after the pause starts this again.
            while (progress == Progress.Unfinished && !_store.KeepsExpired);
        }
        catch (Exception error)
        {
            _store.Log.Warning($"Evicting keys in the background failed, and is tried again with the next command: {error}");
        }
        finally
        {
            Volatile.Write(ref _inBackground, 0);
        }
    }

    private Progress Evict()
    {
        if (!IsOver) return Enough();
        long began = _store.Latency.Begin();
        Progress progress = EvictSome();
        _store.Latency.End("eviction-cycle", began);
        if (progress == Progress.Enough) return Enough();
        if (_overSince == 0) _overSince = _time.GetTimestamp();
        return progress;
    }

    private Progress Enough()
    {
        if (_overSince != 0) _overBefore += _time.GetElapsedTime(_overSince);
        _overSince = 0;
        return Progress.Enough;
    }

    /// <summary>Deletes keys until there is room, nothing is left to delete, or the time is up.</summary>
    private Progress EvictSome()
    {
        MaxMemoryPolicy policy = _store.Options.MaxMemoryPolicy;
        if (policy == MaxMemoryPolicy.Noeviction) return Progress.Failed;
        if (_store.KeepsExpired) return Progress.Unfinished; // paused clients: no changes now
        if (policy != _policyOfPool) _pool.Clear();
        _policyOfPool = policy;
        long start = _time.GetTimestamp();
        TimeSpan most = Tenacity(_store.Options.MaxMemoryEvictionTenacity);
        int fruitless = 0, evicted = 0;
        // Clients are told of keys that are evicted, which waits for them to read it, and must not lead to more being evicted.
        long waitingBytes = _store.WaitingBytes;
        do
        {
            bool deleted = policy is MaxMemoryPolicy.AllkeysRandom or MaxMemoryPolicy.VolatileRandom ? EvictRandom(policy) : EvictBest(policy);
            if (deleted)
            {
                fruitless = 0;
                if (++evicted % 16 == 0 && _time.GetElapsedTime(start) > most) return ExcessBeside(waitingBytes) > 0 ? Progress.Unfinished : Progress.Enough;
                continue;
            }
            if (++fruitless % MostFruitless != 1) continue;
            if (!_sampler.Refresh(IsVolatile(policy))) return Progress.Failed;
            if (fruitless > MostFruitless || _time.GetElapsedTime(start) > most) return Progress.Unfinished;
        }
        while (ExcessBeside(waitingBytes) > 0);
        return Progress.Enough;
    }

    /// <summary>
    /// How long one call may take: 50 µs per step up to the default of 10, which is 0.5 ms; then 15% more with each
    /// step; unlimited at 100.
    /// </summary>
    private static TimeSpan Tenacity(int tenacity) => tenacity switch
    {
        <= 10 => TimeSpan.FromMicroseconds(50 * tenacity),
        < 100 => TimeSpan.FromMicroseconds(500 * Math.Pow(1.15, tenacity - 10)),
        _ => TimeSpan.MaxValue,
    };

    private bool EvictRandom(MaxMemoryPolicy policy)
    {
        bool volatileOnly = IsVolatile(policy);
        if (!_sampler.TryDraw(volatileOnly, out int number, out int database) || Enter(number) is not { } slot) return false;
        try
        {
            if (slot.KeyspaceIfAny(database) is not { } keyspace || _sampler.DrawFrom(keyspace, volatileOnly) is var entry && entry.IsNone) return Missed();
            Delete(keyspace, entry.Key);
            return true;
        }
        finally
        {
            Exit(slot);
        }
    }

    private bool EvictBest(MaxMemoryPolicy policy)
    {
        Sample(policy);
        while (_pool.TryTake(out EvictionCandidate candidate))
        {
            if (Enter(candidate.Slot) is not { } slot) continue;
            try
            {
                if (slot.KeyspaceIfAny(candidate.Database) is not { } keyspace) continue;
                Entry entry = keyspace.Find(candidate.Key);
                if (entry.IsMissing || (IsVolatile(policy) && entry.ExpiresAtMs == Expiry.Never)) continue;
                Delete(keyspace, candidate.Key);
                return true;
            }
            finally
            {
                Exit(slot);
            }
        }
        return false;
    }

    private void Sample(MaxMemoryPolicy policy)
    {
        bool volatileOnly = IsVolatile(policy);
        long nowMs = _store.Clock.NowMs;
        for (int left = _store.Options.MaxMemorySamples; left > 0;)
        {
            if (!_sampler.TryDraw(volatileOnly, out int number, out int database)) return;
            int drawn = SampleFrom(number, database, policy, left, nowMs);
            left -= Math.Max(1, drawn);
        }
    }

    /// <summary>
    /// Samples some keys of one slot: what reaching another slot costs is shared by all of them. Returns how many.
    /// </summary>
    private int SampleFrom(int number, int database, MaxMemoryPolicy policy, int most, long nowMs)
    {
        if (Enter(number) is not { } slot) return 0;
        try
        {
            if (slot.KeyspaceIfAny(database) is { } keyspace) _sampler.DrawFrom(keyspace, IsVolatile(policy), most, _drawn);
            if (_drawn.Count == 0) Missed();
            foreach (KeyEntry entry in _drawn)
            {
                long score = Score(policy, entry, nowMs);
                if (_pool.Wants(score)) _pool.Add(score, number, database, entry.Key);
            }
            return _drawn.Count;
        }
        finally
        {
            _drawn.Clear();
            Exit(slot);
        }
    }

    /// <summary>The higher the score, the sooner a key is to be evicted.</summary>
    private long Score(MaxMemoryPolicy policy, KeyEntry entry, long nowMs) => policy switch
    {
        MaxMemoryPolicy.VolatileTtl => long.MaxValue - entry.ExpiresAtMs,
        MaxMemoryPolicy.AllkeysLfu or MaxMemoryPolicy.VolatileLfu => 255 - Access.Frequency(_store.Options, entry.AccessClock, nowMs),
        _ => Access.IdleMs(entry.AccessClock, nowMs),
    };

    /// <summary>Takes a slot's gate; null if the slot is gone or busy, since there are others to choose from.</summary>
    private Slot? Enter(int number)
    {
        if (_store.Slots[number] is not { } slot || !slot.Gate.TryEnter()) return null;
        if (slot.IsOpen) return slot;
        slot.Leave();
        return null;
    }

    private void Exit(Slot slot)
    {
        _unit.PublishTo(_store.Effects);
        _unit.Discard();
        slot.Leave();
    }

    private bool Missed()
    {
        _sampler.Distrust();
        return false;
    }

    private void Delete(Keyspace keyspace, ReadOnlySpan<byte> key)
    {
        long began = _store.Latency.Begin();
        keyspace.BeforeChange(key);
        if (!keyspace.Remove(key)) return;
        _store.Latency.End("eviction-del", began);
        _store.Statistics.CountEvicted();
        keyspace.Slot.Watchers?.Changed(keyspace.Database, key);
        _store.Tracking?.Changed(null, key);
        _store.Effects.KeyEvents?.OnKeyEvent(KeyEvents.Evicted, "evicted"u8, key, keyspace.Database);
        if (_store.Effects.HasConsumers)
        {
            RespWriter effect = _unit.Begin(2);
            effect.BulkString("DEL"u8);
            effect.BulkString(key);
            _unit.End(keyspace.Slot, keyspace.Database);
        }
        keyspace.Slot.DropIfEmpty(keyspace);
    }
}
