using System.Diagnostics;
using System.Globalization;
using System.Reflection;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using System.Text;
using OrleansRedis.Engine;

namespace OrleansRedis.Gateway;

/// <summary>
/// The text of INFO, in Redis's sections and formats. A field is here only if it is measured or known. Redis's fields
/// about things that this server does not have are left out.
/// </summary>
internal sealed class ServerInfo(RedisServer server, long nowMs)
{
    /// <summary>Sections that are shown only on request: by name, or by "all" or "everything".</summary>
    private static readonly string[] s_extra = ["Commandstats", "Latencystats"];

    /// <summary>Tells builds apart: it depends on everything that the server's assemblies consist of.</summary>
    private static readonly string s_buildId = BuildId();

    private readonly StringBuilder _text = new();

    private Store Store => server.Store;

    private ServerFiles Files => server.Files;

    /// <summary>Shows the sections with these names; an empty set means "default".</summary>
    public string Show(HashSet<string> wanted)
    {
        bool all = wanted.Contains("all") || wanted.Contains("everything"), usual = wanted.Count == 0 || wanted.Contains("default");
        foreach ((string name, Action write) in ((string, Action)[])
            [
                ("Server", WriteServer), ("Clients", WriteClients), ("Memory", WriteMemory), ("Persistence", WritePersistence), ("Stats", WriteStats),
                ("Replication", WriteReplication), ("CPU", WriteCpu), ("Modules", () => { }), ("Commandstats", WriteCommandStatistics),
                ("Errorstats", WriteErrorStatistics), ("Latencystats", WriteLatencyStatistics), ("Cluster", WriteCluster), ("Keyspace", WriteKeyspace),
            ])
        {
            if (!all && !(usual && !s_extra.Contains(name)) && !wanted.Contains(name)) continue;
            if (_text.Length > 0) _text.Append("\r\n");
            _text.Append("# ").Append(name).Append("\r\n");
            write();
        }
        return _text.ToString();
    }

    private void WriteServer()
    {
        long uptimeSeconds = (nowMs - server.StartedAt.ToUnixTimeMilliseconds()) / 1000;
        Field("redis_version", ServerVersion.Redis);
        Field("orleansredis_version", ServerVersion.Own);
        Field("redis_git_sha1", ServerVersion.Revision);
        Field("redis_git_dirty", ServerVersion.IsModified ? 1 : 0);
        Field("redis_build_id", s_buildId);
        Field("redis_mode", Store.Cluster is null ? "standalone" : "cluster");
        Field("os", RuntimeInformation.OSDescription);
        Field("arch_bits", IntPtr.Size * 8);
        if (server.Loops is not null) Field("multiplexing_api", "epoll");
        Field("dotnet_version", Environment.Version.ToString());
        Field("monotonic_clock", "POSIX clock_gettime");
        Field("process_id", Environment.ProcessId);
        Field("process_supervised", server.Options.SupervisedBy.ToString().ToLowerInvariant());
        Field("run_id", server.RunId);
        Field("tcp_port", server.Options.Port != 0 ? server.Options.Port : server.Options.TlsPort);
        Field("server_time_usec", Store.Clock.NowMicroseconds);
        Field("uptime_in_seconds", uptimeSeconds);
        Field("uptime_in_days", uptimeSeconds / 86400);
        Field("hz", server.Options.Hz);
        Field("configured_hz", server.Options.Hz);
        Field("lru_clock", Store.LruClock);
        Field("executable", Environment.ProcessPath ?? "");
        Field("config_file", Files.Configuration.FilePath ?? "");
        if (server.Loops is { } loops) Field("io_threads_active", loops.ActiveCount > 1 ? 1 : 0);
        WriteListeners();
    }

