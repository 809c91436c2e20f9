using System.Runtime.InteropServices;

namespace OrleansRedis.Engine;

/// <summary>The gates for a session's transaction.</summary>
public sealed partial class Store
{
    /// <summary>
    /// Flags of commands that cannot be confined to the slots of declared keys: a transaction with such a command runs
    /// alone.
    /// </summary>
    private const CommandFlags Unconfined = CommandFlags.Exclusive | CommandFlags.WholeKeyspace | CommandFlags.UndeclaredKeys;

    /// <summary>
    /// Runs EXEC, DISCARD or UNWATCH inside the gates of all watched keys and, for EXEC, of all keys of the queued
    /// commands.
    /// </summary>
    private Attempt RunForSession(ref CommandContext call, bool isLong = false)
    {
        if (call.Session.WatchesElsewhere && (!call.Command.Is(CommandFlags.NotQueued) || call.Session.Transaction is { IsOpen: true }))
            return new(Outcome.EverySilo);
        if (call.Session.Transaction is not { } transaction) return RunWithout(ref call);
        bool runsQueue = RunsQueue(call);
        if (runsQueue && (transaction.QueuedFlags & Spreading) != 0 && call.Session.IsOneOfMany) return new(Outcome.EverySilo);
        if (runsQueue && (transaction.QueuedFlags & Unconfined) != 0) return new(Outcome.NeedsExclusive);
        if (transaction.WatchedCount == 0 && !runsQueue) return RunWithout(ref call);

        List<int> slots = t_slots ??= [];
        slots.Clear();
        transaction.CollectSlots(slots, runsQueue);
        if (slots.Count == 0) return RunWithout(ref call);
        Span<int> numbers = CollectionsMarshal.AsSpan(slots);
        numbers.Sort();
        // Everything in one slot is the usual case with hash tags.
        return numbers[0] == numbers[^1] && !isLong ? RunInSlot(ref call, numbers[0]) : RunInSlots(ref call, numbers, isLong);
    }

    /// <summary>Whether the command is EXEC and will run the queue.</summary>
    private static bool RunsQueue(in CommandContext call) =>
        call.Command.Is(CommandFlags.RunsQueue) && call.Session.Transaction is { IsOpen: true, IsPoisoned: false };

    /// <summary>
    /// The slot that holds all keys of a request; null if there are no keys, several slots, or keys that the request
    /// does not name.
    /// </summary>
    internal Slot? OnlySlotOf(CommandInfo command, in Request request)
    {
        if (command.Is(CommandFlags.UndeclaredKeys)) return null;
        if (command.SingleKey != 0) return command.SingleKey < request.Count ? Slots[KeySlot.Of(request[command.SingleKey])] : null;
        List<int> slots = t_slots ??= [];
        slots.Clear();
        command.LocateKeys(request, slots);
        if (slots.Count == 0) return null;
        int number = KeySlot.Of(request[slots[0]]);
        for (int i = 1; i < slots.Count; i++)
        {
            if (KeySlot.Of(request[slots[i]]) != number) return null;
        }
        return Slots[number];
    }
}
