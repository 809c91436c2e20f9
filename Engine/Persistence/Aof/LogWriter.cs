using System.Diagnostics;

namespace OrleansRedis.Engine;

/// <summary>
/// Moves what is in the <see cref="ReplicationLog"/> into a file and onto the disk, as appendfsync says, on a thread of
/// its own, and releases the replies that wait for that. With "always" the thread works only when a reply is waiting;
/// and while the disk is fast, the thread that ran the commands commits them itself (<see cref="TryCommit"/>).
/// <para>
/// <b>Errors.</b> What cannot be written stays in memory, in whole commands, and is tried again every second. Meanwhile
/// <see cref="Failure"/> says why, and writes are refused. A failed fsync is worse: the system forgets that those pages
/// were never written and will not report it a second time, though they may never have reached the disk. So everything
/// since the last successful fsync stays in memory too. After a failure it is written again at the same offset, which
/// makes the pages dirty again; only the fsync after that is trusted. The file cannot be repaired if this would take
/// more than <see cref="MostUnsynced"/> bytes, or if appendfsync is "no", so that nothing is kept. Then a rewrite has
/// to replace the file (<see cref="IsDamaged"/>).
/// </para>
/// </summary>
internal sealed class LogWriter : LogReader, IDisposable
{
    /// <summary>If more than this waits to be written, commands that write have to wait too.</summary>
    internal const long MostUnwritten = 64L << 20;

    /// <summary>The most that is kept in memory of what has been written but not synced.</summary>
    internal const long MostUnsynced = 192L << 20;

    /// <summary>
    /// If a sync takes longer than this on average, or a write during one, it is left to the thread.
    /// </summary>
    private const double SlowMs = 1;

    /// <summary>How long a thread that is about to reply waits for another one's write.</summary>
    private const int MostWaitMs = 1;

    private static readonly TimeSpan s_errorLogInterval = TimeSpan.FromSeconds(30);

    private readonly ILogOwner _owner;
    private readonly TimeProvider _time;
    // one fsync at a time, because the system reports a failure to only one caller; taken before _io
    private readonly SemaphoreSlim _sync = new(1, 1);
    private readonly object _io = new();                  // guards the file and its state, down to the blank line
    private readonly List<ReadOnlyMemory<byte>> _pieces = [];
    private ILogFile? _file;
    // the position at which the file would begin if it held nothing but bytes of the log
    private long _fileStart;
    // bytes of annotations in the file, which have no positions: those written, and those synced
    private long _times;
    private long _timesSynced;
    private long _limit = long.MaxValue;                  // nothing is written beyond this position
    private long _synced;
    private string? _writeFailure;
    private string? _syncFailure;
    private long _lastErrorLogged;
    private long _lastSync;
    private double _syncMs = SlowMs;                      // smoothed duration of a sync; unknown at first
    private double _writeMs;                              // of a write while a sync is under way
    private bool _countedAsDelayed;

    private readonly Lock _waiting = new();               // guards _groups
    // the waiting replies, in the order of the commits that release them; only the last group still takes new ones
    private readonly List<Group> _groups = [];
    private readonly AutoResetEvent _work = new(initialState: false);
    private readonly Thread _thread;
    private TaskCompletionSource? _room;
    private long _committed;
    private volatile bool _isAsked;                       // there is something for the thread to commit
    private volatile bool _syncing;                       // an fsync is running in the background
    private volatile bool _stops;

    public LogWriter(ILogOwner owner, ReplicationLog log)
        : base(log, MostUnwritten)
    {
        _owner = owner;
        _time = owner.Clock.Time;
        _thread = new(Run) { IsBackground = true, Name = "append log" };
    }

    /// <summary>The position up to which replies need not wait.</summary>
    public long Committed => Volatile.Read(ref _committed);

    /// <summary>The position up to which everything has been written to a file.</summary>
    public long Written => Done;

    /// <summary>The position up to which everything is known to be on the disk.</summary>
    public long Synced => Volatile.Read(ref _synced);

