using System.Collections.Concurrent;
using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text;
using OrleansRedis.Tests.Harness;

namespace OrleansRedis.Benchmarks;

/// <summary>
/// A peer's running server, on a free port. It answers PING by the time <see cref="StartAsync"/> returns. Disposing
/// kills it.
/// </summary>
internal sealed class PeerProcess : IAsyncDisposable
{
    private static readonly TimeSpan readyTimeout = TimeSpan.FromMinutes(10);
    private static readonly ConcurrentDictionary<PeerProcess, byte> running = new();
    private readonly Process process;
    private readonly List<string> log = [];
    private readonly string directory;
    private readonly bool ownsDirectory;

    static PeerProcess() => AppDomain.CurrentDomain.ProcessExit += (_, _) =>
    {
        foreach (PeerProcess left in running.Keys)
            left.process.Kill();
    };

    private PeerProcess(Peer peer, string directory, bool ownsDirectory, string[] directives)
    {
        Peer = peer;
        Port = RedisProcess.FreePort();
        TlsPort = RedisProcess.FreePort();
        this.directory = directory;
        this.ownsDirectory = ownsDirectory;
        ProcessStartInfo start = new(peer.Program, [.. peer.Arguments(Port, directory), .. directives])
        {
            WorkingDirectory = directory,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            RedirectStandardInput = true,
        };
        process = new Process { StartInfo = start };
        process.OutputDataReceived += (_, line) => OnLine(line.Data);
        process.ErrorDataReceived += (_, line) => OnLine(line.Data);
    }

    public Peer Peer { get; }
    public int Port { get; }

    /// <summary>The port of <see cref="OpenTlsAsync"/>.</summary>
    public int TlsPort { get; }

    /// <summary>redis-benchmark's arguments for that port.</summary>
    public string[] TlsArguments =>
    [
        "-p", TlsPort.ToString(CultureInfo.InvariantCulture), "--tls", "--cacert", TestCertificates.Shared.At("ca.crt"),
        "--cert", TestCertificates.Shared.At("client.crt"), "--key", TestCertificates.Shared.At("client.key"),
    ];

    /// <summary>Time from just before the program was executed until it answered PING with PONG.</summary>
    public TimeSpan FirstPong { get; private set; }

    /// <summary>
    /// The longest that it took until then, once it listened, to be connected and get an answer to PING, such as LOADING.
    /// </summary>
    public TimeSpan LongestPing { get; private set; }

    /// <summary>Processor time that the process had used by then, in seconds.</summary>
    public double FirstPongCpuSeconds { get; private set; }

    /// <summary>User and system time of the process so far, in seconds, to a hundredth.</summary>
    public double CpuSeconds => ProcessTimes.CpuSeconds(process.Id, ProcessTimes.Own);

    public long ResidentBytes =>
        long.Parse(File.ReadAllText($"/proc/{process.Id}/statm").Split(' ')[1], CultureInfo.InvariantCulture)
            * Environment.SystemPageSize;

    /// <param name="peer">The program to start.</param>
    /// <param name="directory">An existing directory to run in, so that a second process can find what a first one
    /// left; null: a new one.</param>
    /// <param name="directives">Additional command-line arguments.</param>
    /// <exception cref="InvalidOperationException">The server ended, or did not answer within ten minutes; the message
    /// quotes its log.</exception>
    public static async Task<PeerProcess> StartAsync(Peer peer, string? directory = null, params string[] directives)
    {
        PeerProcess server = new(
            peer, directory ?? Directory.CreateTempSubdirectory("orleansredis-bench-").FullName, directory is null, directives);
        try
        {
            long begin = Stopwatch.GetTimestamp();
            server.process.Start();
            running.TryAdd(server, 0);
            server.process.StandardInput.Close();
            server.process.BeginOutputReadLine();
            server.process.BeginErrorReadLine();
            await server.AwaitPongAsync(begin);
            return server;
        }
        catch
        {
            await server.DisposeAsync();
            throw;
        }
    }

    public async Task<RespConnection> ConnectAsync()
    {
        RespConnection connection = await RespConnection.ConnectAsync(new IPEndPoint(IPAddress.Loopback, Port));
        connection.Timeout = TimeSpan.FromMinutes(2);
        return connection;
    }

