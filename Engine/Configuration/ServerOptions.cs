namespace OrleansRedis.Engine;

/// <summary>
/// The directives of redis.conf, with Redis's defaults: a property with a <see cref="DirectiveAttribute"/> is one, and there are no others.
/// Read on hot paths, so plain properties. deploy/redis.conf explains each to operators.
/// </summary>
public sealed class ServerOptions
{
    // Network.

    /// <summary>bind: the addresses to listen on.</summary>
    [Directive("bind", Kind = typeof(AddressesKind))]
    public IReadOnlyList<string> Bind { get; set; } = ["*", "-::*"];

    /// <summary>port: the TCP port for clients; 0 for none.</summary>
    [Directive("port", Max = 65535)]
    public int Port { get; set; } = 6379;

    /// <summary>unixsocket: the path of a Unix domain socket to listen on; empty for none.</summary>
    [Directive("unixsocket", Immutable = true)]
    public string UnixSocket { get; set; } = "";

    /// <summary>unixsocketperm: that socket's file mode; 0 leaves it to the umask.</summary>
    [Directive("unixsocketperm", Immutable = true, Max = 511, Format = NumberFormat.Octal)]
    public int UnixSocketPermissions { get; set; }

    /// <summary>tcp-backlog: how many connections may wait to be accepted.</summary>
    [Directive("tcp-backlog", Immutable = true)]
    public int TcpBacklog { get; set; } = 511;

    /// <summary>tcp-keepalive: seconds of silence after which the system probes a client; 0 for never.</summary>
    [Directive("tcp-keepalive")]
    public int TcpKeepalive { get; set; } = 300;

    /// <summary>timeout: seconds after which an idle client is disconnected; 0 for never.</summary>
    [Directive("timeout")]
    public int Timeout { get; set; }

    /// <summary>io-threads: how many threads at most read, run and answer the clients' commands; 0 for as many as there are processors.</summary>
    [Directive("io-threads", Immutable = true, Max = 128)]
    public int IoThreads { get; set; }

    /// <summary>maxclients: how many clients may be connected.</summary>
    [Directive("maxclients", Min = 1, Max = uint.MaxValue)]
    public int MaxClients { get; set; } = 10000;

    /// <summary>protected-mode: without a password, clients from other machines are refused.</summary>
    [Directive("protected-mode")]
    public bool ProtectedMode { get; set; } = true;

    /// <summary>proto-max-bulk-len: the largest bulk string, in bytes.</summary>
    [Directive("proto-max-bulk-len", Min = 1024 * 1024, Format = NumberFormat.Memory)]
    public long ProtoMaxBulkLength { get; set; } = 512L * 1024 * 1024;

    /// <summary>client-query-buffer-limit: how many bytes a client may have sent that are not executed yet.</summary>
    [Directive("client-query-buffer-limit", Min = 1024 * 1024, Format = NumberFormat.Memory)]
    public long ClientQueryBufferLimit { get; set; } = 1024L * 1024 * 1024;

    /// <summary>client-output-buffer-limit: how far a client's unsent replies may pile up.</summary>
    [Directive("client-output-buffer-limit", Kind = typeof(OutputBufferLimitsKind))]
    public OutputBufferLimits ClientOutputBufferLimits { get; set; } = OutputBufferLimits.Default;

    // Lists.

    /// <summary>list-max-listpack-size: how large a list's listpacks may be: -1 to -5 for 4, 8, 16, 32, 64 kB, else a number of elements.</summary>
    [Directive("list-max-listpack-size", Alias = "list-max-ziplist-size", Min = int.MinValue)]
    public int ListMaxListpackSize { get; set; } = -2;

    /// <summary>list-compress-depth: how many nodes at either end of a long list stay uncompressed; 0: all do.</summary>
    [Directive("list-compress-depth")]
    public int ListCompressDepth { get; set; }

    // Security.

    /// <summary>requirepass: the default user's password; empty for none.</summary>
    [Directive("requirepass")]
    public string RequirePass { get; set; } = "";

