namespace OrleansRedis.Engine;

/// <summary>Whether writes are logged.</summary>
public enum AppendLogState
{
    Off,

    /// <summary>
    /// CONFIG SET appendonly yes: writes go to a temporary file until a rewrite has given the log a base.
    /// </summary>
    WaitsForRewrite,

    On,
}

/// <summary>
/// The append-only log of this silo, in Redis's own form: every effect as a RESP command, in the files that
/// <see cref="AofDirectory"/> describes. <see cref="LogWriter"/> reads the effects from the
/// <see cref="ReplicationLog"/>, brings them to disk, and says when replies may leave. This class switches the log on
/// and off, and has it rewritten.
/// </summary>
public sealed partial class AppendLog : ICommittingLog, IDisposable
{
    private readonly ServerFiles _files;
    private readonly Store _store;
    private readonly AofDirectory _directory;
    private readonly ReplicationLog _log;
    private readonly LogWriter _writer;
    private readonly SemaphoreSlim _changing = new(1, 1); // guards the manifest and the state
    private AofManifest _manifest = AofManifest.Empty;
    private volatile AppendLogState _state;
    private long _otherFilesLength;                       // length of all named files except the one being written
    private long _lengthAtRewrite;
    private readonly Lock _ticking = new();               // one tick at a time, and none after the end
    private ITimer? _timer;
    private bool _isOver;
    private long _lastSecond;

    internal AppendLog(ServerFiles files)
    {
        Store store = files.Store;
        _files = files;
        _store = store;
        _directory = new(store.Options);
        _log = store.Effects.Log;
        _writer = new(store, _log) { IsDiskBusy = () => files.SnapshotTurn.Current != SnapshotPurpose.None };
        files.Configuration.OnChange(["appendonly"], ApplyAppendOnlyAsync);
        files.Configuration.OnChange(["aof-disable-auto-gc"], ApplyAutoGcAsync);
        store.StatisticsReset += () => _writer.DelayedSyncs = 0;
    }

    /// <summary>Opens a file for writing; emptied first if the second argument is true.</summary>
    internal Func<string, bool, ILogFile> OpenFile { get; set; } = LogFile.Open;

    /// <summary>Whether writes are logged.</summary>
    public AppendLogState State => _state;

    /// <inheritdoc cref="AofDirectory.HasFiles"/>
    internal bool HasFiles => _directory.HasFiles;

    /// <inheritdoc/>
    public bool RepliesWait => _store.Options.AppendFsync == AppendFsync.Always && _state == AppendLogState.On;

    /// <inheritdoc/>
    public bool IsBehind =>
        _writer.Committed < _log.Appended && _store.Options.AppendFsync != AppendFsync.Always && _state == AppendLogState.On && _writer.Failure is null;

    /// <inheritdoc/>
    public long Appended => _log.Appended;

    /// <inheritdoc/>
    public long Committed => _writer.Committed;

    /// <inheritdoc/>
    public string? WriteError => _writer.Failure is { } reason ? $"MISCONF Errors writing to the AOF file: {reason}" : null;

    /// <inheritdoc/>
    public bool RefusesReads => RepliesWait && _writer.Failure is not null && Committed < Appended;

    /// <summary>aof_last_write_status</summary>
    public bool LastWriteSucceeded => _writer.Failure is null;

    /// <summary>aof_current_size</summary>
    public long Length => _otherFilesLength + _writer.FileLength;

    /// <summary>aof_base_size: the log's length after the last rewrite, or at startup.</summary>
    public long LengthAtRewrite => _lengthAtRewrite;

    /// <summary>aof_buffer_length: how many bytes are not written yet.</summary>
    public long UnwrittenLength => _state == AppendLogState.Off ? 0 : _writer.PendingBytes;

    /// <summary>mem_aof_buffer: how much memory is taken by bytes that are not on disk yet.</summary>
    public long BufferBytes => _state == AppendLogState.Off ? 0 : _writer.HeldBytes;

