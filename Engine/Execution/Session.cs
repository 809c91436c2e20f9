namespace OrleansRedis.Engine;

/// <summary>
/// The caller of commands, as far as the engine cares: a connection of the gateway, or a grain's callers. Used by one
/// command at a time.
/// </summary>
public class Session
{
    /// <summary>The logical database that SELECT chose.</summary>
    public int Database { get; set; }

    /// <summary>CLIENT NO-TOUCH: look-ups do not count as use of a key.</summary>
    public bool NoTouch { get; set; }

    /// <summary>
    /// Whether the client is on this machine, which enable-debug-command and enable-protected-configs may require.
    /// </summary>
    public bool IsLocal { get; set; }

    /// <summary>
    /// Whether it has proved to be its user, or need not: otherwise it may run AUTH and HELLO alone, unless everybody
    /// may be the default user.
    /// </summary>
    public bool IsAuthenticated
    {
        get;
        set
        {
            field = value;
            _proven = value ? User : AclUser.Nobody;
        }
    }
    = true;

    /// <summary>As whom it acts, and so what it may do. A session of the server itself may do everything.</summary>
    public AclUser User
    {
        get;
        set
        {
            field = value;
            _proven = IsAuthenticated ? value : AclUser.Nobody;
        }
    }
    = AclUser.Internal;

    /// <summary>
    /// Whether it has authenticated, if it must, and may do everything: the usual case, and cheap to check.
    /// </summary>
    public bool IsUnrestricted => _proven.IsUnrestricted;

    /// <summary>
    /// Where it comes from, for holding back whoever guesses passwords: an address without a port. Empty if it cannot
    /// be from elsewhere.
    /// </summary>
    public virtual string Origin => "";

    /// <summary>
    /// Whether it has subscriptions and speaks RESP2, in which messages cannot be told from replies: until the
    /// subscriptions end it may do little else.
    /// </summary>
    public bool IsInPubSub { get; protected set; }

    /// <summary>
    /// It exists for a single grain call, so a command that would change the session's state makes no sense in it.
    /// </summary>
    public bool IsOneCall { get; init; }

    /// <summary>ASKING</summary>
    public Asking Asking { get; set; }

    /// <summary>READONLY: what its master owns may be read from a replica.</summary>
    public bool ReadsFromReplica { get; set; }

    /// <summary>Whether it speaks TLS, and so is told those ports of the cluster's nodes.</summary>
    public virtual bool UsesTls => false;

    /// <summary>The address of this server by which it has come; empty if it has come by none.</summary>
    public virtual string LocalIp => "";

    /// <summary>
    /// Whether its commands are taken to the silo that has their keys, if this one does not. Otherwise they are refused.
    /// </summary>
    public virtual bool GoesElsewhere => false;

    /// <summary>Whether commands on all slots are not run at once, since other silos have some of them.</summary>
    public virtual bool IsOneOfMany => false;

    /// <summary>Whether it watches keys of other silos.</summary>
    public virtual bool WatchesElsewhere => false;

    /// <summary>
    /// The slots that a command on all slots is confined to: this silo's share of it. It does not run unless all of them
    /// are here. Null if there are no others.
    /// </summary>
    public SlotSet? Share { get; set; }

    /// <summary>
    /// Whether another silo has brought its command here, and has checked that it may run. What only turns out here (the
    /// calls of a script, the queue of a transaction) is up to this silo's rules for <see cref="User"/>.
    /// </summary>
    public virtual bool IsVouchedFor => false;

    /// <summary>
    /// After <see cref="Verdict.Elsewhere"/>: the slot that is not here; negative if the command is about all slots.
    /// </summary>
    public int MissingSlot { get; internal set; }

    /// <summary>
    /// After <see cref="Verdict.Elsewhere"/>: what its command has become that was waiting for keys when they left; null if
    /// it has not begun to wait.
    /// </summary>
    public MovedCommand? Moved { get; set; }

    /// <summary>For how many ms its command has waited for keys elsewhere, which count for the command's timeout.</summary>
    public virtual long WaitedMs => 0;

    /// <summary>Where it comes from: for a client, its address and port.</summary>
    public virtual string Address => IsOneCall ? "orleans:0" : "?:0";

    /// <summary>How MONITOR names where it comes from.</summary>
    internal protected virtual string MonitorName => Address;

