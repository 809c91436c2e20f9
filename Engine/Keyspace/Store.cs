using System.Runtime.InteropServices;

namespace OrleansRedis.Engine;

/// <summary>How an attempt to run a command ended.</summary>
public enum Outcome : byte
{
    /// <summary>It ran; the reply is written, or the continuation set.</summary>
    Done,

    /// <summary>A gate is taken for longer than it is worth spinning. Nothing happened; try again after <see cref="Store.WhenFree"/>.</summary>
    Busy,

    /// <summary>A slot is not on this silo. Nothing happened; <see cref="Attempt.Slot"/> says which.</summary>
    SlotNotHere,

    /// <summary>The command runs alone. Nothing happened; leave the silo gate, take it exclusively and try again.</summary>
    NeedsExclusive,

    /// <summary>
    /// It would take long. Nothing happened; leave the silo gate and the I/O thread, wait for <see cref="SiloGate.EnterLongAsync"/>,
    /// and run it by <see cref="Store.ExecuteLong"/>.
    /// </summary>
    Long,
}

/// <summary>A command has run as part of another one, for so many <see cref="System.Diagnostics.Stopwatch"/> ticks, and this is its reply.</summary>
public delegate void NestedCommandObserver(CommandInfo command, long ticks, ReadOnlySpan<byte> reply);

/// <summary>How an attempt ended, and what stood in its way.</summary>
public readonly record struct Attempt(Outcome Outcome, int Slot = -1);

/// <summary>
/// A silo's share of the data: its slots, the gates to them, and the running of commands inside those gates. The same for every
/// way in. Callers hold <see cref="SiloGate"/> shared (or exclusively) around every call.
/// </summary>
public sealed partial class Store : IDisposable
{
    /// <summary>In the place of a slot's number: the gate of those who roam.</summary>
    private const int Roaming = -1;

    /// <summary>How many fields of one hash the active expiry deletes under the gate before it lets others in.</summary>
    private const int MostFieldsAtOnce = 500;

    private SlotGate _roaming; // held by the one that may wait for a gate while it holds others; see HeldSlots

    [ThreadStatic]
    private static List<int>? t_slots;

    public Store(ServerOptions options, TimeProvider time)
        : this(new ServerConfiguration(options), time)
    {
    }

    /// <param name="configuration">The directives, with the file they came from.</param>
    /// <param name="time">The clock.</param>
    public Store(ServerConfiguration configuration, TimeProvider time)
    {
        Configuration = configuration;
        Options = configuration.Options;
        Clock = new(time);
        Effects = new(new(Options, Clock));
        Slots = new(Options.Databases);
        ActiveExpiry = new(this);
        Eviction = new(this);
        Dump = new(this);
        Aof = new(this);
    }

    /// <summary>The directives, as CONFIG reads and changes them.</summary>
    public ServerConfiguration Configuration { get; }

    public ServerOptions Options { get; }

    public Clock Clock { get; }

    public SlotTable Slots { get; }

    /// <summary>What writes do.</summary>
    public EffectStream Effects { get; }

    /// <summary>What the operator is told.</summary>
    public ServerLog Log { get; } = new();

    /// <summary>Function libraries, as files hold them.</summary>
    public FunctionLibraries Functions { get; } = new();

    /// <summary>The log that replies may have to wait for, and whose errors refuse writes; null while nothing is logged.</summary>
    public IDurability? Durability { get; set; }

    /// <summary>Whole-keyspace operations take it exclusively, everyone else shared.</summary>
    public SiloGate SiloGate { get; } = new();

    /// <summary>Deletes expired keys in the background, once started.</summary>
    public ActiveExpiry ActiveExpiry { get; }

    /// <summary>Keeps memory below maxmemory.</summary>
    public Eviction Eviction { get; }

    /// <summary>dump.rdb.</summary>
    public DumpFile Dump { get; }

    /// <summary>The append-only log.</summary>
    public AppendLog Aof { get; }

    /// <summary>Who is making a snapshot of all slots.</summary>
    public SnapshotTurn SnapshotTurn { get; } = new();

