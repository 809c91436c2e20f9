namespace OrleansRedis.Engine;

/// <summary>The result of asking for a snapshot in dump.rdb.</summary>
public enum SaveStart
{
    /// <summary>It has begun, or is done.</summary>
    Started,

    /// <summary>A snapshot is already being made.</summary>
    AlreadyRunning,

    /// <summary>The append log is being rewritten.</summary>
    OtherRunning,

    /// <summary>It has failed.</summary>
    Failed,
}

/// <summary>
/// dump.rdb: when it is written, and with what result, in redis-server's terms. SAVE, BGSAVE, save points and the end
/// of the process write it. Each writes a temporary file that takes the final name once it is complete, so the file is
/// always the old one or the new one, never a mixture. A snapshot never replaces one that began after it.
/// </summary>
public sealed class DumpFile : IDisposable
{
    /// <summary>How many seconds save points wait after a failure.</summary>
    private const int RetrySeconds = 5;

    /// <summary>How often save points are looked at: they count in seconds.</summary>
    private static readonly TimeSpan s_period = TimeSpan.FromSeconds(1), s_soon = TimeSpan.FromMilliseconds(100);

    private readonly ServerFiles _files;
    private readonly Store _store;
    private readonly Lock _changing = new(); // guards everything below that is not volatile
    private Run? _running;
    private Run? _exclusive;
    private ITimer? _timer;
    private bool _scheduled;
    private bool _failed;
    private bool _ticking;
    private long _savedChanges;
    private long _lastTrySeconds;
    private long _runs;
    private long _publishedRun;
    private long _lastTickSeconds;

    internal DumpFile(ServerFiles files)
    {
        _files = files;
        _store = files.Store;
        LastSaveSeconds = NowSeconds;
        files.Configuration.OnChange(["save", "stop-writes-on-bgsave-error"], () =>
        {
            lock (_changing) UpdateRestriction();
            return new((string?)null);
        });
    }

    /// <summary>The file's path.</summary>
    public string FilePath => Path.Combine(_store.Options.Dir, _store.Options.DbFileName);

    /// <summary>
    /// Whether a snapshot is being written that others can see: one in the background, or one that a client waits for.
    /// </summary>
    public bool IsSaving => Volatile.Read(ref _running) is not null;

    /// <summary>When the file was last written, or else when the process started: LASTSAVE.</summary>
    public long LastSaveSeconds { get; private set; }

    /// <summary>Changes since then.</summary>
    public long Changes => Math.Max(0, _store.Slots.CountChanges() - Volatile.Read(ref _savedChanges));

    /// <summary>Whether the last background attempt failed.</summary>
    public bool LastFailed => Volatile.Read(ref _failed);

    /// <summary>How many seconds the last background snapshot took; -1 if there was none.</summary>
    public long LastTookSeconds { get; private set; } = -1;

    /// <summary>How many seconds the current snapshot has been running; -1 if there is none.</summary>
    public long CurrentTookSeconds => Volatile.Read(ref _running) is { } run ? NowSeconds - run.StartedSeconds : -1;

    /// <summary>How many snapshots were begun.</summary>
    public long Saves { get; private set; }

    /// <summary><see cref="Snapshot.CopiedBytes"/> of the last background snapshot.</summary>
    public long LastCopiedBytes { get; private set; }

    private long NowSeconds => _store.Clock.NowMs / 1000;

    /// <summary>Starts serving save points and scheduled snapshots.</summary>
    public void Start()
    {
        _timer = _store.Clock.Time.CreateTimer(_ => Tick(), null, s_period, s_period);
    }

    /// <summary>Stops serving them. A snapshot in progress goes on.</summary>
    public void Dispose() => _timer?.Dispose();

    /// <summary>BGSAVE: fixes the instant and writes in the background. The caller holds no gate.</summary>
    public async Task<SaveStart> BeginAsync()
    {
        if (!_files.SnapshotTurn.TryTake(SnapshotPurpose.Dump))
            return _files.SnapshotTurn.Current == SnapshotPurpose.AofRewrite ? SaveStart.OtherRunning : SaveStart.AlreadyRunning;
        Run? run = await BeginRunAsync(inBackground: true).ConfigureAwait(false);
        if (run is null)
        {
            _files.SnapshotTurn.Give();
            return SaveStart.AlreadyRunning;
        }
        _store.Log.Notice($"Background saving started by pid {Environment.ProcessId}");
        OnThread(run);
        return SaveStart.Started;
    }