    /// <summary>The length of the file.</summary>
    public long FileLength => _file is null ? 0 : Written - _fileStart + Volatile.Read(ref _times);

    /// <summary>Why the log cannot be written now, in the system's words; null while it can be.</summary>
    public string? Failure => _writeFailure ?? _syncFailure;

    /// <summary>
    /// The file may lack some of what was written to it, and memory no longer holds it either: the file must be
    /// replaced.
    /// </summary>
    public bool IsDamaged { get; private set; }

    /// <summary>Whether an fsync is under way in the background.</summary>
    public bool IsSyncing => _syncing;

    /// <summary>How often writes went on without waiting for an fsync, because it took too long.</summary>
    public long DelayedSyncs { get; set; }

    /// <summary>DEBUG AOF-FLUSH-SLEEP: µs to wait before each write.</summary>
    public int SleepMicroseconds { get; set; }

    /// <summary>Whether a snapshot or rewrite keeps the disk busy, for no-appendfsync-on-rewrite.</summary>
    public Func<bool> IsDiskBusy { get; init; } = () => false;

    private AppendFsync Policy => _owner.Options.AppendFsync;

    private bool SyncsNot => Policy == AppendFsync.No || (_owner.Options.NoAppendFsyncOnRewrite && IsDiskBusy());

    /// <summary>
    /// Continues the log at the end of this file. The file is not to hold anything appended before this call, and
    /// nothing may be appended during it.
    /// </summary>
    public void Open(ILogFile file)
    {
        _sync.Wait();
        lock (_io)
        {
            _committed = _synced = Follow();
            _fileStart = Written - file.Length;
            _times = _timesSynced = 0;
            _limit = long.MaxValue;
            _lastSync = _time.GetTimestamp();
            Forgive();
            _file = file;
        }
        _sync.Release();
        if (!_thread.IsAlive) _thread.Start();
    }

    /// <summary>
    /// Writes and syncs the rest, closes the file, and stops following the log. What cannot be written is lost, and
    /// waiting replies are released. Returns why it failed, or null.
    /// </summary>
    public string? Close()
    {
        using Hold hold = HoldAll();
        if (_file is null) return null;
        Stop();
        _limit = long.MaxValue;
        if (_syncFailure is not null) Mend();
        else if (TryWrite()) TrySync(_file, Written, _times);
        string? failure = Failure;
        Interlocked.Exchange(ref _file, null).Dispose();
        Forgive();
        Done = _committed = _synced = End;
        Detach();
        lock (_waiting) Complete(long.MaxValue);
        return failure;
    }

    /// <summary>
    /// Writes and syncs everything appended so far. False if that fails; without a file there is nothing to do.
    /// </summary>
    public bool Flush()
    {
        using Hold hold = HoldAll();
        return _file is null || (Failure is null && TryWrite() && TrySync(_file, Written, _times));
    }

    /// <summary>
    /// With "everysec": syncs what has been written so far. To be called ahead of <see cref="Limit"/>, so that the sync
    /// before the switch, during which replies wait, is left with little. Here no reply waits.
    /// </summary>
    public void SyncAhead()
    {
        if (Policy != AppendFsync.Everysec || SyncsNot || Failure is not null) return;
        _sync.Wait();
        if (Synced >= Written || Failure is not null)
        {
            _sync.Release();
            return;
        }
        _syncing = true;
        SyncInBackground();
    }

    /// <summary>
    /// Holds back everything after this position until <see cref="Switch"/>, because it belongs in another file.
    /// Nothing has been appended after it yet. This waits for no lock, because the whole silo is stopped meanwhile, and
    /// needs none: a write already running has seen nothing beyond the position, and the next write sees the limit.
    /// </summary>
    public void Limit(long position) => Volatile.Write(ref _limit, position);

