using OrleansRedis.Tests.Harness;
using Xunit;

namespace OrleansRedis.Tests.Gateway;

/// <summary>Commands that wait for keys of another silo.</summary>
public sealed class RoutedBlockingTests : IAsyncLifetime
{
    private RoutedCluster _cluster = null!;
    private RespConnection _redis = null!, _other = null!;

    public async Task InitializeAsync()
    {
        _cluster = await RoutedCluster.StartAsync();
        _redis = await _cluster[0].ConnectAsync();
        _other = await _cluster[2].ConnectAsync();
    }

    public async Task DisposeAsync()
    {
        await _redis.DisposeAsync();
        await _other.DisposeAsync();
        await _cluster.DisposeAsync();
    }

    [Theory]
    [InlineData("BLPOP {0} 0", "RPUSH {0} v", """["{0}", "v"]""")]
    [InlineData("BRPOPLPUSH {0} {0}:2 0", "LPUSH {0} v", "\"v\"")]
    [InlineData("BLMOVE {0} {0}:2 LEFT LEFT 0", "LPUSH {0} v", "\"v\"")]
    [InlineData("BLMPOP 0 2 {0}:2 {0} LEFT", "LPUSH {0} v", """["{0}", ["v"]]""")]
    [InlineData("BZPOPMIN {0} 0", "ZADD {0} 1 v", """["{0}", "v", "1"]""")]
    [InlineData("XREAD BLOCK 0 STREAMS {0} $", "XADD {0} 5-5 f v", """[["{0}", [["5-5", ["f", "v"]]]]]""")]
    public async Task A_wait_ends_when_the_key_is_there(string wait, string give, string reply)
    {
        string key = "{" + _cluster.KeyOf(1) + "}";
        await _redis.SendRawAsync(wait.Replace("{0}", key) + "\r\n");
        await _cluster[1].Server.BlockedAsync(1);
        Assert.False((await _other.LineAsync(give.Replace("{0}", key))).IsError);
        Assert.Equal(reply.Replace("{0}", key), (await _redis.ReadAsync()).ToString());
        Assert.Equal("+PONG", (await _redis.LineAsync("PING")).ToString());
        await _cluster[1].Server.BlockedAsync(0);
    }

    [Fact]
    public async Task Clients_of_different_silos_are_served_in_the_order_of_their_arrival()
    {
        string key = _cluster.KeyOf(1);
        var clients = new List<RespConnection>();
        for (int i = 0; i < 6; i++)
        {
            clients.Add(await _cluster[i % 3].ConnectAsync());
            await clients[i].SendAsync("BLPOP", key, "0");
            await _cluster[1].Server.BlockedAsync(i + 1);
        }
        await _redis.CallAsync("RPUSH", key, "0", "1", "2", "3", "4", "5");
        for (int i = 0; i < 6; i++)
        {
            Assert.Equal($"[\"{key}\", \"{i}\"]", (await clients[i].ReadAsync()).ToString());
            await clients[i].DisposeAsync();
        }
    }

    [Fact]
    public async Task What_follows_in_the_pipeline_waits_and_what_came_before_is_answered()
    {
        string key = _cluster.KeyOf(1), near = _cluster.KeyOf(0);
        foreach (RespArgument[] command in (RespArgument[][])[["SET", near, "1"], ["SET", key + "x", "1"], ["BLPOP", key, "0"], ["INCR", near]])
            await _redis.SendAsync(command);
        Assert.Equal("+OK", (await _redis.ReadAsync()).ToString());
        Assert.Equal("+OK", (await _redis.ReadAsync()).ToString());
        await _cluster[1].Server.BlockedAsync(1);
        Assert.Equal("\"1\"", (await _other.CallAsync("GET", near)).ToString());
        await _other.CallAsync("RPUSH", key, "v");
        Assert.Equal($"[\"{key}\", \"v\"]", (await _redis.ReadAsync()).ToString());
        Assert.Equal(":2", (await _redis.ReadAsync()).ToString());
    }

    [Fact]
    public async Task A_timeout_passes()
    {
        Assert.True((await _redis.CallAsync("BLPOP", _cluster.KeyOf(1), "0.01")).IsNull);
        await _cluster[1].Server.BlockedAsync(0);
    }

