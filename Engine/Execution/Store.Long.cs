using System.Runtime.InteropServices;

namespace OrleansRedis.Engine;

/// <summary>
/// Commands that go through very many elements (KEYS, SORT, SUNIONSTORE). On the I/O thread they arrived on, they would
/// keep its other connections waiting. So they run on a thread of the pool, holding the gates of their slots and
/// nothing else.
/// </summary>
public sealed partial class Store
{
    /// <summary>
    /// The most elements a command goes through on the spot. More take longer than a few ms, compared with which moving
    /// to another thread costs nothing.
    /// </summary>
    internal const int MostElementsOnTheSpot = 50_000;

    /// <summary>How many bytes of a string take about as long as one element of a collection.</summary>
    private const int BytesForOne = 128;

    /// <summary>How many byte comparisons take about as long as one element.</summary>
    private const int StepsForOne = 32;

    [ThreadStatic]
    private static List<int>? t_sources;

    [ThreadStatic]
    private static EffectUnit? t_fieldEffects;

    /// <summary>
    /// Runs a command whose attempt ended with <see cref="Outcome.Long"/>, between
    /// <see cref="SiloGate.EnterLongAsync"/> and <see cref="SiloGate.ExitLong"/>. If a gate is taken, it ends with
    /// <see cref="Outcome.Busy"/>, like any other attempt.
    /// </summary>
    public Attempt ExecuteLong(ref CommandContext call)
    {
        if (call.Command.HashKey != 0) ExpireFieldsInSteps(call);
        return RunAside(ref call);
    }

    /// <summary>
    /// The same for a command whose slot is on its way to another node of Redis Cluster, or from one. It runs if the keys
    /// that it needs are here, which nobody can change before it has run.
    /// </summary>
    /// <param name="call">The command. All its keys are in one slot.</param>
    /// <param name="where">Why it did not run, if it did not.</param>
    internal Attempt ExecuteGuarded(ref CommandContext call, out ClusterVerdict where)
    {
        where = Cluster!.Judge(call.Command, call.Request, call.Session);
        if (where.IsRefused) return default;
        if (where.Slot < 0) return RunAside(ref call);
        if (call.Command.HashKey != 0) ExpireFieldsInSteps(call);
        if (Slots[where.Slot] is not { } slot) return new(Outcome.SlotNotHere, where.Slot);
        HeldSlots held = HeldSlots.Mine;
        if (!held.TryTake(slot)) return new(Outcome.Busy, where.Slot);
        try
        {
            if (!slot.IsOpen) return new(Outcome.SlotNotHere, where.Slot);
            where = Cluster.JudgeByKeys(call.Command, call.Request, call.Session);
            return where.IsRefused ? default : RunAside(ref call);
        }
        finally
        {
            held.Release(ref _roaming);
        }
    }

    private Attempt RunAside(ref CommandContext call)
    {
        if (call.Command.Is(CommandFlags.SessionKeys)) return RunForSession(ref call, isLong: true);
        if (call.Command.Is(CommandFlags.RunsScript)) return ExecuteScript(ref call, isAside: true);
        if (call.Command.Keys.Count == 0)
        {
            call.IsPatient = true;
            int mark = call.Reply.Length;
            Run(ref call, Hold.None, null);
            return Ended(ref call, mark);
        }
        List<int> slots = t_slots ??= [];
        slots.Clear();
        call.Command.LocateKeys(call.Request, slots);
        Span<int> numbers = CollectionsMarshal.AsSpan(slots);
        foreach (ref int number in numbers) number = KeySlot.Of(call.Request[number]);
        numbers.Sort();
        return RunInSlots(ref call, numbers, isLong: true);
    }

