using System.Collections.Concurrent;
using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using System.Text;

namespace OrleansRedis.Tests.Harness;

/// <summary>Which program is the server.</summary>
public enum ServerKind
{
    /// <summary>
    /// What <c>TEST_SERVER</c> says: <c>redis</c>, or else ours. Tests of Redis's behaviour run against both, which
    /// tests the tests.
    /// </summary>
    UnderTest,

    /// <summary>orleansredis-server from the build output.</summary>
    OrleansRedis,

    /// <summary>Debian's redis-server.</summary>
    Redis,
}

/// <summary>
/// A server process for one test, with a free port and a directory of its own, ready when
/// <see cref="StartAsync(string[])"/> returns. Disposing it kills it. Its log is kept, and quoted when something fails.
/// </summary>
public sealed partial class RedisProcess : IAsyncDisposable
{
    private const int SigInt = 2, SigKill = 9, SigTerm = 15, SigStop = 19, SigCont = 18;
    private static readonly ConcurrentDictionary<RedisProcess, byte> running = new();
    private static readonly bool redisIsUnderTest = Environment.GetEnvironmentVariable("TEST_SERVER") == "redis";
    // Not derived from the seed: two runs at the same time with the same seed must not use the same ports.
    private static int nextPort = Random.Shared.Next(FirstPort, LastPort);
    private const int FirstPort = 15000, LastPort = 32000; // below the range from which the kernel takes clients' ports
    private static readonly ConcurrentDictionary<int, byte> portsOfServers = new(), siloPorts = new();

    private readonly List<string> log = [];
    private readonly TaskCompletionSource ready = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly Process process;
    private readonly bool ownsDirectory;

    static RedisProcess() => AppDomain.CurrentDomain.ProcessExit += (_, _) =>
    {
        foreach (RedisProcess left in running.Keys)
            left.Signal(SigKill);
    };

    private RedisProcess(ServerKind kind, int port, string directory, bool ownsDirectory, string[] directives, int? openFiles = null)
    {
        Kind = kind;
        Port = port;
        Directory = directory;
        UnixSocket = Path.Combine(directory, "redis.sock");
        this.ownsDirectory = ownsDirectory;
        string program = kind == ServerKind.Redis ? "redis-server" : OurServer;
        ProcessStartInfo start = new(openFiles is null ? program : "prlimit")
        {
            WorkingDirectory = directory,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            RedirectStandardInput = true,
        };
        if (openFiles is { } limit)
        {
            start.ArgumentList.Add($"--nofile={limit}");
            start.ArgumentList.Add(program);
        }
        foreach (string word in (string[])["--port", Text(port), "--unixsocket", UnixSocket, "--dir", directory, "--save", "", "--enable-debug-command", "yes"])
            start.ArgumentList.Add(word);
        foreach (string word in directives)
            start.ArgumentList.Add(word);
        process = new Process { StartInfo = start, EnableRaisingEvents = true };
        process.OutputDataReceived += (_, line) => OnLine(line.Data);
        process.ErrorDataReceived += (_, line) => OnLine(line.Data);
        process.Exited += (_, _) => ready.TrySetException(new InvalidOperationException("the server exited before it was ready"));
    }

    public ServerKind Kind { get; }
    public int Port { get; }
    public string UnixSocket { get; }

    /// <summary>The server's <c>dir</c>; deleted with the process unless the test supplied it.</summary>
    public string Directory { get; }

    public int ProcessId => process.Id;
    public bool HasExited => process.HasExited;
    public int ExitCode => process.ExitCode;

    /// <summary>Whether <see cref="ServerKind.UnderTest"/> means Redis itself.</summary>
    public static bool IsRedisUnderTest => redisIsUnderTest;

    /// <summary>The root of the source tree: where OrleansRedis.sln is.</summary>
    public static string RepositoryRoot { get; } = FindRoot();

    /// <summary>The path of orleansredis-server, built with the same configuration as this test assembly.</summary>
    public static string OurServer { get; } = Environment.GetEnvironmentVariable("ORLEANSREDIS_SERVER")
        ?? Path.Combine(RepositoryRoot, "Silo", "bin", new DirectoryInfo(AppContext.BaseDirectory).Parent!.Name, "net10.0", "orleansredis-server");

    /// <summary>Everything the server has written so far.</summary>
    public IReadOnlyList<string> Log
    {
        get
        {
            lock (log)
                return [.. log];
        }
    }

    /// <summary>
    /// Starts the server under test with directives in redis-server's command-line grammar:
    /// <c>StartAsync("--requirepass", "secret")</c>.
    /// </summary>
    public static Task<RedisProcess> StartAsync(params string[] directives) => StartAsync(ServerKind.UnderTest, directives);