    /// <summary>enable-debug-command: who may use DEBUG.</summary>
    [Directive("enable-debug-command", Immutable = true)]
    public LocalAccess EnableDebugCommand { get; set; }

    /// <summary>enable-protected-configs: who may change the directives that are protected.</summary>
    [Directive("enable-protected-configs", Immutable = true)]
    public LocalAccess EnableProtectedConfigs { get; set; }

    // The process.

    /// <summary>loglevel: the least severe messages that are logged.</summary>
    [Directive("loglevel")]
    public RedisLogLevel LogLevel { get; set; } = RedisLogLevel.Notice;

    /// <summary>logfile: where they go; empty for the standard output.</summary>
    [Directive("logfile", Immutable = true)]
    public string LogFile { get; set; } = "";

    /// <summary>dir: the directory that names of files are relative to.</summary>
    [Directive("dir", Kind = typeof(DirectoryKind), Protected = true)]
    public string Dir { get; set; } = Path.TrimEndingDirectorySeparator(Environment.CurrentDirectory);

    /// <summary>pidfile: a file that holds the process id while the server runs; empty for none.</summary>
    [Directive("pidfile", Immutable = true)]
    public string PidFile { get; set; } = "";

    // Data.

    /// <summary>databases: how many logical databases there are.</summary>
    [Directive("databases", Immutable = true, Min = 1, Max = int.MaxValue)]
    public int Databases { get; set; } = 16;

    /// <summary>hz: how often a second background work is looked after.</summary>
    [Directive("hz")]
    public int Hz
    {
        get;
        set => field = Math.Clamp(value, 1, 500);
    }
    = 10;

    /// <summary>active-expire-effort: how much work is put into finding expired keys.</summary>
    [Directive("active-expire-effort", Min = 1, Max = 10)]
    public int ActiveExpireEffort { get; set; } = 1;

    /// <summary>maxmemory: how many bytes the data on this silo may take; 0 for no limit.</summary>
    [Directive("maxmemory", Format = NumberFormat.Memory)]
    public long MaxMemory { get; set; }

    /// <summary>maxmemory-policy: which keys are deleted when maxmemory is reached, and with what clock the use of keys is noted (LRU or LFU).</summary>
    [Directive("maxmemory-policy")]
    public MaxMemoryPolicy MaxMemoryPolicy
    {
        get;
        set
        {
            field = value;
            UsesLfu = value is MaxMemoryPolicy.AllkeysLfu or MaxMemoryPolicy.VolatileLfu;
            UsesAccessClock = UsesLfu || value is MaxMemoryPolicy.AllkeysLru or MaxMemoryPolicy.VolatileLru;
        }
    }
    = MaxMemoryPolicy.Noeviction;

    /// <summary>maxmemory-samples: how many keys are looked at for each one that is evicted.</summary>
    [Directive("maxmemory-samples", Min = 1, Max = 64)]
    public int MaxMemorySamples { get; set; } = 5;

    /// <summary>maxmemory-eviction-tenacity: how long a command may be held up by eviction, from 0 to 100, which is without end.</summary>
    [Directive("maxmemory-eviction-tenacity", Max = 100)]
    public int MaxMemoryEvictionTenacity { get; set; } = 10;

    /// <summary>Whether maxmemory-policy is one of the LFU policies, so that access clocks count uses instead of seconds.</summary>
    public bool UsesLfu { get; set; }

    /// <summary>Whether maxmemory-policy goes by when, or how often, keys were used.</summary>
    public bool UsesAccessClock { get; private set; }

    /// <summary>rdbcompression: strings in snapshots and in DUMP are compressed where that makes them shorter.</summary>
    [Directive("rdbcompression")]
    public bool RdbCompression { get; set; } = true;

    /// <summary>rdbchecksum: snapshots end with a checksum, which is verified when they are loaded.</summary>
    [Directive("rdbchecksum", Immutable = true)]
    public bool RdbChecksum { get; set; } = true;