    /// <summary>What snapshots leave for one another.</summary>
    internal SnapshotBuffers SnapshotBuffers { get; } = new();

    /// <summary>Bytes that the slots of this silo take; what maxmemory limits.</summary>
    public long UsedMemory => Slots.Memory.Bytes;

    /// <summary>Counters for INFO.</summary>
    public StoreStatistics Statistics { get; } = new();

    /// <summary>Hears of the commands that run as parts of another one (EXEC), to count them; null for nobody.</summary>
    public NestedCommandObserver? NestedCommandRan { get; set; }

    /// <summary>CONFIG RESETSTAT has been asked for; whoever else counts begins anew.</summary>
    public event Action? StatisticsReset;

    /// <summary>DEBUG SET-ACTIVE-EXPIRE and the like do not stop lazy expiry; a paused clock (CLIENT PAUSE, a replica) does.</summary>
    internal bool ExpiryPaused { get; set; }

    /// <summary>Runs a command, taking the gates it needs, if they are to be had without waiting.</summary>
    public Attempt Execute(ref CommandContext call)
    {
        CommandInfo command = call.Command;
        int single = command.SingleKey;
        if (single != 0 && !command.Is(CommandFlags.UndeclaredKeys))
        {
            if (single >= call.Request.Count) return RunWithout(ref call);
            return RunInSlot(ref call, call.SlotHint >= 0 ? call.SlotHint : KeySlot.Of(call.Request[single]));
        }
        if (command.Is(CommandFlags.Exclusive)) return new(Outcome.NeedsExclusive);
        if (!command.Is(CommandFlags.UndeclaredKeys))
        {
            if (command.Keys.Count == 0) return command.Is(CommandFlags.SessionKeys) ? RunForSession(ref call) : RunWithout(ref call);
            // DEL and its like have one key more often than not.
            if (command.Keys.Count == 1 && command.Keys[0].IsOneKeyOf(call.Request.Count))
                return RunInSlot(ref call, KeySlot.Of(call.Request[command.Keys[0].First]));
        }
        return RunInSlots(ref call);
    }

    /// <summary>
    /// To be asked before a client's command is queued or run, with the silo gate held shared and no slot's gate: makes room if maxmemory is
    /// exceeded. True if that failed and the command is refused for it, with the error written.
    /// </summary>
    public bool RefusesForMemory(CommandInfo command, Session session, RespWriter reply) =>
        Options.MaxMemory != 0 && Eviction.Refuses(command, session, reply);

    /// <summary>Finds out the slot and hash of the key that a request will look up, if it is for a command of one key.</summary>
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

    /// <summary>Brings what these keys' look-ups will touch into the cache, up to <see cref="MostForeseen"/> at once; see <see cref="Foresight"/>.</summary>
    public void Foresee(ReadOnlySpan<ForeseenKey> keys, int database) => Foresight.Follow(Slots, database, keys);

    /// <summary>How many keys it is worth foreseeing at once.</summary>
    public const int MostForeseen = Foresight.Most;

    public void Dispose()
    {
        Dump.Dispose();
        Aof.Dispose();
        SiloGate.Dispose();
        Configuration.Dispose();
    }

    /// <summary>Runs a command while the silo gate is held exclusively.</summary>
    public void ExecuteExclusively(ref CommandContext call)
    {
        Run(ref call, Hold.Everything, null);
    }

    /// <summary>CONFIG RESETSTAT: all counters of INFO begin anew. Holds the silo gate shared, and no slot's gate.</summary>
    internal void ResetStatistics()
    {
        Statistics.Reset();
        for (int number = 0; number < KeySlot.Count; number++)
        {
            if (Slots[number] is not { } slot) continue;
            slot.Gate.Enter();
            slot.Hits = slot.Misses = 0;
            slot.Gate.Exit();
        }
        StatisticsReset?.Invoke();
    }

