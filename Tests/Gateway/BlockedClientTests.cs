using OrleansRedis.Engine;
using OrleansRedis.Tests.Harness;
using Xunit;

namespace OrleansRedis.Tests.Gateway;

/// <summary>Blocking commands over sockets: what a connection does while it waits.</summary>
public class BlockedClientTests
{
    [Fact]
    public async Task Requests_behind_a_blocked_one_run_after_it()
    {
        await using InProcessServer redis = await InProcessServer.StartAsync();
        await using RespConnection waiting = await redis.ConnectAsync(), pusher = await redis.ConnectAsync();
        await waiting.SendRawAsync("BLPOP k 0\r\nLLEN k\r\nBRPOP k 0\r\nLLEN k\r\n");
        await redis.BlockedAsync(1);
        Assert.Equal(":2", (await pusher.CallAsync("RPUSH", "k", "a", "b")).ToString());
        Assert.Equal("""["k", "a"]""", (await waiting.ReadAsync()).ToString());
        Assert.Equal(":1", (await waiting.ReadAsync()).ToString());
        Assert.Equal("""["k", "b"]""", (await waiting.ReadAsync()).ToString());
        Assert.Equal(":0", (await waiting.ReadAsync()).ToString());
    }

    [Fact]
    public async Task A_pipeline_of_pushes_serves_each_before_the_next()
    {
        await using InProcessServer redis = await InProcessServer.StartAsync();
        await using RespConnection waiting = await redis.ConnectAsync(), pusher = await redis.ConnectAsync();
        await waiting.SendAsync("BLMPOP", "0", "2", "k", "other", "LEFT", "COUNT", "10");
        await redis.BlockedAsync(1);
        await pusher.SendRawAsync("RPUSH k a\r\nLLEN k\r\nRPUSH k b\r\nLLEN k\r\n");
        int[] expected = [1, 0, 1, 1];
        foreach (int length in expected) Assert.Equal(length, (await pusher.ReadAsync()).Integer);
        Assert.Equal("""["k", ["a"]]""", (await waiting.ReadAsync()).ToString());
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_client_that_disconnects_while_blocked_is_forgotten(bool reset)
    {
        await using InProcessServer redis = await InProcessServer.StartAsync();
        await using RespConnection pusher = await redis.ConnectAsync();
        RespConnection waiting = await redis.ConnectAsync();
        await waiting.SendAsync("BLPOP", "k", "l", "0");
        await redis.BlockedAsync(1);
        if (reset) waiting.Abort();
        else await waiting.DisposeAsync();
        await redis.BlockedAsync(0);
        Assert.Equal(":1", (await pusher.CallAsync("RPUSH", "k", "a")).ToString());
        Assert.Equal(":1", (await pusher.CallAsync("LLEN", "k")).ToString());
        Assert.True(redis.NobodyWatches);
        await Eventually.TrueAsync(() => redis.Server.Clients.Count == 1);
    }

    [Fact]
    public async Task A_killed_client_is_forgotten()
    {
        await using InProcessServer redis = await InProcessServer.StartAsync();
        await using RespConnection waiting = await redis.ConnectAsync();
        await waiting.SendAsync("BLPOP", "k", "l", "0");
        await redis.BlockedAsync(1);
        redis.Server.Clients.All.Single().Kill();
        await redis.BlockedAsync(0);
        Assert.True(redis.NobodyWatches);
    }

    [Fact]
    public async Task Timeouts_and_unblocking_let_the_client_go_on()
    {
        await using InProcessServer redis = await InProcessServer.StartAsync();
        await using RespConnection waiting = await redis.ConnectAsync();
        Assert.Equal("nil", (await waiting.CallAsync("BLPOP", "k", "0.01")).ToString());
        await waiting.SendAsync("BLPOP", "k", "0");
        await redis.BlockedAsync(1);
        Assert.True(redis.Server.Clients.All.Single().Blocked!.TryEnd(BlockedEnd.Unblocked));
        Assert.Equal("-UNBLOCKED client unblocked via CLIENT UNBLOCK", (await waiting.ReadAsync()).ToString());
        Assert.Equal("+PONG", (await waiting.CallAsync("PING")).ToString());
    }

    [Fact]
    public async Task A_watching_client_that_disconnects_is_forgotten()
    {
        await using InProcessServer redis = await InProcessServer.StartAsync();
        RespConnection watching = await redis.ConnectAsync();
        await watching.CallAsync("WATCH", "a", "b", "c");
        await watching.CallAsync("MULTI");
        Assert.Equal("+QUEUED", (await watching.CallAsync("SET", "a", "1")).ToString());
        Assert.False(redis.NobodyWatches);
        await watching.DisposeAsync();
        await Eventually.TrueAsync(() => redis.NobodyWatches);
    }

    [Fact]
    public async Task A_pipelined_transaction_replies_in_order()
    {
        await using InProcessServer redis = await InProcessServer.StartAsync();
        await using RespConnection client = await redis.ConnectAsync();
        await client.SendRawAsync("MULTI\r\nSET a 1\r\nNOSUCH\r\nGET b\r\nEXEC\r\nMULTI\r\nINCR a\r\nFLUSHALL\r\nGET a\r\nEXEC\r\nGET a\r\n");
        var replies = new List<string>();
        for (int i = 0; i < 11; i++) replies.Add((await client.ReadAsync()).ToString());
        Assert.Equal("+OK", replies[0]);
        Assert.StartsWith("-ERR unknown command", replies[2]);
        Assert.Equal("-EXECABORT Transaction discarded because of previous errors.", replies[4]);
        Assert.Equal(["+OK", "+QUEUED", "+QUEUED", "+QUEUED", "[:1, +OK, nil]", "nil"], replies[5..]);
    }

    [Fact]
    public async Task Moves_lose_nothing_however_their_clients_come_and_go()
    {
        await using InProcessServer redis = await InProcessServer.StartAsync();
        const int Items = 600;
        using var stop = new CancellationTokenSource();
        // Movers wait for one of three keys and move to lists of other slots. Most vanish at a random moment, with a
        // reset or an orderly close.
        Task[] movers = [.. Enumerable.Range(0, 6).Select(worker => Task.Run(async () =>
        {
            var random = TestSeed.Random(worker);
            while (!stop.IsCancellationRequested)
            {
                RespConnection client = await redis.ConnectAsync();
                await client.SendAsync("BLMOVE", $"source{random.Next(3)}", $"target{random.Next(5)}", "LEFT", "RIGHT", "0.5");
                if (random.Next(3) > 0) await Task.Delay(random.Next(5)); // a real delay, as the moment is to be random
                if (random.Next(3) == 0) await client.ReadAsync();
                if (random.Next(2) == 0) client.Abort();
                else await client.DisposeAsync();
            }
        }))];
        await using (RespConnection pusher = await redis.ConnectAsync())
        {
            var random = TestSeed.Random(99);
            for (int i = 0; i < Items; i++)
            {
                await pusher.CallAsync("RPUSH", $"source{random.Next(3)}", i.ToString());
                if (i % 20 == 0) await Task.Yield();
            }
        }
        await stop.CancelAsync();
        await Task.WhenAll(movers).WaitAsync(Eventually.Deadline);
        await redis.BlockedAsync(0);
        var found = new List<string?>();
        await using RespConnection reader = await redis.ConnectAsync();
        for (int i = 0; i < 5; i++) found.AddRange((await reader.CallAsync("LRANGE", $"target{i}", "0", "-1")).Texts);
        for (int i = 0; i < 3; i++) found.AddRange((await reader.CallAsync("LRANGE", $"source{i}", "0", "-1")).Texts);
        Assert.Equal(Enumerable.Range(0, Items).Select(i => i.ToString()).Order(StringComparer.Ordinal), found.Order(StringComparer.Ordinal)!);
        Assert.True(redis.NobodyWatches);
    }
}