    private void WriteListeners()
    {
        ServerOptions options = server.Options;
        string addresses = string.Join(',', options.Bind.Select(address => $"bind={address}"));
        if (options.Port != 0 && addresses.Length != 0) Field("listener0", $"name=tcp,{addresses},port={options.Port}");
        if (options.UnixSocket.Length != 0) Field("listener1", $"name=unix,bind={options.UnixSocket}");
        if (options.TlsPort != 0 && addresses.Length != 0) Field("listener2", $"name=tls,{addresses},port={options.TlsPort}");
    }

    private void WriteClients()
    {
        ClientConnection[] clients = [.. server.Clients.All];
        Field("connected_clients", clients.Length);
        Field("cluster_connections", 0); // there is no cluster bus
        Field("maxclients", server.Options.MaxClients);
        Field("client_recent_max_input_buffer", clients.Length == 0 ? 0 : clients.Max(client => client.PendingInputBytes));
        Field("client_recent_max_output_buffer", clients.Length == 0 ? 0 : clients.Max(client => client.PendingOutputBytes));
        Field("blocked_clients", Store.BlockedCount + server.Pause.HeldCount);
        Field("tracking_clients", Store.KeyTracking.ClientCount);
        Field("pubsub_clients", clients.Count(client => client.Class == ClientClass.PubSub));
        (long watched, long blocking, long forDeletion) = Store.Slots.SumWatchers();
        Field("watching_clients", clients.Count(client => client.Transaction is { WatchedCount: > 0 }));
        Field("clients_in_timeout_table", clients.Count(client => client.Blocked is { HasDeadline: true }));
        Field("total_watched_keys", watched);
        Field("total_blocking_keys", blocking);
        Field("total_blocking_keys_on_nokey", forDeletion);
    }

    private void WriteMemory()
    {
        var memory = MemoryFigures.Of(server);
        long system = GC.GetGCMemoryInfo().TotalAvailableMemoryBytes;
        Field("used_memory", memory.Used);
        Field("used_memory_human", MemorySize.Human(memory.Used));
        Field("used_memory_rss", memory.Resident);
        Field("used_memory_rss_human", MemorySize.Human(memory.Resident));
        Field("used_memory_peak", memory.Peak);
        Field("used_memory_peak_human", MemorySize.Human(memory.Peak));
        Field("used_memory_peak_perc", Invariant($"{memory.PeakPercent:F2}%"));
        Field("used_memory_overhead", memory.Used - memory.Dataset);
        Field("used_memory_startup", memory.Startup);
        Field("used_memory_dataset", memory.Dataset);
        Field("used_memory_dataset_perc", Invariant($"{memory.DatasetPercent:F2}%"));
        Field("allocator_allocated", memory.Heap.LiveBytes);
        Field("allocator_active", memory.Heap.SpanBytes);
        Field("allocator_resident", memory.Heap.ResidentBytes);
        Field("allocator_muzzy", 0); // what is given back to the system is gone at once
        Field("total_system_memory", system);
        Field("total_system_memory_human", MemorySize.Human(system));
        ScriptStatistics scripts = Store.Scripts?.Statistics ?? default;
        Field("used_memory_lua", scripts.StateBytes);
        Field("used_memory_vm_eval", scripts.StateBytes);
        Field("used_memory_lua_human", MemorySize.Human(scripts.StateBytes));
        Field("used_memory_scripts_eval", scripts.ScriptBytes);
        Field("number_of_cached_scripts", scripts.Scripts);
        Field("number_of_functions", scripts.Functions);
        Field("number_of_libraries", scripts.Libraries);
        Field("used_memory_vm_functions", 0); // functions live in the same states
        Field("used_memory_vm_total", scripts.StateBytes);
        Field("used_memory_vm_total_human", MemorySize.Human(scripts.StateBytes));
        Field("used_memory_functions", scripts.LibraryBytes);
        Field("used_memory_scripts", scripts.ScriptBytes + scripts.LibraryBytes);
        Field("used_memory_scripts_human", MemorySize.Human(scripts.ScriptBytes + scripts.LibraryBytes));
        Field("maxmemory", server.Options.MaxMemory);
        Field("maxmemory_human", MemorySize.Human(server.Options.MaxMemory));
        Field("maxmemory_policy", Files.Configuration.Get(["maxmemory-policy"])[0].Value);
        Field("allocator_frag_ratio", Invariant($"{memory.FragmentationRatio:F2}"));
        Field("allocator_frag_bytes", memory.Heap.FreeBytes);
        Field("allocator_rss_ratio", Invariant($"{memory.AllocatorResidentRatio:F2}"));
        Field("allocator_rss_bytes", memory.AllocatorResidentBytes);
        Field("rss_overhead_ratio", Invariant($"{memory.OverheadRatio:F2}"));
        Field("rss_overhead_bytes", memory.OverheadBytes);
        Field("mem_fragmentation_ratio", Invariant($"{memory.ResidentRatio:F2}"));
        Field("mem_fragmentation_bytes", memory.ResidentBytesBeyondUsed);
        Field("mem_not_counted_for_evict", 0); // the log's buffer is not counted in used_memory to begin with
        Field("mem_aof_buffer", Files.Aof.BufferBytes);
        Field("mem_clients_normal", memory.ClientBytes);
        // There are no replicas, no backlog and no cluster bus.
        Field("mem_clients_slaves", 0);
        Field("mem_replication_backlog", 0);
        Field("mem_total_replication_buffers", 0);
        Field("mem_cluster_links", 0);
        Field("mem_allocator", MemoryFigures.Allocator);
        Field("active_defrag_running", Store.ActiveDefragmentation.Percent);
        Field("gc_heap_bytes", memory.ManagedBytes);
        Field("gc_collections", GC.CollectionCount(0));
        Field("gc_pause_total_ms", (long)GC.GetTotalPauseDuration().TotalMilliseconds);
        Field("lazyfree_pending_objects", LazyFree.Pending);
        Field("lazyfreed_objects", Store.Statistics.LazyFreed);
    }