    /// <summary>Has the server listen for TLS.</summary>
    /// <exception cref="InvalidOperationException">It does not know how to.</exception>
    public async Task OpenTlsAsync(RespConnection connection)
    {
        foreach ((string directive, RespArgument value) in ((string, RespArgument)[])
            [
                ("tls-cert-file", TestCertificates.Shared.At("server.crt")), ("tls-key-file", TestCertificates.Shared.At("server.key")),
                ("tls-ca-cert-file", TestCertificates.Shared.At("ca.crt")), ("tls-port", TlsPort),
            ])
        {
            RespValue reply = await connection.CallAsync("CONFIG", "SET", directive, value);
            if (reply.IsError)
                throw new InvalidOperationException($"CONFIG SET {directive} was answered {reply}");
        }
    }

    /// <summary>
    /// The first line of the server's log that contains a text. The log comes through a pipe, so the line may be a
    /// little late.
    /// </summary>
    public async Task<string> LogLineAsync(string text)
    {
        string? found = null;
        await Eventually.TrueAsync(
            () => (found = Log().FirstOrDefault(line => line.Contains(text, StringComparison.Ordinal))) is not null,
            () => $"\"{text}\" is not in{Describe()}");
        return found!;
    }

    /// <summary>Shuts the server down in an orderly way: it writes what it has not written yet.</summary>
    public async Task ShutDownAsync()
    {
        await using RespConnection connection = await ConnectAsync();
        await connection.SendAsync("SHUTDOWN");
        await process.WaitForExitAsync(new CancellationTokenSource(TimeSpan.FromMinutes(1)).Token);
    }

    /// <summary>The end of the server's log, for failure messages.</summary>
    public string Describe() =>
        $"\n--- the log of {Peer.Name} ({Peer.Program}):\n{string.Join('\n', Log().TakeLast(40))}\n---";

    public async ValueTask DisposeAsync()
    {
        if (running.TryRemove(this, out _))
        {
            process.Kill();
            await process.WaitForExitAsync();
        }

        process.Dispose();
        if (ownsDirectory)
            Directory.Delete(directory, recursive: true);
    }

    /// <summary>
    /// Asks every millisecond until the server listens, and every five from then on, so as not to slow down a server
    /// that is loading.
    /// </summary>
    private async Task AwaitPongAsync(long begin)
    {
        while (true)
        {
            if (process.HasExited)
            {
                await process.WaitForExitAsync(); // its last lines may still be on their way
                throw new InvalidOperationException(
                    $"{Peer.Program} exited with {process.ExitCode} before it answered{Describe()}");
            }

            if (Stopwatch.GetElapsedTime(begin) > readyTimeout)
                throw new InvalidOperationException(
                    $"{Peer.Program} did not answer PING in {readyTimeout.TotalSeconds:F0} s{Describe()}");
            long asked = Stopwatch.GetTimestamp();
            string? reply = Ping();
            if (reply is not null && Stopwatch.GetElapsedTime(asked) > LongestPing)
                LongestPing = Stopwatch.GetElapsedTime(asked);
            if (reply == "+PONG\r\n")
            {
                FirstPong = Stopwatch.GetElapsedTime(begin);
                FirstPongCpuSeconds = CpuSeconds;
                return;
            }

            await Task.Delay(reply is null ? 1 : 5);
        }
    }

    /// <summary>
    /// The reply to PING, which may be an error such as LOADING; null if the server does not listen yet.
    /// </summary>
    private string? Ping()
    {
        using Socket socket = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp)
        {
            ReceiveTimeout = (int)readyTimeout.TotalMilliseconds
        };
        try
        {
            socket.Connect(IPAddress.Loopback, Port);
            socket.Send("*1\r\n$4\r\nPING\r\n"u8);
            Span<byte> reply = stackalloc byte[128];
            return Encoding.Latin1.GetString(reply[..socket.Receive(reply)]);
        }
        catch (SocketException)
        {
            return null;
        }
    }

    private void OnLine(string? line)
    {
        if (line is null)
            return;
        lock (log)
            log.Add(line);
    }

    private string[] Log()
    {
        lock (log)
            return [.. log];
    }
}
