using System.Text;

namespace OrleansRedis.Engine;

/// <summary>
/// What DEBUG tells about keys: OBJECT, DIGEST-VALUE and DIGEST. They wait for a slot as every command does, without
/// holding up the thread: if the gate is taken, the attempt ends, and starts over once the gate is free.
/// </summary>
public static class DebugKeys
{
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

    private static string? Describe(in CommandContext call, Slot slot, ReadOnlySpan<byte> key)
    {
        if (slot.KeyspaceIfAny(call.Session.Database) is not { } keyspace) return null;
        Entry entry = keyspace.Find(key);
        if (entry.IsMissing) return null; // an expired key that is still there is described, as in Redis
        uint clock = KeyEntry.AccessClock(entry.Object);
        long idleSeconds = call.Store.Options.UsesLfu ? 0 : Access.IdleMs(clock, call.NowMs) / 1000;
        return $"Value at:slot-{slot.Number} refcount:1 encoding:{KeyEntry.EncodingOf(entry.Object)} "
            + $"memory:{KeyEntry.BytesWithCell(entry.Object)} lru:{clock} lru_seconds_idle:{idleSeconds}";
    }
}