    /// <summary>
    /// Ends the file at the limit: writes and syncs what belongs there, calls <paramref name="announce"/> to make the
    /// next file known, and continues in that one. If anything fails, the current file stays in use, the limit is
    /// lifted, and the exception says why.
    /// </summary>
    public void Switch(ILogFile next, Action announce)
    {
        using (HoldAll())
        {
            try
            {
                if (_file is null) throw new LogFileException("the log has been switched off");
                if (!IsDamaged)
                {
                    if (_syncFailure is not null && !Mend()) throw new LogFileException(_syncFailure);
                    if (!TryWrite() || (Policy != AppendFsync.No && !TrySync(_file, Written, _times))) throw new LogFileException(Failure!);
                }
                else
                {
                    TryWrite(); // write what can still be written
                    if (Written < _limit) throw new LogFileException(Failure!);
                }
                announce();
                Interlocked.Exchange(ref _file, next).Dispose();
                _fileStart = _limit;
                _times = _timesSynced = 0;
            }
            finally
            {
                _limit = long.MaxValue;
                Ask();
            }
        }
    }

    /// <summary>A rewrite has put everything into other files, so damage to an earlier one no longer matters.</summary>
    public void Replaced()
    {
        lock (_io)
        {
            if (!IsDamaged) return;
            IsDamaged = false;
            _syncFailure = null;
            LiftIfWell();
        }
    }

    /// <summary>Completes when there is room for more appends.</summary>
    public Task WhenRoom() => Volatile.Read(ref _room)?.Task ?? Task.CompletedTask;

    /// <summary>Completes when everything up to a position is committed.</summary>
    public Task WhenCommitted(long position)
    {
        Task task;
        lock (_waiting)
        {
            if (Join(position) is not { } group) return Task.CompletedTask;
            task = (group.Done ??= new(TaskCreationOptions.RunContinuationsAsynchronously)).Task;
        }
        Ask();
        return task;
    }

    /// <summary>
    /// Writes, and with "always" syncs, on the calling thread, unless another thread has committed that much already,
    /// or the log has been closed. False if that fails, or if the disk has been slow lately. A fast disk is done before
    /// another thread would have woken up. With a slow one, the caller's other clients, which need no commit, would
    /// have to wait.
    /// </summary>
    public bool TryCommit(long position)
    {
        if (Committed >= position || Volatile.Read(ref _file) is null) return true;
        if (Policy != AppendFsync.Always) return TryCommitByWriting(position);
        if (Volatile.Read(ref _syncMs) > SlowMs) return false;
        using Hold hold = HoldAll();
        if (Committed < position) Commit(always: true);
        return Committed >= position;
    }

    private bool TryCommitByWriting(long position)
    {
        // What lies beyond the limit can be written after the switch only, which has to wait for the disk.
        if (Volatile.Read(ref _limit) != long.MaxValue || (IsSyncing && Volatile.Read(ref _writeMs) > SlowMs)) return false;
        if (!Monitor.TryEnter(_io, MostWaitMs)) return false;
        try
        {
            if (Committed < position) Commit(always: false);
        }
        finally
        {
            Monitor.Exit(_io);
        }
        return Committed >= position;
    }

    /// <inheritdoc cref="ICommittingLog.OnCommitted"/>
    public void OnCommitted(long position, Action then, Action? failed)
    {
        Group? group;
        bool fails = false;
        lock (_waiting)
        {
            group = Join(position);
            if (group is not null)
            {
                group.Then += then;
                // Either this sees the failure, or TellOfFailure sees the group.
                fails = Failure is not null;
                if (!fails) group.Failed += failed;
            }
        }
        if (fails) failed?.Invoke();
        if (group is null) then();
        else Ask();
    }

