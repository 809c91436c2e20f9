namespace OrleansRedis.Engine;

/// <summary>
/// A reader of the <see cref="ReplicationLog"/>, with a cursor: the writer of the append-only file, the journal of a
/// shared store, a replica. What lies behind <see cref="HeldFrom"/> stays in memory for it. One thread at a time moves
/// the cursor.
/// </summary>
/// <param name="log">The log.</param>
/// <param name="mostPending">
/// If more bytes than this have been appended since <see cref="Done"/>, <see cref="OnBehind"/> is called.
/// </param>
/// <param name="mostHeld">
/// If it would hold back more bytes than this, it is dropped instead; see <see cref="IsDropped"/>.
/// </param>
/// <param name="readsEffects">Whether it asks for <see cref="CollectEffects"/>.</param>
public class LogReader(ReplicationLog log, long mostPending = long.MaxValue, long mostHeld = long.MaxValue, bool readsEffects = false)
{
    private long _done;
    private long _heldFrom;
    private long _end;
    private bool _isArmed;

    /// <summary>The log that it reads.</summary>
    public ReplicationLog Log { get; } = log;

    /// <summary>The position up to which it has done what it is there for.</summary>
    public long Done
    {
        get => Volatile.Read(ref _done);
        protected set => Volatile.Write(ref _done, value);
    }

    /// <summary>The position from which on bytes are kept for it.</summary>
    public long HeldFrom
    {
        get => Volatile.Read(ref _heldFrom);
        internal set => Volatile.Write(ref _heldFrom, value);
    }

    /// <summary>It lagged so far that what it would read next is gone: it has to begin anew.</summary>
    public bool IsDropped { get; internal set; }

    /// <summary>
    /// The position up to which it reads; <see cref="long.MaxValue"/> as long as it follows the log, 0 before.
    /// </summary>
    public long End
    {
        get => Volatile.Read(ref _end);
        internal set => Volatile.Write(ref _end, value);
    }

    /// <summary>How many bytes wait for it.</summary>
    public long PendingBytes => Math.Max(0, Math.Min(End, Log.Appended) - Done);

    /// <summary>How many bytes are in memory for it.</summary>
    public long HeldBytes => Math.Max(0, Math.Min(End, Log.Appended) - HeldFrom);

    internal long MostPending { get; } = mostPending;

    internal long MostHeld { get; } = mostHeld;

    internal bool ReadsEffects { get; } = readsEffects;

    internal bool IsArmed
    {
        set => Volatile.Write(ref _isArmed, value);
    }

    /// <summary>
    /// Begins to follow the log at its end, which becomes the beginning of a part
    /// (<see cref="ReplicationLog.BeginPart"/>). Returns that position. Hold the silo gate exclusively if it has to be
    /// an instant.
    /// </summary>
    public long Follow() => Log.Follow(this);

    /// <summary>
    /// Begins to follow the log at a position that was reached before. False if what came after that is not retained.
    /// </summary>
    public bool TryFollow(long from) => Log.TryFollow(this, from);

    /// <summary>What is appended from now on is not for it. It may still read up to <see cref="End"/>.</summary>
    public void Stop() => Log.Stop(this);

    /// <summary>Holds nothing back any more.</summary>
    public void Detach() => Log.Detach(this);

    /// <summary>Does not need what lies before this position any more.</summary>
    public void Release(long upTo) => Log.Release(this, upTo);

    /// <summary>The bytes between two positions that it holds; they do not change any more.</summary>
    /// <param name="from">The first position.</param>
    /// <param name="to">The position after the last.</param>
    /// <param name="into">Receives them, in pieces.</param>
    /// <param name="withTimes">
    /// Whether the annotations of aof-timestamp-enabled are to stand between them, which have no positions. One that
    /// belongs to the unit at <paramref name="to"/> does not.
    /// </param>
    public void Collect(long from, long to, List<ReadOnlyMemory<byte>> into, bool withTimes = false) => Log.Collect(from, to, into, withTimes);

    /// <summary>
    /// The effects of the units that end after a position, in order and of whole units only: at least
    /// <paramref name="least"/> of them if there are so many. They do not change any more.
    /// </summary>
    public void CollectEffects(long from, int least, List<ReadOnlyMemory<LoggedEffect>> into) => Log.CollectEffects(from, least, into);

    /// <summary>
    /// Has <see cref="OnAppended"/> called with the next unit, unless something was appended after
    /// <paramref name="position"/>: then this is false.
    /// </summary>
    public bool TryArm(long position) => Log.TryArm(this, position);

    internal void Begin(long position)
    {
        IsDropped = false;
        HeldFrom = Done = position;
        End = long.MaxValue;
    }

    internal bool Disarm() => Volatile.Read(ref _isArmed) && Interlocked.Exchange(ref _isArmed, false);

    /// <summary>
    /// Something was appended; see <see cref="TryArm"/>. Called under the gates of slots: must be quick, and must not
    /// call back.
    /// </summary>
    protected internal virtual void OnAppended()
    {
    }

    /// <summary>
    /// More waits than should. Called with each unit as long as that is so, under the gates of slots: must be quick.
    /// </summary>
    protected internal virtual void OnBehind()
    {
    }
}
