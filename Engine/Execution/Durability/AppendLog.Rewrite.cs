using System.Globalization;

namespace OrleansRedis.Engine;

/// <summary>
/// Rewriting. A snapshot of everything becomes a new base, and everything written after its instant goes to a new
/// increment; then the earlier files are history. See <see cref="AofDirectory"/> for what a crash leaves at each step.
/// </summary>
public sealed partial class AppendLog
{
    private const int MostDelayMinutes = 60;

    private volatile Rewrite? _rewrite;
    private volatile bool _isScheduled;
    private int _delayMinutes;
    private long _rewritesBegun;
    private long _delayedUntilMs;

    /// <summary>aof_rewrite_in_progress</summary>
    public bool IsRewriting => _rewrite is not null;

    /// <summary>aof_rewrite_scheduled</summary>
    public bool IsRewriteScheduled => _isScheduled;

    /// <summary>aof_rewrites</summary>
    public long Rewrites { get; private set; }

    /// <summary>aof_rewrites_consecutive_failures</summary>
    public long ConsecutiveFailures { get; private set; }

    /// <summary>aof_last_bgrewrite_status</summary>
    public bool LastRewriteSucceeded { get; private set; } = true;

    /// <summary>aof_last_rewrite_time_sec; -1 if there was no rewrite.</summary>
    public long LastRewriteSeconds { get; private set; } = -1;

    /// <summary>aof_current_rewrite_time_sec; -1 if no rewrite is in progress.</summary>
    public long CurrentRewriteSeconds => _rewrite is { } rewrite ? (_store.Clock.NowMs - rewrite.StartedAtMs) / 1000 : -1;

    /// <summary>aof_last_cow_size: the most memory that the last rewrite held.</summary>
    public long LastRewriteHeldBytes { get; private set; }

    /// <summary>
    /// How many rewrites have begun; counted before their instant. What was logged before that instant is not in the new
    /// log, unless it is in a slot that is published then.
    /// </summary>
    public long RewritesBegun => Volatile.Read(ref _rewritesBegun);

    /// <summary>Completes when no rewrite is in progress.</summary>
    internal Task RewriteEnded => _rewrite?.Ended ?? Task.CompletedTask;

    /// <summary>Has the log rewritten as soon as possible.</summary>
    internal void ScheduleRewrite()
    {
        ConsecutiveFailures = 0; // it has been asked for now
        _isScheduled = true;
    }

    /// <summary>Begins a rewrite; false if that failed, in which case the server log says why.</summary>
    internal async Task<bool> RewriteAsync()
    {
        await _changing.WaitAsync().ConfigureAwait(false);
        try
        {
            return _rewrite is null && await TryBeginRewriteAsync().ConfigureAwait(false);
        }
        finally
        {
            _changing.Release();
        }
    }

