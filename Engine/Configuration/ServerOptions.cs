using System.Collections.Concurrent;
using System.Diagnostics;

namespace OrleansRedis.Engine;

/// <summary>
/// The directives of redis.conf, with Redis's defaults. Every property with a <see cref="DirectiveAttribute"/> is a
/// directive, and there are no others. They are plain properties because hot paths read them. deploy/redis.conf
/// explains each to operators.
/// </summary>
public sealed class ServerOptions
{
    /// <summary>
    /// Redis's directives that have no meaning here, as far as they have been given, with their values.
    /// </summary>
    internal ConcurrentDictionary<string, object> Foreign { get; } = new(StringComparer.OrdinalIgnoreCase);

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

    /// <summary>unixsocketperm: the file mode of that socket; 0 leaves it to the umask.</summary>
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

    /// <summary>
    /// io-threads: the most threads that read, run and answer the clients' commands; 0 for as many as there are
    /// processors.
    /// </summary>
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

    /// <summary>
    /// busy-reply-threshold: how long a script may run, in ms, before other clients are told that it does (BUSY); 0 for
    /// ever.
    /// </summary>
    [Directive("busy-reply-threshold", Min = 0, Alias = "lua-time-limit")]
    public long BusyReplyThreshold { get; set; } = 5000;

    /// <summary>orleans-script-memory: how much memory the scripts of one thread may take.</summary>
    [Directive("orleans-script-memory", Min = 4 * 1024 * 1024, Format = NumberFormat.Memory, Immutable = true)]
    public long OrleansScriptMemory { get; set; } = 256L * 1024 * 1024;

    /// <summary>
    /// tracking-table-max-keys: how many keys are remembered that clients with CLIENT TRACKING have read; 0 for no limit.
    /// </summary>
    [Directive("tracking-table-max-keys")]
    public long TrackingTableMaxKeys { get; set; } = 1_000_000;

    /// <summary>client-query-buffer-limit: how many bytes a client may have sent that are not yet executed.</summary>
    [Directive("client-query-buffer-limit", Min = 1024 * 1024, Format = NumberFormat.Memory)]
    public long ClientQueryBufferLimit { get; set; } = 1024L * 1024 * 1024;

    /// <summary>client-output-buffer-limit: how far a client's unsent replies may pile up.</summary>
    [Directive("client-output-buffer-limit", Kind = typeof(OutputBufferLimitsKind))]
    public OutputBufferLimits ClientOutputBufferLimits { get; set; } = OutputBufferLimits.Default;

    /// <summary>
    /// maxmemory-clients: how many bytes the buffers of all clients may take together; if negative, a percentage of
    /// maxmemory; 0 for no limit.
    /// </summary>
    [Directive("maxmemory-clients", Kind = typeof(MemoryOrPercentKind))]
    public long MaxMemoryClients { get; set; }

    // TLS.

    /// <summary>tls-port: the TCP port for clients that speak TLS; 0 for none.</summary>
    [Directive("tls-port", Max = 65535)]
    public int TlsPort { get; set; }

    /// <summary>tls-cert-file: the server's certificate, and those that lead from it to a root (PEM).</summary>
    [Directive("tls-cert-file")]
    public string TlsCertFile { get; set; } = "";

    /// <summary>tls-key-file: the private key of that certificate (PEM).</summary>
    [Directive("tls-key-file")]
    public string TlsKeyFile { get; set; } = "";

    /// <summary>tls-key-file-pass: the passphrase of the key, if it is encrypted.</summary>
    [Directive("tls-key-file-pass", Sensitive = true)]
    public string TlsKeyFilePass { get; set; } = "";

    /// <summary>tls-ca-cert-file: the authorities whose certificates clients may show (PEM).</summary>
    [Directive("tls-ca-cert-file")]
    public string TlsCaCertFile { get; set; } = "";

    /// <summary>tls-ca-cert-dir: a directory with further authorities, one or more in a file (PEM).</summary>
    [Directive("tls-ca-cert-dir")]
    public string TlsCaCertDir { get; set; } = "";

    /// <summary>tls-auth-clients: whether clients must show a certificate.</summary>
    [Directive("tls-auth-clients")]
    public TlsAuthClients TlsAuthClients { get; set; } = TlsAuthClients.Yes;

    /// <summary>tls-auth-clients-user: whether a client is the user that its certificate names (CN), or not (off).</summary>
    [Directive("tls-auth-clients-user", Kind = typeof(CertificateFieldKind))]
    public bool TlsAuthClientsUser { get; set; }

    /// <summary>tls-protocols: versions of TLS, separated by blanks; empty for TLSv1.2 and TLSv1.3.</summary>
    [Directive("tls-protocols")]
    public string TlsProtocols { get; set; } = "";

    /// <summary>tls-ciphers: the ciphers of TLS 1.2 and below, in OpenSSL's language; empty for .NET's choice.</summary>
    [Directive("tls-ciphers")]
    public string TlsCiphers { get; set; } = "";