    /// <summary>Whether a command is too long to run on the spot; the gates of its keys are held.</summary>
    private bool IsLong(in CommandContext call)
    {
        int database = call.Session.Database;
        switch (call.Command.Effort)
        {
            case Effort.AllKeys:
                int only = GlobPattern.SlotOf(call[1]);
                return (only < 0 ? Slots.KeyCount(database) : Slots.KeyCount(database, only)) > MostElementsOnTheSpot;
            case Effort.Queued:
                if (call.Session.Transaction is not { IsOpen: true } transaction) return false;
                long all = 0;
                foreach (QueuedCommand queued in transaction.Queue) all += Elements(queued.Command, queued.Request.Request, database);
                return all > MostElementsOnTheSpot;
            default:
                return Elements(call.Command, call.Request, database) > MostElementsOnTheSpot;
        }
    }

    /// <summary>How many elements of its keys a command goes through.</summary>
    private long Elements(CommandInfo command, in Request request, int database)
    {
        if (command.Is(CommandFlags.MovesKeys)) return MostElementsOnTheSpot + 1; // how long another server takes, nobody knows
        if (command.Effort is not (Effort.AllElements or Effort.SmallestKey or Effort.LengthByLength)) return 0;
        List<int> positions = t_sources ??= [];
        positions.Clear();
        command.LocateSources(request, positions);
        long sum = 0, smallest = long.MaxValue, steps = 1;
        foreach (int position in positions)
        {
            ReadOnlySpan<byte> key = request[position];
            Entry entry = Slots[KeySlot.Of(key)]?.KeyspaceIfAny(database) is { } keyspace ? keyspace.Find(key) : default;
            int length = !entry.IsMissing && entry.Type == ValueType.String ? StringEntry.Length(entry.Found) : 0;
            // A collection stored in one blob is small.
            long count = length != 0 ? length / BytesForOne : entry.IsMissing || entry.IsBlob ? 0 : entry.Value.ElementCount;
            sum += count;
            smallest = Math.Min(smallest, count);
            steps *= length;
        }
        return command.Effort switch
        {
            Effort.AllElements => sum,
            Effort.SmallestKey => smallest * positions.Count,
            _ => steps / StepsForOne,
        };
    }

    /// <summary>
    /// Deletes expired fields of the command's hash, a few hundred at most so that nobody waits for long; the gate is
    /// held. False if more are left. A command looks at a hash only after this, and need not know of expired fields.
    /// </summary>
    private bool ExpireFields(in CommandContext call, Slot slot)
    {
        if (IgnoresExpiry || KeepsExpired || slot.KeyspaceIfAny(call.Session.Database) is not { } keyspace) return true;
        Entry entry = keyspace.Find(call.Request[call.Command.HashKey]);
        if (entry.IsMissing || entry.IsBlob || entry.Value is not HashValue hash) return true;
        if (hash.ExpiresAtMs <= call.NowMs || hash.InnerExpiresAtMs > call.NowMs) return true;
        EffectUnit unit = t_fieldEffects ??= new();
        bool isGone = FieldExpiry.ExpireDue(this, entry, call.NowMs, unit, MostFieldsAtOnce);
        unit.PublishTo(Effects);
        if (BlockedCommands != 0 && BlockedKey.AnyReady) ServeReady(Hold.Slot, slot);
        return isGone || hash.InnerExpiresAtMs > call.NowMs;
    }

    /// <summary>
    /// The same for all expired fields, letting others into the slot in between; not on an I/O thread.
    /// </summary>
    private void ExpireFieldsInSteps(in CommandContext call)
    {
        bool isDone = false;
        while (!isDone && Slots[KeySlot.Of(call.Request[call.Command.HashKey])] is { } slot)
        {
            slot.Gate.Enter();
            isDone = !slot.IsOpen || ExpireFields(call, slot);
            slot.Leave();
            if (!isDone) Thread.Yield();
        }
    }

    /// <summary>
    /// Whether a command with undeclared keys may really reach any: SORT does so only through a pattern that turns
    /// elements into keys.
    /// </summary>
    internal static bool NamesPattern(in Request request)
    {
        for (int i = 2; i < request.Count; i++)
        {
            if (request[i].Contains((byte)'*')) return true;
        }
        return false;
    }
}
