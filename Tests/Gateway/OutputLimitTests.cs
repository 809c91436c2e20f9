using System.Globalization;
using OrleansRedis.Gateway;
using OrleansRedis.Tests.Harness;
using Xunit;

namespace OrleansRedis.Tests.Gateway;

/// <summary>client-output-buffer-limit: clients that do not read what is sent to them.</summary>
public sealed class OutputLimitTests : GatewayTest
{
    private const int Megabyte = 1024 * 1024;

    [Fact]
    public async Task The_soft_limit_closes_a_client_that_is_silent_once_its_time_is_over()
    {
        await SetAsync("normal", "0 1mb 1");
        await using RespConnection client = (await StuckAsync(4 * Megabyte)).Client;
        await Eventually.TrueAsync(() => Server.Server.Clients.Count == 1);
    }

    [Fact]
    public async Task The_soft_limit_is_forgotten_when_the_client_has_read()
    {
        await SetAsync("normal", "0 1mb 100");
        (RespConnection client, ClientConnection connection) = await StuckAsync(4 * Megabyte);
        await using RespConnection closing = client;
        // The server's own housekeeping looks at the same time, whose clock shows nowMs + 50_000 and a little more.
        long nowMs = Server.Store.Clock.NowMs - 50_000;
        connection.EnforceOutputLimit(nowMs);
        Assert.Equal(4 * Megabyte, (await client.ReadAsync()).Text.Length);
        await Eventually.TrueAsync(() => connection.PendingOutputBytes == 0);
        connection.EnforceOutputLimit(nowMs + 50_000);
        await client.SendRawAsync("GET large\r\n");
        await Eventually.TrueAsync(() => connection.PendingOutputBytes > Megabyte);
        connection.EnforceOutputLimit(nowMs + 60_000);
        connection.EnforceOutputLimit(nowMs + 149_000);
        Assert.Equal(4 * Megabyte, (await client.ReadAsync()).Text.Length);
    }

    [Fact]
    public async Task What_fits_into_the_fixed_buffer_of_redis_server_does_not_count()
    {
        (RespConnection client, ClientConnection connection) = await StuckAsync(4 * Megabyte);
        await using RespConnection closing = client;
        await Eventually.TrueAsync(() => connection.PendingOutputBytes - connection.LimitedOutputBytes == 16 * 1024);
        Assert.Matches(@" obl=16384 oll=1 omem=\d{6,} ", connection.Describe(Server.Store.Clock.NowMs));
    }

    [Fact]
    public async Task Below_its_limits_a_client_may_be_as_slow_as_it_likes()
    {
        await SetAsync("normal", "20mb 10mb 1");
        (RespConnection client, ClientConnection connection) = await StuckAsync(4 * Megabyte);
        await using RespConnection closing = client;
        connection.EnforceOutputLimit(Server.Store.Clock.NowMs);
        connection.EnforceOutputLimit(Server.Store.Clock.NowMs + 1_000_000);
        Assert.Equal(4 * Megabyte, (await client.ReadAsync()).Text.Length);
    }

    [Fact]
    public async Task Strangers_cannot_have_the_server_keep_their_errors()
    {
        await Call("CONFIG", "SET", "requirepass", "secret");
        await using RespConnection stranger = await Server.ConnectAsync(), flooder = await Server.ConnectAsync();
        RespValue[] replies = await stranger.PipelineAsync([.. Enumerable.Repeat<RespArgument[]>(["PING"], 300)]);
        Assert.All(replies, reply => Assert.Equal("-NOAUTH Authentication required.", reply.ToString()));
        try
        {
            for (int i = 0; i < 100; i++) await flooder.SendRawAsync(string.Concat(Enumerable.Repeat("PING\r\n", 10_000)));
        }
        catch (Exception)
        {
            // It is closed before it has sent everything.
        }
        await Eventually.TrueAsync(() => Server.Server.Clients.Count == 2);
        // From AUTH on it is no stranger any more, even among requests that have come together.
        await Call("SET", "large", new string('x', Megabyte));
        replies = await stranger.PipelineAsync(["AUTH", "secret"], ["GET", "large"]);
        Assert.Equal(("+OK", Megabyte), (replies[0].ToString(), replies[1].Text.Length));
    }

    [Fact]
    public async Task A_reply_above_the_hard_limit_closes_the_client_at_once()
    {
        await Call("SET", "large", new string('x', 2 * Megabyte));
        await SetAsync("normal", "1mb 0 0");
        await using RespConnection client = await Server.ConnectAsync();
        await client.SendRawAsync("GET large\r\n");
        Assert.True(await client.IsClosedByServerAsync());
    }