    /// <summary>tls-ciphersuites: the ciphers of TLS 1.3, separated by colons; empty for OpenSSL's choice.</summary>
    [Directive("tls-ciphersuites")]
    public string TlsCiphersuites { get; set; } = "";

    /// <summary>tls-session-caching: whether clients that come back may resume their session.</summary>
    [Directive("tls-session-caching")]
    public bool TlsSessionCaching { get; set; } = true;

    /// <summary>tls-session-cache-size: how many sessions are kept, 0 for any number. Takes effect at the start.</summary>
    [Directive("tls-session-cache-size")]
    public int TlsSessionCacheSize { get; set; } = 20 * 1024;

    /// <summary>orleans-tls-handshake-timeout: how many seconds a client has for the handshake.</summary>
    [Directive("orleans-tls-handshake-timeout", Min = 1, Max = 3600)]
    public int OrleansTlsHandshakeTimeout { get; set; } = 10;

    // Lists.

    /// <summary>
    /// list-max-listpack-size: how large each of a list's listpacks may be. -1 to -5 mean 4, 8, 16, 32 and 64 kB; a
    /// positive value is a number of elements.
    /// </summary>
    [Directive("list-max-listpack-size", Alias = "list-max-ziplist-size", Min = int.MinValue)]
    public int ListMaxListpackSize { get; set; } = -2;

    /// <summary>
    /// list-compress-depth: how many nodes at either end of a long list stay uncompressed; 0 leaves all of them
    /// uncompressed.
    /// </summary>
    [Directive("list-compress-depth")]
    public int ListCompressDepth { get; set; }

    // Security.

    /// <summary>requirepass: the default user's password; empty for none.</summary>
    [Directive("requirepass", Sensitive = true)]
    public string RequirePass { get; set; } = "";

    /// <summary>
    /// user: the users and their rules, a line for each; see AclUsers. CONFIG REWRITE writes those of the moment.
    /// </summary>
    [Directive("user", Kind = typeof(UserLinesKind), IsFileOnly = true, Sensitive = true)]
    public DirectiveLines Users { get; set; } = DirectiveLines.None;

    /// <summary>aclfile: the file that has the users and their rules, instead of redis.conf; empty for none.</summary>
    [Directive("aclfile", Immutable = true)]
    public string AclFile { get; set; } = "";

    /// <summary>acl-pubsub-default: whether a new user, or a new selector, may use all channels or none.</summary>
    [Directive("acl-pubsub-default")]
    public AclPubSubDefault AclPubSubDefault { get; set; }

    /// <summary>acllog-max-len: how many entries ACL LOG keeps.</summary>
    [Directive("acllog-max-len")]
    public long AclLogMaxLength { get; set; } = 128;

    /// <summary>rename-command: other names for commands; an empty name takes a command away.</summary>
    [Directive("rename-command", Kind = typeof(RenamedCommandsKind), IsFileOnly = true)]
    public DirectiveLines RenamedCommands { get; set; } = DirectiveLines.None;

    /// <summary>
    /// orleans-auth-failures-per-minute: how many times a minute an address may fail to authenticate before it is
    /// refused without a look at the password; 0 for any number of times.
    /// </summary>
    [Directive("orleans-auth-failures-per-minute")]
    public int AuthFailuresPerMinute { get; set; } = 100;

    /// <summary>enable-debug-command: which clients may use DEBUG.</summary>
    [Directive("enable-debug-command", Immutable = true)]
    public LocalAccess EnableDebugCommand { get; set; }

    /// <summary>enable-module-command: which clients may use MODULE to change what is loaded.</summary>
    [Directive("enable-module-command", Immutable = true)]
    public LocalAccess EnableModuleCommand { get; set; }

    /// <summary>enable-protected-configs: which clients may change the protected directives.</summary>
    [Directive("enable-protected-configs", Immutable = true)]
    public LocalAccess EnableProtectedConfigs { get; set; }

    // The process.

    /// <summary>loglevel: the least severe messages that are logged.</summary>
    [Directive("loglevel")]
    public RedisLogLevel LogLevel { get; set; } = RedisLogLevel.Notice;

    /// <summary>logfile: where log messages go; empty for the standard output.</summary>
    [Directive("logfile", Immutable = true)]
    public string LogFile { get; set; } = "";

    /// <summary>syslog-enabled: whether log messages also go to the system's log.</summary>
    [Directive("syslog-enabled", Immutable = true)]
    public bool SyslogEnabled { get; set; }

    /// <summary>syslog-ident: the server's name there.</summary>
    [Directive("syslog-ident", Immutable = true)]
    public string SyslogIdent { get; set; } = "redis";

    /// <summary>syslog-facility: the part of that log that they go to.</summary>
    [Directive("syslog-facility", Immutable = true)]
    public SyslogFacility SyslogFacility { get; set; } = SyslogFacility.Local0;