    /// <summary>Begins a rewrite, with <see cref="_changing"/> held. The rewrite has begun when this returns.</summary>
    private async Task<bool> TryBeginRewriteAsync()
    {
        if (!_files.SnapshotTurn.TryTake(SnapshotPurpose.AofRewrite))
        {
            _isScheduled = true; // another snapshot came first
            return true;
        }
        Interlocked.Increment(ref _rewritesBegun);
        var rewrite = new Rewrite(_state, _store.Options.AofUseRdbPreamble, _store.Clock.NowMs);
        try
        {
            _directory.Create();
            rewrite.Target = CreateTarget(rewrite.IsRdb);
            if (_state != AppendLogState.Off)
            {
                if (_state == AppendLogState.On) rewrite.NextManifest = _manifest.WithIncrement(_directory.FileName);
                string name = rewrite.NextManifest?.Increments[^1].Name ?? _directory.TemporaryIncrementName;
                rewrite.NextFile = OpenFile(_directory.PathOf(name), true);
                _store.Log.Notice($"Creating AOF incr file {name} on background rewrite");
            }
        }
        catch (LogFileException failure)
        {
            _store.Log.Warning($"Can't open the append-only file: {failure.Message}");
            rewrite.Target?.Dispose();
            _directory.Delete(_directory.TemporaryBaseName);
            LastRewriteSucceeded = false;
            _files.SnapshotTurn.Give();
            return false;
        }
        if (_state == AppendLogState.On) _writer.SyncAhead();
        await _store.SiloGate.EnterExclusiveAsync().ConfigureAwait(false);
        try
        {
            // The instant: changes up to here are in the snapshot, and changes from here on are in the next file.
            rewrite.Snapshot = Snapshot.Begin(_store.SiloGate, _store.Slots, _log, rewrite.Target, () => _store.Options.RdbKeySaveDelay, beginsPart: true);
            if (_state == AppendLogState.On) _writer.Limit(rewrite.Snapshot.Position);
            if (_state == AppendLogState.WaitsForRewrite) _writer.Open(rewrite.NextFile!);
        }
        catch
        {
            _writer.Limit(long.MaxValue);
            rewrite.Snapshot?.Abort();
            rewrite.Target.Dispose();
            rewrite.NextFile?.Dispose();
            _files.SnapshotTurn.Give();
            throw;
        }
        finally
        {
            _store.SiloGate.ExitExclusive();
        }
        _files.SnapshotTurn.Show(rewrite.Snapshot);
        _isScheduled = false;
        Rewrites++;
        _store.Log.Notice($"Background append only file rewriting started by pid {Environment.ProcessId}");
        _rewrite = rewrite;
        BackgroundThread.Start("log rewrite", () => Run(rewrite));
        return true;
    }

    /// <summary>The body of the rewrite's own thread.</summary>
    private void Run(Rewrite rewrite)
    {
        string? failure = null;
        if (rewrite.NextManifest is not null)
        {
            bool holds = HoldChanging(rewrite);
            failure = SwitchFile(rewrite);
            if (holds) _changing.Release();
            if (failure is not null) rewrite.Snapshot!.Abort();
        }
        try
        {
            rewrite.Snapshot!.Run(); // even if aborted: its marks must be removed
            rewrite.Target!.Finish();
            _store.Log.Notice($"Successfully created the temporary AOF base file {_directory.TemporaryBaseName}");
        }
        catch (Exception exception)
        {
            failure ??= exception.Message;
        }
        rewrite.Target!.Dispose();
        bool mine = HoldChanging(rewrite);
        try
        {
            End(rewrite, failure);
        }
        finally
        {
            if (mine) _changing.Release();
            rewrite.SetEnded();
        }
    }

    /// <summary>
    /// Takes <see cref="_changing"/>; false if the thread that aborted the rewrite holds it, and waits for the rewrite
    /// to end.
    /// </summary>
    private bool HoldChanging(Rewrite rewrite)
    {
        while (!rewrite.IsAborted)
        {
            if (_changing.Wait(10)) return true;
        }
        return false;
    }

    /// <summary>
    /// Ends the increment before the instant, and continues in the next one. Returns why that failed, or null.
    /// </summary>
    private string? SwitchFile(Rewrite rewrite)
    {
        try
        {
            _writer.Switch(rewrite.NextFile!, () => _directory.Save(rewrite.NextManifest!));
            _manifest = rewrite.NextManifest!;
            CountLengths();
            return null;
        }
        catch (IOException exception)
        {
            rewrite.NextFile!.Dispose();
            // Unless it is certain that no manifest names it, the file stays, empty as it is.
            if (TrySaveAgain()) _directory.Delete(rewrite.NextManifest!.Increments[^1].Name);
            return exception.Message;
        }
    }

