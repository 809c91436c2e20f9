using System.Runtime.InteropServices;

namespace OrleansRedis.Engine;

/// <summary>The gates of scripts. docs/architecture/concurrency.md tells how scripts use them.</summary>
public sealed partial class Store
{
    /// <summary>The scripts; null if there can be none.</summary>
    public IScripts? Scripts { get; internal set; }

    /// <summary>DEBUG SET-DISABLE-DENY-SCRIPTS: scripts may call any command, for tests.</summary>
    public bool AllowsAllInScripts { get; set; }

    /// <summary>The threads that commands arrive on; null if others need not be thought of.</summary>
    public ICommandThreads? Threads { get; set; }

    /// <summary>Completes when a script has run for longer than busy-reply-threshold, for as long as it does.</summary>
    private volatile TaskCompletionSource _busyBegins = new(TaskCreationOptions.RunContinuationsAsynchronously);

    private static readonly Task s_never = new TaskCompletionSource().Task;

    /// <summary>
    /// A script has run for longer than busy-reply-threshold: from now on, commands are refused. Those that wait for what it
    /// holds are, too.
    /// </summary>
    /// <param name="hold">What it holds. Whatever has been kept out by a script that runs alone is let in, to be told: but
    /// not to the data, whose gates the script now takes.</param>
    internal void BeginBusy(Hold hold)
    {
        Restrict(Restrictions.Busy);
        _busyBegins.TrySetResult();
        if (hold != Hold.Everything || HeldSlots.Mine.Roams || !HeldSlots.Mine.TryRoam(ref _roaming)) return;
        for (int number = 0; number < KeySlot.Count; number++)
        {
            if (Slots[number] is { } slot) HeldSlots.Mine.Take(slot);
        }
        SiloGate.LetOthersIn();
    }

    /// <summary>No script does so any more.</summary>
    internal void EndBusy()
    {
        _busyBegins = new(TaskCreationOptions.RunContinuationsAsynchronously);
        Lift(Restrictions.Busy);
    }

    /// <summary>Gives back what <see cref="BeginBusy"/> may have taken, at the end of a command that runs alone.</summary>
    private void LeaveSlots()
    {
        if (HeldSlots.Mine.Roams) HeldSlots.Mine.Release(ref _roaming);
    }

    /// <summary>Completes when a command must not wait any longer, because it would be refused now.</summary>
    internal Task RefusesWhileBusy(CommandInfo? command) => command?.Is(CommandFlags.AllowBusy) == true ? s_never : _busyBegins.Task;

    /// <summary>
    /// Runs a script that is known to stay within its declared keys in their gates, taken all or none; any other one
    /// roams.
    /// </summary>
    private Attempt ExecuteScript(ref CommandContext call, bool isAside = false)
    {
        call.BeginScriptAnew(Outcome.Done);
        if (call.Session.ScriptDebugging != ScriptDebugging.No && call.Command.Name[0] == 'e')
        {
            Run(ref call, Hold.None, null); // merely begins it
            return default;
        }
        call.Callable = Scripts?.Find(call.Command, call.Request);
        if (call.Callable?.Traits is not { } traits)
        {
            // Another silo may have the script; a function is on all of them, or on none.
            if (Scripts is not null && call.Session.IsOneOfMany && call.Command.Name.StartsWith("evalsha", StringComparison.Ordinal))
                return new(Outcome.EverySilo);
            Run(ref call, Hold.None, null); // replies with an error, unless this is the very first script
            return new(call.Restart);
        }
        if (traits.RunsAlone) return new(Outcome.NeedsExclusive);
        if (!isAside && (traits.IsSlow || !traits.HasRun || SiloGate.IsHeldForLong || Threads is { MayStandStill: false })) return new(Outcome.Long);
        call.IsPatient = isAside;
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

/// <summary>Threads that serve many clients each, so that whoever takes long on one keeps the others waiting.</summary>
public interface ICommandThreads
{
    /// <summary>Whether the calling thread is one of them.</summary>
    bool IsOne { get; }

    /// <summary>Whether <see cref="StandStill"/> helps on the calling thread, or is not needed there.</summary>
    bool MayStandStill { get; }

    /// <summary>Called in the middle of a command that takes long: another thread goes on with the other clients.</summary>
    void StandStill();
}
