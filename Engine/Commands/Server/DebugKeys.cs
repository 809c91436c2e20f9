using System.Globalization;
using System.Text;

namespace OrleansRedis.Engine;

/// <summary>
/// What DEBUG tells about keys: OBJECT, LISTPACK, DIGEST-VALUE, DIGEST, HTSTATS and HTSTATS-KEY. They wait for a slot as
/// every command does, without holding up the thread: if the gate is taken, the attempt ends, and starts over once the
/// gate is free. Those that go through very much run on a thread of the pool, as a long command does, and wait there; in
/// a transaction they are a part of that, which runs alone.
/// </summary>
public static class DebugKeys
{
    /// <summary>How many bytes DEBUG LISTPACK shows of a string.</summary>
    private const int MostPrinted = 40;

    /// <summary>
    /// DEBUG OBJECT key — how a key is stored. There are no addresses to show, so the slot stands in their place.
    /// </summary>
    public static void Object(ref CommandContext call)
    {
        ReadOnlySpan<byte> key = call[2];
        string? description = null;
        if (call.Enter(KeySlot.Of(key)) is { } slot)
        {
            description = Describe(call, slot, key);
            call.Leave(slot);
        }
        if (description is null) call.Reply.Error(Errors.NoSuchKey);
        else call.Reply.SimpleString(Encoding.ASCII.GetBytes(description));
    }

    /// <summary>DEBUG LISTPACK key — prints a listpack on the server's standard output, element by element.</summary>
    public static void Listpack(ref CommandContext call)
    {
        ReadOnlySpan<byte> key = call[2];
        KeyEntry entry = default;
        string? printed = null;
        if (call.Enter(KeySlot.Of(key)) is { } slot)
        {
            entry = Find(call, slot, key);
            if (!entry.IsNone && entry.Encoding is "listpack" or "listpackex") printed = Print(Engine.Listpack.In(entry.Blob));
            call.Leave(slot);
        }
        if (entry.IsNone)
        {
            call.Reply.Error(Errors.NoSuchKey);
        }
        else if (printed is null)
        {
            call.Reply.Error("ERR Not a listpack encoded object."u8);
        }
        else
        {
            Console.Out.Write(printed);
            call.Reply.SimpleString("Listpack structure printed on stdout"u8);
        }
    }

    /// <summary>DEBUG DIGEST-VALUE key [key ...] — see <see cref="KeyspaceDigest.OfKey"/>.</summary>
    public static void DigestValues(ref CommandContext call)
    {
        call.Reply.Array(call.Count - 2);
        for (int i = 2; i < call.Count && call.BusySlot < 0; i++)
        {
            Slot? slot = call.Enter(KeySlot.Of(call[i]));
            call.Reply.SimpleString(Encoding.ASCII.GetBytes(KeyspaceDigest.OfKey(slot, call[i], call.Session.Database)));
            if (slot is not null) call.Leave(slot);
        }
    }

    /// <summary>DEBUG DIGEST — see <see cref="KeyspaceDigest.OfAll"/>.</summary>
    public static void Digest(ref CommandContext call)
    {
        SlotTable slots = call.Store.Slots;
        RunAside(ref call, reply => reply.SimpleString(Encoding.ASCII.GetBytes(KeyspaceDigest.OfAll(slots))));
    }

    /// <summary>
    /// DEBUG HTSTATS dbid [full] — how the cells of the database's tables are used. There is one for each slot; they are
    /// taken together.
    /// </summary>
    public static void Tables(ref CommandContext call)
    {
        if (!call.TryInt64(2, out long database)) return;
        SlotTable slots = call.Store.Slots;
        if (database < 0 || database >= slots.Databases)
        {
            call.Reply.Error("ERR Out of range database"u8);
            return;
        }
        bool inFull = AsksForAll(call);
        RunAside(ref call, reply =>
        {
            TableStatistics main = new(), target = new();
            for (int number = 0; number < KeySlot.Count; number++)
            {
                if (slots.KeyCount((int)database, number) == 0) continue;
                InSlot(slots, number, slot => slot.KeyspaceIfAny((int)database)?.CountCells(main, target, inFull));
            }
            var text = new StringBuilder("[Dictionary HT]\n");
            Tell(text, main, target, inFull);
            text.Append("[Expires HT]\nNo such table: a key's time of expiry is stored with the key\n");
            text.Append(CultureInfo.InvariantCulture, $" number of elements: {slots.ExpiringKeys.Sum((int)database)}\n");
            reply.Verbatim("txt"u8, Encoding.ASCII.GetBytes(text.ToString()));
        });
    }

    /// <summary>DEBUG HTSTATS-KEY key [full] — the same for the table of a set, a hash or a sorted set.</summary>
    public static void TableOfKey(ref CommandContext call)
    {
        byte[] key = call[2].ToArray();
        SlotTable slots = call.Store.Slots;
        int database = call.Session.Database;
        long nowMs = call.NowMs;
        bool inFull = AsksForAll(call);
        RunAside(ref call, reply =>
        {
            TableStatistics main = new(), target = new();
            bool isThere = false, isTable = false;
            InSlot(slots, KeySlot.Of(key), slot =>
            {
                KeyEntry entry = Find(slot, key, database, nowMs);
                isThere = !entry.IsNone;
                isTable = isThere && !entry.IsBlob && TryCount(entry.Value, main, target, inFull);
            });
            if (!isThere)
            {
                reply.Error(Errors.NoSuchKey);
            }
            else if (!isTable)
            {
                reply.Error("ERR The value stored at the specified key is not represented using an hash table"u8);
            }
            else
            {
                var text = new StringBuilder();
                Tell(text, main, target, inFull);
                reply.Verbatim("txt"u8, Encoding.ASCII.GetBytes(text.ToString()));
            }
        });
    }