    /// <summary>aof_pending_bio_fsync</summary>
    public int PendingSyncs => _writer.IsSyncing ? 1 : 0;

    /// <summary>aof_delayed_fsync</summary>
    public long DelayedSyncs => _writer.DelayedSyncs;

    /// <summary>DEBUG AOF-FLUSH-SLEEP: µs to wait before each write, for tests.</summary>
    public int FlushSleepMicroseconds
    {
        get => _writer.SleepMicroseconds;
        set => _writer.SleepMicroseconds = value;
    }

    /// <inheritdoc/>
    public Task WhenCommitted(long since, long position) => _writer.WhenCommitted(position);

    /// <inheritdoc/>
    public bool TryCommit(long position) => _writer.TryCommit(position);

    /// <inheritdoc/>
    public void OnCommitted(long position, Action then, Action? failed) => _writer.OnCommitted(position, then, failed);

    /// <inheritdoc/>
    public Task WhenRoom() => _writer.WhenRoom();

    /// <summary>
    /// Loads the data from the log, when the server starts with appendonly yes. Before that, it takes over a log in a
    /// single file, if there is one. The caller keeps everyone else out of the store, and effects from being published.
    /// </summary>
    /// <exception cref="LoadException">The log cannot be loaded.</exception>
    public AofLoadEnd Load(CancellationToken cancellation)
    {
        _manifest = ReadManifest();
        try
        {
            _manifest = _directory.Upgrade(_manifest, _store.Log);
        }
        catch (LogFileException failure)
        {
            throw new LoadException(failure.Message);
        }
        bool wasPaused = _store.IgnoresExpiry;
        _store.IgnoresExpiry = true; // the log says what expired, and when
        try
        {
            return new AofLoader(_files, _directory, cancellation).Load(_manifest);
        }
        finally
        {
            _store.IgnoresExpiry = wasPaused;
            CountLengths();
        }
    }

    /// <summary>
    /// Begins to log, if appendonly says so, once the data is loaded: into the last increment, or into a new log that
    /// begins with a base of the present data. Nobody else is in the store yet.
    /// </summary>
    /// <exception cref="LoadException">That is not possible.</exception>
    public void Open()
    {
        if (!_store.Options.AppendOnly)
        {
            _manifest = _manifest.IsEmpty ? ReadManifestIfSound() : _manifest;
            return;
        }
        try
        {
            OpenFiles();
        }
        catch (LogFileException failure)
        {
            throw new LoadException(failure.Message);
        }
        DeleteHistory();
    }

    /// <summary>Starts the periodic work: fsync once a second, rewrites, recovery from errors.</summary>
    public void Start() => _timer ??= _store.Clock.Time.CreateTimer(_ => Tick(), null, Period, Period);

    /// <summary>How often there may be something to look after; seldom while nothing is logged.</summary>
    private TimeSpan Period => _state == AppendLogState.Off ? TimeSpan.FromSeconds(1) : TimeSpan.FromMilliseconds(100);

    /// <summary>
    /// The server is about to stop: abandons a rewrite. False if it must not stop, unless forced to, because the log
    /// has no base yet and the data would be lost. The caller holds no gate.
    /// </summary>
    public async Task<bool> PrepareToEndAsync(bool force)
    {
        if (!IsRewriting) return true;
        if (_state == AppendLogState.WaitsForRewrite)
        {
            _store.Log.Warning(force ? "Writing initial AOF. Exit anyway." : "Writing initial AOF, can't exit.");
            if (!force) return false;
        }
        _store.Log.Warning("There is a child rewriting the AOF. Killing it!");
        await _changing.WaitAsync().ConfigureAwait(false);
        await AbortRewriteAsync().ConfigureAwait(false);
        _changing.Release();
        return true;
    }

