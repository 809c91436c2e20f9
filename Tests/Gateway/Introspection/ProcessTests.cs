using System.Diagnostics;
using System.Net.Sockets;
using System.Text;
using Microsoft.Extensions.Logging;
using OrleansRedis.Engine;
using OrleansRedis.Silo;
using OrleansRedis.Tests.Harness;
using Xunit;

namespace OrleansRedis.Tests.Gateway;

/// <summary>The server as a process among others: the directives about it, and what the operator's tools see of it.</summary>
public sealed class ProcessTests : IDisposable
{
    private readonly string _directory = Directory.CreateTempSubdirectory("orleansredis-test-").FullName;

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    private string PathOf(string name) => Path.Combine(_directory, name);

    [Fact]
    public async Task A_file_that_comes_with_redis_starts_the_server_with_its_values_in_force()
    {
        string stock = Path.Combine(RedisProcess.RepositoryRoot, "Tests", "Engine", "Configuration", "redis-stock-directives.txt");
        await StartsWithAsync(stock);
    }

    [SkippableFact]
    public async Task Debian_s_file_starts_the_server_with_its_values_in_force()
    {
        const string Debian = "/etc/redis/redis.conf";
        bool isReadable = false;
        try
        {
            isReadable = File.ReadAllText(Debian).Length > 0 && Directory.Exists("/var/lib/redis");
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
        {
            // Not installed here, or for others only.
        }
        Requires.That(isReadable, $"{Debian} cannot be read");
        await StartsWithAsync(Debian);
    }

    private async Task StartsWithAsync(string file)
    {
        int port = RedisProcess.FreePort();
        // What lies outside of the test's own directory, or would send the server away, is not the file's.
        await using RedisProcess server = await RedisProcess.StartAsync(
            ServerKind.OrleansRedis, _directory, port, "--include", file, "--port", port.ToString(), "--dir", _directory, "--logfile", "",
            "--pidfile", PathOf("pid"), "--daemonize", "no", "--maxclients", "77");
        string told = Assert.Single(server.Log, line => line.Contains("has no effect here: ", StringComparison.Ordinal));
        Assert.Contains("lazyfree-lazy-expire", told, StringComparison.Ordinal);
        await using RespConnection redis = await server.ConnectAsync();
        Assert.Equal("127.0.0.1 -::1", (await redis.LineAsync("CONFIG GET bind"))[1].Text);
        Assert.Equal("77", (await redis.LineAsync("CONFIG GET maxclients"))[1].Text);
        Assert.Equal("+OK", (await redis.LineAsync("SET k v")).ToString());
        Assert.Equal(server.ProcessId.ToString(), File.ReadAllText(PathOf("pid")).Trim());
    }

    [Fact]
    public async Task Daemonize_leaves_a_server_in_the_background()
    {
        int port = RedisProcess.FreePort();
        (int exitCode, string output) = await RedisProcess.RunToExitAsync(
            "--daemonize", "yes", "--pidfile", PathOf("pid"), "--logfile", PathOf("log"), "--port", port.ToString(), "--dir", _directory, "--unixsocket", "");
        Assert.Equal(0, exitCode);
        Assert.Equal("", output);
        string Log() => File.Exists(PathOf("log")) ? File.ReadAllText(PathOf("log")) : "";
        await Eventually.TrueAsync(() => Log().Contains("Ready to accept connections", StringComparison.Ordinal), Log);
        int pid = int.Parse(File.ReadAllText(PathOf("pid")));
        using var process = Process.GetProcessById(pid);
        try
        {
            Assert.Equal("/dev/null", File.ResolveLinkTarget($"/proc/{pid}/fd/1", returnFinalTarget: false)!.FullName);
            await using RespConnection redis = await RespConnection.ConnectAsync("127.0.0.1", port);
            Assert.Equal(pid, await redis.InfoAsync("process_id"));
            await redis.SendAsync("SHUTDOWN", "NOSAVE");
            await process.WaitForExitAsync().WaitAsync(Eventually.Deadline);
            Assert.False(File.Exists(PathOf("pid")));
        }
        finally
        {
            process.Kill();
        }
    }

    [Fact]
    public async Task A_log_file_that_cannot_be_written_ends_the_start()
    {
        (int exitCode, string output) = await RedisProcess.RunToExitAsync("--logfile", PathOf("nosuch/log"));
        Assert.Equal(1, exitCode);
        Assert.Contains("Can't open the log file: ", output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task An_error_of_the_server_s_own_leaves_a_report_in_the_log()
    {
        await using RedisProcess server = await RedisProcess.StartAsync(ServerKind.OrleansRedis);
        await using RespConnection redis = await server.ConnectAsync();
        await redis.LineAsync("SET secret-key secret-value");
        await redis.SendAsync("DEBUG", "PANIC");
        await server.WaitForExitAsync(Eventually.Deadline);
        string log = string.Join('\n', server.Log);
        Assert.NotEqual(0, server.ExitCode);
        Assert.Contains("=== REDIS BUG REPORT START", log, StringComparison.Ordinal);
        Assert.Contains("System.InvalidOperationException: DEBUG PANIC", log, StringComparison.Ordinal);
        Assert.Contains("redis_version:", log, StringComparison.Ordinal);
        Assert.Contains("=== REDIS BUG REPORT END", log, StringComparison.Ordinal);
        Assert.DoesNotContain("secret", log, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Without_crash_log_enabled_there_is_no_report()
    {
        await using RedisProcess server = await RedisProcess.StartAsync(ServerKind.OrleansRedis, "--crash-log-enabled", "no");
        await using RespConnection redis = await server.ConnectAsync();
        await redis.SendAsync("DEBUG", "PANIC");
        await server.WaitForExitAsync(Eventually.Deadline);
        Assert.DoesNotContain(server.Log, line => line.Contains("BUG REPORT", StringComparison.Ordinal));
    }

    [Fact]
    public async Task The_process_shows_as_its_template_says()
    {
        await using RedisProcess server = await RedisProcess.StartAsync(ServerKind.OrleansRedis);
        await using RespConnection redis = await server.ConnectAsync();
        string Shown() => File.ReadAllText($"/proc/{server.ProcessId}/cmdline").TrimEnd('\0');
        Assert.Equal($"{RedisProcess.OurServer} *:{server.Port}", Shown());
        Assert.Equal("+OK", (await redis.CallAsync("CONFIG", "SET", "proc-title-template", "TEST {port} {tls-port} {unixsocket}")).ToString());
        Assert.Equal($"TEST {server.Port} 0 {server.UnixSocket}", Shown());
        Assert.StartsWith("-ERR CONFIG SET failed", (await redis.CallAsync("CONFIG", "SET", "proc-title-template", "{nosuch}")).ToString());
        string everything = new('x', 5000);
        await redis.CallAsync("CONFIG", "SET", "proc-title-template", everything);
        Assert.StartsWith("xxx", Shown(), StringComparison.Ordinal);
        Assert.True(Shown().Length < 5000); // cut
        Assert.Contains("PATH=", File.ReadAllText($"/proc/{server.ProcessId}/environ"), StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_system_is_told_how_willingly_to_end_the_process()
    {
        await using RedisProcess server = await RedisProcess.StartAsync();
        await using RespConnection redis = await server.ConnectAsync();
        int Score() => int.Parse(File.ReadAllText($"/proc/{server.ProcessId}/oom_score_adj"));
        int before = Score();
        await redis.CallAsync("CONFIG", "SET", "oom-score-adj-values", "10 20 30");
        Assert.Equal(before, Score());
        Assert.Equal("+OK", (await redis.LineAsync("CONFIG SET oom-score-adj yes")).ToString());
        Assert.Equal(Math.Min(1000, before + 10), Score());
        await redis.CallAsync("CONFIG", "SET", "oom-score-adj-values", "15 20 30");
        Assert.Equal(Math.Min(1000, before + 15), Score());
        await redis.CallAsync("CONFIG", "SET", "oom-score-adj-values", "1000 20 30", "oom-score-adj", "absolute");
        Assert.Equal(1000, Score());
        await redis.LineAsync("CONFIG SET oom-score-adj no");
        if (Environment.IsPrivilegedProcess) Assert.Equal(before, Score()); // others may not lower it again
    }

    [Theory]
    [InlineData(Supervision.Systemd)]
    [InlineData(Supervision.Auto)]
    public async Task Systemd_is_told_when_the_server_is_ready(Supervision supervised)
    {
        using var systemd = new Socket(AddressFamily.Unix, SocketType.Dgram, ProtocolType.Unspecified);
        systemd.Bind(new UnixDomainSocketEndPoint(PathOf("notify")));
        var options = new ServerOptions { Supervised = supervised };
        var supervisor = new Supervisor(options, new(), PathOf("notify"), job: null);
        Assert.Equal(Supervision.Systemd, options.SupervisedBy);
        supervisor.Starting();
        Assert.Equal("STATUS=Redis is loading...\n", await ReceiveAsync(systemd));
        supervisor.Ready();
        Assert.Equal("STATUS=Ready to accept connections\nREADY=1\n", await ReceiveAsync(systemd));
        supervisor.Stopping();
        Assert.Equal("STOPPING=1\n", await ReceiveAsync(systemd));
    }

    [Theory]
    [InlineData(Supervision.Systemd, "NOTIFY_SOCKET not found")]
    [InlineData(Supervision.Upstart, "UPSTART_JOB not found")]
    [InlineData(Supervision.Auto, null)]
    [InlineData(Supervision.No, null)]
    public void Without_a_supervisor_the_server_says_so_and_goes_on(Supervision supervised, string? warning)
    {
        var lines = new List<string>();
        var options = new ServerOptions { Supervised = supervised };
        var supervisor = new Supervisor(options, new() { Writer = (_, line) => lines.Add(line) }, socket: null, job: null);
        supervisor.Starting();
        supervisor.Ready();
        Assert.Equal(Supervision.No, options.SupervisedBy);
        Assert.Equal(warning is null ? 0 : 1, lines.Count(line => warning is null || line.Contains(warning, StringComparison.Ordinal)));
    }

    [Fact]
    public async Task Messages_go_to_the_system_s_log_too()
    {
        using var daemon = new Socket(AddressFamily.Unix, SocketType.Dgram, ProtocolType.Unspecified);
        var options = new ServerOptions { SyslogIdent = "mine", SyslogFacility = SyslogFacility.Local3 };
        using var log = new SystemLog(options, PathOf("log"));
        log.Write(4, "nobody listens");
        daemon.Bind(new UnixDomainSocketEndPoint(PathOf("log")));
        log.Write(5, "a notice");
        Assert.Matches($@"^<{(19 * 8) + 5}>[A-Z][a-z]{{2}} \d{{1,2}} \d\d:\d\d:\d\d mine\[{Environment.ProcessId}\]: a notice$", await ReceiveAsync(daemon));
    }

    [Fact]
    public void A_log_file_that_is_renamed_is_begun_anew()
    {
        using var log = new RedisLog(new ServerOptions { Dir = _directory, LogFile = "log" });
        ILogger logger = log.CreateLogger("OrleansRedis.Tests");
        logger.Log(LogLevel.Warning, default, "one", null, (text, _) => text);
        File.Move(PathOf("log"), PathOf("log.1"));
        logger.Log(LogLevel.Warning, default, "two", null, (text, _) => text);
        Assert.EndsWith("# one\n", File.ReadAllText(PathOf("log.1")), StringComparison.Ordinal);
        Assert.EndsWith("# two\n", File.ReadAllText(PathOf("log")), StringComparison.Ordinal);
    }

    private static async Task<string> ReceiveAsync(Socket socket)
    {
        byte[] buffer = new byte[4096];
        int length = await socket.ReceiveAsync(buffer).WaitAsync(Eventually.Deadline);
        return Encoding.UTF8.GetString(buffer, 0, length);
    }
}
