namespace OrleansRedis.Engine;

/// <summary>The commands that wait for one key, in order of arrival. Used under the gate of the key's slot.</summary>
internal sealed class BlockedKey(Slot slot, int database, byte[] key) : IKeyWatcher
{
    [ThreadStatic]
    private static List<BlockedKey>? t_ready;

    public WatcherKind Kind => WatcherKind.Blocked;

    public Slot Slot { get; } = slot;

    public int Database { get; } = database;

    public byte[] Key { get; } = key;

    public LinkedList<BlockedCommand> Waiting { get; } = new();

    /// <summary>How many of them also wait for the key to be deleted.</summary>
    public int WaitingForDeletion { get; private set; }

    /// <summary>Whether it is already among the keys to be served, and must not be added to them again.</summary>
    public bool IsReady { get; set; }

    /// <summary>
    /// Keys that the command running on this thread has changed and that others wait for, in the order of the changes.
    /// Emptied at the end of the command; anything else that changes keys (the active expiry) empties it with
    /// <see cref="Store.ServeChangedAsync"/>.
    /// </summary>
    public static List<BlockedKey> Ready => t_ready ??= [];

    public static bool AnyReady => t_ready is { Count: > 0 };

    /// <summary>The queue of commands that wait for a key; created if there is none.</summary>
    public static BlockedKey Of(Slot slot, int database, ReadOnlySpan<byte> key)
    {
        KeyWatchers watchers = slot.Watchers ??= new();
        if (watchers.Find<BlockedKey>(database, key) is { } found) return found;
        var made = new BlockedKey(slot, database, key.ToArray());
        watchers.Add(database, key, made);
        return made;
    }

    public void KeyChanged(int changedDatabase, ReadOnlySpan<byte> changedKey)
    {
        if (IsReady) return;
        IsReady = true;
        Ready.Add(this);
    }

    public void SlotWithdrawn()
    {
        foreach (BlockedCommand command in Waiting) command.TryEnd(BlockedEnd.Moved);
    }

    public LinkedListNode<BlockedCommand> Add(BlockedCommand command)
    {
        if (command.WantsDeletion) CountWaitingForDeletion(1);
        return Waiting.AddLast(command);
    }

    /// <summary>Removes a command from the queue; the queue goes away with the last one.</summary>
    public void Remove(LinkedListNode<BlockedCommand> place)
    {
        if (place.List is null) return;
        if (place.Value.WantsDeletion) CountWaitingForDeletion(-1);
        Waiting.Remove(place);
        if (Waiting.Count == 0) Slot.Watchers?.Remove(Database, Key, this);
    }

    private void CountWaitingForDeletion(int difference)
    {
        bool before = WaitingForDeletion > 0;
        WaitingForDeletion += difference;
        bool after = WaitingForDeletion > 0;
        if (before != after && Slot.Watchers is { } watchers) watchers.BlockingKeysForDeletion += after ? 1 : -1;
    }
}