    /// <summary>To be called about every 100 ms: runs the fsync of everysec, and tries again after a failure.</summary>
    public void Tick(bool isSecond)
    {
        if (isSecond) Log.Trim();
        if (isSecond && Failure is not null && !IsDamaged && !IsSyncing)
        {
            using (HoldAll())
            {
                if (_file is not null && (_syncFailure is null || Mend())) TryWrite();
            }
            _work.Set();
        }
        // Expiry and eviction append without anyone's waiting for it.
        if (Log.Appended > Committed) Ask();
        if (IsSyncing)
        {
            if (_countedAsDelayed || Written == Synced || _time.GetElapsedTime(_lastSync) < TimeSpan.FromSeconds(2)) return;
            _countedAsDelayed = true;
            DelayedSyncs++;
            _owner.Log.Notice(
                "Asynchronous AOF fsync is taking too long (disk is busy?). Writing the AOF buffer without waiting for fsync to complete, this may "
                    + "slow down Redis.");
            return;
        }
        if (Policy != AppendFsync.Everysec || Synced >= Written || SyncsNot || _syncFailure is not null
            || _time.GetElapsedTime(_lastSync) < TimeSpan.FromSeconds(1)) return;
        if (!_sync.Wait(0)) return;
        _syncing = true;
        ThreadPool.UnsafeQueueUserWorkItem(static writer => writer.SyncInBackground(), this, preferLocal: false);
    }

    public void Dispose()
    {
        _stops = true;
        _work.Set();
        if (_thread.IsAlive) _thread.Join();
        Close();
        // _sync and _work are left to the collector. The loop of a connection that is about to end may be using them, and
        // an exception there would end the process.
    }

    private void Run()
    {
        while (!_stops)
        {
            if (!HasWork) _work.WaitOne();
            if (_stops) return;
            _isAsked = false; // cleared before looking, so that a later request is served by the next round
            if (Policy == AppendFsync.Always)
            {
                using (HoldAll()) Commit(always: true);
            }
            else
            {
                lock (_io) Commit(always: false);
            }
        }
    }

    /// <summary>Makes the thread commit.</summary>
    private void Ask()
    {
        _isAsked = true;
        _work.Set();
    }

    private bool HasWork => _isAsked && Volatile.Read(ref _file) is not null && Failure is null;

    /// <summary>One round of the thread. The caller holds <see cref="_io"/>.</summary>
    private void Commit(bool always)
    {
        if (_file is null || Failure is not null) return;
        lock (_waiting)
        {
            // A reply that comes after this is left to the next round: it may wait for something appended after the
            // write below.
            if (_groups.Count != 0) _groups[^1].IsClosed = true;
        }
        if (!TryWrite()) return;
        if (!always || SyncsNot) CommitTo(Written);
        else TrySync(_file!, Written, _times);
    }

    /// <inheritdoc/>
    protected internal override void OnBehind() => Fill();

    /// <summary>The position up to which there is something to write.</summary>
    private long UpTo => Math.Min(Math.Min(Log.Appended, Volatile.Read(ref _limit)), End);

    private bool TryWrite()
    {
        long from = Written, to = UpTo;
        if (to <= from || _file is null) return true;
        if (SleepMicroseconds != 0) Thread.Sleep(TimeSpan.FromMicroseconds(SleepMicroseconds));
        long begin = from - _fileStart + _times, at = begin;
        Collect(from, to, _pieces, withTimes: true);
        long start = IsSyncing ? Stopwatch.GetTimestamp() : 0, began = _owner.Latency.Begin();
        try
        {
            foreach (ReadOnlyMemory<byte> piece in _pieces)
            {
                _file.Write(piece.Span, at);
                at += piece.Length;
            }
        }
        catch (LogFileException failure)
        {
            // a lower bound of how many bytes of the log were written
            long written = at - begin - Log.TimesLength(from, to);
            FailWriting(failure.Message, Log.WholeBefore(from + written, from));
            return false;
        }
        finally
        {
            _pieces.Clear();
        }
        _owner.Latency.End(start != 0 ? "aof-write-pending-fsync" : IsDiskBusy() ? "aof-write-active-child" : "aof-write-alone", began);
        _owner.Latency.End("aof-write", began);
        Volatile.Write(ref _times, _times + (at - begin) - (to - from));
        Done = to;
        if (start != 0) Smooth(ref _writeMs, Stopwatch.GetElapsedTime(start));
        if (SyncsNot) Release(to);
        else if (to - HeldFrom > MostUnsynced) Release(to - MostUnsynced);
        if (_writeFailure is not null)
        {
            _writeFailure = null;
            _owner.Log.Warning("AOF write error looks solved, Redis can write again.");
            LiftIfWell();
        }
        if (Volatile.Read(ref _room) is not null && PendingBytes < MostUnwritten / 2) Drained();
        return true;
    }

