using Xunit;

namespace OrleansRedis.Tests.Harness;

/// <summary>
/// Tests the harness itself against a real redis-server, so that what it reports about ours can be believed.
/// </summary>
public sealed class HarnessTests
{
    [Fact]
    public async Task A_server_answers_over_tcp_and_unix_socket_and_leaves_nothing_behind()
    {
        RedisProcess server = await RedisProcess.StartAsync(ServerKind.Redis);
        await using (server)
        {
            await using RespConnection tcp = await server.ConnectAsync();
            await using RespConnection unix = await server.ConnectUnixAsync();
            Assert.Equal("+OK", (await tcp.CallAsync("SET", "k", new byte[] { 0, 13, 10, 255 })).ToString());
            Assert.Equal(new byte[] { 0, 13, 10, 255 }, (await unix.CallAsync("GET", "k")).Bytes);
            Assert.Equal("nil", (await unix.CallAsync("GET", "none")).ToString());
            await unix.SendByteByByteAsync("*1\r\n$4\r\nPING\r\n");
            Assert.Equal("+PONG\r\n"u8.ToArray(), await unix.ReadRawAsync(7));
        }

        Assert.False(Directory.Exists(server.Directory));
    }

    [Fact]
    public async Task Resp3_types_are_told_apart()
    {
        await using RedisProcess server = await RedisProcess.StartAsync(ServerKind.Redis);
        await using RespConnection redis = await server.ConnectAsync();
        Assert.Equal(3, (await redis.HelloAsync())["proto"].Integer);
        foreach ((string type, string shown) in new[]
        {
            ("string", "\"Hello World\""), ("integer", ":12345"), ("double", ",3.141"), ("null", "nil"), ("array", "[:0, :1, :2]"), ("set", "~[:0, :1, :2]"),
            ("map", "{:0: #f, :1: #t, :2: #f}"), ("bignum", "(1234567999999999999999999999999999999"), ("true", "#t"),
            ("verbatim", "=txt:This is a verbatim\nstring"),
        })
            Assert.Equal(shown, (await redis.CallAsync("DEBUG", "PROTOCOL", type)).ToString());
        await redis.CallAsync("CLIENT", "TRACKING", "ON", "BCAST");
        await redis.CallAsync("SET", "k", "v");
        Assert.Equal(">[\"invalidate\", [\"k\"]]", (await redis.ReadPushAsync()).ToString());
    }

    [Fact]
    public async Task A_pipeline_deeper_than_every_socket_buffer_is_answered_in_order()
    {
        await using RedisProcess server = await RedisProcess.StartAsync(ServerKind.Redis);
        await using RespConnection redis = await server.ConnectAsync();
        RespValue[] replies = await redis.PipelineAsync([.. Enumerable.Range(0, 200_000).Select(i => new RespArgument[] { "ECHO", $"{i,40}" })]);
        Assert.Equal(Enumerable.Range(0, 200_000).Select(i => $"{i,40}"), replies.Select(reply => reply.Text));
    }

    [Fact]
    public async Task A_failure_quotes_the_log_of_the_server()
    {
        InvalidOperationException refusal =
            await Assert.ThrowsAsync<InvalidOperationException>(() => RedisProcess.StartAsync(ServerKind.Redis, "--no-such-directive", "1"));
        Assert.Contains("no-such-directive", refusal.Message, StringComparison.Ordinal);

        await using RedisProcess server = await RedisProcess.StartAsync(ServerKind.Redis);
        await using RespConnection redis = await server.ConnectAsync();
        await server.TerminateAsync();
        Assert.Equal(0, server.ExitCode);
        RespException broken = await Assert.ThrowsAsync<RespException>(() => redis.CallAsync("PING"));
        Assert.Contains("bye bye", broken.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_suspended_server_is_silent_and_a_read_gives_up_at_its_deadline()
    {
        await using RedisProcess server = await RedisProcess.StartAsync(ServerKind.Redis);
        await using RespConnection redis = await server.ConnectAsync();
        redis.Timeout = TimeSpan.FromMilliseconds(100);
        server.Suspend();
        await Assert.ThrowsAsync<RespException>(() => redis.CallAsync("PING"));
        server.Resume();
        redis.Timeout = Eventually.Deadline;
        Assert.Equal("+PONG", (await redis.ReadAsync()).ToString());
    }
}
