using System.Diagnostics;

namespace OrleansRedis.Engine;

/// <summary>
/// Brings what is in the <see cref="ReplicationLog"/> into a file and onto the disk, as appendfsync says, on a thread of its own; and lets those go
/// on who wait for that. With "always" nothing but their waiting sets the thread to work; and if the disk is fast, whoever has run commands does it himself (<see cref="TryCommit"/>).
/// <para>
/// <b>Errors.</b> What cannot be written stays in memory, whole commands only, and is tried again every second; meanwhile <see cref="Failure"/> says why, and writes are
/// refused. A failed fsync is worse: the system has forgotten that those pages were not written and will say so no second time, though they may never have reached the disk. So
/// everything since the last fsync that succeeded stays there as well, and after a failure it is written again, to the same place, which makes the pages
/// dirty anew; only the fsync after that is believed. If more than <see cref="MostUnsynced"/> bytes would have to be held for this, or none are because
/// appendfsync is "no", the file cannot be mended, and a rewrite has to replace it (<see cref="IsDamaged"/>).
/// </para>
/// </summary>
internal sealed class LogWriter : LogReader, IDisposable
{
    /// <summary>If more waits to be written, commands that write wait too.</summary>
    internal const long MostUnwritten = 64L << 20;

    /// <summary>As much as is kept, at most, of what was written but is not synced.</summary>
    internal const long MostUnsynced = 192L << 20;

    /// <summary>So long others may append before the thread writes it all, unless appendfsync is "always".</summary>
    private const int GatherMs = 1;

    /// <summary>A disk whose syncs take longer, in the mean, is left to the thread.</summary>
    private const double SlowSyncMs = 1;

    /// <summary>After so long without a write, those who are about to reply write by themselves.</summary>
    private static readonly TimeSpan s_quiet = TimeSpan.FromMilliseconds(0.2);
    private static readonly TimeSpan s_errorLogInterval = TimeSpan.FromSeconds(30);

    private readonly ILogOwner _owner;
    private readonly TimeProvider _time;
    private readonly SemaphoreSlim _sync = new(1, 1);     // one fsync at a time, as a failure is reported to one of them only; taken before _io
    private readonly object _io = new();                  // guards the file and what is said of it, down to the blank line
    private readonly List<ReadOnlyMemory<byte>> _pieces = [];
    private ILogFile? _file;
    private long _fileStart;                              // the position that the file's beginning would have, if nothing were in it but bytes of the log
    private long _times;                                  // bytes of annotations in the file, which have no positions: up to what is written,
    private long _timesSynced;                            // and up to what is synced
    private long _limit = long.MaxValue;                  // nothing is written beyond
    private long _synced;
    private string? _writeFailure;
    private string? _syncFailure;
    private long _lastErrorLogged;
    private long _lastWrite;
    private long _lastSync;
    private double _syncMs = SlowSyncMs;                  // how long a sync takes, smoothed; to begin with, nobody knows
    private bool _countedAsDelayed;

    private readonly Lock _waiting = new();               // guards the groups
    private readonly List<Group> _groups = [];            // who waits, in the order of the commits that serve them; the last is still being joined
    private readonly AutoResetEvent _work = new(initialState: false);
    private readonly Thread _thread;
    private TaskCompletionSource? _room;
    private long _committed;
    private volatile bool _isAsked;                       // with "always": somebody waits for a commit by the thread
    private volatile bool _syncing;                       // in the background
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

    /// <summary>The position up to which everything is in a file.</summary>
    public long Written => Done;

    /// <summary>The position up to which everything is known to be on the disk.</summary>
    public long Synced => Volatile.Read(ref _synced);

    /// <summary>How long the file is.</summary>
    public long FileLength => _file is null ? 0 : Written - _fileStart + Volatile.Read(ref _times);

    /// <summary>Why the log cannot be written now, in the system's words; null while it can.</summary>
    public string? Failure => _writeFailure ?? _syncFailure;

    /// <summary>The file may lack what was written to it, and nobody has it any more: it must be replaced.</summary>
    public bool IsDamaged { get; private set; }

    /// <summary>Whether an fsync is under way in the background.</summary>
    public bool IsSyncing => _syncing;

    /// <summary>How many fsyncs took so long that writes could not wait for them.</summary>
    public long DelayedSyncs { get; set; }

    /// <summary>DEBUG AOF-FLUSH-SLEEP: µs to wait before each write.</summary>
    public int SleepMicroseconds { get; set; }

    /// <summary>Whether a snapshot or a rewrite keeps the disk busy, for no-appendfsync-on-rewrite.</summary>
    public Func<bool> IsDiskBusy { get; init; } = () => false;

