namespace OrleansRedis.Engine;

/// <summary>How a command waits for keys.</summary>
public ref partial struct CommandContext
{
    /// <summary>
    /// To be called, as its last act, by a command that finds nothing to do. The command runs again whenever one of
    /// these keys changes and holds this type, and ends with a null array at the deadline (see
    /// <see cref="BlockingTimeout"/>). False if it may not block; it must then reply with whatever means "nothing".
    /// </summary>
    /// <param name="type">The type that makes a key ready.</param>
    /// <param name="firstKey">Position of the first key's argument; the others follow it.</param>
    /// <param name="keyCount">The number of keys.</param>
    /// <param name="deadlineMs">Unix time, or <see cref="BlockingTimeout.Never"/>.</param>
    /// <param name="wantsDeletion">Whether to run it again also when a key is deleted or changes its type.</param>
    /// <param name="runAs">What to run then, if not the same request: XREAD with "$" replaced by a definite ID. Its
    /// keys are the same.</param>
    internal bool TryBlock(ValueType type, int firstKey, int keyCount, long deadlineMs, bool wantsDeletion = false, OwnedRequest? runAs = null)
    {
        if (Resumed is not null)
        {
            BlockedAgain = true;
            return true;
        }
        if (!MayBlock) return false;

        if (deadlineMs != BlockingTimeout.Never) deadlineMs = Math.Max(1, deadlineMs - Session.WaitedMs);
        var slots = new SortedSet<int>();
        List<int> positions = [];
        Command.LocateKeys(Request, positions);
        foreach (int position in positions) slots.Add(KeySlot.Of(Request[position]));
        var blocked = new BlockedCommand(Store, Session, Command, runAs ?? Request.ToOwned(), type, wantsDeletion, [.. slots], keyCount, deadlineMs);
        blocked.Reply.Resp3 = Reply.Resp3;
        for (int i = 0; i < keyCount; i++)
        {
            ReadOnlySpan<byte> key = Request[firstKey + i];
            Slot slot = KeyspaceOf(key).Slot;
            BlockedKey blockedKey = BlockedKey.Of(slot, Session.Database, key);
            if (!blockedKey.Waiting.Contains(blocked)) blocked.WaitFor(i, blockedKey);
        }
        blocked.Start();
        Continuation = blocked.WaitAsync;
        return true;
    }
}
