namespace OrleansRedis.Engine;

/// <summary>What waits for a key to change.</summary>
internal enum WatcherKind
{
    /// <summary>A transaction, since WATCH.</summary>
    Transaction,

    /// <summary>Commands that are blocked.</summary>
    Blocked,
}

/// <summary>Is told when a key changes: a transaction's WATCH, a blocked client.</summary>
internal interface IKeyWatcher
{
    WatcherKind Kind { get; }

    /// <summary>
    /// The key was modified, created or deleted. Called under the slot's gate: must be quick and must not call back.
    /// </summary>
    void KeyChanged(int database, ReadOnlySpan<byte> key);

    /// <summary>
    /// The key's slot is about to leave this silo, so its later changes will not be reported. Called under the same
    /// rules.
    /// </summary>
    void SlotWithdrawn();
}

/// <summary>The watchers of one slot's keys. Under the slot's gate.</summary>
internal sealed class KeyWatchers
{
    private readonly Dictionary<WatchedKey, List<IKeyWatcher>> _byKey = new(ByDatabaseAndBytes.Instance);
    private readonly Dictionary<WatchedKey, List<IKeyWatcher>>.AlternateLookup<WatchedKeySpan> _bySpan;

    public KeyWatchers() => _bySpan = _byKey.GetAlternateLookup<WatchedKeySpan>();

    public bool IsEmpty => _byKey.Count == 0;

    /// <summary>How many keys transactions watch; read by anyone, as are the other counts.</summary>
    public int WatchedKeys { get; private set; }

    /// <summary>How many keys blocked commands wait for.</summary>
    public int BlockingKeys { get; private set; }

    /// <summary>How many of them are also awaited to be deleted.</summary>
    public int BlockingKeysForDeletion { get; set; }

    public void Add(int database, ReadOnlySpan<byte> key, IKeyWatcher watcher)
    {
        if (!_bySpan.TryGetValue(new(database, key), out List<IKeyWatcher>? watchers))
            _byKey.Add(new(database, key.ToArray()), watchers = []);
        if (watchers.Contains(watcher)) return;
        if (!AnyOf(watchers, watcher.Kind)) CountKey(watcher.Kind, 1);
        watchers.Add(watcher);
    }

    public void Remove(int database, ReadOnlySpan<byte> key, IKeyWatcher watcher)
    {
        if (!_bySpan.TryGetValue(new(database, key), out List<IKeyWatcher>? watchers)) return;
        if (watchers.Remove(watcher) && !AnyOf(watchers, watcher.Kind)) CountKey(watcher.Kind, -1);
        if (watchers.Count == 0) _bySpan.Remove(new(database, key));
    }

    public void Changed(int database, ReadOnlySpan<byte> key)
    {
        if (!_bySpan.TryGetValue(new(database, key), out List<IKeyWatcher>? watchers)) return;
        foreach (IKeyWatcher watcher in watchers) watcher.KeyChanged(database, key);
    }

    /// <summary>The first watcher of this type on a key; null if there is none.</summary>
    public T? Find<T>(int database, ReadOnlySpan<byte> key)
        where T : class, IKeyWatcher
    {
        if (!_bySpan.TryGetValue(new(database, key), out List<IKeyWatcher>? watchers)) return null;
        foreach (IKeyWatcher watcher in watchers)
        {
            if (watcher is T found) return found;
        }
        return null;
    }

    /// <summary>All watchers of this type, as they are now.</summary>
    public T[] All<T>()
        where T : class, IKeyWatcher => [.. _byKey.Values.SelectMany(static watchers => watchers).OfType<T>()];

    /// <summary>The slot is about to leave this silo.</summary>
    public void Withdrawn()
    {
        foreach (List<IKeyWatcher> watchers in _byKey.Values)
        {
            foreach (IKeyWatcher watcher in watchers) watcher.SlotWithdrawn();
        }
    }

    /// <summary>Every watched key of a database, for commands that change a whole database.</summary>
    public IEnumerable<byte[]> KeysOf(int database)
    {
        foreach (WatchedKey watched in _byKey.Keys)
        {
            if (watched.Database == database) yield return watched.Key;
        }
    }

    private static bool AnyOf(List<IKeyWatcher> watchers, WatcherKind kind)
    {
        foreach (IKeyWatcher watcher in watchers)
        {
            if (watcher.Kind == kind) return true;
        }
        return false;
    }

    private void CountKey(WatcherKind kind, int difference)
    {
        if (kind == WatcherKind.Transaction) WatchedKeys += difference;
        else BlockingKeys += difference;
    }

    private readonly record struct WatchedKey(int Database, byte[] Key);

    private readonly ref struct WatchedKeySpan(int database, ReadOnlySpan<byte> key)
    {
        public readonly int Database = database;
        public readonly ReadOnlySpan<byte> Key = key;
    }

    private sealed class ByDatabaseAndBytes : IEqualityComparer<WatchedKey>, IAlternateEqualityComparer<WatchedKeySpan, WatchedKey>
    {
        public static readonly ByDatabaseAndBytes Instance = new();

        public bool Equals(WatchedKey x, WatchedKey y) => x.Database == y.Database && x.Key.AsSpan().SequenceEqual(y.Key);

        public int GetHashCode(WatchedKey watched) => (int)KeyHash.Of(watched.Key) ^ watched.Database;

        public WatchedKey Create(WatchedKeySpan alternate) => new(alternate.Database, alternate.Key.ToArray());

        public bool Equals(WatchedKeySpan alternate, WatchedKey other) =>
            alternate.Database == other.Database && alternate.Key.SequenceEqual(other.Key);

        public int GetHashCode(WatchedKeySpan alternate) => (int)KeyHash.Of(alternate.Key) ^ alternate.Database;
    }
}
