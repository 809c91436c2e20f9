using System.Runtime.InteropServices;

namespace OrleansRedis.Engine;

/// <summary>How an attempt to run a command ended.</summary>
public enum Outcome : byte
{
    /// <summary>It ran; the reply is written, or the continuation set.</summary>
    Done,

    /// <summary>
    /// A gate is held for longer than spinning is worth. Nothing happened; try again after
    /// <see cref="Store.WhenFree"/>.
    /// </summary>
    Busy,

    /// <summary>A slot is not on this silo. Nothing happened; <see cref="Attempt.Slot"/> says which.</summary>
    SlotNotHere,

    /// <summary>
    /// The command must run alone. Nothing happened; leave the silo gate, take it exclusively and call
    /// <see cref="Store.ExecuteExclusively"/>.
    /// </summary>
    NeedsExclusive,

    /// <summary>
    /// It is about the slots of all silos. Nothing happened; whoever asked for it has each silo do its share
    /// (<see cref="Session.Share"/>).
    /// </summary>
    EverySilo,

    /// <summary>
    /// It would take long. Nothing happened; leave the silo gate and the I/O thread, wait for
    /// <see cref="SiloGate.EnterLongAsync"/>, and run it with <see cref="Store.ExecuteLong"/>.
    /// </summary>
    Long,

    /// <summary>
    /// Whether it runs here depends on its keys (<see cref="Verdict.Guarded"/>). Nothing happened; as with
    /// <see cref="Long"/>, but run it with <see cref="Store.ExecuteGuarded"/>.
    /// </summary>
    Guarded,
}

/// <summary>How an attempt ended, and what stood in its way.</summary>
public readonly record struct Attempt(Outcome Outcome, int Slot = -1);

/// <summary>
/// A silo's share of the data: its slots, their gates, and the running of commands inside those gates. It is the same
/// for every way in. Callers hold <see cref="SiloGate"/>, shared or exclusively, around every call.
/// </summary>
public sealed partial class Store : ILogOwner, IDisposable
{
    /// <summary>In place of a slot's number: the gate of roaming commands.</summary>
    private const int Roaming = -1;

    /// <summary>How many expired fields of one hash are deleted under the gate before others are let in.</summary>
    private const int MostFieldsAtOnce = 500;

    private SlotGate _roaming; // held by the one command that may wait for a gate while it holds others; see HeldSlots

    private long _waitingBytes;

    [ThreadStatic]
    private static List<int>? t_slots;

    /// <param name="options">The directives.</param>
    /// <param name="time">The clock.</param>
    /// <param name="commands">The process's commands.</param>
    public Store(ServerOptions options, TimeProvider time, CommandTable commands)
    {
        Commands = commands;
        Options = options;
        Clock = new(time);
        Acl = new(options, commands, Clock, Log);
        Latency = new(options, Clock);
        Monitors = new(Clock);
        Effects = new(new(Options, Clock));
        Slots = new(Options.Databases, SiloGate);
        ActiveExpiry = new(this);
        Eviction = new(this);
        ActiveDefragmentation = new(this);
        KeyTracking = new(this);
    }

    public ServerOptions Options { get; }

    public Clock Clock { get; }

    /// <summary>What has held others up (LATENCY).</summary>
    public LatencyMonitor Latency { get; }

    /// <summary>Who is shown the commands that run here (MONITOR).</summary>
    public Monitors Monitors { get; }

    /// <summary>All commands that can be run here.</summary>
    public CommandTable Commands { get; }

    public SlotTable Slots { get; }

    /// <summary>The effects of writes.</summary>
    public EffectStream Effects { get; }

    /// <summary>The subscribers of channels; null if nobody can subscribe.</summary>
    public IPubSub? PubSub { get; set; }

    /// <summary>Who is to be told of keys that change; null while nobody is.</summary>
    internal KeyTracking? Tracking { get; set; }

    /// <summary>CLIENT TRACKING.</summary>
    public KeyTracking KeyTracking { get; }

    /// <summary>Redis Cluster's protocol; null with cluster-enabled no.</summary>
    public ClusterFace? Cluster { get; internal set; }

    /// <summary>Connections to other servers; null if there can be none.</summary>
    public IPeers? Peers { get; set; }

