using System.Globalization;
using OrleansRedis.Tests.Harness;
using Xunit;

namespace OrleansRedis.Tests;

/// <summary>
/// A cluster of this server and of redis-server 7.0.15. Each knows of the other by its file, and nothing more, since there
/// is no bus between them: enough to move slots as redis-cli does it.
/// </summary>
public sealed class ClusterBesideRedisTests : IDisposable
{
    private const string Mine = ClusterNodeHarness.Mine, Other = ClusterNodeHarness.Other;
    private const int Slot = 12182; // of {foo}

    private readonly List<DirectoryInfo> _directories = [];

    public void Dispose() => _directories.ForEach(directory => directory.Delete(recursive: true));

    [Fact]
    public async Task A_slot_goes_to_redis_and_back_while_its_keys_are_written()
    {
        int ourPort = RedisProcess.FreePort(), itsPort = RedisProcess.FreePort(), busPort = RedisProcess.FreePort();
        await using RedisProcess ours = await StartAsync(ServerKind.OrleansRedis, Mine, ourPort);
        await using RedisProcess redis = await StartAsync(ServerKind.Redis, Other, itsPort, "--cluster-port", busPort.ToString(CultureInfo.InvariantCulture));
        await using RespConnection here = await ours.ConnectAsync(), there = await redis.ConnectAsync();
        await Eventually.TrueAsync(async () => (await there.CallAsync("CLUSTER", "INFO")).Text.StartsWith("cluster_state:ok", StringComparison.Ordinal));
        using var over = new CancellationTokenSource();
        Task<long>[] writers = [WriteAsync(itsPort, "{foo}n"), WriteAsync(ourPort, "{foo}n"), WriteAsync(ourPort, "{foo}m")];
        for (int i = 0; i < 200; i++) await there.CallAsync("HSET", $"{{foo}}{i}", "f", i);
        for (int round = 0; round < 2; round++)
        {
            await MoveAsync(there, here, from: Other, to: Mine, toPort: ourPort);
            Assert.Equal($"-MOVED {Slot} 127.0.0.1:{ourPort}", (await there.CallAsync("GET", "foo")).ToString());
            Assert.Equal("199", (await here.CallAsync("HGET", "{foo}199", "f")).Text);
            await MoveAsync(here, there, from: Mine, to: Other, toPort: itsPort);
            Assert.Equal($"-MOVED {Slot} 127.0.0.1:{itsPort}", (await here.CallAsync("GET", "foo")).ToString());
            Assert.Equal("199", (await there.CallAsync("HGET", "{foo}199", "f")).Text);
        }
        await over.CancelAsync();
        long[] done = await Task.WhenAll(writers);
        Assert.Equal(done[0] + done[1], (await there.CallAsync("GET", "{foo}n")).Integer);
        Assert.Equal(done[2], (await there.CallAsync("GET", "{foo}m")).Integer);
        Assert.Equal(0, (await here.CallAsync("DBSIZE")).Integer);

        async Task<RedisProcess> StartAsync(ServerKind kind, string id, int port, params string[] more)
        {
            DirectoryInfo directory = Directory.CreateTempSubdirectory("orleansredis-test-");
            _directories.Add(directory);
            string Me(string node) => node == id ? "myself," : "";
            await File.WriteAllTextAsync(Path.Combine(directory.FullName, "nodes.conf"),
                $"{Mine} 127.0.0.1:{ourPort}@1 {Me(Mine)}master - 0 0 1 connected 0-8191\n"
                + $"{Other} 127.0.0.1:{itsPort}@{busPort} {Me(Other)}master - 0 0 2 connected 8192-16383\nvars currentEpoch 2 lastVoteEpoch 0\n");
            // The other node never answers on the bus. Nobody is to conclude anything from that.
            return await RedisProcess.StartAsync(kind, directory.FullName, port, ["--cluster-enabled", "yes", "--cluster-node-timeout", "10000000", .. more]);
        }

        // A client that follows redirections, as cluster clients do.
        async Task<long> WriteAsync(int port, string key)
        {
            await using RespConnection atOurs = await ours.ConnectAsync(), atRedis = await redis.ConnectAsync();
            for (long done = 0; ; done++)
            {
                if (over.IsCancellationRequested) return done;
                RespValue reply = await On(port).CallAsync("INCR", key);
                while (reply.IsError)
                {
                    string[] words = reply.Text.Split(' ', ':');
                    Assert.True(words[0] is "MOVED" or "ASK", reply.Text);
                    int target = int.Parse(words[^1], CultureInfo.InvariantCulture);
                    if (words[0] == "MOVED") port = target;
                    else await On(target).CallAsync("ASKING");
                    reply = await On(target).CallAsync("INCR", key);
                }
            }

            RespConnection On(int at) => at == ourPort ? atOurs : atRedis;
        }
    }