    private AppendFsync Policy => _owner.Options.AppendFsync;

    private bool SyncsNot => Policy == AppendFsync.No || (_owner.Options.NoAppendFsyncOnRewrite && IsDiskBusy());

    /// <summary>From here on the log goes to this file, at its end. Everything appended so far is not to be in it. Nobody appends meanwhile.</summary>
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
    /// Writes and syncs the rest, and lets go of the file; what cannot be written is lost. Follows the log no longer. Those who wait need not any longer.
    /// Returns why it failed, or null.
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

    /// <summary>Writes everything that was appended so far and syncs it. False if that failed; without a file there is nothing to do.</summary>
    public bool Flush()
    {
        using Hold hold = HoldAll();
        return _file is null || (Failure is null && TryWrite() && TrySync(_file, Written, _times));
    }

    /// <summary>
    /// What is appended after this position is kept back until <see cref="Switch"/>; it belongs into another file. Nothing has been appended after it yet. Waits for nobody, as the
    /// whole silo stands still meanwhile: whoever is writing now has seen no more than what is before it, and who writes next sees the limit.
    /// </summary>
    public void Limit(long position) => Volatile.Write(ref _limit, position);

    /// <summary>
    /// Ends the file at the limit: writes and syncs what belongs there, has <paramref name="announce"/> make the next file known, and goes on in that one.
    /// If anything fails, the file in use stays, the limit is lifted, and the exception says why.
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
                    TryWrite(); // whatever is of use
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
            }
        }
        Ask();
    }

    /// <summary>A rewrite has put everything into other files: what is wrong with an earlier one does not matter any more.</summary>
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

    /// <summary>Completes when there is room again.</summary>
    public Task WhenRoom() => Volatile.Read(ref _room)?.Task ?? Task.CompletedTask;

    /// <summary>
    /// Somebody is about to reply. If little is going on, it writes what is in the buffer right now, as redis-server does; otherwise the thread will within
    /// <see cref="GatherMs"/>, many commands at once.
    /// </summary>
    public void BeforeReply()
    {
        if (Log.Appended == Written || IsSyncing || _time.GetElapsedTime(Volatile.Read(ref _lastWrite)) < s_quiet) return;
        if (!Monitor.TryEnter(_io)) return;
        try
        {
            if (Failure is null) TryWrite();
        }
        finally
        {
            Monitor.Exit(_io);
        }
    }

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
    /// Writes and syncs, on this thread, unless another has committed that much meanwhile. False if it cannot be done, or if the disk has lately been slow: a disk that is fast
    /// has done it before another thread has woken up, and for any other the caller's clients that want nothing from it must not wait.
    /// </summary>
    public bool TryCommit(long position)
    {
        if (Committed >= position) return true;
        if (Volatile.Read(ref _syncMs) > SlowSyncMs) return false;
        using Hold hold = HoldAll();
        if (Committed < position) Commit(always: true);
        return Committed >= position;
    }

    /// <inheritdoc cref="ICommittingLog.OnCommitted"/>
    public void OnCommitted(long position, Action then)
    {
        Group? group;
        lock (_waiting)
        {
            group = Join(position);
            if (group is not null) group.Then += then;
        }
        if (group is null) then();
        else Ask();
    }

    /// <summary>To be called every 100 ms or so: everysec's fsync, and another attempt after a failure.</summary>
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
        if (Log.Appended > (Policy == AppendFsync.Always ? Committed : Written)) Ask(); // nobody waits for it; or the policy is another since the thread went to sleep
        if (IsSyncing)
        {
            if (_countedAsDelayed || Written == Synced || _time.GetElapsedTime(_lastSync) < TimeSpan.FromSeconds(2)) return;
            _countedAsDelayed = true;
            DelayedSyncs++;
            _owner.Log.Notice("Asynchronous AOF fsync is taking too long (disk is busy?). Writing the AOF buffer without waiting for fsync to complete, this may slow down Redis.");
            return;
        }
        if (Policy != AppendFsync.Everysec || Synced >= Written || SyncsNot || _syncFailure is not null || _time.GetElapsedTime(_lastSync) < TimeSpan.FromSeconds(1)) return;
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
        _work.Dispose();
        _sync.Dispose();
    }

    private void Run()
    {
        while (!_stops)
        {
            bool always = Policy == AppendFsync.Always;
            if (!HasWork(always) && TryArm(always)) _work.WaitOne();
            if (_stops) return;
            if (!always) Thread.Sleep(GatherMs);
            if (always)
            {
                _isAsked = false; // before looking: who asks after this is served by the next round
                using (HoldAll()) Commit(always);
            }
            else
            {
                lock (_io) Commit(always);
            }
        }
    }

    /// <summary>Has the thread commit, with "always".</summary>
    private void Ask()
    {
        _isAsked = true;
        _work.Set();
    }

    private bool HasWork(bool always) =>
        Volatile.Read(ref _file) is not null && Failure is null
        && (always ? _isAsked : UpTo > Written);

    /// <summary>
    /// Goes to sleep, unless something is to be done after all. What is kept back, or cannot be written, wakes nobody, and with "always" nothing does that is appended:
    /// who has appended it asks for it.
    /// </summary>
    private bool TryArm(bool always)
    {
        if (always) return !HasWork(always);
        bool isIdle = Volatile.Read(ref _file) is not null && Failure is null && Volatile.Read(ref _limit) == long.MaxValue;
        return TryArm(isIdle ? Written : long.MaxValue) && !HasWork(always);
    }

    /// <summary>One round of the thread; with <see cref="_io"/> held.</summary>
    private void Commit(bool always)
    {
        if (_file is null || Failure is not null) return;
        lock (_waiting)
        {
            // Who comes after this is served by the next round: what he waits for may be appended after the write below.
            if (_groups.Count != 0) _groups[^1].IsClosed = true;
        }
        if (!TryWrite() || !always) return;
        if (SyncsNot) CommitTo(Written);
        else TrySync(_file!, Written, _times);
    }

    /// <inheritdoc/>
    protected internal override void OnAppended() => _work.Set();

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
            long written = at - begin - Log.TimesLength(from, to); // at least so many bytes of the log
            FailWriting(failure.Message, Log.WholeBefore(from + written, from));
            return false;
        }
        finally
        {
            _pieces.Clear();
        }
        Volatile.Write(ref _times, _times + (at - begin) - (to - from));
        Done = to;
        Volatile.Write(ref _lastWrite, _time.GetTimestamp());
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

    /// <summary>The file ends at the end of a command, if the system lets us; the rest is still in the buffer.</summary>
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
            if (logs) _owner.Log.Warning($"Could not remove short write from the append-only file.  Redis may refuse to load the AOF the next time it starts.  ftruncate: {failure.Message}");
        }
        Volatile.Write(ref _times, times);
        Done = whole;
        _writeFailure = reason;
        _owner.Restrict(Restrictions.LogFails);
    }

    /// <summary>Syncs a file in which everything up to a position is written.</summary>
    private bool TrySync(ILogFile file, long upTo, long times)
    {
        if (_syncFailure is not null) return false; // only after it was mended
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
        Volatile.Write(ref _syncMs, _syncMs + ((Stopwatch.GetElapsedTime(start).TotalMilliseconds - _syncMs) / 8));
        Advance(upTo, times);
        return true;
    }

    private void FailSyncing(string reason)
    {
        if (_syncFailure is null) _owner.Log.Warning($"Fail to fsync the AOF file: {reason}");
        _syncFailure = reason;
        _owner.Restrict(Restrictions.LogFails);
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

    /// <summary>After a failed fsync: writes all again that may not have reached the disk, and syncs that. False if it failed again, or cannot be done.</summary>
    private bool Mend()
    {
        if (HeldFrom > _synced)
        {
            if (!IsDamaged) _owner.Log.Warning("What was written to the AOF file since its last successful fsync is not in memory any more. The AOF will be rewritten.");
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
            file?.Sync(); // the lock is not held: others may write
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

    /// <summary>The group that waits for the next commit, made to wait for this position too; null if that is committed. With <see cref="_waiting"/> held.</summary>
    private Group? Join(long position)
    {
        if (Committed >= position || _file is null) return null;
        if (_groups.Count == 0 || _groups[^1].IsClosed) _groups.Add(new());
        Group group = _groups[^1];
        group.UpTo = Math.Max(group.UpTo, position);
        return group;
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
        // It may have been drained in between.
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

    /// <summary>Another file: nothing is wrong with it yet.</summary>
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

    /// <summary>Everything about the file, no fsync being under way.</summary>
    private readonly ref struct Hold(LogWriter writer)
    {
        public void Dispose()
        {
            Monitor.Exit(writer._io);
            writer._sync.Release();
        }
    }

    /// <summary>Those whom one commit serves.</summary>
    private sealed class Group
    {
        /// <summary>For those who await it.</summary>
        public TaskCompletionSource? Done { get; set; }

        /// <summary>For the others: done by the log's thread.</summary>
        public Action? Then { get; set; }

        /// <summary>The last position that one of them waits for.</summary>
        public long UpTo { get; set; }

        /// <summary>Nobody joins it any more.</summary>
        public bool IsClosed { get; set; }
    }
}
