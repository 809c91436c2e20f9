using System.Buffers.Text;
using System.Diagnostics;
using OrleansRedis.Tests.Harness;

namespace OrleansRedis.Benchmarks;

/// <summary>
/// 100 million keys of 16 bytes with values of 8: how long it takes to load, read, save and reload them, how much memory
/// they take, and what another client notices of all that. One client writes and reads, in pipelines of its own, since
/// redis-benchmark would be what is measured. Needs 20 GB for redis-server, of which a snapshot copies what is written
/// meanwhile.
/// </summary>
internal sealed class ManyKeysComparison(ComparisonOptions options, IReadOnlyList<Peer> servers)
{
    private const int KeyBytes = 16, ValueBytes = 8, Together = 512, ReadPerKeys = 4;
    private static readonly TimeSpan settling = TimeSpan.FromSeconds(5);

    private int Keys => options.Keys ?? (options.Quick ? 10_000_000 : 100_000_000);

    public async Task RunAsync(FigureTable table)
    {
        double[][][] samples = await Alternation.RunAsync(servers.Count, options.Rounds ?? 1, who => MeasureAsync(servers[who]));
        table.Header($"{Keys:N0} keys");
        (string What, string Format)[] rows =
        [
            ("loading, seconds", "F1"), ("longest PING meanwhile, ms", "F1"), ("p99.9 of PING meanwhile, ms", "F2"),
            ("used_memory per key, bytes", "F1"), ("resident over rest per key, bytes", "F1"),
            ($"reading {Keys / ReadPerKeys:N0} of them at random, seconds", "F1"), ("longest PING meanwhile, ms", "F1"), ("p99.9 of PING meanwhile, ms", "F2"),
            ("BGSAVE, seconds", "F1"), ("longest PING meanwhile, ms", "F1"), ("p99.9 of PING meanwhile, ms", "F2"), ("resident at most meanwhile, MB", "F0"),
            ("reloading: from exec to the first PONG, seconds", "F1"), ("longest answer to PING meanwhile, ms", "F1"),
            ("reading as many again after that, seconds", "F1"), ("longest PING meanwhile, ms", "F1"),
        ];
        for (int row = 0; row < rows.Length; row++)
            table.Row(rows[row].What, [.. samples.Select(rounds => rounds.Select(sample => sample[row]).ToArray())], Better.Lower, rows[row].Format);
    }

    private async Task<double[]> MeasureAsync(Peer peer)
    {
        string directory = Directory.CreateTempSubdirectory("orleansredis-bench-").FullName;
        try
        {
            List<double> figures = [];
            await using (PeerProcess server = await PeerProcess.StartAsync(peer, directory))
            {
                await Task.Delay(settling);
                double rest = server.ResidentBytes;
                await using RespConnection redis = await server.ConnectAsync();
                double seconds = 0;
                Pings pings = await Pinger.WhileAsync(server, async () => seconds = await TimeAsync(() => Load(server.Port)));
                figures.AddRange([seconds, pings.LongestMs, pings.P999Ms]);
                figures.AddRange([await MemoryComparison.UsedAsync(redis) / (double)Keys, (server.ResidentBytes - rest) / Keys]);
                pings = await Pinger.WhileAsync(server, async () => seconds = await TimeAsync(() => Read(server.Port)));
                figures.AddRange([seconds, pings.LongestMs, pings.P999Ms]);
                using ResidentPeak peak = new(server);
                pings = await Pinger.WhileAsync(server, async () => seconds = await SaveAsync(redis));
                figures.AddRange([seconds, pings.LongestMs, pings.P999Ms, peak.Bytes / 1e6]);
            }
            await using (PeerProcess server = await PeerProcess.StartAsync(peer, directory))
            {
                double seconds = 0;
                figures.AddRange([server.FirstPong.TotalSeconds, server.LongestPing.TotalMilliseconds]);
                Pings pings = await Pinger.WhileAsync(server, async () => seconds = await TimeAsync(() => Read(server.Port)));
                figures.AddRange([seconds, pings.LongestMs]);
            }
            return [.. figures];
        }
        finally
        {
            Directory.Delete(directory, recursive: true);
        }
    }

    private static Task<double> TimeAsync(Action work) => Task.Factory.StartNew(
        () =>
        {
            long begin = Stopwatch.GetTimestamp();
            work();
            return Stopwatch.GetElapsedTime(begin).TotalSeconds;
        },
        TaskCreationOptions.LongRunning);

