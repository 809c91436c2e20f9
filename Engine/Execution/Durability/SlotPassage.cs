namespace OrleansRedis.Engine;

/// <summary>
/// What the silo's own log is told of slots that come here and leave, so that it always has what the silo has: a slot
/// that comes is logged as the RESTORE of its keys, one that leaves as their UNLINK. Nothing is logged while nobody reads
/// the log.
/// </summary>
public static class SlotPassage
{
    /// <summary>How many keys one UNLINK names.</summary>
    private const int KeysAtOnce = 128;

    /// <summary>
    /// Logs everything that a slot holds. Nobody changes it meanwhile: nobody else sees it, or the caller holds its gate.
    /// </summary>
    public static void LogArrival(Store store, Slot slot)
    {
        if (!store.Effects.HasConsumers) return;
        var frame = new RespWriter();
        for (int database = 0; database < store.Slots.Databases; database++)
        {
            if (slot.KeyspaceIfAny(database) is not { Count: > 0 } keyspace) continue;
            foreach (KeyEntry entry in keyspace)
            {
                frame.Clear();
                frame.Array(6);
                frame.BulkString("RESTORE"u8);
                frame.BulkString(entry.Key);
                frame.BulkInteger(entry.ExpiresAtMs == Expiry.Never ? 0 : entry.ExpiresAtMs);
                frame.BulkString(DumpPayload.Of(entry, store.Options));
                frame.BulkString("REPLACE"u8);
                frame.BulkString("ABSTTL"u8);
                Append(store, database, frame.Written);
            }
            DumpPayload.Forget();
        }
    }

    /// <summary>Does the same, with the slot's gate held, for a slot that is open.</summary>
    public static void LogAgain(Store store, Slot slot)
    {
        slot.Gate.Enter();
        try
        {
            if (slot.IsHere) LogArrival(store, slot);
        }
        finally
        {
            slot.Leave();
        }
    }

    /// <summary>Logs that nothing of a slot is here any more. Nobody changes it meanwhile.</summary>
    public static void LogDeparture(Store store, Slot slot)
    {
        if (!store.Effects.HasConsumers) return;
        var frame = new RespWriter();
        var keys = new List<byte[]>(KeysAtOnce);
        for (int database = 0; database < store.Slots.Databases; database++)
        {
            if (slot.KeyspaceIfAny(database) is not { Count: > 0 } keyspace) continue;
            foreach (KeyEntry entry in keyspace)
            {
                keys.Add(entry.Key.ToArray());
                if (keys.Count == KeysAtOnce) Unlink(store, database, keys, frame);
            }
            if (keys.Count > 0) Unlink(store, database, keys, frame);
        }
    }

    /// <summary>
    /// Does the effects of a record (<see cref="SlotRecord"/>) to a slot that nobody else sees yet, and logs them.
    /// </summary>
    /// <param name="store">The silo's data.</param>
    /// <param name="slot">The slot.</param>
    /// <param name="record">The record.</param>
    /// <param name="leaveOut">How many effects at its beginning the slot has already.</param>
    /// <param name="replay">Runs them.</param>
    /// <returns>How many effects there were, including those left out.</returns>
    /// <exception cref="InvalidDataException">One of them cannot be run.</exception>
    public static long Apply(Store store, Slot slot, ReadOnlySpan<byte> record, long leaveOut, SlotReplay replay)
    {
        if (!store.Effects.HasConsumers) return replay.Run(slot, record, leaveOut);
        // A command on a whole database means this slot's share of it, which the silo's log cannot say.
        if (IsOnDatabase(record))
        {
            LogDeparture(store, slot);
            long all = replay.Run(slot, record, leaveOut);
            LogArrival(store, slot);
            return all;
        }
        long effects = replay.Run(slot, record, leaveOut);
        int database = 0, number = 0;
        var arguments = new ArgumentList();
        for (int at = 0; at < record.Length;)
        {
            ReadOnlySpan<byte> frame = Next(record, ref at, ref arguments, out Request request);
            if (request[0].Is("SELECT"u8))
            {
                _ = Numbers.TryParseInt64(request[1], out long selected);
                database = (int)selected;
            }
            else if (++number > leaveOut) Append(store, database, frame);
        }
        return effects;
    }

    /// <summary>All of a slot has come: its own history begins here. To save what it holds is a change to this silo's files.</summary>
    public static void Finish(Store store, Slot slot)
    {
        SlotReplay.Finish(slot);
        for (int database = 0; database < store.Slots.Databases; database++) slot.Changes += slot.KeyspaceIfAny(database)?.Count ?? 0;
    }

    private static bool IsOnDatabase(ReadOnlySpan<byte> record)
    {
        var arguments = new ArgumentList();
        for (int at = 0; at < record.Length;)
        {
            Next(record, ref at, ref arguments, out Request request);
            if (request[0].Is("FLUSHALL"u8) || request[0].Is("FLUSHDB"u8) || request[0].Is("SWAPDB"u8)) return true;
        }
        return false;
    }

    private static ReadOnlySpan<byte> Next(ReadOnlySpan<byte> record, ref int at, ref ArgumentList arguments, out Request request)
    {
        arguments.Clear();
        if (AofFrameReader.Read(record[at..], at, ref arguments, out long length) != AofFrame.Command)
            throw new InvalidDataException($"A log record is damaged at byte {at}.");
        ReadOnlySpan<byte> frame = record.Slice(at, (int)length);
        request = new Request(record, arguments.Slice(0, arguments.Count), frame);
        at += (int)length;
        return frame;
    }

    private static void Unlink(Store store, int database, List<byte[]> keys, RespWriter frame)
    {
        frame.Clear();
        frame.Array(keys.Count + 1);
        frame.BulkString("UNLINK"u8);
        foreach (byte[] key in keys) frame.BulkString(key);
        keys.Clear();
        Append(store, database, frame.Written);
    }

    private static void Append(Store store, int database, ReadOnlySpan<byte> frame) =>
        store.Effects.Log.Append([new(Effect.NoSlot, 0, 0, database, 0, frame.Length)], frame);
}
