using System.Diagnostics;
using System.Net.Sockets;
using OrleansRedis.Tests.Harness;

namespace OrleansRedis.Benchmarks;

/// <summary>
/// Transactions, which redis-benchmark cannot send: MULTI, some SETs and EXEC, in one write. One thread has all
/// connections send, and then reads from all of them, so that it costs little next to the server.
/// </summary>
internal static class TransactionLoad
{
    /// <summary>Runs transactions, and returns their rate and how long a round over the connections took.</summary>
    /// <param name="server">The server.</param>
    /// <param name="keys">How many different keys there are.</param>
    /// <param name="depth">How many transactions a connection sends at once.</param>
    /// <param name="transactions">How many there are in all.</param>
    /// <param name="commands">How many SETs each has.</param>
    public static RedisBenchmark.Figures Run(PeerProcess server, int keys, int depth, int transactions, int commands)
    {
        byte[] value = new byte[RedisBenchmark.ValueBytes];
        Array.Fill(value, (byte)'x');
        var random = new Random(1);
        var sockets = new Socket[RedisBenchmark.Clients];
        var requests = new byte[sockets.Length][];
        // "+OK", "+QUEUED" for each, and the array of "+OK".
        int replyBytes = depth * (5 + (commands * 9) + $"*{commands}\r\n".Length + (commands * 5));
        var reply = new byte[replyBytes];
        try
        {
            for (int i = 0; i < sockets.Length; i++)
            {
                sockets[i] = new(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
                sockets[i].Connect("127.0.0.1", server.Port);
                var request = new List<byte>();
                for (int j = 0; j < depth; j++)
                {
                    request.AddRange(RespConnection.Frame("MULTI"));
                    for (int k = 0; k < commands; k++) request.AddRange(RespConnection.Frame("SET", $"key:{random.Next(keys):D12}", value));
                    request.AddRange(RespConnection.Frame("EXEC"));
                }
                requests[i] = [.. request];
            }
            int rounds = Math.Max(1, transactions / depth / sockets.Length);
            var took = new double[rounds];
            long began = Stopwatch.GetTimestamp();
            for (int round = 0; round < rounds; round++)
            {
                long roundBegan = Stopwatch.GetTimestamp();
                for (int i = 0; i < sockets.Length; i++) sockets[i].Send(requests[i]);
                foreach (Socket socket in sockets) Read(socket, reply);
                took[round] = Stopwatch.GetElapsedTime(roundBegan).TotalMilliseconds;
            }
            double seconds = Stopwatch.GetElapsedTime(began).TotalSeconds;
            Array.Sort(took);
            return new((double)rounds * sockets.Length * depth / seconds, took[rounds / 2], took[rounds * 99 / 100]);
        }
        finally
        {
            foreach (Socket? socket in sockets) socket?.Dispose();
        }
    }

    private static void Read(Socket socket, byte[] reply)
    {
        for (int read = 0, count; read < reply.Length; read += count)
        {
            count = socket.Receive(reply, read, reply.Length - read, SocketFlags.None);
            if (count == 0 || reply[0] != '+') throw new InvalidOperationException("a transaction failed");
        }
    }
}