    /// <summary>
    /// The rewrite has ended, one way or another; <see cref="_changing"/> is held, by this thread or by the one that
    /// aborted it.
    /// </summary>
    private void End(Rewrite rewrite, string? failure)
    {
        if (rewrite.IsAborted) failure = "";
        if (failure is null)
        {
            _store.Log.Notice("Background AOF rewrite terminated with success");
            failure = Install(rewrite);
        }
        else if (failure.Length > 0)
        {
            _store.Log.Warning($"Write error writing append only file on disk: {failure}");
            _store.Log.Warning("Background AOF rewrite terminated with error");
        }
        LastRewriteSeconds = (_store.Clock.NowMs - rewrite.StartedAtMs) / 1000;
        LastRewriteHeldBytes = rewrite.Snapshot!.MostHeldBytes;
        if (failure is not null) _directory.Delete(_directory.TemporaryBaseName);
        if (!rewrite.IsAborted)
        {
            LastRewriteSucceeded = failure is null;
            ConsecutiveFailures = failure is null ? 0 : ConsecutiveFailures + 1;
        }
        if (failure is not null && rewrite.State == AppendLogState.WaitsForRewrite) DropTemporaryIncrement();
        if (failure is null) DeleteHistory(); // before anyone sees that the rewrite is over
        _files.SnapshotTurn.Show(null);
        _rewrite = null;
        _files.SnapshotTurn.Give();
        CountLengths();
        if (failure is not null) return;
        _lengthAtRewrite = Length;
        _store.Log.Notice("Background AOF rewrite finished successfully");
    }

    private void Rename(string from, string to)
    {
        long began = _store.Latency.Begin();
        _directory.Rename(from, to);
        _store.Latency.End("aof-rename", began);
    }

    /// <summary>Puts the files that the rewrite has made into effect. Returns why that failed, or null.</summary>
    private string? Install(Rewrite rewrite)
    {
        ServerLog log = _store.Log;
        AofManifest manifest = _manifest.WithBase(_directory.FileName, rewrite.IsRdb);
        string baseName = manifest.Base!.Name;
        string? incrementName = null;
        try
        {
            Rename(_directory.TemporaryBaseName, baseName);
            log.Notice($"Successfully renamed the temporary AOF base file {_directory.TemporaryBaseName} into {baseName}");
            if (rewrite.State == AppendLogState.WaitsForRewrite)
            {
                if (!_writer.Flush()) throw new LogFileException($"Error writing to the AOF file: {_writer.Failure}");
                manifest = manifest.WithIncrement(_directory.FileName);
                incrementName = manifest.Increments[^1].Name;
                Rename(_directory.TemporaryIncrementName, incrementName);
                log.Notice($"Successfully renamed the temporary AOF incr file {_directory.TemporaryIncrementName} into {incrementName}");
            }
            manifest = manifest.WithRewritten(kept: rewrite.State == AppendLogState.Off ? 0 : 1);
            _directory.Save(manifest);
        }
        catch (LogFileException failure)
        {
            log.Warning(failure.Message);
            if (TrySaveAgain())
            {
                _directory.Delete(baseName);
                if (incrementName is not null) _directory.Delete(incrementName);
            }
            return failure.Message;
        }
        _manifest = manifest;
        _writer.Replaced();
        if (rewrite.State == AppendLogState.WaitsForRewrite) SetState(AppendLogState.On);
        return null;
    }

    /// <summary>
    /// Makes certain that the manifest in force is the one on disk, after a new one could not be saved.
    /// </summary>
    private bool TrySaveAgain()
    {
        try
        {
            if (_manifest.IsEmpty) _directory.Delete(_directory.ManifestName);
            else _directory.Save(_manifest);
            return true;
        }
        catch (LogFileException)
        {
            return false;
        }
    }

    /// <summary>
    /// The rewrite that was to switch the log on has failed, so everything logged meanwhile is useless. Another rewrite
    /// will be tried.
    /// </summary>
    private void DropTemporaryIncrement()
    {
        if (_state != AppendLogState.WaitsForRewrite) return;
        _writer.Close();
        _store.Log.Notice($"Removing the temp incr aof file {_directory.TemporaryIncrementName} in the background");
        _directory.Delete(_directory.TemporaryIncrementName);
        _isScheduled = true;
    }

    /// <summary>Abandons the rewrite in progress, if there is one, with <see cref="_changing"/> held.</summary>
    private async Task AbortRewriteAsync()
    {
        if (_rewrite is { } rewrite) rewrite.IsAborted = true;
        await FailRewriteAsync().ConfigureAwait(false);
    }

    /// <summary>
    /// Makes the rewrite in progress fail, if there is one, as if its disk had failed; for tests. Completes when it has
    /// ended.
    /// </summary>
    public Task FailRewriteAsync()
    {
        if (_rewrite is not { Snapshot: { } snapshot } rewrite) return Task.CompletedTask;
        snapshot.Abort();
        return rewrite.Ended;
    }