    /// <summary>crash-log-enabled: whether the log gets a report when the process ends because of an error of its own.</summary>
    [Directive("crash-log-enabled")]
    public bool CrashLogEnabled { get; set; } = true;

    /// <summary>daemonize: whether the server goes on in the background, and the process that was started ends.</summary>
    [Directive("daemonize", Immutable = true)]
    public bool Daemonize { get; set; }

    /// <summary>supervised: who is told when the server is ready.</summary>
    [Directive("supervised", Immutable = true)]
    public Supervision Supervised { get; set; } = Supervision.No;

    /// <summary>Who is really told: what "auto" has turned out to be; never <see cref="Supervision.Auto"/>.</summary>
    public Supervision SupervisedBy { get; set; } = Supervision.No;

    /// <summary>set-proc-title: whether the process shows as proc-title-template says.</summary>
    [Directive("set-proc-title", Immutable = true)]
    public bool SetProcTitle { get; set; } = true;

    /// <summary>proc-title-template: how the process shows among others.</summary>
    [Directive("proc-title-template", Kind = typeof(ProcessTitleKind))]
    public string ProcTitleTemplate { get; set; } = "{title} {listen-addr} {server-mode}";

    /// <summary>oom-score-adj: whether the system is told how willingly to end this process when memory runs out.</summary>
    [Directive("oom-score-adj", Kind = typeof(OomScoreKind))]
    public OomScoreAdjustment OomScoreAdj { get; set; }

    /// <summary>
    /// oom-score-adj-values: how willingly, for a master, a replica, and a child that saves. This server is always the
    /// first.
    /// </summary>
    [Directive("oom-score-adj-values", Kind = typeof(OomScoreValuesKind))]
    public IReadOnlyList<int> OomScoreAdjValues { get; set; } = [0, 200, 800];

    /// <summary>dir: the directory that file names are relative to.</summary>
    [Directive("dir", Kind = typeof(DirectoryKind), Protected = true, NotWhileLoading = true)]
    public string Dir { get; set; } = Path.TrimEndingDirectorySeparator(Environment.CurrentDirectory);

    /// <summary>pidfile: a file that holds the process id while the server runs; empty for none.</summary>
    [Directive("pidfile", Immutable = true)]
    public string PidFile { get; set; } = "";

    // What the operator is shown.

    /// <summary>
    /// slowlog-log-slower-than: commands that take so many microseconds are noted for SLOWLOG; 0 for all, -1 for none.
    /// </summary>
    [Directive("slowlog-log-slower-than", Min = -1)]
    public long SlowlogLogSlowerThan
    {
        get;
        set
        {
            field = value;
            SetSlowTicks();
        }
    }
    = 10_000;

    /// <summary>slowlog-max-len: how many entries SLOWLOG has at most; 0 for none.</summary>
    [Directive("slowlog-max-len")]
    public long SlowlogMaxLen
    {
        get;
        set
        {
            field = value;
            SetSlowTicks();
        }
    }
    = 128;

    /// <summary>
    /// latency-monitor-threshold: events that hold others up for so many milliseconds are noted for LATENCY; 0 for none.
    /// </summary>
    [Directive("latency-monitor-threshold")]
    public long LatencyMonitorThreshold
    {
        get;
        set
        {
            field = value;
            SetSlowTicks();
        }
    }

    /// <summary>latency-tracking: whether it is counted how long each command takes, for INFO latencystats.</summary>
    [Directive("latency-tracking")]
    public bool LatencyTracking { get; set; } = true;

    /// <summary>latency-tracking-info-percentiles: which percentiles INFO latencystats shows.</summary>
    [Directive("latency-tracking-info-percentiles", Kind = typeof(PercentilesKind))]
    public IReadOnlyList<double> LatencyTrackingInfoPercentiles { get; set; } = [50, 99, 99.9];

    /// <summary>
    /// From how many <see cref="Stopwatch"/> ticks on a command is worth a look: the least that any of the directives
    /// above asks for.
    /// </summary>
    internal long SlowTicks { get; private set; } = Stopwatch.Frequency / 100;

    private void SetSlowTicks()
    {
        double microseconds = SlowlogLogSlowerThan < 0 || SlowlogMaxLen == 0 ? double.PositiveInfinity : SlowlogLogSlowerThan;
        if (LatencyMonitorThreshold != 0) microseconds = Math.Min(microseconds, LatencyMonitorThreshold * 1000.0);
        double ticks = microseconds * Stopwatch.Frequency / 1_000_000;
        SlowTicks = ticks < long.MaxValue ? (long)ticks : long.MaxValue;
    }

    // Data.

    /// <summary>databases: how many logical databases there are.</summary>
    [Directive("databases", Immutable = true, Min = 1, Max = int.MaxValue)]
    public int Databases { get; set; } = 16;