    /// <summary>DEBUG SET-SKIP-CHECKSUM-VALIDATION: the checksums of snapshots and of RESTORE's payloads are not looked at, for tests that damage them.</summary>
    public bool SkipsChecksums { get; set; }

    /// <summary>sanitize-dump-payload: whether packed collections in RESTORE and in files are checked element by element for doubles and order.</summary>
    [Directive("sanitize-dump-payload")]
    public SanitizeDumpPayload SanitizeDumpPayload { get; set; }

    /// <summary>stream-node-max-bytes: a stream's node that would be larger is followed by another; 0 for no limit.</summary>
    [Directive("stream-node-max-bytes", Format = NumberFormat.Memory)]
    public long StreamNodeMaxBytes { get; set; } = 4096;

    /// <summary>stream-node-max-entries: a stream's node with so many entries is followed by another; 0 for no limit.</summary>
    [Directive("stream-node-max-entries")]
    public long StreamNodeMaxEntries { get; set; } = 100;

    /// <summary>hll-sparse-max-bytes: a HyperLogLog that would be larger becomes dense.</summary>
    [Directive("hll-sparse-max-bytes", Format = NumberFormat.Memory)]
    public long HllSparseMaxBytes { get; set; } = 3000;

    /// <summary>lfu-log-factor: how slowly the LFU counter saturates.</summary>
    [Directive("lfu-log-factor")]
    public int LfuLogFactor { get; set; } = 10;

    /// <summary>lfu-decay-time: minutes after which the LFU counter loses one.</summary>
    [Directive("lfu-decay-time")]
    public int LfuDecayTime { get; set; } = 1;

    // Sizes up to which collections are packed into one run of bytes.

    /// <summary>hash-max-listpack-entries: how many fields a hash may have that is kept as a listpack.</summary>
    [Directive("hash-max-listpack-entries", Alias = "hash-max-ziplist-entries")]
    public long HashMaxListpackEntries { get; set; } = 512;

    /// <summary>hash-max-listpack-value: how many bytes its fields and values may have.</summary>
    [Directive("hash-max-listpack-value", Alias = "hash-max-ziplist-value", Format = NumberFormat.Memory)]
    public long HashMaxListpackValue { get; set; } = 64;

    /// <summary>set-max-intset-entries: how many members a set may have that is kept as an intset.</summary>
    [Directive("set-max-intset-entries")]
    public long SetMaxIntsetEntries { get; set; } = 512;

    /// <summary>set-max-listpack-entries: how many members a set may have that is kept as a listpack.</summary>
    [Directive("set-max-listpack-entries")]
    public long SetMaxListpackEntries { get; set; } = 128;

    /// <summary>set-max-listpack-value: how many bytes its members may have.</summary>
    [Directive("set-max-listpack-value", Format = NumberFormat.Memory)]
    public long SetMaxListpackValue { get; set; } = 64;

    /// <summary>zset-max-listpack-entries: how many members a sorted set may have that is kept as a listpack.</summary>
    [Directive("zset-max-listpack-entries", Alias = "zset-max-ziplist-entries")]
    public long ZsetMaxListpackEntries { get; set; } = 128;

    /// <summary>zset-max-listpack-value: how many bytes its members may have.</summary>
    [Directive("zset-max-listpack-value", Alias = "zset-max-ziplist-value", Format = NumberFormat.Memory)]
    public long ZsetMaxListpackValue { get; set; } = 64;

    // Snapshots.

    /// <summary>save: when the data is saved by itself.</summary>
    [Directive("save", Kind = typeof(SavePointsKind))]
    public SavePoints Save { get; set; } = SavePoints.Default;

    /// <summary>dbfilename: the snapshot's name in dir.</summary>
    [Directive("dbfilename", Kind = typeof(DumpFileNameKind), Protected = true)]
    public string DbFileName { get; set; } = "dump.rdb";

