using OrleansRedis.Gateway;
using OrleansRedis.Tests.Harness;
using Xunit;

namespace OrleansRedis.Tests.Gateway;

/// <summary>Commands whose slot moves, has no owner, or whose answer is lost.</summary>
public sealed class RoutedMovesTests : IAsyncLifetime
{
    private RoutedCluster _cluster = null!;
    private RespConnection _redis = null!;

    public async Task InitializeAsync()
    {
        _cluster = await RoutedCluster.StartAsync();
        _redis = await _cluster[0].ConnectAsync();
    }

    public async Task DisposeAsync()
    {
        await _redis.DisposeAsync();
        await _cluster.DisposeAsync();
    }

    [Theory]
    [InlineData(1, 2)]
    [InlineData(0, 1)]
    [InlineData(2, 0)]
    public async Task Who_has_an_old_map_asks_again_when_it_learns_of_the_new_one(int from, int to)
    {
        string key = _cluster.KeyOf(from);
        int slot = RoutedCluster.SlotOf(key);
        await _redis.CallAsync("RPUSH", key, "1");
        await _cluster.MoveAsync(slot, to, whoLearns: []);
        Task<RespValue[]> pipeline = _redis.PipelineAsync(["RPUSH", key, "2"], ["RPUSH", key, "3"], ["LRANGE", key, "0", "-1"]);
        for (int silo = 0; silo < 3; silo++)
        {
            await Task.Yield();
            _cluster[silo].Adopt(_cluster.Map);
        }
        Assert.Equal("""[:2, :3, ["1", "2", "3"]]""", $"[{string.Join(", ", (IEnumerable<RespValue>)await pipeline)}]");
    }

    [Fact]
    public async Task Slots_that_move_all_the_time_are_not_noticed()
    {
        using var stop = new CancellationTokenSource();
        string[] keys = [.. Enumerable.Range(0, 12).Select(i => $"moving{i}")];
        Task mover = Task.Run(async () =>
        {
            Random random = TestSeed.Random(stream: 99, test: nameof(Slots_that_move_all_the_time_are_not_noticed));
            while (!stop.IsCancellationRequested)
            {
                int slot = RoutedCluster.SlotOf(keys[random.Next(keys.Length)]);
                int to = random.Next(3);
                if (_cluster.Map[slot].Owner == _cluster[to].Self) continue;
                await _cluster.MoveAsync(slot, to, whoLearns: [random.Next(3)]);
                await Task.Yield();
                for (int silo = 0; silo < 3; silo++) _cluster[silo].Adopt(_cluster.Map);
            }
        });
        Task[] clients = [.. Enumerable.Range(0, 3).Select(silo => Task.Run(() => CountAsync(silo)))];
        await Task.WhenAll(clients);
        await stop.CancelAsync();
        await mover;

        async Task CountAsync(int silo)
        {
            Random random = TestSeed.Random(silo, nameof(Slots_that_move_all_the_time_are_not_noticed));
            await using RespConnection client = await _cluster[silo].ConnectAsync();
            var counts = new int[keys.Length];
            for (int round = 0; round < 200; round++)
            {
                var commands = new List<RespArgument[]>();
                var expected = new List<string>();
                for (int i = random.Next(1, 30); i > 0; i--)
                {
                    int key = random.Next(keys.Length);
                    // One field for each client: what it sees there is its own.
                    commands.Add(["HINCRBY", keys[key], $"client{silo}", "1"]);
                    expected.Add($":{++counts[key]}");
                }
                Assert.Equal(expected, (await client.PipelineAsync(commands)).Select(reply => reply.ToString()));
            }
        }
    }