    /// <summary>
    /// Ends logging: writes and syncs the rest, and stops the periodic work. The caller holds no gate.
    /// </summary>
    public async Task CloseAsync()
    {
        _timer?.Dispose();
        await _changing.WaitAsync().ConfigureAwait(false);
        try
        {
            await AbortRewriteAsync().ConfigureAwait(false);
            if (_state != AppendLogState.Off) await StopLoggingAsync().ConfigureAwait(false);
        }
        finally
        {
            _changing.Release();
        }
    }

    /// <summary>Writes and syncs everything appended so far; false if that failed.</summary>
    public bool Flush() => _state == AppendLogState.Off || _writer.Flush();

    public void Dispose()
    {
        _timer?.Dispose();
        lock (_ticking) _isOver = true; // a tick that is under way uses what is disposed of next
        _writer.Dispose();
        _changing.Dispose();
    }

    private void OpenFiles()
    {
        ServerLog log = _store.Log;
        _directory.Create();
        _directory.DeleteTemporaries();
        AofManifest manifest = _manifest;
        if (manifest.IsEmpty)
        {
            bool isRdb = _store.Options.AofUseRdbPreamble;
            manifest = manifest.WithBase(_directory.FileName, isRdb);
            WriteBaseNow(isRdb);
            _directory.Rename(_directory.TemporaryBaseName, manifest.Base!.Name);
            log.Notice($"Creating AOF base file {manifest.Base.Name} on server start");
        }
        bool isNew = manifest.Increments.Count == 0;
        if (isNew) manifest = manifest.WithIncrement(_directory.FileName);
        string name = manifest.Increments[^1].Name;
        ILogFile file = OpenFile(_directory.PathOf(name), isNew);
        if (isNew) _directory.Save(manifest);
        log.Notice($"{(isNew ? "Creating" : "Opening")} AOF incr file {name} on server start");
        _manifest = manifest;
        _writer.Open(file);
        SetState(AppendLogState.On);
        CountLengths();
    }

    private void SetState(AppendLogState state)
    {
        _state = state;
        _store.Durability = state == AppendLogState.Off ? null : this;
        _timer?.Change(Period, Period);
    }

    /// <summary>Ends logging, with <see cref="_changing"/> held.</summary>
    private async Task StopLoggingAsync()
    {
        await _store.SiloGate.EnterExclusiveAsync().ConfigureAwait(false);
        _writer.Stop();
        _store.SiloGate.ExitExclusive();
        if (_writer.Close() is { } reason) _store.Log.Warning($"Fail to fsync the AOF file: {reason}");
        SetState(AppendLogState.Off);
        CountLengths();
    }

    private AofManifest ReadManifest()
    {
        try
        {
            return _directory.Load();
        }
        catch (AofManifestException error)
        {
            _store.Log.Warning("*** FATAL AOF MANIFEST FILE ERROR ***");
            if (error.Line > 0)
            {
                _store.Log.Warning($"Reading the manifest file, at line {error.Line}");
                _store.Log.Warning($">>> '{error.Text}'");
            }
            throw new LoadException(error.Message);
        }
        catch (LogFileException failure)
        {
            throw new LoadException(failure.Message);
        }
    }

    /// <summary>
    /// With the log off, a manifest that makes no sense does not matter until the log is switched on.
    /// </summary>
    private AofManifest ReadManifestIfSound()
    {
        try
        {
            return _directory.Load();
        }
        catch (Exception failure) when (failure is AofManifestException or LogFileException)
        {
            return AofManifest.Empty;
        }
    }

    private void CountLengths()
    {
        long length = 0;
        foreach (AofFileInfo file in _manifest.Files) length += _directory.LengthOf(file.Name) ?? 0;
        if (_state == AppendLogState.On) length -= _directory.LengthOf(_manifest.Increments[^1].Name) ?? 0;
        _otherFilesLength = length;
        _lengthAtRewrite = _manifest.Base is { } first ? _directory.LengthOf(first.Name) ?? 0 : 0;
    }

