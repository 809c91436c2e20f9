namespace OrleansRedis.Engine;

/// <summary>How far a step of a <see cref="DefragmentationPass"/> got.</summary>
internal enum DefragmentationProgress
{
    /// <summary>A few entries were looked at.</summary>
    Stepped,

    /// <summary>Somebody else holds a gate.</summary>
    Busy,

    /// <summary>Everything on this silo has been met.</summary>
    Finished,
}

/// <summary>
/// Goes through all keys of a silo, slot after slot, and moves what lies in spans that <see cref="Defragmentation"/> is
/// emptying. A step holds the gate of one slot and looks at so many entries as take some tens of µs; a value with many
/// elements takes several steps. Between two steps anything may happen: what is remembered is a slot, a database, hashes,
/// and values that are looked up again. To move something changes nothing about a key, so neither snapshots nor watchers
/// nor the access clock hear of it.
/// </summary>
internal sealed class DefragmentationPass(Store store)
{
    /// <summary>How many blocks are looked at in one hold of a gate.</summary>
    private const int MostBlocks = 512;

    private readonly SlotTable _slots = store.Slots;
    private readonly BlockMover _mover = new();
    private readonly List<KeyEntry> _values = [];
    private readonly Queue<Unfinished> _unfinished = [];
    private int _slot;
    private int _database;
    private uint _cursor;
    private bool _hasBegun;     // with this keyspace
    private bool _hasAllKeys;   // of this keyspace, except for what is unfinished

    private int BlocksOfValue => (int)Math.Min(store.Options.ActiveDefragMaxScanFields, MostBlocks);

    /// <summary>Goes on for one hold of a gate, or to the next place where there is something to do.</summary>
    public DefragmentationProgress Step()
    {
        if (!TryFindKeys()) return DefragmentationProgress.Finished;
        if (!store.SiloGate.TryEnterShared(out int stripe)) return DefragmentationProgress.Busy;
        try
        {
            if (_slots[_slot] is not { } slot)
            {
                Leave();
                return DefragmentationProgress.Stepped;
            }
            if (!slot.Gate.TryEnter()) return DefragmentationProgress.Busy;
            try
            {
                if (!slot.IsOpen || slot.KeyspaceIfAny(_database) is not { } keyspace || Visit(keyspace)) Leave();
                return DefragmentationProgress.Stepped;
            }
            finally
            {
                slot.Leave();
            }
        }
        finally
        {
            store.SiloGate.ExitShared(stripe);
        }
    }

    /// <summary>Goes to the next keyspace: somebody holds this one's gate for very long, or it is done.</summary>
    public void Leave()
    {
        _unfinished.Clear();
        _cursor = 0;
        _hasBegun = _hasAllKeys = false;
        if (++_database < _slots.Databases) return;
        _database = 0;
        _slot++;
    }

    /// <summary>Finds the next keyspace with keys in it, at a glance, and without its gate.</summary>
    private bool TryFindKeys()
    {
        for (; _slot < KeySlot.Count; Leave())
        {
            if (_slots[_slot]?.KeyspaceIfAny(_database) is { Count: > 0 }) return true;
        }
        return false;
    }

    /// <summary>A step in this keyspace. True if that was the last one.</summary>
    private bool Visit(Keyspace keyspace)
    {
        long moved = _mover.Moved, kept = _mover.Kept;
        try
        {
            if (_unfinished.Count != 0) Continue(keyspace);
            else LookOn(keyspace);
        }
        finally
        {
            store.Statistics.CountDefragmented(_mover.Moved - moved, _mover.Kept - kept);
        }
        return _hasAllKeys && _unfinished.Count == 0;
    }

    /// <summary>
    /// Meets the next few keys. Values that have too many elements for now come next, before any other key.
    /// </summary>
    private void LookOn(Keyspace keyspace)
    {
        _mover.Begin(MostBlocks);
        if (!_hasBegun) keyspace.DefragmentCells(_mover);
        _hasBegun = true;
        long moved = _mover.Moved, kept = _mover.Kept;
        _cursor = keyspace.Defragment(_cursor, _mover, _values);
        _hasAllKeys = _cursor == 0;
        store.Statistics.CountKeysDefragmented(_mover.Moved - moved, _mover.Kept - kept);
        foreach (KeyEntry entry in _values)
        {
            var met = new Unfinished(entry.Value);
            if (_mover.IsOver || met.Value.FreeEffort > store.Options.ActiveDefragMaxScanFields || !TryFinish(met)) _unfinished.Enqueue(met);
        }
        _values.Clear();
    }

    /// <summary>Goes on with values that were met, as far as they are still there.</summary>
    private void Continue(Keyspace keyspace)
    {
        _mover.Begin(BlocksOfValue);
        while (!_mover.IsOver && _unfinished.TryPeek(out Unfinished? next))
        {
            Entry found = keyspace.Find(next.Value.Key);
            bool isThere = !found.IsMissing && !found.IsBlob && ReferenceEquals(found.Value, next.Value);
            if (!isThere || TryFinish(next)) _unfinished.Dequeue();
        }
    }

    /// <summary>Moves what belongs to a value, as far as it goes. True at the end.</summary>
    private bool TryFinish(Unfinished item)
    {
        long moved = _mover.Moved;
        item.From = item.Value.Defragment(_mover, item.From);
        item.HasMoved |= _mover.Moved != moved;
        if (item.From is not null) return false;
        store.Statistics.CountKeysDefragmented(item.HasMoved ? 1 : 0, item.HasMoved ? 0 : 1);
        return true;
    }

    /// <summary>A value of which a part is still to be looked at. It may have been deleted meanwhile.</summary>
    private sealed class Unfinished(Value value)
    {
        public Value Value { get; } = value;

        /// <summary>Where to continue; null at the beginning.</summary>
        public object? From { get; set; }

        public bool HasMoved { get; set; }
    }
}