    [Fact]
    public async Task A_slot_without_an_owner_is_waited_for()
    {
        string key = _cluster.KeyOf(1);
        int slot = RoutedCluster.SlotOf(key);
        await _redis.CallAsync("SET", key, "v");
        byte[][][] keys = await _cluster[1].TakeAwayAsync(slot);
        _cluster.Assign(slot, -1);
        await _redis.SendAsync("APPEND", key, "w");
        await _redis.SendAsync("GET", _cluster.KeyOf(2));
        _cluster.Decide(slot, 2);
        await _cluster[2].BringAsync(slot, 3, keys);
        for (int silo = 0; silo < 3; silo++) _cluster[silo].Adopt(_cluster.Map);
        Assert.Equal(":2", (await _redis.ReadAsync()).ToString());
        Assert.Equal("nil", (await _redis.ReadAsync()).ToString());
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task After_a_while_nobody_waits_any_more(bool isKnownToBeGone)
    {
        _cluster[0].Remote.PatienceMs = 50;
        string key = _cluster.KeyOf(1), other = _cluster.KeyOf(2);
        int slot = RoutedCluster.SlotOf(key);
        await _cluster[1].TakeAwayAsync(slot);
        if (isKnownToBeGone) _cluster.Assign(slot, -1);
        RespValue[] replies = await _redis.PipelineAsync(["SET", other, "1"], ["SET", key, "v"], ["GET", other]);
        Assert.Equal(["+OK", "-CLUSTERDOWN Hash slot not served", "\"1\""], replies.Select(reply => reply.ToString()));
    }

    [Fact]
    public async Task A_read_whose_answer_is_lost_is_asked_for_again()
    {
        string key = _cluster.KeyOf(1);
        await _redis.CallAsync("SET", key, "v");
        LoseOne(1, RouteKinds.Answers);
        Assert.Equal("\"v\"", (await _redis.CallAsync("GET", key)).ToString());
    }

    [Theory]
    [InlineData(RouteKinds.Requests)]
    [InlineData(RouteKinds.Answers)]
    public async Task A_write_whose_outcome_cannot_be_known_ends_the_connection(byte lost)
    {
        string key = _cluster.KeyOf(1), other = _cluster.KeyOf(2), near = _cluster.KeyOf(0);
        await _redis.CallAsync("SET", key, "0");
        LoseOne(lost == RouteKinds.Answers ? 1 : 0, lost, to: lost == RouteKinds.Answers ? 0 : 1);
        await _redis.SendRawAsync($"SET {other} 1\r\nGET {key}\r\nINCR {key}\r\nGET {key}\r\nSET {near} 1\r\n");
        // What was read before may have been read after, as it has to be asked for again.
        Assert.Equal("+OK\r\n", System.Text.Encoding.Latin1.GetString(await _redis.ReadToEndAsync()));
        await using RespConnection next = await _cluster[0].ConnectAsync();
        Assert.Equal(lost == RouteKinds.Answers ? "\"1\"" : "\"0\"", (await next.CallAsync("GET", key)).ToString());
    }

    [Fact]
    public async Task A_silo_that_may_not_answer_any_more_does_not()
    {
        string key = _cluster.KeyOf(1);
        await _redis.CallAsync("SET", key, "v");
        await using RespConnection writer = await _cluster[0].ConnectAsync();
        using (new HeldGate(_cluster[1].Server.Store.Slots[RoutedCluster.SlotOf(key)]!))
        {
            int before = _cluster[1].Taken[RouteKinds.Requests];
            await writer.SendAsync("APPEND", key, "w");
            await Eventually.TrueAsync(() => _cluster[1].Taken[RouteKinds.Requests] > before);
            _cluster[1].HoldsLease = false;
        }
        Assert.True(await writer.IsClosedByServerAsync());
        await _redis.SendAsync("GET", key);
        _cluster[1].HoldsLease = true;
        Assert.Equal("\"vw\"", (await _redis.ReadAsync()).ToString());
    }

    /// <summary>The next message of this kind is lost, since the connection breaks.</summary>
    private void LoseOne(int silo, byte kind, int to = 0)
    {
        int lost = 0;
        _cluster[silo].Loses = (target, sent) =>
        {
            if (sent != kind || target != _cluster[to].Self || Interlocked.Exchange(ref lost, 1) != 0) return false;
            _cluster.Break(silo, to);
            return true;
        };
    }
}