    private void WritePersistence()
    {
        DumpFile dump = Files.Dump;
        SnapshotStatus snapshot = Files.SnapshotTurn.Status;
        Field("loading", (Store.Restrictions & Restrictions.Loading) != 0 ? 1 : 0);
        Field("async_loading", 0);
        Field("current_cow_peak", snapshot.CopiedBytes);
        Field("current_cow_size", snapshot.CopiedBytes);
        Field("current_cow_size_age", 0);
        Field("current_fork_perc", Invariant($"{(snapshot.Keys == 0 ? 0 : snapshot.KeysWritten * 100.0 / snapshot.Keys):F2}"));
        Field("current_save_keys_processed", snapshot.KeysWritten);
        Field("current_save_keys_total", snapshot.Keys);
        Field("current_snapshot_memory", snapshot.HeldBytes);
        Field("current_snapshot_memory_peak", snapshot.MostHeldBytes);
        Field("rdb_changes_since_last_save", dump.Changes);
        Field("rdb_bgsave_in_progress", dump.IsSaving ? 1 : 0);
        Field("rdb_last_save_time", dump.LastSaveSeconds);
        Field("rdb_last_bgsave_status", dump.LastFailed ? "err" : "ok");
        Field("rdb_last_bgsave_time_sec", dump.LastTookSeconds);
        Field("rdb_current_bgsave_time_sec", dump.CurrentTookSeconds);
        Field("rdb_saves", dump.Saves);
        Field("rdb_last_cow_size", dump.LastCopiedBytes);
        Field("rdb_last_load_keys_expired", Files.LastLoadKeysExpired);
        Field("rdb_last_load_keys_loaded", Files.LastLoadKeysLoaded);
        AppendLog aof = Files.Aof;
        Field("aof_enabled", aof.State == AppendLogState.Off ? 0 : 1);
        Field("aof_rewrite_in_progress", aof.IsRewriting ? 1 : 0);
        Field("aof_rewrite_scheduled", aof.IsRewriteScheduled ? 1 : 0);
        Field("aof_last_rewrite_time_sec", aof.LastRewriteSeconds);
        Field("aof_current_rewrite_time_sec", aof.CurrentRewriteSeconds);
        Field("aof_last_bgrewrite_status", aof.LastRewriteSucceeded ? "ok" : "err");
        Field("aof_rewrites", aof.Rewrites);
        Field("aof_rewrites_consecutive_failures", aof.ConsecutiveFailures);
        Field("aof_last_write_status", aof.LastWriteSucceeded ? "ok" : "err");
        Field("aof_last_cow_size", aof.LastRewriteHeldBytes);
        Field("module_fork_in_progress", 0);
        Field("module_fork_last_cow_size", 0);
        if (server.Options.AppendOnly)
        {
            Field("aof_current_size", aof.Length);
            Field("aof_base_size", aof.LengthAtRewrite);
            Field("aof_pending_rewrite", aof.IsRewriteScheduled ? 1 : 0);
            Field("aof_buffer_length", aof.UnwrittenLength);
            Field("aof_buffer_memory", aof.BufferBytes);
            Field("aof_pending_bio_fsync", aof.PendingSyncs);
            Field("aof_delayed_fsync", aof.DelayedSyncs);
        }
        foreach ((string name, string value) in Store.Durability?.Statistics ?? []) Field(name, value);
        if (Files.LoadProgress is not { } progress) return;
        Field("loading_start_time", progress.StartedSeconds);
        Field("loading_total_bytes", progress.TotalBytes);
        Field("loading_loaded_bytes", progress.LoadedBytes);
        Field("loading_loaded_perc", Invariant($"{progress.Percent:F2}"));
        Field("loading_eta_seconds", progress.EtaSeconds);
    }