    /// <summary>Completes when the gate that made an attempt <see cref="Outcome.Busy"/> has been released since.</summary>
    public Task WhenFree(in Attempt attempt) =>
        attempt.Slot == Roaming ? _roaming.WhenReleased() : Slots[attempt.Slot]?.Gate.WhenReleased() ?? Task.CompletedTask;

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
            slot.Gate.Exit();
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
        return default;
    }

    private static void Run(ref CommandContext call, Hold hold, Slot? slot)
    {
        call.BeginCommand(hold, slot);
        try
        {
            call.Command.Method!(ref call);
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
        // A long command that names all it needs does not take the right to roam from everyone else for so long.
        bool roams = call.Command.Is(CommandFlags.UndeclaredKeys) && (!isLong || NamesPattern(call.Request));
        if (roams && !held.TryRoam(ref _roaming)) return new(Outcome.Busy, Roaming);
        try
        {
            foreach (int number in numbers)
            {
                Slot? slot = Slots[number];
                if (slot is null) return new(Outcome.SlotNotHere, number);
                if (held.Has(slot)) continue;
                // Waiting here for a gate could take long, and this thread has other connections; and whoever holds it might be waiting
                // for one that is held here. Give everything back and try again when that gate is released.
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
        if (BlockedCommands != 0 && BlockedKey.AnyReady) ServeRest(ref call);
        return default;
    }

    /// <summary>The slot of a key that the running command reaches; who roams takes its gate now if he has not yet.</summary>
    internal Slot HeldSlot(int number, Hold hold)
    {
        Slot slot = Slots[number] ?? throw new SlotNotHereException(number);
        if (hold == Hold.Everything) return slot;
        HeldSlots held = HeldSlots.Mine;
        if (hold == Hold.Slots && held.Has(slot)) return slot;
        if (hold != Hold.Slots || !held.Roams) throw new InvalidOperationException($"Slot {number} is reached without its gate.");
        held.Take(slot);
        return slot.IsOpen ? slot : throw new SlotNotHereException(number);
    }

    /// <summary>
    /// Deletes what is due of an entry, under its gate, and returns when the next part of it is (<see cref="Expiry.Never"/> once it is gone).
    /// The unit is published by the caller.
    /// </summary>
    internal long ExpireDue(Keyspace keyspace, object entry, long nowMs, EffectUnit unit)
    {
        ReadOnlySpan<byte> key = KeyEntry.KeyOf(entry);
        if (KeyEntry.ExpiresAtMs(entry) <= nowMs)
        {
            Expire(keyspace, key, unit);
            return Expiry.Never;
        }
        if (FieldExpiry.ExpireDue(this, keyspace.Find(key), nowMs, unit, MostFieldsAtOnce)) return Expiry.Never;
        return KeyEntry.EarliestExpiryMs(keyspace.Find(key).Object);
    }

    /// <summary>Deletes a key whose time has come; under its gate. The unit is published by the caller.</summary>
    internal void Expire(Keyspace keyspace, ReadOnlySpan<byte> key, EffectUnit unit)
    {
        keyspace.BeforeChange(key);
        if (keyspace.Remove(key) is not { } entry) return;
        Statistics.CountExpired();
        Freed(entry);
        keyspace.Slot.Watchers?.Changed(keyspace.Database, key);
        Effects.KeyEvents?.OnKeyEvent(KeyEvents.Expired, "expired"u8, key, keyspace.Database);
        if (!Effects.HasConsumers) return;
        RespWriter effect = unit.Begin(2);
        effect.BulkString("DEL"u8);
        effect.BulkString(key);
        unit.End(keyspace.Slot, keyspace.Database);
    }

    /// <summary>An entry has left its keyspace. The collector frees it in the background; this is where lazyfree counts it.</summary>
    internal void Freed(object entry)
    {
        if (entry is Value value && value.FreeEffort > 64) Statistics.CountLazyFreed();
    }
}

/// <summary>A command reached a key whose slot is not on this silo, and could not say so beforehand.</summary>
public sealed class SlotNotHereException(int slot) : Exception($"Slot {slot} is not on this silo.")
{
    public int Slot { get; } = slot;
}