    /// <summary>
    /// SAVE: the same, but completes once the file is there. Other clients' commands run meanwhile. The caller holds no
    /// gate.
    /// </summary>
    public async Task<SaveStart> SaveAsync()
    {
        Run? run = await BeginRunAsync(inBackground: false).ConfigureAwait(false);
        if (run is null) return SaveStart.AlreadyRunning;
        OnThread(run);
        return await run.Completed.Task.ConfigureAwait(false) ? SaveStart.Started : SaveStart.Failed;
    }

    /// <summary>
    /// Writes the file here and now; true if that succeeded. The caller holds the silo gate exclusively, so nothing
    /// else runs meanwhile.
    /// </summary>
    /// <param name="logDigest">Whether to log the file's SHA-256, which takes some time.</param>
    public bool SaveExclusively(bool logDigest = false)
    {
        Run run;
        lock (_changing)
        {
            // Data that is only half loaded must not be saved over the whole.
            if ((_store.Restrictions & Restrictions.Loading) != 0) return false;
            Saves++;
            _exclusive = run = new Run(this, inBackground: false, isExclusive: true, _store.Slots.CountChanges()) { LogsDigest = logDigest };
        }
        bool saved = Execute(run);
        lock (_changing) _exclusive = null;
        return saved;
    }

    /// <summary>
    /// Requests a BGSAVE as soon as possible: after the rewrite in progress, or after the transaction that asks for it.
    /// </summary>
    public void Schedule()
    {
        lock (_changing) _scheduled = true;
        _timer?.Change(s_soon, s_period);
    }

    /// <summary>
    /// Ends the snapshot in progress, if there is one; it leaves nothing behind. Completes when the snapshot has ended;
    /// a caller that awaits this must hold no gate.
    /// </summary>
    public Task AbortAsync() => BreakOffAsync(isWanted: true);

    /// <summary>
    /// Makes the snapshot in progress fail, if there is one, as if its disk had failed; for tests. Completes when it
    /// has ended.
    /// </summary>
    public Task FailAsync() => BreakOffAsync(isWanted: false);

    private Task BreakOffAsync(bool isWanted)
    {
        lock (_changing)
        {
            if (_running is not { } run) return Task.CompletedTask;
            if (isWanted) run.IsAborted = true;
            run.Snapshot.Abort();
            return run.Completed.Task;
        }
    }

    /// <summary>
    /// Deletes temporary files at once; for a process that is about to end without waiting for anything.
    /// </summary>
    public void DeleteTemporaryFiles()
    {
        Volatile.Read(ref _running)?.Target.Delete();
        Volatile.Read(ref _exclusive)?.Target.Delete();
    }

    /// <summary>
    /// Loads the file; false if there is none, which means an empty data set. <see cref="Restrictions.Loading"/> is in
    /// force.
    /// </summary>
    /// <exception cref="LoadException">It cannot be read, or is damaged. Part of it may have been loaded by
    /// then.</exception>
    internal bool Load(bool replacesKeys, CancellationToken cancellation)
    {
        string path = FilePath;
        var loader = _files.CreateLoader(replacesKeys: replacesKeys, cancellation: cancellation);
        try
        {
            using var file = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete, bufferSize: 0);
            using var progress = new LoadProgress(_store, file.Length, () => loader.Progress);
            progress.Report();
            _files.LoadProgress = progress;
            loader.Load(file);
        }
        catch (FileNotFoundException)
        {
            return false;
        }
        catch (RdbFileException failure)
        {
            _store.Log.Warning(failure.Message);
            _store.Log.Warning(failure.Report);
            throw new LoadException(
                $"Fatal error loading the DB: {path} cannot be loaded beyond byte {failure.Offset}: {failure.Reason}. Look at it with "
                    + $"'orleansredis-check-rdb {path}', and put a good copy in its place, or move it away to start without data. Exiting.",
                failure);
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
        {
            throw new LoadException($"Fatal error loading the DB: {AtomicFile.Reason(failure)} ({path}). Exiting.", failure);
        }
        finally
        {
            _files.LoadProgress = null;
        }
        _files.LastLoadKeysLoaded = loader.KeysLoaded;
        _files.LastLoadKeysExpired = loader.KeysExpired;
        string skipped = loader.EmptyKeysSkipped == 0 ? "" : $", empty keys skipped: {loader.EmptyKeysSkipped}";
        _store.Log.Notice($"Done loading RDB, keys loaded: {loader.KeysLoaded}, keys expired: {loader.KeysExpired}{skipped}.");
        return true;
    }