    private void WriteStats()
    {
        CommandStatistics commands = server.CommandStatistics;
        (long hits, long misses) = Store.Slots.CountLookups();
        Field("total_connections_received", server.Clients.Accepted);
        Field("total_commands_processed", commands.Calls);
        Field("instantaneous_ops_per_sec", (long)server.Housekeeping.Commands.PerSecond);
        Field("total_net_input_bytes", commands.InputBytes);
        Field("total_net_output_bytes", commands.OutputBytes);
        Field("instantaneous_input_kbps", Invariant($"{server.Housekeeping.InputBytes.PerSecond / 1024:F2}"));
        Field("instantaneous_output_kbps", Invariant($"{server.Housekeeping.OutputBytes.PerSecond / 1024:F2}"));
        // Nobody replicates this server, and it replicates nobody.
        Field("total_net_repl_input_bytes", 0);
        Field("total_net_repl_output_bytes", 0);
        Field("instantaneous_input_repl_kbps", "0.00");
        Field("instantaneous_output_repl_kbps", "0.00");
        Field("sync_full", 0);
        Field("sync_partial_ok", 0);
        Field("sync_partial_err", 0);
        Field("slave_expires_tracked_keys", 0);
        Field("unexpected_error_replies", 0); // those to replicas and masters
        Field("rejected_connections", server.Clients.Rejected);
        Field("expired_keys", Store.Statistics.ExpiredKeys);
        Field("expired_stale_perc", Invariant($"{Store.Statistics.StalePercent:F2}"));
        Field("expired_time_cap_reached_count", Store.Statistics.ExpireTimeCapReached);
        Field("expire_cycle_cpu_milliseconds", (long)Store.Statistics.ExpireCycleTime.TotalMilliseconds);
        Field("expired_subkeys", Store.Statistics.ExpiredFields);
        Field("evicted_keys", Store.Statistics.EvictedKeys);
        Field("evicted_clients", server.ClientMemory.Evicted);
        Field("evicted_scripts", Store.Scripts?.Statistics.Evicted ?? 0);
        (TimeSpan overInAll, TimeSpan overNow) = Store.Eviction.TimeOver;
        Field("total_eviction_exceeded_time", (long)overInAll.TotalMilliseconds);
        Field("current_eviction_exceeded_time", (long)overNow.TotalMilliseconds);
        Field("keyspace_hits", hits);
        Field("keyspace_misses", misses);
        Field("pubsub_channels", server.PubSub.CountChannels(isSharded: false));
        Field("pubsub_patterns", server.PubSub.CountPatterns());
        Field("pubsubshard_channels", server.PubSub.CountChannels(isSharded: true));
        Field("latest_fork_usec", 0); // snapshots do not fork
        Field("total_forks", 0);
        Field("migrate_cached_sockets", 0);
        TimeSpan defragmenting = Store.ActiveDefragmentation.CurrentTime;
        Field("active_defrag_hits", Store.Statistics.DefragHits);
        Field("active_defrag_misses", Store.Statistics.DefragMisses);
        Field("active_defrag_key_hits", Store.Statistics.DefragKeyHits);
        Field("active_defrag_key_misses", Store.Statistics.DefragKeyMisses);
        Field("total_active_defrag_time", (long)(Store.Statistics.DefragTime + defragmenting).TotalMilliseconds);
        Field("current_active_defrag_time", (long)defragmenting.TotalMilliseconds);
        Field("tracking_total_keys", Store.KeyTracking.KeyCount);
        Field("tracking_total_items", Store.KeyTracking.ItemCount);
        Field("tracking_total_prefixes", Store.KeyTracking.PrefixCount);
        Field("total_error_replies", server.ErrorStatistics.Total);
        Field("total_reads_processed", commands.Reads);
        Field("total_writes_processed", commands.Writes);
        // Every connection is read and written by the threads that io-threads counts.
        Field("io_threaded_reads_processed", commands.Reads);
        Field("io_threaded_writes_processed", commands.Writes);
        Field("client_query_buffer_limit_disconnections", server.Clients.QueryBufferKills);
        Field("client_output_buffer_limit_disconnections", server.Clients.OutputBufferKills);
        Field("reply_buffer_shrinks", server.Clients.ReplyBufferShrinks);
        Field("reply_buffer_expands", server.Clients.ReplyBufferExpansions);
        if (server.Loops is { } loops) WriteLoops(loops, commands);
        Field("acl_access_denied_auth", Store.Acl.Denials.Denied(AclReason.Auth));
        Field("acl_access_denied_cmd", Store.Acl.Denials.Denied(AclReason.Command));
        Field("acl_access_denied_key", Store.Acl.Denials.Denied(AclReason.Key));
        Field("acl_access_denied_channel", Store.Acl.Denials.Denied(AclReason.Channel));
    }