    /// <summary>
    /// Truncates the file to the end of a command, if the system allows it. The rest is still in the buffer.
    /// </summary>
    private void FailWriting(string reason, long whole)
    {
        bool logs = _writeFailure is null || _time.GetElapsedTime(_lastErrorLogged) > s_errorLogInterval;
        if (logs)
        {
            _lastErrorLogged = _time.GetTimestamp();
            _owner.Log.Warning($"Error writing to the AOF file: {reason}");
        }
        long times = _times + Log.TimesLength(Written, whole);
        try
        {
            _file!.Truncate(whole - _fileStart + times);
        }
        catch (LogFileException failure)
        {
            if (logs)
                _owner.Log.Warning(
                    $"Could not remove short write from the append-only file.  Redis may refuse to load the AOF the next time it starts.  ftruncate: "
                        + $"{failure.Message}");
        }
        Volatile.Write(ref _times, times);
        Done = whole;
        _writeFailure = reason;
        _owner.Restrict(Restrictions.LogFails);
        TellOfFailure();
    }

    /// <summary>Syncs a file to which everything up to a position has been written.</summary>
    private bool TrySync(ILogFile file, long upTo, long times)
    {
        if (_syncFailure is not null) return false; // the file must be mended first
        _lastSync = _time.GetTimestamp();
        long start = Stopwatch.GetTimestamp();
        try
        {
            file.Sync();
        }
        catch (LogFileException failure)
        {
            FailSyncing(failure.Message);
            return false;
        }
        TimeSpan took = Stopwatch.GetElapsedTime(start);
        if (Policy == AppendFsync.Always) _owner.Latency.Add("aof-fsync-always", (long)took.TotalMilliseconds);
        Smooth(ref _syncMs, took);
        Advance(upTo, times);
        return true;
    }

    private static void Smooth(ref double ms, TimeSpan latest) => Volatile.Write(ref ms, ms + ((latest.TotalMilliseconds - ms) / 8));

    private void FailSyncing(string reason)
    {
        if (_syncFailure is null) _owner.Log.Warning($"Fail to fsync the AOF file: {reason}");
        _syncFailure = reason;
        _owner.Restrict(Restrictions.LogFails);
        TellOfFailure();
    }

    private void Advance(long upTo, long times)
    {
        if (upTo > _synced)
        {
            _timesSynced = times;
            Volatile.Write(ref _synced, upTo);
        }
        Release(upTo);
        CommitTo(upTo);
    }

    /// <summary>
    /// After a failed fsync: writes again everything that may not have reached the disk, and syncs it. False if that
    /// fails again, or is impossible.
    /// </summary>
    private bool Mend()
    {
        if (HeldFrom > _synced)
        {
            if (!IsDamaged)
                _owner.Log.Warning(
                    "What was written to the AOF file since its last successful fsync is not in memory any more. The AOF will be rewritten.");
            IsDamaged = true;
            return false;
        }
        try
        {
            long at = _synced - _fileStart + _timesSynced;
            Collect(_synced, Written, _pieces, withTimes: true);
            foreach (ReadOnlyMemory<byte> piece in _pieces)
            {
                _file!.Write(piece.Span, at);
                at += piece.Length;
            }
            _file!.Sync();
        }
        catch (LogFileException failure)
        {
            _syncFailure = failure.Message;
            return false;
        }
        finally
        {
            _pieces.Clear();
        }
        _syncFailure = null;
        _owner.Log.Warning("The AOF was written again after a failed fsync, Redis can write again.");
        Advance(Written, _times);
        LiftIfWell();
        return true;
    }