    /// <summary>What the operator is told.</summary>
    public ServerLog Log { get; } = new();

    /// <summary>The users, and what each may do.</summary>
    public AclUsers Acl { get; }

    /// <summary>What the server keeps in files; null if there are only slots and no server.</summary>
    public ServerFiles? Files { get; internal set; }

    /// <summary>
    /// The log that replies may have to wait for, and whose errors refuse writes; null while nothing is logged.
    /// </summary>
    public IDurability? Durability { get; set; }

    /// <summary>The right to answer for the slots here; null if this silo is alone, and always has it.</summary>
    public ILease? Lease { get; set; }

    /// <summary>Whole-keyspace operations take it exclusively, all others shared.</summary>
    public SiloGate SiloGate { get; } = new();

    /// <summary>Deletes expired keys in the background, once started.</summary>
    public ActiveExpiry ActiveExpiry { get; }

    /// <summary>Keeps memory below maxmemory.</summary>
    public Eviction Eviction { get; }

    /// <summary>activedefrag</summary>
    public ActiveDefragmentation ActiveDefragmentation { get; }

    /// <summary>Bytes taken by the slots of this silo; maxmemory limits them, together with <see cref="WaitingBytes"/>.</summary>
    public long UsedMemory => Slots.Memory.Bytes;

    /// <summary>
    /// Bytes of requests and replies that wait for something: for the rest of a request, for EXEC, for a client to read. They
    /// are counted while there is a maxmemory, and 0 otherwise.
    /// </summary>
    public long WaitingBytes => Options.MaxMemory == 0 ? 0 : Volatile.Read(ref _waitingBytes);

    /// <summary>More of these bytes wait, or, if negative, less. From any thread.</summary>
    public void CountWaiting(long bytes) => Interlocked.Add(ref _waitingBytes, bytes);

    /// <summary>The most that these slots have taken so far, as far as anyone has looked.</summary>
    public long PeakMemory => Slots.Memory.PeakBytes;

    /// <summary>The second at which keys used now count as used, modulo 2^24 (INFO lru_clock).</summary>
    public uint LruClock => Access.Seconds(Clock.NowMs);

    /// <summary>Counters for INFO.</summary>
    public StoreStatistics Statistics { get; } = new();

    /// <summary>
    /// Told of the commands that run as parts of another one (EXEC); null if nothing needs to know. The
    /// <see cref="CommandRunner"/> tells it of all other commands.
    /// </summary>
    public CommandObserver? Observer { get; set; }

    /// <summary>CONFIG RESETSTAT has been requested; anything else that counts starts over.</summary>
    public event Action? StatisticsReset;

    /// <summary>
    /// Nothing expires here by itself: the effects that are applied (from a replayed log, from a master) say what has
    /// expired.
    /// </summary>
    internal bool IgnoresExpiry { get; set; }

    /// <summary>Runs a command, taking the gates it needs if it can have them without waiting.</summary>
    public Attempt Execute(ref CommandContext call)
    {
        CommandInfo command = call.Command;
        int single = command.SingleKey;
        if (single != 0 && !command.Is(CommandFlags.UndeclaredKeys))
        {
            if (single >= call.Request.Count) return RunWithout(ref call);
            return RunInSlot(ref call, call.SlotHint >= 0 ? call.SlotHint : KeySlot.Of(call.Request[single]));
        }
        if (command.Is(Spreading))
        {
            // DEBUG is about the silo that the client is connected to.
            if (call.Session.IsOneOfMany && !call.IsPart && !command.Is(CommandFlags.NeedsConnection)) return new(Outcome.EverySilo);
            if (MissingOf(call.Session.Share) is >= 0 and int missing) return new(Outcome.SlotNotHere, missing);
        }
        if (command.Is(CommandFlags.Exclusive)) return new(Outcome.NeedsExclusive);
        if (!command.Is(CommandFlags.UndeclaredKeys))
        {
            if (command.Keys.Count == 0) return command.Is(CommandFlags.SessionKeys) ? RunForSession(ref call) : RunWithout(ref call);
            // DEL and similar commands have one key more often than not.
            if (command.Keys.Count == 1 && command.Keys[0].IsOneKeyOf(call.Request.Count))
                return RunInSlot(ref call, KeySlot.Of(call.Request[command.Keys[0].First]));
        }
        return command.Is(CommandFlags.RunsScript) ? ExecuteScript(ref call) : RunInSlots(ref call);
    }