    private void WriteLoops(LoopGroup loops, CommandStatistics commands)
    {
        double cycles = server.Housekeeping.LoopCycles.PerSecond, busy = Microseconds(server.Housekeeping.LoopBusyTicks.PerSecond);
        Field("eventloop_cycles", loops.Cycles);
        Field("eventloop_duration_sum", (long)Microseconds(loops.BusyTicks));
        Field("eventloop_duration_cmd_sum", (long)Microseconds(commands.Ticks));
        Field("instantaneous_eventloop_cycles_per_sec", (long)cycles);
        Field("instantaneous_eventloop_duration_usec", cycles == 0 ? 0 : (long)(busy / cycles));
    }

    private void WriteReplication()
    {
        // Replicas cannot follow this server yet: it is a master without replicas and without a backlog, whose history
        // has this name.
        Field("role", "master");
        Field("connected_slaves", 0);
        if ((Store.Restrictions & Restrictions.TooFewReplicas) != 0) Field("min_slaves_good_slaves", 0);
        Field("master_failover_state", "no-failover");
        Field("master_replid", server.ReplicationId);
        Field("master_replid2", new string('0', 40));
        Field("master_repl_offset", Store.Effects.Log.Appended);
        Field("second_repl_offset", -1);
        Field("repl_backlog_active", 0);
        Field("repl_backlog_size", 0);
        Field("repl_backlog_first_byte_offset", 0);
        Field("repl_backlog_histlen", 0);
    }

