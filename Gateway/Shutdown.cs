using OrleansRedis.Engine;

namespace OrleansRedis.Gateway;

/// <summary>
/// How the server ends, by SHUTDOWN or by a signal: it stops running commands, saves what has to be saved, and asks the
/// host to stop the process. If saving fails, the server carries on as if nothing had happened, unless it was told to
/// end by force.
/// </summary>
public sealed class Shutdown(RedisServer server)
{
    private readonly Lock _changing = new();
    private Task<bool>? _running;
    private string? _signal;     // the signal that has come and has not been dealt with yet
    private bool _paused;

    /// <summary>What is done first, while commands are still run; whether it is to be quick (SHUTDOWN NOW).</summary>
    public Func<bool, Task>? BeforeEnd { get; set; }

    /// <summary>
    /// Has nobody connect any more. Done before the client that has asked for the end can notice it: as with redis-server, it
    /// may take it for certain then that nobody listens.
    /// </summary>
    public Func<ValueTask>? StopListening { get; set; }

    /// <summary>The server carries on after all.</summary>
    public Action? CarriesOn { get; set; }

    private Store Store => server.Store;

    private ServerFiles Files => server.Files;

    /// <summary>DEBUG PAUSE-CRON: while set, what a signal asks for waits.</summary>
    public bool IsPaused
    {
        get => _paused;
        set
        {
            lock (_changing)
            {
                _paused = value;
                if (!value && _signal is not null) _ = Task.Run(RunForSignalAsync);
            }
        }
    }

    /// <summary>
    /// SIGTERM or SIGINT has come. False if the process must end at once: that is a SIGINT that comes while an earlier
    /// signal is still being dealt with. Half-written files have been deleted by then.
    /// </summary>
    public bool OnSignal(string name)
    {
        lock (_changing)
        {
            bool isLoading = (Store.Restrictions & Restrictions.Loading) != 0;
            if (_signal is not null && name == "SIGINT")
            {
                Store.Log.Warning("You insist... exiting now.");
                Files.Dump.DeleteTemporaryFiles();
                return false;
            }
            Store.Log.Warning(isLoading ? "Received shutdown signal during loading, scheduling shutdown." : $"Received {name} scheduling shutdown...");
            if (_signal is not null) return true;
            _signal = name;
            if (!_paused) _ = Task.Run(RunForSignalAsync);
            return true;
        }
    }

    /// <summary>
    /// SHUTDOWN ABORT: cancels what a signal has asked for, if that has not begun. There are no replicas to wait for,
    /// so nothing else can be aborted.
    /// </summary>
    public bool TryAbort()
    {
        lock (_changing)
        {
            if (_signal is null || _running is not null) return false;
            _signal = null;
        }
        Store.Log.Notice("Shutdown manually aborted.");
        return true;
    }

    /// <summary>
    /// Ends the server. False if it carries on because its data could not be saved. Callers that come while this runs
    /// get the answer of the first.
    /// </summary>
    public Task<bool> RunAsync(ShutdownModes modes)
    {
        lock (_changing) return _running ??= RunOnceAsync(modes);
    }

    private async Task RunForSignalAsync()
    {
        string? signal;
        lock (_changing)
        {
            signal = _signal;
            if (signal is null || _paused) return;
        }
        if (!await RunAsync(signal == "SIGINT" ? Store.Options.ShutdownOnSigint : Store.Options.ShutdownOnSigterm).ConfigureAwait(false))
            Store.Log.Warning("SIGTERM received but errors trying to shut down the server, check the logs for more information");
    }

    private async Task<bool> RunOnceAsync(ShutdownModes modes)
    {
        await Task.CompletedTask.ConfigureAwait(ConfigureAwaitOptions.ForceYielding);
        Store.Log.Warning("User requested shutdown...");
        if (BeforeEnd is { } leave) await leave(modes.HasFlag(ShutdownModes.Now)).ConfigureAwait(false);
        // A data set that is only half loaded must not be saved over the whole one.
        bool isLoading = (Store.Restrictions & Restrictions.Loading) != 0;
        bool saves = !isLoading
            && (modes.HasFlag(ShutdownModes.Save) || (!modes.HasFlag(ShutdownModes.NoSave) && Store.Options.Save.Any));
        if (!isLoading && !await EndAsync(saves, force: modes.HasFlag(ShutdownModes.Force)).ConfigureAwait(false))
        {
            Store.Lift(Restrictions.Stopping);
            CarriesOn?.Invoke();
            Store.Log.Warning("Errors trying to shut down the server. Check the logs for more information.");
            lock (_changing)
            {
                _running = null;
                _signal = null;
            }
            return false;
        }
        if (StopListening is { } stop) await stop().ConfigureAwait(false);
        server.StopRequested?.Invoke();
        return true;
    }

    /// <summary>Stops running commands, and saves. False if that failed and the server carries on.</summary>
    private async Task<bool> EndAsync(bool saves, bool force)
    {
        while (true)
        {
            if (Files.Dump.IsSaving)
            {
                Store.Log.Warning("There is a child saving an .rdb. Killing it!");
                await Files.Dump.AbortAsync().ConfigureAwait(false);
            }
            if (!await Files.Aof.PrepareToEndAsync(force).ConfigureAwait(false)) return false;
            // Ends the script, which might never end by itself. SHUTDOWN NOSAVE is the only way to that if it has written.
            if (!saves && (Store.Restrictions & Restrictions.Busy) != 0) Store.Restrict(Restrictions.Stopping);
            await Store.SiloGate.EnterExclusiveAsync().ConfigureAwait(false);
            if (!Files.Dump.IsSaving && !Files.Aof.IsRewriting) break;
            Store.SiloGate.ExitExclusive(); // a save point or a rewrite began before the gate was taken: try again
        }
        try
        {
            if (Files.Aof.State != AppendLogState.Off)
            {
                Store.Log.Notice("Calling fsync() on the AOF file.");
                if (!Files.Aof.Flush()) Store.Log.Warning($"Fail to fsync the AOF file: {Files.Aof.WriteError}");
            }
            if (saves)
            {
                Store.Log.Notice("Saving the final RDB snapshot before exiting.");
                if (!Files.Dump.SaveExclusively(logDigest: true))
                {
                    Store.Log.Warning(force ? "Error trying to save the DB. Exit anyway." : "Error trying to save the DB, can't exit.");
                    if (!force) return false;
                }
            }
            if (Store.Durability is { } log && await log.SettleAsync().ConfigureAwait(false) is { } reason)
            {
                Store.Log.Warning(force ? $"{reason}. Exit anyway." : $"{reason}, can't exit.");
                if (!force) return false;
            }
            Store.Restrict(Restrictions.Stopping);
            return true;
        }
        finally
        {
            Store.SiloGate.ExitExclusive();
        }
    }
}