    /// <summary>Commands that each silo does its share of.</summary>
    public const CommandFlags Spreading = CommandFlags.Exclusive | CommandFlags.WholeKeyspace | CommandFlags.EverySilo;

    /// <summary>A slot of a set that is not here; negative if there is none.</summary>
    private int MissingOf(SlotSet? slots)
    {
        for (int number = slots?.Next(0) ?? -1; number >= 0; number = number + 1 < KeySlot.Count ? slots!.Next(number + 1) : -1)
        {
            if (Slots[number] is not { IsOpen: true }) return number;
        }
        return -1;
    }

    /// <summary>
    /// Computes the slot and hash of the key that a request will look up, if its command has a single key.
    /// </summary>
    public static ForeseenKey Foresee(CommandInfo? command, in Request request)
    {
        if (command is null || command.SingleKey == 0 || command.SingleKey >= request.Count) return new() { Slot = -1 };
        ReadOnlySpan<byte> key = request[command.SingleKey];
        var foreseen = new ForeseenKey { Slot = KeySlot.Of(key), Hash = KeyHash.Of(key) };
        if (command.Element == 0 || command.Element >= request.Count) return foreseen;
        foreseen.HasElement = true;
        foreseen.ElementHash = KeyHash.Of(request[command.Element]);
        return foreseen;
    }

    /// <summary>
    /// Brings what the look-ups of these keys will touch into the cache, up to <see cref="MostForeseen"/> at once; see
    /// <see cref="Foresight"/>.
    /// </summary>
    public void Foresee(ReadOnlySpan<ForeseenKey> keys, int database) => Foresight.Follow(Slots, database, keys);

    /// <summary>The most keys worth prefetching at once.</summary>
    public const int MostForeseen = Foresight.Most;

    /// <summary>Empties all databases; the caller holds the silo gate exclusively.</summary>
    internal void Empty()
    {
        for (int number = 0; number < KeySlot.Count; number++)
        {
            for (int database = 0; database < Slots.Databases; database++)
            {
                if (Slots.KeyCount(database, number) != 0 && Slots[number] is { } slot) WatchedDatabases.Empty(slot, database);
            }
        }
        Retirement.Sweep(); // before other data are loaded: this thread may leave no slot for long
    }

    public void Dispose()
    {
        Scripts?.Dispose();
        SiloGate.Dispose();
    }

    /// <summary>Runs a command while the silo gate is held exclusively.</summary>
    public Attempt ExecuteExclusively(ref CommandContext call)
    {
        List<int> slots = t_slots ??= [];
        slots.Clear();
        if (call.Command.Is(CommandFlags.SessionKeys))
        {
            call.Session.Transaction?.CollectSlots(slots, withQueue: RunsQueue(call));
        }
        else
        {
            call.Command.LocateKeys(call.Request, slots);
            foreach (ref int number in CollectionsMarshal.AsSpan(slots)) number = KeySlot.Of(call.Request[number]);
        }
        foreach (int number in slots)
        {
            if (Slots[number] is not { IsOpen: true }) return new(Outcome.SlotNotHere, number);
        }
        if (MissingOf(call.Session.Share) is >= 0 and int missing) return new(Outcome.SlotNotHere, missing);
        int mark = call.Reply.Length;
        try
        {
            Run(ref call, Hold.Everything, null);
        }
        finally
        {
            LeaveSlots();
        }
        Retirement.Sweep();
        return Ended(ref call, mark);
    }

    /// <summary>
    /// CONFIG RESETSTAT: all counters of INFO start over. It takes no gate, since a transaction that holds some may
    /// call it.
    /// </summary>
    internal void ResetStatistics()
    {
        Statistics.Reset();
        Acl.Denials.ResetStatistics();
        Eviction.ResetStatistics();
        Slots.ResetLookups();
        StatisticsReset?.Invoke();
    }

