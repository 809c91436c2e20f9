using System.Collections.Concurrent;
using System.Diagnostics;
using System.Globalization;
using OrleansRedis.Tests.Harness;
using Xunit;

namespace OrleansRedis.Tests.Gateway;

/// <summary>
/// What clients of several silos see of a few keys, while slots move and connections between silos break, is what they
/// could have seen of one Redis.
/// </summary>
public sealed class RoutedHistoryTests : IAsyncLifetime
{
    private const int Groups = 3; // of keys that share a slot

    private readonly ConcurrentQueue<HistoryEntry> _history = new();
    private RoutedCluster _cluster = null!;
    private int _values, _clients;

    public async Task InitializeAsync() => _cluster = await RoutedCluster.StartAsync();

    public async Task DisposeAsync() => await _cluster.DisposeAsync();

    [Theory]
    [InlineData(false, false)]
    [InlineData(true, false)]
    [InlineData(false, true)]
    [InlineData(true, true)]
    public async Task Histories_are_linearizable(bool slotsMove, bool connectionsBreak)
    {
        using var stop = new CancellationTokenSource();
        int stream = (slotsMove ? 1 : 0) + (connectionsBreak ? 2 : 0);
        Random random = TestSeed.Random(100 + stream, nameof(Histories_are_linearizable));
        Task disturbing = Task.Run(() => DisturbAsync(slotsMove, connectionsBreak, random, stop.Token));
        await Task.WhenAll(Enumerable.Range(0, 6).Select(
            client => Task.Run(() => CallAsync(client % 3, TestSeed.Random((10 * stream) + client, nameof(Histories_are_linearizable))))));
        await stop.CancelAsync();
        await disturbing;
        Assert.InRange(_history.Count, 100, int.MaxValue);
        Assert.Null(Linearizability.Refute(_history));
    }

    private async Task DisturbAsync(bool slotsMove, bool connectionsBreak, Random random, CancellationToken stop)
    {
        while (!stop.IsCancellationRequested)
        {
            int slot = RoutedCluster.SlotOf($"{{{random.Next(Groups)}}}"), to = random.Next(3);
            if (slotsMove && _cluster.Map[slot].Owner != _cluster[to].Self)
            {
                await _cluster.MoveAsync(slot, to, whoLearns: [random.Next(3)]);
                await Task.Yield();
                for (int silo = 0; silo < 3; silo++) _cluster[silo].Adopt(_cluster.Map);
            }
            if (connectionsBreak && random.Next(8) == 0) _cluster.Break(to, (to + 1) % 3);
            await Task.Delay(1, CancellationToken.None);
        }
    }

    private async Task CallAsync(int silo, Random random)
    {
        RespConnection redis = await _cluster[silo].ConnectAsync();
        int client = Interlocked.Increment(ref _clients);
        for (int i = 0; i < 120; i++)
        {
            string[] words = Draw(random);
            long invoked = Stopwatch.GetTimestamp();
            string? reply = null;
            try
            {
                reply = await CallAsync(redis, words);
            }
            catch (RespException)
            {
                // The connection was closed, since nobody knows what has become of the command.
                await redis.DisposeAsync();
                redis = await _cluster[silo].ConnectAsync();
            }
            _history.Enqueue(new(client, words, reply, invoked, Stopwatch.GetTimestamp()));
            if (reply is null) client = Interlocked.Increment(ref _clients);
        }
        await redis.DisposeAsync();
    }

    private static async Task<string> CallAsync(RespConnection redis, string[] words)
    {
        if (!words.Contains(";")) return (await redis.CallAsync([.. words.Select(word => (RespArgument)word)])).ToString();
        var commands = new List<RespArgument[]> { new RespArgument[] { "MULTI" } };
        string[] rest = words;
        while (rest.Length != 0)
        {
            int end = Array.IndexOf(rest, ";");
            string[] command = end < 0 ? rest : rest[..end];
            commands.Add([.. command.Select(word => (RespArgument)word)]);
            rest = end < 0 ? [] : rest[(end + 1)..];
        }
        commands.Add(["EXEC"]);
        return (await redis.PipelineAsync(commands))[^1].ToString();
    }

    private string[] Draw(Random random)
    {
        string tag = $"{{{random.Next(Groups)}}}", text = tag + "s", other = tag + "t", list = tag + "l";
        string value = Interlocked.Increment(ref _values).ToString(CultureInfo.InvariantCulture);
        string words = random.Next(14) switch
        {
            0 => $"SET {text} {value}",
            1 => $"SET {text} {value} GET",
            2 => $"SETNX {text} {value}",
            3 => $"INCR {other}",
            4 => $"GETDEL {text}",
            5 => $"DEL {text} {other}",
            6 => $"MSET {text} {value} {other} {value}",
            7 => $"MGET {text} {other}",
            8 => $"RPUSH {list} {value}",
            9 => $"LPOP {list}",
            10 => $"LRANGE {list} 0 -1",
            11 => $"SET {text} {value} ; INCR {other} ; RPUSH {list} {value}",
            12 => $"GET {text} ; GET {other}",
            _ => $"GET {text}",
        };
        return words.Split(' ');
    }
}
