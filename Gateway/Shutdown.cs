using OrleansRedis.Engine;

namespace OrleansRedis.Gateway;

/// <summary>
/// How the server ends, by SHUTDOWN or by a signal: it runs no more commands, saves what is to be saved, and asks the host to stop the process. If
/// saving fails it goes on as if nothing had been said, unless it was told to go by force.
/// </summary>
public sealed class Shutdown(RedisServer server)
{
    private readonly Lock _changing = new();
    private Task<bool>? _running;
    private string? _signal;     // the one that has come and is not dealt with yet
    private bool _paused;

    private Store Store => server.Store;

    private ServerFiles Files => server.Files;

    /// <summary>DEBUG PAUSE-CRON: what a signal asks for waits.</summary>
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
    /// SIGTERM or SIGINT has come. A second SIGINT, before the first one's work is done, ends the process at once, with false: what is half
    /// written has been deleted then.
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

    /// <summary>SHUTDOWN ABORT: what a signal has asked for is not done, if it has not begun. There are no replicas to wait for, so nothing else can be stopped.</summary>
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

    /// <summary>Ends the server; false if it goes on, since its data could not be saved. Whoever asks meanwhile gets the answer of the first.</summary>
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
        // What is half loaded must not be saved over the whole.
        bool isLoading = (Store.Restrictions & Restrictions.Loading) != 0;
        bool saves = !isLoading && (modes.HasFlag(ShutdownModes.Save) || (!modes.HasFlag(ShutdownModes.NoSave) && Store.Options.Save.Any));
        if (!isLoading && !await EndAsync(saves, force: modes.HasFlag(ShutdownModes.Force)).ConfigureAwait(false))
        {
            Store.Log.Warning("Errors trying to shut down the server. Check the logs for more information.");
            lock (_changing)
            {
                _running = null;
                _signal = null;
            }
            return false;
        }
        server.StopRequested?.Invoke();
        return true;
    }

    /// <summary>Runs no more commands, and saves; false if that failed and the server goes on.</summary>
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
            await Store.SiloGate.EnterExclusiveAsync().ConfigureAwait(false);
            if (!Files.Dump.IsSaving && !Files.Aof.IsRewriting) break;
            Store.SiloGate.ExitExclusive(); // a save point, or a rewrite, was quicker
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
