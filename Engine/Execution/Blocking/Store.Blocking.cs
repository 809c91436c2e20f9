using System.Diagnostics;

namespace OrleansRedis.Engine;

/// <summary>Serves blocked commands when one of their keys is ready.</summary>
public sealed partial class Store
{
    /// <summary>
    /// How many commands are in queues of keys, or have only just left them. While there are any, keys may become
    /// ready.
    /// </summary>
    internal int BlockedCommands;

    /// <summary>How many of them still wait; the end of the others is decided.</summary>
    internal int WaitingCommands;

    /// <summary>How many clients wait in a blocking command (INFO blocked_clients).</summary>
    public int BlockedCount => Volatile.Read(ref WaitingCommands);

    /// <summary>
    /// At the end of a command, inside its gates: runs the commands that wait for the keys it has changed, in the order
    /// of the changes and then of arrival. Their own changes may let others run in turn. A key whose next command in
    /// line reaches slots that are not held here stays ready, for <see cref="ServeRest"/>.
    /// </summary>
    internal void ServeReady(Hold hold, Slot? only)
    {
        List<BlockedKey> ready = BlockedKey.Ready;
        int left = 0;
        for (int i = 0; i < ready.Count; i++) // serving adds to it
        {
            BlockedKey key = ready[i];
            if (IsHeld(key.Slot, hold, only))
            {
                key.IsReady = false;
                if (TryServe(key, hold, only)) continue;
                key.IsReady = true;
            }
            ready[left++] = key;
        }
        ready.RemoveRange(left, ready.Count - left);
    }

    /// <summary>
    /// After a command, with its gates released: serves what could not be served inside them, before the connection's
    /// next command.
    /// </summary>
    private void ServeRest(ref CommandContext call)
    {
        BlockedKey[] rest = [.. BlockedKey.Ready];
        BlockedKey.Ready.Clear();
        if (TryServeRoaming(rest)) return;
        // Another command is roaming, and for long. This thread has other connections, so the wait happens elsewhere.
        Func<RespWriter, Task>? first = call.Continuation;
        call.Continuation = async reply =>
        {
            await ServeLaterAsync(rest).ConfigureAwait(false);
            if (first is not null) await first(reply).ConfigureAwait(false);
        };
    }

    /// <summary>
    /// To be called, with no gate held, after anything other than a command (the active expiry) has changed keys on
    /// this thread: serves the commands that wait for them. A key left ready on a thread that runs no commands would
    /// stay ready forever, and never be served.
    /// </summary>
    internal Task ServeChangedAsync()
    {
        if (!BlockedKey.AnyReady) return Task.CompletedTask;
        BlockedKey[] rest = [.. BlockedKey.Ready];
        BlockedKey.Ready.Clear();
        return ServeLaterAsync(rest);
    }

    private async Task ServeLaterAsync(BlockedKey[] keys)
    {
        while (true)
        {
            int stripe = await SiloGate.EnterSharedAsync().ConfigureAwait(false);
            bool served = TryServeRoaming(keys);
            SiloGate.ExitShared(stripe);
            if (served) return;
            await _roaming.WhenReleased().ConfigureAwait(false);
        }
    }

    private bool TryServeRoaming(BlockedKey[] keys)
    {
        HeldSlots held = HeldSlots.Mine;
        if (!held.TryRoam(ref _roaming)) return false;
        try
        {
            foreach (BlockedKey key in keys)
            {
                // A slot that has left in the meantime has told its waiters so.
                if (TryHold(key.Slot.Number, Hold.Slots) && ReferenceEquals(Slots[key.Slot.Number], key.Slot)) BlockedKey.Ready.Add(key);
            }
            ServeReady(Hold.Slots, null);
        }
        finally
        {
            held.Release(ref _roaming);
        }
        return true;
    }

    /// <summary>
    /// Serves a key as far as possible; false if the next command in line reaches slots that are not held.
    /// </summary>
    private bool TryServe(BlockedKey key, Hold hold, Slot? only)
    {
        Keyspace keyspace = key.Slot.Keyspace(key.Database);
        LinkedListNode<BlockedCommand>? place = key.Waiting.First;
        while (place is not null)
        {
            BlockedCommand command = place.Value;
            LinkedListNode<BlockedCommand>? next = place.Next;
            Entry entry = keyspace.Find(key.Key);
            bool present = !entry.IsMissing && (entry.ExpiresAtMs > Clock.NowMs || IgnoresExpiry);
            if (!present && key.WaitingForDeletion == 0) return true;
            bool wanted = present && entry.Type == command.Type ? true : command.WantsDeletion;
            if (wanted && command.IsWaiting)
            {
                if (!Reaches(command, hold, only)) return false;
                Resume(command, hold);
            }
            place = next;
        }
        return true;
    }

    private void Resume(BlockedCommand command, Hold hold)
    {
        if (!command.TryClaim()) return;
        if (Acl.Denies(command.Session, command.Command, command.Request.Request, AclContext.Toplevel, out AclVerdict verdict))
        {
            // The rules have changed while it was waiting.
            command.Refuse($"NOPERM {verdict.Message(command.Session.User.Name, command.Command)}");
            return;
        }
        if (hold != Hold.Slot && !Array.TrueForAll(command.Slots, number => TryHold(number, hold)))
        {
            command.Unclaim();
            command.TryEnd(BlockedEnd.Moved);
            return;
        }
        var call = new CommandContext(this, command.Session, command.Reply)
        {
            Command = command.Command,
            Request = command.Request.Request,
            NowMs = Clock.NowMs,
            Resumed = command,
        };
        bool oneSlot = command.Slots.Length == 1 && !command.Command.Is(CommandFlags.UndeclaredKeys);
        long started = Stopwatch.GetTimestamp();
        call.BeginCommand(oneSlot && hold != Hold.Everything ? Hold.Slot : hold, oneSlot ? Slots[command.Slots[0]] : null);
        try
        {
            command.Command.Method!(ref call);
            call.EndResumed();
        }
        catch (Exception e)
        {
            // A failure here must not fail the command that made the key ready.
            call.EndFailedCommand();
            command.Reply.Clear();
            command.Reply.Error($"ERR internal error in '{command.Command.Name}': {e.Message}");
        }
        command.RunTicks += Stopwatch.GetTimestamp() - started;
        if (call.BlockedAgain) command.Unclaim();
        else command.Served();
    }

    private bool IsHeld(Slot slot, Hold hold, Slot? only) => hold switch
    {
        Hold.Slot => ReferenceEquals(slot, only),
        Hold.Slots => HeldSlots.Mine.Has(slot),
        Hold.Everything => true,
        _ => false,
    };

    private bool Reaches(BlockedCommand command, Hold hold, Slot? only) => hold switch
    {
        Hold.Slot => command.Slots.Length == 1 && command.Slots[0] == only!.Number,
        Hold.Slots => HeldSlots.Mine.Roams
            || Array.TrueForAll(command.Slots, number => Slots[number] is not { } slot || HeldSlots.Mine.Has(slot)),
        _ => true,
    };

    /// <summary>
    /// Makes sure that a slot's gate is held, if the slot is here. A thread that does not roam already holds the gates
    /// it needs (<see cref="Reaches"/>).
    /// </summary>
    private bool TryHold(int number, Hold hold)
    {
        Slot? slot = Slots[number];
        if (slot is null) return false;
        if (hold == Hold.Everything) return slot.IsOpen;
        HeldSlots held = HeldSlots.Mine;
        if (held.Has(slot)) return true;
        if (!held.Roams) return false;
        held.Take(slot);
        return slot.IsOpen;
    }
}