    private static async Task<double> SaveAsync(RespConnection redis)
    {
        long begin = Stopwatch.GetTimestamp();
        await redis.LineAsync("BGSAVE");
        while (await redis.InfoAsync("rdb_bgsave_in_progress") != 0) await Task.Delay(20);
        double seconds = Stopwatch.GetElapsedTime(begin).TotalSeconds;
        return (await redis.LineAsync("INFO persistence")).Text.Contains("rdb_last_bgsave_status:ok", StringComparison.Ordinal)
            ? seconds
            : throw new InvalidOperationException("BGSAVE failed.");
    }

    private void Load(int port)
    {
        ReadOnlySpan<byte> begin = "*3\r\n$3\r\nSET\r\n$16\r\n"u8, middle = "\r\n$8\r\n"u8, end = "\r\n"u8;
        int requestBytes = begin.Length + KeyBytes + middle.Length + ValueBytes + end.Length;
        byte[] template = new byte[requestBytes];
        begin.CopyTo(template);
        middle.CopyTo(template.AsSpan(begin.Length + KeyBytes));
        end.CopyTo(template.AsSpan(requestBytes - end.Length));
        int keyAt = begin.Length, valueAt = keyAt + KeyBytes + middle.Length;
        byte[] expected = new byte[Together * "+OK\r\n".Length];
        for (int i = 0; i < Together; i++) "+OK\r\n"u8.CopyTo(expected.AsSpan(i * "+OK\r\n".Length));
        Pipeline(port, Keys, template, (request, i) =>
        {
            WriteKey(request.AsSpan(keyAt), i);
            WriteValue(request.AsSpan(valueAt), i);
        }, expected, static (_, _) => { });
    }

    private void Read(int port)
    {
        ReadOnlySpan<byte> begin = "*2\r\n$3\r\nGET\r\n$16\r\n"u8;
        byte[] template = [.. begin, .. new byte[KeyBytes], .. "\r\n"u8];
        byte[] reply = [.. "$8\r\n"u8, .. new byte[ValueBytes], .. "\r\n"u8];
        int keyAt = begin.Length;
        byte[] expected = [.. Enumerable.Repeat(reply, Together).SelectMany(bytes => bytes)];
        // A fixed sequence that looks random: the keys of each pipeline are far from each other.
        Pipeline(port, Keys / ReadPerKeys, template, (request, i) => WriteKey(request.AsSpan(keyAt), Scattered(i)), expected, (bytes, first) =>
        {
            for (int i = 0; i < Together; i++) WriteValue(bytes.AsSpan((i * reply.Length) + "$8\r\n".Length), Scattered(first + i));
        });
    }

    private int Scattered(int i) => (int)(i * 2_654_435_761L % Keys);

    /// <summary>
    /// Sends requests, all of the same length, in batches, of which one is being answered while the next is sent.
    /// </summary>
    /// <param name="port">The server's.</param>
    /// <param name="count">How many; the last batch is a full one, too.</param>
    /// <param name="template">A request.</param>
    /// <param name="fill">Makes a copy of it the request of this number.</param>
    /// <param name="expected">The replies to a batch.</param>
    /// <param name="expect">Makes that the replies to the batch that begins with this number.</param>
    private static void Pipeline(int port, int count, byte[] template, Action<ArraySegment<byte>, int> fill, byte[] expected, Action<byte[], int> expect)
    {
        byte[] batch = [.. Enumerable.Repeat(template, Together).SelectMany(bytes => bytes)], replies = new byte[expected.Length];
        using System.Net.Sockets.Socket socket = Pinger.Connect(port);
        int batches = (count + Together - 1) / Together;
        for (int i = 0; i <= batches; i++)
        {
            if (i < batches)
            {
                for (int j = 0; j < Together; j++) fill(new(batch, j * template.Length, template.Length), (i * Together) + j);
                socket.Send(batch);
            }
            if (i == 0) continue;
            Pinger.Receive(socket, replies);
            expect(expected, (i - 1) * Together);
            if (!replies.AsSpan().SequenceEqual(expected)) throw new InvalidOperationException($"a reply of batch {i - 1} is not what was to be expected");
        }
    }

    private static void WriteKey(Span<byte> key, int number)
    {
        "key:"u8.CopyTo(key);
        Utf8Formatter.TryFormat(number, key[4..], out _, new('D', KeyBytes - 4));
    }

    /// <summary>No number to the server, which would then need less room for it.</summary>
    private static void WriteValue(Span<byte> value, int number)
    {
        value[0] = (byte)'v';
        Utf8Formatter.TryFormat(number % 10_000_000, value[1..], out _, new('D', ValueBytes - 1));
    }
}