    /// <summary>notify-keyspace-events: which events of keys are published, and on which channels; nothing if empty.</summary>
    [Directive("notify-keyspace-events", Kind = typeof(KeyEventClassesKind))]
    public string NotifyKeyspaceEvents { get; set; } = "";

    /// <summary>hz: how many times a second background work is done.</summary>
    [Directive("hz")]
    public int Hz
    {
        get;
        set => field = Math.Clamp(value, 1, 500);
    }
    = 10;

    /// <summary>active-expire-effort: how much work is spent on finding expired keys.</summary>
    [Directive("active-expire-effort", Min = 1, Max = 10)]
    public int ActiveExpireEffort { get; set; } = 1;

    /// <summary>activedefrag: whether data are moved together when memory has become fragmented.</summary>
    [Directive("activedefrag")]
    public bool ActiveDefrag { get; set; }

    /// <summary>active-defrag-ignore-bytes: so much may be wasted before anything is done about it.</summary>
    [Directive("active-defrag-ignore-bytes", Min = 1, Format = NumberFormat.Memory)]
    public long ActiveDefragIgnoreBytes { get; set; } = 100 << 20;

    /// <summary>active-defrag-threshold-lower: from so many percent of fragmentation on something is done.</summary>
    [Directive("active-defrag-threshold-lower", Max = 1000)]
    public int ActiveDefragThresholdLower { get; set; } = 10;

    /// <summary>active-defrag-threshold-upper: from so many percent on, with the greatest effort.</summary>
    [Directive("active-defrag-threshold-upper", Max = 1000)]
    public int ActiveDefragThresholdUpper { get; set; } = 100;

    /// <summary>active-defrag-cycle-min: the least effort, in percent of a processor's time.</summary>
    [Directive("active-defrag-cycle-min", Min = 1, Max = 99)]
    public int ActiveDefragCycleMin { get; set; } = 1;

    /// <summary>active-defrag-cycle-max: the greatest effort, in percent of a processor's time.</summary>
    [Directive("active-defrag-cycle-max", Min = 1, Max = 99)]
    public int ActiveDefragCycleMax { get; set; } = 25;

    /// <summary>
    /// active-defrag-max-scan-fields: a value with more elements than this is set aside, and gone through in steps of its
    /// own.
    /// </summary>
    [Directive("active-defrag-max-scan-fields", Min = 1)]
    public long ActiveDefragMaxScanFields { get; set; } = 1000;

    /// <summary>maxmemory: how many bytes the data on this silo may take; 0 for no limit.</summary>
    [Directive("maxmemory", Format = NumberFormat.Memory)]
    public long MaxMemory { get; set; }

    /// <summary>
    /// maxmemory-policy: which keys are deleted when maxmemory is reached, and whether the use of keys is recorded for
    /// LRU or for LFU.
    /// </summary>
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

    /// <summary>
    /// maxmemory-eviction-tenacity: how long eviction may hold up a command, from 0 to 100, where 100 sets no limit.
    /// </summary>
    [Directive("maxmemory-eviction-tenacity", Max = 100)]
    public int MaxMemoryEvictionTenacity { get; set; } = 10;

    /// <summary>
    /// Whether maxmemory-policy is one of the LFU policies, so that access clocks count uses instead of seconds.
    /// </summary>
    public bool UsesLfu { get; set; }

    /// <summary>Whether maxmemory-policy depends on when, or how often, keys were used.</summary>
    public bool UsesAccessClock { get; private set; }

    /// <summary>
    /// rdbcompression: whether strings in snapshots and in DUMP are compressed where that makes them shorter.
    /// </summary>
    [Directive("rdbcompression")]
    public bool RdbCompression { get; set; } = true;

    /// <summary>rdbchecksum: whether snapshots end with a checksum, which is verified when they are loaded.</summary>
    [Directive("rdbchecksum", Immutable = true)]
    public bool RdbChecksum { get; set; } = true;

    /// <summary>
    /// DEBUG SET-SKIP-CHECKSUM-VALIDATION: whether the checksums of snapshots and of RESTORE's payloads are ignored,
    /// for tests that damage them.
    /// </summary>
    public bool SkipsChecksums { get; set; }

    /// <summary>
    /// sanitize-dump-payload: whether packed collections in RESTORE and in files are checked element by element, for
    /// duplicates and for order.
    /// </summary>
    [Directive("sanitize-dump-payload")]
    public SanitizeDumpPayload SanitizeDumpPayload { get; set; }

    /// <summary>
    /// stream-node-max-bytes: a new node of a stream is begun when the last one would become larger than this; 0 for no
    /// limit.
    /// </summary>
    [Directive("stream-node-max-bytes", Format = NumberFormat.Memory)]
    public long StreamNodeMaxBytes { get; set; } = 4096;

    /// <summary>
    /// stream-node-max-entries: a new node of a stream is begun when the last one has this many entries; 0 for no
    /// limit.
    /// </summary>
    [Directive("stream-node-max-entries")]
    public long StreamNodeMaxEntries { get; set; } = 100;

