using System.Net.Sockets;
using OrleansRedis.Engine;
using OrleansRedis.Tests.Harness;
using Xunit;

namespace OrleansRedis.Tests.Gateway;

public sealed class ServerCommandTests : GatewayTest
{
    [Fact]
    public async Task Time_is_now()
    {
        long before = Server.Store.Clock.NowMicroseconds;
        RespValue time = await Redis.LineAsync("TIME");
        long now = (time[0].Integer * 1_000_000) + time[1].Integer;
        Assert.InRange(now, before, Server.Store.Clock.NowMicroseconds);
    }

    [Fact]
    public async Task Lolwut_ends_with_the_version() => Assert.Contains($"Redis ver. {ServerVersion.Redis}\n", (await Redis.LineAsync("LOLWUT")).Text);

    [Theory]
    [InlineData("SHUTDOWN NOSAVE SAVE", "-ERR syntax error")]
    [InlineData("SHUTDOWN PERHAPS", "-ERR syntax error")]
    [InlineData("SHUTDOWN ABORT NOW", "-ERR syntax error")]
    [InlineData("SHUTDOWN ABORT", "-ERR No shutdown in progress.")]
    public async Task A_shutdown_that_makes_no_sense_is_refused(string line, string reply)
    {
        Server.Server.StopRequested = () => throw new InvalidOperationException("It must not stop.");
        Assert.Equal(reply, await Line(line));
    }

    [Theory]
    [InlineData("SHUTDOWN")]
    [InlineData("SHUTDOWN NOSAVE NOW FORCE")]
    [InlineData("SHUTDOWN SAVE FORCE")]
    public async Task Shutdown_asks_the_host_to_stop_and_replies_nothing(string line)
    {
        var asked = new TaskCompletionSource();
        Server.Server.StopRequested = asked.SetResult;
        await Redis.SendRawAsync(line + "\r\n");
        await asked.Task.WaitAsync(Eventually.Deadline);
        Assert.True(await Redis.IsClosedByServerAsync());
        await Assert.ThrowsAsync<SocketException>(Server.ConnectAsync); // by then nobody listens
    }

    [Fact]
    public async Task Min_replicas_to_write_stops_whatever_may_write()
    {
        const string Refusal = "-NOREPLICAS Not enough good replicas to write.";
        await Call("SET", "x", "1");
        await Call("CONFIG", "SET", "min-replicas-to-write", "1");
        Assert.Equal(Refusal, await Call("SET", "x", "2"));
        Assert.Equal(Refusal, await Call("EVAL", "#!lua\nreturn 1", "0"));
        Assert.StartsWith($"{Refusal} script: ", await Call("EVAL", "return redis.call('set', 'x', 2)", "0"));
        Assert.Equal("\"1\"", await Call("EVAL", "return redis.call('get', 'x')", "0"));
        Assert.Equal("\"1\"", await Call("EVAL", "#!lua flags=no-writes\nreturn redis.call('get', 'x')", "0"));
        Assert.Contains("min_slaves_good_slaves:0", await Call("INFO", "replication"));
        await Call("CONFIG", "SET", "min-replicas-max-lag", "0");
        await Call("MULTI");
        await Call("SET", "x", "2");
        await using RespConnection other = await Server.ConnectAsync();
        await other.LineAsync("CONFIG SET min-replicas-max-lag 10");
        Assert.Equal($"-EXECABORT Transaction discarded because of: {Refusal[1..]}", await Call("EXEC"));
        Assert.Equal("\"1\"", await Call("GET", "x"));
        await other.LineAsync("CONFIG SET min-replicas-to-write 0");
        Assert.Equal("+OK", await Call("SET", "x", "2"));
    }

