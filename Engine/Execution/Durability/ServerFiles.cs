using System.Diagnostics;
using System.Globalization;

namespace OrleansRedis.Engine;

/// <summary>
/// What a server keeps in files: its configuration, dump.rdb, the append-only log, and the function libraries that the
/// latter two contain. A <see cref="Store"/> works without them: a scratch store, a replica's or a tenant's has slots,
/// but no server.
/// </summary>
public sealed class ServerFiles : IDisposable
{
    private const string CannotLoadDump = "ERR Error trying to load the RDB dump";

    /// <summary>
    /// Held while DEBUG RELOAD or LOADAOF replaces the data: the next one waits, since it would save, or forget, what
    /// has not been loaded yet.
    /// </summary>
    private readonly SemaphoreSlim _reloading = new(1);

    /// <param name="store">The data. From now on commands find these files through it
    /// (<see cref="CommandContext.Files"/>).</param>
    /// <param name="configuration">The directives, with the file they came from; its options are the store's.</param>
    public ServerFiles(Store store, ServerConfiguration configuration)
    {
        Store = store;
        Configuration = configuration;
        Dump = new(this);
        Aof = new(this);
        configuration.OnChange([.. Directive.All.Where(directive => directive.WhyNoEffect is not null).Select(directive => directive.Name)], () =>
        {
            if (configuration.DescribeWithoutEffect() is { } told) store.Log.Notice(told);
            return new((string?)null);
        });
        configuration.IsLoading = () => (store.Restrictions & Restrictions.Loading) != 0;
        configuration.OnChange(["maxmemory", "maxmemory-policy"], () =>
        {
            store.Eviction.LimitChanged();
            return new((string?)null);
        });
        configuration.OnChange(["requirepass"], () =>
        {
            store.Acl.RequirePasswordChanged();
            return new((string?)null);
        });
        configuration.OnChange(["min-replicas-to-write", "min-replicas-max-lag"], () =>
        {
            DemandReplicas();
            return new((string?)null);
        });
        DemandReplicas();
        configuration.Rewriting += () => store.Options.Users = store.Acl.ToLines();
        store.Files = this;
    }

    private void DemandReplicas()
    {
        // There are none, so any demand is too high.
        if (Store.Options is { MinReplicasToWrite: > 0, MinReplicasMaxLag: > 0 }) Store.Restrict(Restrictions.TooFewReplicas);
        else Store.Lift(Restrictions.TooFewReplicas);
    }

    /// <summary>The data.</summary>
    public Store Store { get; }

    /// <summary>The directives, as CONFIG reads and changes them.</summary>
    public ServerConfiguration Configuration { get; }

    /// <summary>dump.rdb.</summary>
    public DumpFile Dump { get; }

    /// <summary>The append-only log.</summary>
    public AppendLog Aof { get; }

    /// <summary>Function libraries, as the files hold them.</summary>
    public FunctionLibraries Functions { get; } = new();

    /// <summary>Decides which snapshot of all slots may run.</summary>
    public SnapshotTurn SnapshotTurn { get; } = new();

    /// <summary>How far a load has come; null while nothing is being loaded.</summary>
    public LoadProgress? LoadProgress { get; internal set; }

    /// <summary>How many keys the last load of a snapshot brought.</summary>
    public long LastLoadKeysLoaded { get; internal set; }

    /// <summary>How many keys it left out because they had expired.</summary>
    public long LastLoadKeysExpired { get; internal set; }

    /// <summary>Whether a previous process has left anything for <see cref="Load"/>.</summary>
    public bool HasFilesToLoad => Store.Options.AppendOnly ? Aof.HasFiles : File.Exists(Dump.FilePath);

    /// <summary>
    /// Loads what a previous process has left. <see cref="Restrictions.Loading"/> is in force and stays so; the caller
    /// lifts it. This may take long and needs a thread of its own.
    /// </summary>
    /// <exception cref="LoadException">The files cannot be loaded, and the server must not start.</exception>
    public void Load(CancellationToken cancellation)
    {
        long started = Stopwatch.GetTimestamp();
        Dump.DeleteLeftovers();
        if (Store.Options.AppendOnly)
        {
            // As in Redis, a snapshot is then ignored.
            if (Aof.Load(cancellation) != AofLoadEnd.NotThere)
                Store.Log.Notice(string.Create(
                    CultureInfo.InvariantCulture,
                    $"DB loaded from append only file: {Stopwatch.GetElapsedTime(started).TotalSeconds:F3} seconds"));
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
    /// DEBUG RELOAD: saves the data, forgets it and loads it. Other clients are told that the data is being loaded.
    /// Returns the error to reply, or null. The caller holds no gate.
    /// </summary>
    /// <param name="save">Whether to save the data first; otherwise the file is loaded as it is.</param>
    /// <param name="flush">Whether to forget the data.</param>
    /// <param name="merge">Whether keys of the file may replace existing ones.</param>
    public Task<string?> ReloadAsync(bool save, bool flush, bool merge) => InTurnAsync(() => ReloadInTurnAsync(save, flush, merge));

    private async Task<string?> ReloadInTurnAsync(bool save, bool flush, bool merge)
    {
        await Store.SiloGate.EnterExclusiveAsync().ConfigureAwait(false);
        try
        {
            if (IsLoading) return Errors.Loading;
            if (save && !await Task.Run(() => Dump.SaveExclusively()).ConfigureAwait(false)) return "ERR";
            Store.Restrict(Restrictions.Loading);
            if (flush)
            {
                Store.Empty();
                Functions.Replace([]);
            }
        }
        finally
        {
            Store.SiloGate.ExitExclusive();
        }
        try
        {
            if (!await Task.Run(() => Dump.Load(merge, CancellationToken.None)).ConfigureAwait(false)) return CannotLoadDump;
            if (flush) Dump.Loaded();
            Store.Log.Warning("DB reloaded by DEBUG RELOAD");
            return null;
        }
        catch (LoadException failure)
        {
            Store.Log.Warning(failure.Message);
            return CannotLoadDump;
        }
        finally
        {
            Store.Lift(Restrictions.Loading);
        }
    }

    /// <summary>
    /// DEBUG LOADAOF: forgets the data and loads the log. Other clients are told that the data is being loaded. Returns
    /// the error to reply, or null. The caller holds no gate.
    /// </summary>
    public Task<string?> LoadLogAsync() => InTurnAsync(LoadLogInTurnAsync);

    private async Task<string?> LoadLogInTurnAsync()
    {
        if (!await Task.Run(Aof.Flush).ConfigureAwait(false)) return $"ERR {Aof.WriteError}";
        await Store.SiloGate.EnterExclusiveAsync().ConfigureAwait(false);
        try
        {
            if (IsLoading) return Errors.Loading;
            Store.Restrict(Restrictions.Loading);
            Store.Effects.Log.Suspend();
            Store.Empty();
            Functions.Replace([]);
        }
        finally
        {
            Store.SiloGate.ExitExclusive();
        }
        try
        {
            // Effects appended between the first flush and the gate are still in the buffer.
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

    private bool IsLoading => (Store.Restrictions & Restrictions.Loading) != 0;

    private async Task<string?> InTurnAsync(Func<Task<string?>> load)
    {
        await _reloading.WaitAsync().ConfigureAwait(false);
        try
        {
            return await load().ConfigureAwait(false);
        }
        finally
        {
            _reloading.Release();
        }
    }

    public void Dispose()
    {
        Dump.Dispose();
        Aof.Dispose();
        Configuration.Dispose();
        _reloading.Dispose();
    }

    /// <summary>Creates the loader of an RDB file into the store.</summary>
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