    /// <summary>stop-writes-on-bgsave-error: with save points, commands that may write are refused after a snapshot in the background has failed.</summary>
    [Directive("stop-writes-on-bgsave-error")]
    public bool StopWritesOnBgsaveError { get; set; } = true;

    /// <summary>shutdown-on-sigint: how the server ends when it gets SIGINT.</summary>
    [Directive("shutdown-on-sigint", Kind = typeof(ShutdownModesKind))]
    public ShutdownModes ShutdownOnSigint { get; set; }

    /// <summary>shutdown-on-sigterm: how the server ends when it gets SIGTERM.</summary>
    [Directive("shutdown-on-sigterm", Kind = typeof(ShutdownModesKind))]
    public ShutdownModes ShutdownOnSigterm { get; set; }

    /// <summary>rdb-save-incremental-fsync: a snapshot is handed to the disk while it is written, not all at the end.</summary>
    [Directive("rdb-save-incremental-fsync")]
    public bool RdbSaveIncrementalFsync { get; set; } = true;

    /// <summary>rdb-del-sync-files: without other persistence, snapshots that came from or went to another server are deleted. There are none of those.</summary>
    [Directive("rdb-del-sync-files")]
    public bool RdbDelSyncFiles { get; set; }

    /// <summary>rdb-key-save-delay: microseconds to wait after each key that a snapshot writes; negative for one after so many keys. For tests.</summary>
    [Directive("rdb-key-save-delay", Min = int.MinValue, Hidden = true)]
    public int RdbKeySaveDelay { get; set; }

    /// <summary>key-load-delay: the same for each key that is loaded. For tests.</summary>
    [Directive("key-load-delay", Min = int.MinValue, Hidden = true)]
    public int KeyLoadDelay { get; set; }

    /// <summary>loading-process-events-interval-bytes: for tests of redis-server, which answers clients after so many bytes; here they are always answered.</summary>
    [Directive("loading-process-events-interval-bytes", Min = 1024, Max = int.MaxValue, Format = NumberFormat.Memory, Hidden = true)]
    public long LoadingProcessEventsIntervalBytes { get; set; } = 2 * 1024 * 1024;

    // The append-only file.

    /// <summary>appendonly: writes are logged, and the log is what the data is loaded from.</summary>
    [Directive("appendonly")]
    public bool AppendOnly { get; set; }

    /// <summary>appendfilename: what the log's files' names begin with.</summary>
    [Directive("appendfilename", Immutable = true, Kind = typeof(AppendFileNameKind))]
    public string AppendFileName { get; set; } = "appendonly.aof";

    /// <summary>appenddirname: the directory in dir that holds them.</summary>
    [Directive("appenddirname", Immutable = true, Kind = typeof(AppendDirectoryNameKind))]
    public string AppendDirectoryName { get; set; } = "appendonlydir";

    /// <summary>appendfsync: when what is logged is made durable.</summary>
    [Directive("appendfsync")]
    public AppendFsync AppendFsync { get; set; }

    /// <summary>no-appendfsync-on-rewrite: not while a snapshot or a rewrite keeps the disk busy.</summary>
    [Directive("no-appendfsync-on-rewrite")]
    public bool NoAppendFsyncOnRewrite { get; set; }

    /// <summary>auto-aof-rewrite-percentage: the log is rewritten when it has grown by so much since the last time; 0 for never.</summary>
    [Directive("auto-aof-rewrite-percentage")]
    public int AutoAofRewritePercentage { get; set; } = 100;

    /// <summary>auto-aof-rewrite-min-size: but not while it is smaller than this.</summary>
    [Directive("auto-aof-rewrite-min-size", Format = NumberFormat.Memory)]
    public long AutoAofRewriteMinSize { get; set; } = 64L * 1024 * 1024;

    /// <summary>aof-load-truncated: a log whose end is missing is loaded without its last command.</summary>
    [Directive("aof-load-truncated")]
    public bool AofLoadTruncated { get; set; } = true;

    /// <summary>aof-use-rdb-preamble: a rewritten log begins with a snapshot in the RDB format rather than with commands.</summary>
    [Directive("aof-use-rdb-preamble")]
    public bool AofUseRdbPreamble { get; set; } = true;