    /// <summary>hll-sparse-max-bytes: a HyperLogLog that would become larger than this is made dense.</summary>
    [Directive("hll-sparse-max-bytes", Format = NumberFormat.Memory)]
    public long HllSparseMaxBytes { get; set; } = 3000;

    /// <summary>lfu-log-factor: how slowly the LFU counter saturates.</summary>
    [Directive("lfu-log-factor")]
    public int LfuLogFactor { get; set; } = 10;

    /// <summary>lfu-decay-time: minutes after which the LFU counter loses one.</summary>
    [Directive("lfu-decay-time")]
    public int LfuDecayTime { get; set; } = 1;

    // Sizes up to which a collection is packed into one run of bytes.

    /// <summary>hash-max-listpack-entries: the most fields of a hash that is kept as a listpack.</summary>
    [Directive("hash-max-listpack-entries", Alias = "hash-max-ziplist-entries")]
    public long HashMaxListpackEntries { get; set; } = 512;

    /// <summary>hash-max-listpack-value: the most bytes of each of its fields and values.</summary>
    [Directive("hash-max-listpack-value", Alias = "hash-max-ziplist-value", Format = NumberFormat.Memory)]
    public long HashMaxListpackValue { get; set; } = 64;

    /// <summary>set-max-intset-entries: the most members of a set that is kept as an intset.</summary>
    [Directive("set-max-intset-entries")]
    public long SetMaxIntsetEntries { get; set; } = 512;

    /// <summary>set-max-listpack-entries: the most members of a set that is kept as a listpack.</summary>
    [Directive("set-max-listpack-entries")]
    public long SetMaxListpackEntries { get; set; } = 128;

    /// <summary>set-max-listpack-value: the most bytes of each of its members.</summary>
    [Directive("set-max-listpack-value", Format = NumberFormat.Memory)]
    public long SetMaxListpackValue { get; set; } = 64;

    /// <summary>zset-max-listpack-entries: the most members of a sorted set that is kept as a listpack.</summary>
    [Directive("zset-max-listpack-entries", Alias = "zset-max-ziplist-entries")]
    public long ZsetMaxListpackEntries { get; set; } = 128;

    /// <summary>zset-max-listpack-value: the most bytes of each of its members.</summary>
    [Directive("zset-max-listpack-value", Alias = "zset-max-ziplist-value", Format = NumberFormat.Memory)]
    public long ZsetMaxListpackValue { get; set; } = 64;

    // Snapshots.

    /// <summary>save: when the server saves the data on its own.</summary>
    [Directive("save", Kind = typeof(SavePointsKind))]
    public SavePoints Save { get; set; } = SavePoints.Default;

    /// <summary>dbfilename: the snapshot's name in dir.</summary>
    [Directive("dbfilename", Kind = typeof(DumpFileNameKind), Protected = true)]
    public string DbFileName { get; set; } = "dump.rdb";

    /// <summary>
    /// stop-writes-on-bgsave-error: whether, with save points, commands that may write are refused after a background
    /// save has failed.
    /// </summary>
    [Directive("stop-writes-on-bgsave-error")]
    public bool StopWritesOnBgsaveError { get; set; } = true;

    /// <summary>
    /// min-replicas-to-write: with fewer replicas, commands that may write are refused. There are none yet, so any number
    /// but 0 refuses all.
    /// </summary>
    [Directive("min-replicas-to-write", Min = 0, Alias = "min-slaves-to-write")]
    public int MinReplicasToWrite { get; set; }

    /// <summary>
    /// min-replicas-max-lag: how long ago, in seconds, a replica may have answered that counts for min-replicas-to-write; 0
    /// turns that off.
    /// </summary>
    [Directive("min-replicas-max-lag", Min = 0, Alias = "min-slaves-max-lag")]
    public int MinReplicasMaxLag { get; set; } = 10;

    /// <summary>shutdown-on-sigint: how the server shuts down on SIGINT.</summary>
    [Directive("shutdown-on-sigint", Kind = typeof(ShutdownModesKind))]
    public ShutdownModes ShutdownOnSigint { get; set; }

    /// <summary>shutdown-on-sigterm: how the server shuts down on SIGTERM.</summary>
    [Directive("shutdown-on-sigterm", Kind = typeof(ShutdownModesKind))]
    public ShutdownModes ShutdownOnSigterm { get; set; }

    /// <summary>
    /// rdb-save-incremental-fsync: whether a snapshot is synced to disk while it is written, rather than all at the
    /// end.
    /// </summary>
    [Directive("rdb-save-incremental-fsync")]
    public bool RdbSaveIncrementalFsync { get; set; } = true;

    /// <summary>
    /// rdb-del-sync-files: without other persistence, deletes snapshots that came from or went to another server. This
    /// server makes no such files.
    /// </summary>
    [Directive("rdb-del-sync-files")]
    public bool RdbDelSyncFiles { get; set; }