    private static bool AsksForAll(in CommandContext call) => call.Count > 3 && call[3].Is("full"u8);

    private static bool TryCount(Value value, TableStatistics main, TableStatistics target, bool inFull)
    {
        switch (value)
        {
            case SetValue set:
                set.Members.CountCells(main, target, inFull);
                return true;
            case HashValue hash:
                hash.Fields.CountCells(main, target, inFull);
                return true;
            case SortedSetValue sortedSet:
                sortedSet.Members.CountCells(main, target, inFull);
                return true;
            default:
                return false;
        }
    }

    private static void Tell(StringBuilder text, TableStatistics main, TableStatistics target, bool inFull)
    {
        main.Tell(text, isTarget: false, inFull);
        if (target.Cells != 0) target.Tell(text, isTarget: true, inFull);
    }

    /// <summary>Does something in a slot, if it is here; waits for its gate, so the caller holds none.</summary>
    private static void InSlot(SlotTable slots, int number, Action<Slot> look)
    {
        if (slots[number] is not { } slot) return;
        slot.Gate.Enter();
        try
        {
            if (slot.IsOpen) look(slot);
        }
        finally
        {
            slot.Leave();
        }
    }

    private static void RunAside(ref CommandContext call, Action<RespWriter> tell)
    {
        if (call.Hold == Hold.Everything)
        {
            tell(call.Reply);
            return;
        }
        SiloGate gate = call.Store.SiloGate;
        call.Continuation = async reply =>
        {
            await Task.CompletedTask.ConfigureAwait(ConfigureAwaitOptions.ForceYielding);
            await gate.EnterLongAsync().ConfigureAwait(false);
            try
            {
                tell(reply);
            }
            finally
            {
                gate.ExitLong();
            }
        };
    }

    private static KeyEntry Find(in CommandContext call, Slot slot, ReadOnlySpan<byte> key) => Find(slot, key, call.Session.Database, call.NowMs);

    private static KeyEntry Find(Slot slot, ReadOnlySpan<byte> key, int database, long nowMs)
    {
        if (slot.KeyspaceIfAny(database) is not { } keyspace) return default;
        Entry entry = keyspace.Find(key);
        return entry.IsMissing || entry.ExpiresAtMs <= nowMs ? default : entry.Found;
    }

    private static string? Describe(in CommandContext call, Slot slot, ReadOnlySpan<byte> key)
    {
        // An expired key that is still there is described, as in Redis.
        KeyEntry entry = Find(slot, key, call.Session.Database, nowMs: long.MinValue);
        if (entry.IsNone) return null;
        ServerOptions options = call.Store.Options;
        uint clock = entry.AccessClock;
        long idleSeconds = options.UsesLfu ? 0 : Access.IdleMs(clock, call.NowMs) / 1000;
        string description = string.Create(CultureInfo.InvariantCulture,
            $"Value at:slot-{slot.Number} refcount:1 encoding:{entry.Encoding} "
                + $"serializedlength:{DumpPayload.Of(entry, options).Length - DumpPayload.Overhead} "
                + $"memory:{entry.BytesWithCell} lru:{clock} lru_seconds_idle:{idleSeconds}");
        return !entry.IsBlob && entry.Value is ListValue list ? description + Describe(list.Elements) : description;
    }

    private static unsafe string Describe(Quicklist list)
    {
        long bytes = 0;
        for (QuicklistNode* node = list.Head; node != null; node = node->Next) bytes += node->Length;
        return string.Create(CultureInfo.InvariantCulture,
            $" ql_nodes:{list.NodeCount} ql_avg_node:{(double)list.Count / list.NodeCount:F2} ql_listpack_max:{list.Fill} "
                + $"ql_compressed:{(list.CompressDepth == 0 ? 0 : 1)} ql_uncompressed_size:{bytes}");
    }

    private static unsafe string Print(Listpack listpack)
    {
        var text = new StringBuilder();
        text.Append(CultureInfo.InvariantCulture, $"{{total bytes {listpack.Length}}} {{num entries {listpack.Count}}}\n");
        int index = 0;
        for (int at = listpack.First, next; at >= 0; at = next, index++)
        {
            next = listpack.Next(at);
            ListpackElement element = listpack[at];
            ReadOnlySpan<byte> bytes = new(listpack.Block + at, (next >= 0 ? next : listpack.EndPosition) - at);
            text.Append(CultureInfo.InvariantCulture, $"{{\n\tindex: {index},\n\toffset: {at - listpack.Start},\n\tbytes: {Convert.ToHexString(bytes)}\n");
            if (element.IsInteger) text.Append(CultureInfo.InvariantCulture, $"\t[int]{element.Integer}");
            else if (element.Text.Length > MostPrinted) text.Append("\t[str]").Append(Encoding.Latin1.GetString(element.Text[..MostPrinted])).Append("...");
            else text.Append("\t[str]").Append(Encoding.Latin1.GetString(element.Text));
            text.Append("\n}\n");
        }
        return text.Append("{end}\n\n").ToString();
    }
}
