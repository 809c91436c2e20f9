using System.Buffers.Text;
using System.Diagnostics;
using System.Globalization;
using System.Net.Sockets;
using OrleansRedis.Tests.Harness;

namespace OrleansRedis.Benchmarks;

/// <summary>
/// What other clients notice while a server takes in many new keys, and how the memory of its process follows the data:
/// up, down, within maxmemory, and when values are replaced by others of other sizes. Each scenario has a process of its
/// own; "over rest" is without what that process took before it had data.
/// </summary>
internal sealed class LatencyComparison(ComparisonOptions options, IReadOnlyList<Peer> servers)
{
    private const int Pipeline = 16, EvictedValueBytes = 100, EvictedKeyBytes = 16;
    private const double LiveBytesPerKey = 488e6 / 12e6;
    private static readonly TimeSpan settling = TimeSpan.FromSeconds(5);

    /// <summary>The names that <c>--only</c> takes here.</summary>
    public static IEnumerable<string> Names { get; } = ["INSERT", "EVICT", "EVICT-1GB", "OVERWRITE"];

    private int Keys => options.Keys ?? (options.Quick ? 1_200_000 : 12_000_000);

    public async Task RunAsync(FigureTable table)
    {
        table.Header("latency and resident memory");
        await RowsAsync(table, "INSERT", InsertAsync,
            ($"longest PING meanwhile ({Keys:N0} new keys at P={Pipeline}), ms", "F1"),
            ("p99.9 of PING meanwhile, ms", "F2"),
            ("seconds that it took", "F1"),
            ("resident after it over rest, MB", "F0"),
            ("used_memory after it, MB", "F0"),
            ("5 s after FLUSHALL: resident over rest, MB", "F0"),
            ("and after MEMORY PURGE", "F0"));
        await EvictionRowsAsync(table, "EVICT", limitMb: 200);
        await EvictionRowsAsync(table, "EVICT-1GB", limitMb: options.Quick ? 100 : 1024);
        await RowsAsync(table, "OVERWRITE", OverwriteAsync,
            ($"{Keys * LiveBytesPerKey / 1e6:N0} MB at random sizes overwritten 5 times: peak / used", "F2"),
            ("idle with little data after that: resident over rest, MB", "F0"),
            ("and after MEMORY PURGE", "F0"));
    }

    private Task EvictionRowsAsync(FigureTable table, string name, int limitMb) => RowsAsync(table, name, server => EvictAsync(server, limitMb),
        ($"maxmemory {limitMb}mb, twice as much written: peak over rest / maxmemory", "F2"),
        ("the same: seconds", "F1"));

    private async Task RowsAsync(FigureTable table, string name, Func<PeerProcess, Task<double[]>> measureAsync, params (string What, string Format)[] rows)
    {
        if (options.Only.Length != 0 && !options.Only.Contains(name)) return;
        double[][][] samples = await Alternation.RunAsync(servers.Count, options.Rounds ?? 1, async who =>
        {
            await using PeerProcess server = await PeerProcess.StartAsync(servers[who]);
            await Task.Delay(settling);
            return await measureAsync(server);
        });
        for (int row = 0; row < rows.Length; row++)
            table.Row(rows[row].What, [.. samples.Select(rounds => rounds.Select(sample => sample[row]).ToArray())], Better.Lower, rows[row].Format);
    }

    private async Task<double[]> InsertAsync(PeerProcess server)
    {
        double rest = server.ResidentBytes;
        double seconds = 0;
        Pings pings = await Pinger.WhileAsync(server, async () =>
        {
            long begin = Stopwatch.GetTimestamp();
            await RedisBenchmark.RunAsync(server, int.MaxValue, Pipeline, Keys, "-t", "set", "--csv");
            seconds = Stopwatch.GetElapsedTime(begin).TotalSeconds;
        });
        await using RespConnection redis = await server.ConnectAsync();
        double resident = server.ResidentBytes, used = await UsedAsync(redis);
        await redis.CallAsync("FLUSHALL");
        (double later, double purged) = await SettleAsync(server, redis);
        return
        [
            pings.LongestMs, pings.P999Ms, seconds, (resident - rest) / 1e6, used / 1e6, (later - rest) / 1e6, (purged - rest) / 1e6,
        ];
    }

