namespace OrleansRedis.Engine;

/// <summary>
/// A reader of the <see cref="ReplicationLog"/>, with a cursor: the writer of the append-only file, the journal of a
/// shared store, or a replica. The bytes from <see cref="HeldFrom"/> on stay in memory for it. Only one thread at a
/// time moves the cursor.
/// </summary>
/// <param name="log">The log.</param>
/// <param name="mostPending">
/// If more bytes than this have been appended since <see cref="Done"/>, <see cref="OnBehind"/> is called.
/// </param>
/// <param name="mostHeld">
/// A reader that would hold back more bytes than this is dropped instead; see <see cref="IsDropped"/>.
/// </param>
/// <param name="readsEffects">Whether it calls <see cref="CollectEffects"/>.</param>
public class LogReader(ReplicationLog log, long mostPending = long.MaxValue, long mostHeld = long.MaxValue, bool readsEffects = false)
{
    private long _done;
    private long _heldFrom;
    private long _end;
    private bool _isArmed;

    /// <summary>The log that it reads.</summary>
    public ReplicationLog Log { get; } = log;

    /// <summary>The position up to which the reader has done its work.</summary>
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

    /// <summary>
    /// Whether it lagged so far behind that the bytes it would read next are gone. It has to start over.
    /// </summary>
    public bool IsDropped { get; internal set; }

    /// <summary>
    /// The position up to which it reads: <see cref="long.MaxValue"/> while it follows the log, 0 before that.
    /// </summary>
    public long End
    {
        get => Volatile.Read(ref _end);
        internal set => Volatile.Write(ref _end, value);
    }

    /// <summary>How many bytes wait to be read.</summary>
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
    /// (<see cref="ReplicationLog.BeginPart"/>), and returns that position. Hold the silo gate exclusively if the
    /// position has to be an instant.
    /// </summary>
    public long Follow() => Log.Follow(this);

    /// <summary>
    /// Begins to follow the log at a position that was reached earlier. False if the bytes after it are no longer
    /// retained.
    /// </summary>
    public bool TryFollow(long from) => Log.TryFollow(this, from);

    /// <summary>
    /// Stops following: later bytes are not for this reader. It may still read up to <see cref="End"/>.
    /// </summary>
    public void Stop() => Log.Stop(this);

    /// <summary>Stops holding anything back.</summary>
    public void Detach() => Log.Detach(this);

    /// <summary>Gives up the bytes before this position.</summary>
    public void Release(long upTo) => Log.Release(this, upTo);

    /// <summary>The bytes between two positions that the reader holds. They no longer change.</summary>
    /// <param name="from">The first position.</param>
    /// <param name="to">The position after the last.</param>
    /// <param name="into">Receives the bytes, in pieces.</param>
    /// <param name="withTimes">
    /// Whether to include the annotations of aof-timestamp-enabled, which have no positions of their own. An annotation
    /// that belongs to the unit at <paramref name="to"/> is not included.
    /// </param>
    public void Collect(long from, long to, List<ReadOnlyMemory<byte>> into, bool withTimes = false) => Log.Collect(from, to, into, withTimes);

    /// <summary>
    /// The effects of the units that end after a position, in order and whole units only: at least
    /// <paramref name="least"/> effects if there are that many. They no longer change.
    /// </summary>
    public void CollectEffects(long from, int least, List<ReadOnlyMemory<LoggedEffect>> into) => Log.CollectEffects(from, least, into);

    /// <summary>
    /// Arranges for <see cref="OnAppended"/> to be called with the next unit. False if something has already been
    /// appended after <paramref name="position"/>; then it is not called.
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
    /// Something was appended; see <see cref="TryArm"/>. Called under the gates of slots: must be quick and must not
    /// call back.
    /// </summary>
    protected internal virtual void OnAppended()
    {
    }

    /// <summary>
    /// More bytes wait than should. Called with every unit while that is so, under the gates of slots: must be quick.
    /// </summary>
    protected internal virtual void OnBehind()
    {
    }
}