    private void WriteCpu()
    {
        using Process process = Process.GetCurrentProcess();
        Field("used_cpu_sys", Invariant($"{process.PrivilegedProcessorTime.TotalSeconds:F6}"));
        Field("used_cpu_user", Invariant($"{process.UserProcessorTime.TotalSeconds:F6}"));
        Field("used_cpu_sys_children", "0.000000"); // it has no child processes
        Field("used_cpu_user_children", "0.000000");
    }

    private void WriteCommandStatistics()
    {
        foreach (CommandInfo command in AllCommands)
        {
            CommandCount count = server.CommandStatistics.Of(command);
            if (count.Calls == 0 && count.Rejected == 0) continue;
            double microseconds = Microseconds(count.Ticks);
            double each = count.Calls == 0 ? 0 : microseconds / count.Calls;
            Field($"cmdstat_{command.Name}", Invariant(
                $"calls={count.Calls},usec={(long)microseconds},usec_per_call={each:F2},rejected_calls={count.Rejected},failed_calls={count.Failed}"));
        }
    }

    private IEnumerable<CommandInfo> AllCommands =>
        server.Commands.Commands.SelectMany(top => (CommandInfo[])[top, .. top.Subcommands?.Values ?? Enumerable.Empty<CommandInfo>()]);

    private void WriteLatencyStatistics()
    {
        IReadOnlyList<double> percentiles = server.Options.LatencyTrackingInfoPercentiles;
        foreach (CommandInfo command in AllCommands)
        {
            if (server.CommandStatistics.HistogramOf(command) is not { } histogram) continue;
            IEnumerable<string> shown = percentiles.Select(
                percentile => Invariant($"p{percentile:0.######}={histogram.AtPercentile(percentile) / 1000.0:F3}"));
            Field($"latency_percentiles_usec_{command.Name}", string.Join(',', shown));
        }
    }

    private void WriteErrorStatistics()
    {
        foreach ((string code, long count) in server.ErrorStatistics.Counts.OrderBy(error => error.Key, StringComparer.Ordinal))
            Field($"errorstat_{code}", $"count={count}");
    }

    private void WriteCluster()
    {
        Field("cluster_enabled", Store.Cluster is null ? 0 : 1);
        if (server.Cluster is not { } cluster) return;
        foreach ((string name, string value) in ClusterInfo.Fields(cluster, Store)) Field(name, value);
    }

    private void WriteKeyspace()
    {
        foreach ((int database, long keys, long expiring) in Store.Slots.CountKeys())
        {
            (long meanTtlMs, long withExpiringFields, _) = Store.Slots.SumKeys(database, nowMs);
            Field($"db{database}", $"keys={keys},expires={expiring},avg_ttl={meanTtlMs},subexpiry={withExpiringFields}");
        }
    }

    private static double Microseconds(double ticks) => ticks * 1_000_000 / Stopwatch.Frequency;

    private void Field(string name, string value) => _text.Append(name).Append(':').Append(value).Append("\r\n");

    private void Field(string name, long value) => _text.Append(name).Append(':').Append(value).Append("\r\n");

    private static string BuildId()
    {
        byte[] modules =
        [
            .. typeof(Store).Module.ModuleVersionId.ToByteArray(), .. typeof(ServerInfo).Module.ModuleVersionId.ToByteArray(),
            .. Assembly.GetEntryAssembly()?.ManifestModule.ModuleVersionId.ToByteArray() ?? [],
        ];
        return Convert.ToHexStringLower(SHA256.HashData(modules).AsSpan(..8));
    }

    private static string Invariant(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