    /// <summary>aof-timestamp-enabled: the log tells when things were written.</summary>
    [Directive("aof-timestamp-enabled")]
    public bool AofTimestampEnabled { get; set; }

    /// <summary>aof-rewrite-incremental-fsync: what a rewrite writes is synced bit by bit rather than all at the end.</summary>
    [Directive("aof-rewrite-incremental-fsync")]
    public bool AofRewriteIncrementalFsync { get; set; } = true;

    /// <summary>aof-disable-auto-gc: files that a rewrite has replaced are kept.</summary>
    [Directive("aof-disable-auto-gc")]
    public bool AofDisableAutoGc { get; set; }

    // Orleans.

    /// <summary>orleans-cluster-id: silos of the same cluster have the same.</summary>
    [Directive("orleans-cluster-id", Immutable = true)]
    public string OrleansClusterId { get; set; } = "orleansredis";

    /// <summary>orleans-service-id: the application's name, which outlives clusters.</summary>
    [Directive("orleans-service-id", Immutable = true)]
    public string OrleansServiceId { get; set; } = "orleansredis";

    /// <summary>orleans-silo-port: the TCP port for other silos; 0 for 11111, or a free one if that is taken.</summary>
    [Directive("orleans-silo-port", Immutable = true, Max = 65535)]
    public int OrleansSiloPort { get; set; }

    /// <summary>orleans-gateway-port: the TCP port for Orleans clients; 0 for 30000, or a free one if that is taken.</summary>
    [Directive("orleans-gateway-port", Immutable = true, Max = 65535)]
    public int OrleansGatewayPort { get; set; }

    /// <summary>orleans-clustering: how silos find each other.</summary>
    [Directive("orleans-clustering", Immutable = true)]
    public OrleansClustering OrleansClustering { get; set; }

    /// <summary>orleans-storage: where slots are stored.</summary>
    [Directive("orleans-storage", Immutable = true)]
    public OrleansStorage OrleansStorage { get; set; }

    /// <summary>orleans-storage-connection-string: how that store is reached; empty for one that needs nothing.</summary>
    [Directive("orleans-storage-connection-string", Immutable = true)]
    public string OrleansStorageConnectionString { get; set; } = "";
}

/// <summary>Who may do something that is dangerous.</summary>
public enum LocalAccess
{
    No,
    Yes,

    /// <summary>Connections from this machine.</summary>
    Local,
}

/// <summary>sanitize-dump-payload.</summary>
public enum SanitizeDumpPayload
{
    No,
    Yes,

    /// <summary>Of clients' RESTORE, not of files.</summary>
    Clients,
}

/// <summary>loglevel.</summary>
public enum RedisLogLevel
{
    Debug,
    Verbose,
    Notice,
    Warning,
    Nothing,
}

/// <summary>appendfsync.</summary>
public enum AppendFsync
{
    /// <summary>Once a second.</summary>
    Everysec,

    /// <summary>Before anyone is told of it.</summary>
    Always,

    /// <summary>When the system sees fit.</summary>
    No,
}

/// <summary>maxmemory-policy.</summary>
public enum MaxMemoryPolicy
{
    VolatileLru,
    VolatileLfu,
    VolatileRandom,
    VolatileTtl,
    AllkeysLru,
    AllkeysLfu,
    AllkeysRandom,
    Noeviction,
}

/// <summary>orleans-clustering.</summary>
public enum OrleansClustering
{
    /// <summary>One silo, alone on this machine.</summary>
    Localhost,
}

/// <summary>orleans-storage.</summary>
public enum OrleansStorage
{
    /// <summary>Redis's own files in dir, for a silo alone.</summary>
    File,

    /// <summary>A PostgreSQL database, from which any silo recovers any slot.</summary>
    Postgres,

    /// <summary>This process's memory: what slots hold outlives their activations, not the process.</summary>
    Memory,
}