    [Theory]
    [InlineData("TIMEOUT", "nil")]
    [InlineData("ERROR", "-UNBLOCKED client unblocked via CLIENT UNBLOCK")]
    public async Task Client_unblock_ends_it(string reason, string reply)
    {
        long id = (await _redis.LineAsync("CLIENT ID")).Integer;
        await using RespConnection second = await _cluster[0].ConnectAsync();
        Assert.Equal(":0", (await second.CallAsync("CLIENT", "UNBLOCK", id, reason)).ToString());
        await _redis.SendAsync("BLPOP", _cluster.KeyOf(1), "0");
        await _cluster[1].Server.BlockedAsync(1);
        Assert.Contains(" flags=bU ", (await second.CallAsync("CLIENT", "LIST", "ID", id)).Text);
        Assert.Equal(":1", (await second.CallAsync("CLIENT", "UNBLOCK", id, reason)).ToString());
        Assert.Equal(reply, (await _redis.ReadAsync()).ToString());
        Assert.Equal(":0", (await second.CallAsync("CLIENT", "UNBLOCK", id, reason)).ToString());
        await _cluster[1].Server.BlockedAsync(0);
    }

    [Fact]
    public async Task Who_is_gone_is_given_nothing()
    {
        string key = _cluster.KeyOf(1);
        await _redis.SendAsync("BLPOP", key, "0");
        await _cluster[1].Server.BlockedAsync(1);
        await _redis.DisposeAsync();
        await _cluster[1].Server.BlockedAsync(0);
        Assert.Equal(":1", (await _other.CallAsync("RPUSH", key, "v")).ToString());
        Assert.Equal(":1", (await _other.CallAsync("LLEN", key)).ToString());
        await Eventually.TrueAsync(() => _cluster[0].Server.Server.Clients.Count == 0);
    }

    [Fact]
    public async Task Who_is_killed_is_given_nothing()
    {
        string key = _cluster.KeyOf(1);
        long id = (await _redis.LineAsync("CLIENT ID")).Integer;
        await using RespConnection second = await _cluster[0].ConnectAsync();
        await _redis.SendAsync("BLPOP", key, "0");
        await _cluster[1].Server.BlockedAsync(1);
        Assert.Equal(":1", (await second.CallAsync("CLIENT", "KILL", "ID", id)).ToString());
        await _cluster[1].Server.BlockedAsync(0);
        Assert.Equal(":1", (await _other.CallAsync("RPUSH", key, "v")).ToString());
    }

    [Theory]
    [InlineData(1, 2)]
    [InlineData(1, 0)]
    [InlineData(0, 1)]
    public async Task A_wait_moves_with_its_key(int from, int to)
    {
        string key = _cluster.KeyOf(from);
        await _redis.SendAsync("XREAD", "BLOCK", "0", "STREAMS", key, "$");
        await _cluster[from].Server.BlockedAsync(1);
        await _cluster.MoveAsync(RoutedCluster.SlotOf(key), to);
        await _cluster[to].Server.BlockedAsync(1);
        await _cluster[from].Server.BlockedAsync(0);
        Assert.Equal("\"7-7\"", (await _other.CallAsync("XADD", key, "7-7", "f", "v")).ToString());
        Assert.Equal($"""[["{key}", [["7-7", ["f", "v"]]]]]""", (await _redis.ReadAsync()).ToString());
    }

    [Fact]
    public async Task A_timeout_counts_from_the_beginning_of_the_wait()
    {
        string key = _cluster.KeyOf(1);
        int slot = RoutedCluster.SlotOf(key);
        await _redis.SendAsync("BLPOP", key, "0.5");
        for (int to = 2; await _redis.IsSilentAsync(TimeSpan.FromMilliseconds(60)); to = 3 - to) await _cluster.MoveAsync(slot, to);
        Assert.True((await _redis.ReadAsync()).IsNull);
    }

    [Fact]
    public async Task A_wait_whose_connection_breaks_ends_the_clients()
    {
        string key = _cluster.KeyOf(1);
        await _redis.SendAsync("BLPOP", key, "0");
        await _cluster[1].Server.BlockedAsync(1);
        _cluster.Break(0, 1);
        Assert.True(await _redis.IsClosedByServerAsync());
        await _cluster[1].Server.BlockedAsync(0);
    }
}