    private void RewriteIfDue()
    {
        if (_files.SnapshotTurn.Current != SnapshotPurpose.None || (_store.Restrictions & Restrictions.Loading) != 0) return;
        ServerOptions options = _store.Options;
        bool due = _isScheduled || _writer.IsDamaged;
        if (due)
        {
            if (IsLimited()) return;
        }
        else if (_state == AppendLogState.On && options.AutoAofRewritePercentage != 0 && Length > options.AutoAofRewriteMinSize)
        {
            long growth = (Length * 100 / Math.Max(1, _lengthAtRewrite)) - 100;
            if (growth < options.AutoAofRewritePercentage || IsLimited()) return;
            _store.Log.Notice(string.Create(CultureInfo.InvariantCulture, $"Starting automatic rewriting of AOF on {growth}% growth"));
            due = true;
        }
        if (due && RewriteAsync() is { IsCompletedSuccessfully: false } beginning) beginning.GetAwaiter().GetResult();
    }

    /// <summary>
    /// After three failures in a row, further attempts follow after 1, 2, 4 … minutes, up to an hour.
    /// </summary>
    private bool IsLimited()
    {
        const int Failures = 3;
        if (ConsecutiveFailures < Failures)
        {
            _delayMinutes = 0;
            _delayedUntilMs = 0;
            return false;
        }
        long nowMs = _store.Clock.NowMs;
        if (_delayedUntilMs != 0)
        {
            if (nowMs < _delayedUntilMs) return true;
            _delayedUntilMs = 0;
            return false;
        }
        _delayMinutes = Math.Min(_delayMinutes == 0 ? 1 : _delayMinutes * 2, MostDelayMinutes);
        _delayedUntilMs = nowMs + (_delayMinutes * 60_000L);
        _store.Log.Warning(string.Create(CultureInfo.InvariantCulture,
            $"Background AOF rewrite has repeatedly failed and triggered the limit, will retry in {_delayMinutes} minutes"));
        return true;
    }

    private ISnapshotFile CreateTarget(bool isRdb)
    {
        string path = _directory.PathOf(_directory.TemporaryBaseName);
        return isRdb ? _files.CreateRdb(path, isAofBase: true) : _files.CreateCommands(path);
    }

    /// <summary>Writes a base when the server starts and nobody else is there.</summary>
    private void WriteBaseNow(bool isRdb)
    {
        _store.SiloGate.EnterExclusiveAsync().AsTask().GetAwaiter().GetResult();
        try
        {
            using ISnapshotFile target = CreateTarget(isRdb);
            Snapshot.Begin(_store.SiloGate, _store.Slots, _log, target).Run(exclusive: true);
            target.Finish();
        }
        catch (IOException failure) when (failure is not LogFileException)
        {
            throw new LogFileException($"Write error writing append only file on disk: {failure.Message}");
        }
        finally
        {
            _store.SiloGate.ExitExclusive();
        }
    }

    /// <summary>A rewrite in progress.</summary>
    /// <param name="state">The log's state when it began.</param>
    /// <param name="isRdb">Whether the base is in the RDB format.</param>
    /// <param name="startedAtMs">When it began.</param>
    private sealed class Rewrite(AppendLogState state, bool isRdb, long startedAtMs)
    {
        private readonly TaskCompletionSource _ended = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public AppendLogState State { get; } = state;

        public bool IsRdb { get; } = isRdb;

        public long StartedAtMs { get; } = startedAtMs;

        /// <summary>With the log on: the manifest with the increment that begins at the instant.</summary>
        public AofManifest? NextManifest { get; set; }

        /// <summary>The file for everything written from the instant on.</summary>
        public ILogFile? NextFile { get; set; }

        public ISnapshotFile? Target { get; set; }

        public Snapshot? Snapshot { get; set; }

        public volatile bool IsAborted;

        public Task Ended => _ended.Task;

        public void SetEnded() => _ended.SetResult();
    }
}