    private void SyncInBackground()
    {
        ILogFile? file;
        long upTo, times;
        lock (_io)
        {
            file = _file;
            upTo = Written;
            times = _times;
            _countedAsDelayed = false;
            _lastSync = _time.GetTimestamp();
        }
        string? failure = null;
        try
        {
            file?.Sync(); // without _io, so that writes can go on
        }
        catch (LogFileException exception)
        {
            failure = exception.Message;
        }
        lock (_io)
        {
            _syncing = false;
            if (failure is not null) FailSyncing(failure);
            else if (file is not null) Advance(upTo, times);
        }
        _sync.Release();
    }

    private void CommitTo(long position)
    {
        if (position > _committed) Volatile.Write(ref _committed, position);
        lock (_waiting) Complete(_committed);
    }

    /// <summary>
    /// Adds this position to the group that waits for the next commit. Null if the position is already committed. The
    /// caller holds <see cref="_waiting"/>.
    /// </summary>
    private Group? Join(long position)
    {
        if (Committed >= position || _file is null) return null;
        if (_groups.Count == 0 || _groups[^1].IsClosed) _groups.Add(new());
        Group group = _groups[^1];
        group.UpTo = Math.Max(group.UpTo, position);
        return group;
    }

    private void TellOfFailure()
    {
        lock (_waiting)
        {
            foreach (Group group in _groups)
            {
                group.Failed?.Invoke();
                group.Failed = null;
            }
        }
    }

    private void Complete(long upTo)
    {
        for (int i = 0; i < _groups.Count; i++)
        {
            Group group = _groups[i];
            if (group.UpTo > upTo) continue;
            _groups.RemoveAt(i--);
            group.Done?.SetResult();
            group.Then?.Invoke();
        }
    }

    private void Fill()
    {
        if (Volatile.Read(ref _room) is not null) return;
        if (Interlocked.CompareExchange(ref _room, new(TaskCreationOptions.RunContinuationsAsynchronously), null) is not null) return;
        _owner.Restrict(Restrictions.LogIsFull);
        Ask();
        // It may have been drained before the restriction was set.
        if (PendingBytes < MostUnwritten / 2) Drained();
    }

    private void Drained()
    {
        _owner.Lift(Restrictions.LogIsFull);
        Interlocked.Exchange(ref _room, null)?.TrySetResult();
    }

    private void LiftIfWell()
    {
        if (Failure is null) _owner.Lift(Restrictions.LogFails);
    }

    /// <summary>Clears all failures, because nothing is wrong yet with another file.</summary>
    private void Forgive()
    {
        _writeFailure = _syncFailure = null;
        IsDamaged = false;
        _owner.Lift(Restrictions.LogFails);
        Drained();
    }

    private Hold HoldAll()
    {
        _sync.Wait();
        Monitor.Enter(_io);
        return new(this);
    }

    /// <summary>Holds both locks of the file, so that no fsync is under way.</summary>
    private readonly ref struct Hold(LogWriter writer)
    {
        public void Dispose()
        {
            Monitor.Exit(writer._io);
            writer._sync.Release();
        }
    }

    /// <summary>Replies that are released by the same commit.</summary>
    private sealed class Group
    {
        /// <summary>Completes for callers that await it.</summary>
        public TaskCompletionSource? Done { get; set; }

        /// <summary>Called on the log's thread, for callers that do not await.</summary>
        public Action? Then { get; set; }

        /// <summary>Called, in the same way, when the log fails.</summary>
        public Action? Failed { get; set; }

        /// <summary>The highest position that any of them waits for.</summary>
        public long UpTo { get; set; }

        /// <summary>Whether no more replies can join.</summary>
        public bool IsClosed { get; set; }
    }
}
