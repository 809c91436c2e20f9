using System.Diagnostics;
using System.Globalization;

namespace OrleansRedis.Engine;

/// <summary>Where the data comes from when the process starts, and DEBUG RELOAD.</summary>
public sealed partial class Store
{
    /// <summary>How far loading is; null while nothing is being read.</summary>
    public LoadProgress? LoadProgress { get; internal set; }

    /// <summary>Keys that the last load of a snapshot brought.</summary>
    public long LastLoadKeysLoaded { get; internal set; }

    /// <summary>Keys that it left out, since their time had come.</summary>
    public long LastLoadKeysExpired { get; internal set; }

    /// <summary>Whether a former process has left anything for <see cref="LoadFromDisk"/>.</summary>
    public bool HasFilesToLoad => Options.AppendOnly ? Aof.HasFiles : File.Exists(Dump.FilePath);

    /// <summary>
    /// Loads what a former process has left. <see cref="Restrictions.Loading"/> is in force and stays so; the caller lifts it. Takes its time: for a
    /// thread of its own.
    /// </summary>
    /// <exception cref="LoadException">What there is cannot be loaded, and the server must not start.</exception>
    public void LoadFromDisk(CancellationToken cancellation)
    {
        long started = Stopwatch.GetTimestamp();
        Dump.DeleteLeftovers();
        if (Options.AppendOnly)
        {
            // As in Redis, a snapshot is not even looked at then.
            if (Aof.Load(cancellation) != AofLoadEnd.NotThere)
                Log.Notice(string.Create(CultureInfo.InvariantCulture, $"DB loaded from append only file: {Stopwatch.GetElapsedTime(started).TotalSeconds:F3} seconds"));
        }
        else if (LoadDump(cancellation))
            Log.Notice(string.Create(CultureInfo.InvariantCulture, $"DB loaded from disk: {Stopwatch.GetElapsedTime(started).TotalSeconds:F3} seconds"));
        Dump.Loaded();
    }

    private bool LoadDump(CancellationToken cancellation)
    {
        try
        {
            return Dump.Load(replacesKeys: false, cancellation);
        }
        catch (LoadException failure) when (failure.InnerException is RdbFileException)
        {
            Log.Warning("Terminating server after rdb file reading failure.");
            throw;
        }
    }

    /// <summary>
    /// DEBUG RELOAD: saves the data, forgets it and loads it. Others are told that the data is being loaded. Returns the error to reply, or null. The caller
    /// holds no gate.
    /// </summary>
    /// <param name="save">Whether to save it first; else the file is loaded as it is.</param>
    /// <param name="flush">Whether to forget it.</param>
    /// <param name="merge">Whether keys of the file may take the place of others.</param>
    public async Task<string?> ReloadAsync(bool save, bool flush, bool merge)
    {
        await SiloGate.EnterExclusiveAsync().ConfigureAwait(false);
        try
        {
            if (save && !await Task.Run(() => Dump.SaveExclusively()).ConfigureAwait(false)) return "ERR";
            Restrict(Restrictions.Loading);
            if (flush) Databases.Empty(this);
        }
        finally
        {
            SiloGate.ExitExclusive();
        }
        try
        {
            await Task.Run(() => Dump.Load(merge, CancellationToken.None)).ConfigureAwait(false);
            if (flush) Dump.Loaded();
            Log.Warning("DB reloaded by DEBUG RELOAD");
            return null;
        }
        catch (LoadException failure)
        {
            Log.Warning(failure.Message);
            return "ERR Error trying to load the RDB dump";
        }
        finally
        {
            Lift(Restrictions.Loading);
        }
    }

    /// <summary>
    /// DEBUG LOADAOF: forgets the data and loads the log. Others are told that the data is being loaded. Returns the error to reply, or null. The caller holds
    /// no gate.
    /// </summary>
    public async Task<string?> LoadLogAsync()
    {
        if (!await Task.Run(Aof.Flush).ConfigureAwait(false)) return $"ERR {Aof.WriteError}";
        await SiloGate.EnterExclusiveAsync().ConfigureAwait(false);
        try
        {
            Restrict(Restrictions.Loading);
            Effects.Log.Suspend();
            Databases.Empty(this);
        }
        finally
        {
            SiloGate.ExitExclusive();
        }
        try
        {
            // What was appended between the two is in the buffer still.
            await Task.Run(Aof.Flush).ConfigureAwait(false);
            await Task.Run(() => Aof.Load(CancellationToken.None)).ConfigureAwait(false);
            Dump.Loaded();
            Log.Warning("Append Only File loaded by DEBUG LOADAOF");
            return null;
        }
        catch (LoadException failure)
        {
            Log.Warning(failure.Message);
            return "ERR Error trying to load the AOF files, check server logs.";
        }
        finally
        {
            Effects.Log.Resume();
            Lift(Restrictions.Loading);
        }
    }
}