    /// <summary>
    /// rdb-key-save-delay: microseconds to wait after each key that a snapshot writes; if negative, one microsecond
    /// after that many keys. For tests.
    /// </summary>
    [Directive("rdb-key-save-delay", Min = int.MinValue, Hidden = true)]
    public int RdbKeySaveDelay { get; set; }

    /// <summary>key-load-delay: the same for each key that is loaded. For tests.</summary>
    [Directive("key-load-delay", Min = int.MinValue, Hidden = true)]
    public int KeyLoadDelay { get; set; }

    /// <summary>
    /// loading-process-events-interval-bytes: for tests of redis-server, which while loading answers clients every so
    /// many bytes. Here clients are always answered.
    /// </summary>
    [Directive("loading-process-events-interval-bytes", Min = 1024, Max = int.MaxValue, Format = NumberFormat.Memory, Hidden = true)]
    public long LoadingProcessEventsIntervalBytes { get; set; } = 2 * 1024 * 1024;

    // The append-only file.

    /// <summary>appendonly: whether writes are logged, and the data is loaded from that log.</summary>
    [Directive("appendonly", NotWhileLoading = true)]
    public bool AppendOnly { get; set; }

    /// <summary>appendfilename: the prefix of the names of the log's files.</summary>
    [Directive("appendfilename", Immutable = true, Kind = typeof(AppendFileNameKind))]
    public string AppendFileName { get; set; } = "appendonly.aof";

    /// <summary>appenddirname: the directory in dir that holds the log's files.</summary>
    [Directive("appenddirname", Immutable = true, Kind = typeof(AppendDirectoryNameKind))]
    public string AppendDirectoryName { get; set; } = "appendonlydir";

    /// <summary>appendfsync: when logged writes are made durable.</summary>
    [Directive("appendfsync")]
    public AppendFsync AppendFsync { get; set; }

    /// <summary>
    /// no-appendfsync-on-rewrite: whether the log is not synced while a snapshot or a rewrite keeps the disk busy.
    /// </summary>
    [Directive("no-appendfsync-on-rewrite")]
    public bool NoAppendFsyncOnRewrite { get; set; }

    /// <summary>
    /// auto-aof-rewrite-percentage: the log is rewritten when it has grown by this much since the last rewrite; 0 for
    /// never.
    /// </summary>
    [Directive("auto-aof-rewrite-percentage")]
    public int AutoAofRewritePercentage { get; set; } = 100;

    /// <summary>
    /// auto-aof-rewrite-min-size: the log is not rewritten automatically while it is smaller than this.
    /// </summary>
    [Directive("auto-aof-rewrite-min-size", Format = NumberFormat.Memory)]
    public long AutoAofRewriteMinSize { get; set; } = 64L * 1024 * 1024;

    /// <summary>aof-load-truncated: whether a log whose end is missing is loaded without its last command.</summary>
    [Directive("aof-load-truncated")]
    public bool AofLoadTruncated { get; set; } = true;

    /// <summary>
    /// aof-use-rdb-preamble: whether a rewritten log begins with a snapshot in the RDB format rather than with
    /// commands.
    /// </summary>
    [Directive("aof-use-rdb-preamble")]
    public bool AofUseRdbPreamble { get; set; } = true;

    /// <summary>aof-timestamp-enabled: whether the log records when things were written.</summary>
    [Directive("aof-timestamp-enabled")]
    public bool AofTimestampEnabled { get; set; }

    /// <summary>
    /// aof-rewrite-incremental-fsync: whether a rewrite syncs its file bit by bit rather than all at the end.
    /// </summary>
    [Directive("aof-rewrite-incremental-fsync")]
    public bool AofRewriteIncrementalFsync { get; set; } = true;

    /// <summary>aof-disable-auto-gc: whether files that a rewrite has replaced are kept.</summary>
    [Directive("aof-disable-auto-gc")]
    public bool AofDisableAutoGc { get; set; }

    // Redis Cluster's protocol.

    /// <summary>cluster-enabled: whether clients are spoken to in Redis Cluster's protocol.</summary>
    [Directive("cluster-enabled", Immutable = true)]
    public bool ClusterEnabled { get; set; }

    /// <summary>cluster-config-file: the file in which a node that is alone keeps what it knows of its cluster.</summary>
    [Directive("cluster-config-file", Immutable = true)]
    public string ClusterConfigFile { get; set; } = "nodes.conf";

    /// <summary>cluster-require-full-coverage: whether nothing is served unless every slot is.</summary>
    [Directive("cluster-require-full-coverage")]
    public bool ClusterRequireFullCoverage { get; set; } = true;

    /// <summary>cluster-allow-reads-when-down: whether keys are read though the cluster is down.</summary>
    [Directive("cluster-allow-reads-when-down")]
    public bool ClusterAllowReadsWhenDown { get; set; }

