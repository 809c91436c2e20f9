using System.Globalization;
using OrleansRedis.Tests.Harness;
using Xunit;

namespace OrleansRedis.Tests.Gateway;

/// <summary>The same with real processes, which have a bus of TCP between them and move slots for themselves.</summary>
[Trait("Needs", "servers")]
public sealed class RoutedProcessTests : IAsyncLifetime
{
    private readonly List<string> _directories = [];
    private RedisProcess[] _silos = [];

    public async Task InitializeAsync()
    {
        int[] ports = [RedisProcess.FreeSiloPort(), RedisProcess.FreeSiloPort()];
        string seeds = string.Join(',', ports.Select(port => $"127.0.0.1:{port.ToString(CultureInfo.InvariantCulture)}"));
        _silos = await Task.WhenAll(ports.Select(port => StartAsync(port, seeds)));
        foreach (RedisProcess silo in _silos) await Eventually.TrueAsync(() => HasItsHalfAsync(silo), silo.Describe);
    }

    public async Task DisposeAsync()
    {
        foreach (RedisProcess silo in _silos) await silo.DisposeAsync();
        foreach (string directory in _directories) Directory.Delete(directory, recursive: true);
    }

    [Fact]
    public async Task Two_processes_are_one_Redis_while_slots_move()
    {
        await using RespConnection first = await _silos[0].ConnectAsync(), second = await _silos[1].ConnectAsync();
        using var enough = new CancellationTokenSource();
        Task<int>[] counting = [.. _silos.Select((silo, i) => Task.Run(() => CountAsync(silo, i, enough.Token)))];
        int to = 0;
        for (int moves = 0; moves < 4; moves++)
        {
            int from = moves * 3000;
            await first.CallAsync("SILO", "MOVE", from, from + 3000, $"127.0.0.1:{_silos[to = 1 - to].Port}");
            await Eventually.TrueAsync(
                async () => (await first.CallAsync("INFO", "cluster")).Text.Contains("orleans_slots_moving:0\r\n", StringComparison.Ordinal));
        }
        await enough.CancelAsync();
        int[] counted = await Task.WhenAll(counting);

        // Whoever looks, from wherever, finds all of it.
        Assert.Equal(":100", (await second.LineAsync("DBSIZE")).ToString());
        Assert.Equal(100, (await first.LineAsync("KEYS *")).Items.Count);
        for (int client = 0; client < 2; client++)
        {
            long sum = 0;
            for (int i = 0; i < 100; i++) sum += (await first.CallAsync("HGET", $"key{i}", $"client{client}")) is { IsNull: false } count ? count.Integer : 0;
            Assert.Equal(counted[client], sum);
        }
        await AssertRestAsync(first, second);
    }

    /// <summary>Commands that are not about one key.</summary>
    private static async Task AssertRestAsync(RespConnection first, RespConnection second)
    {
        Assert.Equal("+OK", (await first.LineAsync("MSET a 1 b 2 c 3 d 4 e 5 f 6")).ToString());
        Assert.Equal("""["1", "2", "3", "4", "5", "6", nil]""", (await second.LineAsync("MGET a b c d e f g")).ToString());
        foreach (string key in (string[])["a", "b", "c", "d", "e", "f"])
        {
            RespValue[] replies = await first.PipelineAsync(["WATCH", key], ["MULTI"], ["INCR", key], ["GET", key], ["EXEC"]);
            Assert.Equal(RespKind.Array, replies[^1].Kind);
            Assert.Equal($"[{replies[^1][1]}]", (await second.CallAsync("EVAL", "return {redis.call('GET', KEYS[1])}", "1", key)).ToString());
            await second.SendAsync("BLPOP", key + ":list", "0");
            await first.CallAsync("RPUSH", key + ":list", "x");
            Assert.Equal($"[\"{key}:list\", \"x\"]", (await second.ReadAsync()).ToString());
        }
        await second.LineAsync("SUBSCRIBE news");
        await first.LineAsync("PUBLISH news hello");
        Assert.Equal("""["message", "news", "hello"]""", (await second.ReadAsync()).ToString());
        Assert.Equal("+OK", (await first.LineAsync("FLUSHALL")).ToString());
        Assert.Equal(":0", (await first.LineAsync("DBSIZE")).ToString());
    }

    /// <summary>Counts in fields of its own, in pipelines, and returns how often it has.</summary>
    private static async Task<int> CountAsync(RedisProcess silo, int number, CancellationToken enough)
    {
        string client = $"client{number}";
        await using RespConnection redis = await silo.ConnectAsync();
        Random random = TestSeed.Random(number, nameof(Two_processes_are_one_Redis_while_slots_move));
        var counts = new int[100];
        int sum = 0;
        for (int round = 0; round == 0 || !enough.IsCancellationRequested; round++)
        {
            var commands = new List<RespArgument[]>();
            var expected = new List<string>();
            for (int i = 0; i < (round == 0 ? 100 : random.Next(1, 40)); i++)
            {
                int key = round == 0 ? i : random.Next(100);
                commands.Add(["HINCRBY", $"key{key}", client, "1"]);
                expected.Add($":{++counts[key]}");
                sum++;
            }
            Assert.Equal(expected, (await redis.PipelineAsync(commands)).Select(reply => reply.ToString()));
        }
        return sum;
    }

    private static async Task<bool> HasItsHalfAsync(RedisProcess silo)
    {
        try
        {
            await using RespConnection redis = await silo.ConnectAsync();
            string info = (await redis.CallAsync("INFO", "cluster")).Text;
            return ((string[])["orleans_slots_open:8192", "orleans_slots_moving:0", "orleans_lease:held"])
                .All(field => info.Contains(field + "\r\n", StringComparison.Ordinal));
        }
        catch (RespException)
        {
            return false; // while the cluster grows, a silo may have no lease for a moment, and then answers nothing
        }
    }

    private Task<RedisProcess> StartAsync(int siloPort, string seeds)
    {
        string directory = Directory.CreateTempSubdirectory("orleansredis-silo-").FullName;
        lock (_directories) _directories.Add(directory);
        return RedisProcess.StartAsync(
            ServerKind.OrleansRedis, directory, RedisProcess.FreePort(),
            [
                "--orleans-clustering", "raft", "--orleans-seeds", seeds, "--orleans-silo-port", siloPort.ToString(CultureInfo.InvariantCulture),
                "--orleans-bus-port", RedisProcess.FreePort().ToString(CultureInfo.InvariantCulture),
                // So long that the test does not fail because the machine is busy.
                "--cluster-node-timeout", "15000",
            ]);
    }
}
