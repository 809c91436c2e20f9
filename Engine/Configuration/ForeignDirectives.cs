using System.Diagnostics.CodeAnalysis;

namespace OrleansRedis.Engine;

/// <summary>
/// Directives of Redis 7.4 that have no meaning here, with Redis's defaults and grammars. They are accepted, so that any
/// redis.conf starts the server, and CONFIG GET shows them; the log says once which of them were given. Where it would be
/// dangerous to ignore a value, that value is refused.
/// </summary>
internal static class ForeignDirectives
{
    private const string Replicas = "redis-server's replicas cannot follow this server, nor can it follow another";
    private const string Cluster = "silos have a bus of their own, and there are no replicas";
    private const string Freeing = "large values are always freed in the background";
    private const string Alone = "the server connects to others only for MIGRATE, and then without TLS";
    private const string Processors = "threads are bound to no processor; use taskset or systemd's CPUAffinity for the whole process";
    private const string Accepting = "connections are accepted as they come, on a thread that has nothing else to do";

    /// <summary>All of them, in alphabetical order.</summary>
    public static IReadOnlyList<ForeignDirective> All { get; } =
    [
        YesNo("activerehashing", true, "tables grow with the commands that fill them, a little at a time"),
        YesNo("always-show-logo", false, "there is no logo"),
        Text("aof-rewrite-cpulist", "", Processors) with { Alias = "aof_rewrite_cpulist", Immutable = true },
        Text("bgsave-cpulist", "", Processors) with { Alias = "bgsave_cpulist", Immutable = true },
        Text("bind-source-addr", "", Alone),
        Text("bio-cpulist", "", Processors) with { Alias = "bio_cpulist", Immutable = true },
        YesNo("cluster-allow-replica-migration", true, Cluster),
        Memory("cluster-link-sendbuf-limit", 0, Cluster),
        Number("cluster-migration-barrier", 1, Cluster),
        Number("cluster-ping-interval", 0, Cluster) with { Hidden = true },
        YesNo("cluster-replica-no-failover", false, Cluster) with { Alias = "cluster-slave-no-failover" },
        Number("cluster-replica-validity-factor", 10, Cluster) with { Alias = "cluster-slave-validity-factor" },
        YesNo("crash-memcheck-enabled", true, "a crash report does not test the machine's memory"),
        YesNo("disable-thp", true, "nothing forks, so no large page is ever copied for one small change") with { Immutable = true },
        YesNo("dynamic-hz", true, "background work does not depend on the number of clients"),
        YesNo("hide-user-data-from-log", false, "no user data are ever logged"),
        Text("ignore-warnings", "", "there is nothing to warn of"),
        YesNo("io-threads-do-reads", false, "threads always do everything for their connections, reading too") with { Immutable = true },
        YesNo("jemalloc-bg-thread", true, "memory is not jemalloc's"),
        YesNo("lazyfree-lazy-eviction", false, Freeing),
        YesNo("lazyfree-lazy-expire", false, Freeing),
        YesNo("lazyfree-lazy-server-del", false, Freeing),
        YesNo("lazyfree-lazy-user-del", false, Freeing),
        YesNo("lazyfree-lazy-user-flush", false, Freeing),
        Text("locale-collate", "", "SORT ALPHA compares bytes"),
        Text("masterauth", "", Replicas) with { Sensitive = true },
        Text("masteruser", "", Replicas) with { Sensitive = true },
        Number("max-new-connections-per-cycle", 10, Accepting, min: 1, max: 1000),
        Number("max-new-tls-connections-per-cycle", 1, Accepting, min: 1, max: 1000),
        Word("propagation-error-behavior", ["ignore", "panic", "panic-on-replicas"], "what is logged are effects, which cannot fail when they are applied"),
        Memory("repl-backlog-size", 1 << 20, Replicas, min: 1),
        Number("repl-backlog-ttl", 3600, Replicas),
        YesNo("repl-disable-tcp-nodelay", false, Replicas),
        Word("repl-diskless-load", ["disabled", "on-empty-db", "swapdb"], Replicas),
        YesNo("repl-diskless-sync", true, Replicas),
        Number("repl-diskless-sync-delay", 5, Replicas),
        Number("repl-diskless-sync-max-replicas", 0, Replicas),
        Number("repl-ping-replica-period", 10, Replicas, min: 1) with { Alias = "repl-ping-slave-period" },
        Number("repl-timeout", 60, Replicas, min: 1),
        Text("replica-announce-ip", "", Replicas) with { Alias = "slave-announce-ip" },
        Number("replica-announce-port", 0, Replicas, max: 65535) with { Alias = "slave-announce-port" },
        YesNo("replica-announced", true, Replicas),
        YesNo("replica-ignore-disk-write-errors", false, Replicas),
        YesNo("replica-ignore-maxmemory", true, Replicas) with { Alias = "slave-ignore-maxmemory" },
        YesNo("replica-lazy-flush", false, Replicas) with { Alias = "slave-lazy-flush" },
        Number("replica-priority", 100, Replicas) with { Alias = "slave-priority" },
        YesNo("replica-read-only", true, Replicas) with { Alias = "slave-read-only" },
        YesNo("replica-serve-stale-data", true, Replicas) with { Alias = "slave-serve-stale-data" },
        new("replicaof", "", new MasterKind(), Replicas) { Alias = "slaveof", Immutable = true, IsRefused = true },
        Text("server-cpulist", "", Processors) with { Alias = "server_cpulist", Immutable = true },
        Number("socket-mark-id", 0, "sockets bear no mark") with { Immutable = true },
        Text("tls-client-cert-file", "", Alone),
        Text("tls-client-key-file", "", Alone),
        Text("tls-client-key-file-pass", "", Alone) with { Sensitive = true },
        YesNo("tls-cluster", false, Alone),
        Text("tls-dh-params-file", "", "only OpenSSL before 3.0 needs them"),
        YesNo("tls-prefer-server-ciphers", false, "of the ciphers that both sides know .NET always takes the one that the server prefers"),
        YesNo("tls-replication", false, Alone),
        Number("tls-session-cache-timeout", 300, ".NET always keeps sessions of TLS for 300 seconds"),
        YesNo("use-exit-on-panic", false, "for redis-server's own tests") with { Hidden = true },
        Number("watchdog-period", 0, "for redis-server's own developers") with { Hidden = true },
    ];