    /// <summary>
    /// Completes when the gate that made an attempt end with <see cref="Outcome.Busy"/> has since been released.
    /// </summary>
    public Task WhenFree(in Attempt attempt) =>
        attempt.Slot == Roaming ? _roaming.WhenReleased() : Slots[attempt.Slot]?.Gate.WhenReleased() ?? Task.CompletedTask;

    /// <summary>
    /// Does something with a slot, under the silo gate (shared) and the slot's own. It waits for both without blocking
    /// a thread and without holding either of them while it waits for the other. The caller holds no gate.
    /// </summary>
    internal async Task VisitAsync<TState>(Slot slot, TState state, Action<Slot, TState> visit)
    {
        while (true)
        {
            int stripe = await SiloGate.EnterSharedAsync().ConfigureAwait(false);
            bool isFree = slot.Gate.TryEnterSpinning();
            try
            {
                if (isFree) visit(slot, state);
            }
            finally
            {
                if (isFree) slot.Leave();
                SiloGate.ExitShared(stripe);
            }
            if (isFree) return;
            await slot.Gate.WhenReleased().ConfigureAwait(false);
        }
    }

    private Attempt RunInSlot(ref CommandContext call, int number)
    {
        Slot? slot = Slots[number];
        if (slot is null) return new(Outcome.SlotNotHere, number);
        if (!slot.Gate.TryEnterSpinning()) return new(Outcome.Busy, number);
        try
        {
            if (!slot.IsOpen) return new(Outcome.SlotNotHere, number);
            if (call.Command.Effort != Effort.Bounded && IsLong(call)) return new(Outcome.Long);
            if (call.Command.HashKey != 0 && Slots.EarliestExpiryMs(number) <= call.NowMs && !ExpireFields(call, slot)) return new(Outcome.Long);
            Run(ref call, Hold.Slot, slot);
        }
        finally
        {
            slot.Leave();
        }
        if (BlockedCommands != 0 && BlockedKey.AnyReady) ServeRest(ref call);
        return default;
    }

    private Attempt RunWithout(ref CommandContext call)
    {
        if (call.Command.Effort == Effort.AllKeys && IsLong(call)) return new(Outcome.Long);
        int mark = call.Reply.Length;
        Run(ref call, Hold.None, null);
        if (call.BusySlot >= 0)
        {
            call.Reply.TruncateTo(mark);
            return new(Outcome.Busy, call.BusySlot);
        }
        if (BlockedCommands != 0 && BlockedKey.AnyReady) ServeRest(ref call);
        return call.Session.Share is null ? default : Ended(ref call, mark);
    }

    private static void Run(ref CommandContext call, Hold hold, Slot? slot)
    {
        call.BeginCommand(hold, slot);
        try
        {
            call.Command.Method!(ref call);
            if (call.Store.Monitors.Any) call.ShowToMonitors();
            call.EndCommand();
        }
        catch
        {
            call.EndFailedCommand();
            throw;
        }
    }

    private Attempt RunInSlots(ref CommandContext call)
    {
        List<int> slots = t_slots ??= [];
        slots.Clear();
        call.Command.LocateKeys(call.Request, slots);
        Span<int> numbers = CollectionsMarshal.AsSpan(slots);
        Span<ForeseenKey> keys = stackalloc ForeseenKey[MostForeseen];
        int count = 0;
        foreach (ref int number in numbers)
        {
            ReadOnlySpan<byte> key = call.Request[number];
            number = KeySlot.Of(key);
            keys[count++] = new() { Slot = number, Hash = KeyHash.Of(key) };
            if (count < keys.Length) continue;
            Foresee(keys, call.Session.Database);
            count = 0;
        }
        if (numbers.Length > 1) Foresee(keys[..count], call.Session.Database);
        numbers.Sort();
        return RunInSlots(ref call, numbers);
    }

