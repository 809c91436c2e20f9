namespace OrleansRedis.Engine;

/// <summary>
/// The state of a session's WATCH and MULTI: the keys it watches and the commands it has queued. Only the session's own
/// thread uses it; only <see cref="IsChanged"/> is set by others.
/// </summary>
public sealed class Transaction : IKeyWatcher
{
    private readonly List<QueuedCommand> _queue = [];
    private readonly List<WatchedKey> _watched = [];
    private volatile bool _changed;

    WatcherKind IKeyWatcher.Kind => WatcherKind.Transaction;

    /// <summary>There was a MULTI: commands are queued until EXEC or DISCARD.</summary>
    public bool IsOpen { get; private set; }

    /// <summary>A command could not be queued, so EXEC will refuse.</summary>
    public bool IsPoisoned { get; private set; }

    /// <summary>A watched key has changed since WATCH.</summary>
    public bool IsChanged => _changed;

    /// <summary>The queued commands.</summary>
    public IReadOnlyList<QueuedCommand> Queue => _queue;

    /// <summary>The flags of all queued commands, combined.</summary>
    public CommandFlags QueuedFlags { get; private set; }

    /// <summary>The flags that all queued commands have in common.</summary>
    public CommandFlags QueuedInAll { get; private set; } = (CommandFlags)~0;

    /// <summary>
    /// Bytes of the queued requests' arguments (CLIENT LIST, multi-mem). They count against client-query-buffer-limit.
    /// </summary>
    public long QueuedBytes { get; private set; }

    /// <summary>How many keys are watched.</summary>
    public int WatchedCount => _watched.Count;

    /// <summary>After MULTI: keeps an admitted command, whose request has these flags, for EXEC.</summary>
    internal void Enqueue(CommandInfo command, in Request request, CommandFlags flags)
    {
        // A transaction that EXEC will refuse need not keep any commands.
        if (IsPoisoned || _changed) return;
        _queue.Add(new(command, request.ToOwned()));
        QueuedFlags |= flags;
        QueuedInAll &= flags;
        for (int i = 0; i < request.Count; i++) QueuedBytes += request[i].Length;
    }

    /// <summary>A command was refused instead of being queued.</summary>
    public void Poison()
    {
        if (IsOpen) IsPoisoned = true;
    }

    /// <summary>The session ends, or is reset: forgets everything.</summary>
    public async Task CloseAsync(Store store)
    {
        Close();
        if (_watched.Count == 0) return;
        foreach (WatchedKey watched in _watched)
        {
            // A long command may hold the slot, and the thread may be an I/O thread.
            await store.VisitAsync(watched.Slot, (this, watched), static (slot, my) => slot.Watchers?.Remove(my.watched.Database, my.watched.Key, my.Item1))
                .ConfigureAwait(false);
        }
        _watched.Clear();
        _changed = false;
    }

    void IKeyWatcher.KeyChanged(int database, ReadOnlySpan<byte> key) => _changed = true;

    void IKeyWatcher.SlotWithdrawn() => _changed = true;

    internal void Open() => IsOpen = true;

    /// <summary>Forgets the queue; the keys stay watched.</summary>
    internal void Close()
    {
        IsOpen = IsPoisoned = false;
        _queue.Clear();
        QueuedFlags = CommandFlags.None;
        QueuedInAll = (CommandFlags)~0;
        QueuedBytes = 0;
    }

    /// <summary>Watches a key, under its slot's gate.</summary>
    internal void Watch(Keyspace keyspace, ReadOnlySpan<byte> key, bool exists)
    {
        foreach (WatchedKey watched in _watched)
        {
            if (watched.Database == keyspace.Database && watched.Key.AsSpan().SequenceEqual(key)) return;
        }
        byte[] kept = key.ToArray();
        (keyspace.Slot.Watchers ??= new()).Add(keyspace.Database, kept, this);
        _watched.Add(new(keyspace.Slot, keyspace.Database, kept, exists));
    }

    /// <summary>Stops watching all keys; the gates of all watched keys are held.</summary>
    internal void Unwatch()
    {
        foreach (WatchedKey watched in _watched)
        {
            // A slot that has left this silo never needs its watchers again, and its gate is not held.
            if (watched.Slot.IsOpen) watched.Slot.Watchers?.Remove(watched.Database, watched.Key, this);
        }
        _watched.Clear();
        _changed = false;
    }

    /// <summary>
    /// Whether a watched key that existed has expired, even if nobody has noticed yet; the gates of the watched keys
    /// are held. A key that was missing, and that SWAPDB has replaced by an expired one, still counts as missing.
    /// </summary>
    internal bool AnyWatchedExpired(long nowMs)
    {
        foreach (WatchedKey watched in _watched)
        {
            if (!watched.Existed || !watched.Slot.IsOpen || watched.Slot.KeyspaceIfAny(watched.Database) is not { } keyspace) continue;
            Entry entry = keyspace.Find(watched.Key);
            if (!entry.IsMissing && entry.ExpiresAtMs <= nowMs) return true;
        }
        return false;
    }

    /// <summary>The slots of the keys that are watched here and of those of the queued commands, in ascending order.</summary>
    public int[] Slots()
    {
        var slots = new List<int>();
        CollectSlots(slots, withQueue: true);
        return [.. slots.Distinct().Order()];
    }

    /// <summary>
    /// Adds the slots of the watched keys and, on request, of all keys of the queued commands. A watched slot that has
    /// left this silo is not among them: it has already told the transaction that it left (<see cref="IsChanged"/>),
    /// and DISCARD must not need it.
    /// </summary>
    internal void CollectSlots(List<int> slots, bool withQueue)
    {
        foreach (WatchedKey watched in _watched)
        {
            if (watched.Slot.IsOpen) slots.Add(watched.Slot.Number);
        }
        if (!withQueue) return;
        foreach (QueuedCommand queued in _queue)
        {
            Request request = queued.Request.Request;
            int begin = slots.Count;
            queued.Command.LocateKeys(request, slots);
            for (int i = begin; i < slots.Count; i++) slots[i] = KeySlot.Of(request[slots[i]]);
        }
    }

    private readonly record struct WatchedKey(Slot Slot, int Database, byte[] Key, bool Existed);
}

/// <summary>A command queued between MULTI and EXEC.</summary>
public readonly record struct QueuedCommand(CommandInfo Command, OwnedRequest Request);