    /// <summary>CLIENT SETNAME; empty if it has none.</summary>
    public virtual string ClientName => "";

    /// <summary>How many of its commands have run to their end, those of transactions included.</summary>
    public long CommandsRun { get; set; }

    /// <summary>The state of its WATCH and MULTI; null if it never used either.</summary>
    public Transaction? Transaction { get; set; }

    /// <summary>Its CLIENT TRACKING; null if it never used it.</summary>
    public ClientTracking? Tracking { get; set; }

    /// <summary>SCRIPT DEBUG.</summary>
    public ScriptDebugging ScriptDebugging { get; set; }

    /// <summary>The script that it is debugging; null if there is none.</summary>
    public IDebuggedScript? Debugged { get; set; }

    /// <summary>
    /// The command with which it waits for a key; null while it does not wait. Any thread may read this, to end the
    /// wait.
    /// </summary>
    public BlockedCommand? Blocked
    {
        get => Volatile.Read(ref _blocked);
        internal set => Volatile.Write(ref _blocked, value);
    }

    private BlockedCommand? _blocked;
    private AclUser _proven = AclUser.Internal; // the user that it has authenticated as, or nobody

    /// <summary>Its description, for people: a client's line in CLIENT LIST, without a line end.</summary>
    public virtual string Describe(long nowMs) => $"user={User.Name}";

    /// <summary>
    /// What a command may do in this session: its own flags and, for EXEC, those of all queued commands.
    /// </summary>
    public CommandFlags FlagsOf(CommandInfo command) => Executed(command) is { } transaction ? command.Flags | transaction.QueuedFlags : command.Flags;

    /// <summary>
    /// Whether everything that a command does in this session has a flag: the command itself or, for EXEC, all queued
    /// commands.
    /// </summary>
    public bool HasThroughout(CommandInfo command, CommandFlags flag) =>
        ((Executed(command) is { } transaction ? transaction.QueuedInAll : command.Flags) & flag) != 0;

    /// <summary>
    /// Whether a command reads or changes the data set in this session, so that its reply depends on it.
    /// </summary>
    public bool ConcernsData(CommandInfo command)
    {
        if (command.Is(CommandFlags.SessionKeys))
            return command.Is(CommandFlags.RunsQueue) && Transaction is { IsPoisoned: false, Queue.Count: > 0 };
        return command.Keys.Count > 0
            || command.Is(CommandFlags.Write | CommandFlags.ReadOnly | CommandFlags.Exclusive
                | CommandFlags.WholeKeyspace | CommandFlags.UndeclaredKeys);
    }

    /// <summary>
    /// The runner is about to try a command, or to let it finish, apart from the batch in which the session's other
    /// commands run. A connection notes here how far the log has come, because the reply may have to wait for it.
    /// </summary>
    protected internal virtual void BeforeAttempt(CommandInfo command)
    {
    }

    /// <summary>
    /// From here to <see cref="EndTurn"/> a command is admitted and run apart from the batch, perhaps on another thread
    /// than the connection's own. It has the session to itself: anything others want done in it waits.
    /// </summary>
    protected internal virtual void BeginTurn()
    {
    }

    /// <summary>Ends the turn that <see cref="BeginTurn"/> began.</summary>
    protected internal virtual void EndTurn()
    {
    }

    /// <summary>
    /// Waits for CLIENT PAUSE to end, before a command begins. A connection gives up when its client leaves.
    /// </summary>
    protected internal virtual Task HoldAsync(ClientPause pause, Task over) => pause.HoldAsync(over, CancellationToken.None);

    /// <summary>
    /// Waits until the log accepts more, before a command begins. A connection gives up when it is closed.
    /// </summary>
    protected internal virtual Task WaitForRoomAsync(Task room) => room;

    /// <summary>
    /// The transaction that a command is to execute; null if the command is not EXEC, or if there was no MULTI.
    /// </summary>
    private Transaction? Executed(CommandInfo command) => command.Is(CommandFlags.RunsQueue) && Transaction is { IsOpen: true } open ? open : null;
}

/// <summary>A command that was waiting for keys when they left for another silo, where it has to go on waiting.</summary>
/// <param name="Request">What to run there: XREAD with a definite ID in place of "$", for example.</param>
/// <param name="WaitedMs">For how many ms it has waited so far.</param>
public sealed record MovedCommand(OwnedRequest Request, long WaitedMs);