    /// <summary>
    /// Why a directive of the file that CONFIG does not know ends the start; null if there is none by that name.
    /// </summary>
    public static string? WhyRefused(string name) =>
        name.Equals("loadmodule", StringComparison.OrdinalIgnoreCase) ? "modules are libraries for redis-server, and cannot be loaded here" : null;

    /// <summary>Whether a line was dropped by Redis itself, and is accepted by it without effect.</summary>
    public static bool IsObsolete(string name) => name.ToLowerInvariant() is "list-max-ziplist-entries" or "list-max-ziplist-value" or "lua-replicate-commands";

    private static ForeignDirective YesNo(string name, bool value, string why) => new(name, value, new YesNoKind(), why);

    private static ForeignDirective Text(string name, string value, string why) => new(name, value, new TextKind(), why);

    private static ForeignDirective Number(string name, long value, string why, long min = 0, long max = long.MaxValue) =>
        new(name, value, new NumberKind(typeof(long), NumberFormat.Integer, min, max), why);

    private static ForeignDirective Memory(string name, long value, string why, long min = 0) =>
        new(name, value, new NumberKind(typeof(long), NumberFormat.Memory, min, long.MaxValue), why);

    /// <summary>One of several words, the first of which is the default.</summary>
    private static ForeignDirective Word(string name, string[] words, string why) => new(name, words[0], new OneOfKind(words), why);

    /// <summary>replicaof host port: only "no one" is possible.</summary>
    private sealed class MasterKind : DirectiveKind
    {
        public override bool TakesSeveralWords => true;

        public override bool TryParse(ReadOnlySpan<string> words, object current, [NotNullWhen(true)] out object? value, [NotNullWhen(false)] out string? error)
        {
            value = "";
            error = words is [""] ? null
                : words.Length != 2 ? "wrong number of arguments"
                : string.Join(' ', words).Equals("no one", StringComparison.OrdinalIgnoreCase) ? null
                : !ushort.TryParse(words[1], out _) ? "Invalid master port"
                : $"not possible here: {Replicas}";
            return error is null;
        }

        public override string Format(object value) => (string)value;

        public override IEnumerable<string> Lines(object value) => [];
    }

    private sealed class OneOfKind(string[] words) : DirectiveKind
    {
        public override bool TryParse(ReadOnlySpan<string> given, object current, [NotNullWhen(true)] out object? value, [NotNullWhen(false)] out string? error)
        {
            string word = given[0];
            value = Array.Find(words, known => known.Equals(word, StringComparison.OrdinalIgnoreCase));
            error = value is null ? $"argument(s) must be one of the following: {string.Join(", ", words)}" : null;
            return value is not null;
        }

        public override string Format(object value) => (string)value;
    }
}

/// <summary>A directive of Redis that has no meaning here.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Default">Its default value in Redis.</param>
/// <param name="Kind">Its grammar.</param>
/// <param name="Why">Why it has no meaning.</param>
internal sealed record ForeignDirective(string Name, object Default, DirectiveKind Kind, string Why)
{
    /// <summary>Another name for it, or null.</summary>
    public string? Alias { get; init; }

    /// <summary>Whether it can be given only at start.</summary>
    public bool Immutable { get; init; }

    /// <summary>Whether it is a secret.</summary>
    public bool Sensitive { get; init; }

    /// <summary>Whether patterns of CONFIG GET do not show it.</summary>
    public bool Hidden { get; init; }

    /// <summary>Whether values other than the default are refused, since to ignore them would be dangerous.</summary>
    public bool IsRefused { get; init; }

    /// <summary>The same directive, which takes no other value than this.</summary>
    public ForeignDirective Only(object value) => this with { Kind = new OnlyKind(Kind, value, Why), IsRefused = true };

    /// <summary>Any value is read, and all but one are refused.</summary>
    private sealed class OnlyKind(DirectiveKind kind, object only, string why) : DirectiveKind
    {
        public override bool TryParse(ReadOnlySpan<string> words, object current, [NotNullWhen(true)] out object? value, [NotNullWhen(false)] out string? error)
        {
            if (!kind.TryParse(words, current, out value, out error)) return false;
            error = Equals(value, only) ? null : $"not possible here: {why}";
            return error is null;
        }

        public override string Format(object value) => kind.Format(value);

        public override IEnumerable<string> Lines(object value) => kind.Lines(value);
    }
}