    [Theory]
    [InlineData("KEYS *")]
    [InlineData("LRANGE list 0 -1")]
    [InlineData("SMEMBERS set")]
    [InlineData("SRANDMEMBER set -100000")]
    [InlineData("HRANDFIELD hash -100000 WITHVALUES")]
    [InlineData("ZRANDMEMBER zset -100000")]
    [InlineData("SRANDMEMBER intset -100000")]
    public async Task The_hard_limit_holds_for_clients_that_read(string command)
    {
        await FillAsync(10_000);
        await SetAsync("normal", "100000 0 0");
        await using RespConnection client = await Server.ConnectAsync();
        await client.SendRawAsync(command + "\r\n");
        byte[] received = await client.ReadToEndAsync();
        Assert.InRange(received.Length, 0, 100_000);
        await Eventually.TrueAsync(() => Server.Server.Clients.Count == 1);
        Assert.Equal("+PONG", await Line("PING"));
    }

    [Fact]
    public async Task The_replies_to_a_pipeline_that_came_in_together_count_together()
    {
        await Call("SET", "large", new string('x', 10_000));
        await SetAsync("normal", "100000 0 0");
        await using RespConnection client = await Server.ConnectAsync();
        await client.SendRawAsync(string.Concat(Enumerable.Repeat("GET large\r\n", 9)));
        for (int i = 0; i < 9; i++) Assert.Equal(10_000, (await client.ReadAsync()).Text.Length);
        await client.SendRawAsync(string.Concat(Enumerable.Repeat("GET large\r\n", 15)));
        Assert.True(await client.IsClosedByServerAsync());
    }

    [Fact]
    public async Task A_reply_that_is_dropped_does_not_keep_its_command_from_its_end()
    {
        await FillAsync(10_000);
        await SetAsync("normal", "100000 0 0");
        await using RespConnection client = await Server.ConnectAsync();
        foreach (string line in (string[])["MULTI", "SET before 1", "LRANGE list 0 -1", "SPOP set 9000", "SORT list BY nosort", "SET after 1", "EXEC"])
            await client.SendRawAsync(line + "\r\n");
        await client.ReadToEndAsync();
        Assert.Equal("[\"1\", \"1\"]", await Line("MGET before after"));
        Assert.Equal(":1000", await Line("SCARD set"));
        await Redis.SendAsync("SPOP", "set", "1000");
        await Redis.ReadAsync();
        Assert.Equal(":0", await Line("EXISTS set"));
    }

    /// <summary>
    /// No client can take these replies, and Redis runs out of memory while it writes them. In a process of its own,
    /// since the memory of this one is that of many tests.
    /// </summary>
    [Fact]
    public async Task A_reply_larger_than_any_can_be_closes_the_client_and_takes_no_memory()
    {
        await using RedisProcess server = await RedisProcess.StartAsync(ServerKind.OrleansRedis);
        await using RespConnection redis = await server.ConnectAsync();
        await FillAsync(redis, 1000);
        long before = PeakKilobytes(server);
        foreach (string command in (string[])
            [
                "HRANDFIELD hash -999999999", "HRANDFIELD hash -999999999 WITHVALUES", "HRANDFIELD small -999999999999",
                "SRANDMEMBER set -9223372036854775807", "SRANDMEMBER intset -999999999", "ZRANDMEMBER zset -999999999 WITHSCORES",
            ])
        {
            await using RespConnection client = await server.ConnectAsync();
            await client.SendRawAsync(command + "\r\n");
            Assert.True(await client.IsClosedByServerAsync(), command);
            Assert.InRange(PeakKilobytes(server) - before, 0, 200 * 1024);
        }
    }

    /// <summary>The most memory that a process has ever had.</summary>
    private static long PeakKilobytes(RedisProcess server)
    {
        string line = File.ReadLines($"/proc/{server.ProcessId}/status").Single(line => line.StartsWith("VmHWM:", StringComparison.Ordinal));
        return long.Parse(line.Split(' ', StringSplitOptions.RemoveEmptyEntries)[^2].Split('\t')[^1], CultureInfo.InvariantCulture);
    }

    [Fact]
    public async Task Replies_to_a_pipeline_may_be_larger_than_one_buffer()
    {
        const int size = 40 * Megabyte, count = 6;
        Assert.Equal("+OK", await Call("SET", "large", new string('x', size)));
        await using RespConnection client = await Server.ConnectAsync();
        ClientConnection connection = await ServerSideAsync(client);
        await client.SendRawAsync(string.Concat(Enumerable.Repeat("GET large\r\n", count)) + "PING\r\n");
        await Eventually.TrueAsync(() => connection.PendingOutputBytes > (long)size * (count - 1));
        for (int i = 0; i < count; i++) Assert.Equal(size, (await client.ReadAsync()).Text.Length);
        Assert.Equal("+PONG", (await client.ReadAsync()).ToString());
        await Eventually.TrueAsync(() => connection.PendingOutputBytes == 0);
    }

