using System.Runtime.CompilerServices;

namespace OrleansRedis.Engine;

/// <summary>Which gates are held while a command runs, and hence how it may reach a key's slot.</summary>
public enum Hold : byte
{
    /// <summary>None: the command has no keys, or takes one slot's gate after another itself.</summary>
    None,

    /// <summary>One slot's gate.</summary>
    Slot,

    /// <summary>
    /// The gates of all declared slots; a roaming command takes more as it needs them (<see cref="HeldSlots"/>).
    /// </summary>
    Slots,

    /// <summary>The silo gate, exclusively: everything may be touched.</summary>
    Everything,
}

/// <summary>
/// Everything a command's method sees: its arguments, the keys it may reach, and where its reply goes. It lives on the
/// stack of the executing thread, and so do the entries it hands out.
/// </summary>
public ref partial struct CommandContext
{
    private Slot? _slot;
    private long _changes;
    private bool _effectsGiven;

    public CommandContext(Store store, Session session, RespWriter reply)
    {
        Store = store;
        Session = session;
        Reply = reply;
    }

    public Store Store { get; }

    /// <summary>
    /// What the server keeps in files, for the commands about those. A store without a server gets no such commands.
    /// </summary>
    public readonly ServerFiles Files => Store.Files ?? throw new InvalidOperationException("This store has no server.");

    public Session Session { get; }

    public RespWriter Reply { get; }

    /// <summary>The running command.</summary>
    public CommandInfo Command { get; set; } = null!;

    /// <summary>Its arguments.</summary>
    public Request Request { get; set; }

    /// <summary>Unix time in ms, the same for the whole command (and for the rest of the input batch).</summary>
    public long NowMs { get; set; }

    /// <summary>The slot of the command's single key, if the caller already knows it; otherwise negative.</summary>
    public int SlotHint { get; set; } = -1;

    /// <summary>Which gates are held.</summary>
    public Hold Hold { get; internal set; }

    /// <summary>
    /// Set by a command that cannot finish here and now (a wait, a shutdown). The connection awaits it with every gate
    /// released, before its next command; what it writes to the writer is the reply.
    /// </summary>
    public Func<RespWriter, Task>? Continuation { get; set; }

    /// <summary>
    /// False in a transaction or a script, where a blocking command does what it can at once instead of waiting.
    /// </summary>
    public bool MayBlock { get; set; } = true;

    /// <summary>Set if the command has waited and now runs again.</summary>
    internal BlockedCommand? Resumed { get; init; }

    /// <summary>The repeated run had no result; the command goes on waiting.</summary>
    internal bool BlockedAgain { get; private set; }

    /// <summary>
    /// A slot that <see cref="Enter"/> could not enter; negative if there is none. The command then ends, and starts
    /// over once that slot is free. That is safe: a command that visits slots one by one has changed nothing except to
    /// delete what had expired.
    /// </summary>
    internal int BusySlot { get; private set; }

    /// <summary>
    /// A slot that <see cref="TryReach"/> did not find here; negative if there is none. The command then ends, having
    /// changed nothing except to delete what had expired. It starts over when that slot arrives, if it does.
    /// </summary>
    internal int MissingSlot { get; private set; }

    /// <summary>Whether <see cref="Enter"/> waits instead, for as long as it takes: never on an I/O thread.</summary>
    internal bool IsPatient { get; set; }

    /// <summary>Why the script that this command runs must begin anew; see <see cref="ScriptScope.Restart"/>.</summary>
    internal Outcome Restart { get; private set; }

    /// <summary>The script that this command runs, if it has been looked up already.</summary>
    internal ICallable? Callable { get; set; }

    /// <summary>Whether it is how another command does its work, which nobody has asked for.</summary>
    internal bool IsPart { get; init; }

    /// <summary>Whether a script has called the command.</summary>
    internal bool IsInScript { get; init; }

    /// <summary>An argument; 0 is the command's name.</summary>
    public readonly ReadOnlySpan<byte> this[int index]
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => Request[index];
    }

    /// <summary>How many arguments there are, including the name.</summary>
    public readonly int Count => Request.Count;

    /// <summary>Parses an integer argument; if it is not one, the error is in the reply.</summary>
    public readonly bool TryInt64(int index, out long value)
    {
        if (Numbers.TryParseInt64(Request[index], out value)) return true;
        Reply.Error(Errors.NotInteger);
        return false;
    }

    /// <summary>
    /// Parses an integer argument that can be negated (a count whose sign says from which end); if it is not one, the
    /// error is in the reply.
    /// </summary>
    public readonly bool TryNegatable(int index, out long value)
    {
        if (!TryInt64(index, out value)) return false;
        if (value != long.MinValue) return true;
        Reply.Error("ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807"u8);
        return false;
    }

    /// <summary>Parses an integer argument within bounds; if it is not one, the error is in the reply.</summary>
    public readonly bool TryInt32(int index, out int value, int least = int.MinValue, int most = int.MaxValue)
    {
        value = 0;
        if (!Numbers.TryParseInt64(Request[index], out long number) || number < least || number > most)
        {
            Reply.Error(Errors.NotInteger);
            return false;
        }
        value = (int)number;
        return true;
    }

    /// <summary>Replies "ERR syntax error".</summary>
    public readonly void SyntaxError() => Reply.Error(Errors.Syntax);

    /// <summary>The keyspace a key lives in, in the session's database.</summary>
    internal Keyspace KeyspaceOf(scoped ReadOnlySpan<byte> key) => KeyspaceOf(key, Session.Database);

    /// <summary>The keyspace a key lives in, in another database.</summary>
    internal Keyspace KeyspaceOf(scoped ReadOnlySpan<byte> key, int database)
    {
        Keyspace keyspace = (_slot ?? Store.HeldSlot(KeySlot.Of(key), Hold)).Keyspace(database);
        // Snapshots in progress must record the key as it is before a command may change it.
        if (Command.Is(CommandFlags.Write)) keyspace.BeforeChange(key);
        return keyspace;
    }

    /// <summary>
    /// Must be called before looking up a key that the command has not declared, and before the command has changed
    /// anything. False if the key's slot is not on this silo: the command must then end at once, whatever it has
    /// written as its reply.
    /// </summary>
    internal bool TryReach(scoped ReadOnlySpan<byte> key)
    {
        int number = KeySlot.Of(key);
        if (Store.TryReach(number, Hold)) return true;
        MissingSlot = number;
        return false;
    }

    /// <summary>
    /// Looks a key up to read it: an expired key counts as missing, the use is noted, hits and misses are counted.
    /// </summary>
    internal Entry Read(int keyArgument) => Read(Request[keyArgument]);

    /// <inheritdoc cref="Read(int)"/>
    internal Entry Read(scoped ReadOnlySpan<byte> key)
    {
        Keyspace keyspace = KeyspaceOf(key);
        Entry entry = keyspace.Find(key);
        if (!entry.IsMissing && !ExpireIfDue(entry))
        {
            keyspace.Slot.Hits++;
            if (!Session.NoTouch) Touch(entry);
            return entry;
        }
        return Missed(keyspace, key, announce: true);
    }

    /// <summary>
    /// Looks a key up to report something about it (EXISTS, TYPE, TTL): like <see cref="Read(int)"/>, but not counted
    /// as use.
    /// </summary>
    internal Entry Inspect(int keyArgument, bool announceMiss = true)
    {
        ReadOnlySpan<byte> key = Request[keyArgument];
        Keyspace keyspace = KeyspaceOf(key);
        Entry entry = keyspace.Find(key);
        if (entry.IsMissing || ExpireIfDue(entry)) return Missed(keyspace, key, announceMiss);
        keyspace.Slot.Hits++;
        return entry;
    }

    private readonly Entry Missed(Keyspace keyspace, scoped ReadOnlySpan<byte> key, bool announce)
    {
        keyspace.Slot.Misses++;
        if (announce) Store.Effects.KeyEvents?.OnKeyEvent(KeyEvents.KeyMiss, "keymiss"u8, key, keyspace.Database);
        return new(keyspace, ref Unsafe.NullRef<KeyEntry>());
    }

    /// <summary>Looks a key up to change it: an expired key counts as missing, and the use is noted.</summary>
    internal Entry Write(int keyArgument) => Write(Request[keyArgument]);

    /// <inheritdoc cref="Write(int)"/>
    internal Entry Write(scoped ReadOnlySpan<byte> key)
    {
        Entry entry = Peek(KeyspaceOf(key), key);
        if (!entry.IsMissing && !Session.NoTouch) Touch(entry);
        return entry;
    }

    /// <summary>Looks a key up without leaving a trace, except that an expired key is removed.</summary>
    internal Entry Peek(scoped ReadOnlySpan<byte> key) => Peek(KeyspaceOf(key), key);

    /// <inheritdoc cref="Peek(ReadOnlySpan{byte})"/>
    internal Entry Peek(Keyspace keyspace, scoped ReadOnlySpan<byte> key)
    {
        Entry entry = keyspace.Find(key);
        return entry.IsMissing || !ExpireIfDue(entry) ? entry : new(keyspace, ref Unsafe.NullRef<KeyEntry>());
    }

    /// <summary>
    /// Like <see cref="Read(int)"/>, for one type. False if the key holds another type; the error is then in the reply.
    /// </summary>
    internal bool TryRead(int keyArgument, ValueType type, out Entry entry)
    {
        entry = Read(keyArgument);
        return IsOf(type, entry);
    }

    /// <summary>
    /// Like <see cref="Write(int)"/>, for one type. False if the key holds another type; the error is then in the
    /// reply.
    /// </summary>
    internal bool TryWrite(int keyArgument, ValueType type, out Entry entry)
    {
        entry = Write(keyArgument);
        return IsOf(type, entry);
    }

    /// <summary>Whether an entry is missing or of this type; if not, the error is in the reply.</summary>
    internal readonly bool IsOf(ValueType type, in Entry entry)
    {
        if (entry.IsMissing || entry.Type == type) return true;
        Reply.Error(Errors.WrongType);
        return false;
    }

    /// <summary>Whether an entry found while walking through a keyspace has expired.</summary>
    internal readonly bool IsDue(KeyEntry entry) => entry.ExpiresAtMs <= NowMs && !Store.IgnoresExpiry;

    /// <summary>Deletes an expired key found while walking through a keyspace, with its effect and event.</summary>
    internal readonly void ExpireMet(Keyspace keyspace, scoped ReadOnlySpan<byte> key) => Store.Expire(keyspace, key, Effects);

    /// <summary>
    /// Deletes an expired key, or the expired fields of a hash, with their effects and events. True if the key is gone.
    /// </summary>
    private readonly bool ExpireIfDue(in Entry entry)
    {
        if (entry.Found.EarliestExpiryMs > NowMs || Store.IgnoresExpiry) return false;
        return Expire(entry);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private readonly bool Expire(in Entry entry)
    {
        if (Store.KeepsExpired) return entry.ExpiresAtMs <= NowMs;
        if (entry.ExpiresAtMs > NowMs) return FieldExpiry.ExpireDue(Store, entry, NowMs, Effects);
        byte[] key = entry.Key.ToArray();
        Store.Expire(entry.Keyspace, key, Effects);
        return true;
    }

    /// <summary>Notes that the key is being used now.</summary>
    internal readonly void Touch(in Entry entry)
    {
        KeyEntry found = entry.Found;
        uint clock = found.AccessClock, now = Access.Touch(Store.Options, clock, NowMs);
        if (now != clock) found.SetAccessClock(now);
    }

    /// <summary>Adds an entry for a missing key, with the access clock set to now.</summary>
    internal readonly void Add(Keyspace keyspace, KeyEntry entry)
    {
        entry.SetAccessClock(Access.Initial(Store.Options, NowMs));
        AddMoved(keyspace, entry);
    }

    /// <summary>
    /// Adds an entry for a missing key that had another key or database before; it keeps its access clock.
    /// </summary>
    internal readonly void AddMoved(Keyspace keyspace, KeyEntry entry)
    {
        keyspace.Add(entry);
        Store.Effects.KeyEvents?.OnKeyEvent(KeyEvents.New, "new"u8, entry.Key, keyspace.Database);
    }

    /// <summary>
    /// The command has changed a key: counts the changes, notifies watchers of the key, and publishes the event ("set",
    /// "del", "lpush"…), unless the kind is <see cref="KeyEvents.None"/> (XACK). The number of changes is what Redis
    /// counts: an element added or removed is one.
    /// </summary>
    internal void Modified(
        Keyspace keyspace, scoped ReadOnlySpan<byte> key, KeyEvents kind, scoped ReadOnlySpan<byte> eventName, long changes = 1)
    {
        CountChanges(keyspace.Slot, changes);
        WakeWatchers(keyspace, key);
        if (kind != KeyEvents.None) Store.Effects.KeyEvents?.OnKeyEvent(kind, eventName, key, keyspace.Database);
    }

    /// <summary>Only counts changes; for changes to a database as a whole.</summary>
    internal void CountChanges(Slot slot, long changes)
    {
        _changes += changes;
        slot.Changes += changes;
    }

    /// <summary>
    /// Only notifies watchers of the key, and clients that track it; for the second key that one change concerns (RENAME,
    /// MOVE).
    /// </summary>
    internal readonly void WakeWatchers(Keyspace keyspace, scoped ReadOnlySpan<byte> key)
    {
        keyspace.Slot.Watchers?.Changed(keyspace.Database, key);
        Store.Tracking?.Changed(Session, key);
    }

    /// <summary>
    /// The same for an existing entry; a <see cref="Value"/> is measured again for the slot's memory.
    /// </summary>
    internal void Modified(in Entry entry, KeyEvents kind, scoped ReadOnlySpan<byte> eventName, long changes = 1)
    {
        if (!entry.IsBlob) entry.Keyspace.Recount(entry.Value);
        Modified(entry.Keyspace, entry.Key, kind, eventName, changes);
    }

    /// <summary>
    /// The command has changed what a stream has beside its entries (a group, the last ID): the same, except that the
    /// key has not changed for those who WATCH it or wait for it.
    /// </summary>
    internal void ModifiedUnwatched(
        in Entry entry, KeyEvents kind = KeyEvents.None, scoped ReadOnlySpan<byte> eventName = default, long changes = 1)
    {
        entry.Keyspace.Recount(entry.Value);
        CountChanges(entry.Keyspace.Slot, changes);
        if (kind != KeyEvents.None) Event(entry.Keyspace, entry.Key, kind, eventName);
    }

    /// <summary>
    /// Only notifies commands that wait for the key (XREADGROUP, whose group is gone), not those who WATCH it.
    /// </summary>
    internal static void WakeBlocked(in Entry entry) =>
        entry.Keyspace.Slot.Watchers?.Find<BlockedKey>(entry.Keyspace.Database, entry.Key)?.KeyChanged(entry.Keyspace.Database, entry.Key);

    /// <summary>Only publishes the event, where a command publishes more than one.</summary>
    internal readonly void Event(Keyspace keyspace, scoped ReadOnlySpan<byte> key, KeyEvents kind, scoped ReadOnlySpan<byte> eventName) =>
        Store.Effects.KeyEvents?.OnKeyEvent(kind, eventName, key, keyspace.Database);

    /// <summary>The unit that this command's effects belong to.</summary>
    private static EffectUnit Effects => t_effects ??= new();

    [ThreadStatic]
    private static EffectUnit? t_effects;

    /// <summary>
    /// Gives an effect of this command, in place of the request itself. A command must do so, for each slot, if its
    /// request is not deterministic or changes keys of several slots. Null if nobody listens; otherwise write
    /// <paramref name="argumentCount"/> bulk strings, then call <see cref="EndEffect"/>.
    /// </summary>
    internal RespWriter? BeginEffect(int argumentCount)
    {
        _effectsGiven = true;
        return Store.Effects.HasConsumers ? Effects.Begin(argumentCount) : null;
    }

    /// <summary>Completes the effect that <see cref="BeginEffect"/> began.</summary>
    internal readonly void EndEffect(Keyspace keyspace) => Effects.End(keyspace.Slot, keyspace.Database);

    /// <summary>
    /// Gives, in one slot, the effect of a command on a database as a whole: the request itself, standing for that
    /// slot's share of it.
    /// </summary>
    /// <param name="slot">The slot.</param>
    /// <param name="isFirst">False for every slot but the command's first; see
    /// <see cref="Engine.Effect.IsShare"/>.</param>
    internal void DatabaseEffect(Slot slot, bool isFirst)
    {
        if (BeginEffect(Count) is not { } words) return;
        for (int i = 0; i < Count; i++) words.BulkString(Request[i]);
        Effects.End(slot, Session.Database, isShare: !isFirst);
    }

    /// <summary>
    /// Counts a change that belongs to no slot, and gives the request itself as its effect. Where the order among such
    /// effects matters, the command runs alone.
    /// </summary>
    internal void EffectWithoutSlot()
    {
        Store.Slots.CountChangeWithoutSlot();
        if (BeginEffect(Count) is not { } words) return;
        for (int i = 0; i < Count; i++) words.BulkString(Request[i]);
        Effects.EndWithoutSlot();
    }

    /// <summary>An effect of two words. See <see cref="BeginEffect"/>.</summary>
    internal void Effect(Keyspace keyspace, scoped ReadOnlySpan<byte> name, scoped ReadOnlySpan<byte> key)
    {
        if (BeginEffect(2) is not { } effect) return;
        effect.BulkString(name);
        effect.BulkString(key);
        EndEffect(keyspace);
    }

    /// <summary>An effect of three words. See <see cref="BeginEffect"/>.</summary>
    internal void Effect(Keyspace keyspace, scoped ReadOnlySpan<byte> name, scoped ReadOnlySpan<byte> key, scoped ReadOnlySpan<byte> argument)
    {
        if (BeginEffect(3) is not { } effect) return;
        effect.BulkString(name);
        effect.BulkString(key);
        effect.BulkString(argument);
        EndEffect(keyspace);
    }

    /// <summary>An effect of four words. See <see cref="BeginEffect"/>.</summary>
    internal void Effect(
        Keyspace keyspace,
        scoped ReadOnlySpan<byte> name,
        scoped ReadOnlySpan<byte> key,
        scoped ReadOnlySpan<byte> argument1,
        scoped ReadOnlySpan<byte> argument2)
    {
        if (BeginEffect(4) is not { } effect) return;
        effect.BulkString(name);
        effect.BulkString(key);
        effect.BulkString(argument1);
        effect.BulkString(argument2);
        EndEffect(keyspace);
    }

    /// <summary>PEXPIREAT key ms, the effect of any command that sets a key's expiry time.</summary>
    internal void ExpiryEffect(Keyspace keyspace, scoped ReadOnlySpan<byte> key, long expiresAtMs)
    {
        Span<byte> digits = stackalloc byte[20];
        Effect(keyspace, "PEXPIREAT"u8, key, digits[..Numbers.FormatInt64(expiresAtMs, digits)]);
    }

    /// <summary>
    /// Enters the slot with this number, to be given back with <see cref="Leave"/>. Null if it is not on this silo, or
    /// if another command stays in it for long. For commands that visit one slot after another: unless a surrounding
    /// command already holds the gates, each slot is entered by its own gate, with nothing else held.
    /// </summary>
    internal Slot? Enter(int number)
    {
        if (Store.Slots[number] is not { } slot)
        {
            if (Session.Share is not null) MissingSlot = number;
            return null;
        }
        if (Hold != Hold.None) return Store.HeldSlot(number, Hold);
        if (IsPatient)
        {
            slot.Gate.Enter();
        }
        else if (!slot.Gate.TryEnterSpinning())
        {
            BusySlot = number;
            return null;
        }
        if (slot.IsOpen) return slot;
        slot.Leave();
        if (Session.Share is not null) MissingSlot = number;
        return null;
    }

    /// <summary>
    /// Whether a command on all slots is to visit this one. If it is this silo's share and has left meanwhile, the command
    /// starts over elsewhere.
    /// </summary>
    internal bool Covers(int number)
    {
        if (Session.Share is not { } share) return true;
        if (!share.Contains(number)) return false;
        if (Store.Slots[number] is { IsOpen: true }) return true;
        MissingSlot = number;
        return false;
    }

    /// <summary>
    /// Leaves the slot that <see cref="Enter"/> entered. What the command expired there is published while the gate is
    /// still held.
    /// </summary>
    internal readonly void Leave(Slot slot)
    {
        if (Hold != Hold.None) return;
        if (Store.Effects.HasConsumers) Effects.PublishTo(Store.Effects);
        slot.Leave();
    }

    /// <summary>
    /// The command has run: shows it to those who monitor commands, unless it has to start over, or is being loaded.
    /// </summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    internal readonly void ShowToMonitors()
    {
        if (BusySlot >= 0 || MissingSlot >= 0 || Restart != Outcome.Done) Monitors.ForgetScript();
        else if (!IsPart && (Store.Restrictions & Restrictions.Loading) == 0) Store.Monitors.Show(Session, Command, Request);
    }

    internal void BeginCommand(Hold hold, Slot? slot)
    {
        Hold = hold;
        BusySlot = MissingSlot = -1;
        _slot = slot;
        _changes = 0;
        _effectsGiven = false;
    }

    /// <summary>Publishes the command's effects; to be called inside the gates.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal void EndCommand()
    {
        if (Session.Tracking is not null) EndTracked();
        if (Store.Effects.HasConsumers) PublishEffects();
        if (Store.BlockedCommands != 0 && BlockedKey.AnyReady) Store.ServeReady(Hold, _slot);
    }

    /// <summary>Ends a command that ran inside another command's gates, after that command's end.</summary>
    internal readonly void EndResumed()
    {
        if (Session.Tracking is not null) EndTracked();
        if (Store.Effects.HasConsumers) PublishEffects();
    }

    /// <summary>
    /// The command's method has thrown. The effects it had given by then have happened. They are published now, so that
    /// they do not get mixed with the next command's. What it has retired may still be in its place.
    /// </summary>
    internal readonly void EndFailedCommand()
    {
        Effects.PublishTo(Store.Effects);
        Effects.Discard();
        Retirement.Forget();
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private readonly void PublishEffects()
    {
        GatherEffects();
        Effects.PublishTo(Store.Effects);
    }

    /// <summary>Adds the request itself to the unit, if it changed something and gave no effects of its own.</summary>
    private readonly void GatherEffects()
    {
        EffectUnit unit = Effects;
        if (_changes > 0 && !_effectsGiven)
        {
            Slot slot = _slot ?? OnlySlot();
            if (Request.IsCanonical && !Command.IsRenamed)
            {
                unit.AddFrame(slot, Session.Database, Request.Frame);
            }
            else
            {
                RespWriter frame = unit.Begin(Request.Count);
                for (int i = 0; i < Request.Count; i++) frame.BulkString(i == 0 && Command.IsRenamed ? Command.NameBytes : Request[i]);
                unit.End(slot, Session.Database);
            }
        }
    }

    /// <summary>
    /// The one slot of this request's keys, for a request inside something larger that holds more gates than it needs.
    /// </summary>
    private readonly Slot OnlySlot()
    {
        var positions = new List<int>();
        foreach (KeySpecification keys in Command.Keys)
        {
            if (!keys.IsNotKey) keys.TryLocate(Request, positions);
        }
        int only = -1;
        foreach (int position in positions)
        {
            int number = KeySlot.Of(Request[position]);
            only = only < 0 || number == only ? number : int.MaxValue;
        }
        if (only is < 0 or int.MaxValue)
            throw new InvalidOperationException($"{Command.Name} changed keys of several slots but gave no effects of its own.");
        return Store.HeldSlot(only, Hold);
    }
}