    private Attempt RunInSlots(ref CommandContext call, ReadOnlySpan<int> numbers, bool isLong = false)
    {
        HeldSlots held = HeldSlots.Mine;
        // A long command that names all its keys must not keep everyone else from roaming for that long.
        bool roams = call.Command.Is(CommandFlags.UndeclaredKeys) && (!isLong || NamesPattern(call.Request));
        if (roams && !held.TryRoam(ref _roaming)) return new(Outcome.Busy, Roaming);
        int mark = call.Reply.Length;
        try
        {
            foreach (int number in numbers)
            {
                Slot? slot = Slots[number];
                if (slot is null) return new(Outcome.SlotNotHere, number);
                if (held.Has(slot)) continue;
                // Waiting here for a gate could take long, and this thread has other connections. Worse, the gate's
                // holder might be waiting for one that is held here. Give everything back and try again when that gate
                // is released.
                if (!held.TryTake(slot)) return new(Outcome.Busy, number);
                if (!slot.IsOpen) return new(Outcome.SlotNotHere, number);
            }
            if (call.Command.Effort != Effort.Bounded && !isLong && IsLong(call)) return new(Outcome.Long);
            Slot? only = held.Count == 1 && !roams ? held[0] : null;
            Run(ref call, only is null ? Hold.Slots : Hold.Slot, only);
        }
        finally
        {
            held.Release(ref _roaming);
        }
        if (BlockedCommands != 0 && BlockedKey.AnyReady)
        {
            if (call.MissingSlot < 0) ServeRest(ref call);
            else _ = ServeChangedAsync(); // because of an expired key; the attempt has no continuation that could wait
        }
        return Ended(ref call, mark);
    }

    /// <summary>
    /// How a command ended that may have met, on its way, a slot that is not here. If it has, it has changed nothing.
    /// </summary>
    private static Attempt Ended(ref CommandContext call, int mark)
    {
        if (call.MissingSlot < 0) return default;
        call.Reply.TruncateTo(mark);
        return new(Outcome.SlotNotHere, call.MissingSlot);
    }

    /// <summary>
    /// Makes sure that the running command may touch the slot of a key it has not declared: a roaming command takes the
    /// slot's gate now, unless it already holds it. False if the slot is not here.
    /// </summary>
    internal bool TryReach(int number, Hold hold)
    {
        if (Slots[number] is not { } slot) return false;
        HeldSlots held = HeldSlots.Mine;
        if (hold == Hold.Slots && held.Roams && !held.Has(slot)) held.Take(slot);
        return slot.IsOpen;
    }

    /// <summary>
    /// The slot of a key that the running command reaches. The slot is here and its gate is held;
    /// <see cref="TryReach"/> or the command's start made sure of that.
    /// </summary>
    internal Slot HeldSlot(int number, Hold hold)
    {
        Slot? slot = Slots[number];
        if (slot is null || (hold != Hold.Everything && (hold != Hold.Slots || !HeldSlots.Mine.Has(slot))))
            throw new InvalidOperationException($"Slot {number} is reached without its gate.");
        return slot;
    }

    /// <summary>
    /// Deletes the expired part of an entry, under its gate, and returns when the next part expires
    /// (<see cref="Expiry.Never"/> once the entry is gone). The caller publishes the unit.
    /// </summary>
    internal long ExpireDue(Keyspace keyspace, KeyEntry entry, long nowMs, EffectUnit unit)
    {
        ReadOnlySpan<byte> key = entry.Key;
        if (entry.ExpiresAtMs <= nowMs)
        {
            Expire(keyspace, key, unit);
            return Expiry.Never;
        }
        if (FieldExpiry.ExpireDue(this, keyspace.Find(key), nowMs, unit, MostFieldsAtOnce)) return Expiry.Never;
        return keyspace.Find(key).Found.EarliestExpiryMs;
    }

    /// <summary>Deletes an expired key, under its gate. The caller publishes the unit.</summary>
    internal void Expire(Keyspace keyspace, ReadOnlySpan<byte> key, EffectUnit unit)
    {
        keyspace.BeforeChange(key);
        if (!keyspace.Remove(key)) return;
        Statistics.CountExpired();
        keyspace.Slot.Watchers?.Changed(keyspace.Database, key);
        Tracking?.Changed(null, key);
        Effects.KeyEvents?.OnKeyEvent(KeyEvents.Expired, "expired"u8, key, keyspace.Database);
        if (!Effects.HasConsumers) return;
        RespWriter effect = unit.Begin(2);
        effect.BulkString("DEL"u8);
        effect.BulkString(key);
        unit.End(keyspace.Slot, keyspace.Database);
    }
}