    private static async Task<double[]> EvictAsync(PeerProcess server, int limitMb)
    {
        double rest = server.ResidentBytes;
        await using RespConnection redis = await server.ConnectAsync();
        await redis.CallAsync("CONFIG", "SET", "maxmemory", $"{limitMb}mb", "maxmemory-policy", "allkeys-lru");
        using ResidentPeak peak = new(server);
        double limit = limitMb * 1024.0 * 1024;
        long begin = Stopwatch.GetTimestamp();
        await RedisBenchmark.RunAsync(
            server, int.MaxValue, Pipeline, (int)(2 * limit / (EvictedKeyBytes + EvictedValueBytes)), "-d", Text(EvictedValueBytes), "-t", "set", "--csv");
        return [(peak.Bytes - rest) / limit, Stopwatch.GetElapsedTime(begin).TotalSeconds];
    }

    private async Task<double[]> OverwriteAsync(PeerProcess server)
    {
        double rest = server.ResidentBytes;
        await using RespConnection redis = await server.ConnectAsync();
        using ResidentPeak peak = new(server);
        double used = 0;
        await Task.Factory.StartNew(() => Overwrite(server.Port), CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
        used = await UsedAsync(redis);
        double most = peak.Bytes;
        // Little is left, and not side by side.
        await redis.CallAsync("CONFIG", "SET", "maxmemory", "16mb", "maxmemory-policy", "allkeys-random");
        await Eventually.TrueAsync(async () => await UsedAsync(redis) <= 16 << 20);
        (double later, double purged) = await SettleAsync(server, redis);
        return [(most - rest) / used, (later - rest) / 1e6, (purged - rest) / 1e6];
    }

    /// <summary>Sets keys to values of random sizes, first each of them, then any.</summary>
    private void Overwrite(int port)
    {
        const int Batch = 64, LeastBytes = 16, Doublings = 10; // sizes from 16 bytes to 16 kB, each as likely as twice that
        double mean = LeastBytes * (Math.Pow(2, Doublings) - 1) / (Doublings * Math.Log(2));
        int keys = (int)(Keys * LiveBytesPerKey / mean);
        Random random = new(1);
        byte[] value = new byte[LeastBytes << Doublings], request = new byte[Batch * (value.Length + 64)], reply = new byte[Batch * "+OK\r\n".Length];
        using Socket socket = Pinger.Connect(port);
        for (int i = 0; i < 6 * keys; i += Batch)
        {
            int length = 0;
            for (int j = i; j < i + Batch; j++)
            {
                int valueLength = (int)(LeastBytes * Math.Pow(2, random.NextDouble() * Doublings));
                "*3\r\n$3\r\nSET\r\n$9\r\n"u8.CopyTo(request.AsSpan(length));
                length += "*3\r\n$3\r\nSET\r\n$9\r\n".Length;
                Utf8Formatter.TryFormat(j < keys ? j : random.Next(keys), request.AsSpan(length), out _, new('D', 9));
                length += 9;
                "\r\n$"u8.CopyTo(request.AsSpan(length));
                length += "\r\n$".Length;
                Utf8Formatter.TryFormat(valueLength, request.AsSpan(length), out int digits);
                length += digits;
                "\r\n"u8.CopyTo(request.AsSpan(length));
                length += "\r\n".Length + valueLength;
                "\r\n"u8.CopyTo(request.AsSpan(length));
                length += "\r\n".Length;
            }

            socket.Send(request.AsSpan(0, length));
            Pinger.Receive(socket, reply);
            if (!reply.AsSpan().StartsWith("+OK"u8))
                throw new InvalidOperationException("SET was not answered OK");
        }
    }

    /// <summary>Resident bytes five seconds later, and then after MEMORY PURGE.</summary>
    private static async Task<(double Later, double Purged)> SettleAsync(PeerProcess server, RespConnection redis)
    {
        await Task.Delay(settling);
        double later = server.ResidentBytes;
        await redis.CallAsync("MEMORY", "PURGE");
        return (later, server.ResidentBytes);
    }

    private static async Task<double> UsedAsync(RespConnection redis) => await MemoryComparison.UsedAsync(redis);

    private static string Text(int number) => number.ToString(CultureInfo.InvariantCulture);
}