    /// <summary>Deletes the unfinished snapshots of processes that were killed.</summary>
    internal void DeleteLeftovers()
    {
        foreach (string path in Directory.EnumerateFiles(_store.Options.Dir, "temp-*.rdb"))
        {
            string[] parts = Path.GetFileNameWithoutExtension(path).Split('-');
            if (parts.Length is not (2 or 3) || !Array.TrueForAll(parts[1..], part => int.TryParse(part, out _)) || IsAlive(int.Parse(parts[1]))) continue;
            try
            {
                File.Delete(path);
                _store.Log.Notice($"Deleted {path}, an unfinished snapshot of a process that is gone");
            }
            catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
            {
                _store.Log.Warning($"Could not delete {path}, an unfinished snapshot of a process that is gone: {AtomicFile.Reason(failure)}");
            }
        }
    }

    private static bool IsAlive(int processId)
    {
        // In a container, the previous process may have had the same id.
        if (processId == Environment.ProcessId) return false;
        try
        {
            using var process = System.Diagnostics.Process.GetProcessById(processId);
            return true;
        }
        catch (ArgumentException)
        {
            return false;
        }
    }

    /// <summary>
    /// After FLUSHALL: a snapshot in progress is no longer wanted, and with save points the empty data set is saved.
    /// The caller holds the silo gate exclusively.
    /// </summary>
    internal void FlushedAll()
    {
        if ((_store.Restrictions & Restrictions.Loading) != 0) return;
        _ = AbortAsync();
        if (_store.Options.Save.Any) SaveExclusively();
    }

    /// <summary>The data has been loaded from a file, so there is nothing to save.</summary>
    internal void Loaded() => Volatile.Write(ref _savedChanges, _store.Slots.CountChanges());

    private void OnThread(Run run) => BackgroundThread.Start("snapshot", () => Execute(run));

    private async Task<Run?> BeginRunAsync(bool inBackground)
    {
        // Counted before the instant, because every command waits during that. So a few changes that are saved count as
        // unsaved.
        long changes = _store.Slots.CountChanges();
        await _store.SiloGate.EnterExclusiveAsync().ConfigureAwait(false);
        try
        {
            lock (_changing)
            {
                // A load may have begun since this was asked for; data that is only half loaded must not be saved.
                if (_running is not null || (_store.Restrictions & Restrictions.Loading) != 0) return null;
                Saves++;
                if (inBackground) _lastTrySeconds = NowSeconds;
                var run = new Run(this, inBackground, isExclusive: false, changes);
                Volatile.Write(ref _running, run);
                _files.SnapshotTurn.Show(run.Snapshot);
                return run;
            }
        }
        finally
        {
            _store.SiloGate.ExitExclusive();
        }
    }

    private bool Execute(Run run)
    {
        bool saved = false;
        try
        {
            run.Snapshot.Run(run.IsExclusive, run.Target.Open);
            run.Target.Finish();
            Publish(run);
            saved = true;
        }
        catch (OperationCanceledException)
        {
            DeleteTemporary(run);
        }
        catch (Exception failure)
        {
            _store.Log.Warning(failure.Message);
            DeleteTemporary(run);
        }
        Conclude(run, saved);
        if (run.IsPublished && run.LogsDigest) LogDigest(run);
        run.Target.Dispose();
        return saved;
    }

    private void DeleteTemporary(Run run)
    {
        long began = _store.Latency.Begin();
        run.Target.Delete();
        _store.Latency.End("rdb-unlink-temp-file", began);
    }

    private void Publish(Run run)
    {
        lock (_changing)
        {
            if (run.IsAborted) throw new OperationCanceledException();
            if (run.Number < _publishedRun)
            {
                run.Target.Delete();
                return;
            }
            try
            {
                AtomicFile.Publish(run.Target.Path, run.FinalPath);
            }
            catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
            {
                throw new IOException(
                    $"Error moving temp DB file {Path.GetFileName(run.Target.Path)} on the final destination {Path.GetFileName(run.FinalPath)} (in "
                        + $"server root dir {Path.GetDirectoryName(run.FinalPath)}): {AtomicFile.Reason(failure)}",
                    failure);
            }
            _publishedRun = run.Number;
            run.IsPublished = true;
        }
        _store.Log.Notice("DB saved on disk");
    }