    [Theory]
    [InlineData(ClientClass.Normal, "normal")]
    [InlineData(ClientClass.Master, "normal")]
    [InlineData(ClientClass.Replica, "replica")]
    [InlineData(ClientClass.PubSub, "pubsub")]
    public async Task The_limit_of_a_clients_class_is_what_counts(ClientClass which, string limited)
    {
        foreach (string name in (string[])["normal", "replica", "pubsub"]) await SetAsync(name, "0 0 0");
        (RespConnection spared, ClientConnection other) = await StuckAsync(4 * Megabyte);
        await using RespConnection closingToo = spared;
        other.Class = limited == "normal" ? ClientClass.PubSub : ClientClass.Normal;
        (RespConnection client, ClientConnection connection) = await StuckAsync(4 * Megabyte);
        await using RespConnection closing = client;
        connection.Class = which;
        await SetAsync(limited, "1mb 0 0");
        await Record.ExceptionAsync(() => client.SendRawAsync("PING\r\n")); // the housekeeping may have been quicker
        await Eventually.TrueAsync(() => Server.Server.Clients.Find(connection.Id) is null);
        Assert.Equal(2, Server.Server.Clients.Count);
        Assert.Equal(4 * Megabyte, (await spared.ReadAsync()).Text.Length);
    }

    [Theory]
    [InlineData("PING")]
    [InlineData("BLPOP list 0")]
    public async Task What_letters_write_counts(string command)
    {
        await using RespConnection client = await Server.ConnectAsync();
        ClientConnection connection = await ServerSideAsync(client);
        await client.SendRawAsync(command + "\r\n");
        await Eventually.TrueAsync(() => connection.LastCommand!.Name != "client|id");
        connection.Class = ClientClass.PubSub;
        await SetAsync("pubsub", "4mb 0 0");
        var gone = new TaskCompletionSource();
        using CancellationTokenRegistration going = connection.Disconnected.Register(gone.SetResult);
        byte[] message = new byte[64 * 1024];
        int posted = 0;
        // The client does not read, so at some point it is over the limit; before that nothing happens to it.
        while (!gone.Task.IsCompleted && posted < 1000)
        {
            var served = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            connection.Post(client =>
            {
                client.OutOfBand.BulkString(message);
                served.SetResult();
            });
            posted++;
            await Task.WhenAny(served.Task, gone.Task);
        }
        Assert.InRange(posted, 4 * Megabyte / message.Length, 200);
        await Server.BlockedAsync(0);
    }

    /// <summary>Keys and elements whose replies come to more than 100,000 bytes.</summary>
    private Task FillAsync(int elements) => FillAsync(Redis, elements);

    private static async Task FillAsync(RespConnection redis, int elements)
    {
        int[] numbers = [.. Enumerable.Range(0, elements)];
        await redis.PipelineAsync([.. numbers.Select(i => (RespArgument[])["SET", $"key:{i}", i])]);
        await redis.CallAsync(["RPUSH", "list", .. numbers.Select(i => (RespArgument)$"element:{i}")]);
        await redis.CallAsync(["SADD", "set", .. numbers.Select(i => (RespArgument)$"element:{i}")]);
        await redis.CallAsync(["SADD", "intset", "1", "2", "3"]);
        await redis.CallAsync(["HSET", "small", "f", "v"]);
        await redis.CallAsync(["HSET", "hash", .. numbers.SelectMany(i => (RespArgument[])[$"field:{i}", i])]);
        await redis.CallAsync(["ZADD", "zset", .. numbers.SelectMany(i => (RespArgument[])[i, $"member:{i}"])]);
    }

    private async Task SetAsync(string which, string limit) =>
        Assert.Equal("+OK", await Call("CONFIG", "SET", "client-output-buffer-limit", $"{which} {limit}"));

    /// <summary>A client that has asked for this many bytes and does not read them.</summary>
    private async Task<(RespConnection Client, ClientConnection Connection)> StuckAsync(int bytes)
    {
        Assert.Equal("+OK", await Call("SET", "large", new string('x', bytes)));
        RespConnection client = await Server.ConnectAsync();
        ClientConnection connection = await ServerSideAsync(client);
        await client.SendRawAsync("GET large\r\n");
        await Eventually.TrueAsync(() => connection.PendingOutputBytes > bytes / 2);
        return (client, connection);
    }
}
