using System.Globalization;
using System.Text;

namespace OrleansRedis.Engine;

/// <summary>
/// What DEBUG tells about keys: OBJECT, LISTPACK, DIGEST-VALUE and DIGEST. They wait for a slot as every command does,
/// without holding up the thread: if the gate is taken, the attempt ends, and starts over once the gate is free.
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

    /// <summary>
    /// DEBUG DIGEST — see <see cref="KeyspaceDigest.OfAll"/>. It goes through everything, so it does that on a thread of
    /// the pool, as a long command does; in a transaction it is a part of that, which runs alone.
    /// </summary>
    public static void Digest(ref CommandContext call)
    {
        SlotTable slots = call.Store.Slots;
        if (call.Hold == Hold.Everything)
        {
            call.Reply.SimpleString(Encoding.ASCII.GetBytes(KeyspaceDigest.OfAll(slots)));
            return;
        }
        SiloGate gate = call.Store.SiloGate;
        call.Continuation = async reply =>
        {
            await Task.CompletedTask.ConfigureAwait(ConfigureAwaitOptions.ForceYielding);
            await gate.EnterLongAsync().ConfigureAwait(false);
            try
            {
                reply.SimpleString(Encoding.ASCII.GetBytes(KeyspaceDigest.OfAll(slots)));
            }
            finally
            {
                gate.ExitLong();
            }
        };
    }

    private static KeyEntry Find(in CommandContext call, Slot slot, ReadOnlySpan<byte> key)
    {
        if (slot.KeyspaceIfAny(call.Session.Database) is not { } keyspace) return default;
        Entry entry = keyspace.Find(key);
        return entry.IsMissing || entry.ExpiresAtMs <= call.NowMs ? default : entry.Found;
    }

    private static string? Describe(in CommandContext call, Slot slot, ReadOnlySpan<byte> key)
    {
        KeyEntry entry = Find(call, slot, key);
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