    private void Conclude(Run run, bool saved)
    {
        lock (_changing)
        {
            if (run.IsPublished)
            {
                LastSaveSeconds = NowSeconds;
                _savedChanges = run.ChangesAtStart;
            }
            if (run.InBackground && !run.IsAborted)
            {
                LastTookSeconds = NowSeconds - run.StartedSeconds;
                LastCopiedBytes = run.Snapshot.CopiedBytes;
            }
            // As in Redis, SAVE can repair the status but not spoil it.
            if (saved) _failed = false;
            else if (run.InBackground && !run.IsAborted) _failed = true;
            UpdateRestriction();
            if (ReferenceEquals(_running, run))
            {
                Volatile.Write(ref _running, null);
                _files.SnapshotTurn.Show(null);
            }
        }
        if (run.InBackground)
        {
            _files.SnapshotTurn.Give();
            if (saved) _store.Log.Notice("Background saving terminated with success");
            else _store.Log.Warning(run.IsAborted ? "Background saving aborted" : "Background saving error");
        }
        run.Completed.SetResult(saved);
    }

    private void LogDigest(Run run)
    {
        try
        {
            _store.Log.Notice($"{_store.Options.DbFileName}: {run.Target.Length} bytes, SHA-256 {run.Target.Digest(run.IsExclusive ? null : new())}");
        }
        catch (IOException failure)
        {
            _store.Log.Warning($"The saved DB could not be read again for its SHA-256: {AtomicFile.Reason(failure)}");
        }
    }

    private void UpdateRestriction()
    {
        if (_failed && _store.Options.StopWritesOnBgsaveError && _store.Options.Save.Any) _store.Restrict(Restrictions.SnapshotFails);
        else _store.Lift(Restrictions.SnapshotFails);
    }

    /// <summary>Ten times a second: begins a snapshot that is scheduled, or that a save point calls for.</summary>
    private void Tick()
    {
        if (IsSaving || _files.SnapshotTurn.Current != SnapshotPurpose.None || (_store.Restrictions & Restrictions.Loading) != 0) return;
        long now = NowSeconds;
        lock (_changing)
        {
            if (_ticking || (_failed && now - _lastTrySeconds <= RetrySeconds)) return;
            bool due = _scheduled;
            if (!due && now != _lastTickSeconds)
            {
                _lastTickSeconds = now;
                if (DuePoint(now) is { } point)
                {
                    _store.Log.Notice($"{point.Changes} changes in {point.Seconds} seconds. Saving...");
                    due = true;
                }
            }
            if (!due) return;
            _scheduled = false;
            _ticking = true;
        }
        _ = BeginFromTickAsync();
    }

    private async Task BeginFromTickAsync()
    {
        await BeginAsync().ConfigureAwait(false);
        lock (_changing) _ticking = false;
    }

    private SavePoint? DuePoint(long now)
    {
        long changes = -1;
        foreach (SavePoint point in _store.Options.Save.All)
        {
            if (now - LastSaveSeconds <= point.Seconds) continue;
            if (changes < 0) changes = Changes; // looks at every slot
            if (changes >= point.Changes) return point;
        }
        return null;
    }

    /// <summary>One snapshot on its way into the file. Created while the silo gate is held exclusively.</summary>
    private sealed class Run
    {
        public Run(DumpFile file, bool inBackground, bool isExclusive, long changes)
        {
            Store store = file._store;
            Number = ++file._runs;
            IsExclusive = isExclusive;
            InBackground = inBackground;
            StartedSeconds = file.NowSeconds;
            ChangesAtStart = changes;
            string name = isExclusive ? $"temp-{Environment.ProcessId}.rdb" : $"temp-{Environment.ProcessId}-{Number}.rdb";
            FinalPath = file.FilePath;
            Target = file._files.CreateRdb(Path.Combine(store.Options.Dir, name));
            Snapshot = Snapshot.Begin(store.SiloGate, store.Slots, store.Effects.Log, Target, () => store.Options.RdbKeySaveDelay);
        }

        /// <summary>The later a snapshot began, the higher its number.</summary>
        public long Number { get; }

        public bool InBackground { get; }

        public bool IsExclusive { get; }

        public bool IsAborted { get; set; }

        public bool IsPublished { get; set; }

        public bool LogsDigest { get; init; } = true;

        public long StartedSeconds { get; }

        public long ChangesAtStart { get; }

        /// <summary>Where the file belongs, whatever CONFIG SET says meanwhile.</summary>
        public string FinalPath { get; }

        public RdbSnapshotTarget Target { get; }

        public Snapshot Snapshot { get; }

        public TaskCompletionSource<bool> Completed { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);
    }
}