    /// <summary>As redis-cli --cluster reshard moves a slot.</summary>
    private static async Task MoveAsync(RespConnection source, RespConnection target, string from, string to, int toPort)
    {
        Assert.Equal("+OK", (await target.CallAsync("CLUSTER", "SETSLOT", Slot, "IMPORTING", from)).ToString());
        Assert.Equal("+OK", (await source.CallAsync("CLUSTER", "SETSLOT", Slot, "MIGRATING", to)).ToString());
        while ((await source.CallAsync("CLUSTER", "GETKEYSINSLOT", Slot, 10)).Items is { Count: > 0 } keys)
        {
            RespValue reply = await source.CallAsync(
                ["MIGRATE", "127.0.0.1", toPort, "", 0, 60000, "KEYS", .. keys.Select(key => (RespArgument)key.Bytes)]);
            Assert.True(reply.ToString() is "+OK" or "+NOKEY", reply.ToString());
        }
        Assert.Equal("+OK", (await target.CallAsync("CLUSTER", "SETSLOT", Slot, "NODE", to)).ToString());
        Assert.Equal("+OK", (await source.CallAsync("CLUSTER", "SETSLOT", Slot, "NODE", to)).ToString());
    }

    [Fact]
    public async Task Replies_have_the_shapes_of_redis_s()
    {
        await using RedisProcess ours = await RedisProcess.StartAsync(ServerKind.OrleansRedis, "--cluster-enabled", "yes");
        await using RedisProcess redis = await RedisProcess.StartAsync(
            ServerKind.Redis, "--cluster-enabled", "yes", "--cluster-port", RedisProcess.FreePort().ToString(CultureInfo.InvariantCulture));
        foreach (int protocol in new[] { 2, 3 })
        {
            await using RespConnection mine = await ours.ConnectAsync(), theirs = await redis.ConnectAsync();
            await mine.HelloAsync(protocol);
            await theirs.HelloAsync(protocol);
            foreach (string line in new[]
            {
                "CLUSTER ADDSLOTSRANGE 0 16383", "CLUSTER MYID", "CLUSTER NODES", "CLUSTER INFO", "CLUSTER SLOTS", "CLUSTER SHARDS", "CLUSTER LINKS",
                "CLUSTER KEYSLOT foo", "CLUSTER COUNTKEYSINSLOT 1", "CLUSTER GETKEYSINSLOT 1 1", "CLUSTER SAVECONFIG", "CLUSTER BUMPEPOCH", "CLUSTER BUMPEPOCH",
                "CLUSTER REPLICAS x", "CLUSTER RESET", "READONLY", "READWRITE", "ASKING", "CLUSTER SETSLOT 1", "CLUSTER KEYSLOT", "CLUSTER RESET SOFT x",
                "CLUSTER ADDSLOTS", "CLUSTER ADDSLOTS 1 1", "CLUSTER FLUSHSLOTS x", "CLUSTER COUNT-FAILURE-REPORTS x",
            })
                Assert.Equal(Shape(await theirs.LineAsync(line)), Shape(await mine.LineAsync(line)));
        }
    }

    /// <summary>A reply without what must differ: ids, addresses, ports, offsets. Errors and names stay.</summary>
    private static string Shape(RespValue value) => value.Kind switch
    {
        RespKind.Error => value.ToString(),
        RespKind.BulkString or RespKind.VerbatimString when value.Text.Contains(':', StringComparison.Ordinal) =>
            value.Kind + string.Join('|', value.Text.Split('\n').Select(line => line.Contains("myself", StringComparison.Ordinal)
                ? string.Join(' ', line.Split(' ')[2..]) : line.Split(':')[0])),
        RespKind.Array or RespKind.Map or RespKind.Push => $"{value.Kind}[{string.Join(", ", value.Items.Select(Shape))}]",
        RespKind.BulkString when value.Text.All(char.IsAsciiLetterLower) && value.Text.Length > 1 => value.Text,
        _ => value.Kind.ToString(),
    };
}
