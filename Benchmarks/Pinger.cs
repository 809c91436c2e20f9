using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Runtime.InteropServices;

namespace OrleansRedis.Benchmarks;

/// <summary>How long the PINGs of another client take while something else goes on.</summary>
/// <param name="LongestMs">The longest.</param>
/// <param name="P999Ms">The 99.9th percentile.</param>
internal readonly record struct Pings(double LongestMs, double P999Ms);

/// <summary>
/// A client that sends a PING every millisecond, on a connection and a thread of its own. The thread goes before all others,
/// where it may: otherwise it waits for a processor where the server is fast enough to keep the other clients busy, and
/// that would be taken for the server's latency.
/// </summary>
internal static partial class Pinger
{
    private const int ThisThread = 0, FirstInFirstOut = 1; // SCHED_FIFO

    /// <summary>Pings a server until the work is done.</summary>
    public static async Task<Pings> WhileAsync(PeerProcess server, Func<Task> workAsync)
    {
        using CancellationTokenSource done = new();
        Task<List<double>> pinging = Task.Factory.StartNew(
            () => Ping(server.Port, done.Token), CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
        await workAsync();
        await done.CancelAsync();
        List<double> pings = await pinging;
        pings.Sort();
        return new(pings[^1], pings[(int)(pings.Count * 0.999)]);
    }

    /// <summary>A connection to a server on this machine.</summary>
    public static Socket Connect(int port)
    {
        Socket socket = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        socket.Connect(IPAddress.Loopback, port);
        return socket;
    }

    /// <summary>Receives as many bytes as there is room for.</summary>
    public static void Receive(Socket socket, Span<byte> into)
    {
        while (!into.IsEmpty)
        {
            int received = socket.Receive(into);
            if (received == 0)
                throw new InvalidOperationException("the server closed the connection");
            into = into[received..];
        }
    }

    private static unsafe List<double> Ping(int port, CancellationToken done)
    {
        int priority = 1;
        _ = SetScheduler(ThisThread, FirstInFirstOut, &priority);
        List<double> milliseconds = [];
        byte[] reply = new byte["+PONG\r\n".Length];
        using Socket socket = Connect(port);
        while (!done.IsCancellationRequested)
        {
            long begin = Stopwatch.GetTimestamp();
            socket.Send("*1\r\n$4\r\nPING\r\n"u8);
            Receive(socket, reply);
            milliseconds.Add(Stopwatch.GetElapsedTime(begin).TotalMilliseconds);
            Thread.Sleep(1);
        }

        return milliseconds;
    }

    [LibraryImport("libc", EntryPoint = "sched_setscheduler")]
    private static unsafe partial int SetScheduler(int thread, int policy, int* priority);
}
