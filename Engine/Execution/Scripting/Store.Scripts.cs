using System.Runtime.InteropServices;

namespace OrleansRedis.Engine;

/// <summary>The gates of scripts. docs/architecture/concurrency.md tells how scripts use them.</summary>
public sealed partial class Store
{
    /// <summary>The scripts; null if there can be none.</summary>
    public IScripts? Scripts { get; internal set; }

    /// <summary>DEBUG SET-DISABLE-DENY-SCRIPTS: scripts may call any command, for tests.</summary>
    public bool AllowsAllInScripts { get; set; }

    /// <summary>
    /// Called by a script that has been running for some time: if it keeps others waiting on its thread, they go
    /// elsewhere.
    /// </summary>
    public Action? StandingStill { get; set; }

    /// <summary>
    /// Runs a script that is known to stay within its declared keys in their gates, taken all or none; any other one
    /// roams.
    /// </summary>
    private Attempt ExecuteScript(ref CommandContext call, bool isAside = false)
    {
        call.BeginScriptAnew(Outcome.Done);
        call.Callable = Scripts?.Find(call.Command, call.Request);
        if (call.Callable?.Traits is not { } traits)
        {
            Run(ref call, Hold.None, null); // replies with an error, unless this is the very first script
            return new(call.Restart);
        }
        if (traits.RunsAlone) return new(Outcome.NeedsExclusive);
        if (!isAside && (traits.IsSlow || !traits.HasRun)) return new(Outcome.Long);
        List<int> slots = t_slots ??= [];
        slots.Clear();
        call.Command.LocateKeys(call.Request, slots);
        Span<int> numbers = CollectionsMarshal.AsSpan(slots);
        foreach (ref int number in numbers) number = KeySlot.Of(call.Request[number]);
        if (numbers.Length > 1) numbers.Sort();
        return RunScript(ref call, numbers, traits.Roams);
    }

    private Attempt RunScript(ref CommandContext call, ReadOnlySpan<int> numbers, bool roams)
    {
        HeldSlots held = HeldSlots.Mine;
        if (roams && !held.TryRoam(ref _roaming)) return new(Outcome.Busy, Roaming);
        int mark = call.Reply.Length;
        try
        {
            foreach (int number in numbers)
            {
                Slot? slot = Slots[number];
                if (slot is null) return new(Outcome.SlotNotHere, number);
                if (held.Has(slot)) continue;
                if (!held.TryTake(slot)) return new(Outcome.Busy, number);
                if (!slot.IsOpen) return new(Outcome.SlotNotHere, number);
            }
            Run(ref call, Hold.Slots, null);
        }
        finally
        {
            held.Release(ref _roaming);
        }
        if (call.Restart != Outcome.Done) call.Reply.TruncateTo(mark);
        if (BlockedCommands != 0 && BlockedKey.AnyReady)
        {
            if (call.Restart == Outcome.Done) ServeRest(ref call);
            else _ = ServeChangedAsync(); // because of an expired key
        }
        return call.Restart switch
        {
            Outcome.SlotNotHere => new(Outcome.SlotNotHere, call.MissingSlot),
            Outcome.Busy => new(Outcome.Busy, Roaming),
            Outcome.NeedsExclusive => new(Outcome.NeedsExclusive),
            _ => default,
        };
    }

    /// <summary>
    /// Makes sure that a running script may touch a slot: it holds the slot's gate, or roams and takes it now. If it
    /// does not roam yet, it begins to, provided that this is possible without waiting; but it had better begin anew, if
    /// it can.
    /// </summary>
    /// <param name="number">The slot.</param>
    /// <param name="hold">What the script holds.</param>
    /// <param name="mayBeginToRoam">Whether it cannot begin anew.</param>
    internal ScriptReach ReachForScript(int number, Hold hold, bool mayBeginToRoam)
    {
        if (Slots[number] is not { } slot) return ScriptReach.NotHere;
        if (hold == Hold.Everything) return slot.IsOpen ? ScriptReach.Reached : ScriptReach.NotHere;
        HeldSlots held = HeldSlots.Mine;
        if (held.Has(slot)) return ScriptReach.Reached;
        if (!held.Roams && !(mayBeginToRoam && held.TryRoam(ref _roaming))) return ScriptReach.MustRoam;
        held.Take(slot);
        return slot.IsOpen ? ScriptReach.Taken : ScriptReach.NotHere;
    }

    /// <summary>The same for all slots at once. Only a script that roams gets them.</summary>
    internal ScriptReach ReachAllForScript(Hold hold)
    {
        if (hold == Hold.Everything) return ScriptReach.Reached;
        for (int number = 0; number < KeySlot.Count; number++)
        {
            if (Slots[number] is null) continue;
            if (ReachForScript(number, hold, mayBeginToRoam: true) == ScriptReach.MustRoam) return ScriptReach.MustRoam;
        }
        return ScriptReach.Reached;
    }

    /// <summary>Whether a running script roams already, or can begin to.</summary>
    internal bool RoamsForScript(Hold hold, bool mayBeginToRoam) =>
        hold == Hold.Everything || HeldSlots.Mine.Roams || (mayBeginToRoam && HeldSlots.Mine.TryRoam(ref _roaming));
}

/// <summary>Whether a script may touch a slot.</summary>
internal enum ScriptReach
{
    /// <summary>It may: its gate was held already.</summary>
    Reached,

    /// <summary>It may: its gate is held from now on.</summary>
    Taken,

    /// <summary>The slot is not on this silo.</summary>
    NotHere,

    /// <summary>Only a roaming script may, and another one roams at present.</summary>
    MustRoam,
}