    /// <summary>cluster-allow-pubsubshard-when-down: whether shard channels are served though the cluster is down.</summary>
    [Directive("cluster-allow-pubsubshard-when-down")]
    public bool ClusterAllowPubsubshardWhenDown { get; set; } = true;

    /// <summary>cluster-preferred-endpoint-type: how clients are told where a node is.</summary>
    [Directive("cluster-preferred-endpoint-type")]
    public ClusterEndpointType ClusterPreferredEndpointType { get; set; }

    /// <summary>cluster-announce-ip: the address for clients; empty for the one that each of them has used.</summary>
    [Directive("cluster-announce-ip", Kind = typeof(AnnouncedIpKind))]
    public string ClusterAnnounceIp { get; set; } = "";

    /// <summary>cluster-announce-port: the port for clients; 0 for that of the server.</summary>
    [Directive("cluster-announce-port", Max = 65535)]
    public int ClusterAnnouncePort { get; set; }

    /// <summary>cluster-announce-tls-port: the port for clients that speak TLS; 0 for that of the server.</summary>
    [Directive("cluster-announce-tls-port", Max = 65535)]
    public int ClusterAnnounceTlsPort { get; set; }

    /// <summary>cluster-announce-bus-port: the port of the cluster's bus that is shown; 0 for cluster-port.</summary>
    [Directive("cluster-announce-bus-port", Max = 65535)]
    public int ClusterAnnounceBusPort { get; set; }

    /// <summary>cluster-port: the port of the cluster's bus that is shown; 0 for the server's port and 10000.</summary>
    [Directive("cluster-port", Immutable = true, Max = 65535)]
    public int ClusterPort { get; set; }

    /// <summary>cluster-announce-hostname: the host's name for clients; empty for none.</summary>
    [Directive("cluster-announce-hostname", Kind = typeof(HostNameKind))]
    public string ClusterAnnounceHostname { get; set; } = "";

    /// <summary>cluster-announce-human-nodename: a name for people, which the log and the file show; empty for none.</summary>
    [Directive("cluster-announce-human-nodename", Kind = typeof(NodeNameKind))]
    public string ClusterAnnounceHumanNodename { get; set; } = "";

    // Orleans.

    /// <summary>orleans-cluster-id: the name of the cluster, which all of its silos share.</summary>
    [Directive("orleans-cluster-id", Immutable = true)]
    public string OrleansClusterId { get; set; } = "orleansredis";

    /// <summary>orleans-service-id: the application's name, which outlives clusters.</summary>
    [Directive("orleans-service-id", Immutable = true)]
    public string OrleansServiceId { get; set; } = "orleansredis";

    /// <summary>
    /// orleans-gateway-port: the TCP port for Orleans clients; 0 for none, so that nothing listens for them.
    /// </summary>
    [Directive("orleans-gateway-port", Immutable = true, Max = 65535)]
    public int OrleansGatewayPort { get; set; }

    /// <summary>orleans-silo-port: the TCP port for other silos; 0 for none, so that nothing listens for them.</summary>
    [Directive("orleans-silo-port", Immutable = true, Max = 65535)]
    public int OrleansSiloPort { get; set; }

    /// <summary>
    /// orleans-bus-port: the TCP port at which this silo takes what other silos have to tell and ask it; 0 for
    /// orleans-silo-port + 1000. The others are told.
    /// </summary>
    [Directive("orleans-bus-port", Immutable = true, Max = 65535)]
    public int OrleansBusPort { get; set; }

    /// <summary>orleans-weight: this silo's share of the slots in relation to the others'; 0 for none.</summary>
    [Directive("orleans-weight", Max = 1_000_000)]
    public int OrleansWeight { get; set; } = 100;

    /// <summary>
    /// shutdown-timeout: how many seconds a silo of several that is told to end takes to move its slots to others.
    /// </summary>
    [Directive("shutdown-timeout", Max = 1_000_000)]
    public int ShutdownTimeout { get; set; } = 10;

    /// <summary>
    /// cluster-node-timeout: how many milliseconds a silo of several is silent before the others go on without it; a
    /// change takes effect when the silo is started again.
    /// </summary>
    [Directive("cluster-node-timeout", Min = 1)]
    public int ClusterNodeTimeout { get; set; } = 2000;

    /// <summary>orleans-bind: the address at which those ports listen; "*" for all of IPv4, "::" for all.</summary>
    [Directive("orleans-bind", Immutable = true, Kind = typeof(AddressKind))]
    public string OrleansBind { get; set; } = "127.0.0.1";

    /// <summary>
    /// orleans-announce-ip: the address under which Orleans clients reach this silo; empty for orleans-bind or, if that
    /// is all addresses, the first of this machine's that is not loopback.
    /// </summary>
    [Directive("orleans-announce-ip", Immutable = true, Kind = typeof(AnnouncedAddressKind))]
    public string OrleansAnnounceIp { get; set; } = "";

    /// <summary>orleans-maxclients: how many connections those ports have at most.</summary>
    [Directive("orleans-maxclients", Immutable = true, Min = 1, Max = 100_000)]
    public int OrleansMaxClients { get; set; } = 100;