    [Fact]
    public async Task Info_shows_the_sections_asked_for()
    {
        string text = (await Redis.LineAsync("INFO")).Text;
        Assert.Equal(["Server", "Clients", "Memory", "Persistence", "Stats", "Replication", "CPU", "Modules", "Errorstats", "Cluster", "Keyspace"],
            Sections(text));
        Assert.StartsWith("# Server\r\nredis_version:7.4.0\r\n", text);
        Assert.Equal(["Clients", "Keyspace"], Sections((await Redis.LineAsync("INFO keyspace CLIENTS nosuch")).Text));
        Assert.Equal("", (await Redis.LineAsync("INFO nosuch")).Text);
        Assert.Contains("Commandstats", Sections((await Redis.LineAsync("INFO all")).Text));
        Assert.Equal(Sections(text).Append("Commandstats").Order(), Sections((await Redis.LineAsync("INFO default commandstats")).Text).Order());
        await Redis.HelloAsync();
        Assert.Equal(RespKind.VerbatimString, (await Redis.LineAsync("INFO server")).Kind);
    }

    /// <summary>Names that redis-server 7.0 has, and those that 7.2 and 7.4 added, but for features that are missing.</summary>
    [Theory]
    [InlineData("server", "redis_version redis_git_sha1 redis_git_dirty redis_build_id redis_mode os arch_bits monotonic_clock multiplexing_api process_id "
        + "process_supervised run_id tcp_port server_time_usec uptime_in_seconds uptime_in_days hz configured_hz lru_clock executable config_file "
        + "io_threads_active listener1")]
    [InlineData("clients", "connected_clients cluster_connections maxclients client_recent_max_input_buffer client_recent_max_output_buffer "
        + "blocked_clients watching_clients clients_in_timeout_table total_watched_keys total_blocking_keys total_blocking_keys_on_nokey")]
    [InlineData("memory", "used_memory used_memory_rss used_memory_peak used_memory_overhead used_memory_startup used_memory_dataset "
        + "total_system_memory maxmemory maxmemory_policy mem_fragmentation_ratio mem_not_counted_for_evict mem_replication_backlog "
        + "mem_total_replication_buffers mem_clients_slaves mem_clients_normal mem_cluster_links mem_aof_buffer mem_allocator")]
    [InlineData("stats", "total_net_repl_input_bytes total_net_repl_output_bytes instantaneous_input_repl_kbps instantaneous_output_repl_kbps "
        + "sync_full sync_partial_ok sync_partial_err slave_expires_tracked_keys unexpected_error_replies reply_buffer_shrinks reply_buffer_expands "
        + "client_query_buffer_limit_disconnections client_output_buffer_limit_disconnections eventloop_cycles")]
    public async Task Info_has_the_fields_that_tools_read(string section, string fields)
    {
        string[] present = [.. (await Redis.LineAsync($"INFO {section}")).Text.Split("\r\n").Select(line => line.Split(':')[0])];
        Assert.Empty(fields.Split(' ').Except(present));
    }