    public static Task<RedisProcess> StartAsync(ServerKind kind, params string[] directives) => StartAsync(kind, null, 0, directives);

    /// <param name="kind">Which program.</param>
    /// <param name="directory">
    /// An existing directory to run in, so that a second process finds what the first one left; null: a new one.
    /// </param>
    /// <param name="port">A port, so that a second process can take the place of the first; 0: a free one.</param>
    /// <param name="directives">More directives; they come last and so override the harness's own.</param>
    public static async Task<RedisProcess> StartAsync(ServerKind kind, string? directory, int port, params string[] directives)
    {
        if (kind == ServerKind.UnderTest)
            kind = redisIsUnderTest ? ServerKind.Redis : ServerKind.OrleansRedis;
        for (int attempt = 1; ; attempt++)
        {
            RedisProcess server = new(kind, port == 0 ? FreePort() : port, directory ?? NewDirectory(), directory is null, directives);
            try
            {
                server.Launch();
                await server.ready.Task.WaitAsync(Eventually.Deadline);
                return server;
            }
            catch (Exception e)
            {
                if (running.ContainsKey(server) && server.HasExited)
                    await server.WaitForExitAsync(Eventually.Deadline); // its last lines may still be on their way
                string story = server.Describe();
                await server.DisposeAsync();
                // Another attempt makes sense only if another program took the port meanwhile.
                if (port != 0 || attempt == 3 || !story.Contains("already in use", StringComparison.OrdinalIgnoreCase))
                    throw new InvalidOperationException($"{server.process.StartInfo.FileName} did not get ready: {e.Message}{story}", e);
            }
        }
    }

    /// <summary>Runs the server for a start that must fail, and returns its exit code and all its output.</summary>
    public static async Task<(int ExitCode, string Output)> RunToExitAsync(params string[] directives)
    {
        ServerKind kind = redisIsUnderTest ? ServerKind.Redis : ServerKind.OrleansRedis;
        await using RedisProcess server = new(kind, FreePort(), NewDirectory(), ownsDirectory: true, directives);
        server.Launch();
        await server.WaitForExitAsync(Eventually.Deadline);
        return (server.ExitCode, string.Join('\n', server.Log));
    }

    /// <summary>Starts our server with a limit on the number of open files.</summary>
    public static async Task<RedisProcess> StartWithOpenFilesAsync(int openFiles, params string[] directives)
    {
        RedisProcess server = new(ServerKind.OrleansRedis, FreePort(), NewDirectory(), ownsDirectory: true, directives, openFiles);
        server.Launch();
        await server.ready.Task.WaitAsync(Eventually.Deadline);
        return server;
    }

    /// <summary>
    /// Starts our server in a directory and waits only until it accepts connections, which it does while it loads.
    /// </summary>
    public static async Task<RedisProcess> StartListeningAsync(string directory, params string[] directives)
    {
        RedisProcess server = new(ServerKind.OrleansRedis, FreePort(), directory, ownsDirectory: false, directives);
        server.Launch();
        await server.WaitForLogAsync("Listening on", Eventually.Deadline);
        return server;
    }

    /// <summary>Starts the server in a directory and kills it after a while, however far it has got.</summary>
    public static async Task StartAndKillAsync(ServerKind kind, string directory, TimeSpan after, params string[] directives)
    {
        if (kind == ServerKind.UnderTest)
            kind = redisIsUnderTest ? ServerKind.Redis : ServerKind.OrleansRedis;
        await using RedisProcess server = new(kind, FreePort(), directory, ownsDirectory: false, directives);
        server.Launch();
        await Task.Delay(after); // a real delay: any moment will do, and the caller has drawn this one
    }

    public async Task<RespConnection> ConnectAsync() => await RespConnection.ConnectAsync(new IPEndPoint(IPAddress.Loopback, Port), this);

    public async Task<RespConnection> ConnectUnixAsync() => await RespConnection.ConnectAsync(new UnixDomainSocketEndPoint(UnixSocket), this);

    /// <summary>Asks the process to end in an orderly way and waits until it has.</summary>
    public Task TerminateAsync() => EndAsync(SigTerm);

    /// <summary>What Ctrl-C does.</summary>
    public Task InterruptAsync() => EndAsync(SigInt);

    /// <summary>Ends the process as a power failure would.</summary>
    public Task KillAsync() => EndAsync(SigKill);

    /// <summary>Freezes the process: its sockets stay open, but nothing answers.</summary>
    public void Suspend() => Signal(SigStop);

    public void Resume() => Signal(SigCont);

