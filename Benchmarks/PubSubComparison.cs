using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using OrleansRedis.Tests.Harness;

namespace OrleansRedis.Benchmarks;

/// <summary>
/// PUBLISH to a channel with subscribers that read all. The time ends when the last subscriber has the last message.
/// </summary>
internal sealed class PubSubComparison(ComparisonOptions options, IReadOnlyList<Peer> servers)
{
    private const int Subscribers = 50, MessageBytes = 32;
    private const string Channel = "ch";

    // Whole messages in RESP2, so that counting bytes is counting messages.
    private static readonly int s_frameBytes = $"*3\r\n$7\r\nmessage\r\n$2\r\n{Channel}\r\n${MessageBytes}\r\n".Length + MessageBytes + "\r\n".Length;

    public async Task RunAsync(FigureTable table)
    {
        table.Header($"PUBLISH of {MessageBytes} bytes to {Subscribers} subscribers, {RedisBenchmark.Clients} publishers");
        foreach (int depth in options.Pipelines.Length > 0 ? options.Pipelines : [1, 16])
        {
            int requests = (depth == 1 ? 300_000 : 1_000_000) / (options.Quick ? 10 : 1);
            double[][][] samples = await Alternation.RunAsync(servers.Count, options.Rounds ?? 5, async who =>
            {
                await using PeerProcess server = await PeerProcess.StartAsync(servers[who]);
                await MeasureAsync(server, depth, requests); // so that managed code is compiled, and compiled again where it is hot
                return await MeasureAsync(server, depth, requests);
            });
            double[][] Of(int figure) => [.. samples.Select(rounds => rounds.Select(sample => sample[figure]).ToArray())];
            table.Row($"P={depth,-3} messages published/s, thousands", Of(0), Better.Higher, "F1");
            table.Row($"P={depth,-3} server CPU per message published, µs", Of(1), Better.Lower);
        }
    }

    /// <summary>Messages per second, in thousands, and the server's CPU time for each in µs.</summary>
    private static async Task<double[]> MeasureAsync(PeerProcess server, int depth, int requests)
    {
        using Readers readers = new(server.Port, requests);
        double before = server.CpuSeconds;
        long begin = Stopwatch.GetTimestamp();
        await RedisBenchmark.RunAsync(
            server, int.MaxValue, depth, requests, "--csv", "PUBLISH", Channel, new string('m', MessageBytes));
        readers.Finish();
        double seconds = Stopwatch.GetElapsedTime(begin).TotalSeconds;
        return [requests / seconds / 1000, (server.CpuSeconds - before) * 1e6 / requests];
    }

    /// <summary>Subscribers that one thread reads now and then, so that they take little from the server.</summary>
    private sealed class Readers : IDisposable
    {
        private static readonly TimeSpan s_pause = TimeSpan.FromMilliseconds(2), s_limit = TimeSpan.FromMinutes(2);

        private readonly Socket[] _sockets = new Socket[Subscribers];
        private readonly long _expectedBytes;
        private readonly Thread _thread;
        private string? _failure;

        public Readers(int port, int messages)
        {
            byte[] command = RespConnection.Frame("SUBSCRIBE", Channel), confirmation = new byte[$"*3\r\n$9\r\nsubscribe\r\n$2\r\n{Channel}\r\n:1\r\n".Length];
            for (int i = 0; i < Subscribers; i++)
            {
                Socket socket = _sockets[i] = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
                socket.Connect(IPAddress.Loopback, port);
                socket.Send(command);
                for (int got = 0; got < confirmation.Length;) got += socket.Receive(confirmation.AsSpan(got));
                socket.Blocking = false;
            }
            _expectedBytes = (long)messages * s_frameBytes * Subscribers;
            _thread = new(Read) { IsBackground = true };
            _thread.Start();
        }

        /// <summary>Waits until every subscriber has every message.</summary>
        public void Finish()
        {
            if (!_thread.Join(s_limit)) throw new InvalidOperationException("messages are missing");
            if (_failure is not null) throw new InvalidOperationException(_failure);
        }

        public void Dispose()
        {
            foreach (Socket socket in _sockets) socket.Dispose();
        }

        private void Read()
        {
            byte[] buffer = new byte[256 * 1024];
            for (long got = 0; got < _expectedBytes; Thread.Sleep(s_pause))
            {
                foreach (Socket socket in _sockets)
                {
                    while (socket.Receive(buffer, SocketFlags.None, out SocketError error) is var received && error == SocketError.Success)
                    {
                        if (received == 0)
                        {
                            _failure = "the server has disconnected a subscriber";
                            return;
                        }
                        got += received;
                        if (received < buffer.Length) break;
                    }
                }
            }
        }
    }
}