    private void DeleteHistory()
    {
        if (_store.Options.AofDisableAutoGc || _manifest.History.Count == 0) return;
        foreach (AofFileInfo file in _manifest.History)
        {
            _store.Log.Notice($"Removing the history file {file.Name} in the background");
            _directory.Delete(file.Name);
        }
        try
        {
            AofManifest manifest = _manifest.WithoutHistory();
            _directory.Save(manifest);
            _manifest = manifest;
        }
        catch (LogFileException failure)
        {
            _store.Log.Warning(failure.Message); // the manifest names files that are gone; nobody reads those
        }
    }

    private async ValueTask<string?> ApplyAutoGcAsync()
    {
        await _changing.WaitAsync().ConfigureAwait(false);
        DeleteHistory();
        _changing.Release();
        return null;
    }

    private async ValueTask<string?> ApplyAppendOnlyAsync()
    {
        if (_store.Options.AppendOnly == (_state != AppendLogState.Off)) return null;
        if ((_store.Restrictions & Restrictions.Loading) != 0) return "the data is being loaded";
        // CONFIG SET is still inside its gates, and must leave them first.
        await Task.CompletedTask.ConfigureAwait(ConfigureAwaitOptions.ForceYielding);
        if (_store.Options.AppendOnly && _store.Durability is { } other && other != this)
            return "every change is logged in the store that orleans-storage names";
        await _changing.WaitAsync().ConfigureAwait(false);
        try
        {
            if (!_store.Options.AppendOnly && _state != AppendLogState.Off)
            {
                await StopLoggingAsync().ConfigureAwait(false);
                _isScheduled = false;
                if (IsRewriting)
                {
                    _store.Log.Notice($"Killing running AOF rewrite child: {Environment.ProcessId}");
                    await AbortRewriteAsync().ConfigureAwait(false);
                }
                _directory.Delete(_directory.TemporaryIncrementName);
            }
            else if (_store.Options.AppendOnly && _state == AppendLogState.Off)
            {
                return await SwitchOnAsync().ConfigureAwait(false);
            }
            return null;
        }
        finally
        {
            _changing.Release();
        }
    }

    private async Task<string?> SwitchOnAsync()
    {
        SetState(AppendLogState.WaitsForRewrite);
        if (_files.SnapshotTurn.Current == SnapshotPurpose.Dump)
        {
            _isScheduled = true;
            _store.Log.Warning(
                "AOF was enabled but there is already another background operation. An AOF background was scheduled to start when possible.");
            return null;
        }
        if (IsRewriting)
        {
            _store.Log.Warning(
                "AOF was enabled but there is already an AOF rewriting in background. Stopping background AOF and starting a rewrite now.");
            await AbortRewriteAsync().ConfigureAwait(false);
        }
        if (await TryBeginRewriteAsync().ConfigureAwait(false)) return null;
        SetState(AppendLogState.Off);
        _store.Log.Warning(
            "Redis needs to enable the AOF but can't trigger a background AOF rewrite operation. Check the above logs for more info about the error.");
        return "Unable to turn on AOF. Check server logs.";
    }

    /// <summary>The periodic work, every 100 ms.</summary>
    internal void Tick()
    {
        if (!_ticking.TryEnter()) return;
        try
        {
            if (_isOver) return;
            long now = _store.Clock.NowMs;
            bool isSecond = now - _lastSecond >= 1000;
            if (isSecond) _lastSecond = now;
            if (_state != AppendLogState.Off) _writer.Tick(isSecond);
            RewriteIfDue();
        }
        catch (Exception failure)
        {
            // Ordinary trouble with disks makes nothing here throw. Any other error must not end the process from a
            // timer.
            _store.Log.Warning($"Looking after the AOF failed: {failure}");
        }
        finally
        {
            _ticking.Exit();
        }
    }
}
