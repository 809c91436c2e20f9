using System.Diagnostics;
using System.Globalization;

namespace OrleansRedis.Engine;

/// <summary>
/// What a server keeps in files: its configuration, dump.rdb, the append-only log, and the function libraries that the latter two hold.
/// A <see cref="Store"/> gets along without: one that is scratch room, a replica's or a tenant's is slots, and no server.
/// </summary>
public sealed class ServerFiles : IDisposable
{
    /// <param name="store">The data. Commands find these files by it from now on (<see cref="CommandContext.Files"/>).</param>
    /// <param name="configuration">The directives, with the file they came from; its options are the store's.</param>
    public ServerFiles(Store store, ServerConfiguration configuration)
    {
        Store = store;
        Configuration = configuration;
        Dump = new(this);
        Aof = new(this);
        configuration.OnChange(["maxmemory", "maxmemory-policy"], () =>
        {
            store.Eviction.LimitChanged();
            return new((string?)null);
        });
        store.Files = this;
    }

    /// <summary>The data.</summary>
    public Store Store { get; }

    /// <summary>The directives, as CONFIG reads and changes them.</summary>
    public ServerConfiguration Configuration { get; }

    /// <summary>dump.rdb.</summary>
    public DumpFile Dump { get; }

    /// <summary>The append-only log.</summary>
    public AppendLog Aof { get; }

    /// <summary>Function libraries, as files hold them.</summary>
    public FunctionLibraries Functions { get; } = new();

    /// <summary>Who is making a snapshot of all slots.</summary>
    public SnapshotTurn SnapshotTurn { get; } = new();

    /// <summary>How far loading is; null while nothing is being read.</summary>
    public LoadProgress? LoadProgress { get; internal set; }

    /// <summary>Keys that the last load of a snapshot brought.</summary>
    public long LastLoadKeysLoaded { get; internal set; }

    /// <summary>Keys that it left out, since their time had come.</summary>
    public long LastLoadKeysExpired { get; internal set; }

    /// <summary>Whether a former process has left anything for <see cref="Load"/>.</summary>
    public bool HasFilesToLoad => Store.Options.AppendOnly ? Aof.HasFiles : File.Exists(Dump.FilePath);

    /// <summary>
    /// Loads what a former process has left. <see cref="Restrictions.Loading"/> is in force and stays so; the caller lifts it. Takes its time: for a
    /// thread of its own.
    /// </summary>
    /// <exception cref="LoadException">What there is cannot be loaded, and the server must not start.</exception>
    public void Load(CancellationToken cancellation)
    {
        long started = Stopwatch.GetTimestamp();
        Dump.DeleteLeftovers();
        if (Store.Options.AppendOnly)
        {
            // As in Redis, a snapshot is not even looked at then.
            if (Aof.Load(cancellation) != AofLoadEnd.NotThere)
                Store.Log.Notice(string.Create(CultureInfo.InvariantCulture, $"DB loaded from append only file: {Stopwatch.GetElapsedTime(started).TotalSeconds:F3} seconds"));
        }
        else if (LoadDump(cancellation))
            Store.Log.Notice(string.Create(CultureInfo.InvariantCulture, $"DB loaded from disk: {Stopwatch.GetElapsedTime(started).TotalSeconds:F3} seconds"));
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
            Store.Log.Warning("Terminating server after rdb file reading failure.");
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
        await Store.SiloGate.EnterExclusiveAsync().ConfigureAwait(false);
        try
        {
            if (save && !await Task.Run(() => Dump.SaveExclusively()).ConfigureAwait(false)) return "ERR";
            Store.Restrict(Restrictions.Loading);
            if (flush) Store.Empty();
        }
        finally
        {
            Store.SiloGate.ExitExclusive();
        }
        try
        {
            await Task.Run(() => Dump.Load(merge, CancellationToken.None)).ConfigureAwait(false);
            if (flush) Dump.Loaded();
            Store.Log.Warning("DB reloaded by DEBUG RELOAD");
            return null;
        }
        catch (LoadException failure)
        {
            Store.Log.Warning(failure.Message);
            return "ERR Error trying to load the RDB dump";
        }
        finally
        {
            Store.Lift(Restrictions.Loading);
        }
    }

    /// <summary>
    /// DEBUG LOADAOF: forgets the data and loads the log. Others are told that the data is being loaded. Returns the error to reply, or null. The caller holds
    /// no gate.
    /// </summary>
    public async Task<string?> LoadLogAsync()
    {
        if (!await Task.Run(Aof.Flush).ConfigureAwait(false)) return $"ERR {Aof.WriteError}";
        await Store.SiloGate.EnterExclusiveAsync().ConfigureAwait(false);
        try
        {
            Store.Restrict(Restrictions.Loading);
            Store.Effects.Log.Suspend();
            Store.Empty();
        }
        finally
        {
            Store.SiloGate.ExitExclusive();
        }
        try
        {
            // What was appended between the two is in the buffer still.
            await Task.Run(Aof.Flush).ConfigureAwait(false);
            await Task.Run(() => Aof.Load(CancellationToken.None)).ConfigureAwait(false);
            Dump.Loaded();
            Store.Log.Warning("Append Only File loaded by DEBUG LOADAOF");
            return null;
        }
        catch (LoadException failure)
        {
            Store.Log.Warning(failure.Message);
            return "ERR Error trying to load the AOF files, check server logs.";
        }
        finally
        {
            Store.Effects.Log.Resume();
            Store.Lift(Restrictions.Loading);
        }
    }

    public void Dispose()
    {
        Dump.Dispose();
        Aof.Dispose();
        Configuration.Dispose();
    }

    /// <summary>What loads an RDB file into the store.</summary>
    internal RdbLoader CreateLoader(bool keepsExpired = false, bool replacesKeys = false, CancellationToken cancellation = default) =>
        new(Store.Slots, Store.Options, Store.Clock, Store.Log, Functions)
        {
            KeepsExpired = keepsExpired,
            ReplacesKeys = replacesKeys,
            Cancellation = cancellation,
        };

    /// <summary>A new RDB file for a snapshot of the store.</summary>
    internal RdbSnapshotTarget CreateRdb(string path, bool isAofBase = false) =>
        new(Store.Options, Store.Clock.NowMs, Store.UsedMemory, Functions, Store.Log, path, isAofBase);

    /// <summary>A new file of commands for a snapshot of the store.</summary>
    internal AofSnapshotTarget CreateCommands(string path) => new(Store.Options, Store.Clock, Functions, path);
}