    [Fact]
    public async Task Info_says_where_the_server_listens()
    {
        Assert.Contains($"\r\nlistener1:name=unix,bind={Options.UnixSocket}\r\n", (await Redis.LineAsync("INFO server")).Text, StringComparison.Ordinal);
        Assert.DoesNotContain("listener0", (await Redis.LineAsync("INFO server")).Text, StringComparison.Ordinal);
        (Options.Port, Options.Bind) = (6380, ["127.0.0.1", "-::1"]);
        Assert.Contains("\r\nlistener0:name=tcp,bind=127.0.0.1,bind=-::1,port=6380\r\n", (await Redis.LineAsync("INFO server")).Text, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Info_counts_what_has_happened()
    {
        await Line("CONFIG RESETSTAT");
        await Line("SET a 1");
        await Line("GET a");
        await Line("GET b");
        await Line("SET c 1 EX 100");
        await Line("LPUSH a x");
        await Line("GET");
        string text = (await Redis.LineAsync("INFO everything")).Text;
        Assert.Contains("\r\nkeyspace_hits:1\r\n", text);
        Assert.Contains("\r\nkeyspace_misses:1\r\n", text);
        Assert.Contains("\r\nconnected_clients:1\r\n", text);
        Assert.Matches("\r\ndb0:keys=2,expires=1,avg_ttl=(99\\d\\d\\d|100000),subexpiry=0\r\n", text);
        Assert.Matches("cmdstat_get:calls=2,usec=\\d+,usec_per_call=[\\d.]+,rejected_calls=1,failed_calls=0\r\n", text);
        Assert.Matches("cmdstat_lpush:calls=1,usec=\\d+,usec_per_call=[\\d.]+,rejected_calls=0,failed_calls=1\r\n", text);
        Assert.Contains("cmdstat_config|resetstat:calls=1,", text);
        Assert.Contains("\r\nerrorstat_WRONGTYPE:count=1\r\n", text);
        Assert.Contains("\r\nerrorstat_ERR:count=1\r\n", text);
        Assert.Contains("\r\ntotal_error_replies:2\r\n", text);
        await Line("CONFIG RESETSTAT");
        text = (await Redis.LineAsync("INFO everything")).Text;
        Assert.Contains("\r\nkeyspace_hits:0\r\n", text);
        Assert.DoesNotContain("cmdstat_get", text);
        Assert.DoesNotContain("errorstat_", text);
        Assert.Contains("\r\ntotal_error_replies:0\r\n", text);
    }

    [Fact]
    public async Task Info_has_the_fields_that_tools_look_for()
    {
        await Line("HSET h f v");
        await Line("HEXPIRE h 100 FIELDS 1 f");
        Dictionary<string, string> info = await InfoAsync();
        foreach (string field in (string[])
            [
                "redis_git_sha1:[0-9a-f]{8}", "redis_git_dirty:[01]", "redis_build_id:[0-9a-f]{16}", "multiplexing_api:epoll", "lru_clock:\\d+",
                "io_threads_active:0", "watching_clients:0", "clients_in_timeout_table:0", "total_watched_keys:0", "total_blocking_keys:0",
                "total_blocking_keys_on_nokey:0", "used_memory_peak:\\d+", "used_memory_peak_human:[\\d.]+[KMG]", "used_memory_peak_perc:[\\d.]+%",
                "used_memory_startup:\\d+", "evicted_clients:0", "latest_fork_usec:0", "total_forks:0", "client_query_buffer_limit_disconnections:0",
                "client_output_buffer_limit_disconnections:0", "eventloop_cycles:\\d+", "eventloop_duration_sum:\\d+", "eventloop_duration_cmd_sum:\\d+",
                "instantaneous_eventloop_cycles_per_sec:\\d+", "instantaneous_eventloop_duration_usec:\\d+", "used_cpu_sys_children:0.000000",
                "used_cpu_user_children:0.000000", "db0:keys=1,expires=0,avg_ttl=0,subexpiry=1",
            ])
        {
            string name = field[..field.IndexOf(':')];
            Assert.True(info.TryGetValue(name, out string? value), $"INFO has no {name}.");
            Assert.Matches($"^{field[(name.Length + 1)..]}$", value);
        }
        Assert.InRange(long.Parse(info["lru_clock"]), (Server.Store.Clock.NowMs / 1000 & 0xffffff) - 10, Server.Store.Clock.NowMs / 1000 & 0xffffff);
    }

    [Fact]
    public async Task The_peak_of_memory_stays_when_the_memory_is_free_again()
    {
        long startup = long.Parse((await InfoAsync())["used_memory_startup"]);
        await Redis.CallAsync("SET", "large", new string('x', 5_000_000));
        long peak = long.Parse((await InfoAsync())["used_memory_peak"]);
        Assert.True(peak >= startup + 5_000_000);
        await Line("DEL large");
        Dictionary<string, string> info = await InfoAsync();
        Assert.Equal(peak, long.Parse(info["used_memory_peak"]));
        Assert.InRange(long.Parse(info["used_memory"]), startup, peak - 5_000_000);
        RespValue statistics = await Redis.LineAsync("MEMORY STATS");
        Assert.Equal(peak, statistics["peak.allocated"].Integer);
        Assert.Equal(startup, statistics["startup.allocated"].Integer);
    }

    [Fact]
    public async Task Memory_stats_tell_of_every_database_with_keys()
    {
        await Line("SET a 1");
        await Line("SELECT 3");
        await Line("SET a 1");
        RespValue statistics = await Redis.LineAsync("MEMORY STATS");
        Assert.Equal(2, statistics["keys.count"].Integer);
        Assert.True(statistics["db.0"]["overhead.hashtable.main"].Integer > 0);
        Assert.True(statistics["db.3"]["overhead.hashtable.main"].Integer > 0);
        Assert.Equal(0, statistics["db.3"]["overhead.hashtable.expires"].Integer);
    }

    [Fact]
    public async Task Clients_that_watch_or_wait_are_counted()
    {
        await Line("WATCH a b");
        await using RespConnection other = await Server.ConnectAsync();
        await other.SendAsync("BLPOP", "l", "100");
        await Eventually.TrueAsync(async () => (await InfoAsync())["clients_in_timeout_table"] == "1");
        Dictionary<string, string> info = await InfoAsync();
        Assert.Equal(("1", "2", "1", "1"),
            (info["watching_clients"], info["total_watched_keys"], info["total_blocking_keys"], info["blocked_clients"]));
        await Line("RPUSH l x");
        await Line("UNWATCH");
        await Eventually.TrueAsync(async () => (await InfoAsync())["clients_in_timeout_table"] == "0");
        info = await InfoAsync();
        Assert.Equal(("0", "0", "0"), (info["watching_clients"], info["total_watched_keys"], info["total_blocking_keys"]));
    }

    [Fact]
    public async Task Rounds_of_the_event_loops_are_counted_from_the_last_reset()
    {
        for (int i = 0; i < 50; i++) await Line("PING");
        Dictionary<string, string> before = await InfoAsync();
        Assert.InRange(long.Parse(before["eventloop_cycles"]), 50, long.MaxValue);
        Assert.InRange(long.Parse(before["eventloop_duration_sum"]), 1, long.MaxValue);
        Assert.InRange(long.Parse(before["eventloop_duration_cmd_sum"]), 1, long.MaxValue); // also of commands that ran elsewhere
        await Line("CONFIG RESETSTAT");
        Assert.InRange(long.Parse((await InfoAsync())["eventloop_cycles"]), 0, 20);
    }

    [Fact]
    public async Task Clients_over_their_limits_are_counted()
    {
        await Line("CONFIG SET client-query-buffer-limit 1048576");
        await Call("CONFIG", "SET", "client-output-buffer-limit", "normal 100000 0 0");
        await Redis.CallAsync("SET", "large", new string('x', 1_000_000));
        await using RespConnection reader = await Server.ConnectAsync();
        await reader.SendAsync("GET", "large");
        await Eventually.TrueAsync(async () => (await InfoAsync())["client_output_buffer_limit_disconnections"] == "1");
        await using RespConnection writer = await Server.ConnectAsync();
        Task sending = writer.SendRawAsync("*2\r\n$4\r\nECHO\r\n$3000000\r\n" + new string('x', 2_000_000));
        await Eventually.TrueAsync(async () => (await InfoAsync())["client_query_buffer_limit_disconnections"] == "1");
        await Record.ExceptionAsync(() => sending); // the server may not have taken everything
    }

    private async Task<Dictionary<string, string>> InfoAsync() =>
        (await Redis.LineAsync("INFO everything")).Text.Split("\r\n").Where(line => line.Contains(':', StringComparison.Ordinal))
            .ToDictionary(line => line[..line.IndexOf(':', StringComparison.Ordinal)], line => line[(line.IndexOf(':', StringComparison.Ordinal) + 1)..]);

    [Fact]
    public async Task Commands_of_a_transaction_are_counted_too()
    {
        foreach (string line in (string[])["MULTI", "SET a 1", "LPUSH a x", "SET b 1", "EXEC"]) await Line(line);
        string text = (await Redis.LineAsync("INFO commandstats errorstats stats")).Text;
        Assert.Contains("cmdstat_set:calls=2,", text);
        Assert.Contains("cmdstat_multi:calls=1,", text);
        Assert.Contains("cmdstat_exec:calls=1,", text);
        Assert.Matches("cmdstat_lpush:calls=1,.*failed_calls=1\r\n", text);
        Assert.Contains("errorstat_WRONGTYPE:count=1\r\n", text);
        Assert.Contains("total_error_replies:1\r\n", text);
    }

    [Fact]
    public async Task Memory_usage_follows_the_value()
    {
        await Call("SET", "k", "x");
        long small = (await Redis.LineAsync("MEMORY USAGE k")).Integer;
        await Call("SET", "k", new string('x', 1000));
        long large = (await Redis.LineAsync("MEMORY USAGE k SAMPLES 0")).Integer;
        Assert.InRange(large - small, 990, 1010);
        Assert.Equal("nil", await Line("MEMORY USAGE missing"));
        Assert.Equal("-ERR syntax error", await Line("MEMORY USAGE k SAMPLES"));
        Assert.Equal("-ERR syntax error", await Line("MEMORY USAGE k SAMPLES -1"));
        Assert.Equal("-ERR value is not an integer or out of range", await Line("MEMORY USAGE k SAMPLES x"));
        Assert.Equal(1, (await Redis.LineAsync("MEMORY STATS"))["keys.count"].Integer);
        Assert.Equal("+OK", await Line("MEMORY PURGE"));
    }

    [Fact]
    public async Task Debug_needs_permission()
    {
        Assert.StartsWith("-ERR DEBUG command not allowed.", await Line("DEBUG SLEEP 0"));
        Options.EnableDebugCommand = LocalAccess.Local;
        Assert.Equal("+OK", await Line("DEBUG SLEEP 0"));
    }

    [Theory]
    [InlineData("DEBUG NOSUCH", "-ERR unknown subcommand or wrong number of arguments for 'NOSUCH'. Try DEBUG HELP.")]
    [InlineData("DEBUG SLEEP", "-ERR unknown subcommand or wrong number of arguments for 'SLEEP'. Try DEBUG HELP.")]
    [InlineData("DEBUG", "-ERR wrong number of arguments for 'debug' command")]
    [InlineData("DEBUG ERROR MYERR", "-MYERR")]
    [InlineData("DEBUG LOG hello", "+OK")]
    [InlineData("DEBUG OBJECT missing", "-ERR no such key")]
    [InlineData("DEBUG LISTPACK missing", "-ERR no such key")]
    [InlineData("DEBUG SET-ACTIVE-EXPIRE 0", "+OK")]
    [InlineData("DEBUG PROTOCOL strange",
        "-ERR Wrong protocol type name. Please use one of the following: string|integer|double|bignum|null|array|set|map|attrib|push|verbatim|true|false")]
    public async Task Debug_replies_as_redis_does(string line, string reply)
    {
        Options.EnableDebugCommand = LocalAccess.Yes;
        Assert.Equal(reply, await Line(line));
    }

    [Fact]
    public async Task Debug_object_and_populate()
    {
        Options.EnableDebugCommand = LocalAccess.Yes;
        await Line("SET populated:1 mine");
        Assert.Equal("+OK", await Line("DEBUG POPULATE 100 populated 20"));
        Assert.Equal(":100", await Line("DBSIZE"));
        Assert.Equal("\"mine\"", await Line("GET populated:1"));
        Assert.Equal(":20", await Line("STRLEN populated:99"));
        Assert.Matches("^\\+Value at:\\S+ refcount:1 encoding:embstr serializedlength:5 memory:\\d+ lru:\\d+ lru_seconds_idle:0$",
            await Line("DEBUG OBJECT populated:1"));
    }

    [Fact]
    public async Task Debug_change_repl_id_begins_another_history()
    {
        Options.EnableDebugCommand = LocalAccess.Yes;
        string before = Server.Server.ReplicationId;
        Assert.Equal("+OK", await Line("DEBUG CHANGE-REPL-ID"));
        Assert.Contains($"master_replid:{Server.Server.ReplicationId}", await Line("INFO replication"), StringComparison.Ordinal);
        Assert.Matches("^[0-9a-f]{40}$", Server.Server.ReplicationId);
        Assert.NotEqual(before, Server.Server.ReplicationId);
    }

    [Fact]
    public async Task Debug_object_says_of_lists_and_lengths_what_redis_server_says()
    {
        string[] directives = ["--list-max-listpack-size", "10", "--list-compress-depth", "1", "--rdbcompression", "no"];
        await using RedisProcess ours = await RedisProcess.StartAsync(ServerKind.OrleansRedis, directives);
        await using RedisProcess theirs = await RedisProcess.StartAsync(ServerKind.Redis, directives);
        await using RespConnection we = await ours.ConnectAsync(), they = await theirs.ConnectAsync();
        foreach (string line in (string[])
            [
                "SET text hello", "SET int 12345", $"SET long {new string('x', 500)}", $"RPUSH list {string.Join(' ', Enumerable.Range(0, 95))}",
                "SADD intset 1 2 3", "HSET hash a 1 b 2", "ZADD zset 1 a 2 b",
            ])
        {
            Assert.Equal((await they.LineAsync(line)).ToString(), (await we.LineAsync(line)).ToString());
            string key = line.Split(' ')[1], pattern = key == "list" ? "serializedlength:\\d+| ql_.*" : "serializedlength:\\d+";
            string[] Told(RespValue reply) => [.. System.Text.RegularExpressions.Regex.Matches(reply.Text, pattern).Select(match => match.Value)];
            Assert.Equal(Told(await they.LineAsync($"DEBUG OBJECT {key}")), Told(await we.LineAsync($"DEBUG OBJECT {key}")));
        }
        Assert.Equal("+Listpack structure printed on stdout", (await we.LineAsync("DEBUG LISTPACK hash")).ToString());
        Assert.Equal("-ERR Not a listpack encoded object.", (await we.LineAsync("DEBUG LISTPACK list")).ToString());
        await ours.WaitForLogAsync("{total bytes 17} {num entries 4}");
        await ours.WaitForLogAsync("[str]b");
        await ours.WaitForLogAsync("[int]2");
        await ours.WaitForLogAsync("{end}");
    }

    [Fact]
    public async Task What_takes_long_outside_works_within_a_transaction_too()
    {
        Options.EnableDebugCommand = LocalAccess.Yes;
        await Line("MULTI");
        foreach (string queued in (string[])["CONFIG SET timeout 3", "CONFIG REWRITE", "DEBUG SLEEP 0.01", "MEMORY PURGE", "PING"])
            Assert.Equal("+QUEUED", await Line(queued));
        Assert.Equal("[+OK, -ERR The server is running without a config file, +OK, +OK, +PONG]", await Line("EXEC"));
    }

    [Fact]
    public async Task Debug_sleep_stops_everyone()
    {
        Options.EnableDebugCommand = LocalAccess.Yes;
        await using RespConnection other = await Server.ConnectAsync();
        await other.LineAsync("PING");
        bool isSeen = false;
        while (!isSeen) // on a busy machine it may be over before this thread looks
        {
            var time = System.Diagnostics.Stopwatch.StartNew();
            Task<string> sleeping = Line("DEBUG SLEEP 0.3");
            while (!sleeping.IsCompleted && !(isSeen = !Server.Store.SiloGate.WhenShared().IsCompleted)) await Task.Yield();
            await other.LineAsync("PING");
            Assert.True(!isSeen || time.ElapsedMilliseconds >= 290, $"{time.ElapsedMilliseconds} ms");
            Assert.Equal("+OK", await sleeping);
        }
    }

    private static string[] Sections(string text) => [.. text.Split("\r\n").Where(line => line.StartsWith('#')).Select(line => line[2..])];
}