    /// <summary>orleans-clustering: how silos find each other.</summary>
    [Directive("orleans-clustering", Immutable = true)]
    public OrleansClustering OrleansClustering { get; set; }

    /// <summary>
    /// orleans-seeds: with orleans-clustering raft the machines that make the cluster, and through which others join it:
    /// addresses with silo ports, separated by commas.
    /// </summary>
    [Directive("orleans-seeds", Immutable = true)]
    public string OrleansSeeds { get; set; } = "";

    /// <summary>orleans-cluster-secret: what silos show each other to be let in; empty for none.</summary>
    [Directive("orleans-cluster-secret", Immutable = true, Sensitive = true)]
    public string OrleansClusterSecret { get; set; } = "";

    /// <summary>orleans-adonet-invariant: with orleans-clustering adonet, which kind of database it is.</summary>
    [Directive("orleans-adonet-invariant", Immutable = true)]
    public string OrleansAdonetInvariant { get; set; } = "";

    /// <summary>orleans-adonet-connection-string: how to reach that database.</summary>
    [Directive("orleans-adonet-connection-string", Immutable = true, Sensitive = true)]
    public string OrleansAdonetConnectionString { get; set; } = "";

    /// <summary>orleans-azure-connection-string: with orleans-clustering azure, which storage account it is.</summary>
    [Directive("orleans-azure-connection-string", Immutable = true, Sensitive = true)]
    public string OrleansAzureConnectionString { get; set; } = "";

    /// <summary>orleans-storage: where slots are stored.</summary>
    [Directive("orleans-storage", Immutable = true)]
    public OrleansStorage OrleansStorage { get; set; }

    /// <summary>
    /// orleans-storage-connection-string: how to reach that store; empty for a store that needs no connection string.
    /// </summary>
    [Directive("orleans-storage-connection-string", Immutable = true, Sensitive = true)]
    public string OrleansStorageConnectionString { get; set; } = "";
}

/// <summary>Which clients may do something dangerous.</summary>
public enum LocalAccess
{
    No,
    Yes,

    /// <summary>Only connections from this machine.</summary>
    Local,
}

/// <summary>tls-auth-clients.</summary>
public enum TlsAuthClients
{
    /// <summary>Clients are not asked for a certificate.</summary>
    No,

    /// <summary>Clients must show a certificate of a known authority.</summary>
    Yes,

    /// <summary>Clients need no certificate, but one that is shown must be of a known authority.</summary>
    Optional,
}

/// <summary>sanitize-dump-payload.</summary>
public enum SanitizeDumpPayload
{
    No,
    Yes,

    /// <summary>Checks what clients RESTORE, but not files.</summary>
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

/// <summary>supervised.</summary>
public enum Supervision
{
    Upstart,
    Systemd,

    /// <summary>Whichever the environment shows.</summary>
    Auto,

    No,
}

/// <summary>syslog-facility, with the system's numbers.</summary>
public enum SyslogFacility
{
    User = 1,
    Local0 = 16,
    Local1,
    Local2,
    Local3,
    Local4,
    Local5,
    Local6,
    Local7,
}

/// <summary>oom-score-adj.</summary>
public enum OomScoreAdjustment
{
    No,

    /// <summary>To what the process has started with ("yes", too).</summary>
    Relative,

    Absolute,
}

/// <summary>appendfsync.</summary>
public enum AppendFsync
{
    /// <summary>Once a second.</summary>
    Everysec,

    /// <summary>Before anyone learns of the write.</summary>
    Always,

    /// <summary>Whenever the operating system sees fit.</summary>
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
    /// <summary>A single silo on this machine.</summary>
    Localhost,

    /// <summary>Several silos, which keep what they must agree on themselves.</summary>
    Raft,

    /// <summary>Several silos, which keep that in a database.</summary>
    Adonet,

    /// <summary>Several silos, which keep that in Azure Tables.</summary>
    Azure,
}

/// <summary>orleans-storage.</summary>
public enum OrleansStorage
{
    /// <summary>Redis's own files in dir, for a single silo.</summary>
    File,

    /// <summary>A PostgreSQL database, from which any silo can recover any slot.</summary>
    Postgres,

    /// <summary>This process's memory: the contents of slots outlive their activations, but not the process.</summary>
    Memory,
}

/// <summary>What acl-pubsub-default may be.</summary>
public enum AclPubSubDefault
{
    /// <summary>No channels.</summary>
    Resetchannels,

    /// <summary>All channels.</summary>
    Allchannels,
}

/// <summary>cluster-preferred-endpoint-type.</summary>
public enum ClusterEndpointType
{
    /// <summary>By its address.</summary>
    Ip,

    /// <summary>By the name that it has announced.</summary>
    Hostname,

    /// <summary>Clients are to use the address through which they have come.</summary>
    UnknownEndpoint,
}