    public async Task WaitForExitAsync(TimeSpan timeout)
    {
        using CancellationTokenSource deadline = new(timeout);
        try
        {
            await process.WaitForExitAsync(deadline.Token);
        }
        catch (OperationCanceledException)
        {
            throw new TimeoutException($"the server still runs after {timeout.TotalSeconds} s{Describe()}");
        }
    }

    /// <summary>
    /// Waits for a line of the server's log that contains <paramref name="text"/>, from the beginning of the log on.
    /// </summary>
    public async Task<string> WaitForLogAsync(string text, TimeSpan? timeout = null)
    {
        string? found = null;
        await Eventually.TrueAsync(() => (found = Log.FirstOrDefault(line => line.Contains(text, StringComparison.Ordinal))) is not null,
            () => $"the server never wrote \"{text}\"{Describe()}", timeout);
        return found!;
    }

    /// <summary>
    /// Which server this is and its state, with the last lines of its log, for the message of a failure.
    /// </summary>
    public string Describe()
    {
        const int ShownLines = 40;
        IReadOnlyList<string> lines = Log;
        StringBuilder story = new();
        string state = !running.ContainsKey(this) ? "never started" : process.HasExited ? $"exited with {process.ExitCode}" : "running";
        story.Append(CultureInfo.InvariantCulture, $"\n--- {Path.GetFileName(process.StartInfo.FileName)} on port {Port}, {state}; the end of its log:\n");
        foreach (string line in lines.Skip(Math.Max(0, lines.Count - ShownLines)))
            story.Append(line).Append('\n');
        return story.Append("---").ToString();
    }

    public async ValueTask DisposeAsync()
    {
        if (running.ContainsKey(this))
        {
            Signal(SigKill);
            await process.WaitForExitAsync();
            running.TryRemove(this, out _);
        }

        process.Dispose();
        if (ownsDirectory)
            System.IO.Directory.Delete(Directory, recursive: true);
    }

    /// <summary>A TCP port that nothing listens on, and that this process has not handed out lately.</summary>
    public static int FreePort()
    {
        while (true)
        {
            int port = FirstPort + (Interlocked.Increment(ref nextPort) % (LastPort - FirstPort));
            if (siloPorts.ContainsKey(port) || !IsFree(port)) continue;
            portsOfServers[port] = 0;
            return port;
        }
    }

    /// <summary>
    /// A port for a silo of a cluster. Those that it takes besides are free as well: of the bus, and of the cluster's store,
    /// which would otherwise lie where the kernel takes clients' ports from.
    /// </summary>
    public static int FreeSiloPort()
    {
        const int Bus = 1_000, Store = 10_000;
        while (true)
        {
            int port = Random.Shared.Next(FirstPort, LastPort - Store);
            int[] all = [port, port + Bus, port + Store];
            if (all.Any(one => portsOfServers.ContainsKey(one) || siloPorts.ContainsKey(one) || !IsFree(one))) continue;
            if (all.Count(one => siloPorts.TryAdd(one, 0)) == all.Length) return port;
        }
    }

    private static bool IsFree(int port)
    {
        using Socket probe = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        try
        {
            probe.Bind(new IPEndPoint(IPAddress.Any, port));
            return true;
        }
        catch (SocketException)
        {
            return false;
        }
    }

    private static string NewDirectory() => System.IO.Directory.CreateTempSubdirectory("orleansredis-test-").FullName;

    private static string Text(int number) => number.ToString(CultureInfo.InvariantCulture);

    private static string FindRoot()
    {
        DirectoryInfo? directory = new(AppContext.BaseDirectory);
        while (directory is not null && !File.Exists(Path.Combine(directory.FullName, "OrleansRedis.sln")))
            directory = directory.Parent;
        return directory?.FullName ?? throw new InvalidOperationException($"no OrleansRedis.sln above {AppContext.BaseDirectory}");
    }

    private void Launch()
    {
        if (Environment.GetEnvironmentVariable("TEST_QUICK") == "1")
            throw new InvalidOperationException("this starts a server, so it cannot be part of ./test --quick: mark it [Trait(\"Needs\", \"servers\")]");
        process.Start();
        running.TryAdd(this, 0);
        process.StandardInput.Close();
        process.BeginOutputReadLine();
        process.BeginErrorReadLine();
    }

    private void OnLine(string? line)
    {
        if (line is null)
            return;
        lock (log)
            log.Add(line);
        if (line.Contains("Ready to accept connections", StringComparison.Ordinal))
            ready.TrySetResult();
    }

    private async Task EndAsync(int signal)
    {
        Signal(signal);
        await WaitForExitAsync(Eventually.Deadline);
    }

    private void Signal(int signal)
    {
        if (!process.HasExited)
            _ = Kill(process.Id, signal);
    }

    [LibraryImport("libc", EntryPoint = "kill")]
    private static partial int Kill(int processId, int signal);
}
